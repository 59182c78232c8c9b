"""Test ids that differ between runs of the same commit: random values, times, addresses. Pure.

Such a test looks removed and added in every comparison. If two runs of one commit disagree, the
varying part of the id is removed, and the tests that share the rest become one, with the worst of
their outcomes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.domain.verdict import Results, TestResult, VerifierResult

Unstable = frozenset[tuple[str, str]]
"""Pairs of a verifier and an id without its changing part."""

_PARAMETERS = re.compile(r"\[.*\]$", re.DOTALL)
_CHANGING = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b0x[0-9a-f]+\b|\b[0-9a-f]{16,}\b|\d+(?:[.:,_-]\d+)*",
    re.IGNORECASE,
)


def may_be_unstable(base: Results, head: Results) -> bool:
    """Whether some tests are gone and others are new that differ only in a part that may vary."""
    old, new = _ids(base), _ids(head)
    gone = {(verifier, _stable(test)) for verifier, test in old - new}
    came = {(verifier, _stable(test)) for verifier, test in new - old}
    return bool(gone & came)


def unstable_ids(one: Results, other: Results) -> Unstable:
    """The ids on which two runs of the same commit disagree."""
    differing = _ids(one) ^ _ids(other)
    return frozenset((verifier, _stable(test)) for verifier, test in differing)


def stabilized(results: Results, names: Unstable) -> Results:
    """The results, with the varying part removed from these ids."""
    if not names:
        return results
    verifiers = tuple(_stabilized(result, names) for result in results.verifiers)
    return results.model_copy(update={"verifiers": verifiers})


def _stabilized(result: VerifierResult, names: Unstable) -> VerifierResult:
    return result.model_copy(update={"tests": tuple(_renamed(result, names))})


def _renamed(result: VerifierResult, names: Unstable) -> Iterable[TestResult]:
    for test in result.tests:
        stable = _stable(test.id)
        is_one = (result.verifier, stable) in names
        yield test.model_copy(update={"id": stable}) if is_one else test


def _ids(results: Results) -> set[tuple[str, str]]:
    return {
        (result.verifier, test.id)
        for result in results.verifiers
        for test in result.tests
        if result.kind == "tests" and not test.whole_run and not test.could_not_run
    }


def _stable(test_id: str) -> str:
    without = _PARAMETERS.sub("[…]", test_id)
    return without if without != test_id else _CHANGING.sub("…", test_id)
