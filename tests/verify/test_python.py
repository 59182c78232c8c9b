"""pytest, unittest, tox and nox over small real projects, with packages from a real index."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.verdict import Results, compare
from app.verify.runner import VerifySite, confirm, verify
from app.verify.verifier import DirectoryTree, label
from app.verify.verifiers import choose
from tests.verify.conftest import SHA, MakeProject, found, outcomes, run

CODE = {
    "pyproject.toml": '[project]\nname = "halves"\nversion = "1"\ndependencies = ["iniconfig"]\n',
    "halves/__init__.py": "import iniconfig\n\ndef half(n):\n    return n // 2\n",
}
PYTEST = (
    "import pytest\nfrom halves import half\n\n"
    "@pytest.mark.parametrize('n', [2, 3])\ndef test_half(n):\n    assert half(n) * 2 == n\n"
)
IS_OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/opt/wheels"}


async def inside(site: VerifySite, script: str) -> None:
    """A line of setup."""
    done = await site.sandbox.run(site.spec, ["bash", "-euc", script])
    assert done.ok, done.text


async def test_pytest_with_an_environment_that_set_up_made(
    project: MakeProject, wheels: Path
) -> None:
    site = project(
        {**CODE, "tests/test_halves.py": PYTEST}, mounts={"wheels": wheels}, **IS_OFFLINE
    )
    await inside(site, "python3 -m venv .venv && .venv/bin/pip install -q pytest iniconfig")
    result = await run(site)
    assert (result.verifier, result.note) == ("pytest", None)
    assert outcomes(result) == {
        "tests/test_halves.py::test_half[2]": "passed",
        "tests/test_halves.py::test_half[3]": "failed",
    }


UNITTEST = """
import unittest
from halves import half

class TestHalf(unittest.TestCase):
    def test_even(self):
        self.assertEqual(half(4), 2)

    def test_odd(self):
        self.assertEqual(half(3), 1.5, "@octocat <b> \\x00")

    def test_many(self):
        for n in (2, 3, 5):
            with self.subTest(n=n):
                self.assertEqual(half(n) * 2, n)

    @unittest.skip("later")
    def test_later(self): ...

    @unittest.expectedFailure
    def test_known(self):
        self.fail()

    @unittest.expectedFailure
    def test_fixed_by_chance(self): ...

    def test_breaks(self):
        half(None)

class TestPrepared(unittest.TestCase):
    def setUp(self):
        half(None)

    def test_prepared(self): ...
"""


async def test_unittest_without_a_sign_of_pytest(project: MakeProject, wheels: Path) -> None:
    site = project(
        {**CODE, "tests/test_halves.py": UNITTEST}, mounts={"wheels": wheels}, **IS_OFFLINE
    )
    await inside(site, "python3 -m venv .venv && .venv/bin/pip install -q iniconfig")
    assert [label(each) for each in found(site)] == ["unittest"]
    result = await run(site)
    name = "tests/test_halves.py::TestHalf::test_"
    assert outcomes(result) == {
        f"{name}even": "passed",
        f"{name}odd": "failed",
        f"{name}many": "failed",
        f"{name}later": "skipped",
        f"{name}known": "skipped",
        f"{name}fixed_by_chance": "failed",
        f"{name}breaks": "failed",
        "tests/test_halves.py::TestPrepared::test_prepared": "error",
    }
    by_id = {test.id: test for test in result.tests}
    breaks = by_id[f"{name}breaks"]
    assert (breaks.file, breaks.line) == ("halves/__init__.py", 4)
    assert "@octocat" in by_id[f"{name}odd"].message
    assert (result.ran, result.complete, result.problem) == (True, True, None)


async def test_unittest_names_folders_that_are_not_utf_8(project: MakeProject) -> None:
    folder = os.fsdecode(b"tests_caf\xe9")
    test = "import unittest\nclass TestA(unittest.TestCase):\n    def test_a(self): ...\n"
    site = project({f"{folder}/__init__.py": "", f"{folder}/test_a.py": test})
    assert outcomes(await run(site)) == {r"tests_caf\xe9/test_a.py::TestA::test_a": "passed"}


async def test_unittest_with_a_module_that_cannot_be_imported(project: MakeProject) -> None:
    code = {"halves/__init__.py": "def half(n):\n    return n // 2\n", "tests/__init__.py": ""}
    good = project({**code, "tests/test_halves.py": UNITTEST})
    bad = project({**code, "tests/test_halves.py": f"import nothing_like_it\n{UNITTEST}"})
    before, after = [await verify(site, found(site), SHA) for site in (good, bad)]
    verdict = compare(before, after)
    assert [change.id for change in verdict.new_failures] == ["tests/test_halves.py"]
    assert len(verdict.not_run) == 8
    assert verdict.conclusion == "failure"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import os; os._exit(0)\n", "code 0 and it wrote no report"),
        ("import unittest\n", "found no tests"),
    ],
)
async def test_unittest_that_runs_nothing(project: MakeProject, script: str, problem: str) -> None:
    site = project({"test_a.py": f"{script}import unittest\n"})
    results = await verify(site, found(site), SHA)
    assert problem in (results.verifiers[0].problem or "")
    assert not results.verifiers[0].ran
    assert compare(results, results).conclusion == "failure"


async def with_tools(site: VerifySite, tools: Path) -> VerifySite:
    """tox and nox in the project's own environment."""
    await inside(
        site,
        "python3 -m venv --without-pip .venv\n"
        "echo /opt/tools > $(echo .venv/lib/python3*/site-packages)/tools.pth",
    )
    return site


TOX = """
[tox]
env_list = py3, other, lint
no_package = true
[testenv]
deps =
    py3: pytest
    py3: iniconfig
commands =
    py3: python -m pytest tests
    other: python -c "import sys"
    lint: python -c "raise SystemExit(3)"
"""


async def test_tox_where_it_is_the_way(
    project: MakeProject, wheels: Path, tox_and_nox: Path
) -> None:
    mounts = {"wheels": wheels, "tools": tox_and_nox}
    files = {**CODE, "tox.ini": TOX, "tests/test_halves.py": PYTEST, "tests/__init__.py": ""}
    site = await with_tools(project(files, mounts=mounts, **IS_OFFLINE), tox_and_nox)
    result = await run(site, "tox")
    assert outcomes(result) == {
        "py3: tests/test_halves.py::test_half[2]": "passed",
        "py3: tests/test_halves.py::test_half[3]": "failed",
        "other (the environment)": "passed",
        "lint (the environment)": "error",
    }, result.output_tail
    assert (result.problem, result.ran, result.from_exit_code_only) == (None, True, False)


NOX = """
import nox

@nox.session
def tests(session):
    session.install("pytest", "iniconfig")
    session.run("pytest", "tests")

@nox.session(default=False)
def release(session):
    session.error("never by itself")
"""


async def test_nox_where_it_is_the_way(
    project: MakeProject, wheels: Path, tox_and_nox: Path
) -> None:
    mounts = {"wheels": wheels, "tools": tox_and_nox}
    files = {**CODE, "noxfile.py": NOX, "tests/test_halves.py": PYTEST, "tests/__init__.py": ""}
    site = await with_tools(project(files, mounts=mounts, **IS_OFFLINE), tox_and_nox)
    await inside(site, ".venv/bin/python -m nox --install-only")
    result = await run(site, "nox")
    assert outcomes(result) == {
        "tests: tests/test_halves.py::test_half[2]": "passed",
        "tests: tests/test_halves.py::test_half[3]": "failed",
    }, result.output_tail
    assert (result.problem, result.ran) == (None, True)


@pytest.mark.parametrize(("file", "name"), [("tox.ini", "tox"), ("noxfile.py", "nox")])
async def test_what_is_not_installed_is_reported(
    project: MakeProject, file: str, name: str
) -> None:
    site = project({file: "[testenv]\n" if name == "tox" else "import nox\n"})
    assert [label(each) for each in found(site)] == [name]
    result = await run(site)
    assert result.problem == "it is not installed"
    assert f"There is no {name} here" in result.output_tail


async def test_projects_in_folders_each_have_their_own(project: MakeProject) -> None:
    def one(name: str) -> dict[str, str]:
        test = f"from {name} import half\ndef test_half():\n    assert half(3) == 2\n"
        return {
            f"{name}/pyproject.toml": "[tool.pytest.ini_options]\n",
            f"{name}/src/{name}.py": "def half(n):\n    return n // 2\n",
            f"{name}/tests/test_half.py": test,
        }

    site = project({**one("first"), **one("second"), "tests/test_all.py": "def test_all(): ...\n"})
    verifiers = found(site)
    assert [label(each) for each in verifiers] == ["pytest", "pytest:first", "pytest:second"]
    results = await verify(site, verifiers, SHA)
    assert [outcomes(result) for result in results.verifiers] == [
        {"tests/test_all.py::test_all": "passed"},
        {"first/tests/test_half.py::test_half": "failed"},
        {"second/tests/test_half.py::test_half": "failed"},
    ]
    first = results.verifiers[1].tests[0]
    assert (first.file, first.line) == ("first/tests/test_half.py", 3)
    assert len(compare(results, results).still_failing) == 2
    # The tests that failed in a folder can be run alone.
    assert verifiers[1].selects(results.verifiers[1].tests)
    alone = replace(site)
    again = await verify(alone, verifiers[1:2], SHA)
    assert outcomes(again.verifiers[0]) == {"first/tests/test_half.py::test_half": "failed"}
    missing = project({"a.txt": ""})
    gone = await verify(missing, verifiers[1:2], SHA)
    assert (gone.verifiers[0].exit_code, gone.verifiers[0].complete) == (127, False)


async def test_make_test_is_known_by_its_exit_code(project: MakeProject) -> None:
    for target, code in (("test", "passed"), ("check", "failed")):
        makefile = f".PHONY: all {target}\n{target}: build\n\tfalse\nbuild:\n\t@echo built\n"
        makefile = makefile.replace("false", "true") if code == "passed" else makefile
        site = project({"Makefile": makefile})
        result = await run(site)
        assert (result.verifier, outcomes(result)) == ("make", {f"make {target}": code})
        assert result.from_exit_code_only
    assert found(project({"Makefile": "test := 1\nbuild:\n\ttrue\n"})) == ()
    direct = project({"Makefile": "test:\n\ttrue\n", "test_a.py": "def test_a(): ...\n"})
    assert [label(each) for each in found(direct)] == ["pytest"]


def test_the_first_real_test_does_not_take_the_place_of_make(project: MakeProject) -> None:
    files = {"Makefile": "test:\n\ttrue\n", "test_a.py": "def test_a(): ...\n"}
    tree = DirectoryTree(project(files).spec.workspace)
    both = choose(None, tree, before={("make", "make test")}).verifiers
    assert [label(each) for each in both] == ["pytest", "make"]
    assert [label(each) for each in choose(None, tree, before={("tox", "tox")}).verifiers] == [
        "pytest"
    ]


async def test_a_base_that_cannot_be_run_alone_is_confirmed_whole(project: MakeProject) -> None:
    site = project({"Makefile": "test:\n\ttest -e seen || { touch seen; exit 1; }\n"})
    verifiers = found(site)
    base = await verify(site, verifiers, SHA)
    assert isinstance(base, Results)
    confirmed = await confirm(site, verifiers, base)
    assert [change.id for change in compare(confirmed, confirmed).flaky] == ["make test"]
