"""Honk without webhooks: it polls for everything (HONK_INTAKE=poll)."""

from __future__ import annotations

import pytest

from tests.support.harness import FINISH, FIX, open_harness, script


@pytest.mark.slow
async def test_a_label_a_command_and_a_question_for_the_doctor() -> None:
    async with open_harness(HONK_INTAKE="poll") as harness:
        harness.github.webhook_url = None
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        assert subject.labels == ["honk:done"]
        assert "Proven" in (subject.pull.body or "")

        await subject.comment("/honk doctor")
        said = await subject.answered("HONK_INTAKE=poll")
        assert "not subscribed" not in said
        assert "Missed requests" not in said
