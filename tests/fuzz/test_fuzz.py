"""A few hundred examples for each parser; `make fuzz` tries a hundred thousand."""

from __future__ import annotations

import pytest

from tests.fuzz.inputs import some_of
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.throwing import throw

EXAMPLES = 400


# OpenSSL's callback warns about names that are not ASCII, and refuses them itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("target", TARGETS, ids=lambda each: str(each.name))
def test_no_example_breaks_the_parser(target: Target) -> None:
    tally = throw(target, EXAMPLES, number=7)
    assert not tally.failure, tally.failure
    assert tally.examples >= EXAMPLES
    assert tally.refused < tally.examples, "every example was refused"


def test_a_failure_is_reported_with_its_example() -> None:
    def fails(text: str) -> None:
        if "x" in text:
            raise IndexError("here")

    tally = throw(Target("a reader", some_of(["x", "y"]), fails), 100, number=1)
    assert "IndexError: here" in tally.failure
    assert "a reader failed on 'x'" in tally.failure


def test_an_allowed_error_counts_as_refused() -> None:
    def refuses(text: str) -> None:
        raise ValueError(text)

    tally = throw(Target("a reader", some_of(["x"]), refuses, (ValueError,)), 50, number=1)
    assert (tally.failure, tally.refused) == ("", tally.examples)


def test_the_same_number_gives_the_same_examples() -> None:
    seen: list[object] = []
    for number in (3, 3, 4):
        thrown: list[object] = []
        throw(Target("a reader", TARGETS[0].given, thrown.append), 30, number)
        seen.append(thrown)
    assert seen[0] == seen[1] != seen[2]
