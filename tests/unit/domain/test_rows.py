"""What one test's results in four cells mean: the table, and what has to hold for any row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import pytest

from app.domain.rows import EFFECTS, Context, Effect, meaning
from app.domain.verdict import Meaning, Seen

ABSENT, FAIL, NO_START, PASS, NOT_RUN = Seen
ANY = tuple(Seen)

PLAIN = Context()
HELPERS = Context(own_file=False, helpers=True)
UNTOUCHED = Context(own_file=False, helpers=False)


def seen(letters: str) -> Iterator[tuple[Seen, Seen, Seen, Seen]]:
    """For example `- F - P`; `*` is any outcome."""
    values = {"-": (ABSENT,), "F": (FAIL,), "N": (NO_START,), "P": (PASS,), "*": ANY}
    base, proof, guard, head = (values[each] for each in letters.split())
    yield from product(base, proof, guard, head)


@pytest.mark.parametrize(
    ("row", "context", "expected", "effect"),
    [
        ("- F - P", PLAIN, Meaning.PROVEN, "proof"),
        ("- N - P", PLAIN, Meaning.NEW_CODE, "new code"),
        ("- P - P", PLAIN, Meaning.UNPROVEN, "none"),
        ("F F P P", PLAIN, Meaning.FIXED, "proof"),
        ("F F F P", PLAIN, Meaning.WEAK_PROOF, "proof"),
        ("F P F P", PLAIN, Meaning.WEAKENED, "weakened"),
        ("F P P P", PLAIN, Meaning.NONE, "none"),
        ("P F P P", PLAIN, Meaning.STRENGTHENED, "proof"),
        ("P F F P", PLAIN, Meaning.CONFIRM, "confirm"),
        ("P P F P", PLAIN, Meaning.LOOSENED, "confirm"),
        ("P * N P", HELPERS, Meaning.GUARD_UNFINISHED, "confirm"),
        ("P * N P", PLAIN, Meaning.NONE, "none"),
        ("P * * F", PLAIN, Meaning.REGRESSION, "regression"),
        ("- * - F", PLAIN, Meaning.FAILURE, "regression"),
        ("F * * F", PLAIN, Meaning.KNOWN_FAILURE, "none"),
        ("N * * P", PLAIN, Meaning.STARTS_NOW, "confirm"),
        ("P - F -", PLAIN, Meaning.REMOVED_BROKEN, "weakened"),
        ("P - F -", Context(code_deleted=True), Meaning.REMOVED, "removed"),
        ("P - F -", Context(guard_failure="missing"), Meaning.REMOVED, "removed"),
        ("P - P -", PLAIN, Meaning.REMOVED, "removed"),
        # Consequences of the rules.
        ("F N F P", PLAIN, Meaning.NEW_CODE, "new code"),
        ("F N P P", PLAIN, Meaning.NEW_CODE, "new code"),
        ("P N P P", PLAIN, Meaning.NONE, "none"),
        ("P P P P", PLAIN, Meaning.NONE, "none"),
        ("P P F P", HELPERS, Meaning.WEAKENED, "weakened"),
        ("P N F P", HELPERS, Meaning.WEAKENED, "weakened"),
        ("P F F P", HELPERS, Meaning.CONFIRM, "confirm"),
        ("P P F P", HELPERS._replace(guard_failure="error"), Meaning.GUARD_UNFINISHED, "confirm"),
        ("P P F P", HELPERS._replace(guard_failure="missing"), Meaning.GUARD_UNFINISHED, "confirm"),
        ("P F F P", PLAIN._replace(guard_failure="missing"), Meaning.NONE, "none"),
        ("F P N P", PLAIN, Meaning.CONFIRM, "confirm"),
        ("P * P N", PLAIN, Meaning.DISABLED, "removed"),
        ("F * * N", PLAIN, Meaning.DISABLED, "removed"),
        ("P * F N", PLAIN, Meaning.REMOVED_BROKEN, "weakened"),
        ("P * * N", Context(skipped=False), Meaning.REGRESSION, "regression"),
        ("F - F -", PLAIN, Meaning.REMOVED, "removed"),
        ("N * * F", PLAIN, Meaning.FAILURE, "regression"),
        ("N * * F", Context(base_failed=True), Meaning.KNOWN_FAILURE, "none"),
        ("N * * N", PLAIN, Meaning.NONE, "none"),
        ("N * * -", PLAIN, Meaning.NONE, "none"),
        ("- F - P", Context(weak_proof=True), Meaning.NEW_CODE, "new code"),
        ("- N - P", Context(proof_void=True), Meaning.NONE, "none"),
        ("F N F P", PLAIN._replace(proof_void=True), Meaning.CONFIRM, "confirm"),
        ("P * * N", Context(head_flaky=True), Meaning.FLAKY, "none"),
        ("N * * F", Context(base_flaky=True), Meaning.FLAKY, "none"),
        ("N - * -", Context(base_flaky=True), Meaning.REMOVED, "removed"),
    ],
)
def test_each_row_means_what_the_table_says(
    row: str, context: Context, expected: Meaning, effect: Effect
) -> None:
    for cells in seen(row):
        found = meaning(*cells, context)
        assert found is expected, cells
        assert EFFECTS[found] == effect


def contexts() -> Iterator[Context]:
    """Every kind of failure with every two of the flags, and with all and none of them."""
    flags = [name for name in Context._fields if name != "guard_failure"]
    for chosen in [*combinations(flags, 2), *((name,) for name in flags), (), tuple(flags)]:
        given = {name: name in chosen for name in flags}
        for failure in ("assertion", "error", "missing"):
            yield Context(guard_failure=failure, **given)


EVERY = tuple(contexts())
ROWS = tuple(product(ANY, ANY, ANY, ANY))
RANK = {
    "regression": 0,
    "weakened": 1,
    "removed": 2,
    "confirm": 3,
    "none": 4,
    "new code": 5,
    "proof": 6,
}
"""An effect that is worse comes before; what proves nothing is worse than what does."""


def rank(base: Seen, proof: Seen, guard: Seen, head: Seen, context: Context) -> int:
    return RANK[EFFECTS[meaning(base, proof, guard, head, context)]]


def test_every_combination_has_a_meaning_with_an_effect() -> None:
    reached = {meaning(*cells, context) for cells in ROWS for context in EVERY}
    assert reached == set(Meaning) == set(EFFECTS)


def test_only_a_failure_in_the_proof_proves() -> None:
    for cells in ROWS:
        for context in EVERY:
            if EFFECTS[meaning(*cells, context)] == "proof":
                assert cells[1] is FAIL
                assert cells[3] is PASS
                assert not context.weak_proof


def test_a_proof_that_passes_is_never_better_than_one_that_fails() -> None:
    for base, guard, head in product(Seen, repeat=3):
        for context in EVERY:
            failing = rank(base, FAIL, guard, head, context)
            assert rank(base, PASS, guard, head, context) <= failing, (base, guard, head, context)


def test_a_proof_that_did_not_execute_is_never_better_than_one_that_fails() -> None:
    for base, guard, head in product(Seen, repeat=3):
        for context in EVERY:
            failing = rank(base, FAIL, guard, head, context)
            for proof in (NO_START, NOT_RUN, ABSENT):
                if (base, guard, head) == (PASS, FAIL, PASS) and proof is not PASS:
                    continue  # an expectation that changed is one, whatever the proof says
                assert rank(base, proof, guard, head, context) <= failing


def test_a_head_that_did_not_pass_is_never_better_than_one_that_does() -> None:
    for base, proof, guard in product(Seen, repeat=3):
        for context in EVERY:
            if base is NO_START or context.base_flaky or context.head_flaky:
                continue  # a failure proves nothing, and a pass needs a person to look
            passing = rank(base, proof, guard, PASS, context)
            for head in (FAIL, NO_START, ABSENT):
                found = rank(base, proof, guard, head, context)
                known = base is FAIL and head is FAIL
                missing = base in (ABSENT, NOT_RUN) and head is not FAIL
                assert found <= passing or found == RANK["removed"] or known or missing
                assert found <= RANK["none"]


def test_a_guard_that_fails_is_never_better_than_one_that_passes() -> None:
    for base, proof, head in product((PASS, FAIL), Seen, Seen):
        for context in EVERY:
            if context.guard_failure == "missing":
                continue
            passing = rank(base, proof, PASS, head, context)
            if (base, proof) == (FAIL, PASS) or head in (FAIL, NO_START, ABSENT, NOT_RUN):
                assert rank(base, proof, FAIL, head, context) <= passing
            elif base is PASS:
                assert rank(base, proof, FAIL, head, context) <= RANK["confirm"] or (
                    context.base_flaky or context.head_flaky
                )
