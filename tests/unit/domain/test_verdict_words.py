"""Titles: short for any number of tests, one count, no zeroes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest

from app.domain.rows import CellRow
from app.domain.verdict import Meaning, Seen, VerdictKind
from app.domain.verdict_words import TITLE, Summary, sentences, title

COUNTS = (1, 2, 3, 1_000_000)


class Many(list[CellRow]):
    """As many rows as it says."""

    def __init__(self, row: CellRow, count: int) -> None:
        super().__init__([row])
        self.size = count

    def __len__(self) -> int:
        return self.size


def titles(kind: VerdictKind, summary: Summary) -> list[str]:
    return [title(kind, summary), title(kind, summary, accepted=True)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "kind", [kind for kind in VerdictKind if kind is not VerdictKind.NO_RESULT]
)
def test_titles_fit_for_any_count(kind: VerdictKind, count: int) -> None:
    found = []
    for meaning, (base, guard, head) in product(Meaning, product(Seen, repeat=3)):
        row = CellRow(verifier="pytest", id="a", base=base, guard=guard, head=head, meaning=meaning)
        many = Many(row, count)
        summary = Summary(rows=(row,), passing=count, checks=count, loaded=count, keyed=count)
        # The text is made from the groups; a million rows would read the same.
        summary.__dict__["groups"] = tuple((group, many) for group, _ in summary.groups)
        found += titles(kind, summary)
    for blind, all_pass in product((False, True), repeat=2):
        everything = Summary(
            passing=count,
            added=count if blind else 0,
            all_pass=all_pass,
            checks=count,
            loaded=count,
            keyed=count,
            blind=blind,
            base_known=all_pass,
        )
        found += titles(kind, everything)
        found += titles(kind, replace(everything, commands=frozenset({"a"})))
    if kind is VerdictKind.NOT_PROVEN:
        found += titles(kind, Summary())
    for each in set(found):
        assert len(each) <= TITLE, each
        assert re.fullmatch(r"[A-Z][a-z]+(?: [a-z]+)?: [a-z0-9].*[a-z]", each), each
        assert not re.search(r"\b0 ", each), each
        assert not re.search(r"\b1 \w+s\b(?! )", each), each


def test_a_sentence_names_at_most_three_tests() -> None:
    rows = tuple(CellRow(verifier="pytest", id=each, meaning=Meaning.PROVEN) for each in "abcde")
    assert list(sentences(VerdictKind.PROVEN, Summary(rows=rows))) == [
        "5 tests fail without this change and pass with it: a, b, c and 2 more."
    ]
