"""The simulated Slack against Slack's own types, and its limits against those of `slackblocks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient
from slackblocks import _limits

from app.playground.slack import SlackRecord, SlackRefusal
from app.playground.slack.blocks import BLOCKS, ELEMENTS, check_message_blocks, check_view
from tests.support.harness import FINISH, FIX, in_one_process, script
from tests.support.openapi import Seen
from tests.support.schemas import ROOT
from tests.support.slack import open_slack
from tests.support.slack_contract import SlackTypes, request_problems
from tests.support.slack_harness import open_slack_harness

Json = dict[str, Any]


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def _actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def _button(**more: Any) -> Json:
    return {"type": "button", "text": _plain("Merge"), **more}


def _confirm(**more: Any) -> Json:
    dialog = {"title": _plain("t"), "text": _mrkdwn("t"), "confirm": _plain("y")}
    return _button(confirm={**dialog, "deny": _plain("n"), **more})


def _option(**more: Any) -> Json:
    return {"text": _plain("o"), "value": "v", **more}


def _select(*options: Json) -> Json:
    return {"type": "static_select", "options": list(options)}


def _several(number: int, make: Callable[[int], Json]) -> list[Json]:
    return [make(each) for each in range(number)]


BLOCK_LIMITS: Mapping[str, Callable[[int], list[Json]]] = {
    "MESSAGE_BLOCKS_MAX_ITEMS": lambda n: [{"type": "divider"}] * n,
    "BLOCK_ID_MAX_LENGTH": lambda n: [{"type": "divider", "block_id": "x" * n}],
    "ACTION_ID_MAX_LENGTH": lambda n: [_actions(_button(action_id="x" * n))],
    "ACTIONS_ELEMENTS_MAX_ITEMS": lambda n: [_actions(*[_button()] * n)],
    "BUTTON_TEXT_MAX_LENGTH": lambda n: [_actions(_button(text=_plain("x" * n)))],
    "BUTTON_VALUE_MAX_LENGTH": lambda n: [_actions(_button(value="x" * n))],
    "BUTTON_URL_MAX_LENGTH": lambda n: [_actions(_button(url="x" * n))],
    "CONFIRMATION_TITLE_MAX_LENGTH": lambda n: [_actions(_confirm(title=_plain("x" * n)))],
    "CONFIRMATION_TEXT_MAX_LENGTH": lambda n: [_actions(_confirm(text=_mrkdwn("x" * n)))],
    "CONFIRMATION_CONFIRM_MAX_LENGTH": lambda n: [_actions(_confirm(confirm=_plain("x" * n)))],
    "CONFIRMATION_DENY_MAX_LENGTH": lambda n: [_actions(_confirm(deny=_plain("x" * n)))],
    "OPTION_TEXT_MAX_LENGTH": lambda n: [_actions(_select(_option(text=_plain("x" * n))))],
    "OPTION_VALUE_MAX_LENGTH": lambda n: [_actions(_select(_option(value="x" * n)))],
    "SELECT_OPTIONS_MAX_ITEMS": lambda n: [_actions(_select(*[_option()] * n))],
    "OVERFLOW_OPTIONS_MAX_ITEMS": lambda n: [
        _actions({"type": "overflow", "options": [_option()] * n})
    ],
    "SELECT_PLACEHOLDER_MAX_LENGTH": lambda n: [
        _actions(_select(_option()) | {"placeholder": _plain("x" * n)})
    ],
    "CONTEXT_ELEMENTS_MAX_ITEMS": lambda n: [{"type": "context", "elements": [_mrkdwn("x")] * n}],
    "HEADER_TEXT_MAX_LENGTH": lambda n: [{"type": "header", "text": _plain("x" * n)}],
    "SECTION_TEXT_MAX_LENGTH": lambda n: [{"type": "section", "text": _mrkdwn("x" * n)}],
    "SECTION_FIELDS_MAX_ITEMS": lambda n: [{"type": "section", "fields": [_mrkdwn("x")] * n}],
    "SECTION_FIELDS_ITEM_MAX_LENGTH": lambda n: [{"type": "section", "fields": [_mrkdwn("x" * n)]}],
    "IMAGE_ALT_TEXT_MAX_LENGTH": lambda n: [
        {"type": "image", "image_url": "https://x.test/a.png", "alt_text": "x" * n}
    ],
    "IMAGE_TITLE_MAX_LENGTH": lambda n: [
        {"type": "image", "image_url": "x", "alt_text": "x", "title": _plain("x" * n)}
    ],
    "MARKDOWN_TEXT_MAX_LENGTH": lambda n: [{"type": "markdown", "text": "x" * n}],
    "PLAN_TASKS_MAX_ITEMS": lambda n: [
        {
            "type": "plan",
            "title": "p",
            "tasks": _several(n, lambda i: _task(f"t{i}")),
        }
    ],
    "TABLE_ROWS_MAX_ITEMS": lambda n: [
        {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * n}
    ],
    "TABLE_COLUMNS_MAX_ITEMS": lambda n: [
        {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * n]}
    ],
}
VIEW_LIMITS: Mapping[str, Callable[[int], Json]] = {
    "VIEW_BLOCKS_MAX_ITEMS": lambda n: {"blocks": [{"type": "divider"}] * n},
    "VIEW_TITLE_MAX_LENGTH": lambda n: {"title": _plain("x" * n)},
    "VIEW_SUBMIT_MAX_LENGTH": lambda n: {"submit": _plain("x" * n)},
    "VIEW_CLOSE_MAX_LENGTH": lambda n: {"close": _plain("x" * n)},
    "VIEW_PRIVATE_METADATA_MAX_LENGTH": lambda n: {"private_metadata": "x" * n},
    "VIEW_CALLBACK_ID_MAX_LENGTH": lambda n: {"callback_id": "x" * n},
}


def _task(task_id: str) -> Json:
    return {"type": "task_card", "task_id": task_id, "title": "t", "status": "complete"}


@pytest.mark.parametrize("name", BLOCK_LIMITS)
def test_limits_of_blocks(name: str) -> None:
    most, make = getattr(_limits, name), BLOCK_LIMITS[name]
    types = SlackTypes.load()
    for block in check_message_blocks(make(most))[:2]:
        assert types.problems("KnownBlock", block, name) == []
    with pytest.raises(SlackRefusal):
        check_message_blocks(make(most + 1))


@pytest.mark.parametrize("name", VIEW_LIMITS)
def test_limits_of_views(name: str) -> None:
    most, make = getattr(_limits, name), VIEW_LIMITS[name]
    view = {"type": "modal", "title": _plain("t"), "blocks": []}
    good = check_view(view | make(most), "modal")
    assert SlackTypes.load().problems("ModalView", good, name) == []
    with pytest.raises(SlackRefusal):
        check_view(view | make(most + 1), "modal")


NOT_IN_THE_TYPES = {
    ("button", "visible_to_user_ids"),
}
"""What the simulated Slack takes although the types lack it: slack-sdk has it."""


def test_every_field_of_a_block_is_in_the_types() -> None:
    types = SlackTypes.load()
    definitions = types.schema("KnownBlock")["definitions"]
    known: dict[str, set[str]] = {}
    for schema in definitions.values():
        for each in (schema, *schema.get("anyOf", [])):
            kind = each.get("properties", {}).get("type", {}).get("const")
            if kind:
                known.setdefault(kind, set()).update(each["properties"])
    for name, shape in (*BLOCKS.kinds.items(), *ELEMENTS.kinds.items()):
        for field in shape.fields:
            assert field in known[name] or (name, field) in NOT_IN_THE_TYPES, (name, field)


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("chat.postMessage", {"channel": "C1", "text": "x", "colour": "red"}, "'colour'"),
        ("chat.postMessage", {"channel": 1, "text": "x"}, "chat.postMessage"),
        ("chat.update", {"channel": "C1", "text": "x"}, "chat.update"),
        ("chat.postMessage", {"channel": "C1", "text": "x", "blocks": [{"type": "x"}]}, "block 0"),
        (
            "chat.postMessage",
            {"channel": "C1", "text": "x", "blocks": [{"type": "header", "text": _mrkdwn("x")}]},
            "block 0",
        ),
        ("users.info", {"usr": "U1"}, "'usr'"),
        ("views.open", {"trigger_id": "1", "view": {"type": "modal", "blocks": []}}, "view"),
    ],
)
def test_planted_mistakes(method: str, arguments: Json, words: str) -> None:
    """Nothing else would notice what the check misses."""
    seen = Seen()
    request_problems(SlackRecord(method, arguments, 200, {"ok": True}, "honk", 0.0), seen)
    assert words in "\n".join(seen.problems)


async def test_a_refusal_of_nonsense_is_a_problem() -> None:
    seen = Seen()
    answer = {"ok": False, "error": "invalid_blocks"}
    record = SlackRecord("chat.postMessage", {"channel": "C", "text": "x"}, 200, answer, "honk", 0)
    request_problems(record, seen)
    assert seen.problems


async def test_a_tour_of_slack() -> None:
    """One valid call of everything that the simulated Slack answers."""
    async with open_slack() as scene:
        slack, olivia, dev = scene.slack, scene.olivia, scene.dev
        slack.change_app(
            scopes=(*slack.app.scopes, "channels:join", "team:read", "channels:manage")
        )
        slack.install(scene.team)
        bot = AsyncWebClient(scene.token, base_url=slack.api_url)
        asked = await olivia.write(dev, "@honk fix it, see https://x.test/a")
        await olivia.edit(asked, "@honk fix it")
        await olivia.react(asked, "eyes")
        blocks: list[Json] = [
            {"type": "section", "text": _mrkdwn("*At work*")},
            {"type": "plan", "title": "Plan", "tasks": [_task("t1")]},
            _actions(_button(action_id="merge", style="primary")),
        ]
        posted = await bot.chat_postMessage(
            channel=dev.id, text="At work", blocks=blocks, thread_ts=asked.ts, unfurl_links=False
        )
        own = {"channel": dev.id, "ts": posted["ts"]}
        await bot.chat_update(**own, text="Done", blocks=blocks[:1])
        await bot.chat_postEphemeral(channel=dev.id, user=olivia.user.id, text="For you")
        await bot.chat_getPermalink(channel=dev.id, message_ts=posted["ts"])
        await bot.reactions_add(channel=dev.id, timestamp=asked.ts, name="rocket")
        await bot.reactions_remove(channel=dev.id, timestamp=asked.ts, name="rocket")
        await bot.conversations_info(channel=dev.id, include_num_members=True)
        await bot.conversations_members(channel=dev.id, limit=200)
        await bot.conversations_list(types="public_channel,private_channel")
        await bot.conversations_history(channel=dev.id, limit=5)
        await bot.conversations_replies(channel=dev.id, ts=asked.ts, limit=5)
        await bot.conversations_open(users=olivia.user.id)
        await bot.conversations_join(channel=dev.id)
        await bot.users_info(user=olivia.user.id)
        await bot.team_info()
        await bot.auth_test()
        await bot.assistant_threads_setStatus(
            channel_id=dev.id, thread_ts=asked.ts, status="is working"
        )
        await bot.files_upload_v2(
            content=b"\x89PNG\r\n\x1a\n", filename="a.png", channel=dev.id, thread_ts=asked.ts
        )
        view = {"type": "home", "blocks": blocks[:1]}
        await bot.views_publish(user_id=olivia.user.id, view=view)
        await olivia.open_home()
        await bot.chat_delete(**own)
        guest = slack.add_person("gus", scene.team, guest="multi")
        slack.invite(dev, guest.user, olivia)
        slack.rename(dev, "development")
        other = slack.add_workspace("elsewhere")
        stranger = slack.add_person("sam", other)
        slack.share(dev, other, stranger)
        await stranger.write(dev, "hello")
        await bot.conversations_history(channel=dev.id)
        await olivia.delete(asked)
        slack.archive(dev)
        await bot.auth_revoke(test=True)
        called = {record.method for record in slack.calls}
    assert {"chat.postMessage", "views.publish", "files.completeUploadExternal"} <= called


def test_the_manifest_is_one_that_slack_takes() -> None:
    manifest = yaml.safe_load((ROOT / "docs/slack-manifest.yml").read_text())

    def problems() -> list[str]:
        asked = {"manifest": manifest}
        return SlackTypes.load().problems("AppsManifestCreateArguments", asked, "the manifest")

    assert problems() == []
    manifest["settings"]["event_subscriptions"]["bot_events"].append("message.everywhere")
    assert problems()


@in_one_process("the story of a fleet receives at several addresses")
async def test_what_the_product_sends_is_what_slack_takes() -> None:
    async with open_slack_harness("socket") as world:
        olivia = world.scene.olivia
        await world.link(olivia, "olivia")
        repository = await world.repository(script([FIX], [FINISH]))
        asked = await olivia.write(world.scene.dev, f"@honk add() subtracts, in {repository}")
        done = await world.says(asked, "Open pull request")
        assert olivia.buttons(done)
        blocks = [record.arguments.get("blocks") for record in world.scene.slack.calls]
        assert any(blocks)
