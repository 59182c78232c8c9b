"""A run whose conversation outgrows the model's window, as people see it."""

from __future__ import annotations

import pytest

from tests.support.harness import FINISH, FIX, open_harness, script

WINDOW = 14_000


@pytest.mark.slow
async def test_a_long_session_goes_on_from_its_summary_also_after_a_question() -> None:
    looks = [[{"bash": {"command": f"seq -f 'line {n} of %g' 220"}}] for n in range(24)]
    ask = {"ask": {"question": "Which way should add() go?"}}
    async with open_harness(HONK_COMPACT_AT="10000") as harness:
        harness.model.window = WINDOW
        subject = await harness.subject(
            plays=script(*looks[:12], [ask], *looks[12:], [FIX], [FINISH])
        )
        await subject.label()
        await subject.settled()
        assert "Which way should add() go?" in subject.last_words
        before = sum("compaction" in body for body in harness.model.requests)
        await subject.comment("Forward, as its name says.")
        await subject.settled(endings=2)

    assert before >= 1
    assert sum("compaction" in body for body in harness.model.requests) > before
    assert subject.labels == ["honk:done"]
    assert subject.pull.pull is not None
    # A person's message is still there, verbatim, after the next summary.
    assert "Forward, as its name says." in str(harness.model.requests[-1]["messages"][0])
