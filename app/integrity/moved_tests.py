"""Matches tests that a change moved or renamed, by what they exercise and assert. Pure.

A wrong match hides nothing: the two are then compared like an edited test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app import integrity
from app.domain.diff import Diff
from app.domain.evidence import Move
from app.domain.verdict import Results

SEPARATORS = ("::", " > ", ".", "/", " ")
"""What verifiers put between a test's classes, or descriptions, and its name."""


@dataclass(frozen=True)
class _Moved:
    """One test's file and name before and after. `same`: its code did not change."""

    old_file: str
    old_name: str
    new_file: str
    new_name: str
    same: bool


def moved_tests(diff: Diff, base: Results, head: Results) -> tuple[Move, ...]:
    """The tests of the base that have another id at head.

    Never raises for file contents. Takes about two seconds a megabyte: call it in a thread.
    """
    pairs = [
        _Moved(old_file, old.name, new_file, new.name, same=old.body == new.body)
        for old_file, old, new_file, new in integrity.matched_tests(diff)
        if (old_file, old.name) != (new_file, new.name)
    ]
    if not pairs:
        return ()
    after = {each.verifier: {test.id for test in each.tests} for each in head.verifiers}
    found = [
        Move(verifier=each.verifier, old=test.id, new=new, same=pair.same)
        for each in base.verifiers
        for test in each.tests
        if test.id not in after.get(each.verifier, ())
        for pair in pairs
        for new in _renamed(test.id, pair)
        if new in after.get(each.verifier, ())
    ]
    return tuple(dict.fromkeys(found))


def _renamed(test_id: str, pair: _Moved) -> Iterator[str]:
    """What the id may be at head: with another file, another name, or both."""
    moved = test_id.replace(pair.old_file, pair.new_file, 1)
    for old, new in _spellings(pair.old_name, pair.new_name):
        name, bracket, case = moved.partition("[")
        if name.endswith(old):
            yield f"{name[: len(name) - len(old)]}{new}{bracket}{case}"
        if moved.endswith(old):
            yield f"{moved[: len(moved) - len(old)]}{new}"


def _spellings(old: str, new: str) -> Iterable[tuple[str, str]]:
    return (
        (separator.join(old.split(".")), separator.join(new.split("."))) for separator in SEPARATORS
    )
