"""Gives tests the same names in all cells, so that they can be compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from app.domain.moves import moves_by_id
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult, of_kind

Name = TypeVar("Name")


def with_common_commands(cells: Mapping[Name, Results], head: Name) -> dict[Name, Results]:
    """The cells with head's command for each verifier that has only one: another cell may call it
    differently, and its tests are the same."""
    several: set[str] = set()
    for results in cells.values():
        commands: dict[str, set[str]] = {}
        for each in results.verifiers:
            commands.setdefault(each.verifier, set()).add(each.command)
        several |= {verifier for verifier, found in commands.items() if len(found) > 1}
    common = {
        each.verifier: each.command
        for each in cells[head].verifiers
        if each.verifier not in several and not each.from_exit_code_only
    }
    return {cell: _with_commands(results, common) for cell, results in cells.items()}


def _with_commands(results: Results, commands: Mapping[str, str]) -> Results:
    verifiers = tuple(
        each.model_copy(update={"command": commands.get(each.verifier, each.command)})
        for each in results.verifiers
    )
    return results.model_copy(update={"verifiers": verifiers})


Moves = dict[tuple[str, str], tuple[str, ...]]
"""The new ids by verifier and old id."""


def moves(before: Results, after: Results, known: Iterable[tuple[str, str, str]]) -> Moves:
    """The new ids of moved tests. `known`: verifier, old and new id of known moves.

    A test whose old id still exists has not moved.
    """
    old_ids, new_ids = _ids(before), _ids(after)
    found: Moves = {}
    for verifier, old, new in known:
        present = new_ids.get(verifier, set())
        if new in present and old not in present:
            found[verifier, old] = (*found.get((verifier, old), ()), new)
    taken = {(verifier, new) for (verifier, _), ids in found.items() for new in ids}
    for verifier, ids in old_ids.items():
        new_left = {each for each in new_ids.get(verifier, ()) if (verifier, each) not in taken}
        old_left = {each for each in ids if (verifier, each) not in found}
        for old, others in moves_by_id(old_left, new_left).items():
            found[verifier, old] = others
    return found


def _ids(results: Results) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for result in of_kind(results, "tests").verifiers:
        ids = found.setdefault(result.verifier, set())
        ids.update(test.id for test in result.tests if not (test.whole_run or test.could_not_run))
    return found


def renamed(results: Results, moves: Moves, *, best: bool) -> Results:
    """The results under the new ids. If several old tests became one, the `best` or the worst of
    them counts: no earlier failure may excuse a test that passed, and no old test is dropped.
    """
    verifiers = tuple(
        result.model_copy(update={"tests": tuple(_renamed_tests(result, moves, best))})
        if result.kind == "tests"
        else result
        for result in results.verifiers
    )
    return results.model_copy(update={"verifiers": verifiers})


def _renamed_tests(result: VerifierResult, moves: Moves, best: bool) -> Iterator[TestResult]:
    merged: dict[str, TestResult] = {}
    for test in result.tests:
        ids = moves.get((result.verifier, test.id))
        if ids is None:
            yield test
            continue
        for each in ids:
            known = merged.get(each)
            if known is None or (
                _rank(test) < _rank(known) if best else _rank(test) > _rank(known)
            ):
                merged[each] = test.model_copy(update={"id": each})
    yield from merged.values()


def _rank(test: TestResult) -> tuple[int, str, str]:
    """From the best outcome to the worst; the texts make the order of tests irrelevant."""
    return _OUTCOMES.index(test.outcome), test.message, test.details


_OUTCOMES = (TestOutcome.PASSED, TestOutcome.SKIPPED, TestOutcome.FAILED, TestOutcome.ERROR)
