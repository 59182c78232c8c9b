"""A green result needs a test that was executed; one that could not be collected, imported or built
does not count. Every row runs before and after a change, in a sandbox, and is compared.

No failure here is new: the tests could not run on the base commit either, which must not make them
pass.
"""

from __future__ import annotations

import pytest

from app.domain.verdict import Verdict, compare
from app.verify.runner import confirm, rerun, verify
from tests.verify.conftest import SHA, MakeProject, found, needs

Files = dict[str, str]

SYNTAX = "def test_a(:\n"
MISSING = "import nothing_like_it\n\n\ndef test_a():\n    assert 1\n"
PASSES = "def test_a():\n    assert 1\n"
CASE = "import unittest\n\n\nclass A(unittest.TestCase):\n"
PROJECT = "[project]\nname = 'x'\nversion = '1'\n"
GO_MOD = "module example.com/x\n\ngo 1.20\n"
GO_TEST = 'package {0}\n\nimport "testing"\n\nfunc TestA(t *testing.T) {{ {1} }}\n'
PACKAGE = '{"name": "x", "version": "1.0.0", "scripts": {"test": "node --test"}}\n'
CRATES = "[workspace]\nmembers = ['good', 'bad']\nresolver = '2'\n"
CRATE = "[package]\nname = '{0}'\nversion = '0.1.0'\nedition = '2021'\n"
RUST_TEST = "#[test]\nfn it() {{ {0} }}\n"


def cargo(bad: str) -> Files:
    return {
        "Cargo.toml": CRATES,
        "good/Cargo.toml": CRATE.format("good"),
        "good/src/lib.rs": RUST_TEST.format("assert_eq!(1, 1);"),
        "bad/Cargo.toml": CRATE.format("bad"),
        "bad/src/lib.rs": RUST_TEST.format(bad),
    }


def go(**packages: str) -> Files:
    return {"go.mod": GO_MOD} | {
        f"{name}/{name}_test.go": GO_TEST.format(name, body) for name, body in packages.items()
    }


def python(**files: str) -> Files:
    return {name.replace("__", "/") + ".py": text for name, text in files.items()}


async def judged(project: MakeProject, before: Files, after: Files) -> tuple[Verdict, Verdict]:
    """As in a run: the base is confirmed, and tests that differ run again. Strict, and with
    `neutral`.
    """
    base_site, site = project(before), project(after)
    base = await verify(base_site, found(base_site), SHA)
    base = await confirm(base_site, found(base_site), base)
    results = await verify(site, found(site), SHA)
    results = await rerun(site, found(site), base, results)
    return compare(base, results), compare(base, results, no_tests="neutral")


PYTHON: dict[str, tuple[Files, Files, str]] = {
    "a syntax error, and the other module deleted": (
        python(test_a=MISSING, test_b=MISSING),
        python(test_a=SYNTAX),
        "The tests of test_a.py could not run: SyntaxError",
    ),
    "no module can be collected, before and after": (
        python(test_a=MISSING),
        python(test_a=MISSING, calc="x = 1\n"),
        "test_a.py could not run, on the base commit too: ModuleNotFoundError",
    ),
    "one module of two cannot be collected, and the other is run all the same": (
        python(test_a=MISSING, test_b=PASSES)
        | {"pytest.ini": "[pytest]\naddopts = --continue-on-collection-errors\n"},
        python(test_a=MISSING, test_b=PASSES, calc="x = 1\n")
        | {"pytest.ini": "[pytest]\naddopts = --continue-on-collection-errors\n"},
        "test_a.py could not run, on the base commit too",
    ),
    "a fixture that fails for every test": (
        python(conftest="import pytest\n@pytest.fixture(autouse=True)\ndef x():\n    1 / 0\n")
        | {"test_a.py": PASSES},
        python(conftest="import pytest\n@pytest.fixture(autouse=True)\ndef x():\n    1 / 0\n")
        | {"test_a.py": PASSES, "calc.py": ""},
        "test_a.py::test_a failed with an error, on the base commit too",
    ),
    "a plugin that ends collection": (
        python(conftest="import pytest\ndef pytest_collection():\n    pytest.exit('no', 0)\n")
        | {"test_a.py": PASSES},
        python(conftest="import pytest\ndef pytest_collection():\n    pytest.exit('no', 0)\n")
        | {"test_a.py": PASSES, "calc.py": ""},
        "pytest: no tests could run, on the base commit too",
    ),
    "unittest: a module that cannot be imported": (
        {"setup.py": "", "test_a.py": CASE.replace("unittest\n\n", "unittest, nothing_like\n\n")},
        {
            "setup.py": "",
            "test_a.py": CASE.replace("unittest\n\n", "unittest, nothing_like\n\n"),
            "calc.py": "",
        },
        "test_a.py could not run, on the base commit too",
    ),
    "unittest: a class that cannot be prepared, beside one that can": (
        {
            "setup.py": "",
            "test_a.py": f"{CASE}    @classmethod\n    def setUpClass(cls):\n        1 / 0\n\n"
            "    def test_a(self):\n        pass\n",
            "test_b.py": f"{CASE}    def test_b(self):\n        pass\n",
        },
        {
            "setup.py": "",
            "test_a.py": f"{CASE}    @classmethod\n    def setUpClass(cls):\n        1 / 0\n\n"
            "    def test_a(self):\n        pass\n",
            "test_b.py": f"{CASE}    def test_b(self):\n        pass\n",
            "calc.py": "",
        },
        "test_a.py::A could not run, on the base commit too: ZeroDivisionError",
    ),
    "a command that fails, with nothing to say whether a test was run": (
        {"Makefile": "test:\n\t@cc -c nothing.c\n"},
        {"Makefile": "test:\n\t@cc -c nothing.c\n", "a.c": ""},
        "make: no tests could run, on the base commit too: exit code 2",
    ),
}


@pytest.mark.parametrize("row", PYTHON)
async def test_what_could_not_run_is_a_failure_and_says_why(project: MakeProject, row: str) -> None:
    before, after, why = PYTHON[row]
    verdict, lenient = await judged(project, before, after)
    expect_failure(verdict, why)
    assert lenient.conclusion == "failure"


def expect_failure(verdict: Verdict, why: str) -> None:
    assert verdict.conclusion == "failure", verdict
    assert any(why in reason for reason in verdict.reasons), verdict.reasons
    assert "could not run" in verdict.title or "No tests could run" in verdict.title, verdict.title


@pytest.mark.parametrize(
    "before",
    [
        python(test_a="import pytest\n\n\n@pytest.mark.skip\ndef test_a(): ...\n"),
        python(test_a="import pytest\n\n\n@pytest.mark.xfail\ndef test_a():\n    assert 0\n"),
        {**python(test_a=PASSES), "pytest.ini": "[pytest]\naddopts = -k nothing_like_it\n"},
        python(test_a="import pytest\npytest.skip('no', allow_module_level=True)\n"),
    ],
    ids=["skipped", "expected failures", "deselected", "module skipped"],
)
async def test_nothing_to_run_is_no_success_and_no_break(
    project: MakeProject, before: Files
) -> None:
    strict, verdict = await judged(project, before, {**before, "calc.py": "x = 1\n"})
    assert strict.conclusion == "failure"
    assert (verdict.conclusion, verdict.title) == ("neutral", "No tests ran")


async def test_a_module_that_can_be_collected_again_is_fixed(project: MakeProject) -> None:
    before = python(test_a="import calc\n\n\ndef test_a():\n    assert calc.x\n")
    verdict, _ = await judged(project, before, {**before, "calc.py": "x = 1\n"})
    assert [change.id for change in verdict.fixed] == ["test_a.py"]
    assert (verdict.conclusion, verdict.removed) == ("success", ())


async def test_a_module_that_is_deleted_is_not_fixed(project: MakeProject) -> None:
    before = python(test_a=MISSING, test_b=PASSES)
    verdict, _ = await judged(project, before, python(test_b=PASSES))
    assert [change.id for change in verdict.removed] == ["test_a.py"]


async def test_a_runner_that_crashes_after_its_report_is_not_called_unable(
    project: MakeProject,
) -> None:
    crash = "import os\ndef pytest_unconfigure():\n    os.kill(os.getpid(), 11)\n"
    before = {"conftest.py": crash, "test_a.py": PASSES}
    verdict, _ = await judged(project, before, {**before, "calc.py": ""})
    assert (verdict.counts_after.passed, len(verdict.still_failing)) == (1, 1)
    assert verdict.conclusion == "success"
    assert "1 failing before and after" in verdict.title


@pytest.mark.slow
async def test_go_packages_that_do_not_build_or_vet(project: MakeProject) -> None:
    needs("go")
    vet = 't.Logf("%d", "not a number")'
    before = go(good="", unbuilt="undefined()", unvetted=vet)
    verdict, _ = await judged(project, before, {**before, "README.md": ""})
    expect_failure(verdict, "example.com/x/unbuilt could not run, on the base commit too")
    expect_failure(verdict, "example.com/x/unvetted could not run, on the base commit too")
    assert verdict.counts_after.passed == 1


async def test_a_crate_of_a_workspace_that_does_not_build(
    project: MakeProject,
) -> None:
    needs("rust")
    before = cargo("undefined();")
    verdict, _ = await judged(project, before, {**before, "README.md": ""})
    expect_failure(verdict, "tests could run, on the base commit too: it does not build")


async def test_a_file_of_javascript_that_cannot_be_read(project: MakeProject) -> None:
    good = "require('node:test')('a', () => {});\n"
    before = {"package.json": PACKAGE, "a.test.js": good, "b.test.js": "require('./nothing')\n"}
    verdict, _ = await judged(project, before, {**before, "README.md": ""})
    expect_failure(verdict, "b.test.js could not run, on the base commit too")


async def test_an_environment_that_ends_badly_without_a_report(
    project: MakeProject,
) -> None:
    """tox is a stand-in: only its output about each environment matters here."""
    tox = 'case "$1" in list) printf "lint\\ntests\\n" ;; *) [ "$3" = lint ] || exit 1 ;; esac\n'
    before = {"tox.ini": "[tox]\n", ".venv/bin/tox": f"#!/bin/sh\n{tox}"}
    for site in (one := project(before), two := project({**before, "README.md": ""})):
        (site.spec.workspace / ".venv/bin/tox").chmod(0o755)
    base = await verify(one, found(one), SHA)
    verdict = compare(base, await verify(two, found(two), SHA))
    expect_failure(verdict, "not all tests could run, on the base commit too: exit code 1")
