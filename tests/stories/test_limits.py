"""GitHub's write limit of an installation is shared, and important comments come first."""

from __future__ import annotations

import pytest

from app import log_events
from app.playground.github.world import RateLimit
from app.runs.queue import INTAKE_CONCURRENCY
from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, open_harness, script

FULL = 60.0


def _left(harness: Harness, tokens: float | None = None) -> float:
    """The level of the installation's token bucket; with a number, set it."""
    if tokens is not None:
        harness.sql("UPDATE writes SET tokens = :tokens", tokens=tokens)
    rows = harness.sql("SELECT tokens FROM writes")
    return float(rows[0][0]) if rows else FULL


def _edits(subject: Subject) -> int:
    (comment,) = [c for c in subject.ours if "<!-- honk:run=" in c.body]
    return len(comment.edits)


@pytest.mark.slow
async def test_every_write_is_counted_and_the_final_comment_is_always_posted() -> None:
    async with open_harness(HONK_WRITES_PER_MINUTE="60") as harness:
        usual = await harness.subject(plays=script([FIX], [FINISH]))
        await usual.label()
        await harness.until(lambda: _left(harness) < FULL - 2, "what was written was not counted")
        await usual.settled()

        scarce = await harness.subject(plays=script([FIX], [FINISH]))
        _left(harness, -60)
        await scarce.label()
        await scarce.settled()
        assert scarce.labels == ["honk:done"]
        assert "**Done.**" in scarce.status
        assert "is ready for your review" in scarce.last_words
        assert scarce.check.conclusion == "success"
        # The first and the final comment; nothing in between.
        assert _edits(scarce) < _edits(usual)
        assert _edits(scarce) <= 2
        put_on = [e.more["label"]["name"] for e in scarce.issue.events if e.event == "labeled"]
        assert "honk:running" in put_on


@pytest.mark.slow
async def test_an_account_at_its_limit_does_not_delay_others() -> None:
    async with open_harness() as harness:
        spent = await harness.subject(owner="spendthrift")
        world = harness.github.world
        account = f"{world.app.slug}[bot] {world.installations['spendthrift'].id}"
        in_an_hour = int(world.clock.timestamp()) + 3600
        world.rates[account] = RateLimit(world.rate_limit, in_an_hour)
        await spent.label()
        for _ in range(INTAKE_CONCURRENCY + 3):
            another = await harness.github.open_issue(spent.repository, OWNER, "More", "More.")
            await harness.github.add_label(spent.repository, another.number, "honk", OWNER)
        await harness.until(
            lambda: harness.log().count(log_events.STEP_WAITING) > INTAKE_CONCURRENCY,
            "no more wait than are heard at once",
        )
        other = await harness.subject(plays=script([FIX], [FINISH]))
        await other.label()
        await other.settled()
        assert other.labels == ["honk:done"]
        assert spent.labels == ["honk"]
