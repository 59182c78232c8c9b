"""The combined meaning of one test's results in the four cells. Pure and total.

The table in docs/verification.md is generated from `meaning` by `table`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from app.domain.verdict import Meaning, Seen

Effect = Literal["proof", "new code", "none", "confirm", "removed", "weakened", "regression"]
"""What a meaning does to the verdict."""

GuardFailure = Literal["assertion", "error", "missing"]
"""How a test fails in the guard: by an assertion, another error, or because it calls something that
no longer exists.
"""


class Context(NamedTuple):
    """What else is needed about a test, besides its four results.

    `own_file`: the file that it is in changed, or data that it compares with.
    `helpers`: helpers, fixtures or runner files changed that it may depend on.
    `guard_failure`: how it fails in the guard, if it does.
    `code_deleted`: the code that a removed test exercised was deleted too.
    `weak_proof`: a failure in the proof only shows that it needs the change: the proof ran with the
    head's runner side, or only a command's exit code is known.
    `proof_void`: the proof skipped it, or it did not give the same result each time.
    `base_failed`: it did not pass on the base, whether or not it executed.
    `skipped`: at head it is skipped, and not hidden by something that could not start.
    `base_flaky`, `head_flaky`: both passed and failed there, or it is known to be flaky.
    """

    own_file: bool = True
    helpers: bool = False
    guard_failure: GuardFailure = "assertion"
    code_deleted: bool = False
    weak_proof: bool = False
    proof_void: bool = False
    base_failed: bool = False
    skipped: bool = True
    base_flaky: bool = False
    head_flaky: bool = False


class CellRow(NamedTuple):
    """One test across the four cells, with its place if it is known."""

    verifier: str
    id: str
    base: Seen = Seen.ABSENT
    proof: Seen = Seen.ABSENT
    guard: Seen = Seen.ABSENT
    head: Seen = Seen.ABSENT
    meaning: Meaning = Meaning.NONE
    file: str | None = None
    line: int | None = None


EFFECTS: dict[Meaning, Effect] = {
    Meaning.REGRESSION: "regression",
    Meaning.FAILURE: "regression",
    Meaning.WEAKENED: "weakened",
    Meaning.REMOVED_BROKEN: "weakened",
    Meaning.REMOVED: "removed",
    Meaning.DISABLED: "removed",
    Meaning.LOOSENED: "confirm",
    Meaning.CONFIRM: "confirm",
    Meaning.GUARD_UNFINISHED: "confirm",
    Meaning.STARTS_NOW: "confirm",
    Meaning.FIXED: "proof",
    Meaning.PROVEN: "proof",
    Meaning.STRENGTHENED: "proof",
    Meaning.WEAK_PROOF: "proof",
    Meaning.NEW_CODE: "new code",
    Meaning.UNPROVEN: "none",
    Meaning.FLAKY: "none",
    Meaning.KNOWN_FAILURE: "none",
    Meaning.NONE: "none",
}
"""The effect of each meaning, in the order in which rows are listed."""


def meaning(base: Seen, proof: Seen, guard: Seen, head: Seen, context: Context) -> Meaning:
    """What the four results mean. `NOT_RUN` is a cell that says nothing about the test.

    If a cell did not have to run the test's file, because it cannot differ from another cell, it is
    given with that cell's result.
    """
    if context.head_flaky or (context.base_flaky and head in (Seen.FAIL, Seen.PASS)):
        return Meaning.FLAKY
    if guard is Seen.FAIL and context.guard_failure == "missing":
        # The old test calls something that is gone or has another signature: it says nothing.
        guard = Seen.NO_START
    if head is Seen.FAIL:
        return _failing(base, context)
    if head is Seen.PASS:
        return _passing(base, proof, guard, context)
    if head is Seen.NO_START:
        return _not_started(base, guard, context)
    return _gone(base, guard, context) if head is Seen.ABSENT else Meaning.NONE


def _failing(base: Seen, context: Context) -> Meaning:
    if base is Seen.PASS:
        return Meaning.REGRESSION
    known = base is Seen.FAIL or (base is Seen.NO_START and context.base_failed)
    return Meaning.KNOWN_FAILURE if known else Meaning.FAILURE


def _passing(base: Seen, proof: Seen, guard: Seen, context: Context) -> Meaning:
    if base in (Seen.ABSENT, Seen.NOT_RUN):
        return _new(proof, guard, context)
    if base is Seen.FAIL:
        return _was_failing(proof, guard, context)
    if base is Seen.NO_START:
        return Meaning.STARTS_NOW
    return _kept_passing(proof, guard, context)


def _new(proof: Seen, guard: Seen, context: Context) -> Meaning:
    if proof is Seen.FAIL:
        return _proof(Meaning.PROVEN, context)
    if proof is Seen.PASS:
        return Meaning.UNPROVEN
    if proof is Seen.NOT_RUN or context.proof_void:
        return Meaning.NONE
    # A case that the old tests have on the new code comes from the source, not from a new test.
    return Meaning.NEW_CODE if guard in (Seen.ABSENT, Seen.NOT_RUN) else Meaning.NONE


def _was_failing(proof: Seen, guard: Seen, context: Context) -> Meaning:
    if proof is Seen.FAIL:
        return _proof(Meaning.FIXED if guard is Seen.PASS else Meaning.WEAK_PROOF, context)
    if guard is Seen.PASS:
        started = proof is Seen.PASS or proof is Seen.NOT_RUN or context.proof_void
        return Meaning.NONE if started else Meaning.NEW_CODE
    if proof is Seen.PASS:
        return Meaning.WEAKENED if guard is Seen.FAIL else Meaning.CONFIRM
    if proof is Seen.NOT_RUN or context.proof_void:
        return Meaning.CONFIRM if guard is Seen.FAIL else Meaning.NONE
    return Meaning.NEW_CODE


def _kept_passing(proof: Seen, guard: Seen, context: Context) -> Meaning:
    if guard is Seen.PASS:
        return _proof(Meaning.STRENGTHENED, context) if proof is Seen.FAIL else Meaning.NONE
    if guard is Seen.FAIL:
        return _old_test_fails(proof, context)
    depends = context.helpers or (guard is Seen.NOT_RUN and context.own_file)
    return Meaning.GUARD_UNFINISHED if depends else Meaning.NONE


def _old_test_fails(proof: Seen, context: Context) -> Meaning:
    """It passes now, and in its old form it does not pass on the new code."""
    if not context.own_file and context.helpers:
        if context.guard_failure != "assertion":
            return Meaning.GUARD_UNFINISHED
        if proof is not Seen.FAIL:
            return Meaning.WEAKENED
    return Meaning.LOOSENED if proof is Seen.PASS else Meaning.CONFIRM


def _not_started(base: Seen, guard: Seen, context: Context) -> Meaning:
    if base is Seen.PASS and not context.skipped:
        return Meaning.REGRESSION
    if base is Seen.FAIL and not context.skipped:
        return Meaning.FAILURE
    if base is Seen.PASS and guard is Seen.FAIL and not context.code_deleted:
        return Meaning.REMOVED_BROKEN
    return Meaning.DISABLED if base in (Seen.PASS, Seen.FAIL) else Meaning.NONE


def _gone(base: Seen, guard: Seen, context: Context) -> Meaning:
    if base is Seen.PASS and guard is Seen.FAIL and not context.code_deleted:
        return Meaning.REMOVED_BROKEN
    known = base in (Seen.PASS, Seen.FAIL) or context.base_failed or context.base_flaky
    return Meaning.REMOVED if known and base is not Seen.NOT_RUN else Meaning.NONE


def _proof(found: Meaning, context: Context) -> Meaning:
    return Meaning.NEW_CODE if context.weak_proof else found
