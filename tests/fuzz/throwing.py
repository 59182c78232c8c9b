"""Throwing examples at one reader until it falls, or has stood them all."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import Dice
from tests.fuzz.targets import Target

A_THROW = 10
"""Examples that are made from one draw."""

CPU_SECONDS = 2.0
"""The most that one example may cost; none is larger than some ten thousand bytes."""


class TooSlowError(AssertionError):
    """An example cost more than anything of its size should."""


@dataclass
class Told:
    """What became of the examples. `slowest` is the CPU time of one, in seconds."""

    examples: int = 0
    refused: int = 0
    slowest: float = 0.0
    fell: str = ""


def throw(target: Target, examples: int, number: int) -> Told:
    """Throw at least that many examples; the same `number` gives the same ones."""
    told = Told()

    @seed(number)
    @settings(
        max_examples=-(-examples // A_THROW),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=12, max_size=12))
    def handful(drawn: bytes) -> None:
        dice = Dice(drawn)
        for _ in range(A_THROW):
            _one(target, target.given(dice), told)

    try:
        handful()
    except Exception as fall:  # noqa: BLE001 - whatever it is, it is what was looked for
        notes = "\n".join(getattr(fall, "__notes__", []))
        told.fell = "".join(traceback.format_exception(fall))[-6000:] + notes
    return told


def _one(target: Target, value: object, told: Told) -> None:
    told.examples += 1
    began = time.thread_time()
    try:
        target.read(value)
    except target.allowed:
        told.refused += 1
    except Exception as fall:
        fall.add_note(f"{target.name} fell for {repr(value)[:5000]}")
        raise
    spent = time.thread_time() - began
    told.slowest = max(told.slowest, spent)
    if spent > CPU_SECONDS:
        raise TooSlowError(f"{target.name}: {spent:.1f} s of CPU for {repr(value)[:5000]}")
