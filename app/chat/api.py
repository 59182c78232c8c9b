"""Slack's Web API, as much of it as Honk uses.

https://docs.slack.dev/reference/methods
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from app import log_events
from app.chat.pace import SlackPace
from app.domain.sanitize import redact
from app.domain.values import Value
from app.errors import RetryableError, UserError
from app.messages.slack import ChatMessage
from app.outgoing import Outgoing
from app.retrying import SLACK_CALL, retry

SECONDS = 10.0
_PERSON_SECONDS = 300.0
_CHANNEL_SECONDS = 5.0
_MOST_CHANNELS = 1_000
_MOST_PEOPLE = 5_000
_PAGE = 200
_MOST_PAGES = 10
_TEMPORARY = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)
_TOKEN_GONE = frozenset(
    {"invalid_auth", "token_revoked", "token_expired", "account_inactive", "not_authed"}
)
CANNOT_POST = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "restricted_action"}
)
"""Slack's answers after which nothing can be posted in a channel any more."""


class SlackRefusedError(UserError):
    """Slack refused a call. `code` is its error code, such as `not_in_channel`."""

    def __init__(self, method: str, code: str) -> None:
        next_step = ""
        if code in _TOKEN_GONE:
            next_step = "Install the Slack app again and set SLACK_BOT_TOKEN to its new token."
        elif code == "missing_scope":
            next_step = "Update the Slack app to docs/slack-manifest.yml and install it again."
        super().__init__(f"Slack refused {method}: {code}.", next_step=next_step)
        self.code = code


class SlackIdentity(Value):
    """The bot and its workspace. `url` is the workspace's address, with a trailing slash."""

    team: str
    team_name: str
    user: str
    bot: str
    url: str


class SlackMember(Value):
    """A Slack user. `refused` says why Honk takes no requests from this user; empty for members."""

    id: str
    name: str
    refused: str


class SlackConversation(Value):
    """A conversation, as it is now. `shared`: with another organization, or about to be."""

    id: str
    name: str
    topic: str
    purpose: str
    direct: bool
    shared: bool
    archived: bool


class ThreadMessage(Value):
    """A message of a thread; `user` is empty for one by a bot. `block` is its first block's id."""

    ts: str
    user: str
    bot: str
    text: str
    files: int
    block: str


class SlackApi:
    """Calls with the bot token. Raises RetryableError, or SlackRefusedError with Slack's code."""

    def __init__(
        self, client: AsyncWebClient, secrets: Callable[[], Collection[str]] = frozenset
    ) -> None:
        """`secrets` are redacted from everything that is posted."""
        self._client = client
        self._secrets = secrets
        self._identity: SlackIdentity | None = None
        self._people: OrderedDict[str, tuple[SlackMember, float]] = OrderedDict()
        self._channels: OrderedDict[str, tuple[SlackConversation, float]] = OrderedDict()
        self._asking = asyncio.Lock()
        self._pace = SlackPace()

    async def identity(self) -> SlackIdentity:
        """Who the token belongs to; asked once."""
        if self._identity is None:
            data = await self._call("auth.test", lambda: self._client.auth_test())
            self._identity = SlackIdentity(
                team=str(data.get("team_id", "")),
                team_name=str(data.get("team", "")),
                user=str(data.get("user_id", "")),
                bot=str(data.get("bot_id", "")),
                url=str(data.get("url", "")),
            )
        return self._identity

    async def person(self, user: str) -> SlackMember:
        """A user; known for five minutes."""
        known = self._people.get(user)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        team = (await self.identity()).team
        data = await self._call("users.info", lambda: self._client.users_info(user=user))
        found = _person(user, data.get("user") or {}, team)
        self._people[user] = (found, time.monotonic() + _PERSON_SECONDS)
        self._people.move_to_end(user)
        while len(self._people) > _MOST_PEOPLE:
            self._people.popitem(last=False)
        return found

    async def channel(self, channel: str) -> SlackConversation:
        """A conversation; known for five seconds, since it may become a shared one.

        One request asks several times, and a hundred requests ask about the same few channels.
        """
        async with self._asking:
            known = self._channels.get(channel)
            if known is not None and known[1] > time.monotonic():
                return known[0]
            data = await self._call(
                "conversations.info", lambda: self._client.conversations_info(channel=channel)
            )
            found = _channel(channel, data.get("channel") or {})
            self._channels[channel] = (found, time.monotonic() + _CHANNEL_SECONDS)
            self._channels.move_to_end(channel)
            while len(self._channels) > _MOST_CHANNELS:
                self._channels.popitem(last=False)
        return found

    async def members(self, channel: str, most: int) -> list[str] | None:
        """The users in a conversation; None if they are more than `most`."""
        found: list[str] = []
        cursor = ""
        while True:
            page = await self._members_page(channel, cursor)
            found += [str(each) for each in page.get("members") or []]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if len(found) > most:
                return None
            if not cursor:
                return found

    async def _members_page(self, channel: str, cursor: str) -> Mapping[str, Any]:
        more = {"cursor": cursor} if cursor else {}
        return await self._call(
            "conversations.members",
            lambda: self._client.conversations_members(channel=channel, limit=_PAGE, **more),
        )

    async def replies(
        self, channel: str, thread: str, *, until: str = ""
    ) -> tuple[list[ThreadMessage], bool]:
        """A thread's messages, oldest first and up to `until`; whether some were left out."""
        found: list[ThreadMessage] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = await self._replies_page(channel, thread, until, cursor)
            found += [_message(each) for each in page.get("messages") or []]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return found, False
        return found, True

    async def _replies_page(
        self, channel: str, thread: str, until: str, cursor: str
    ) -> Mapping[str, Any]:
        more: dict[str, Any] = {"latest": until, "inclusive": True} if until else {}
        more |= {"cursor": cursor} if cursor else {}
        return await self._call(
            "conversations.replies",
            lambda: self._client.conversations_replies(
                channel=channel, ts=thread, limit=_PAGE, **more
            ),
        )

    async def find(self, channel: str, thread: str, block: str) -> str | None:
        """When our message with this first block was posted, or None.

        Others can use the same block id, so only our own messages count.
        """
        us = await self.identity()
        if thread:
            messages, _ = await self.replies(channel, thread)
        else:
            data = await self._call(
                "conversations.history",
                lambda: self._client.conversations_history(channel=channel, limit=_PAGE),
            )
            messages = [_message(each) for each in data.get("messages") or []]
        ours = [
            each for each in messages if us.user == each.user or (us.bot and us.bot == each.bot)
        ]
        return next((each.ts for each in ours if each.block == block), None)

    async def post(self, channel: str, thread: str, message: ChatMessage) -> str:
        """Post a message; in the thread if there is one. Returns its timestamp.

        Not repeated here: whether a failed call posted something is not known.
        """
        message = self._redacted(message)
        data = await _once(
            "chat.postMessage",
            lambda: self._client.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=list(message.blocks),
                thread_ts=thread or None,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return str(data.get("ts", ""))

    async def update(self, channel: str, ts: str, message: ChatMessage) -> None:
        """Replace one of our messages."""
        message = self._redacted(message)
        await _once(
            "chat.update",
            lambda: self._client.chat_update(
                channel=channel, ts=ts, text=message.text, blocks=list(message.blocks)
            ),
        )

    async def whisper(
        self, channel: str, user: str, message: ChatMessage, *, thread: str = ""
    ) -> None:
        """Show a message to one person; as a direct message where the bot is not in the channel."""
        message = self._redacted(message)
        try:
            await self._call(
                "chat.postEphemeral",
                lambda: self._client.chat_postEphemeral(
                    channel=channel,
                    user=user,
                    text=message.text,
                    blocks=list(message.blocks),
                    thread_ts=thread or None,
                ),
            )
        except SlackRefusedError as problem:
            if problem.code not in ("not_in_channel", "channel_not_found", "user_not_in_channel"):
                raise
            await self.post(user, "", message)

    def may_update(self) -> bool:
        """Whether one more message can be edited now, below Slack's limit; counts as one edit."""
        return self._pace.is_free("chat.update")

    async def _call(self, method: str, send: Callable[[], Awaitable[Any]]) -> Mapping[str, Any]:
        """A call that may be repeated, when it is its turn."""
        await self._pace.turn(method)
        return await _call(method, send)

    def _redacted(self, message: ChatMessage) -> ChatMessage:
        return ChatMessage.model_validate(
            _without_secrets(message.model_dump(mode="json"), frozenset(self._secrets()))
        )


def _without_secrets(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {name: _without_secrets(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each, secrets) for each in value]
    return value


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """The connections to Slack while the context is open."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield session


def web_client(
    token: SecretStr, url: str, outgoing: Outgoing, session: aiohttp.ClientSession
) -> AsyncWebClient:
    """slack-sdk's client, without its own retries and reading of the environment."""
    client = AsyncWebClient(
        token=token.get_secret_value(),
        base_url=url,
        timeout=int(SECONDS),
        ssl=outgoing.trust,
        session=session,
        retry_handlers=[],
    )
    # The constructor reads the environment if no proxy is given.
    client.proxy = outgoing.proxy_for(url)
    return client


async def socket_url(client: AsyncWebClient) -> str:
    """The address of a new Socket Mode connection; the client has the app-level token."""
    token = client.token or ""
    data = await _once(
        "apps.connections.open", lambda: client.apps_connections_open(app_token=token)
    )
    return str(data.get("url", ""))


async def _call(method: str, send: Callable[[], Awaitable[Any]]) -> Mapping[str, Any]:
    """A call that may be repeated."""
    return await retry(
        lambda: _once(method, send), SLACK_CALL, event=log_events.SLACK_WAITING, method=method
    )


async def _once(method: str, send: Callable[[], Awaitable[Any]]) -> Mapping[str, Any]:
    try:
        answer = await send()
    except SlackApiError as problem:
        raise _refusal(method, problem) from None
    except (aiohttp.ClientError, TimeoutError, SlackRequestError) as problem:
        raise RetryableError(f"Slack does not answer ({type(problem).__name__}).") from None
    data = answer.data
    return data if isinstance(data, dict) else {}


def _refusal(method: str, problem: SlackApiError) -> RetryableError | SlackRefusedError:
    answer = problem.response
    status = int(getattr(answer, "status_code", None) or getattr(answer, "status", None) or 0)
    data = getattr(answer, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code in _TEMPORARY or status >= 500 or not code:
        wait = _retry_after(getattr(answer, "headers", None) or {})
        return RetryableError(f"Slack answered {code or status} to {method}.", retry_after=wait)
    return SlackRefusedError(method, code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((each for name, each in headers.items() if name.lower() == "retry-after"), "")
    try:
        return min(max(0.0, float(value)), 3600.0)
    except ValueError:
        return None


def _person(user: str, wire: Mapping[str, Any], team: str) -> SlackMember:
    profile = wire.get("profile") or {}
    name = profile.get("display_name") or wire.get("real_name") or wire.get("name") or user
    return SlackMember(id=user, name=str(name)[:80], refused=_why_refused(wire, team))


def _why_refused(wire: Mapping[str, Any], team: str) -> str:
    """Closed by default: what Slack does not say counts as a reason."""
    if not wire:
        return "unknown"
    if wire.get("deleted"):
        return "deleted"
    if wire.get("is_bot") or wire.get("is_workflow_bot"):
        return "bot"
    if wire.get("is_restricted") or wire.get("is_ultra_restricted"):
        return "guest"
    teams = {str(wire.get("team_id") or ""), *map(str, _enterprise_teams(wire))}
    if wire.get("is_stranger") or team not in teams:
        return "outsider"
    return ""


def _enterprise_teams(wire: Mapping[str, Any]) -> list[str]:
    """On Enterprise Grid a member of the workspace may belong to the organization."""
    found = (wire.get("enterprise_user") or {}).get("teams") or []
    return found if isinstance(found, list) else []


def _channel(channel: str, wire: Mapping[str, Any]) -> SlackConversation:
    shared = ("is_ext_shared", "is_pending_ext_shared")
    return SlackConversation(
        id=channel,
        name=str(wire.get("name") or ""),
        topic=str((wire.get("topic") or {}).get("value") or ""),
        purpose=str((wire.get("purpose") or {}).get("value") or ""),
        direct=bool(wire.get("is_im")),
        # Closed by default: an empty answer says nothing about who reads the channel.
        shared=not wire
        or any(wire.get(name) for name in shared)
        or bool(wire.get("pending_shared")),
        archived=bool(wire.get("is_archived")),
    )


def _message(wire: Mapping[str, Any]) -> ThreadMessage:
    blocks = wire.get("blocks") or []
    first = blocks[0] if blocks and isinstance(blocks[0], dict) else {}
    return ThreadMessage(
        ts=str(wire.get("ts") or ""),
        user=str(wire.get("user") or ""),
        bot=str(wire.get("bot_id") or ""),
        text=str(wire.get("text") or "").replace("\0", ""),
        files=len(wire.get("files") or []),
        block=str(first.get("block_id") or ""),
    )
