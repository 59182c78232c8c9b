"""Recipes for Python: which command fits which manifest, and what an error leads to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes import Declared, Machine, RecipeContext, SetupFailure, discover
from app.recipes.python import READER
from tests.support.probe_fixtures.python import FIXTURES

MACHINE = Machine(versions={"python": ("3.13.1", "3.11.2")}, programs=frozenset({"uv"}))
TEST = {"test_a.py": "def test_a(): ...\n"}
PROJECT = '[project]\nname = "a"\nversion = "1"\n'
FULL = f'{PROJECT}dependencies = ["iniconfig"]\n'


def context(files: Mapping[str, str], **more: object) -> RecipeContext:
    return RecipeContext(LoadedFiles({**TEST, **files}), MACHINE, **more)  # type: ignore[arg-type]


def recipes(files: Mapping[str, str], **more: object) -> list[Recipe]:
    return list(READER.read(context(files, **more)))


def lines(files: Mapping[str, str], **more: object) -> list[str]:
    """The alternatives of the step that installs, the strict one first."""
    (recipe,) = recipes(files, **more)
    steps = [step for step in recipe.steps if step.purpose != "tools"][1:]
    return [command.line for step in steps for command in step.commands]


@pytest.mark.parametrize(
    ("files", "first"),
    [
        (
            {"uv.lock": "", "pyproject.toml": FULL + '[dependency-groups]\ntest = ["pytest"]\n'},
            "uv sync --frozen --all-extras --group test",
        ),
        (
            {
                "poetry.lock": "",
                "pyproject.toml": '[tool.poetry.group.dev.dependencies]\npytest = "*"\n',
            },
            "poetry install --no-interaction --all-extras --with dev",
        ),
        (
            {"pdm.lock": "", "pyproject.toml": FULL},
            "pdm sync -G :all",
        ),
        ({"Pipfile.lock": "{}", "Pipfile": "[dev-packages]\npytest = '*'\n"}, "pipenv sync --dev"),
        ({"Pipfile": "[dev-packages]\npytest = '*'\n"}, "pipenv install --dev --skip-lock"),
        (
            {"requirements.txt": "six\n", "requirements-test.txt": "pytest\n"},
            "uv pip install -r requirements.txt -r requirements-test.txt",
        ),
        (
            {"pyproject.toml": FULL + '[dependency-groups]\nci = ["pytest"]\n'},
            "uv pip install -e . --group ci",
        ),
        (
            {"pyproject.toml": FULL + '[project.optional-dependencies]\nTest_Extra = ["pytest"]\n'},
            "uv pip install -e '.[Test_Extra]'",
        ),
        (
            {
                "setup.py": "from setuptools import setup\nsetup()\n",
                "setup.cfg": "[options.extras_require]\ntesting = pytest\n",
            },
            "uv pip install -e '.[testing]'",
        ),
        (
            {"tox.ini": "[testenv]\ndeps =\n  pytest>=7\n  py39: six\n"},
            "uv pip install 'pytest>=7' six",
        ),
        (
            {"noxfile.py": 'def tests(session):\n    session.install("pytest", "six<2")\n'},
            "uv pip install pytest 'six<2'",
        ),
        (
            {"pyproject.toml": FULL + '[tool.hatch.envs.test]\ndependencies = ["pytest"]\n'},
            "uv pip install -e . pytest",
        ),
        (
            {"environment.yml": "dependencies:\n  - numpy\n  - pip:\n    - pytest\n    - six\n"},
            "uv pip install pytest six",
        ),
    ],
)
def test_recipes_take_the_strict_command_first(files: Mapping[str, str], first: str) -> None:
    assert lines(files)[0] == first


def test_recipes_bring_pytest_where_nothing_that_was_installed_did() -> None:
    ask, bring = lines({"pyproject.toml": FULL})[-2:]
    assert ask == ".venv/bin/python -c 'import pytest'"
    assert bring == "uv pip install pytest"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pyproject.toml": "[tool.ruff]\nline-length = 100\n"},
        {"pyproject.toml": PROJECT},
        {"docs/requirements.txt": "sphinx\n"},
        {"tox.ini": "[pytest]\naddopts = -q\n"},
    ],
)
def test_recipes_are_empty_where_there_is_nothing_to_install(files: Mapping[str, str]) -> None:
    assert recipes(files) == []


@pytest.mark.parametrize(
    ("files", "used", "source"),
    [
        ({".python-version": "3.11\n"}, "3.11.2", ".python-version"),
        ({".python-version": "3.11.9\n"}, "3.11.2", ".python-version"),
        ({".tool-versions": "nodejs 20\npython 3.13.1\n"}, "3.13.1", ".tool-versions"),
        ({"mise.toml": '[tools]\npython = "3.11"\n'}, "3.11.2", "mise.toml"),
        ({"runtime.txt": "python-3.11.4\n"}, "3.11.2", "runtime.txt"),
    ],
)
def test_recipes_take_the_version_that_is_asked_for(
    files: Mapping[str, str], used: str, source: str
) -> None:
    (recipe,) = recipes({"pyproject.toml": FULL, **files})
    assert [(each.used, each.source) for each in recipe.versions] == [(used, source)]
    assert f"uv venv --seed --allow-existing --python {used} .venv" in [
        command.line for step in recipe.steps for command in step.commands
    ]


def test_recipes_fall_back_to_the_range_and_say_what_is_out_of_it() -> None:
    ranged = FULL.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.10,<3.12"')
    (recipe,) = recipes({"pyproject.toml": ranged, ".python-version": "3.10.4"})
    assert recipe.versions[0].used == "3.11.2"
    (recipe,) = recipes({"pyproject.toml": ranged.replace(">=3.10,<3.12", ">=3.20")})
    assert (recipe.versions[0].used, recipe.missing[0].what) == ("", "Python >=3.20")


def test_recipes_read_what_ci_says_of_names_only() -> None:
    manifest = FULL + '[project.optional-dependencies]\nfast = ["six"]\n'
    declared = Declared(extras=("fast", "evil; rm"), requirement_files=("ci.txt", "../x", "-r"))
    (first, *_) = lines({"pyproject.toml": manifest, "ci.txt": "six\n"}, declared=declared)
    assert first == "uv pip install -r ci.txt -e '.[fast]'"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CHANGELOG.md", "# Changes\n\n## 2.4.1 (today)\n"),
        # A test dependency may require a version of the project itself, such as its latest.
        ("NEWS", "Version 2.4.1.post0 (2024-03-01)\n====\n\nVersion 2.4.0\n"),
    ],
)
def test_recipes_pretend_a_version_for_back_ends_that_read_tags(name: str, text: str) -> None:
    build = '[build-system]\nrequires = ["setuptools_scm>=8"]\n'
    files = {"pyproject.toml": FULL + build, name: text}
    (recipe,) = recipes(files)
    found = [step.environment for step in recipe.steps if step.environment]
    assert found == [{"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_A": "2.4.1"}]


def test_recipes_pretend_a_version_for_an_older_setuptools_scm() -> None:
    """Before version 8 it does not read the variable of one project where setup.py asks for it."""
    build = '[build-system]\nrequires = ["setuptools", "setuptools_scm<8.0"]\n'
    (recipe,) = recipes({"pyproject.toml": FULL + build, "NEWS": "Version 2.4.1\n"})
    found = [step.environment for step in recipe.steps if step.environment]
    assert found == [{"SETUPTOOLS_SCM_PRETEND_VERSION": "2.4.1"}]


def test_recipes_of_a_monorepo_are_bounded_and_a_workspace_is_one() -> None:
    many = {f"p{n}/pyproject.toml": FULL for n in range(60)}
    many |= {f"p{n}/test_a.py": "" for n in range(60)}
    assert len(recipes(many)) == 30
    assert [each.folder for each in recipes({**many, "uv.lock": "", "pyproject.toml": FULL})] == [
        ""
    ]


def test_recipes_name_a_manifest_that_cannot_be_parsed() -> None:
    (recipe,) = recipes({"pyproject.toml": "[project\n"})
    assert recipe.steps == ()
    assert "`pyproject.toml` cannot be parsed" in recipe.missing[0].why


HOSTILE = "x'; touch /tmp/owned; $(id) `id`\n&& id"


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": f'{FULL}[dependency-groups]\n"test {HOSTILE!a:.40}" = ["pytest"]\n'},
        {"pyproject.toml": FULL + '[project.optional-dependencies]\n"test;id" = ["pytest"]\n'},
        {"tox.ini": f"[testenv]\ndeps = six; {HOSTILE}\nextras = test;id\n"},
        {"noxfile.py": f"def tests(session):\n    session.install({HOSTILE!r}, 'a @ file:///x')\n"},
        {"requirements;id.txt": "six\n", "requirements.txt": "six\n"},
        {".python-version": HOSTILE, "requirements.txt": "six\n"},
        {"environment.yml": f"dependencies:\n  - pip:\n    - {HOSTILE}\n"},
        {"setup.py": f"setup(extras_require={{{HOSTILE!r}: ['pytest'], 'test$(id)': []}})\n"},
    ],
)
def test_recipes_never_hand_text_of_a_manifest_to_the_shell(files: Mapping[str, str]) -> None:
    for recipe in recipes(files):
        for step in recipe.steps:
            for command in step.commands:
                words = shlex.split(command.line.replace("&&", " "))
                assert not {"touch", "id", "$(id)", "`id`", ";"} & set(words), command.line
                assert "\n" not in command.line


FAILURES = [
    ("ModuleNotFoundError: No module named 'yaml'", ("PyYAML",)),
    ("ModuleNotFoundError: No module named 'six.moves'", ("six",)),
    (
        "error: unrecognized arguments: --cov=a --cov-report=term -n 4",
        ("pytest-cov", "pytest-xdist"),
    ),
    ("E       fixture 'mocker' not found", ("pytest-mock",)),
    ('Error importing plugin "pytest_asyncio": No module', ("pytest-asyncio",)),
]


@pytest.mark.parametrize(("output", "packages"), FAILURES)
def test_recipes_repair_what_an_error_names(output: str, packages: tuple[str, ...]) -> None:
    made = context({"pyproject.toml": FULL, "requirements.txt": "six\n"})
    (recipe,) = READER.read(made)
    chosen = READER.repair(made, recipe, SetupFailure("pytest", 2, output, collecting=True))
    assert isinstance(chosen, Choices)
    assert chosen.packages == packages
    again = RecipeContext(made.tree, MACHINE, choices=(chosen,))
    (repaired,) = READER.read(again)
    assert repaired.steps[-1].commands[0].line.endswith(" ".join(packages))
    # If the same error returns, it is not repaired the same way again: there is an end.
    assert isinstance(
        READER.repair(again, repaired, SetupFailure("pytest", 2, output, True)), Missing
    )


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("ModuleNotFoundError: No module named 'colours_evil'", "the Python module `colours_evil`"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file", "a C compiler"),
        ("Error: pg_config executable not found.", "libpq"),
        ("Git operation failed", "a dependency from a Git repository"),
    ],
)
def test_recipes_say_what_no_rule_can_repair(output: str, what: str) -> None:
    made = context({"pyproject.toml": FULL})
    (recipe,) = READER.read(made)
    found = READER.repair(made, recipe, SetupFailure("uv pip install -e .", 1, output))
    assert isinstance(found, Missing)
    assert found.what == what
    assert found.next_step


def test_recipes_install_no_package_that_nothing_names() -> None:
    hostile = Choices(ecosystem="python", packages=("evil", "requests; id", "six @ file:///x"))
    made = lines({"pyproject.toml": FULL}, choices=(hostile,))
    assert not any("evil" in line or "requests" in line or "file:" in line for line in made)


REMOVED = [
    "pytest.PytestRemovedIn9Warning: The (path: py.path.local) argument is deprecated",
    "Argument(s) {'path'} are declared in the hookimpl but can not be found in the hookspec",
    "unknown hook 'pytest_cmdline_preparse' in plugin <module 'conftest'>",
    "ImportError: cannot import name 'transfer_markers' from '_pytest.fixtures' (/x.py)",
    "AttributeError: module 'pytest' has no attribute 'config'",
    "ModuleNotFoundError: No module named '_pytest.capture_old'",
]


def repairs(files: Mapping[str, str], output: str) -> tuple[list[tuple[str, ...]], Recipe]:
    """The packages that each repair chooses while the same error returns, and the last recipe."""
    made = context(files)
    found: list[tuple[str, ...]] = []
    while True:
        (recipe,) = READER.read(made)
        chosen = READER.repair(made, recipe, SetupFailure("pytest", 1, output, collecting=True))
        if isinstance(chosen, Missing):
            return found, recipe
        found.append(chosen.packages)
        made = RecipeContext(made.tree, MACHINE, choices=(chosen,))


@pytest.mark.parametrize("output", REMOVED)
def test_recipes_go_back_one_major_of_pytest_at_a_time(output: str) -> None:
    found, recipe = repairs({"requirements.txt": "six\npytest>=6\n"}, output)
    assert found == [("pytest<9",), ("pytest<8",), ("pytest<7",)]
    older = recipe.steps[-1].commands[0]
    assert older.line == "uv pip install 'pytest<7'"
    assert "newer pytest" in older.source


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"requirements.txt": "pytest==9.0.1\n"}, []),
        ({"requirements.txt": "pytest ~= 8.0\n"}, []),
        ({"requirements.txt": "pytest<9\n"}, []),
        ({"requirements.txt": "pytest>=8\n"}, [("pytest<9",)]),
        (
            {"pyproject.toml": f'{PROJECT}[dependency-groups]\ntest = ["pytest>=9", "six"]\n'},
            [],
        ),
        ({"pyproject.toml": '[tool.poetry.group.dev.dependencies]\npytest = "^9"\n'}, []),
        (
            {
                "pyproject.toml": f'{PROJECT}[dependency-groups]\ntest = ["pytest"]\n',
                "uv.lock": '[[package]]\nname = "pytest"\nversion = "9.2.0"\n',
            },
            [],
        ),
    ],
)
def test_recipes_leave_the_version_of_pytest_that_the_repository_wants(
    files: Mapping[str, str], expected: list[tuple[str, ...]]
) -> None:
    assert repairs(files, REMOVED[0])[0] == expected


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda each: each.name)
def test_recipes_read_every_fixture(fixture: object) -> None:
    files = fixture.files  # type: ignore[attr-defined]
    plan = discover(RecipeContext(LoadedFiles(files), MACHINE))
    assert plan.recipes
    assert plan.allow == (("python",) if any(each.steps for each in plan.recipes) else ())
