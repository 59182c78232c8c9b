"""Results from the reports that a workflow run uploaded."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from app.domain import verdict
from app.domain.ci import CiRun, WorkflowRun
from app.domain.evidence import CellRun, ChangedSides, Evidence, Rules, judge
from app.domain.policy import CiPolicy
from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, Verdict, VerdictKind
from app.verify.archive import ArchivedFile
from app.verify.ci_results import Artifact, read_reports, results
from tests.support.workflow_runs import workflow_run

_SHA = CommitSha("ab" * 20)
_POLICY = CiPolicy(workflow="ci.yml", junit=("reports/**/*.xml",))


def _run(conclusion: str = "success", **fields: Any) -> WorkflowRun:
    url = "https://github.example/run"
    given = {"id": 123456, "attempt": 2, "conclusion": conclusion, "url": url, **fields}
    return workflow_run(_SHA, _POLICY.path, **given)


def _report(*cases: str) -> ArchivedFile:
    return ArchivedFile(b"a.xml", f"<testsuite>{''.join(cases)}</testsuite>".encode())


_PASSED = '<testcase classname="pkg.test_a" name="test_one" time="0.1"/>'
_FAILED = '<testcase classname="pkg.test_a" name="test_two"><failure message="no"/></testcase>'


def _results(
    *artifacts: Artifact, run: WorkflowRun | None = None, expected: tuple[str, ...] = ()
) -> Results:
    return results(run or _run(), artifacts, _POLICY, _SHA, None, expected=expected)


@pytest.mark.parametrize(
    ("glob", "name", "is_read"),
    [
        ("reports/**/*.xml", "reports/a/b.xml", True),
        ("reports/**/*.xml", "a/b.xml", True),
        ("reports/**/*.xml", "b.xml", True),
        ("reports/unit/*.xml", "unit/b.xml", True),
        ("reports/unit/*.xml", "reports/unit/b.xml", True),
        ("reports/unit/*.xml", "other/b.xml", False),
        ("./reports/junit.xml", "junit.xml", True),
        ("**/TEST-*.xml", "m/target/TEST-a.xml", True),
        ("**/TEST-*.xml", "m/target/coverage.xml", False),
        ("*.xml", "deep/a.xml", False),
        ("reports/", "reports/a.xml", True),
    ],
)
def test_globs_match_as_in_the_repository_or_as_uploaded(
    glob: str, name: str, is_read: bool
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr(name, "<testsuite/>")
    assert bool(read_reports(made.getvalue(), (glob,))) is is_read


def test_each_artifact_is_a_command_named_the_same_in_every_run() -> None:
    found = _results(
        Artifact(f"junit-linux-{_SHA}", (_report(_PASSED, _FAILED),)),
        Artifact("junit-mac-123456", (_report(_PASSED),)),
        Artifact("logs"),
        run=_run("failure"),
    )
    assert [(each.verifier, each.command) for each in found.verifiers] == [
        ("ci", "ci.yml: junit-linux-*"),
        ("ci", "ci.yml: junit-mac-*"),
    ]
    ids = {key.id: test.outcome for key, test in verdict.tests_by_key(found).items()}
    assert ids == {
        "pkg.test_a.test_one": TestOutcome.PASSED,
        "pkg.test_a.test_two": TestOutcome.FAILED,
    }
    assert all(each.ran and each.complete for each in found.verifiers)


def test_files_in_class_names() -> None:
    found = _results(
        Artifact("junit", (_report('<testcase classname="src/a.test.ts" name="adds > one"/>'),))
    )
    [test] = found.verifiers[0].tests
    assert test.id == "src/a.test.ts > adds > one"


def test_a_run_that_failed_beside_its_tests() -> None:
    [result] = _results(Artifact("junit", (_report(_PASSED),)), run=_run("failure")).verifiers
    assert not result.complete
    assert "no test in its reports did" in (result.problem or "")
    [cancelled] = _results(Artifact("junit", (_report(_FAILED),)), run=_run("cancelled")).verifiers
    assert "cancelled" in (cancelled.problem or "")


def test_a_run_that_failed_before_it_uploaded_anything() -> None:
    found = _results(run=_run("failure"), expected=("ci.yml: junit",))
    [result] = found.verifiers
    assert (result.command, result.ran, result.complete) == ("ci.yml: junit", False, False)
    assert result.tests[0].could_not_run


@pytest.mark.parametrize(
    "artifact",
    [
        Artifact("junit", unreadable="it is larger than 64 MiB"),
        Artifact("junit", (_report(_PASSED), ArchivedFile(b"b.xml", b"<testsuite><testc"))),
        Artifact("junit", (_report(_PASSED), ArchivedFile(b"b.xml", b""))),
        Artifact("junit", (ArchivedFile(b"b.xml", b"<!DOCTYPE testsuite []><testsuite/>"),)),
    ],
)
def test_what_cannot_be_read_is_a_failure(artifact: Artifact) -> None:
    [result] = _results(artifact).verifiers
    assert "cannot be read" in (result.problem or "")
    assert any(test.whole_run and test.outcome.bad for test in result.tests)


@pytest.mark.parametrize(
    "coverage",
    [
        b"<coverage/>",
        b'<?xml version="1.0" ?>\n<!DOCTYPE coverage SYSTEM "coverage-04.dtd">\n<coverage/>',
        b'<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd"><report/>',
    ],
)
def test_coverage_beside_reports_is_skipped(coverage: bytes) -> None:
    found = _results(Artifact("junit", (_report(_PASSED), ArchivedFile(b"coverage.xml", coverage))))
    assert found.verifiers[0].complete
    assert len(found.verifiers[0].tests) == 1


def test_a_file_that_pytest_could_not_collect() -> None:
    error = '<error message="collection failure"/>'
    case = f'<testcase classname="" name="tests.test_a">{error}</testcase>'
    [result] = _results(Artifact("junit", (_report(case),)), run=_run("failure")).verifiers
    assert result.tests[0].could_not_run


def _judged(base: Results, head: Results) -> VerdictKind:
    evidence = Evidence(
        base=CellRun(results=base),
        proof=CellRun(why_not="x"),
        guard=CellRun(why_not="x"),
        head=CellRun(results=head),
    )
    return judge(evidence, Rules()).kind


def test_verdicts_on_them() -> None:
    good = _results(Artifact("junit", (_report(_PASSED),)))
    bad = _results(
        Artifact("junit", (_report(_PASSED.replace("/>", "><failure/></testcase>")),)),
        run=_run("failure"),
    )
    broken = _results(Artifact("junit", (_report(_PASSED),)), run=_run("failure"))
    nothing = _results(run=_run("failure"))
    assert _judged(good, bad) is VerdictKind.REGRESSION
    assert _judged(good, broken) is VerdictKind.REGRESSION
    assert _judged(good, nothing) is VerdictKind.NO_RESULT
    assert _judged(broken, broken) in (VerdictKind.UNCHANGED, VerdictKind.NOT_PROVEN)
    assert _judged(good, good) in (VerdictKind.UNCHANGED, VerdictKind.NOT_PROVEN)


def _changed(head: Results, **more: Any) -> Verdict:
    """A change of source and test, with a base and a head from CI."""
    run = CiRun(
        workflow=_POLICY.path, id=7, attempt=2, event="push", url="https://github.example/7"
    )
    evidence = Evidence(
        base=CellRun(results=_results(Artifact("junit", (_report(_PASSED),))), ci=run),
        proof=CellRun(why_not="Honk may not start workflows here"),
        guard=CellRun(why_not="Honk may not start workflows here"),
        head=CellRun(results=head, ci=run),
        sides=ChangedSides(source=("src/a.py",), tests=("pkg/test_b.py",)),
        **more,
    )
    return judge(evidence, Rules())


def test_a_proof_that_was_not_measured_is_not_called_missing() -> None:
    new = '<testcase classname="pkg.test_b" name="test_new"/>'
    verdict = _changed(_results(Artifact("junit", (_report(_PASSED, new),))))
    assert verdict.title == "Not proven: the proof was not measured"
    assert not verdict.ready
    told = " ".join(verdict.reasons)
    assert "Proof not measured: the new tests were not run on the old code." in told
    assert "No test fails without this change" not in told
    assert (
        "run by the repository's CI, not by Honk: .github/workflows/ci.yml run 7, attempt" in told
    )


def test_a_change_that_edits_the_workflow_needs_a_person() -> None:
    good = _results(Artifact("junit", (_report(_PASSED),)))
    verdict = _changed(good, redefined=_POLICY.path)
    assert verdict.title == "Please confirm: the change also edits the test workflow"
    assert verdict.conclusion == "action_required"
    assert f"edits {_POLICY.path}, which defines what CI runs as tests." in " ".join(
        verdict.reasons
    )


def test_a_head_without_results_says_why() -> None:
    evidence = Evidence(
        base=CellRun(), proof=CellRun(), guard=CellRun(), head=CellRun(why_not="It is disabled.")
    )
    verdict = judge(evidence, Rules())
    assert (verdict.title, verdict.reasons) == (
        "No result: the tests were not run",
        ("It is disabled.",),
    )


@pytest.mark.parametrize(
    ("report", "outcomes", "problem"),
    [
        # Only the counts tell of a failure.
        (f'<testsuite tests="2" failures="1">{_PASSED}</testsuite>', ["passed", "error"], "counts"),
        ('<testsuites errors="2"/>', ["error"], "counts 2 failures without the test"),
        (
            f'<testsuites><testsuite><error message="no module"/></testsuite>'
            f"<testsuite>{_PASSED}</testsuite></testsuites>",
            ["passed", "error"],
            "counts a failure without the test",
        ),
        # Every failure that is counted has its test.
        (f'<testsuite failures="1">{_PASSED}{_FAILED}</testsuite>', ["passed", "failed"], ""),
        ('<testsuite failures="1"><testcase name="a" status="fail"/></testsuite>', ["failed"], ""),
        ('<testsuite><testcase name="a" status="notrun"/></testsuite>', ["skipped"], ""),
        ('<testsuite><testcase name="a" status="run"/></testsuite>', ["passed"], ""),
        ('<testsuite failures="many"><testcase name="a"/></testsuite>', ["passed"], ""),
        # What is inside a failure takes nothing back.
        (
            '<testsuite><testcase name="a"><failure><skipped/></failure></testcase></testsuite>',
            ["failed"],
            "",
        ),
    ],
)
def test_a_failure_that_a_report_hides_counts(
    report: str, outcomes: list[str], problem: str
) -> None:
    (read,) = _results(Artifact("junit", (ArchivedFile(b"a.xml", report.encode()),))).verifiers
    assert [test.outcome.value for test in read.tests] == outcomes
    assert problem in (read.problem or "")
    assert bool(problem) == bool(read.problem)
