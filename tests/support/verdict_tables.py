"""Writes the tables of docs/verification.md from the code that decides: `make tables`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from app.domain.evidence import Rules, conclusion_of, is_ready
from app.domain.rows import EFFECTS, CellRow, Context, Effect, meaning
from app.domain.verdict import Meaning, Seen, VerdictKind
from app.domain.verdict_words import NAMES, Summary, title

DOCUMENT = Path(__file__).parents[2] / "docs/verification.md"

VALUES = {
    "-": (Seen.ABSENT,),
    "F": (Seen.FAIL,),
    "N": (Seen.NO_START, Seen.ABSENT),
    "S": (Seen.NO_START,),
    "P": (Seen.PASS,),
    "O": (Seen.FAIL, Seen.NO_START, Seen.PASS),
    "*": (Seen.ABSENT, Seen.FAIL, Seen.NO_START, Seen.PASS),
}
SHOWN = {
    "-": "–",
    "F": "fail",
    "N": "no start",
    "S": "no start",
    "P": "pass",
    "O": "any result",
    "*": "any",
}
"""What the letters of a line match and how they are shown. In a cell with the test's file, a test
that is missing counts as not started.
"""

PLAIN = Context()
ALONE = Context(own_file=False)
HELPERS = Context(own_file=False, helpers=True)
LINES: tuple[tuple[str, str, Context], ...] = (
    ("- F * P", "", PLAIN),
    ("- N - P", "", PLAIN),
    ("- N O P", "", PLAIN),
    ("- P * P", "", PLAIN),
    ("F F P P", "", PLAIN),
    ("F F * P", "", PLAIN),
    ("F P F P", "", PLAIN),
    ("F P P P", "", PLAIN),
    ("F P N P", "", PLAIN),
    ("F N * P", "", PLAIN),
    ("P F P P", "", PLAIN),
    ("P * P P", "", PLAIN),
    ("P P F P", "its own file did not change, helpers did", HELPERS),
    ("P P F P", "", PLAIN),
    ("P F F P", "", PLAIN),
    ("P N F P", "its own file did not change, helpers did", HELPERS),
    ("P N F P", "", PLAIN),
    ("P * N P", "its helpers changed", Context(helpers=True)),
    ("P * N P", "", PLAIN),
    ("S * * P", "", PLAIN),
    ("P * * F", "", PLAIN),
    ("F * * F", "", PLAIN),
    ("* * * F", "", PLAIN),
    ("P * * S", "hidden by something that cannot start", Context(skipped=False)),
    ("F * * S", "hidden by something that cannot start", Context(skipped=False)),
    ("P * F S", "", PLAIN),
    ("P * * S", "", PLAIN),
    ("F * * S", "", PLAIN),
    ("* * * S", "", PLAIN),
    ("P * F -", "the code that it exercised was deleted, too", Context(code_deleted=True)),
    ("P * F -", "", PLAIN),
    ("P * * -", "", PLAIN),
    ("F * * -", "", PLAIN),
    ("* * * -", "", PLAIN),
)
"""The four cells, under which condition, and a context in which it holds. Of the lines without a
condition, the first that matches applies.
"""

MEANS: dict[Meaning, str] = {
    Meaning.PROVEN: "new test, proven",
    Meaning.NEW_CODE: "needs code that only exists with the change",
    Meaning.UNPROVEN: "new test, passes without the change",
    Meaning.FIXED: "fixed by the source alone",
    Meaning.WEAK_PROOF: "fixed by source and test together",
    Meaning.STRENGTHENED: "test made stricter",
    Meaning.WEAKENED: "turned green by tests or helpers alone",
    Meaning.CONFIRM: "changed; its old form does not pass on the new code",
    Meaning.LOOSENED: "accepts the old and the new",
    Meaning.GUARD_UNFINISHED: "the old test cannot run on the new code",
    Meaning.REGRESSION: "regression",
    Meaning.FAILURE: "fails, and did not before",
    Meaning.KNOWN_FAILURE: "known failure",
    Meaning.STARTS_NOW: "runs now and did not before",
    Meaning.DISABLED: "ran before, is skipped now",
    Meaning.REMOVED_BROKEN: "removed or skipped, and the change breaks it",
    Meaning.REMOVED: "removed",
    Meaning.FLAKY: "flaky",
    Meaning.NONE: "nothing",
}
LEADS_TO: dict[Effect, str] = {
    "proof": "Proven",
    "new code": "New code",
    "none": "–",
    "confirm": "Please confirm",
    "removed": "Removed",
    "weakened": "Weakened",
    "regression": "Regression",
}


def cells_of(line: str) -> Iterator[tuple[Seen, Seen, Seen, Seen]]:
    """The combinations that a line matches."""
    base, proof, guard, head = (VALUES[letter] for letter in line.split())
    yield from product(base, proof, guard, head)


def row_table() -> str:
    """What each row across the cells means."""
    lines = [
        "| base | proof | guard | head | if | the test | leads to |",
        "|---|---|---|---|---|---|---|",
    ]
    for line, condition, context in LINES:
        found = meaning(*next(cells_of(line)), context)
        effect = LEADS_TO[EFFECTS[found]]
        if found is Meaning.LOOSENED:
            effect += "; Weakened if nothing else proves the change"
        seen = [SHOWN[letter] for letter in line.split()]
        lines.append(f"| {' | '.join([*seen, condition, MEANS[found], effect])} |")
    return "\n".join(lines)


WHEN = {
    VerdictKind.NO_RESULT: "the tests could not start, or none was executed",
    VerdictKind.REGRESSION: "a test fails that did not fail before, or a check does",
    VerdictKind.WEAKENED: "tests pass only because tests, helpers or the runner changed",
    VerdictKind.REMOVED: "tests are gone or skipped",
    VerdictKind.CONFIRM: "tests expect something else than before",
    VerdictKind.NOT_PROVEN: "source and tests changed, and no test fails without the change",
    VerdictKind.NEW_CODE: "tests need code that only exists with the change",
    VerdictKind.PROVEN: "tests fail without the change and pass with it",
    VerdictKind.TESTS_ONLY: "only tests changed",
    VerdictKind.UNCHANGED: "no test changed, and none fails without the change",
}


def _example(kind: VerdictKind) -> str:
    meanings = {
        VerdictKind.REGRESSION: CellRow("", "", head=Seen.FAIL, meaning=Meaning.REGRESSION),
        VerdictKind.WEAKENED: CellRow("", "", base=Seen.FAIL, meaning=Meaning.WEAKENED),
        VerdictKind.REMOVED: CellRow("", "", meaning=Meaning.DISABLED),
        VerdictKind.CONFIRM: CellRow("", "", meaning=Meaning.CONFIRM),
        VerdictKind.NEW_CODE: CellRow("", "", meaning=Meaning.NEW_CODE),
        VerdictKind.PROVEN: CellRow("", "", meaning=Meaning.PROVEN),
    }
    rows = (meanings[kind],) * 2 if kind in meanings else ()
    return title(
        kind,
        Summary(
            rows=rows,
            passing=412,
            all_pass=True,
            added=3,
            no_result="the tests could not start",
        ),
    )


def verdict_table() -> str:
    """What each verdict does to the check run and the pull request."""
    lines = [
        "| verdict | when | check run | pull request | example |",
        "|---|---|---|---|---|",
    ]
    for kind in VerdictKind:
        conclusion = conclusion_of(kind, accepted=False)
        ready = is_ready(kind, Rules(), accepted=False)
        state = "ready" if ready else "draft"
        if is_ready(kind, Rules(), accepted=True) and not ready:
            state = "draft until a person accepts it"
        lines.append(
            f"| {NAMES[kind]} | {WHEN[kind]} | `{conclusion}` | {state} | {_example(kind)} |"
        )
    return "\n".join(lines)


TABLES = {"rows": row_table, "verdicts": verdict_table}


def written(text: str) -> str:
    """The document with its tables as the code has them."""
    for name, table in TABLES.items():
        between = re.compile(
            rf"(<!-- {name}: .*? -->\n)(?:.*?\n)?(<!-- end of {name} -->)", re.DOTALL
        )
        text, found = between.subn(f"\\1{table()}\n\\2", text)
        if found != 1:
            raise ValueError(f"{DOCUMENT.name} has {found} places for the table `{name}`, not 1")
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
