"""Runs verifiers over a commit in a sandbox and collects their results.

Each run gets a new, empty report folder outside the workspace, so that no file of the repository
can pass for a report.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import (
    Results,
    TestOutcome,
    TestResult,
    VerifierResult,
    changed,
)
from app.sandbox import services
from app.sandbox.removal import removed
from app.sandbox.spec import (
    MIB,
    Completed,
    Mount,
    Sandbox,
    SandboxSpec,
)
from app.sandbox.untrusted_files import NotReadableError, iter_files, open_file
from app.verify.bundled_tools import bundle_pytest
from app.verify.junit import MAX_REPORT_BYTES
from app.verify.results import MAX_OUTPUT_TAIL, ended_early, result_of
from app.verify.verifier import (
    STDOUT,
    SelectsFiles,
    TestCommand,
    Verifier,
    VerifierContext,
    label,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_REPORTS = 5_000
"""Most files read from a report folder for one pattern."""

MAX_FILES_ALONE = 20
"""Most test files that run one by one after a run of all of them broke off."""

_REPORT = "/run/honk/report"
_REPORT_BOUNDS = (256 * MIB, 20_000)
_TOOLS = "/run/honk/pytest"


@dataclass(frozen=True)
class VerifySite:
    """Where a commit is verified.

    `spec.workspace` is the checkout. `scratch` is a local folder for reports, deleted after each
    call, and bundled tools, which stay. Setting `stop` ends the running command; the results say
    so.
    """

    sandbox: Sandbox
    spec: SandboxSpec
    scratch: Path
    stop: asyncio.Event | None = None

    @property
    def stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()


async def verify(
    site: VerifySite,
    verifiers: Sequence[Verifier],
    commit: CommitSha,
    tree: TreeSha | None = None,
    *,
    environment: str = "",
    files: Sequence[str] | None = None,
) -> Results:
    """Run every verifier, one after the other, over the checkout.

    With `files`, run only these test files, as whole files. A verifier that cannot select files
    runs everything if one of them is in its folder, and not at all otherwise.
    Raises UserError when no sandbox can be created; anything the commands do becomes a result.
    """
    said = [
        result
        for verifier in verifiers
        if (result := await _run_files(site, verifier, files)) is not None
    ]
    return Results(commit=commit, tree=tree, verifiers=tuple(said), environment=environment)


async def _run_files(
    site: VerifySite, verifier: Verifier, files: Sequence[str] | None
) -> VerifierResult | None:
    """The verifier's result; None when it has nothing to do with the files."""
    if files is None:
        return await _run(site, verifier)
    chosen = verifier.selects_files(files) if isinstance(verifier, SelectsFiles) else ()
    if not chosen:
        below = f"{verifier.folder}/" if verifier.folder else ""
        may_run_them = any(path.startswith(below) for path in files)
        return await _run(site, verifier) if may_run_them else None
    result = await _run(site, verifier, files=chosen)
    if len(chosen) == 1 or site.stopped or not _broke_off(result):
        return result
    # One test ended the whole process. Give each file its own, so that it hides only itself.
    alone = [await _run(site, verifier, files=(file,)) for file in chosen[:MAX_FILES_ALONE]]
    return _together(result, alone, chosen[MAX_FILES_ALONE:])


def _broke_off(result: VerifierResult) -> bool:
    return not result.complete and any(_is_break(test) for test in result.tests)


def _together(
    result: VerifierResult, alone: Sequence[VerifierResult], left_out: Sequence[str]
) -> VerifierResult:
    """The results of files that ran one by one, as one result."""
    tests = [test for each in alone for test in each.tests]
    skipped = f"{len(left_out):,} files did not run" if left_out else None
    problems = (*(each.problem for each in alone), skipped)
    return result.model_copy(
        update={
            "tests": tuple(dict.fromkeys(tests)),
            "ran": any(each.ran for each in alone),
            "complete": not left_out and all(each.complete for each in alone),
            "nothing_to_run": all(each.nothing_to_run for each in alone),
            "problem": next((problem for problem in problems if problem), None),
            "exit_code": max((each.exit_code or 0 for each in alone), default=result.exit_code),
            "output_tail": "\n".join(each.output_tail for each in alone)[-MAX_OUTPUT_TAIL:],
            "seconds": result.seconds + sum(each.seconds for each in alone),
            "tests_dropped": sum(each.tests_dropped for each in alone),
        }
    )


async def repeat(
    site: VerifySite,
    verifiers: Sequence[Verifier],
    results: Results,
    wanted: Mapping[tuple[str, str], Sequence[TestResult]],
    *,
    times: int,
    files: Sequence[str] | None = None,
) -> Results:
    """Run the wanted tests again until each has `times` outcomes, and add these to `also`.

    `wanted` are tests of `results`, by verifier and command. A verifier that cannot select tests
    runs its files, or everything, again.
    """
    by_key = {(label(verifier), verifier.line): verifier for verifier in verifiers}
    said = []
    for result in results.verifiers:
        key = (result.verifier, result.command)
        tests = wanted.get(key, ())
        verifier = by_key.get(key)
        if verifier is not None and tests and not result.timed_out:
            missing = times - 1 - min(len(test.also) for test in tests)
            for _ in range(missing):
                if not site.stopped:
                    result = _joined(result, await _once_more(site, verifier, tests, files), tests)
        said.append(result)
    return results.model_copy(update={"verifiers": tuple(said)})


async def run_tests(
    site: VerifySite,
    verifiers: Sequence[Verifier],
    commit: CommitSha,
    wanted: Mapping[tuple[str, str], Sequence[TestResult]],
    *,
    files: Sequence[str] | None = None,
    first_failure: bool = False,
) -> Results:
    """Run the wanted tests, given by verifier and command as in `repeat`, in another checkout.

    With `first_failure`, a run may end at the first of them that fails.
    """
    by_key = {(label(verifier), verifier.line): verifier for verifier in verifiers}
    said = [
        await _once_more(site, by_key[key], tests, files, first_failure=first_failure)
        for key, tests in wanted.items()
        if key in by_key
    ]
    return Results(commit=commit, verifiers=tuple(said))


async def _once_more(
    site: VerifySite,
    verifier: Verifier,
    tests: Sequence[TestResult],
    files: Sequence[str] | None,
    *,
    first_failure: bool = False,
) -> VerifierResult:
    if verifier.selects(tests):
        only = tuple(test.id for test in tests)
        return await _run(site, verifier, only, first_failure=first_failure)
    chosen: tuple[str, ...] = ()
    if files is not None and isinstance(verifier, SelectsFiles):
        chosen = verifier.selects_files(files)
    return await _run(site, verifier, files=chosen)


async def confirm(site: VerifySite, verifiers: Sequence[Verifier], results: Results) -> Results:
    """Re-run on the base what failed as a whole: a command, or an interrupted run.

    A base that fails by chance would make any change look like a fix. A command that passes the
    second time is reported as flaky.
    """
    by_key = {(label(verifier), verifier.line): verifier for verifier in verifiers}
    said = []
    for result in results.verifiers:
        verifier = by_key.get((result.verifier, result.command))
        broken = [test for test in result.tests if _is_break(test)]
        if result.kind == "checks":
            broken = []  # checks are deterministic
        if verifier is not None and broken and not result.timed_out and not site.stopped:
            result = _joined(result, await _run(site, verifier), broken)
        said.append(result)
    return results.model_copy(update={"verifiers": tuple(said)})


async def rerun(
    site: VerifySite, verifiers: Sequence[Verifier], before: Results, after: Results
) -> Results:
    """Re-run in the same checkout what differs from the base, and add the outcomes to `after`.

    The change is not responsible for tests that pass or fail by chance. Tests that can run alone
    run twice more. A failure that disappears alone may depend on other tests, so it counts as
    flaky only if it passes in a whole run. A verifier that cannot select tests runs once more
    when something new fails.
    """
    suspects = changed(before, after)
    by_key = {(label(verifier), verifier.line): verifier for verifier in verifiers}
    said = []
    for result in after.verifiers:
        key = (result.verifier, result.command)
        tests = suspects.get(key, ())
        verifier = by_key.get(key)
        if verifier is not None and tests and not result.timed_out and not site.stopped:
            result = await _again(site, verifier, result, tests)
        said.append(result)
    return after.model_copy(update={"verifiers": tuple(said)})


async def _again(
    site: VerifySite, verifier: Verifier, result: VerifierResult, tests: Sequence[TestResult]
) -> VerifierResult:
    if verifier.selects(tests):
        return await _again_selected(site, verifier, result, tests)
    if not any(test.outcome.bad for test in tests):
        return result
    again = await _run(site, verifier)
    if again.complete and not result.complete:
        # The run was interrupted only once: use the complete one, and record the interruption.
        return _joined(_with_breaks(again, result), again, tests)
    return _joined(result, again, tests)


def _is_break(test: TestResult) -> bool:
    return test.outcome.bad and (test.whole_run or test.could_not_run)


def _with_breaks(again: VerifierResult, result: VerifierResult) -> VerifierResult:
    known = {test.id for test in again.tests}
    breaks = tuple(test for test in result.tests if _is_break(test) and test.id not in known)
    return again.model_copy(update={"tests": (*again.tests, *breaks)})


async def _again_selected(
    site: VerifySite, verifier: Verifier, result: VerifierResult, tests: Sequence[TestResult]
) -> VerifierResult:
    only = tuple(test.id for test in tests)
    alone = await _run(site, verifier, only)
    fixed = [test for test in tests if not test.outcome.bad]
    failing = [test for test in tests if test.outcome.bad]
    result = _joined(result, alone, fixed)
    passes_alone = _passed(alone)
    if any(test.id in passes_alone for test in failing):
        return _joined(result, await _run(site, verifier), tests)
    return _joined(result, await _run(site, verifier, only), fixed)


def _passed(result: VerifierResult) -> set[str]:
    return {test.id for test in result.tests if test.outcome is TestOutcome.PASSED}


def _joined(
    result: VerifierResult, again: VerifierResult, tests: Sequence[TestResult]
) -> VerifierResult:
    """Add another run's outcomes to each of `tests`.

    An interrupted run says nothing about tests that it did not reach. A whole-run failure that
    does not recur counts as passed.
    """
    asked = {test.id for test in tests}
    seen: dict[str, list[TestOutcome]] = {}
    for test in again.tests:
        seen.setdefault(test.id, []).append(test.outcome)
    joined = [
        test.model_copy(update={"also": (*test.also, *_seen(test, seen, again))})
        if test.id in asked
        else test
        for test in result.tests
    ]
    return result.model_copy(update={"tests": tuple(joined), "ran": result.ran or again.ran})


def _seen(
    test: TestResult, seen: Mapping[str, list[TestOutcome]], again: VerifierResult
) -> Sequence[TestOutcome]:
    outcomes = seen.get(test.id)
    if outcomes is not None:
        return outcomes
    return (TestOutcome.PASSED,) if _is_break(test) and again.complete and again.ran else ()


async def _run(
    site: VerifySite,
    verifier: Verifier,
    only: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    *,
    first_failure: bool = False,
) -> VerifierResult:
    """One command in one fresh sandbox with one fresh report folder."""
    lent = await asyncio.to_thread(bundle_pytest, site.scratch / "lent")
    async with _report_folder(site) as folder:
        report = Mount(folder, _REPORT, writable=True, bounds=_REPORT_BOUNDS)
        tools = Mount(lent, _TOOLS)
        context = VerifierContext(
            report=site.sandbox.seen(report),
            tools=site.sandbox.seen(tools),
            only=only,
            files=files,
            first_failure=first_failure,
        )
        command = verifier.command(context)
        spec = replace(
            site.spec,
            mounts=(*site.spec.mounts, report, tools),
            environment={**site.spec.environment, **command.environment},
            services=site.spec.services if verifier.kind == "tests" else (),
        )
        argv = (*_IN_FOLDER, verifier.folder, *command.argv) if verifier.folder else command.argv
        printed = _Printed() if command.stdout else None
        completed = await site.sandbox.run(spec, argv, stdout_to=printed, stop=site.stop)
        # Parsing 50,000 tests takes 0.1 s: keep it off the event loop.
        return await asyncio.to_thread(_read, verifier, spec, completed, folder, command, printed)


_IN_FOLDER = ("bash", "-c", 'cd -- "$1" || exit 127; shift; exec "$@"', "honk")


class _Printed(io.BytesIO):
    """Captures standard output that is a report, up to the size that is read."""

    def write(self, data: ReadableBuffer) -> int:
        size = memoryview(data).nbytes
        super().write(memoryview(data)[: max(0, MAX_REPORT_BYTES + 1 - self.tell())])
        return size


def _read(
    verifier: Verifier,
    spec: SandboxSpec,
    completed: Completed,
    folder: Path,
    command: TestCommand,
    printed: _Printed | None,
) -> VerifierResult:
    reports: dict[str, bytes] = {}
    for name in _present(folder, command.reports):
        try:
            with open_file(folder, name) as file:
                # Keep one byte more than is read, so that an oversized report is detected.
                reports[name] = file.read(MAX_REPORT_BYTES + 1)
        except NotReadableError:
            continue
    if printed is not None:
        reports[STDOUT] = printed.getvalue()
    why = services.failure(spec.services, completed.exit_code, completed.text)
    if why:
        return _without_services(verifier, completed, why)
    said = verifier.parse(completed, reports)
    return said.model_copy(update={"verifier": label(verifier), "kind": verifier.kind})


def _without_services(verifier: Verifier, completed: Completed, why: str) -> VerifierResult:
    """No test ran: what the tests expect to reach is missing."""
    said = result_of(label(verifier), verifier.line, completed)
    said = said.model_copy(update={"kind": verifier.kind})
    return ended_early(said, f"a service that the tests need did not start: {why}")


def _present(folder: Path, patterns: Sequence[str]) -> list[str]:
    """The requested report files: at most MAX_REPORTS for a pattern, sorted, bounded in total
    size."""
    plain = [name for name in patterns if "*" not in name]
    if len(plain) == len(patterns):
        return plain
    found = sorted(
        name
        for name in iter_files(folder, max_files=MAX_REPORTS)
        if any(fnmatchcase(name, pattern) for pattern in patterns if "*" in pattern)
    )
    return [*plain, *found]


@asynccontextmanager
async def _report_folder(site: VerifySite) -> AsyncIterator[Path]:
    """A temporary empty folder with the checkout's owner."""
    site.scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="report-", dir=site.scratch))
    try:
        if os.geteuid() == 0:
            owner = site.spec.workspace.stat()
            os.chown(folder, owner.st_uid, owner.st_gid)
        yield folder
    finally:
        await asyncio.to_thread(removed, [folder])
