"""Which runs wait for a slot, for how long, and what people see."""

from __future__ import annotations

import re

import pytest

from tests.support.harness import (
    FINISH,
    FIX,
    Harness,
    Subject,
    open_harness,
    open_harness_with_one_worker,
    script,
)

SLOW = script({"use": [FIX], "seconds": 1.0}, [FINISH])


def _started(harness: Harness) -> list[str]:
    return re.findall(r"attempt_started.*subject=(\S+)", harness.log())


async def _heard(subject: Subject, words: str) -> None:
    await subject.harness.until(lambda: any(words in each.body for each in subject.ours), words)


@pytest.mark.slow
async def test_a_crowd_of_one_repository_keeps_no_other_from_the_next_slot() -> None:
    async with open_harness_with_one_worker(HONK_CONCURRENCY="1") as harness:
        first = await harness.subject(plays=SLOW, name="crowd")
        issue = await harness.github.open_issue("olivia/crowd", "olivia", "another", "")
        harness.model.scripts[f"olivia/crowd#{issue.number}"] = SLOW
        second = Subject(harness, "olivia/crowd", issue.number)
        late = await harness.subject(plays=SLOW, name="late")
        await first.label()
        await _heard(first, "Starting now.")
        await second.label()
        await _heard(second, "All workers are busy; this run is next.")
        await late.label()
        await _heard(late, "All workers are busy; this run is next.")
        for each in (first, late, second):
            await each.settled()

        assert _started(harness) == ["olivia/crowd#1", "olivia/late#1", "olivia/crowd#2"]


@pytest.mark.slow
async def test_a_repository_at_its_limit_waits_though_slots_are_free() -> None:
    async with open_harness(HONK_CONCURRENCY="4", HONK_REPOSITORY_CONCURRENCY="1") as harness:
        first = await harness.subject(plays=SLOW, name="narrow")
        issue = await harness.github.open_issue("olivia/narrow", "olivia", "another", "")
        harness.model.scripts[f"olivia/narrow#{issue.number}"] = SLOW
        second = Subject(harness, "olivia/narrow", issue.number)
        await first.label()
        await _heard(first, "Starting now.")
        await second.label()
        await _heard(second, "This repository is at its limit of concurrent runs")
        await second.settled()

        assert _started(harness) == ["olivia/narrow#1", "olivia/narrow#2"]
        assert first.labels == second.labels == ["honk:done"]
