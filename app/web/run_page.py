"""A run's page: the request, the steps as they happen, the evidence, and commands.

Everything the page does is a command, handled by the worker like one on GitHub: the worker asks
GitHub whether this person may give it.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.domain import command
from app.domain.command import Command
from app.domain.transcript import read_turn
from app.domain.trigger import Actor, Signal
from app.domain.values import RunId
from app.errors import RetryableError
from app.github.people import Access, NotSignedInError
from app.store.builds import BuildStore
from app.store.database import Database
from app.store.messages import Messages, StoredMessage
from app.store.previews import PreviewStore
from app.store.pulse import Pulse, pulse_of
from app.store.reports import Reports
from app.store.run_diffs import RunDiffs
from app.store.runs import RunRow, Runs
from app.store.turns import Turns
from app.web.forms import is_same, read_form
from app.web.hidden import HiddenAnswer
from app.web.login import AuthMiddleware
from app.web.patches import files_of, shortened
from app.web.rendering import HEADERS, Renderer
from app.web.run_feed import WINDOW, Cursor, RunFeed, RunFeeds, Stored
from app.web.run_values import commit_to_merge, facts
from app.web.sessions import WebSession
from app.web.transcript import FULL, SHORT, Step, StepReader
from app.web.webhook import TriggerSink

RUN_ID = re.compile(r"[a-z2-7]{1,32}")
HAS_CHANGED = "The run has changed since the page was loaded, so nothing was done."
NOT_HERE = "This run does not exist, or you don't have access to its repository on GitHub."

ACCESS_SECONDS = 15.0
"""How often an open stream asks GitHub again; the answer may be as old once more."""

_HEARTBEAT_SECONDS = 10.0
_MOST_STREAMS = 400
_MOST_STREAMS_EACH = 20
_MOST_FORM_BYTES = 256 * 1024
_FORM_SECONDS = 10.0
_MOST_TASK = 60_000
_COSTS_KEPT = 1_000
_DIFF_LINES = 80
"""Lines of the diff on a run's page; a page of its own shows the whole."""
_PAGE_HTML = 22_000
"""Characters of steps that a page shows at first, for slow connections."""

_PARTS = ("bar", "links", "result", "tests", "plan", "messages", "diff", "buttons", "phases")
_STEP = re.compile(r"[0-9]{1,9}", re.ASCII)
_ONCE = re.compile(r"[A-Za-z0-9_-]{8,40}")


@dataclass(frozen=True)
class Viewed:
    """A run that the visitor may see."""

    session: WebSession
    row: RunRow
    access: Access

    @property
    def may_act(self) -> bool:
        """Whether GitHub lets the person write; the worker asks again, by the policy's `who`."""
        return self.access >= Access.WRITE


class RunPages:
    """The pages, streams and commands of single runs."""

    def __init__(
        self,
        auth: AuthMiddleware,
        database: Database,
        triggers: TriggerSink,
        slug: str,
        server_url: str,
        stop: asyncio.Event,
    ) -> None:
        """`slug` is the App's name in comments. When `stop` is set, all streams end."""
        self._auth = auth
        self._database = database
        self._runs = Runs(database)
        self._reports = Reports(database)
        self._builds = BuildStore(database)
        self._previews = PreviewStore(database)
        self._triggers = triggers
        self._slug = slug
        self._server_url = server_url
        self._feeds = RunFeeds(database, self._parts, self._renderer.secrets, stop)
        self._streams: dict[int, int] = {}
        self._costs: OrderedDict[RunId, tuple[int, float]] = OrderedDict()

    @property
    def _renderer(self) -> Renderer:
        return self._auth.renderer

    def routes(self) -> list[BaseRoute]:
        guarded = self._auth.guarded
        return [
            Route("/runs/{run}", guarded(self._page)),
            Route("/runs/{run}/events", guarded(self._events)),
            Route("/runs/{run}/steps/{step}", guarded(self._step)),
            Route("/runs/{run}/diff", guarded(self._diff)),
            Route("/runs/{run}/commands", guarded(self._command), methods=["POST"]),
            Route("/api/runs/{run}/events", guarded(self._api_events)),
        ]

    # -- who sees what

    async def viewed(self, request: Request) -> Viewed | Response:
        """The run, or the same response whether it does not exist or is not theirs to see."""
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        hidden = HiddenAnswer(self._auth.access, session)
        run = request.path_params["run"]
        row = await self._runs.find(run) if RUN_ID.fullmatch(run) else None
        if row is not None:
            access = await self._access(session, row)
            if access is not Access.NONE:
                return Viewed(session, row, access)
        else:
            await hidden.ask_in_vain(run)
        await hidden.wait()
        return self._renderer.problem(404, "Not found", NOT_HERE, session=session)

    async def _access(
        self, session: WebSession, row: RunRow, max_age: float | None = None
    ) -> Access:
        trigger = row.input.trigger
        given = {} if max_age is None else {"max_age": max_age}
        return await self._auth.access.level(
            session.token, str(trigger.repository), trigger.repository_id, **given
        )

    # -- the page

    async def _page(self, request: Request) -> Response:
        viewed = await self.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        row = viewed.row
        before = request.query_params.get("before", "")
        until = int(before) if _STEP.fullmatch(before) else None
        pulse = await pulse_of(self._database, row.id, -1)
        if pulse is None:
            return self._renderer.problem(404, "Not found", NOT_HERE, session=viewed.session)
        steps, cursor = await self._window(row.id, until)
        values = await self._values(row, pulse)
        html = [self._step_html(row.id, each) for each in steps]
        shown = _fitting(html)
        return self._renderer.page(
            "run.html",
            session=viewed.session,
            **values,
            may_act=viewed.may_act,
            previews=await self._previews.of_run(row),
            build=await self._builds.of_run(row),
            parts=self._made_parts(values, may_act=viewed.may_act),
            steps=html[len(html) - shown :],
            earlier=steps[-shown].key if shown and steps[-shown].key > 0 else None,
            is_window=until is not None,
            cursor=cursor,
            once=secrets.token_urlsafe(12),
            notice=NOTICES.get(request.query_params.get("sent", ""), ""),
        )

    async def _window(self, run: RunId, until: int | None) -> tuple[list[Step], Cursor]:
        """The last steps before turn `until`, or of all, and the cursor behind them."""
        stored = await Turns(self._database, run).window(WINDOW, before=until)
        steps = await self._steps(run, stored)
        at = stored[-1][1] if stored else 0.0
        last = int(stored[-1][0]["seq"]) if stored else -1
        return steps, Cursor(last, int(at * 1000)) if stored else Cursor()

    async def _steps(self, run: RunId, stored: Stored, *, limit: int = SHORT) -> list[Step]:
        people = {each.id: each for each in await Messages(self._database).of(run)}
        reader = StepReader(self._renderer.secrets, people, limit)
        turns = [read_turn(record, at) for record, at in stored]
        return await asyncio.to_thread(reader.steps, turns)

    def _step_html(self, run: RunId, step: Step, *, whole: bool = False) -> Markup:
        return self._renderer.fragment("run/step.html", run=run, step=step, whole=whole)

    async def _step(self, request: Request) -> Response:
        """One step with everything in it."""
        viewed = await self.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        number = request.path_params["step"]
        found: list[Step] = []
        if _STEP.fullmatch(number):
            turns = Turns(self._database, viewed.row.id)
            stored = await turns.stored(after=int(number) - 1, limit=3)
            steps = await self._steps(viewed.row.id, stored, limit=FULL)
            found = [each for each in steps if each.key == int(number)]
        if not found:
            return self._renderer.problem(404, "Not found", NOT_HERE, session=viewed.session)
        return self._renderer.page(
            "step.html",
            session=viewed.session,
            run=viewed.row.id,
            title=viewed.row.input.trigger.title,
            step_key=found[0].key,
            step=self._step_html(viewed.row.id, found[0], whole=True),
        )

    async def _diff(self, request: Request) -> Response:
        """The whole diff, as far as it is stored."""
        viewed = await self.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        patch = await RunDiffs(self._database).of(viewed.row.id)
        return self._renderer.page(
            "diff.html",
            session=viewed.session,
            run=viewed.row.id,
            title=viewed.row.input.trigger.title,
            diff=files_of(patch),
        )

    # -- the parts that change

    async def _parts(self, run: RunId, pulse: Pulse) -> Mapping[bool, Mapping[str, str]]:
        values = await self._values(await self._runs.get(run), pulse)
        return {may: self._made_parts(values, may_act=may) for may in (True, False)}

    def _made_parts(self, values: Mapping[str, Any], *, may_act: bool) -> dict[str, Markup]:
        made = {
            name: self._renderer.fragment(f"run/{name}.html", **values, may_act=may_act)
            for name in _PARTS
        }
        made["task-label"] = Markup.escape(values["message_label"])
        made["task-hint"] = Markup.escape(values["message_hint"])
        return made

    async def _values(self, row: RunRow, pulse: Pulse) -> dict[str, Any]:
        report, is_stalled, work_usd, waiting, patch = await asyncio.gather(
            self._reports.of(row.id, row.attempt),
            self._runs.is_stalled(row),
            self._work_usd(row.id, pulse),
            self._waiting(row.id, pulse),
            self._patch(row.id, pulse),
        )
        values = facts(
            row,
            report,
            newest=pulse.newest,
            is_stalled=is_stalled,
            work_usd=work_usd,
            server_url=self._server_url,
        )
        diff = shortened(files_of(patch), _DIFF_LINES)
        sha = row.published_sha or commit_to_merge(row) or ""
        return {**values, "waiting": waiting, "diff": diff, "sha": sha}

    async def _patch(self, run: RunId, pulse: Pulse) -> str:
        return await RunDiffs(self._database).of(run) if pulse.diff_at else ""

    async def _work_usd(self, run: RunId, pulse: Pulse) -> float:
        """What the agent's turns cost. Only new turns are read: a run may have thousands."""
        known, usd = self._costs.get(run, (-1, 0.0))
        if pulse.last_seq > known:
            usd += await Turns(self._database, run).cost(after=known, until=pulse.last_seq)
            self._costs[run] = pulse.last_seq, usd
            self._costs.move_to_end(run)
            while len(self._costs) > _COSTS_KEPT:
                self._costs.popitem(last=False)
        return usd

    async def _waiting(self, run: RunId, pulse: Pulse) -> list[StoredMessage]:
        """The messages that the run has not read yet; it reads all before its next turn."""
        if not pulse.messages:
            return []
        said = await Messages(self._database).of(run)
        read, since = await Turns(self._database, run).read_messages(pulse.last_seq - WINDOW)
        return [each for each in said if each.id not in read and each.created_at >= since]

    # -- the stream

    async def _events(self, request: Request) -> Response:
        """New steps and changed parts as server-sent events.

        https://html.spec.whatwg.org/multipage/server-sent-events.html
        """
        return await self._stream(request, "html")

    async def _api_events(self, request: Request) -> Response:
        """The same for programs: the run's state and its steps as JSON."""
        if self._auth.session(request) is None:
            return self._renderer.json({"error": "Sign in at /login first."}, 401)
        return await self._stream(request, "json")

    async def _stream(self, request: Request, form: Literal["html", "json"]) -> Response:
        viewed = await self.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        given = request.headers.get("last-event-id") or request.query_params.get("after", "")
        cursor = Cursor.parse(given) or Cursor()
        mine = self._streams.get(viewed.session.id, 0)
        if self._feeds.watchers >= _MOST_STREAMS or mine >= _MOST_STREAMS_EACH:
            text = "Too many pages are watching. Close some, or reload this one later."
            return self._renderer.json({"error": text}, 503)
        return StreamingResponse(
            self._watched(viewed, cursor, form),
            media_type="text/event-stream",
            headers={**HEADERS, "x-accel-buffering": "no"},
        )

    async def _watched(
        self, viewed: Viewed, cursor: Cursor, form: Literal["html", "json"]
    ) -> AsyncIterator[bytes]:
        who = viewed.session.id
        self._streams[who] = self._streams.get(who, 0) + 1
        try:
            async with self._feeds.watching(viewed.row.id) as feed:
                async for event in self._new(viewed, feed, cursor, form):
                    yield event
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]

    async def _new(
        self, viewed: Viewed, feed: RunFeed, cursor: Cursor, form: Literal["html", "json"]
    ) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        guard = _AccessGuard(self, viewed)
        version = 0
        while not feed.is_closed:
            is_new = await feed.changed(version, _HEARTBEAT_SECONDS)
            if not await guard.may_still_read():
                yield _event("gone", {})
                return
            if not is_new or feed.sight is None:
                yield b": nothing new\n\n"
                continue
            sight, before = feed.sight, version
            version = sight.version
            is_rewound = sight.rewound > before if before else not await feed.knows(cursor)
            if is_rewound:
                yield _event("reset", {})
                return
            steps = [each async for each in feed.since(cursor)]
            for number, step in enumerate(steps):
                is_last = number + 1 == len(steps) or steps[number + 1].last > step.last
                if is_last:
                    cursor = Cursor(step.last, int(step.at * 1000))
                yield _event("step", self._told(viewed, step, form), str(cursor) if is_last else "")
            for event in self._changed_parts(viewed, feed, before, form):
                yield event

    def _told(self, viewed: Viewed, step: Step, form: Literal["html", "json"]) -> dict[str, Any]:
        if form == "html":
            return {"id": f"step-{step.key}", "html": self._step_html(viewed.row.id, step)}
        calls = [{"title": each.title, "failed": each.failed} for each in step.actions]
        text = step.text.striptags()
        return {"step": step.key, "who": step.who, "text": text, "calls": calls, "at": step.at}

    def _changed_parts(
        self, viewed: Viewed, feed: RunFeed, since: int, form: Literal["html", "json"]
    ) -> list[bytes]:
        sight = feed.sight
        assert sight is not None
        if form == "json":
            pulse = sight.pulse
            names = {"attempt", "phase", "outcome", "cost_usd", "model_turns", "finished_at"}
            return [_event("run", pulse.model_dump(mode="json", include=names))]
        may = viewed.may_act
        return [
            _event("part", {"id": name, "html": html})
            for name, html in sight.parts[may].items()
            if sight.part_versions[may, name] > since
        ]

    # -- commands

    async def _command(self, request: Request) -> Response:
        viewed = await self.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        form = await self.form(request, viewed)
        if isinstance(form, Response):
            return form
        back = form.get("back", "")
        said = await self._said(viewed.row, form)
        if isinstance(said, str):
            return self.answer(request, viewed, 409, said, back=back)
        await self._triggers.enqueue(_signal(viewed, said, form["once"]))
        name = "say" if said.name == "work" else "command"
        return self.answer(request, viewed, 200, NOTICES[name], name, back)

    async def form(self, request: Request, viewed: Viewed) -> dict[str, str] | Response:
        """A form from one of this person's own pages, if they may give commands."""
        form = await read_form(request, max_bytes=_MOST_FORM_BYTES, seconds=_FORM_SECONDS)
        if not is_same(form.get("form", ""), viewed.session.form):
            text = "This form was not submitted from one of these pages. Reload the page."
            return self.answer(request, viewed, 403, text)
        if not viewed.may_act:
            return self.answer(request, viewed, 403, "Commands need write access.")
        if not _ONCE.fullmatch(form.get("once", "")):
            return self.answer(request, viewed, 400, "The form is incomplete. Reload the page.")
        return form

    async def _said(self, row: RunRow, form: Mapping[str, str]) -> Command | str:
        """The command that a form gives, or why it is impossible now."""
        pulse = await pulse_of(self._database, row.id, -1)
        if pulse is None:
            return NOT_HERE
        values = await self._values(row, pulse)
        asked = form.get("do", "")
        if asked == "say":
            if not values["message_label"]:
                return "This run takes no messages: a later run works here."
            return self._written(form.get("task", ""))
        if asked not in [each.command for each in values["buttons"]]:
            return HAS_CHANGED
        sha = row.published_sha or "" if asked == "accept" else ""
        if asked == "merge":
            sha = commit_to_merge(row) or ""
        if sha and form.get("sha", sha) != sha:
            return HAS_CHANGED
        return Command.model_validate({"name": asked, "task": "", "sha": sha})

    def _written(self, text: str) -> Command | str:
        """A message, or the command that it contains, as in a comment on GitHub."""
        text = text.replace("\0", "").replace("\r\n", "\n").strip()
        if not text:
            return "The message is empty."
        if len(text) > _MOST_TASK:
            return f"The message is too long: at most {_MOST_TASK:,} characters."
        return command.parse(text, self._slug) or Command(name="work", task=text)

    def answer(
        self,
        request: Request,
        viewed: Viewed,
        status: int,
        text: str,
        name: str = "",
        back: str = "",
    ) -> Response:
        """The answer to a form: JSON for the page's script, else a page: the inbox where `back`
        says so, or the run's."""
        if "application/json" in request.headers.get("accept", ""):
            return self._renderer.json({"text": text, "once": secrets.token_urlsafe(12)}, status)
        page = "/" if back == "inbox" else f"/runs/{viewed.row.id}"
        if status == 200:
            return RedirectResponse(f"{page}?sent={name}", 303, HEADERS)
        link = (page, "Back")
        return self._renderer.problem(
            status, "Nothing was done", text, session=viewed.session, link=link
        )


NOTICES = {
    "say": "Sent. If Honk can't take it, it answers on GitHub.",
    "command": "Sent. If Honk can't do it, it answers on GitHub.",
    "approved": "Approved on GitHub.",
}


class _AccessGuard:
    """Whether the person of an open stream may still read the repository on GitHub."""

    def __init__(self, pages: RunPages, viewed: Viewed) -> None:
        self._pages = pages
        self._viewed = viewed
        self._asked_at = self._allowed_at = time.monotonic()

    async def may_still_read(self) -> bool:
        """While GitHub does not answer, its last answer counts for half a minute."""
        if self._viewed.session.ends <= time.time():
            return False
        moment = time.monotonic()
        if moment - self._asked_at < ACCESS_SECONDS:
            return True
        self._asked_at = moment
        try:
            access = await self._pages._access(
                self._viewed.session, self._viewed.row, max_age=ACCESS_SECONDS
            )
        except NotSignedInError:
            return False
        except RetryableError:
            return moment - self._allowed_at < 2 * ACCESS_SECONDS
        self._allowed_at = moment
        return access == self._viewed.access


def _fitting(html: list[Markup]) -> int:
    """How many of the last steps fit on the page; at least one if there is any."""
    size = 0
    for number, each in enumerate(reversed(html)):
        size += len(each)
        if size > _PAGE_HTML and number:
            return number
    return len(html)


def _event(name: str, data: Mapping[str, Any], id: str = "") -> bytes:
    written = json.dumps(data, ensure_ascii=False)
    lines = [f"id: {id}"] if id else []
    return "\n".join([*lines, f"event: {name}", f"data: {written}", "", ""]).encode()


def _signal(viewed: Viewed, said: Command, once: str) -> Signal:
    """The command as a button of that name: its handling asks GitHub for the person's rights."""
    session = viewed.session
    return Signal.of_button(
        viewed.row.input.trigger,
        f"page:{viewed.row.id}:{session.id}:{once}",
        run=viewed.row.id,
        actor=Actor(login=session.login, id=session.id, type="User"),
        action=said.name,
        said=said,
    )
