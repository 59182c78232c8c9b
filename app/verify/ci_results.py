"""Results of a cell from the JUnit XML that a workflow run uploaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.ci import VERIFIER, WorkflowRun
from app.domain.policy import CiPolicy
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult, executed
from app.integrity.scope import matches
from app.verify.archive import ArchivedFile, read_archive
from app.verify.junit import BadReportError, NotJUnitError, bounded, read_junit
from app.verify.results import ended_early

_WILDCARD = re.compile(r"[*?]")
_FILE = re.compile(r".*(?:/|\.(?:[cm]?[jt]sx?|rb|php|exs|bats|dart|lua))", re.DOTALL)
_NOT_COLLECTED = "collection failure"
"""pytest's message for a file that it could not import."""


@dataclass(frozen=True)
class Artifact:
    """The reports of one artifact, or why it cannot be read, as the end of a sentence."""

    name: str
    reports: tuple[ArchivedFile, ...] = ()
    unreadable: str = ""


def read_reports(archive: bytes, junit: Sequence[str]) -> tuple[ArchivedFile, ...]:
    """The reports in an artifact's archive. Raises BadArchiveError."""
    patterns = [each for glob in junit for each in _as_uploaded(glob)]
    return read_archive(archive, lambda name: bool(matches(name, patterns)))


def _as_uploaded(glob: str) -> tuple[str, ...]:
    """The glob, and the same without each of its leading folders.

    `actions/upload-artifact` keeps paths only from the first wildcard or the last common folder on:
    `reports/unit/a.xml` may be `unit/a.xml` or `a.xml` in the archive.
    https://github.com/actions/upload-artifact#upload-using-multiple-paths-and-exclusions
    """
    glob = glob.removeprefix("./").removeprefix("/")
    parts, found = glob.split("/"), [f"/{glob}"]
    while len(parts) > 1 and not _WILDCARD.search(parts[0]):
        parts = parts[1:]
        found.append("/" + "/".join(parts))
    return tuple(found)


def results(
    run: WorkflowRun,
    artifacts: Sequence[Artifact],
    policy: CiPolicy,
    commit: CommitSha,
    tree: TreeSha | None,
    *,
    expected: Sequence[str] = (),
) -> Results:
    """What the run's reports say about the commit. Takes up to a second: call it in a thread.

    Each artifact counts as a separate command, so that a test on two operating systems is two
    tests. An unreadable report, and a run that failed although no test in its reports did, are
    failures of the run as a whole. `expected`: the commands of another commit, which count as
    failed if there are no reports.
    """
    commands: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        if artifact.reports or artifact.unreadable:
            name = f"{policy.file}: {_without_numbers(artifact.name, run)}"
            commands.setdefault(name, []).append(artifact)
    read = [_command(name, found) for name, found in sorted(commands.items())]
    if not read:
        names = expected or (policy.file,)
        read = [VerifierResult(verifier=VERIFIER, command=name) for name in names]
        read = [ended_early(each, _ending(run, read), could_not_run=True) for each in read]
    elif problem := _ending(run, read):
        # In addition to the tests that ran, because there may be more.
        read[0] = ended_early(read[0], problem)
    return Results(
        commit=commit,
        tree=tree,
        verifiers=tuple(read),
        environment=f"{policy.path} run {run.id}.{run.attempt}",
    )


def _without_numbers(name: str, run: WorkflowRun) -> str:
    """An artifact's name without what differs between two runs, so that the two can be compared."""
    for varying in (run.head_sha, str(run.id), run.head_sha[:12], run.head_sha[:7]):
        name = name.replace(varying, "*")
    return name


def _command(name: str, artifacts: Sequence[Artifact]) -> VerifierResult:
    tests: list[TestResult] = []
    problems = [
        f"the artifact {each.name} cannot be read: {each.unreadable}"
        for each in artifacts
        if each.unreadable
    ]
    dropped = 0
    for artifact in artifacts:
        for report in artifact.reports:
            try:
                read = read_junit(report.content, _prefix)
            except NotJUnitError:
                continue  # such as coverage data, which the glob matches as well
            except BadReportError as problem:
                problems.append(f"{_shown(report.name)} cannot be read: {problem}")
                continue
            tests += map(_with_collection, read.tests)
            dropped += read.dropped
            if read.unnamed:
                problems.append(_unnamed(report.name, read.unnamed))
    kept = bounded(tests)
    result = VerifierResult(
        verifier=VERIFIER,
        command=name,
        tests=kept.tests,
        ran=executed(kept.tests),
        complete=not any(test.could_not_run for test in kept.tests),
        nothing_to_run=not (kept.tests or problems),
        seconds=sum(test.seconds for test in kept.tests),
        tests_dropped=dropped + kept.dropped,
    )
    return ended_early(result, "; ".join(problems[:3])) if problems else result


def _prefix(classname: str, file: str | None) -> str:
    if not classname:
        return ""
    return f"{classname} > " if _FILE.match(classname) else f"{classname}."


def _with_collection(test: TestResult) -> TestResult:
    if test.outcome is TestOutcome.ERROR and test.message == _NOT_COLLECTED:
        return test.model_copy(update={"could_not_run": True})
    return test


def _unnamed(name: bytes, count: int) -> str:
    what = "a failure" if count == 1 else f"{count:,} failures"
    return f"{_shown(name)} counts {what} without the test"


def _shown(name: bytes) -> str:
    return name.decode("utf-8", errors="backslashreplace")[:200]


def _ending(run: WorkflowRun, commands: Sequence[VerifierResult]) -> str:
    """Why the run did not succeed, unless a failing test explains it; empty if it did."""
    if run.conclusion in ("success", "neutral"):
        return ""
    if run.conclusion == "failure" and any(
        test.outcome.bad for each in commands for test in each.tests
    ):
        return ""
    return _ENDINGS.get(run.conclusion, f"the workflow run ended with `{run.conclusion}`")


_ENDINGS: Mapping[str, str] = {
    "failure": "the workflow run failed, although no test in its reports did",
    "cancelled": "the workflow run was cancelled",
    "timed_out": "the workflow run timed out",
    "startup_failure": "the workflow run could not start",
    "skipped": "the workflow run was skipped",
}
