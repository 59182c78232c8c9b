"""Screenshots in an issue and its comments reach the model, and those of other sites do not."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, script
from tests.unit.github.test_images import png

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _sent(subject: Subject) -> list[bytes]:
    """The images in the first request to the model."""
    first = next(r for r in subject.harness.model.requests if subject.repository in str(r))
    blocks: list[dict[str, Any]] = [
        block
        for message in first["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    found = [block["source"] for block in blocks if block["type"] == "image"]
    assert all(source["media_type"] == "image/png" for source in found)
    return [base64.b64decode(source["data"]) for source in found]


async def test_images_from_people_with_write_access_reach_the_model(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]), permissions={"walter": "write"})
    github, name, number = harness.github, subject.repository, subject.number
    first, second, third, fourth = (
        github.attach_image(name, png(width), f"{width}.png") for width in (1, 2, 3, 4)
    )
    await github.edit(name, number, OWNER, body=f"See\n\n{first}")
    await subject.comment(f"Here, too\n\n{second}", by="walter")
    await subject.comment(f"Look at this\n\n{third}", by="trudy")
    await subject.comment(f"/honk mend it\n\n{fourth}")
    await subject.settled()

    assert _sent(subject) == [png(1), png(2), png(4)]
    assert subject.status.count("an image: ") == 3


@pytest.mark.slow
async def test_an_image_of_another_site_is_left_out_and_named(harness: Harness) -> None:
    subject = await harness.subject(
        body="![bug](https://pictures.example/bug.png)", plays=script([FIX], [FINISH])
    )
    await subject.label()
    await subject.settled()

    assert _sent(subject) == []
    assert "**left out:** an image in the issue's text" in subject.status
    assert "images of other sites (pictures.example) are not loaded" in subject.status
