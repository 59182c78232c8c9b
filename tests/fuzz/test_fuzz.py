"""Some hundreds of examples for each reader; `make fuzz` throws a hundred thousand."""

from __future__ import annotations

import pytest

from tests.fuzz.inputs import some_of
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.throwing import throw

EXAMPLES = 400


# OpenSSL's callback tells of names that are no ASCII, and refuses them by itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("target", TARGETS, ids=lambda each: str(each.name))
def test_nothing_that_is_thrown_at_it_makes_it_fall(target: Target) -> None:
    told = throw(target, EXAMPLES, number=7)
    assert not told.fell, told.fell
    assert told.examples >= EXAMPLES
    assert told.refused < told.examples, "nothing came through to be read"


def test_a_failure_is_reported_with_its_example() -> None:
    def falls(text: str) -> None:
        if "x" in text:
            raise IndexError("here")

    told = throw(Target("a reader", some_of(["x", "y"]), falls), 100, number=1)
    assert "IndexError: here" in told.fell
    assert "a reader fell for 'x'" in told.fell


def test_what_is_allowed_does_not_fall() -> None:
    def refuses(text: str) -> None:
        raise ValueError(text)

    told = throw(Target("a reader", some_of(["x"]), refuses, (ValueError,)), 50, number=1)
    assert (told.fell, told.refused) == ("", told.examples)


def test_the_same_number_throws_the_same() -> None:
    seen: list[object] = []
    for number in (3, 3, 4):
        thrown: list[object] = []
        throw(Target("a reader", TARGETS[0].given, thrown.append), 30, number)
        seen.append(thrown)
    assert seen[0] == seen[1] != seen[2]
