"""Honk in other people's surroundings: their labels, their addresses, their networks."""

from __future__ import annotations

import pytest

from tests.support.house import FINISH, FIX, PROJECT, House, script

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_labels_in_capital_letters_and_the_other_ending_of_the_policy(house: House) -> None:
    files = {**PROJECT, ".github/honk.yaml": b"branch: other-{number}\n"}
    subject = await house.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label("Honk:MAX")
    await subject.label("HONK")
    await subject.settled()

    assert subject.labels == ["honk:done"]
    assert subject.pull.pull is not None
    assert subject.pull.pull.head == "other-1"
    assert {each["model"] for each in subject.requests} == {"claude-opus-5-5"}


async def test_two_policies_start_nothing(house: House) -> None:
    files = {**PROJECT, ".github/honk.yml": b"", ".github/honk.yaml": b"draft: true\n"}
    subject = await house.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()

    said = await subject.refused()
    assert "both `.github/honk.yml` and `.github/honk.yaml`" in said
    assert "Delete one of them" in said
    assert not subject.requests
    assert not subject.pulls
