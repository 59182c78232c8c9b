"""Compares two sets of test results. Pure.

Every test belongs to exactly one class, and the conclusion follows from the classes alone: it is
`success` only if nothing new fails, no test is missing because a run was interrupted, at least
one test was executed, and nothing that contains tests was unable to run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Literal, NamedTuple, get_args, overload

from app.domain.values import CommitSha, TreeSha, Value

Conclusion = Literal["success", "failure", "neutral", "action_required"]
"""GitHub's words. `neutral` passes a required check, so only `no_tests: neutral` leads to it."""

Kind = Literal["tests", "checks"]
"""Tests, or what formatters, linters and type checkers find: the two are counted apart."""


class VerdictKind(StrEnum):
    """The kinds of verdicts, worst first."""

    NO_RESULT = "no-result"
    REGRESSION = "regression"
    WEAKENED = "weakened"
    REMOVED = "removed"
    CONFIRM = "confirm"
    NOT_PROVEN = "not-proven"
    NEW_CODE = "new-code"
    PROVEN = "proven"
    TESTS_ONLY = "tests-only"
    UNCHANGED = "unchanged"


class Seen(StrEnum):
    """The state of one test in one cell."""

    ABSENT = "absent"
    FAIL = "fail"  # executed, and failed
    NO_START = "no start"  # did not load, build or execute; skipped; flaky
    PASS = "pass"  # noqa: S105 - an outcome, not a password
    NOT_RUN = "not run"  # the cell did not run the test's file


class Meaning(StrEnum):
    """The combined meaning of a test's results in the four cells."""

    NONE = "none"
    PROVEN = "proven"
    NEW_CODE = "new-code"
    UNPROVEN = "unproven"
    FIXED = "fixed"
    WEAK_PROOF = "weak-proof"
    STRENGTHENED = "strengthened"
    WEAKENED = "weakened"
    CONFIRM = "confirm"
    LOOSENED = "loosened"
    GUARD_UNFINISHED = "guard-unfinished"
    REGRESSION = "regression"
    FAILURE = "failure"
    KNOWN_FAILURE = "known-failure"
    STARTS_NOW = "starts-now"
    DISABLED = "disabled"
    REMOVED_BROKEN = "removed-broken"
    REMOVED = "removed"
    FLAKY = "flaky"


class TestOutcome(StrEnum):
    """How one test ended. An expected failure counts as skipped: it says nothing about the code."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"

    @property
    def bad(self) -> bool:
        return self in (TestOutcome.FAILED, TestOutcome.ERROR)


class TestResult(Value):
    """One test of one run.

    `also`: outcomes of the same commit when the test was run again. `whole_run`: not a test but the
    run as a whole: a command known by its exit code, a crash, a timeout. Two of these are the same
    failure only when their messages are. `could_not_run`: not a test but a file, module, package or
    crate whose tests could not be run: a syntax error, a failed import, a compiler's error. The
    number of hidden tests is unknown, so it excuses nothing. As with `whole_run`, two are the same
    failure only when their messages are. `file` is relative to the repository and `line` counts
    from one: where an annotation belongs.
    """

    __test__: ClassVar[bool] = False

    id: str
    outcome: TestOutcome
    message: str = ""
    details: str = ""
    file: str | None = None
    line: int | None = None
    seconds: float = 0.0
    also: tuple[TestOutcome, ...] = ()
    whole_run: bool = False
    could_not_run: bool = False


class VerifierResult(Value):
    """One verifier's results for one commit.

    `verifier`: its name, with `:` and its folder where that is not the repository itself. `kind`:
    for checks a `tests` entry is one command or one current finding of it. `ran`:
    at least one test was executed (`executed`); a skip, an error while collecting or compiling, and
    a fixture that fails are not. `complete`: every test is reported; False after a crash, a
    timeout, an error while collecting. `nothing_to_run`: the verifier itself reports that there is
    nothing to run, which is not a failure. `problem`: a description of what was wrong with the run
    as a whole; it counts as a separate failure. `note`: what else to know. `tests_dropped`: tests
    that the report had beyond the number that is compared.
    """

    verifier: str
    command: str
    kind: Kind = "tests"
    tests: tuple[TestResult, ...] = ()
    exit_code: int | None = None
    timed_out: bool = False
    killed: str | None = None
    ran: bool = False
    from_exit_code_only: bool = False
    complete: bool = True
    nothing_to_run: bool = False
    problem: str | None = None
    note: str | None = None
    output_tail: str = ""
    seconds: float = 0.0
    tests_dropped: int = 0


class Results(Value):
    """All results for one commit.

    `environment` names the setup that it was run in. `left_out`: verifiers that the change cannot
    affect, and `beyond`: those beyond the number that is run; both were not run.
    """

    commit: CommitSha
    tree: TreeSha | None = None
    verifiers: tuple[VerifierResult, ...] = ()
    environment: str = ""
    left_out: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()


class TestChange(Value):
    """One test in the verdict, with what an annotation needs."""

    verifier: str
    id: str
    before: TestOutcome | None = None
    after: TestOutcome | None = None
    message: str = ""
    details: str = ""
    file: str | None = None
    line: int | None = None


class TestCounts(Value):
    """Test counts by outcome."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


class CheckResults(Value):
    """What the change did to the findings of formatters, linters and type checkers.

    A check may have one entry, or one for each finding; only those that fail before or after are
    listed, and `passed` counts the rest. The fields have the same meaning as for tests.
    """

    new_failures: tuple[TestChange, ...] = ()
    failing_unknown: tuple[TestChange, ...] = ()
    still_failing: tuple[TestChange, ...] = ()
    fixed: tuple[TestChange, ...] = ()
    not_run: tuple[TestChange, ...] = ()
    passed: int = 0


MAX_ROWS = 200
"""Rows that a verdict keeps."""


class EvidenceRow(Value):
    """One test across the four cells. `before` and `after` are snippets of what it expects."""

    verifier: str
    id: str
    base: Seen = Seen.ABSENT
    proof: Seen = Seen.ABSENT
    guard: Seen = Seen.ABSENT
    head: Seen = Seen.ABSENT
    meaning: Meaning = Meaning.NONE
    file: str | None = None
    line: int | None = None
    before: str = ""
    after: str = ""


class Verdict(Value):
    """What the change did to the tests, and apart from them to the `checks`.

    The classes share no test; `unchanged` counts the rest.

    `failing_unknown`: failing, and the base does not say whether it failed there. `not_run`: known
    on the base, but the run of this commit was interrupted before reporting it. `unskipped`:
    skipped before, passing now. `kind`: what the evidence of the four cells comes to, and `rows`
    the tests behind it, worst first and at most `MAX_ROWS`. `ready`: whether the tests let the pull
    request be ready for review; secrets and the scope of the change may still make it a draft.
    `accepted_by`: the login of the person who accepted its changed or removed tests; then the
    conclusion is a success, while `kind` and `title` still say what was measured. `lines_to_add`:
    what to put into the policy so that tests can run, if that is known.
    """

    fixed: tuple[TestChange, ...] = ()
    new_failures: tuple[TestChange, ...] = ()
    failing_unknown: tuple[TestChange, ...] = ()
    still_failing: tuple[TestChange, ...] = ()
    flaky: tuple[TestChange, ...] = ()
    added: tuple[TestChange, ...] = ()
    removed: tuple[TestChange, ...] = ()
    newly_skipped: tuple[TestChange, ...] = ()
    unskipped: tuple[TestChange, ...] = ()
    not_run: tuple[TestChange, ...] = ()
    unchanged: int = 0
    counts_before: TestCounts | None = None
    counts_after: TestCounts = TestCounts()
    conclusion: Conclusion
    title: str
    reasons: tuple[str, ...] = ()
    checks: CheckResults = CheckResults()
    kind: VerdictKind = VerdictKind.NO_RESULT
    ready: bool = False
    rows: tuple[EvidenceRow, ...] = ()
    accepted_by: str = ""
    lines_to_add: tuple[str, ...] = ()


_Class = Literal[
    "fixed",
    "new_failures",
    "failing_unknown",
    "still_failing",
    "flaky",
    "added",
    "removed",
    "newly_skipped",
    "unskipped",
    "not_run",
    "unchanged",
]


class TestKey(NamedTuple):
    verifier: str
    command: str
    id: str


_SEVERITY = {
    TestOutcome.PASSED: 0,
    TestOutcome.SKIPPED: 1,
    TestOutcome.FAILED: 3,
    TestOutcome.ERROR: 4,
}
_SEVERITY_OF_FLAKY = 2


def compare(
    before: Results | None, after: Results, *, no_tests: Literal["failure", "neutral"] = "failure"
) -> Verdict:
    """The verdict over a change. `before` is None when the base could not be verified.

    What was not run on this commit since the change cannot affect it, or for its number, does not
    count on the base either.
    """
    if before is not None:
        before = without(before, {*after.left_out, *after.beyond})
    checks = _checks(of_kind(before, "checks"), of_kind(after, "checks"))
    everything, before, after = after, of_kind(before, "tests"), of_kind(after, "tests")
    old = tests_by_key(before) if before is not None else {}
    new = tests_by_key(after)
    classes = _classify(before, old, after, new)
    conclusion = _conclude(before, after, classes, no_tests)
    if checks.new_failures or checks.failing_unknown or passed_before(checks.not_run):
        conclusion = "failure"
    return Verdict(
        **{name: tuple(changes) for name, changes in classes.items() if name != "unchanged"},
        unchanged=len(classes["unchanged"]),
        counts_before=None if before is None else _count(old),
        counts_after=_count(new),
        conclusion=conclusion,
        title=", ".join([_title(before, after, classes, conclusion), *_title_of_checks(checks)]),
        reasons=(
            *_reasons(before, after, classes, conclusion),
            *reasons_of_checks(checks),
            *reasons_of_scope(everything),
        ),
        checks=checks,
    )


@overload
def of_kind(results: Results, kind: Kind) -> Results: ...
@overload
def of_kind(results: Results | None, kind: Kind) -> Results | None: ...
def of_kind(results: Results | None, kind: Kind) -> Results | None:
    if results is None:
        return None
    kept = tuple(result for result in results.verifiers if result.kind == kind)
    return results.model_copy(update={"verifiers": kept})


def without(results: Results, labels: Collection[str]) -> Results:
    kept = tuple(result for result in results.verifiers if result.verifier not in labels)
    return results.model_copy(update={"verifiers": kept})


def _checks(before: Results | None, after: Results) -> CheckResults:
    old = tests_by_key(before) if before is not None else {}
    new = tests_by_key(after)
    incomplete_before = None if before is None else _incomplete(before, after)
    incomplete_after = _incomplete(after)
    found: dict[_Class, list[TestChange]] = {name: [] for name in get_args(_Class)}
    for key in {**new, **old}:
        was, now = old.get(key), new.get(key)
        name = _class_of_check(key, was, now, incomplete_before, incomplete_after)
        found[name].append(_change(key, was, now))
    return CheckResults(
        new_failures=tuple(found["new_failures"]),
        failing_unknown=tuple(found["failing_unknown"]),
        still_failing=tuple(found["still_failing"]),
        fixed=tuple(found["fixed"]),
        not_run=tuple(found["not_run"]),
        passed=sum(test.outcome is TestOutcome.PASSED for test in new.values()),
    )


def _class_of_check(
    key: TestKey,
    was: TestResult | None,
    now: TestResult | None,
    incomplete_before: set[tuple[str, str]] | None,
    incomplete_after: set[tuple[str, str]],
) -> _Class:
    """As with tests, but a finding that no longer exists is fixed, and its message may change."""
    if now is None:
        if key[:2] in incomplete_after:
            return "not_run"
        return "fixed" if was is not None and was.outcome.bad else "unchanged"
    if now.outcome.bad:
        if was is None:
            return _class_without_base(key, now, incomplete_before)
        return "still_failing" if was.outcome.bad else "new_failures"
    return "fixed" if was is not None and was.outcome.bad else "unchanged"


def whole_run(command: str, message: str, *, details: str = "") -> TestResult:
    """The entry for a run that failed as a whole."""
    return TestResult(
        id=f"{command} (the run itself)",
        outcome=TestOutcome.ERROR,
        message=message,
        details=details,
        whole_run=True,
    )


def executed(tests: Iterable[TestResult]) -> bool:
    """Whether any test ran to its own result: it passed, or an assertion failed.

    An error does not count: it may come from a fixture, an import or a compiler.
    """
    return any(
        test.outcome in (TestOutcome.PASSED, TestOutcome.FAILED)
        and not test.could_not_run
        and not (test.whole_run and test.outcome.bad)
        for test in tests
    )


def all_skipped(tests: Iterable[TestResult]) -> bool:
    """Whether all are skipped, so that there was nothing to run."""
    return all(test.outcome is TestOutcome.SKIPPED for test in tests)


def is_flaky(test: TestResult) -> bool:
    """Both passed and failed on the same commit."""
    if not test.also:
        return False
    seen = {test.outcome, *test.also}
    return TestOutcome.PASSED in seen and any(outcome.bad for outcome in seen)


def changed(before: Results, after: Results) -> dict[tuple[str, str], tuple[TestResult, ...]]:
    """The tests to re-run, by verifier and command: fixed and newly failing ones.

    Checks are excluded: they are deterministic.
    """
    before, after = of_kind(before, "tests"), of_kind(after, "tests")
    old, new = tests_by_key(before), tests_by_key(after)
    incomplete = _incomplete(before, after), _incomplete(after)
    again: dict[tuple[str, str], list[TestResult]] = {}
    for key, test in new.items():
        if _class_of(key, old.get(key), test, *incomplete) in ("fixed", "new_failures"):
            again.setdefault((key.verifier, key.command), []).append(test)
    return {key: tuple(tests) for key, tests in again.items()}


def tests_by_key(results: Results) -> dict[TestKey, TestResult]:
    """De-duplicate tests. Of several with one name the worst counts, so that no failure is
    hidden."""
    found: dict[TestKey, TestResult] = {}
    for result in results.verifiers:
        for test in tests_of(result):
            key = TestKey(result.verifier, result.command, test.id)
            found[key] = _worse(found[key], test) if key in found else test
    return found


def _worse(one: TestResult, other: TestResult) -> TestResult:
    """Rank a plain failure above a flaky one, which must not excuse it."""
    first, second = _severity(one), _severity(other)
    if first == second and one.whole_run and one.outcome.bad and one.message != other.message:
        return one.model_copy(update={"message": f"{one.message}; {other.message}"})
    return other if second > first else one


def _severity(test: TestResult) -> tuple[int, bool]:
    return (_SEVERITY_OF_FLAKY if is_flaky(test) else _SEVERITY[test.outcome]), test.whole_run


def tests_of(result: VerifierResult) -> Iterable[TestResult]:
    """The tests, plus an entry for the run if it failed and the verifier recorded none."""
    is_explained = result.problem is None or result.nothing_to_run
    if is_explained or any(test.whole_run for test in result.tests):
        return result.tests
    entry = whole_run(result.command, result.problem or "", details=result.output_tail[-4_000:])
    return (*result.tests, entry)


def _incomplete(results: Results, other: Results | None = None) -> set[tuple[str, str]]:
    """Incomplete runs, including those of `other` that did not run here."""
    broken = {
        (result.verifier, result.command) for result in results.verifiers if not result.complete
    }
    not_run = {*results.left_out, *results.beyond}
    return broken | {
        (result.verifier, result.command)
        for result in (other.verifiers if other is not None else ())
        if result.verifier in not_run
    }


def _classify(
    before: Results | None,
    old: Mapping[TestKey, TestResult],
    after: Results,
    new: Mapping[TestKey, TestResult],
) -> dict[_Class, list[TestChange]]:
    classes: dict[_Class, list[TestChange]] = {name: [] for name in get_args(_Class)}
    incomplete_before = None if before is None else _incomplete(before, after)
    incomplete_after = _incomplete(after)
    unbroken = {(result.verifier, result.command) for result in after.verifiers} - incomplete_after
    for key in {**new, **old}:
        was, now = old.get(key), new.get(key)
        if was is not None and now is None and key[:2] in unbroken and _runs_now(key, was, new):
            name: _Class = "fixed"  # it could not run before and does now
        else:
            name = _class_of(key, was, now, incomplete_before, incomplete_after)
        classes[name].append(_change(key, was, now))
    return classes


def _runs_now(key: TestKey, was: TestResult, new: Mapping[TestKey, TestResult]) -> bool:
    """Whether a whole-run failure is gone, or tests now exist where nothing could run."""
    if was.whole_run:
        return True
    return was.could_not_run and any(
        each[:2] == key[:2] and is_below(each.id, key.id) and executed((test,))
        for each, test in new.items()
    )


def is_below(test_id: str, unit: str) -> bool:
    """Whether the id belongs to a test in the file, module or package."""
    return test_id.startswith(unit) and test_id[len(unit) : len(unit) + 1] in (":", " ", ".")


def _class_of(
    key: TestKey,
    was: TestResult | None,
    now: TestResult | None,
    incomplete_before: set[tuple[str, str]] | None,
    incomplete_after: set[tuple[str, str]],
) -> _Class:
    if now is None:
        return "not_run" if key[:2] in incomplete_after else "removed"
    if is_flaky(now):
        return "flaky"
    if was is None:
        return _class_without_base(key, now, incomplete_before)
    if now.outcome.bad:
        return "still_failing" if was.outcome.bad and same_failure(was, now) else "new_failures"
    if now.outcome is TestOutcome.SKIPPED:
        return "unchanged" if was.outcome is TestOutcome.SKIPPED else "newly_skipped"
    if is_flaky(was):
        return "flaky"
    if was.outcome.bad:
        return "fixed"
    return "unskipped" if was.outcome is TestOutcome.SKIPPED else "unchanged"


def _class_without_base(
    key: TestKey, now: TestResult, incomplete_before: set[tuple[str, str]] | None
) -> _Class:
    if incomplete_before is None:
        return "failing_unknown" if now.outcome.bad else "unchanged"
    if now.outcome.bad:
        # A run's own failure is always recorded, so its absence on the base means success there.
        unknown = key[:2] in incomplete_before and not now.whole_run
        return "failing_unknown" if unknown else "new_failures"
    return "added"


def same_failure(was: TestResult, now: TestResult) -> bool:
    """A test that fails differently still fails; whole-run failures must have the same message."""
    if not (now.whole_run or now.could_not_run):
        return True
    kinds = (was.whole_run, was.could_not_run) == (now.whole_run, now.could_not_run)
    return kinds and was.message == now.message


def _change(key: TestKey, was: TestResult | None, now: TestResult | None) -> TestChange:
    entry = now or was
    assert entry is not None
    return TestChange(
        verifier=key.verifier,
        id=key.id,
        before=None if was is None else was.outcome,
        after=None if now is None else now.outcome,
        message=entry.message,
        details=entry.details,
        file=entry.file,
        line=entry.line,
    )


def _count(tests: Mapping[TestKey, TestResult]) -> TestCounts:
    numbers = Counter(test.outcome for test in tests.values())
    return TestCounts(
        passed=numbers[TestOutcome.PASSED],
        failed=numbers[TestOutcome.FAILED],
        errors=numbers[TestOutcome.ERROR],
        skipped=numbers[TestOutcome.SKIPPED],
    )


def _conclude(
    before: Results | None,
    after: Results,
    classes: Mapping[_Class, list[TestChange]],
    no_tests: Literal["failure", "neutral"],
) -> Conclusion:
    if classes["new_failures"] or classes["failing_unknown"] or _lost(classes):
        return "failure"
    if any(result.tests_dropped for result in after.verifiers):
        return "failure"
    if any(what_could_not_run(result) for result in after.verifiers):
        return "failure"
    if any_ran(after):
        return "success"
    return no_tests if nothing_to_run_on_either(before, after, classes) else "failure"


def _lost(classes: Mapping[_Class, list[TestChange]]) -> list[TestChange]:
    """Tests that passed before and are missing from the interrupted run."""
    return passed_before(classes["not_run"])


def passed_before(changes: Iterable[TestChange]) -> list[TestChange]:
    return [change for change in changes if change.before is TestOutcome.PASSED]


def any_ran(results: Results) -> bool:
    return any(result.ran for result in results.verifiers)


def what_could_not_run(result: VerifierResult) -> list[TestResult]:
    """Entries that kept tests from running: a verdict on the other tests does not cover these.

    A failure that predates the change is no excuse: the change is still untested.
    """
    units = [
        test
        for test in result.tests
        if test.could_not_run and test.outcome.bad and not is_flaky(test)
    ]
    if units or result.ran or result.nothing_to_run:
        return units
    return [test for test in tests_of(result) if test.outcome.bad] or [
        whole_run(result.command, "it reported no tests")
    ]


def nothing_to_run_on_either(
    before: Results | None, after: Results, classes: Mapping[_Class, list[TestChange]]
) -> bool:
    """Whether there were no tests before and there are none now: the base is known, and no test
    vanished."""
    if before is None or any_ran(before) or classes["still_failing"]:
        return False
    if any(what_could_not_run(result) for result in before.verifiers):
        return False
    return all(result.nothing_to_run for result in after.verifiers)


def _title(
    before: Results | None,
    after: Results,
    classes: Mapping[_Class, list[TestChange]],
    conclusion: Conclusion,
) -> str:
    failing = classes["new_failures"] or classes["failing_unknown"] or classes["still_failing"]
    if not any_ran(after) and not failing:
        return "No tests ran"
    if before is None:
        bad, passed = len(classes["failing_unknown"]), _count_passed(after)
        return f"{bad:,} failing, {passed:,} passed; the base commit could not be verified"
    worse: tuple[tuple[_Class, str], ...] = (
        ("failing_unknown", "failing with no base result"),
        ("still_failing", "failing before and after"),
        ("flaky", "flaky"),
        ("not_run", "not run"),
        ("removed", "removed"),
        ("newly_skipped", "newly skipped"),
    )
    parts = [f"{len(classes[name]):,} {words}" for name, words in worse if classes[name]]
    unable = [test for result in after.verifiers for test in what_could_not_run(result)]
    new_failures = _number(len(classes["new_failures"]), "new failure")
    if not any_ran(after):
        none = "No tests could run" if unable else "No tests ran"
        return ", ".join([none, *([new_failures] if classes["new_failures"] else []), *parts])
    incomplete = any(result.tests_dropped for result in after.verifiers)
    if not (classes["new_failures"] or parts or unable or incomplete):
        return _title_of_success(after, classes)
    fixed = [f"{len(classes['fixed']):,} fixed"] if classes["fixed"] else []
    could_not_run = [f"{len(unable):,} could not run"] if unable else []
    failures = new_failures if classes["new_failures"] else "No new failures"
    return ", ".join([failures, *fixed, *parts, *could_not_run])


def _title_of_success(after: Results, classes: Mapping[_Class, list[TestChange]]) -> str:
    """Such as "All 13 tests pass (2 added)"; no number where only an exit code is known."""
    counts = _count(tests_by_key(after))
    everything = not (counts.skipped or after.left_out or after.beyond)
    if any(result.from_exit_code_only for result in after.verifiers):
        passing = "Tests pass"
    elif counts.passed == 1:
        passing = "1 test passes"
    else:
        every = "All " if everything and counts.passed > 2 else ""
        passing = f"{every}{counts.passed:,} tests pass"
    skipped = f", {counts.skipped:,} skipped" if counts.skipped else ""
    kinds: tuple[tuple[_Class, str], ...] = (
        ("fixed", "fixed"),
        ("added", "added"),
        ("unskipped", "no longer skipped"),
    )
    better = ", ".join(f"{len(classes[name]):,} {word}" for name, word in kinds if classes[name])
    return f"{passing}{skipped}{f' ({better})' if better else ''}"


def _title_of_checks(checks: CheckResults) -> Iterable[str]:
    failing = len(checks.new_failures) + len(checks.failing_unknown)
    if failing:
        yield _number(failing, "new check failure")


def _count_passed(results: Results) -> int:
    return _count(tests_by_key(results)).passed


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _reasons(
    before: Results | None,
    after: Results,
    classes: Mapping[_Class, list[TestChange]],
    conclusion: Conclusion,
) -> tuple[str, ...]:
    reasons = [*_reasons_of_classes(classes)]
    if before is None:
        reasons.append(
            "The base commit could not be verified, so earlier failures are unknown: "
            "every failing test counts against this change."
        )
    elif not all(result.complete for result in before.verifiers):
        reasons.append("The base commit's tests did not finish, so the comparison is incomplete.")
    if not any_ran(after):
        passes = " The repository's policy allows that." if conclusion == "neutral" else ""
        reasons.append(f"No tests ran on this commit.{passes}")
    known = {} if before is None else tests_by_key(before)
    for result in after.verifiers:
        reasons += [*reasons_of_run(result), *_reasons_of_what_could_not_run(result, known)]
    return tuple(reasons)


def _reasons_of_classes(classes: Mapping[_Class, list[TestChange]]) -> Iterable[str]:
    sentences: tuple[tuple[int, str, str], ...] = (
        (
            len(classes["new_failures"]),
            "test fails that did not fail before",
            "tests fail that did not fail before",
        ),
        (
            len(classes["failing_unknown"]),
            "test fails, and its result on the base commit is unknown",
            "tests fail, and their results on the base commit are unknown",
        ),
        (
            len(_lost(classes)),
            "test that passed before did not run",
            "tests that passed before did not run",
        ),
        (
            len(classes["removed"]),
            "test from the base commit was removed",
            "tests from the base commit were removed",
        ),
        (
            len(classes["newly_skipped"]),
            "test that ran on the base commit is now skipped",
            "tests that ran on the base commit are now skipped",
        ),
        (
            len(classes["flaky"]),
            "test is flaky: it passed and failed on the same commit",
            "tests are flaky: they passed and failed on the same commit",
        ),
    )
    for count, one, many in sentences:
        if count:
            yield f"{count:,} {one if count == 1 else many}."


def reasons_of_checks(checks: CheckResults) -> Iterable[str]:
    sentences = (
        (checks.new_failures, "check failure", "not on the base commit"),
        (checks.failing_unknown, "check failure", "with no result on the base commit"),
        (passed_before(checks.not_run), "check", "passed on the base commit but did not run here"),
    )
    for changes, thing, what in sentences:
        if changes:
            yield f"{_number(len(changes), thing)} {what}."


_NAMED = 10


def reasons_of_scope(after: Results) -> Iterable[str]:
    if after.left_out:
        names = _named(after.left_out)
        yield f"Not run on either commit because the change cannot affect them: {names}."
    if after.beyond:
        yield f"Not run on either commit because there are too many: {_named(after.beyond)}."


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


_TOLD = 3


def _reasons_of_what_could_not_run(
    result: VerifierResult, before: Mapping[TestKey, TestResult]
) -> Iterable[str]:
    """Why no tests ran: one sentence for each of the first few reasons."""
    unable = what_could_not_run(result)
    for test in unable[:_TOLD]:
        was = before.get(TestKey(result.verifier, result.command, test.id))
        same = was is not None and was.outcome.bad and same_failure(was, test)
        when = ", on the base commit too" if same else ""
        if test.whole_run:
            which = "not all" if result.ran else "no"
            yield f"{result.verifier}: {which} tests could run{when}: {sentence(test.message)}"
        elif test.could_not_run:
            yield f"The tests of {test.id} could not run{when}: {sentence(test.message)}"
        else:
            yield f"{test.id} failed with an error{when}: {sentence(test.message)}"
    if len(unable) > _TOLD:
        yield f"{len(unable) - _TOLD:,} more could not run."


def sentence(message: str) -> str:
    first = message.strip().partition("\n")[0].rstrip(".") or "no reason given"
    return f"{first}."


def reasons_of_run(result: VerifierResult, shown: Collection[str | None] = ()) -> Iterable[str]:
    unable = {test.message for test in what_could_not_run(result)} | set(shown)
    if result.problem is not None and result.problem not in unable:
        yield f"{result.verifier}: {result.problem}."
    if result.from_exit_code_only:
        yield f"`{result.command}` was judged by its exit code alone."
    if result.tests_dropped:
        yield (
            f"{result.verifier}: too many tests to compare individually; "
            f"{result.tests_dropped:,} left out."
        )
