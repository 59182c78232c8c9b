"""Requests that cannot be handled yet: who gets a reply, what waits, what is given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.domain.pending import Cause
from app.domain.trigger import AppIdentity, Trigger, from_event
from app.git.mirror import Mirrors
from app.github import webhooks
from app.github.client import GitHubApp
from app.playground.run import registration
from app.runs.pending import Failure, notify_or_keep
from app.runs.services import WRITE_COMMENTS, Services
from app.store.database import Database
from app.store.schema import pending
from tests.support.deliveries import commented, encoded, labeled
from tests.support.runs import services
from tests.unit.github.scripted import Reply, ScriptedGitHub

REPO = "/repos/acme/rounding"
COMMENTS = f"{REPO}/issues/7/comments"
FORBIDDEN = Reply(403, {"message": "Resource not accessible by integration"})
APP = {"id": 7, "slug": "honk", "permissions": WRITE_COMMENTS}
COMMENT = {
    "id": 1,
    "node_id": "IC_1",
    "html_url": "https://github.example/c/1",
    "body": "",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
}


@pytest.fixture(name="github")
async def _github() -> AsyncIterator[ScriptedGitHub]:
    github = ScriptedGitHub()
    github.reply("GET", "/app", Reply(200, APP))
    async with github.serve():
        yield github


@pytest.fixture(name="worker")
async def _worker(github: ScriptedGitHub, tmp_path: Path) -> AsyncIterator[Services]:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    key = SecretStr(registration(tmp_path).private_key_pem)
    app = GitHubApp("7", key, github.url, github.url)
    with services(database, tmp_path, app, Mirrors(tmp_path / "mirrors")) as parts:
        yield parts
    await app.close()
    database.close()


def _trigger(name: str, event: dict[str, Any]) -> Trigger:
    read = webhooks.read(name, "application/json", encoded(event))
    trigger = from_event(name, read, AppIdentity(app_id=1, slug="honk"))
    assert isinstance(trigger, Trigger)
    return trigger


def _asked(association: str = "NONE") -> Trigger:
    return _trigger("issue_comment", commented(comment__author_association=association))


def _failure(cause: Cause) -> Failure:
    return Failure(cause=cause, problem="It does not work.", next_step="Fix it.")


def _may_comment(github: ScriptedGitHub, times: int = 1) -> None:
    github.reply("GET", COMMENTS, *[Reply(200, [])] * times)
    github.reply("POST", COMMENTS, *[Reply(201, COMMENT)] * times)


def _said(github: ScriptedGitHub) -> list[str]:
    return [each.body["body"] for each in github.requests("POST", COMMENTS)]


async def _waits(worker: Services, trigger: Trigger) -> bool:
    return await worker.pending.find(trigger.id) is not None


async def test_a_requester_who_got_a_reply_asks_again(
    worker: Services, github: ScriptedGitHub
) -> None:
    _may_comment(github)
    trigger = _trigger("issues", labeled())
    done = await notify_or_keep(worker, trigger, _failure("permission"), False)
    assert done.end == "told"
    (said,) = _said(github)
    assert "It does not work. Fix it. Then ask again." in said
    assert not await _waits(worker, trigger)


async def test_a_temporary_cause_is_reported_once_and_waits(
    worker: Services, github: ScriptedGitHub
) -> None:
    _may_comment(github)
    trigger = _asked("MEMBER")
    for _ in range(3):
        done = await notify_or_keep(worker, trigger, _failure("github"), False)
        assert done.end == "waits"
    (said,) = _said(github)
    assert "start automatically" in said
    assert await _waits(worker, trigger)


@pytest.mark.parametrize("association", ["NONE", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", ""])
async def test_possible_strangers_get_no_reply(
    worker: Services, github: ScriptedGitHub, association: str
) -> None:
    trigger = _asked(association)
    done = await notify_or_keep(worker, trigger, _failure("permission"), False)
    assert done.end == "waits"
    assert _said(github) == []
    # Until it is known that they have permission.
    _may_comment(github)
    assert (await notify_or_keep(worker, trigger, _failure("permission"), True)).end == "told"
    assert len(_said(github)) == 1


async def test_a_request_waits_if_commenting_is_impossible(
    worker: Services, github: ScriptedGitHub
) -> None:
    github.reply("GET", COMMENTS, Reply(200, []))
    github.reply("POST", COMMENTS, FORBIDDEN)
    trigger = _trigger("issues", labeled())
    assert (await notify_or_keep(worker, trigger, _failure("permission"), True)).end == "waits"
    # The label stays: nothing came of it.
    assert github.requests("DELETE", f"{REPO}/issues/7/labels/honk") == []

    again = _trigger("issues", labeled(issue__updated_at="2026-03-02T10:00:00Z"))
    github.reply("GET", COMMENTS, Reply(200, []))
    github.reply("POST", COMMENTS, FORBIDDEN)
    done = await notify_or_keep(worker, again, _failure("permission"), True)
    assert done.end == "waits already"


@pytest.mark.parametrize("status", [404, 410])
async def test_where_the_subject_is_gone_nothing_waits(
    worker: Services, github: ScriptedGitHub, status: int
) -> None:
    github.reply("GET", COMMENTS, *[Reply(status, {"message": "Gone"})] * 2)
    trigger = _trigger("issues", labeled())
    assert (await notify_or_keep(worker, trigger, _failure("refused"), True)).end == "gone"
    assert not await _waits(worker, trigger)


async def test_an_app_that_github_does_not_know_loses_nothing(
    worker: Services, github: ScriptedGitHub
) -> None:
    github.replies["GET", "/app"].clear()
    github.reply("GET", "/app", *[Reply(404, {"message": "Integration not found"})] * 2)
    trigger = _trigger("issues", labeled())
    assert (await notify_or_keep(worker, trigger, _failure("credentials"), True)).end == "waits"
    assert await _waits(worker, trigger)


async def test_after_a_week_it_is_given_up(worker: Services) -> None:
    trigger = _asked()
    assert (await notify_or_keep(worker, trigger, _failure("installation"), False)).end == "waits"
    long_ago = sa.update(pending).values(since=0.0)
    worker.database.transact(lambda connection: connection.execute(long_ago))
    done = await notify_or_keep(worker, trigger, _failure("installation"), False)
    assert done.end == "given up"
    assert not await _waits(worker, trigger)
