"""A request that was accepted is carried out, answered, or kept until it can be."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORBIDDEN = {"message": "Resource not accessible by integration"}


async def _over(subject: Subject, endings: int = 1) -> None:
    """Wait for the final comment, whatever the labels are."""
    await subject.harness.until(
        lambda: subject.endings == endings,
        f"{subject.name} is not over: {[c.body for c in subject.ours]}",
    )
    await subject.harness.github.drained()


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoration",
    ["/reactions$", "/labels", "/(reactions|labels|requested_reviewers)", "/requested_reviewers$"],
)
async def test_what_only_decorates_decides_nothing(harness: Harness, decoration: str) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    path = f"/repos/{subject.repository}/.*{decoration}"
    fault = harness.github.faults.answer("*", path, 403, FORBIDDEN, times=None)
    try:
        await subject.label()
        await _over(subject)
    finally:
        harness.github.faults.answers.remove(fault)
    assert "**Done.**" in subject.status
    assert "is ready for your review" in subject.last_words
    assert subject.check.conclusion == "success"
    if "labels" not in decoration:
        await subject.settled()
        assert subject.labels == ["honk:done"]


@pytest.mark.slow
async def test_a_label_that_could_not_be_taken_off_at_first_goes_later(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    harness.github.faults.answer("DELETE", f"/repos/{subject.repository}/.*/labels/honk$", 403)
    await subject.label()
    await subject.settled()
    assert subject.labels == ["honk:done"]


WENT_WRONG = {"errors": [{"message": "Something went wrong while executing your query."}]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, WENT_WRONG), (403, FORBIDDEN), (502, None), (401, {"message": "Bad credentials"})],
)
async def test_whether_somebody_else_is_at_it_decides_nothing(
    harness: Harness, status: int, body: Any
) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    fault = harness.github.faults.answer("POST", "/graphql$", status, body, times=None)
    try:
        await subject.label()
        await subject.settled()
    finally:
        harness.github.faults.answers.remove(fault)
    assert subject.labels == ["honk:done"]


def _pending(subject: Subject) -> list[tuple[Any, ...]]:
    query = "SELECT cause, told, tries FROM pending WHERE subject = :subject ORDER BY since"
    return subject.harness.sql(query, subject=subject.name.lower())


def _is_due(subject: Subject) -> None:
    """Make the next try due now."""
    change = "UPDATE pending SET next_at = 0 WHERE subject = :subject"
    subject.harness.sql(change, subject=subject.name.lower())


def _another_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return pem.decode()


async def _metric(harness: Harness, cause: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{harness.url}/metrics")).text
    found = re.search(rf'honk_requests_pending{{cause="{cause}"}} (\S+)', text)
    assert found
    return float(found[1])


async def test_interop_a_wrong_key_keeps_what_was_asked_until_the_right_one_is_there() -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        world = harness.github.world
        right, world.app = world.app, replace(world.app, private_key_pem=_another_key())
        await subject.label()
        await harness.until(lambda: bool(_pending(subject)), "nothing is pending")
        assert _pending(subject)[0][:2] == ("credentials", 0)
        assert await _metric(harness, "credentials") == 1
        assert not subject.ours

        await harness.stop()
        world.app = right
        await harness.start()
        await subject.settled()
        assert subject.labels == ["honk:done"]
        assert not _pending(subject)
        assert await _metric(harness, "credentials") == 0


@pytest.mark.slow
async def test_a_refused_permission_check_is_reported_to_the_requester(harness: Harness) -> None:
    await harness.subject(permissions={"mallory": "write"})
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    path = f"/repos/{subject.repository}/collaborators/"
    fault = harness.github.faults.answer("GET", path, 403, FORBIDDEN, times=None)
    try:
        await subject.comment("/honk fix it", by="mallory")
        await subject.label()
        said = await subject.refused()
    finally:
        harness.github.faults.answers.remove(fault)
    assert "Honk lacks a permission" in said
    assert f"@{OWNER}" in said
    await harness.until(lambda: not subject.labels, "the label stays")
    # Whether another person may be answered is unknown.
    await harness.until(lambda: len(_pending(subject)) == 1, "mallory's words are gone")
    assert "@mallory" not in "".join(c.body for c in subject.ours)

    harness.github.clock.advance(2)  # Two labels of one second would be one request.
    await subject.label()
    await subject.settled()
    assert subject.labels == ["honk:done"]
    _is_due(subject)
    await harness.until(lambda: not _pending(subject), "mallory's words wait on")
    assert "@mallory" not in "".join(c.body for c in subject.ours)


@pytest.mark.slow
async def test_what_cannot_be_answered_waits_for_its_permission(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    path = f"/repos/{subject.repository}/issues/.*comments$"
    fault = harness.github.faults.answer("POST", path, 403, FORBIDDEN, times=None)
    await subject.label()
    await harness.until(lambda: bool(_pending(subject)), "nothing is pending")
    assert _pending(subject)[0][:2] == ("permission", 0)
    # A person without an answer asks again: that is one request.
    await harness.github.remove_label(subject.repository, subject.number, "honk", OWNER)
    await subject.label()
    await harness.until(lambda: "waits already" in harness.log(), "it is not known")
    _is_due(subject)
    await harness.until(lambda: _pending(subject)[0][2] == 1, "it is not tried again")
    harness.github.faults.answers.remove(fault)
    await harness.until(lambda: bool(_pending(subject)), "it does not wait on")
    _is_due(subject)
    await subject.settled()
    assert subject.labels == ["honk:done"]
    assert not _pending(subject)
    assert len(subject.pulls) == 1


async def test_what_was_closed_while_it_waited_is_not_started(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    path = f"/repos/{subject.repository}/issues/.*comments$"
    fault = harness.github.faults.answer("POST", path, 403, FORBIDDEN, times=None)
    await subject.label()
    await harness.until(lambda: bool(_pending(subject)), "nothing is pending")
    await harness.github.close_issue(subject.repository, subject.number, OWNER)
    harness.github.faults.answers.remove(fault)
    _is_due(subject)
    assert "closed" in await subject.refused()
    assert not subject.requests
    await harness.until(lambda: not _pending(subject), "it waits on")
