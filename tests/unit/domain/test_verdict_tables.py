"""The tables in docs/verification.md say what the code does, and leave out nothing."""

from __future__ import annotations

from itertools import product

from app.domain.rows import Context, meaning
from app.domain.verdict import Meaning, Seen, VerdictKind
from tests.support.verdict_tables import (
    DOCUMENT,
    LEADS_TO,
    LINES,
    MEANS,
    WHEN,
    cells_of,
    written,
)

EXECUTABLE = [each for each in Seen if each is not Seen.NOT_RUN]


def test_the_document_has_the_tables_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "run `make tables`"


def test_the_lines_cover_every_combination() -> None:
    """Of the lines without a condition, the first that fits has the meaning."""
    plain = [(set(cells_of(line)), line) for line, condition, _ in LINES if not condition]
    for base, proof, guard, head in product(EXECUTABLE, repeat=4):
        cells = (base, proof, guard, head)
        line = next(line for found, line in plain if cells in found)
        assert meaning(*cells, Context()) is meaning(*next(cells_of(line)), Context()), cells


def test_a_line_with_a_condition_has_one_meaning() -> None:
    for line, condition, context in LINES:
        if condition:
            assert len({meaning(*cells, context) for cells in cells_of(line)}) == 1, line


def test_every_meaning_and_verdict_has_words() -> None:
    assert set(MEANS) == set(Meaning)
    assert set(WHEN) == set(VerdictKind)
    assert all(LEADS_TO.values())
