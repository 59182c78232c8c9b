"""What Slack sends, as requests: messages, commands, shortcuts and clicks. Pure.

Everything that is the same request has the same id, however often and by whichever event it
arrives: Slack redelivers events, and sends a mention twice, as `app_mention` and as `message`.
https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.values import RepoName, Value

Kind = Literal["events", "command", "interactive"]
"""What a delivery holds. Slack posts each kind differently, and names it in Socket Mode."""

MOST_TEXT = 40_000
"""Slack cuts longer messages itself."""

_ID = re.compile(r"[A-Z0-9]{2,40}")
_TS = re.compile(r"\d{1,12}\.\d{1,9}")
_SUBTYPES = frozenset({None, "", "file_share", "thread_broadcast"})
_REPOSITORY_WORD = re.compile(r"(?i)(?<!\S)repo:\s*([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)")
_PAIR = re.compile(
    r"(?<![\w./@-])([A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-])(?![\w/-])"
)
_URL_PATH = r"/([A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-])"
_STOP = re.compile(r"(?i)\W*(?:please\s+)?stop(?:\s+(?:it|now|please))?\W*")
_THANKS = re.compile(
    r"(?i)\W*(?:(?:thanks?(?:\s+you)?|thx|ty|cool|great|nice|perfect|awesome|ok(?:ay)?|lgtm|"
    r"good(?:\s+(?:job|work))?|well\s+done|merged|yay|:[a-z0-9_+-]+:)\W*){1,6}"
)


class SlackError(ValueError):
    """A delivery that is not of a documented form. The message is one sentence."""


class SlackIgnored(Value):
    """A delivery that asks for nothing, and why."""

    reason: str


class SlackRequest(Value):
    """A person's message to Honk.

    `thread` is the timestamp of the thread's first message, `ts` that of the message; both are
    empty for a slash command, which belongs to no message. `kind`: a mention, a direct message, a
    slash command, a message shortcut (`text` is then the chosen message's), or another reply in a
    thread, which counts only where Honk takes part. `shared` is whether the channel is shared with
    another organization, as far as the event says; `outsider` whether the person belongs to one.
    """

    id: str
    kind: Literal["mention", "direct", "command", "shortcut", "reply"]
    team: str
    user: str
    channel: str
    ts: str = ""
    thread: str = ""
    text: str = ""
    shared: bool = False
    outsider: bool = False
    files: int = 0

    @property
    def root(self) -> str:
        """The first message of the thread that the answer belongs to."""
        return self.thread or self.ts


class SlackClick(Value):
    """A button or menu that a person used on one of Honk's messages.

    `action` is our name for it, `value` what we stored in it or the option that was chosen, `block`
    the id of its block. `ephemeral`: only this person saw the message.
    """

    id: str
    team: str
    user: str
    channel: str
    message: str
    thread: str
    action: str
    value: str = ""
    block: str = ""
    outsider: bool = False
    ephemeral: bool = False


class SlackNotice(Value):
    """Something about the App itself: it was uninstalled, or its tokens were revoked."""

    id: str
    team: str
    what: Literal["app_uninstalled", "tokens_revoked"]


Incoming = SlackRequest | SlackClick | SlackNotice


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=False)


class _Authorization(_Wire):
    user_id: str | None = None
    is_bot: bool = False


class _Event(_Wire):
    type: str
    subtype: str | None = None
    user: str | dict[str, Any] | None = None
    user_team: str | None = None
    source_team: str | None = None
    bot_id: str | None = None
    channel: str | None = None
    channel_type: str | None = None
    ts: str | None = None
    thread_ts: str | None = None
    text: str | None = None
    files: list[Any] = []


class _Envelope(_Wire):
    type: str
    team_id: str = ""
    event_id: str = ""
    is_ext_shared_channel: bool = False
    authorizations: list[_Authorization] | None = None
    event: _Event


class _Command(_Wire):
    team_id: str
    channel_id: str
    user_id: str
    text: str = ""
    trigger_id: str


class _Team(_Wire):
    id: str = ""


class _User(_Wire):
    id: str
    team_id: str = ""


class _Channel(_Wire):
    id: str


class _Message(_Wire):
    ts: str = ""
    thread_ts: str | None = None
    text: str | None = None
    files: list[Any] = []


class _Container(_Wire):
    channel_id: str = ""
    message_ts: str = ""
    thread_ts: str | None = None
    is_ephemeral: bool = False


class _Option(_Wire):
    value: str = ""


class _ClickedElement(_Wire):
    action_id: str
    block_id: str = ""
    value: str | None = None
    action_ts: str = ""
    selected_option: _Option | None = None


class _Interaction(_Wire):
    type: str
    team: _Team | None = None
    user: _User
    channel: _Channel | None = None
    message: _Message | None = None
    container: _Container = Field(default_factory=_Container)
    actions: list[_ClickedElement] = []
    callback_id: str = ""
    trigger_id: str = ""


def parse(kind: Kind, payload: object) -> Incoming | SlackIgnored:
    """Read one delivery, whose signature or socket was checked. Raises SlackError."""
    try:
        match kind:
            case "events":
                return _event(_Envelope.model_validate(payload))
            case "command":
                return _command(_Command.model_validate(payload))
            case "interactive":
                return _interaction(_Interaction.model_validate(payload))
    except ValidationError as problem:
        error = problem.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise SlackError(f"The payload is not one of Slack's: {where}: {error['msg']}.") from None


def _event(envelope: _Envelope) -> Incoming | SlackIgnored:
    event = envelope.event
    if event.type in ("app_uninstalled", "tokens_revoked"):
        _check(_ID, envelope.team_id)
        what: Literal["app_uninstalled", "tokens_revoked"] = event.type  # type: ignore[assignment]
        return SlackNotice(id=f"event:{envelope.event_id[:80]}", team=envelope.team_id, what=what)
    if event.type not in ("app_mention", "message"):
        return SlackIgnored(reason=f"events of the type {event.type[:40]} ask for nothing")
    if event.subtype not in _SUBTYPES:
        return SlackIgnored(reason="an edited, deleted or automatic message asks for nothing")
    if event.bot_id or not isinstance(event.user, str):
        return SlackIgnored(reason="a bot wrote the message")
    team, user = envelope.team_id, event.user
    channel, ts = event.channel or "", event.ts or ""
    _check(_ID, team, user, channel)
    _check(_TS, ts, *([event.thread_ts] if event.thread_ts else []))
    text = _text(event.text)
    kind = _kind_of(event, text, envelope.authorizations or [])
    if kind is None:
        return SlackIgnored(reason="the message is neither for Honk nor in a thread")
    outside = {event.user_team, event.source_team} - {None, "", team}
    return SlackRequest(
        id=f"message:{team}:{channel}:{ts}",
        kind=kind,
        team=team,
        user=user,
        channel=channel,
        ts=ts,
        thread=event.thread_ts or "",
        text=text,
        shared=envelope.is_ext_shared_channel,
        outsider=bool(outside),
        files=len(event.files),
    )


def _kind_of(
    event: _Event, text: str, authorizations: list[_Authorization]
) -> Literal["mention", "direct", "reply"] | None:
    if event.type == "app_mention":
        return "mention"
    if event.channel_type == "im":
        return "direct"
    us = {each.user_id for each in authorizations if each.is_bot and each.user_id}
    if any(f"<@{each}>" in text or f"<@{each}|" in text for each in us):
        return "mention"
    return "reply" if event.thread_ts and event.thread_ts != event.ts else None


def _command(wire: _Command) -> SlackRequest:
    _check(_ID, wire.team_id, wire.channel_id, wire.user_id)
    return SlackRequest(
        id=f"command:{wire.team_id}:{wire.trigger_id[:120]}",
        kind="command",
        team=wire.team_id,
        user=wire.user_id,
        channel=wire.channel_id,
        text=_text(wire.text),
    )


def _interaction(wire: _Interaction) -> Incoming | SlackIgnored:
    team = wire.team.id if wire.team else wire.user.team_id
    outsider = bool(wire.user.team_id) and wire.user.team_id != team
    channel = wire.channel.id if wire.channel else wire.container.channel_id
    if wire.type == "message_action" and wire.message is not None:
        _check(_ID, team, wire.user.id, channel)
        _check(_TS, wire.message.ts)
        return SlackRequest(
            # Each use counts, since Slack does not repeat them; a thread has one issue anyway.
            id=f"shortcut:{team}:{channel}:{wire.message.ts}:{wire.trigger_id[:80]}",
            kind="shortcut",
            team=team,
            user=wire.user.id,
            channel=channel,
            ts=wire.message.ts,
            thread=wire.message.thread_ts or "",
            text=_text(wire.message.text),
            outsider=outsider,
            files=len(wire.message.files),
        )
    if wire.type != "block_actions" or not wire.actions:
        return SlackIgnored(reason=f"interactions of the type {wire.type[:40]} ask for nothing")
    action = wire.actions[0]
    message = wire.container.message_ts or (wire.message.ts if wire.message else "")
    threads = (wire.container.thread_ts, wire.message.thread_ts if wire.message else None)
    thread = next((each for each in threads if each), "")
    _check(_ID, team, wire.user.id, channel)
    _check(_TS, message, *([thread] if thread else []))
    value = action.selected_option.value if action.selected_option else action.value
    click = f"{action.action_ts or wire.trigger_id}"[:60]
    return SlackClick(
        id=f"click:{team}:{channel}:{message}:{wire.user.id}:{action.action_id[:40]}:{click}",
        team=team,
        user=wire.user.id,
        channel=channel,
        message=message,
        thread=thread,
        action=action.action_id[:40],
        value=(value or "")[:2000],
        block=action.block_id[:255],
        outsider=outsider,
        ephemeral=wire.container.is_ephemeral,
    )


def _check(shape: re.Pattern[str], *values: str) -> None:
    for value in values:
        if not shape.fullmatch(value):
            raise SlackError("An id or timestamp of the payload is malformed.")


def _text(text: str | None) -> str:
    return (text or "").replace("\0", "")[:MOST_TEXT]


def without_mention(text: str, user: str) -> str:
    """The text without mentions of this user, such as Honk's own bot."""
    mention = re.compile(rf"<@{re.escape(user)}(?:\|[^>]*)?>[:,]?")
    return mention.sub(" ", text).strip()


def is_stop(text: str) -> bool:
    """Whether the whole message says "stop"."""
    return len(text) < 60 and _STOP.fullmatch(text) is not None


def is_thanks(text: str) -> bool:
    """Whether a reply only thanks or agrees, so that it asks for nothing."""
    return len(text) < 120 and (not text.strip() or _THANKS.fullmatch(text) is not None)


def repository_named(text: str, server_url: str) -> tuple[RepoName, ...]:
    """The repositories that a text may name, the surest first: `repo:owner/name`, a URL on GitHub,
    then words like `owner/name`, which may be something else."""
    url = re.compile(re.escape(server_url) + _URL_PATH)
    found: dict[str, RepoName] = {}
    for shape in (_REPOSITORY_WORD, url, _PAIR):
        for match in shape.finditer(text[:MOST_TEXT]):
            name = match[1].rstrip(".,;:").removesuffix(".git")
            try:
                found.setdefault(name.lower(), RepoName.parse(name))
            except ValueError:
                continue
    return tuple(found.values())[:20]


def repository_of_channel(topic: str, purpose: str) -> RepoName | None:
    """The repository in a channel's topic or purpose, as `repo:owner/name`."""
    for text in (topic, purpose):
        match = _REPOSITORY_WORD.search(read_topic(text))
        if match is not None:
            try:
                return RepoName.parse(match[1].rstrip(".,;:"))
            except ValueError:
                continue
    return None


def read_topic(text: str) -> str:
    """A topic without Slack's link markup."""
    return text.replace("<", " ").replace(">", " ").replace("|", " ")


def without_repository(text: str) -> str:
    """The text without `repo:owner/name`, which is for Honk and not part of the task."""
    return _REPOSITORY_WORD.sub(" ", text).strip()
