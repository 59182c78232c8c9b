"""pytest, really run in a real sandbox over small projects."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, VerifierResult, compare
from app.sandbox.bubblewrap import Unsandboxed
from app.sandbox.spec import Completed, SandboxSpec
from app.verify.bundled_tools import bundle_pytest
from app.verify.runner import VerifySite, verify
from app.verify.verifier import DirectoryTree
from app.verify.verifiers.pytest import Pytest, is_plain
from tests.unit.verify.conftest import MakeSite

pytestmark = pytest.mark.slow

SHA = CommitSha("a" * 40)
PASSES = {"test_a.py": "def test_a():\n    assert 1\n"}


async def run(site: VerifySite, line: str | None = None) -> VerifierResult:
    verifier = Pytest() if line is None else Pytest(line)
    return (await verify(site, [verifier], SHA)).verifiers[0]


def outcomes(result: VerifierResult) -> dict[str, str]:
    return {test.id: test.outcome.value for test in result.tests}


PROJECT = {
    "src/pkg/__init__.py": "def half(n):\n    return n // 2\n",
    "tests/test_half.py": (
        "import pytest\nfrom pkg import half\n\n"
        '@pytest.mark.parametrize("n", [2, 3])\n'
        "def test_half(n):\n    assert half(n) == n / 2\n\n\n"
        "class TestMore:\n"
        "    def test_deep(self):\n        half(None)\n\n"
        "    @pytest.mark.skip(reason='later')\n    def test_later(self): ...\n\n"
        "    @pytest.mark.xfail\n    def test_known(self):\n        assert 0\n"
    ),
}


async def test_a_project_with_every_outcome(checkout: MakeSite) -> None:
    """A src/ layout that is not installed, a folder of tests, and Honk's pytest."""
    site = checkout(PROJECT)
    result = await run(site)
    path = "tests/test_half.py"
    assert outcomes(result) == {
        f"{path}::test_half[2]": "passed",
        f"{path}::test_half[3]": "failed",
        f"{path}::TestMore::test_deep": "failed",
        f"{path}::TestMore::test_later": "skipped",
        f"{path}::TestMore::test_known": "skipped",
    }
    by_id = {test.id: test for test in result.tests}
    failed = by_id[f"{path}::test_half[3]"]
    assert (failed.file, failed.line) == (path, 6)
    assert "assert 1 == (3 / 2)" in failed.details
    deep = by_id[f"{path}::TestMore::test_deep"]
    assert (deep.file, deep.line) == ("src/pkg/__init__.py", 2)
    assert result.exit_code == 1
    assert result.problem is None
    assert "Honk's own" in (result.note or "")
    # Nothing is left behind: no cache, no report, no byte code.
    left = {path.name for path in site.spec.workspace.rglob("*")}
    assert left == {"src", "pkg", "__init__.py", "tests", "test_half.py"}
    assert [path.name for path in site.scratch.iterdir()] == ["lent"]


async def test_the_environment_of_the_project_is_used_where_there_is_one(
    checkout: MakeSite,
) -> None:
    """`.venv` as setup creates it, with pytest installed: Honk's is not used."""
    site = checkout(PASSES)
    site = replace(
        site, spec=replace(site.spec, environment={"PIP_NO_INDEX": "1", "HONK_TEST": "seen"})
    )
    lent = bundle_pytest(site.scratch / "lent") / "lib"
    made = await site.sandbox.run(site.spec, ["python3", "-m", "venv", "--without-pip", ".venv"])
    assert made.exit_code == 0, made.text
    (packages,) = site.spec.workspace.glob(".venv/lib/python3*/site-packages")
    shutil.copytree(lent, packages, dirs_exist_ok=True)
    (site.spec.workspace / "test_b.py").write_text(
        "import os, sys\n"
        "def test_b():\n"
        "    assert sys.prefix.endswith('.venv')\n"
        "    assert os.environ['HONK_TEST'] == 'seen'\n"
    )
    for line in (None, "python -m pytest", "python3 -m pytest -q"):
        result = await run(site, line)
        assert outcomes(result) == {"test_a.py::test_a": "passed", "test_b.py::test_b": "passed"}
        assert result.note is None


async def test_tests_that_are_skipped_alone_are_nothing_that_ran(checkout: MakeSite) -> None:
    skipped = {"test_a.py": "import pytest\n@pytest.mark.skip\ndef test_a(): ...\n"}
    result = await run(checkout(skipped))
    assert (result.ran, result.nothing_to_run, result.problem) == (False, True, None)


@pytest.mark.parametrize(
    ("files", "problem", "nothing"),
    [
        ({"a.py": ""}, "collected nothing", True),
        ({**PASSES, "pytest.ini": "[pytest]\naddopts = --no-such\n"}, "code 4", False),
        ({**PASSES, "conftest.py": "import os; os._exit(0)\n"}, "wrote no report", False),
        ({**PASSES, "conftest.py": "import os; os.kill(os.getpid(), 9)\n"}, "signal 9", False),
        ({**PASSES, "pytest.ini": "[pytest]\naddopts = --collect-only\n"}, "ran no tests", False),
        (
            {**PASSES, "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 7"},
            "code 7, but no test fails",
            False,
        ),
        (
            {
                "test_a.py": "def test_a():\n    assert 0\n",
                "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 0",
            },
            "code 0, but 1 of its tests fail",
            False,
        ),
        (
            {
                **PASSES,
                "conftest.py": "def pytest_runtestloop(session):\n    raise RuntimeError('no')\n",
            },
            "internal error",
            False,
        ),
    ],
)
async def test_a_run_that_goes_wrong_says_how(
    checkout: MakeSite, files: dict[str, str], problem: str, nothing: bool
) -> None:
    site = checkout(files)
    results = await verify(site, [Pytest()], SHA)
    (result,) = results.verifiers
    assert problem in (result.problem or "")
    assert result.nothing_to_run == nothing
    base = await verify(checkout(PASSES), [Pytest()], SHA)
    assert compare(base, results, no_tests="neutral").conclusion == "failure"


async def test_a_collection_error_is_reported_with_its_line(checkout: MakeSite) -> None:
    result = await run(checkout({**PASSES, "tests/test_b.py": "\nimport nothing_like_it\n"}))
    (test,) = (test for test in result.tests if test.outcome.bad)
    assert (test.id, test.file, test.line) == ("tests/test_b.py", "tests/test_b.py", 2)
    assert not result.complete
    assert "errors while collecting" in (result.note or "")
    base = await verify(checkout(PASSES), [Pytest()], SHA)
    verdict = compare(base, Results(commit=SHA, verifiers=(result,)))
    assert [change.id for change in verdict.new_failures] == ["tests/test_b.py"]
    assert [change.id for change in verdict.not_run] == ["test_a.py::test_a"]


async def test_a_run_without_end_ends(checkout: MakeSite) -> None:
    files = {"test_a.py": "import time\ndef test_a():\n    time.sleep(1000)\n"}
    result = await run(checkout(files, seconds=2))
    assert result.timed_out
    assert not result.complete
    assert "time limit" in (result.problem or "")
    assert result.tests[-1].whole_run


async def test_output_without_end_is_kept_within_its_bound(checkout: MakeSite) -> None:
    files = {
        "test_a.py": "import os\ndef test_a():\n    os.write(1, b'\\x1b[31mx\\0' * 9_000_000)\n"
    }
    result = await run(checkout(files), "pytest -s")
    assert outcomes(result) == {"test_a.py::test_a": "passed"}
    assert len(result.output_tail) < 20_000
    assert "left out" in result.output_tail
    assert "\x1b" not in result.output_tail
    assert "\0" not in result.output_tail


async def test_a_report_in_the_repository_is_not_read(checkout: MakeSite) -> None:
    forged = '<testsuites><testcase classname="a" name="forged"/></testsuites>'
    files = {
        **PASSES,
        "report.xml": forged,
        "run/honk/report/report.xml": forged,
        "conftest.py": "import os; os._exit(0)\n",
    }
    result = await run(checkout(files))
    assert not any("forged" in test.id for test in result.tests)
    assert not result.ran


async def test_a_report_that_is_a_link_is_not_followed(checkout: MakeSite, tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text('<testsuites><testcase classname="a" name="secret"/></testsuites>')
    secret.chmod(0o644)
    conftest = (
        f"import os\nos.symlink({str(secret)!r}, '/run/honk/report/report.xml')\nos._exit(0)\n"
    )
    result = await run(checkout({**PASSES, "conftest.py": conftest}))
    assert not any("secret" in test.id for test in result.tests)
    assert "no report" in (result.problem or "")


async def test_options_of_the_project_that_would_hide_tests_are_overruled(
    checkout: MakeSite,
) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = -x --ff --tb=no --junitxml=own.xml -q -q\n"
        "junit_family = xunit2\njunit_logging = all\n",
        "test_a.py": "def test_a():\n    assert 0\ndef test_b():\n    assert 0\n",
    }
    result = await run(checkout(files))
    assert outcomes(result) == {"test_a.py::test_a": "failed", "test_a.py::test_b": "failed"}
    assert "assert 0" in result.tests[0].details


async def test_a_line_of_the_policy_is_run_as_given_and_its_tests_are_counted(
    checkout: MakeSite,
) -> None:
    files = {
        "tests/test_a.py": "def test_one(): ...\ndef test_two(): ...\n",
        "test_c.py": "def test_c(): ...\n",
    }
    result = await run(checkout(files), 'pytest tests -k "one or (three)" --junitxml=mine.xml')
    assert outcomes(result) == {"tests/test_a.py::test_one": "passed"}
    assert result.command.startswith("pytest tests -k")


async def test_a_line_that_stops_at_the_first_failure_is_not_complete(checkout: MakeSite) -> None:
    files = {"test_a.py": "def test_a():\n    assert 0\ndef test_b(): ...\n"}
    result = await run(checkout(files), "pytest -x")
    assert outcomes(result) == {"test_a.py::test_a": "failed"}
    assert not result.complete


async def test_names_of_any_kind_come_back(checkout: MakeSite) -> None:
    files = {
        "tests ü/test_it.py": "import pytest\n"
        "@pytest.mark.parametrize('x', ['@octocat', '<b>', '`|`', 'a\\nb', '\\x1b[31m', 'é' * 9])\n"
        "def test_x(x): ...\n"
    }
    result = await run(checkout(files))
    assert len(result.tests) == 6
    assert all(test.id.startswith("tests ü/test_it.py::test_x[") for test in result.tests)


@pytest.mark.parametrize("line", [None, "pytest -rA"])
async def test_a_file_whose_name_is_not_utf_8_is_read(checkout: MakeSite, line: str | None) -> None:
    folder = os.fsdecode(b"caf\xe9")
    odd = "def test_odd():\n    assert 1 == 2\ndef test_even(): ...\n"
    site = checkout({**PASSES, f"{folder}/test_{folder}.py": odd})
    added = await site.sandbox.run(site.spec, ["bash", "-c", "git init -q . && git add ."])
    assert added.ok, added.text
    result = await run(site, line)
    shown = r"caf\xe9/test_caf\xe9.py"
    assert outcomes(result) == {
        "test_a.py::test_a": "passed",
        f"{shown}::test_odd": "failed",
        f"{shown}::test_even": "passed",
    }
    assert result.complete


async def test_without_walls_the_same_is_found(tmp_path: Path) -> None:
    workspace = tmp_path / "a checkout"
    workspace.mkdir()
    (workspace / "test_a.py").write_text("def test_a():\n    assert 0\n")
    site = VerifySite(Unsandboxed(), SandboxSpec(workspace), tmp_path / "some scratch")
    result = await run(site)
    assert outcomes(result) == {"test_a.py::test_a": "failed"}
    assert (result.tests[0].file, result.tests[0].line) == ("test_a.py", 2)


@pytest.mark.parametrize(
    "line",
    [
        "pytest",
        "pytest -q tests",
        'pytest -k "a and (b or c)"',
        "python -m pytest",
        "python3.11 -m pytest -x",
        ".venv/bin/pytest",
        "FOO=1 BAR=x py.test",
        "uv run --frozen pytest -q",
        "poetry run pytest",
        "coverage run -m pytest",
    ],
)
def test_calls_of_pytest_are_recognized(line: str) -> None:
    assert is_plain(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "make test",
        "pytest && make",
        "pytest; true",
        "pytest || true",
        "pytest | tee log",
        "pytest > log",
        "(pytest)",
        "pytest `x`",
        "pytest $(x)",
        "echo pytest",
        "pytest-3",
        "./pytest.sh",
        "pytest 'unclosed",
        "pytest\nrm x",
        "tox",
    ],
)
def test_other_lines_are_commands(line: str) -> None:
    assert not is_plain(line)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pytest.ini": ""}, True),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, True),
        ({"pyproject.toml": "[tool.pytest]\n"}, True),
        ({"pyproject.toml": "[project]\nname = 'pytest'\n"}, False),
        ({"setup.cfg": "[metadata]\n[tool:pytest]\n"}, True),
        ({"tox.ini": "[tox]\n"}, False),
        ({"tox.ini": "[pytest]\n"}, True),
        ({"pkg/test_a.py": "def test_a():\n    pass\n"}, True),
        ({"tests/checks.py": "import pytest\n"}, True),
        ({"a_test.py": "async def test_a(): ...\n"}, True),
        ({"tests/test_a.py": "import unittest\n"}, False),
        ({"tests/test_a.py": "import unittest\n", "setup.py": "tests_require=['pytest>=7']"}, True),
        ({"tests/test_a.py": "import unittest\n", "dev/requirements-test.txt": "pytest"}, True),
        ({"tests/test_a.py": "class TestA:\n    def test_a(self): ...\n"}, True),
        ({"tests/test_a.py": "class A(TestCase):\n    def test_a(self): ...\n"}, False),
        ({"tests/data.txt": "def test_a"}, False),
        ({".venv/lib/test_a.py": "import pytest\n"}, False),
        ({"README.md": "import pytest"}, False),
        ({}, False),
    ],
)
def test_detection(tmp_path: Path, files: dict[str, str], found: bool) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert bool([*Pytest.detect(DirectoryTree(tmp_path))]) == found


def test_a_link_in_the_checkout_is_not_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "pytest.ini").write_text("")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "pytest.ini").symlink_to(outside / "pytest.ini")
    (inside / "tests").symlink_to(outside)
    tree = DirectoryTree(inside)
    assert not tree.exists("pytest.ini")
    assert list(tree.names("*")) == []


def test_a_million_cases_end_in_a_clear_result() -> None:
    report = b"<testsuites>" + b'<testcase name="a"/>' * 1_000_000 + b"</testsuites>"
    completed = Completed(0, b"1000000 passed", 0, False, None, 1.0)
    result = Pytest().parse(completed, {"report.xml": report})
    assert "more elements than can be read" in (result.problem or "")
    assert result.tests[-1].outcome is TestOutcome.ERROR
    assert not result.ran
