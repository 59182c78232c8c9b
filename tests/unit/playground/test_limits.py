"""Limits, conditional requests, answers that break off, things that are seen late."""

from __future__ import annotations

import httpx
import pytest

from app.playground.github.faults import UNICORN

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_matching_etag_gets_nothing_and_costs_nothing(world: World) -> None:
    token, other = await world.token(), world.github.token_for("owner")
    first = await world.repo("GET", "", token=token)
    tag = first.headers["etag"]
    known = await world.repo("GET", "", token=token, **{"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]
    # Tags belong to a token: the next hour's token knows none of them.
    later = await world.token()
    assert (await world.repo("GET", "", token=later, **{"If-None-Match": tag})).status_code == 200
    assert (await world.repo("GET", "", token=other)).headers["etag"] != tag
    world.github.repository(REPO).has_issues = False
    changed = await world.repo("GET", "", token=token, **{"If-None-Match": tag})
    assert changed.status_code == 200


async def test_content_is_made_within_limits(world: World) -> None:
    limits = world.github.world.limits
    await world.github.open_issue(REPO, "owner", "x")
    limits.content_a_minute = 3
    path, body = "/issues/1/comments", {"body": "x"}
    made = [await world.repo("POST", path, body) for _ in range(4)]
    assert [one.status_code for one in made] == [201, 201, 201, 403]
    assert made[3].headers["retry-after"] == "60"
    assert int(made[3].headers["x-ratelimit-remaining"]) > 0
    assert "secondary rate limit" in made[3].json()["message"]
    assert (await world.repo("GET", path)).status_code == 200
    assert (await world.repo("POST", "/git/blobs", {"content": "x"})).status_code == 201
    mine = await world.repo("POST", path, body, world.github.token_for("owner"))
    assert mine.status_code == 201
    world.github.clock.advance(61)
    limits.content_an_hour, limits.retry_after = 3, None
    refused = await world.repo("POST", path, body)
    assert refused.status_code == 403
    assert "retry-after" not in refused.headers
    limits.as_on_github()
    assert (limits.content_a_minute, limits.content_an_hour) == (80, 500)
    assert (await world.repo("POST", path, body)).status_code == 201


async def test_a_spent_limit_can_answer_429(world: World) -> None:
    token = await world.token()
    world.github.world.rate_limit, world.github.world.limits.primary_status = 0, 429
    refused = await world.repo("GET", "", token=token)
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (429, "0")
    assert int(refused.headers["x-ratelimit-reset"]) > world.github.clock.timestamp()


async def test_an_answer_breaks_off_after_its_effect(world: World) -> None:
    await world.github.open_issue(REPO, "owner", "x")
    token = await world.token()
    world.github.faults.cut("POST", r"/comments$")
    with pytest.raises(httpx.RemoteProtocolError):
        await world.repo("POST", "/issues/1/comments", {"body": "there"}, token)
    assert [comment.body for comment in world.github.issue(REPO, 1).comments] == ["there"]
    assert (await world.repo("GET", "/issues/1/comments", token=token)).status_code == 200


async def test_a_proxy_in_front_of_the_api_answers_in_html(world: World) -> None:
    token = await world.token()
    world.github.faults.answer("GET", r"/issues$", 502, UNICORN)
    answer = await world.repo("GET", "/issues", token=token)
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert "Unicorn" in answer.text


async def test_what_is_new_is_seen_late(world: World) -> None:
    sha = await world.github.branch(REPO, "main")
    world.github.faults.late_reads = 2
    await world.repo("POST", "/git/refs", {"ref": "refs/heads/new", "sha": sha})
    await world.repo("POST", "/issues", {"title": "x"})
    for path in ("/git/ref/heads/new", "/issues/1"):
        seen = [(await world.repo("GET", path)).status_code for _ in range(3)]
        assert seen == [404, 404, 200]
    world.github.faults.clear()
    await world.repo("POST", "/issues", {"title": "y"})
    assert (await world.repo("GET", "/issues/2")).status_code == 200
