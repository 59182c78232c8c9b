"""The canary with a real pytest: an honest fix, and results that a plugin rewrites."""

from __future__ import annotations

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.domain.verdict import Results, TestOutcome
from app.integrity.canary import evaluate, plan_canary
from app.verify.runner import run_tests, verify
from tests.verify.conftest import SHA, MakeProject, found

BASE = {
    "pytest.ini": "[pytest]\naddopts = -p reporting\npythonpath = .\n",
    "reporting.py": "def pytest_report_header():\n    return 'sums'\n",
    "sums.py": "def double(n):\n    return n + 2\n",
    "test_sums.py": "from sums import double\n\ndef test_double():\n    assert double(3) == 6\n",
}
PROOF = (("pytest", "test_sums.py::test_double"),)
FIX = {"sums.py": "def double(n):\n    return n * 2\n"}
REWRITES = {
    "sums.py": "def double(n):\n    return 2 + n\n",
    "reporting.py": (
        "import pytest\n\n@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_makereport():\n    report = yield\n"
        "    report.outcome, report.longrepr = 'passed', None\n    return report\n"
    ),
}


async def measured(project: MakeProject, change: dict[str, str]) -> str:
    """The canary's result for a change whose tests pass at head."""
    head = BASE | change
    diff = Diff(tuple(FileDiff.of(path, BASE[path], new) for path, new in change.items()))
    plan = plan_canary(diff, ChangedSides(source=tuple(change)), "n0nce")
    assert [each.name for each in plan.functions] == ["double"]

    async def ran(files: dict[str, str]) -> Results:
        site = project(files)
        return await verify(site, found(site), SHA)

    plain = await ran(head)
    assert {test.outcome.value for of in plain.verifiers for test in of.tests} == {"passed"}
    raising, neutral = [
        await ran(head | {path: content.decode() for path, (_, content) in way.items()})
        for way in (plan.raising, plan.neutral)
    ]
    return evaluate(plan, PROOF, raising, neutral)[0]


async def test_an_honest_fix_fails_without_its_functions(project: MakeProject) -> None:
    assert await measured(project, FIX) == "failed"


async def test_rewritten_results_pass_without_the_functions_that_they_prove(
    project: MakeProject,
) -> None:
    assert await measured(project, REWRITES) == "passed"


async def test_one_failure_is_enough(project: MakeProject) -> None:
    tests = "".join(f"def test_{name}():\n    assert False\n\n" for name in "abc")
    site = project({"test_sums.py": tests})
    verifiers = found(site)
    plain = await verify(site, verifiers, SHA)
    (result,) = plain.verifiers
    wanted = {(result.verifier, result.command): result.tests}
    for first_failure, count in ((True, 1), (False, 3)):
        ran = await run_tests(site, verifiers, SHA, wanted, first_failure=first_failure)
        assert [test.outcome for test in ran.verifiers[0].tests] == [TestOutcome.FAILED] * count
