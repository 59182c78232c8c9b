"""The pages of the playground's Slack: channels, threads, buttons and forms, for a phone.

Server-rendered, in the style and with the script of the pages of the playground's GitHub.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.playground.slack import (
    Slack,
    SlackApp,
    SlackChannel,
    SlackDelivery,
    SlackMessage,
    SlackPerson,
    SlackRefusal,
    SlackUser,
)
from app.playground.slack.typing import as_typed

from .forms import HEADERS, RefusedFormError, form_of, not_modified, refuse_strangers
from .mrkdwn import SLACK_EMOJI, markdown, mrkdwn
from .rendering import acting_cookie, templates

_TICKS = {"complete": "✓", "in_progress": "…", "error": "✕", "pending": "○"}
_EXPLAINED = {
    "not_in_channel": "You are not in this channel.",
    "is_archived": "This channel is archived.",
    "no_such_button": "This button is gone.",
    "cant_update_message": "This message is not yours.",
    "unknown_command": "There is no such command.",
    "command_in_thread": "Slash commands don't work in threads. Write them in the channel.",
    "app_not_installed": "The app is not installed in this workspace.",
}
SlackPage = Callable[["SlackVisit"], Awaitable[Response]]


class _NotThereError(Exception):
    """404: there is nothing here that this person may see."""


@dataclass
class SlackSite:
    """Shared by all pages; `slack` is set before the first request."""

    slack: Slack = field(init=False)

    @cached_property
    def templates(self) -> Environment:
        """The templates and their helper functions."""
        environment = templates()
        environment.globals |= {"TICKS": _TICKS, "EMOJI": SLACK_EMOJI}
        environment.filters |= {
            "markdown": markdown,
            "clock": lambda ts: datetime.fromtimestamp(float(ts), UTC).strftime("%H:%M"),
        }
        return environment


@dataclass
class SlackVisit:
    """A page request by the acting person."""

    site: SlackSite
    request: Request
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def slack(self) -> Slack:
        """The simulated Slack."""
        return self.site.slack

    @property
    def cookie(self) -> str:
        """The name of the cookie with the acting person."""
        return acting_cookie(self.slack.url)

    def people(self) -> list[SlackUser]:
        """All people that can be selected as the acting person."""
        return [user for user in self.slack.world.users.values() if not user.is_bot]

    @cached_property
    def person(self) -> SlackPerson:
        """The acting person: as selected, or else the first one."""
        chosen = self.request.cookies.get(self.cookie, "")
        people = self.people()
        found = [user for user in people if user.id == chosen] or people
        if not found:
            raise _NotThereError
        return SlackPerson(self.slack.world, found[0])

    def channels(self) -> list[SlackChannel]:
        """The conversations of the person; the direct message with the app is the last one."""
        mine = [one for one in self.slack.world.channels.values() if self._sees(one)]
        rooms = [one for one in mine if one.kind != "im"]
        if self.slack.world.bot_in(self.person.user.team) is None:
            return rooms
        return [*rooms, self.person.direct_message()]

    def _sees(self, channel: SlackChannel) -> bool:
        user = self.person.user
        return user in channel.members or (
            channel.kind == "channel" and channel.team is user.team and not user.is_restricted
        )

    def channel(self) -> SlackChannel:
        """The conversation of the address."""
        found = self.slack.world.channels.get(str(self.request.path_params["channel"]))
        if found is None or not self._sees(found):
            raise _NotThereError
        return found

    def message(self, channel: SlackChannel, ts: str) -> SlackMessage:
        """A message that the person sees."""
        for one in self.person.sees(channel):
            if one.ts == ts:
                return one
        raise _NotThereError

    def name(self, channel: SlackChannel) -> str:
        """What a conversation is called in lists."""
        if channel.kind == "im":
            other = next((one for one in channel.members if one is not self.person.user), None)
            return other.real_name or other.name if other else "yourself"
        return f"{'🔒' if channel.kind == 'group' else '#'} {channel.name}"

    def mrkdwn(self, text: str) -> Markup:
        """A text in Slack's format."""
        return mrkdwn(text, self._name_of)

    def as_typed(self, message: SlackMessage) -> str:
        """A message's text in a field to edit it in."""
        return as_typed(self.slack.world, message.text)

    def _name_of(self, what: str) -> str:
        world = self.slack.world
        if what in world.users:
            return world.users[what].name
        return world.channels[what].name if what in world.channels else what

    def place(self, message: SlackMessage) -> str:
        """The page of a message's thread."""
        return f"/archives/{message.channel.id}/p{message.thread.replace('.', '')}"

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page from its template."""
        blank: dict[str, Any] = {"refusal": "", "visit": self, "channel": None}
        html = self.site.templates.get_template(template).render(blank | context)
        return HTMLResponse(html, status)


def slack_with_pages(app: SlackApp | None = None) -> Slack:
    """An empty Slack as `Slack.create` makes it, with pages for people."""
    site = SlackSite()
    site.slack = Slack.create(app, pages=slack_routes(site))
    return site.slack


def slack_routes(site: SlackSite) -> Sequence[BaseRoute]:
    """The routes of all pages."""

    def route(path: str, page: SlackPage, *, posts: bool = False) -> Route:
        async def answer(request: Request) -> Response:
            return await _guarded(site, request, page)

        return Route(path, answer, methods=["GET", "POST"] if posts else ["GET"])

    return [
        Mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets")),
        route("/", _index),
        route("/act-as", _act_as, posts=True),
        route("/archives/{channel}", _channel, posts=True),
        route("/archives/{channel}/p{number}", _thread, posts=True),
        route("/shown/{channel}/{file}", _file),
    ]


async def _guarded(site: SlackSite, request: Request, page: SlackPage) -> Response:
    visit = SlackVisit(site, request)
    try:
        refuse_strangers(request)
        if request.method == "POST":
            visit.form = await form_of(request)
        response = await page(visit)
    except _NotThereError:
        response = visit.show("slack_missing.html", 404)
    except RefusedFormError as refused:
        response = visit.show("slack_missing.html", refused.status, refusal=str(refused))
    MutableHeaders(scope=None, raw=response.raw_headers).update(HEADERS)
    return not_modified(request, response)


async def _index(visit: SlackVisit) -> Response:
    return visit.show("slack_index.html")


async def _act_as(visit: SlackVisit) -> Response:
    user = visit.form.get("user", "")
    if user not in visit.slack.world.users:
        raise _NotThereError
    back = urlsplit(visit.form.get("back", "/")).path
    response = RedirectResponse("/" + back.lstrip("/\\"), 303)
    response.set_cookie(visit.cookie, user, httponly=True, samesite="strict")
    return response


async def _channel(visit: SlackVisit) -> Response:
    channel = visit.channel()
    status, refusal = 200, ""
    if visit.request.method == "POST":
        refusal = await _do(visit, channel, None)
        if not refusal:
            return RedirectResponse(visit.request.url.path, 303)
        status = 400
    seen = visit.person.sees(channel)
    messages = [one for one in seen if not one.thread_ts or one.is_broadcast or one.ephemeral_to]
    return visit.show(
        "slack_channel.html", status, channel=channel, messages=messages, refusal=refusal
    )


async def _thread(visit: SlackVisit) -> Response:
    channel, number = visit.channel(), str(visit.request.path_params["number"])
    ts = visit.request.query_params.get("thread_ts") or f"{number[:-6]}.{number[-6:]}"
    parent = visit.message(channel, ts)
    status, refusal = 200, ""
    if visit.request.method == "POST":
        refusal = await _do(visit, channel, parent)
        if not refusal:
            return RedirectResponse(visit.request.url.path, 303)
        status = 400
    replies = visit.person.sees_in_thread(parent)
    return visit.show(
        "slack_thread.html",
        status,
        channel=channel,
        parent=parent,
        replies=replies,
        refusal=refusal,
    )


async def _file(visit: SlackVisit) -> Response:
    """An image of a message, for those who see the message."""
    channel = visit.channel()
    file = visit.slack.world.files.get(str(visit.request.path_params["file"]))
    if file is None or file.content is None or all(one is not channel for one, _ in file.shares):
        raise _NotThereError
    return Response(file.content, media_type="image/png")


# -- the actions of the forms


async def _do(visit: SlackVisit, channel: SlackChannel, thread: SlackMessage | None) -> str:
    """Carry out a form's action; why not, or nothing where it worked."""
    action = _ACTIONS.get(visit.form.get("do", ""))
    if action is None:
        return "No button does that."
    try:
        delivery = await action(visit, channel, thread)
    except SlackRefusal as refusal:
        return _EXPLAINED.get(refusal.error, refusal.error)
    if delivery is not None and not delivery.is_delivered:
        return f"{visit.slack.app.name} did not answer. Try again in a moment."
    return ""


async def _write(
    visit: SlackVisit, channel: SlackChannel, thread: SlackMessage | None
) -> SlackDelivery | None:
    text = visit.form.get("text", "").replace("\r\n", "\n").strip()
    command, _, words = text.partition(" ")
    if command in visit.slack.app.commands:
        if thread is not None:
            raise SlackRefusal("command_in_thread")
        return await visit.person.command(channel, command, words)
    if text:
        await visit.person.write(channel, text, thread=thread)
    return None


async def _edit(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    message = visit.message(channel, visit.form.get("ts", ""))
    await visit.person.edit(message, visit.form.get("text", "").replace("\r\n", "\n"))
    return None


async def _delete(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    await visit.person.delete(visit.message(channel, visit.form.get("ts", "")))
    return None


async def _react(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    name = visit.form.get("name", "")
    await visit.person.react(visit.message(channel, visit.form.get("ts", "")), name)
    return None


async def _click(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    message = visit.message(channel, visit.form.get("ts", ""))
    return await visit.person.click(message, visit.form.get("action", ""))


async def _choose(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    message = visit.message(channel, visit.form.get("ts", ""))
    option = visit.form.get("option", "")
    return await visit.person.choose(message, visit.form.get("action", ""), option)


async def _shortcut(
    visit: SlackVisit, channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    message = visit.message(channel, visit.form.get("ts", ""))
    return await visit.person.shortcut(message, visit.form.get("callback", ""))


async def _submit(
    visit: SlackVisit, _channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    values = {name[6:]: text for name, text in visit.form.items() if name.startswith("value-")}
    return await visit.person.submit(values)


async def _cancel(
    visit: SlackVisit, _channel: SlackChannel, _thread: SlackMessage | None
) -> SlackDelivery | None:
    await visit.person.cancel()
    return None


_ACTIONS: dict[
    str,
    Callable[[SlackVisit, SlackChannel, SlackMessage | None], Awaitable[SlackDelivery | None]],
] = {
    "write": _write,
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "click": _click,
    "choose": _choose,
    "shortcut": _shortcut,
    "submit": _submit,
    "cancel": _cancel,
}
