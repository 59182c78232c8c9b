"""Every event that Honk reads, without the members that GitHub's description makes optional."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from app.domain import event
from app.domain.event import ACTED_ON, EventError
from app.domain.trigger import (
    AppIdentity,
    Ignored,
    Signal,
    Trigger,
    from_event,
    further_signals,
)
from app.github import webhooks
from tests.contract.test_examples import examples
from tests.support.webhook_schemas import webhook_problems

APP = AppIdentity(app_id=29310, slug="honk")
PERSON = {"login": "octo-cat", "id": 11, "type": "User"}
PLACE = tuple[str | int, ...]

EVENTS = sorted(ACTED_ON)


def base(name: str, action: str) -> dict[str, Any]:
    """GitHub's example of an event, changed just enough for Honk to accept it."""
    found = [one for one in examples()[name] if one.get("action") == action]
    # There is no example of a closed issue, and only an old one of a check run asked for again.
    if name == "check_run" or not found:
        found = [one for one in examples()[name] if not webhook_problems(name, one)]
    # Nor is there one of an edited review.
    made = copy.deepcopy((found or examples()[name])[-1]) | {"action": action}
    made["repository"]["archived"] = False
    made.setdefault("installation", {"id": 9, "node_id": "MDIz"})
    made["sender"] |= {"type": "User"}
    match name:
        case "issues" | "pull_request":
            subject = made["issue" if name == "issues" else "pull_request"]
            label = copy.deepcopy(_LABEL) | {"name": "honk:running"}
            subject["labels"] = [label]
            if action.endswith("labeled"):
                made["label"] = label if action == "unlabeled" else label | {"name": "honk"}
                subject["state"] = "open"
            if action == "closed":
                subject |= {"state": "closed", "closed_at": subject["updated_at"]}
            if action == "edited":
                earlier = {"from": "main"}
                made["changes"] = {"base": {"ref": earlier, "sha": {"from": "a" * 40}}}
            if action == "synchronize":
                subject["user"] |= {"login": "honk[bot]", "type": "Bot"}
        case "issue_comment":
            made["issue"]["labels"] = [_LABEL]
            made["comment"] |= {"body": "/honk", "performed_via_github_app": None}
        case "pull_request_review":
            made["review"]["body"] = "/honk"
        case "pull_request_review_comment":
            made["comment"]["body"] = "/honk"
        case "check_run":
            made["check_run"]["app"]["id"] = APP.app_id
            made["check_run"]["external_id"] = "0123456789"
            made.pop("requested_action", None)
            if action == "requested_action":
                made["requested_action"] = {"identifier": "retry"}
        case "check_suite":
            made["check_suite"]["app"]["id"] = APP.app_id + (action == "completed")
            made["check_suite"]["conclusion"] = "failure"
    return made


_LABEL = {
    "id": 1,
    "node_id": "MDU6",
    "url": "https://api.github.com/repos/Codertocat/Hello-World/labels/x",
    "name": "x",
    "description": None,
    "color": "ededed",
    "default": False,
}


def places(kind: Any, value: Any, here: PLACE = ()) -> Iterator[PLACE]:
    """The paths of the members of a payload that Honk reads, including those in each list item."""
    if isinstance(value, dict):
        for struct in structs(kind):
            for field in msgspec.structs.fields(struct):
                if field.encode_name in value:
                    yield (*here, field.encode_name)
                    inner = value[field.encode_name]
                    yield from places(field.type, inner, (*here, field.encode_name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*here, index)
            yield from places(kind, item, (*here, index))


def structs(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs in a type, however they are wrapped."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [one for part in getattr(kind, "__args__", ()) for one in structs(part)]


def changed(payload: dict[str, Any], place: PLACE, how: str) -> dict[str, Any]:
    made = copy.deepcopy(payload)
    inner: Any = made
    for part in place[:-1]:
        inner = inner[part]
    if how == "null":
        inner[place[-1]] = None
    else:
        del inner[place[-1]]
    return made


def decided(name: str, payload: dict[str, Any]) -> Trigger | Signal | Ignored:
    body = json.dumps(payload).encode()
    read = webhooks.read(name, "application/json", body)
    first, *more = from_event(name, read, APP), *further_signals(name, read, APP)
    return more[0] if isinstance(first, Ignored) and more else first


def is_sent(name: str, payload: dict[str, Any], known: set[str]) -> bool:
    """Whether GitHub's description allows the payload; `known` is what it has against the base."""
    return set(webhook_problems(name, payload)) <= known


@pytest.mark.parametrize(("name", "action"), EVENTS)
def test_the_example_itself_is_taken(name: str, action: str) -> None:
    assert isinstance(decided(name, base(name, action)), Trigger | Signal)


@pytest.mark.parametrize(("name", "action"), EVENTS)
def test_what_may_be_null_or_absent_is_no_mistake(name: str, action: str) -> None:
    payload = base(name, action)
    known = set(webhook_problems(name, payload))
    least, spared = payload, 0
    for place in sorted(places(event.BY_NAME[name], payload), key=len, reverse=True):
        if place == ("repository",):
            continue  # The description of `merge_group` lets it be absent; GitHub always sends it.
        for how in ("absent", "null"):
            made = changed(payload, place, how)
            try:
                decided(name, made)
            except EventError as problem:
                assert not is_sent(name, made, known), f"{place} {how}: {problem}"
            both = changed(least, place, how)
            if is_sent(name, both, known):
                least, spared = both, spared + 1
                break
    assert spared
    # All of them at once, too.
    decided(name, least)
