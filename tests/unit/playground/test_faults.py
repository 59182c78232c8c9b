"""Failures on demand, the log, and the front page."""

from __future__ import annotations

import time

import pytest

from app.playground.github import RequestRecord

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_fails_as_often_as_ordered(world: World) -> None:
    await world.github.open_issue(REPO, "owner", "x")
    headers = {"Retry-After": "7"}
    world.github.faults.answer(
        "POST", r"/comments$", 429, {"message": "slow down"}, headers=headers, times=2
    )
    token = await world.token()
    answers = [
        await world.repo("POST", "/issues/1/comments", {"body": str(n)}, token) for n in range(3)
    ]
    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json() == {"message": "slow down"}
    assert [comment.body for comment in world.github.issue(REPO, 1).comments] == ["2"]


async def test_an_answer_is_lost_after_its_effect(world: World) -> None:
    await world.github.open_issue(REPO, "owner", "x")
    world.github.faults.answer("POST", r"/issues/1/comments", 502, after=True)
    lost = await world.repo("POST", "/issues/1/comments", {"body": "there"})
    assert lost.status_code == 502
    assert [comment.body for comment in world.github.issue(REPO, 1).comments] == ["there"]


async def test_an_answer_is_late(world: World) -> None:
    token = await world.token()
    world.github.faults.answer("*", r"/repos/", 0, delay=0.2)
    started = time.monotonic()
    assert (await world.repo("GET", "", token=token)).status_code == 200
    assert time.monotonic() - started >= 0.2


async def test_faults_reach_git(world: World) -> None:
    await world.clone(await world.token())
    await world.commit("a.py", "x\n")
    world.github.faults.answer("POST", r"/git-receive-pack$", 503)
    words = await world.git("push", "origin", "main", folder="work", fails=True)
    assert "503" in words
    world.github.faults.answer("*", "/", 500, times=None)
    world.github.faults.clear()
    await world.git("push", "-q", "origin", "main", folder="work")


async def test_the_log_records_who_asked_for_what(world: World) -> None:
    seen: list[RequestRecord] = []
    world.github.observers.append(seen.append)
    token = await world.token()
    await world.repo("POST", "/issues", {"title": "x"}, token)
    await world.repo("GET", "/issues?state=all", token=world.github.token_for("owner"))
    await world.repo("GET", "/nowhere", token=token)
    lines = [(r.method, r.template, r.status, r.token_kind, r.who) for r in seen[-3:]]
    issues = "/repos/{owner}/{repo}/issues"
    assert lines == [
        ("POST", issues, 201, "installation", "honk[bot]"),
        ("GET", issues, 200, "person", "owner"),
        ("GET", "", 404, "installation", "honk[bot]"),
    ]
    assert seen[-3].body == {"title": "x"}
    assert seen[-3].answer["number"] == 1
    assert seen[-2].query == {"state": "all"}
    assert world.github.requests == seen


async def test_the_front_page_lists_repositories(world: World) -> None:
    page = await world.client.get(world.github.url)
    assert page.text == f"{world.github.url}/{REPO}\n"
    assert (await world.client.get(f"{world.github.url}/nowhere/at/all")).status_code == 404
