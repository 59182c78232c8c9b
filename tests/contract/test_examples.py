"""GitHub's own example payloads (npm `@octokit/webhooks-examples`) through the real receiver."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.schemas import installed
from tests.unit.web.support import MemoryIntake, Site, running_site

pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = 329
"""Examples in the locked version; more are fine, fewer mean that some were not read."""


@functools.cache
def examples() -> dict[str, list[dict[str, Any]]]:
    source, _ = installed("webhooks-examples", "api.github.com/index.json")
    return {one["name"]: one["examples"] for one in json.loads(source.read_text())}


def of(event: str, action: str) -> list[dict[str, Any]]:
    return [one for one in examples()[event] if one.get("action") == action]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Site]:
    async with running_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    running.intake.__dict__.update(MemoryIntake().__dict__)
    return running


async def test_every_example_is_answered(site: Site) -> None:
    answered: dict[int, int] = {}
    taken: set[str] = set()
    for event, payloads in examples().items():
        for payload in payloads:
            answer = await site.deliver(event, json.dumps(payload).encode())
            answered[answer.status] = answered.get(answer.status, 0) + 1
            assert answer.status in (200, 202, 204), (event, payload.get("action"), answer.body)
            taken |= {event} if answer.status != 204 else set()
    assert sum(answered.values()) >= KNOWN
    # None of them triggers Honk: their labels are "bug", and their comments contain no command. But
    # some may change a pull request's approvals, entries of a merge queue need checks, and any
    # deployment may have a preview.
    assert taken == {"deployment_status", "merge_group", "pull_request", "pull_request_review"}


def ours(payload: dict[str, Any], **issue: Any) -> dict[str, Any]:
    """An example as an App with an installation gets it, on an open issue, from a person."""
    made = json.loads(json.dumps(payload))
    made["issue"] |= {"state": "open"} | issue
    made["repository"]["archived"] = False
    made["sender"]["type"] = "User"
    made.setdefault("installation", {"id": 9, "node_id": "MDIz"})
    return dict(made)


async def test_a_label_of_ours_on_an_example_is_a_trigger(site: Site) -> None:
    found = of("issues", "labeled")
    assert found
    for payload in found:
        made = ours(payload)
        made["label"] = (payload.get("label") or {"id": 1, "color": "ededed"}) | {"name": "honk"}
        answer = await site.deliver("issues", json.dumps(made).encode())
        assert answer.status == 202, answer.body
        trigger = site.intake.taken[answer.json()["trigger"]]
        assert (trigger.kind, trigger.label) == ("label", "honk")
        assert trigger.number == payload["issue"]["number"]
        assert str(trigger.repository) == payload["repository"]["full_name"]
        assert trigger.actor.login == payload["sender"]["login"]
        assert trigger.title == payload["issue"]["title"]
        site.intake.taken.clear()


@pytest.mark.parametrize("body", ["/honk fix it", "/HONK", "@Honk plan\nplease", "text\n\n/honk"])
async def test_a_command_in_an_example_is_a_trigger(site: Site, body: str) -> None:
    for payload in of("issue_comment", "created"):
        made = ours(payload)
        made["comment"] |= {"body": body, "performed_via_github_app": None}
        answer = await site.deliver("issue_comment", json.dumps(made).encode())
        assert answer.status == 202, answer.body
        trigger = site.intake.taken[answer.json()["trigger"]]
        assert trigger.kind == "comment"
        assert trigger.comment is not None
        assert trigger.comment.id == payload["comment"]["id"]
        again = await site.deliver("issue_comment", json.dumps(made).encode())
        assert again.status == 200
        site.intake.taken.clear()


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("issues", {"label": {"name": "bug"}}),
        ("issues", {"action": "unlabeled"}),
        ("issues", {"repository": {"archived": True}}),
        ("issues", {"installation": None}),
        ("issue_comment", {"action": "edited"}),
        ("issue_comment", {"comment": {"body": "> /honk fix it"}}),
        ("issue_comment", {"comment": {"body": "```\n/honk\n```"}}),
    ],
)
async def test_what_is_nearly_ours_is_not(site: Site, event: str, changes: dict[str, Any]) -> None:
    action = {"issues": "labeled", "issue_comment": "created"}[event]
    for payload in of(event, action):
        made = ours(payload)
        if event == "issues":
            made["label"] = (payload.get("label") or {"id": 1, "color": "ededed"}) | {
                "name": "honk"
            }
        else:
            made["comment"] |= {"body": "/honk", "performed_via_github_app": None}
        for name, change in changes.items():
            inner = isinstance(change, dict)
            made[name] = made[name] | change if inner else change
        answer = await site.deliver(event, json.dumps(made).encode())
        assert answer.status == 204, answer.body
    assert site.intake.taken == {}
