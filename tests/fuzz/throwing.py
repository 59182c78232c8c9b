"""Feed random examples to one parser until it fails, or has passed them all."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import Dice
from tests.fuzz.targets import Target

EXAMPLES_PER_DRAW = 10
"""Examples generated from each draw of Hypothesis."""

CPU_SECONDS = 2.0
"""The most CPU time one example may take; examples are about ten thousand bytes at most."""


class TooSlowError(AssertionError):
    """An example took more CPU time than anything of its size should."""


@dataclass
class Tally:
    """How the examples went. `slowest` is the CPU time of one, in seconds."""

    examples: int = 0
    refused: int = 0
    slowest: float = 0.0
    failure: str = ""
    """The traceback and the example, if one failed."""


def throw(target: Target, examples: int, number: int) -> Tally:
    """Try at least that many examples; the same `number` gives the same ones."""
    tally = Tally()

    @seed(number)
    @settings(
        max_examples=-(-examples // EXAMPLES_PER_DRAW),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=12, max_size=12))
    def handful(drawn: bytes) -> None:
        dice = Dice(drawn)
        for _ in range(EXAMPLES_PER_DRAW):
            _one(target, target.given(dice), tally)

    try:
        handful()
    except Exception as error:  # noqa: BLE001 - any exception is a finding
        notes = "\n".join(getattr(error, "__notes__", []))
        tally.failure = "".join(traceback.format_exception(error))[-6000:] + notes
    return tally


def _one(target: Target, value: object, tally: Tally) -> None:
    tally.examples += 1
    began = time.thread_time()
    try:
        target.read(value)
    except target.allowed:
        tally.refused += 1
    except Exception as error:
        error.add_note(f"{target.name} failed on {repr(value)[:5000]}")
        raise
    spent = time.thread_time() - began
    tally.slowest = max(tally.slowest, spent)
    if spent > CPU_SECONDS:
        raise TooSlowError(f"{target.name}: {spent:.1f} s of CPU for {repr(value)[:5000]}")
