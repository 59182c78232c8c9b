"""The evidence about a change: its tests in four cells, and other measurements. Pure.

A cell is the source of one commit with the tests of one commit:

| cell | source | tests | question | |---|---|---|---| | base | base | base | What passed before? |
| proof | base | head | What fails without the change? | | guard | head | base | What do the old
tests say about the new code? | | head | head | head | What passes now? |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple

from app.domain import verdict_words
from app.domain.aligning import Moves, moves, renamed, with_common_commands
from app.domain.cells import CellResults, View, breaks_of
from app.domain.changed_files import ChangedFiles
from app.domain.ci import CiRun
from app.domain.failure_kinds import failure_kind
from app.domain.moves import file_in
from app.domain.rows import EFFECTS, CellRow, Context, GuardFailure, meaning
from app.domain.values import Value
from app.domain.verdict import (
    MAX_ROWS,
    CheckResults,
    Conclusion,
    EvidenceRow,
    Meaning,
    Results,
    Seen,
    TestChange,
    TestKey,
    TestOutcome,
    TestResult,
    Verdict,
    VerdictKind,
    VerifierResult,
    compare,
    of_kind,
    reasons_of_checks,
    reasons_of_run,
    reasons_of_scope,
    same_failure,
    sentence,
    without,
)
from app.domain.verdict_words import Summary


class Cell(StrEnum):
    """The four combinations of source and tests."""

    BASE = "base"
    PROOF = "proof"
    GUARD = "guard"
    HEAD = "head"


NO_BASE = "the base commit could not be verified"
"""Why a cell has no results if nothing else is known."""


class CellRun(Value):
    """The results of one cell.

    `results`: None if the cell was not measured; `why_not` is then a sentence. `same_as`: the cell
    was not run because it cannot differ from that cell, whose results it has. `only`: the test
    files that ran; empty for all of them. `runs`: how many times it ran; `TestResult.also` has the
    outcomes of the other runs. `head_runner`: the proof could not start with the base's
    configuration, plugins and test dependencies, so it ran with the head's. Its evidence counts as
    new code. `ci`: the run of the repository's own CI that the results come from; None if Honk ran
    it.
    """

    results: Results | None = None
    same_as: Cell | None = None
    only: tuple[str, ...] = ()
    runs: int = 1
    head_runner: bool = False
    why_not: str = ""
    ci: CiRun | None = None


class ChangedSides(Value):
    """The changed paths by side, as printable text.

    `tests`: files in which the runner finds tests. `helpers`: used only by tests: modules that only
    tests import, fixtures, snapshots, test data. `runner`: configuration, plugins, test
    dependencies. `ci`: workflows; the base's are kept. `partly`: files that could not be split;
    they went with the source.
    """

    source: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    ci: tuple[str, ...] = ()
    documentation: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()


class Finding(Value):
    """A place that a measurement points to. `reason` is a sentence."""

    file: str
    line: int | None = None
    reason: str


class Measurements(Value):
    """What four cells cannot see.

    `canary`: whether the proof failed with broken code in place of the changed functions. "passed"
    means that it passed although they raised and although they returned nothing, so the results
    cannot be trusted. `canary_why` says why it was not measured. `loaded`: plugins, hooks and
    startup files that the change added to the source side. `keyed`: constants in added conditions
    that also appear in a new test or in the request.
    """

    canary: Literal["failed", "passed", "not measured"] = "not measured"
    canary_why: str = ""
    loaded: tuple[Finding, ...] = ()
    keyed: tuple[Finding, ...] = ()


class TestName(Value):
    """A test by its verifier and id."""

    __test__ = False

    verifier: str
    id: str


class Move(Value):
    """A test that has another id at head: it was moved, renamed or parametrized differently.

    Several old ids may have the same new one, and one old id several new ones. `same`: its code
    and assertions are the same as before, so that the test does not count as changed.
    """

    verifier: str
    old: str
    new: str
    same: bool = False


class Evidence(Value):
    """Everything that a verdict is made from.

    `moved`: tests of the base that exist at head under another id, matched by what they exercise
    and assert. Tests of renamed files and with other parameters are found without it.
    `removed_with_code`: removed tests that reach code through a string, such as a route, if the
    change deleted that code, too. Those that call a deleted name are found without it.
    `known_flaky`: tests that are known to be flaky in this repository. `redefined`: a changed file
    that defines what the repository's CI runs as tests, if its results are the evidence.
    """

    base: CellRun
    proof: CellRun
    guard: CellRun
    head: CellRun
    sides: ChangedSides = ChangedSides()
    measured: Measurements = Measurements()
    moved: tuple[Move, ...] = ()
    removed_with_code: tuple[TestName, ...] = ()
    known_flaky: tuple[TestName, ...] = ()
    redefined: str = ""

    @property
    def by_ci(self) -> bool:
        """Whether results come from the repository's own CI."""
        return any(run.ci is not None for run in (self.base, self.proof, self.guard, self.head))


class Rules(Value):
    """The rules from the policy and people.

    `no_tests`: the conclusion for a repository without tests. `expectations`: whether changed
    expectations and removed tests need a person. `proof`: whether a fixed bug needs a test that
    fails without it. `bug`: whether the request is a bug, by labels, policy or a person.
    `accepted_by`: the login of the person who accepted this commit.
    """

    no_tests: Literal["failure", "neutral"] = "failure"
    expectations: Literal["confirm", "allow"] = "confirm"
    proof: Literal["optional", "required"] = "optional"
    bug: bool = False
    accepted_by: str = ""


_NEEDS_A_PERSON = (VerdictKind.REMOVED, VerdictKind.CONFIRM)
_FAILURES = (VerdictKind.NO_RESULT, VerdictKind.REGRESSION, VerdictKind.WEAKENED)
_LISTED = tuple(EFFECTS)
_FEW = 3


def judge(evidence: Evidence, rules: Rules) -> Verdict:
    """The verdict on a change. Total: any evidence has one, and the worst finding wins."""
    head = evidence.head.results
    if head is None:
        return _not_run(evidence.head.why_not)
    evidence = _aligned(evidence, head)
    head = evidence.head.results
    assert head is not None
    compared = compare(evidence.base.results, head, no_tests=rules.no_tests)
    table = _Table(evidence, head)
    summary = _summary(evidence, head, table, compared)
    kind = _kind(evidence, table, summary)
    neutral = kind is VerdictKind.NO_RESULT and compared.conclusion == "neutral"
    accepted = kind in _NEEDS_A_PERSON and bool(rules.accepted_by or rules.expectations == "allow")
    return compared.model_copy(
        update={
            "kind": kind,
            "conclusion": "neutral" if neutral else conclusion_of(kind, accepted=accepted),
            "ready": neutral or is_ready(kind, rules, accepted=accepted),
            "rows": tuple(EvidenceRow(**row._asdict()) for row in summary.rows[:MAX_ROWS]),
            "title": verdict_words.title(kind, summary, accepted=accepted),
            "accepted_by": rules.accepted_by if accepted else "",
            "reasons": (
                *(_accepted_by_policy(rules) if accepted else ()),
                *_breaks_of_change(table),
                *verdict_words.sentences(kind, summary),
                *_measured(evidence.measured),
                *_why_draft(kind, rules),
                *verdict_words.notes(summary),
                *_notes(evidence, head, table, compared, neutral=neutral),
            ),
        }
    )


def _not_run(why: str) -> Verdict:
    return Verdict(
        kind=VerdictKind.NO_RESULT,
        conclusion="failure",
        title="No result: the tests were not run",
        reasons=(why,) if why else (),
    )


def conclusion_of(kind: VerdictKind, *, accepted: bool) -> Conclusion:
    if kind in _FAILURES:
        return "failure"
    return "action_required" if kind in _NEEDS_A_PERSON and not accepted else "success"


def is_ready(kind: VerdictKind, rules: Rules, *, accepted: bool) -> bool:
    if kind in _NEEDS_A_PERSON:
        return accepted
    if kind is VerdictKind.UNCHANGED:
        return not (rules.bug and rules.proof == "required")
    return kind not in (*_FAILURES, VerdictKind.NOT_PROVEN)


def _kind(evidence: Evidence, table: _Table, summary: Summary) -> VerdictKind:
    """The worst verdict that the evidence justifies."""
    if summary.no_result:
        return VerdictKind.NO_RESULT
    effects = {EFFECTS[row.meaning] for row in summary.rows}
    proven = "proof" in effects
    if "regression" in effects or summary.checks:
        return VerdictKind.REGRESSION
    # A test that accepts more than before may be why an unproven change passes.
    loosened = any(row.meaning is Meaning.LOOSENED for row in summary.rows)
    if "weakened" in effects or summary.blind or summary.loaded or (loosened and not proven):
        return VerdictKind.WEAKENED
    if "removed" in effects:
        return VerdictKind.REMOVED
    if "confirm" in effects or summary.keyed or summary.redefined:
        return VerdictKind.CONFIRM
    if proven:
        return VerdictKind.PROVEN
    if "new code" in effects:
        return VerdictKind.NEW_CODE
    return _kind_without_proof(evidence.sides, table, summary)


def _kind_without_proof(sides: ChangedSides, table: _Table, summary: Summary) -> VerdictKind:
    tests_changed = table.tests_changed()
    if not summary.base_known or not summary.passing:
        return VerdictKind.NOT_PROVEN
    if tests_changed and (sides.source or sides.partly):
        return VerdictKind.NOT_PROVEN
    return VerdictKind.TESTS_ONLY if tests_changed else VerdictKind.UNCHANGED


def _aligned(evidence: Evidence, head: Results) -> Evidence:
    """The evidence with every cell's own results, and each test under its id at head."""
    excluded = {*head.left_out, *head.beyond}
    cells = {cell: without(results, excluded) for cell, results in _results(evidence).items()}
    cells = with_common_commands(cells, Cell.HEAD)
    moved: Moves = {}
    if Cell.BASE in cells:
        known = [(move.verifier, move.old, move.new) for move in evidence.moved]
        moved = moves(cells[Cell.BASE], cells[Cell.HEAD], known)
    updates = {}
    for cell, results in cells.items():
        if moved and cell in (Cell.BASE, Cell.GUARD):
            results = renamed(results, moved, best=cell is Cell.BASE)
        run = getattr(evidence, cell.value)
        other = getattr(evidence, run.same_as.value) if run.same_as is not None else run
        only = run.only if run.results is not None else other.only
        updates[cell.value] = run.model_copy(update={"results": results, "only": only})
    return evidence.model_copy(update=updates)


def _results(evidence: Evidence) -> dict[Cell, Results]:
    """The results of each measured cell, including one that cannot differ from another."""
    found = {}
    for cell in Cell:
        run: CellRun = getattr(evidence, cell.value)
        results = run.results
        if results is None and run.same_as is not None:
            results = getattr(evidence, run.same_as.value).results
        if results is not None:
            found[cell] = results
    return found


class _Table:
    """The tests of a change across the four cells."""

    def __init__(self, evidence: Evidence, head: Results) -> None:
        sides = evidence.sides
        self.files = ChangedFiles(
            sides.source, sides.tests, sides.helpers, sides.runner, sides.partly
        )
        self.evidence = evidence
        self.head_results = of_kind(head, "tests")
        self.base, self.proof, self.guard, self.head = (
            _cell(cell, getattr(evidence, cell.value)) for cell in Cell
        )
        self._flaky = frozenset((name.verifier, name.id) for name in evidence.known_flaky)
        self._without_code = frozenset(
            (name.verifier, name.id) for name in evidence.removed_with_code
        )
        self.breaks = _breaks(self.head_results)
        base = evidence.base.results
        self._base_breaks = {} if base is None else _breaks(of_kind(base, "tests"))
        self.commands = frozenset(
            test.id
            for result in self.head_results.verifiers
            if result.from_exit_code_only
            for test in result.tests
            if test.whole_run
        )
        self.new_breaks: list[TestResult] = []
        self.own_breaks: list[TestResult] = []
        self.known_breaks: list[TestResult] = []
        self.every_row = tuple(self._rows())

    @cached_property
    def redefined(self) -> str:
        """The changed file that defines a test command which passes only with the change."""
        commands = {result.verifier: result.command for result in self.head_results.verifiers}
        found = (
            self.files.defines(commands.get(row.verifier, ""))
            for row in self.every_row
            if row.meaning is Meaning.NEW_CODE and row.id in self.commands
        )
        return next(filter(None, found), "")

    def rows(self) -> tuple[CellRow, ...]:
        """The rows that mean something, worst first."""
        found = [row for row in self.every_row if row.meaning is not Meaning.NONE]
        return tuple(
            sorted(found, key=lambda row: (_LISTED.index(row.meaning), row.verifier, row.id))
        )

    def tests_changed(self) -> bool:
        """Whether tests or their helpers changed. Tests that only moved did not."""
        sides = self.evidence.sides
        if sides.helpers or sides.partly:
            return True
        return any(not self._only_moved(path) for path in sides.tests)

    def _only_moved(self, path: str) -> bool:
        same = {name for move in self.evidence.moved if move.same for name in (move.old, move.new)}
        inside = self._ids_by_file.get(path, ())
        return bool(inside) and all(name in same for name in inside)

    @cached_property
    def _ids_by_file(self) -> dict[str, list[str]]:
        """The ids in each file at head, and of moved tests in the files that they came from."""
        found: dict[str, list[str]] = {}
        ids = {row.id: row.file or file_in(row.id) for row in self.every_row}
        ids |= {move.old: file_in(move.old) for move in self.evidence.moved}
        for test_id, file in ids.items():
            if file is not None:
                found.setdefault(file, []).append(test_id)
        return found

    def _rows(self) -> Iterator[CellRow]:
        for key in {**self.head.tests, **self.base.tests}:
            was, now = self.base.tests.get(key), self.head.tests.get(key)
            if key in self.breaks:
                yield from self._break(key, was, self.breaks[key])
            elif now is None and key in self._base_breaks:
                yield from self._gone_break(key, self._base_breaks[key])
            elif not (now is None and was is not None and was.whole_run):
                yield self._row(key)

    def _row(self, key: TestKey) -> CellRow:
        tests = [cell.tests.get(key) for cell in (self.head, self.base, self.guard, self.proof)]
        if all(test is not None and _plainly_passed(test) for test in tests):
            # Handle the usual case first: there may be 50,000 of them.
            test = tests[0]
            assert test is not None
            passed = Seen.PASS
            return CellRow(key.verifier, key.id, passed, passed, passed, passed, file=test.file)
        file = file_in(key.id) or next(
            (test.file for test in tests if test is not None and not test.outcome.bad), None
        )
        base, proof, guard, head = self._views(key, file)
        context = self._context(key, file, base, proof, guard, head)
        return CellRow(
            verifier=key.verifier,
            id=key.id,
            base=base.seen,
            proof=proof.seen,
            guard=guard.seen,
            head=head.seen,
            meaning=meaning(base.seen, proof.seen, guard.seen, head.seen, context),
            file=next((test.file for test in tests if test is not None), None) or file,
            line=next((test.line for test in tests if test is not None), None),
        )

    def _views(self, key: TestKey, file: str | None) -> tuple[View, View, View, View]:
        """The four results. If a cell left out the test's file, because it cannot differ there, it
        has the result of the cell with the same source.
        """
        base, head = self.base.view(key, file), self.head.view(key, file)
        proof, guard = self.proof.view(key, file), self.guard.view(key, file)
        if not self.files.holds(key.id, file) and not self.files.helpers_of(file):
            if proof.seen is Seen.NOT_RUN and self.proof.only and base.test is not None:
                proof = base
            if guard.seen is Seen.NOT_RUN and self.guard.only and head.test is not None:
                guard = head
        if guard.hidden and base.seen is Seen.ABSENT:
            guard = View(Seen.ABSENT)  # an entry that hides the old tests does not hide a new one
        return base, proof, guard, head

    def _context(
        self, key: TestKey, file: str | None, base: View, proof: View, guard: View, head: View
    ) -> Context:
        name = (key.verifier, key.id)
        known = name in self._flaky
        now = head.test
        return Context(
            own_file=self.files.holds(key.id, file),
            helpers=self.files.helpers_of(file),
            guard_failure=self._guard_failure(key, guard),
            code_deleted=name in self._without_code,
            weak_proof=self.evidence.proof.head_runner or key.id in self.commands,
            proof_void=self.proof.is_void(proof),
            base_failed=base.failed and not base.hidden,
            skipped=not head.hidden and not (now is not None and now.outcome.bad),
            base_flaky=base.flaky or known,
            head_flaky=head.flaky or (known and now is not None),
        )

    def _guard_failure(self, key: TestKey, guard: View) -> GuardFailure:
        """A command's exit code does not say whether its tests failed or could not start."""
        if guard.test is None or key.id in self.commands:
            return "missing"
        return failure_kind(guard.test)

    def _break(self, key: TestKey, was: TestResult | None, found: _BrokenRun) -> Iterator[CellRow]:
        """A file, package or run that could not run at head. If it could not run before either, the
        change is untested if the entry is related to it.
        """
        now = found.test
        if was is not None and was.outcome.bad and same_failure(was, now):
            own = self.files.are_about(
                "" if now.whole_run else now.id, now.file, found.result.verifier.partition(":")[2]
            )
            hides = now.could_not_run or not found.result.ran
            (self.own_breaks if own and hides else self.known_breaks).append(now)
            return
        self.new_breaks.append(now)
        yield CellRow(
            verifier=key.verifier,
            id=key.id,
            base=self.base.view(key, None).seen,
            head=Seen.NO_START,
            meaning=Meaning.FAILURE,
            file=now.file,
            line=now.line,
        )

    def _gone_break(self, key: TestKey, found: _BrokenRun) -> Iterator[CellRow]:
        """Entries that could not run on the base and no longer exist: removed, unless tests
        replaced them.
        """
        test = found.test
        if test.whole_run or self.head.holds_below(test.id):
            return
        yield CellRow(
            verifier=key.verifier,
            id=key.id,
            base=Seen.NO_START,
            meaning=Meaning.REMOVED,
            file=test.file,
        )


class _BrokenRun(NamedTuple):
    """An entry for tests that could not run, and its run."""

    test: TestResult
    result: VerifierResult


def _breaks(results: Results) -> dict[TestKey, _BrokenRun]:
    return {
        TestKey(result.verifier, result.command, test.id): _BrokenRun(test, result)
        for result in results.verifiers
        for test in breaks_of(result)
    }


def _plainly_passed(test: TestResult) -> bool:
    return test.outcome is TestOutcome.PASSED and not test.also


def _cell(cell: Cell, run: CellRun) -> CellResults:
    return CellResults.of(cell.value, of_kind(run.results, "tests"), run.only, run.runs)


def _summary(evidence: Evidence, head: Results, table: _Table, compared: Verdict) -> Summary:
    rows = table.rows()
    passing = sum(row.head is Seen.PASS for row in table.every_row)
    checks = compared.checks
    return Summary(
        rows=rows,
        no_result=_no_result(head, table, compared),
        passing=passing,
        still_passing=sum(
            row.meaning is Meaning.NONE and row.base is row.head is Seen.PASS
            for row in table.every_row
        ),
        added=sum(row.base is Seen.ABSENT and row.head is Seen.PASS for row in table.every_row),
        all_pass=not (
            table.known_breaks
            or head.left_out
            or head.beyond
            or any(row.head in (Seen.FAIL, Seen.NO_START) for row in table.every_row)
        ),
        commands=table.commands,
        base_known=evidence.base.results is not None,
        checks=len({*checks.new_failures, *checks.failing_unknown, *_lost(checks)}),
        blind=evidence.measured.canary == "passed",
        loaded=len(evidence.measured.loaded),
        keyed=len(evidence.measured.keyed),
        redefined=evidence.redefined or table.redefined,
        by_ci=evidence.by_ci,
        proof_known=evidence.proof.results is not None or not evidence.proof.why_not,
    )


def _lost(checks: CheckResults) -> Iterator[TestChange]:
    return (change for change in checks.not_run if change.before is TestOutcome.PASSED)


def _no_result(head: Results, table: _Table, compared: Verdict) -> str:
    """Why there is no result, as the end of a title; empty if there is one."""
    results = table.head_results.verifiers
    if not any(result.ran for result in results):
        fails = any(row.meaning is Meaning.REGRESSION for row in table.every_row)
        if fails and table.commands:
            return ""  # a command that passed before and ends with another exit code now
        return _why_nothing_ran(results, compared)
    if any(result.tests_dropped for result in results):
        return "there are too many tests to compare"
    if table.own_breaks or any(_ran_nothing(result, table) for result in results):
        return "some tests could not start"
    return ""


def _why_nothing_ran(results: Sequence[VerifierResult], compared: Verdict) -> str:
    if compared.conclusion == "neutral" or all(result.nothing_to_run for result in results):
        skipped = any(result.tests for result in results)
        return "every test was skipped" if skipped else "there are no tests"
    return "the tests could not start"


def _ran_nothing(result: VerifierResult, table: _Table) -> bool:
    """Whether a verifier that concerns the change ran no test without a reason."""
    if result.ran or result.nothing_to_run or any(True for _ in breaks_of(result)):
        return False
    return table.files.are_about("", None, result.verifier.partition(":")[2])


def _accepted_by_policy(rules: Rules) -> Iterator[str]:
    if not rules.accepted_by:
        yield "The repository's policy accepts changed expectations and removed tests."


def _why_draft(kind: VerdictKind, rules: Rules) -> Iterator[str]:
    if kind is VerdictKind.UNCHANGED and rules.bug and rules.proof == "required":
        yield "The policy requires a test that fails without the bug fix."


def _measured(measured: Measurements) -> Iterator[str]:
    for finding in (*measured.loaded, *measured.keyed):
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        yield f"{place}: {sentence(finding.reason)}"


def _notes(
    evidence: Evidence, head: Results, table: _Table, compared: Verdict, *, neutral: bool
) -> Iterator[str]:
    """Notes about limits of the comparison, and other findings."""
    base = evidence.base.results
    if base is None:
        yield (
            "The base commit could not be verified, so earlier failures are unknown: "
            "every failing test counts against this change."
        )
        if evidence.base.why_not not in ("", NO_BASE):
            yield sentence(evidence.base.why_not)
    elif not all(result.complete for result in of_kind(base, "tests").verifiers):
        yield "The base commit's tests did not finish, so the comparison is incomplete."
    if neutral:
        yield "The repository's policy allows a change without tests."
    yield from _could_not_run(table.known_breaks, ", before or after")
    yield from _notes_of_cells(evidence)
    if evidence.sides.partly:
        names = ", ".join(evidence.sides.partly[:_FEW])
        yield f"Partly compared, because source and tests could not be separated: {names}."
    shown = {found.test.message for found in table.breaks.values()}
    for result in table.head_results.verifiers:
        yield from reasons_of_run(result, shown)
    yield from reasons_of_checks(compared.checks)
    yield from reasons_of_scope(head)


def _breaks_of_change(table: _Table) -> Iterator[str]:
    return _could_not_run([*table.new_breaks, *table.own_breaks], "")


def _could_not_run(tests: Sequence[TestResult], when: str) -> Iterator[str]:
    for test in sorted(tests, key=lambda test: test.id)[:_FEW]:
        yield f"{test.id} could not run{when}: {sentence(test.message)}"
    if len(tests) > _FEW:
        yield f"{len(tests) - _FEW:,} more could not run{when}."


def _sources(evidence: Evidence) -> Iterator[str]:
    """Who ran which cell, if the repository's CI ran some."""
    if not evidence.by_ci:
        return
    for cell in Cell:
        run: CellRun = getattr(evidence, cell.value)
        if run.ci is None:
            continue
        how = "for the pull request, merged with its base branch" if run.ci.merged else ""
        fork = "with the fork's own workflow" if run.ci.fork else ""
        said = " ".join(part for part in ("", how, fork) if part)
        yield (
            f"The {cell.value} cell was run by the repository's CI, not by Honk: "
            f"{run.ci.workflow} run {run.ci.id}, attempt {run.ci.attempt}{said and ' '}{said}."
        )
    yield (
        "CI ran each of them once, so a test that passes or fails by chance may look like proof "
        "or like a regression."
    )


def _notes_of_cells(evidence: Evidence) -> Iterator[str]:
    proof, guard, measured = evidence.proof, evidence.guard, evidence.measured
    yield from _sources(evidence)
    if proof.results is None and proof.why_not:
        yield f"The new tests were not run on the old code: {sentence(proof.why_not)}"
    if guard.results is None and guard.why_not:
        yield f"The old tests were not run on the new code: {sentence(guard.why_not)}"
    if proof.head_runner:
        yield (
            "The new tests cannot start with the old configuration, so they ran with the new one, "
            "which counts as new code."
        )
    if measured.canary == "not measured" and measured.canary_why:
        why = sentence(measured.canary_why)
        yield f"Whether the tests notice broken code was not measured: {why}"
