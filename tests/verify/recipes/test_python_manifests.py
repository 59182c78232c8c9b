"""Recipes for Python: manifests that disagree, are hostile, or list things in unusual places."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes import Declared, Machine, RecipeContext, SetupFailure
from app.recipes.python import READER

MACHINE = Machine(versions={"python": ("3.13.1", "3.11.2")}, programs=frozenset({"uv"}))
TEST = {"test_a.py": "def test_a(): ...\n"}
FULL = '[project]\nname = "a"\nversion = "1"\ndependencies = ["iniconfig"]\n'


def context(files: Mapping[str, str], **more: object) -> RecipeContext:
    return RecipeContext(LoadedFiles({**TEST, **files}), MACHINE, **more)  # type: ignore[arg-type]


def recipe_of(files: Mapping[str, str], **more: object) -> Recipe:
    (recipe,) = READER.read(context(files, **more))
    return recipe


def first_line(files: Mapping[str, str], **more: object) -> str:
    steps = [each for each in recipe_of(files, **more).steps if each.purpose == "install"]
    return steps[1].commands[0].line


@pytest.mark.parametrize(
    ("files", "name"),
    [
        # Two locks: the tool that the manifest configures, else uv's.
        ({"uv.lock": "", "poetry.lock": "", "pyproject.toml": FULL}, "uv"),
        (
            {"uv.lock": "", "poetry.lock": "", "pyproject.toml": f'{FULL}[tool.poetry]\nx = "1"\n'},
            "poetry",
        ),
        (
            {"poetry.lock": "", "pdm.lock": "", "pyproject.toml": f"{FULL}[tool.pdm]\nx = 1\n"},
            "pdm",
        ),
        # A lock of another manager, without the manifest that it was made from.
        ({"poetry.lock": "", "requirements.txt": "six\n"}, "pip"),
        ({"uv.lock": "", "setup.py": "from setuptools import setup\nsetup()\n"}, "pip"),
        ({"Pipfile.lock": "{}", "pyproject.toml": FULL}, "pip"),
        ({"Pipfile": "[packages\n", "requirements.txt": "six\n"}, "pip"),
    ],
)
def test_recipes_follow_the_lock_of_the_configured_tool(
    files: Mapping[str, str], name: str
) -> None:
    assert recipe_of(files).name == name


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {
                "tox.ini": "[testenv]\ndeps =\n  -r{toxinidir}/ci/base.txt\n  six  # why\n"
                "  django4: django<5\n  django5: django<6\n  lint: ruff\nextras = fast\n",
                "ci/base.txt": "pytest\n",
                "pyproject.toml": f'{FULL}[project.optional-dependencies]\nfast = ["attrs"]\n',
            },
            "uv pip install -r ci/base.txt -e '.[fast]' six 'django<6'",
        ),
        (
            {
                "noxfile.py": "def tests(session):\n"
                '    session.install("-r", "ci/base.txt")\n    session.install("-e", ".[fast]")\n',
                "ci/base.txt": "pytest\n",
                "pyproject.toml": f'{FULL}[project.optional-dependencies]\nfast = ["attrs"]\n',
            },
            "uv pip install -r ci/base.txt -e '.[fast]'",
        ),
        (
            {
                "pyproject.toml": FULL + '[tool.tox.env_run_base]\ndependency_groups = ["check"]\n'
                '[dependency-groups]\ncheck = ["pytest"]\n'
            },
            "uv pip install -e . --group check",
        ),
        (
            {
                "tox.ini": "[testenv]\ndeps = -rdev.txt\n\n[testenv:py33]\ndeps = -r3.3/dev.txt\n"
                "\n[testenv:pypy3]\ndeps = six\n\n[testenv:py-tests]\ndeps = attrs\n",
                "dev.txt": "pytest\n",
                "3.3/dev.txt": "pytest<3.3\n",
            },
            "uv pip install -r dev.txt attrs",
        ),
        ({"setup.py": "setup(tests_require=['six'])\n"}, "uv pip install -e . six"),
        (
            {"pyproject.toml": FULL + '[tool.uv]\ndev-dependencies = ["six>=1"]\n'},
            "uv pip install -e . 'six>=1'",
        ),
        (
            {"tests/requirements.txt": "six\n", "setup.py": "setup()\n"},
            "uv pip install -r tests/requirements.txt -e .",
        ),
        (
            {
                "uv.lock": "",
                "pyproject.toml": FULL + '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            },
            "uv sync --frozen --all-packages --all-extras",
        ),
    ],
)
def test_recipes_find_what_tests_need_in_unusual_places(
    files: Mapping[str, str], line: str
) -> None:
    assert first_line(files) == line


def test_recipes_end_with_what_is_installed_most_surely() -> None:
    extras = '[project.optional-dependencies]\ntest = ["pytest"]\ndev = ["six"]\n'
    steps = recipe_of({"pyproject.toml": FULL + extras}).steps
    assert [each.line for each in steps[1].commands] == [
        "uv pip install -e '.[test,dev]'",
        "uv pip install -e '.[test]'",
        "uv pip install -e .",
        "echo 'setuptools<72' > .venv/build.txt"
        " && uv pip install --build-constraints .venv/build.txt -e .",
        "uv pip install -r pyproject.toml --extra test && uv pip uninstall a",
    ]


def test_recipes_build_with_an_older_setuptools_before_they_leave_the_package_out() -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='six', install_requires=['attrs'])\n",
        "requirements.txt": "pytest\n",
    }
    assert [each.line for each in recipe_of(files).steps[1].commands] == [
        "uv pip install -r requirements.txt -e .",
        "echo 'setuptools<72' > .venv/build.txt"
        " && uv pip install --build-constraints .venv/build.txt -r requirements.txt -e .",
        # The package with the project's name on the registry is not what is tested.
        "uv pip install -r requirements.txt && uv pip uninstall six",
    ]


def test_recipes_run_the_version_of_ci_within_the_range() -> None:
    ranged = FULL.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.10"')
    declared = Declared(versions={"python": "3.11"}, source="ci.yml")
    (version,) = recipe_of({"pyproject.toml": ranged}, declared=declared).versions
    assert (version.used, version.wanted) == ("3.11.2", ">=3.10")


@pytest.mark.parametrize(("pin", "used"), [("3.12.1", "3.13.1"), ("3.14", "3.13.1")])
def test_recipes_take_the_nearest_version_and_say_so(pin: str, used: str) -> None:
    (version,) = recipe_of({"pyproject.toml": FULL, ".python-version": pin}).versions
    assert (version.wanted, version.used, version.exact) == (pin, used, False)


def test_recipes_install_nothing_where_no_version_is_in_range() -> None:
    ranged = FULL.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.20"')
    recipe = recipe_of({"pyproject.toml": ranged})
    assert (recipe.steps, recipe.collect) == ((), None)
    assert recipe.missing[0].lines == ('image: "NAME@sha256:DIGEST"',)


def test_recipes_name_what_only_conda_has() -> None:
    text = "name: a\ndependencies:\n  - python=3.11\n  - gdal>=3  # maps\n  - pip:\n    - six\n"
    recipe = recipe_of({"environment.yml": text})
    assert "gdal" in recipe.missing[0].why
    assert recipe.steps[1].commands[0].line == "uv pip install six"


def repaired(
    files: Mapping[str, str], output: str, *, collecting: bool = True
) -> Choices | Missing:
    made = context(files)
    (recipe,) = READER.read(made)
    return READER.repair(made, recipe, SetupFailure("pytest", 2, output, collecting))


def test_recipes_repair_with_the_extra_that_lists_a_module() -> None:
    extras = '[project.optional-dependencies]\nyaml = ["PyYAML<7"]\n'
    found = repaired({"pyproject.toml": FULL + extras}, "No module named 'yaml'")
    assert isinstance(found, Choices)
    assert (found.extras, found.packages) == (("yaml",), ())
    assert first_line({"pyproject.toml": FULL + extras}, choices=(found,)).endswith("'.[yaml]'")


def test_recipes_repair_with_the_repositorys_own_name_for_a_module() -> None:
    found = repaired({"requirements.txt": "opencv-python\n"}, "No module named 'cv2'")
    assert isinstance(found, Choices)
    assert found.packages == ("opencv-python",)


def test_recipes_repair_with_another_installed_version() -> None:
    output = "because the current Python version (3.13.1) does not satisfy Python>=3.9,<3.12"
    found = repaired({"pyproject.toml": FULL}, output, collecting=False)
    assert isinstance(found, Choices)
    assert found.version == "3.11.2"
    assert recipe_of({"pyproject.toml": FULL}, choices=(found,)).versions[0].used == "3.11.2"


def test_recipes_repair_a_build_that_looks_for_tags() -> None:
    output = "LookupError: setuptools-scm was unable to detect version for /workspace."
    found = repaired({"setup.py": "setup()\n"}, output, collecting=False)
    assert isinstance(found, Choices)
    recipe = recipe_of({"setup.py": "setup()\n"}, choices=(found,))
    assert recipe.steps[1].environment == {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.1"}


def test_recipes_set_no_variable_that_a_choice_makes_up() -> None:
    hostile = Choices(ecosystem="python", environment={"LD_PRELOAD": "x", "PBR_VERSION": "$(id)"})
    steps = recipe_of({"setup.py": "setup()\n"}, choices=(hostile,)).steps
    assert all(not step.environment for step in steps)


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("src/x.c:3:10: fatal error: foo/bar.h: No such file or directory", "foo/bar.h"),
        ("Because gone-away was not found in the package registry and", "`gone-away`"),
        ("ERROR: No matching distribution found for gone-away", "`gone-away`"),
        ("Because every version requires Python>=3.99, we can", "another version of Python"),
    ],
)
def test_recipes_name_what_is_missing(output: str, what: str) -> None:
    found = repaired({"setup.py": "setup()\n"}, output, collecting=False)
    assert isinstance(found, Missing)
    assert what in found.what
    assert found.next_step
    assert found.lines


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just("a; id"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["test", "python", "$(id)", "x y", "-r"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("project", "project.dependencies", "project.optional-dependencies", "project.name"),
        *("dependency-groups", "tool.poetry", "tool.poetry.group", "tool.poetry.group.test"),
        *("tool.poetry.dependencies", "tool.tox", "tool.tox.env", "tool.hatch.envs.test"),
        *("tool.uv", "tool.uv.workspace", "tool.pdm.dev-dependencies", "build-system"),
        *("build-system.requires", "project.dynamic", "project.requires-python"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(["", "uv.lock", "poetry.lock"]))
def test_recipes_never_raise_for_values_of_other_types(
    tables: Mapping[str, object], lock: str
) -> None:
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in tables.items())
    files = {"pyproject.toml": text, "setup.py": f"setup(**{{}}, setup_requires={tables!r})\n"}
    made = context({**files, **({lock: ""} if lock else {})})
    for recipe in READER.read(made):
        for step in recipe.steps:
            for command in step.commands:
                assert ";" not in shlex.split(command.line.replace("&&", " "))
        READER.repair(made, recipe, SetupFailure("x", 1, "No module named 'yaml'"))


def _toml(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(bool(value)).lower()
    if isinstance(value, int):
        return str(value % 1000)
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(each):08x}" for each in value if each.isprintable()) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    assert isinstance(value, dict)
    return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"


def test_recipes_stay_small_for_lists_that_double() -> None:
    doubling = "a = ['six', 'attrs']\n" + "a = a + a\n" * 60 + "setup(install_requires=a)\n"
    assert recipe_of({"setup.py": doubling}).steps
    includes = ", ".join(["{include-group = 'gN'}"] * 50)
    groups = "".join(f"g{n} = [{includes}]\n".replace("gN", f"g{n + 1}") for n in range(30))
    assert recipe_of({"pyproject.toml": f"{FULL}[dependency-groups]\n{groups}"}).steps
