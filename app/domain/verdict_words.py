"""The titles and sentences of a verdict. Pure.

A title is `VERDICT: finding`, with the worst finding, one count, no zeroes, and at most `TITLE`
characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.domain.rows import CellRow
from app.domain.verdict import Meaning, Seen, VerdictKind

TITLE = 60
_NAMED = 3

NAMES = {
    VerdictKind.NO_RESULT: "No result",
    VerdictKind.REGRESSION: "Regression",
    VerdictKind.WEAKENED: "Weakened",
    VerdictKind.REMOVED: "Removed",
    VerdictKind.CONFIRM: "Please confirm",
    VerdictKind.NOT_PROVEN: "Not proven",
    VerdictKind.NEW_CODE: "New code",
    VerdictKind.PROVEN: "Proven",
    VerdictKind.TESTS_ONLY: "Tests only",
    VerdictKind.UNCHANGED: "Unchanged",
}
"""The beginning of a verdict's title."""

ACCEPTED = "Accepted"
"""Its beginning when a person or the policy accepts what it asks."""


@dataclass(frozen=True)
class Summary:
    """The data behind the texts of a verdict.

    `rows`: all tests with a meaning, worst first. `no_result`: why there is none, as the end of a
    title. `passing`: tests that pass at head; `still_passing`: those of them that passed before and
    mean nothing else; `all_pass`: no other test is there. `commands`: the ids that are commands
    known by their exit code. `checks`: new failures of formatters, linters and type checkers.
    `blind`: the tests pass with broken code in place of the change. `loaded`: plugins and startup
    files that the change added. `keyed`: constants that a condition shares with a new test.
    `redefined`: the changed file that defines a test command which passes only with the change, or
    the repository's CI where its results count (`by_ci`). `proof_known`: the new tests were run on
    the old code.
    """

    rows: Sequence[CellRow] = ()
    no_result: str = ""
    passing: int = 0
    still_passing: int = 0
    added: int = 0
    all_pass: bool = False
    commands: frozenset[str] = frozenset()
    base_known: bool = True
    checks: int = 0
    blind: bool = False
    loaded: int = 0
    keyed: int = 0
    redefined: str = ""
    by_ci: bool = False
    proof_known: bool = True

    @cached_property
    def groups(self) -> tuple[tuple[_Group, tuple[CellRow, ...]], ...]:
        """The groups that have rows; a row is in the first that holds it."""
        found: dict[int, list[CellRow]] = {}
        for row in self.rows:
            number = next((n for n, group in enumerate(_GROUPS) if group.holds(row)), None)
            if number is not None:
                found.setdefault(number, []).append(row)
        return tuple((_GROUPS[number], tuple(found[number])) for number in sorted(found))


@dataclass(frozen=True)
class _Group:
    """Rows that one phrase describes.

    `kinds`: the verdicts whose titles may name it; none if it is only worth a note. `one` and
    `many` end that title, or `command` if all rows are commands. `says` is the singular and the
    plural of a sentence about names.
    """

    kinds: tuple[VerdictKind, ...]
    holds: Callable[[CellRow], bool]
    one: str
    many: str
    says: tuple[str, str]
    command: str = ""


def _means(
    *meanings: Meaning,
    base: Seen | None = None,
    guard: Seen | None = None,
    head: Seen | None = None,
) -> Callable[[CellRow], bool]:
    wanted = (("base", base), ("guard", guard), ("head", head))
    given = [(name, seen) for name, seen in wanted if seen is not None]
    return lambda row: (
        row.meaning in meanings and all(getattr(row, name) is seen for name, seen in given)
    )


_K = VerdictKind
_GROUPS = (
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.REGRESSION, head=Seen.FAIL),
        "1 test that passed now fails",
        "{} tests that passed now fail",
        ("passed before this change and fails now", "passed before this change and fail now"),
        command="the test command passed and now fails",
    ),
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.REGRESSION),
        "1 test that passed cannot run now",
        "{} tests that passed cannot run now",
        ("passed before this change and cannot run now",) * 2,
    ),
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.FAILURE, head=Seen.NO_START),
        "some tests cannot start",
        "some tests cannot start",
        ("cannot start",) * 2,
    ),
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.FAILURE, base=Seen.NOT_RUN),
        "1 test fails, and the base is unknown",
        "{} tests fail, and the base is unknown",
        (
            "fails, and its result on the base commit is unknown",
            "fail, and their results on the base commit are unknown",
        ),
    ),
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.FAILURE, base=Seen.ABSENT),
        "1 new test fails",
        "{} new tests fail",
        ("is new and fails", "are new and fail"),
    ),
    _Group(
        (_K.REGRESSION,),
        _means(Meaning.FAILURE),
        "1 test fails that did not run before",
        "{} tests fail that did not run before",
        ("fails and did not run before this change", "fail and did not run before this change"),
    ),
    _Group(
        (_K.WEAKENED,),
        _means(Meaning.WEAKENED, base=Seen.FAIL),
        "1 test passes only in its changed form",
        "{} tests pass only in their changed form",
        (
            "failed before this change and still fails in its old form: "
            "only the change of the test makes it pass",
            "failed before this change and still fail in their old form: "
            "only the change of the tests makes them pass",
        ),
    ),
    _Group(
        (_K.WEAKENED,),
        _means(Meaning.WEAKENED),
        "1 test passes only with changed helpers",
        "{} tests pass only with changed helpers",
        (
            "fails on the new code with the old helpers, fixtures or configuration",
            "fail on the new code with the old helpers, fixtures or configuration",
        ),
    ),
    _Group(
        (_K.WEAKENED,),
        _means(Meaning.REMOVED_BROKEN, head=Seen.ABSENT),
        "1 removed test fails on the new code",
        "{} removed tests fail on the new code",
        (
            "passed before this change, fails on the new code, and was removed",
            "passed before this change, fail on the new code, and were removed",
        ),
    ),
    _Group(
        (_K.WEAKENED,),
        _means(Meaning.REMOVED_BROKEN),
        "1 skipped test fails on the new code",
        "{} skipped tests fail on the new code",
        (
            "passed before this change, fails on the new code, and is now skipped",
            "passed before this change, fail on the new code, and are now skipped",
        ),
    ),
    _Group(
        (_K.REMOVED,),
        _means(Meaning.REMOVED, base=Seen.PASS, guard=Seen.PASS),
        "1 test that still passes on the new code",
        "{} tests that still pass on the new code",
        (
            "was removed, although it still passes on the new code",
            "were removed, although they still pass on the new code",
        ),
    ),
    _Group(
        (_K.REMOVED,),
        _means(Meaning.REMOVED),
        "1 test is gone",
        "{} tests are gone",
        ("was removed", "were removed"),
    ),
    _Group(
        (_K.REMOVED,),
        _means(Meaning.DISABLED),
        "1 test that ran is now skipped",
        "{} tests that ran are now skipped",
        ("ran before this change and is now skipped", "ran before this change and are now skipped"),
    ),
    _Group(
        (_K.CONFIRM,),
        _means(Meaning.CONFIRM),
        "1 test now expects something else",
        "{} tests now expect something else",
        (
            "expects something else now: in its old form it does not pass on the new code",
            "expect something else now: in their old form they do not pass on the new code",
        ),
    ),
    _Group(
        (_K.WEAKENED, _K.CONFIRM),
        _means(Meaning.LOOSENED),
        "1 test now accepts more than before",
        "{} tests now accept more than before",
        (
            "passes on the old code and on the new, but in its old form it fails on the new code",
            "pass on the old code and on the new, but in their old form they fail on the new code",
        ),
    ),
    _Group(
        (_K.CONFIRM,),
        _means(Meaning.GUARD_UNFINISHED, guard=Seen.NOT_RUN),
        "1 old test was not run on new code",
        "{} old tests were not run on new code",
        (
            "was not run on the new code in its old form",
            "were not run on the new code in their old form",
        ),
    ),
    _Group(
        (_K.CONFIRM,),
        _means(Meaning.GUARD_UNFINISHED),
        "1 old test cannot run on new code",
        "{} old tests cannot run on new code",
        (
            "could not run on the new code in its old form",
            "could not run on the new code in their old form",
        ),
    ),
    _Group(
        (_K.CONFIRM,),
        _means(Meaning.STARTS_NOW),
        "1 test runs now that did not before",
        "{} tests run now that did not before",
        (
            "passes now and could not run, or was skipped, before this change",
            "pass now and could not run, or were skipped, before this change",
        ),
    ),
    _Group(
        (_K.PROVEN,),
        _means(Meaning.FIXED, Meaning.PROVEN, Meaning.STRENGTHENED, Meaning.WEAK_PROOF),
        "1 test fails without this change",
        "{} tests fail without this change",
        (
            "fails without this change and passes with it",
            "fail without this change and pass with it",
        ),
    ),
    _Group(
        (_K.NEW_CODE,),
        _means(Meaning.NEW_CODE),
        "1 test cannot run without this change",
        "{} tests cannot run without this change",
        (
            "cannot run without this change and passes with it",
            "cannot run without this change and pass with it",
        ),
        command="the test command passes only with the change",
    ),
    _Group(
        (_K.NOT_PROVEN,),
        _means(Meaning.UNPROVEN),
        "the new test passes without the change too",
        "{} new tests pass without the change",
        ("is new and passes without this change too", "are new and pass without this change too"),
    ),
    _Group(
        (),
        _means(Meaning.KNOWN_FAILURE),
        "",
        "",
        ("fails before and after this change", "fail before and after this change"),
    ),
    _Group(
        (),
        _means(Meaning.FLAKY),
        "",
        "",
        (
            "is flaky, so it does not count",
            "are flaky, so they do not count",
        ),
    ),
)


def title(kind: VerdictKind, summary: Summary, *, accepted: bool = False) -> str:
    """The title of a verdict. `accepted`: a person or the policy accepts what it asks."""
    name = ACCEPTED if accepted else NAMES[kind]
    return f"{name}: {_seen(kind, summary)}"


def _seen(kind: VerdictKind, summary: Summary) -> str:
    if kind is VerdictKind.NO_RESULT:
        return summary.no_result
    for group, rows in summary.groups:
        if kind in group.kinds and summary.base_known | (kind is not VerdictKind.NOT_PROVEN):
            if group.command and all(row.id in summary.commands for row in rows):
                return group.command
            return group.one if len(rows) == 1 else group.many.format(f"{len(rows):,}")
    return _OTHERWISE[kind](summary)


def _weakened(summary: Summary) -> str:
    if summary.blind:
        return "the tests pass with the changed code broken"
    one = "1 new file can change test results"
    return one if summary.loaded == 1 else f"{summary.loaded:,} new files can change test results"


def _confirm(summary: Summary) -> str:
    if summary.redefined and not summary.keyed:
        return f"the change also edits the test {'workflow' if summary.by_ci else 'command'}"
    one = "1 value of the code is also in a new test"
    return one if summary.keyed == 1 else f"{summary.keyed:,} values are in code and new tests"


def _not_proven(summary: Summary) -> str:
    if not summary.base_known:
        return "the base commit could not be verified"
    if not summary.passing:
        return "no test passes, before or after"
    if not summary.proof_known:
        return "the proof was not measured"
    return "no test fails without this change"


def _tests_only(summary: Summary) -> str:
    if summary.added == 1:
        return "1 test added, it passes on today's code"
    if summary.added:
        return f"{summary.added:,} tests added, all pass on today's code"
    return f"{_passing(summary)} on today's code"


def _passing(summary: Summary) -> str:
    if summary.commands:
        return "the tests pass"
    if summary.passing == 1:
        return "1 test passes"
    every = "all " if summary.all_pass and summary.passing > 2 else ""
    return f"{every}{summary.passing:,} tests pass"


def _new_check_failures(summary: Summary) -> str:
    one = "1 new check failure"
    return one if summary.checks == 1 else f"{summary.checks:,} new check failures"


_OTHERWISE: dict[VerdictKind, Callable[[Summary], str]] = {
    VerdictKind.REGRESSION: _new_check_failures,
    VerdictKind.WEAKENED: _weakened,
    VerdictKind.REMOVED: lambda _: "tests are gone",
    VerdictKind.CONFIRM: _confirm,
    VerdictKind.NOT_PROVEN: _not_proven,
    VerdictKind.NEW_CODE: lambda _: "some tests cannot run without this change",
    VerdictKind.PROVEN: lambda _: "some tests fail without this change",
    VerdictKind.TESTS_ONLY: _tests_only,
    VerdictKind.UNCHANGED: lambda summary: f"{_passing(summary)} before and after",
}


def sentences(kind: VerdictKind, summary: Summary) -> Iterator[str]:
    """The findings, worst first."""
    if summary.blind:
        yield (
            "The tests still pass when every changed function is broken on purpose, "
            "so their results cannot be trusted."
        )
    for group, rows in summary.groups:
        if group.kinds:
            yield from _about(rows, group)
    if summary.redefined:
        runs = "CI runs as tests" if summary.by_ci else "the test command runs"
        yield f"This change also edits {summary.redefined}, which defines what {runs}."
    if not summary.proof_known:
        yield "Proof not measured: the new tests were not run on the old code."
    elif kind in (VerdictKind.NOT_PROVEN, VerdictKind.UNCHANGED) and summary.base_known:
        yield "No test fails without this change."
    if summary.still_passing and not summary.commands:
        yield _still_passing(summary.still_passing, everything=not summary.rows)


def notes(summary: Summary) -> Iterator[str]:
    """Notes: failures that existed before, flaky tests."""
    for group, rows in summary.groups:
        if not group.kinds:
            yield from _about(rows, group)


def _still_passing(count: int, *, everything: bool) -> str:
    other = "" if everything else "other "
    if count == 1:
        return f"1 {other}test passes before and after."
    return f"{count:,} {other}tests pass before and after."


def _about(rows: Sequence[CellRow], group: _Group) -> Iterator[str]:
    if len(rows) == 1:
        yield f"{rows[0].id} {group.says[0]}."
    elif rows:
        named = ", ".join(row.id for row in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        yield f"{len(rows):,} tests {group.says[1]}: {named}{more}."
