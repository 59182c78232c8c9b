"""What Slack sends, as requests."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain import slack
from app.domain.slack import SlackClick, SlackError, SlackIgnored, SlackNotice, SlackRequest


def _event(**change: Any) -> dict[str, Any]:
    event = {
        "type": "app_mention",
        "user": "U1",
        "channel": "C1",
        "ts": "1700000000.000100",
        "text": "<@UBOT> fix it",
    }
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": "Ev1",
        "authorizations": [{"user_id": "UBOT", "is_bot": True}],
        "event": {key: each for key, each in (event | change).items() if each is not None},
    }


def _request(**change: Any) -> SlackRequest:
    found = slack.parse("events", _event(**change))
    assert isinstance(found, SlackRequest)
    return found


def _ignored(**change: Any) -> bool:
    return isinstance(slack.parse("events", _event(**change)), SlackIgnored)


def test_a_mention_and_its_message_are_one_request() -> None:
    mention = _request()
    message = _request(type="message", channel_type="channel")
    assert mention.id == message.id == "message:T1:C1:1700000000.000100"
    assert mention.kind == message.kind == "mention"


def test_a_direct_message_needs_no_mention() -> None:
    assert _request(type="message", channel_type="im", text="fix it").kind == "direct"


def test_a_reply_counts_only_in_a_thread() -> None:
    reply = _request(type="message", channel_type="channel", text="stop", thread_ts="1.2")
    assert (reply.kind, reply.root) == ("reply", "1.2")
    assert _ignored(type="message", channel_type="channel", text="hello")


@pytest.mark.parametrize("subtype", ["message_changed", "message_deleted", "channel_join"])
def test_edits_and_automatic_messages_ask_for_nothing(subtype: str) -> None:
    assert _ignored(type="message", subtype=subtype)


def test_bots_ask_for_nothing() -> None:
    assert _ignored(bot_id="B1")
    assert _ignored(user=None)


def test_people_of_other_organizations_are_marked() -> None:
    assert _request(user_team="T2").outsider
    assert not _request(user_team="T1").outsider


def test_a_command_and_a_shortcut() -> None:
    command = slack.parse(
        "command",
        {"team_id": "T1", "channel_id": "C1", "user_id": "U1", "text": "x", "trigger_id": "1.2"},
    )
    assert isinstance(command, SlackRequest)
    assert command.kind == "command"
    shortcut = slack.parse(
        "interactive",
        {
            "type": "message_action",
            "team": {"id": "T1"},
            "user": {"id": "U1", "team_id": "T1"},
            "channel": {"id": "C1"},
            "message": {"ts": "1.2", "text": "the button is gone", "user": "U9"},
            "trigger_id": "9.9",
        },
    )
    assert isinstance(shortcut, SlackRequest)
    assert (shortcut.kind, shortcut.user, shortcut.text) == (
        "shortcut",
        "U1",
        "the button is gone",
    )


def test_a_click() -> None:
    click = slack.parse(
        "interactive",
        {
            "type": "block_actions",
            "team": {"id": "T1"},
            "user": {"id": "U1", "team_id": "T2"},
            "container": {"channel_id": "C1", "message_ts": "3.4", "thread_ts": "1.2"},
            "actions": [{"action_id": "stop", "value": "abc", "action_ts": "5.6"}],
        },
    )
    assert isinstance(click, SlackClick)
    assert (click.action, click.value, click.thread, click.outsider) == ("stop", "abc", "1.2", True)


def test_an_uninstalled_app_is_a_notice() -> None:
    found = slack.parse("events", _event(type="app_uninstalled", user=None, channel=None, ts=None))
    assert isinstance(found, SlackNotice)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "x",
        {},
        {"type": "event_callback"},
        {"type": "event_callback", "event": []},
        {"type": "event_callback", "event": {"type": ["x"]}},
        _event(channel="../../x"),
        _event(ts="now"),
        _event(thread_ts="1;2"),
        _event(channel=7),
    ],
)
def test_anything_else_is_refused_with_a_sentence(payload: object) -> None:
    with pytest.raises(SlackError):
        slack.parse("events", payload)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fix a/b and repo:octo/site", ["octo/site", "a/b"]),
        ("in https://github.test/octo/site/issues/3 please", ["octo/site"]),
        ("either and/or", ["and/or"]),
        ("see src/app/main.py", []),
        ("nothing", []),
        ("octo/site: the button", ["octo/site"]),
    ],
)
def test_repositories_named_in_a_text(text: str, names: list[str]) -> None:
    found = slack.repository_named(text, "https://github.test")
    assert [str(each) for each in found] == names


def test_the_repository_of_a_channel() -> None:
    found = slack.repository_of_channel("Deploys · repo:octo/site.", "repo:octo/other")
    assert str(found) == "octo/site"
    assert str(slack.repository_of_channel("", "all of repo:octo/other")) == "octo/other"
    assert slack.repository_of_channel("repo:", "") is None


def test_words_that_stop_and_words_that_thank() -> None:
    assert all(map(slack.is_stop, ("stop", "Stop!", "please stop", "STOP it")))
    assert not any(map(slack.is_stop, ("stop using floats", "non-stop", "")))
    assert all(map(slack.is_thanks, ("thanks!", "Thank you", ":+1:", "ok, great", "")))
    assert not any(map(slack.is_thanks, ("thanks, but use blue", "great, now the tests")))
