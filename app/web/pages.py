"""The pages about runs for people, and `/api/runs` for programs.

A run is visible to those who can read its repository on GitHub; for anybody else it does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app import log_events, messages
from app.domain.run import Outcome
from app.domain.values import RepoName
from app.github.people import People, client_of
from app.outgoing import Outgoing
from app.settings import Settings
from app.store.attestations import Attestations
from app.store.builds import BuildStore
from app.store.database import Database, now
from app.store.previews import PreviewStore
from app.store.run_lists import RunFilter, RunLists
from app.store.runs import RunLine, Runs
from app.store.slack import SlackStore
from app.web.attestations import DOWNLOAD_PATH, AttestationDownloads, key_route
from app.web.builds import PAGE_PATH, BuildPages
from app.web.inbox import InboxPages
from app.web.login import CALLBACK_PATH, AuthMiddleware
from app.web.rendering import STATIC, Renderer, stamp
from app.web.repository_access import RepositoryAccess
from app.web.repository_page import RepositoryPages
from app.web.run_page import RunPages
from app.web.run_values import tone
from app.web.sessions import Cookies, WebSession
from app.web.slack_pages import SlackPages
from app.web.state_images import StateImages
from app.web.usage import UsagePages
from app.web.webhook import TriggerSink

_PAGE_SIZE = 50
_LONGEST_FILTER = 200
_SCANNED_ROWS = 200
"""Rows read to fill one list; most of them may belong to repositories the person cannot read."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_pages(
    settings: Settings, database: Database, triggers: TriggerSink, stop: asyncio.Event
) -> AsyncIterator[list[BaseRoute]]:
    """The pages' routes; when sign-in is not configured, pages that say so. Raises UserError.

    Commands go to `triggers`. When `stop` is set, open streams end.
    """
    renderer = Renderer(settings.secrets(), now)
    attestations = Attestations(database)
    keys = key_route(attestations)
    states = StateImages(Runs(database)).route()
    sign_in = settings.sign_in()
    if sign_in is None:
        _log.info(log_events.PAGES_DISABLED, why=_CLOSED)
        yield [keys, states, *_disabled_pages(renderer)]
        return
    async with client_of(Outgoing.of(settings)) as client:
        public = settings.public_url
        people = People(
            client,
            settings.github_server_url,
            settings.github_api_url,
            sign_in.client_id,
            sign_in.client_secret,
            back=f"{public}{CALLBACK_PATH}" if public else None,
        )
        cookies = Cookies(sign_in.session_secret, is_secure=settings.is_https, clock=now)
        auth = AuthMiddleware(people, RepositoryAccess(people), cookies, renderer)
        github = settings.github_server_url
        pages = Pages(auth, RunLists(database), github, public or "")
        run_pages = RunPages(auth, database, triggers, settings.github_app_slug, github, stop)
        downloads = AttestationDownloads(auth, attestations)
        inbox = InboxPages(auth, people, database, run_pages, github)
        builds = BuildPages(
            auth,
            BuildStore(database),
            PreviewStore(database),
            sign_in.session_secret,
            public or "",
            github,
        )
        routes = [*inbox.routes(), *pages.routes(), *run_pages.routes(), downloads.route()]
        routes += builds.routes()
        routes += UsagePages(auth, database).routes()
        routes += RepositoryPages(auth, database, github).routes()
        if settings.slack != "off":
            routes += SlackPages(auth, SlackStore(database)).routes()
        yield [keys, states, *_static(), *auth.routes(), *routes]


_CLOSED = (
    "Sign-in is not configured: set GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and HONK_SESSION_SECRET."
)


def _disabled_pages(renderer: Renderer) -> list[BaseRoute]:
    async def closed(_request: Request) -> Response:
        return renderer.problem(503, "Pages are disabled", _CLOSED)

    async def closed_api(_request: Request) -> Response:
        return renderer.json({"error": _CLOSED}, 503)

    seen = ("/usage", "/runs", "/runs/{run}", DOWNLOAD_PATH, PAGE_PATH)
    paths = (*seen, "/login", "/login/start", CALLBACK_PATH)
    return [*_static(), Route("/api/runs", closed_api), *(Route(path, closed) for path in paths)]


def _static() -> list[BaseRoute]:
    return [Mount("/static", StaticFiles(directory=STATIC))]


@dataclass(frozen=True)
class Pages:
    """The lists of runs. `server_url` is GitHub's base URL, `public_url` our own, or empty."""

    auth: AuthMiddleware
    lists: RunLists
    server_url: str
    public_url: str

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/runs", self.auth.guarded(self._list)),
            Route("/api/runs", self.auth.guarded(self._list_json)),
        ]

    async def _list(self, request: Request) -> Response:
        session = self.auth.session(request)
        if session is None:
            return self.auth.to_login(request)
        given, before = _filter(request), _moment(request)
        running, queued = ([], []) if before is not None else await self._live(session, given)
        lines, older = await self._finished(session, given, before)
        again = {name: value for name, value in request.query_params.items() if name != "before"}
        return self.auth.renderer.page(
            "runs.html",
            session=session,
            groups=[
                (name, [_line(line) for line in found])
                for name, found in (("Running", running), ("Waiting", queued), ("Finished", lines))
                if found
            ],
            given=given,
            outcomes=[(each.value, text) for each, text in messages.formatting.HEADLINES.items()],
            repository=given.repository,
            setup_url=self._setup_url(given.repository),
            setup_command=messages.probe.SETUP_COMMAND,
            older=f"/runs?{urlencode({**again, 'before': older})}" if older else "",
            live=bool(running or queued),
        )

    def _setup_url(self, repository: str) -> str:
        """A new issue on GitHub that says what to comment; "" for the list of all repositories.

        GitHub decides who may open it, and intake whether the comment may start a run.
        https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/creating-an-issue#creating-an-issue-from-a-url-query
        """
        if not repository:
            return ""
        title, body = messages.probe.setup_issue()
        query = urlencode({"title": title, "body": body})
        return f"{self.server_url}/{repository}/issues/new?{query}"

    async def _list_json(self, request: Request) -> Response:
        session = self.auth.session(request)
        if session is None:
            return self.auth.renderer.json({"error": "Sign in at /login first."}, 401)
        given, before = _filter(request), _moment(request)
        running, queued = ([], []) if before is not None else await self._live(session, given)
        lines, older = await self._finished(session, given, before)
        newest = sorted([*running, *queued, *lines], key=lambda line: -line.created_at)
        found = [_line_json(line, self.public_url) for line in newest]
        return self.auth.renderer.json({"runs": found, "older": older})

    async def _live(
        self, session: WebSession, given: RunFilter
    ) -> tuple[list[RunLine], list[RunLine]]:
        """The running and the queued runs that the person may see."""
        if given.outcome is not None:
            return [], []
        found = await asyncio.gather(
            self.lists.live("running", given, _SCANNED_ROWS),
            self.lists.live("queued", given, _SCANNED_ROWS),
        )
        running, queued = [await self._readable(session, lines) for lines in found]
        return running[:_PAGE_SIZE], queued[:_PAGE_SIZE]

    async def _finished(
        self, session: WebSession, given: RunFilter, before: float | None
    ) -> tuple[list[RunLine], float | None]:
        """The newest finished runs that the person may see, and where older ones begin, if any."""
        window = await self.lists.finished(given, _SCANNED_ROWS, before=before)
        lines = await self._readable(session, window.lines)
        if len(lines) > _PAGE_SIZE:
            return lines[:_PAGE_SIZE], lines[_PAGE_SIZE - 1].created_at
        return lines, window.older

    async def _readable(self, session: WebSession, lines: Sequence[RunLine]) -> list[RunLine]:
        readable = await self.auth.access.readable(
            session.token, [(line.repository, line.repository_id) for line in lines]
        )
        return [line for line in lines if line.repository_id in readable]


def _line(line: RunLine) -> dict[str, Any]:
    state = messages.formatting.state(line.phase, line.outcome, line.mode)
    return {"run": line, "state": state, "tone": tone(line.outcome)}


def _line_json(line: RunLine, public_url: str) -> dict[str, Any]:
    fields = line.model_dump(mode="json", exclude={"created_at", "finished_at", "repository_id"})
    return {
        **fields,
        "created_at": stamp(line.created_at),
        "finished_at": stamp(line.finished_at) if line.finished_at is not None else None,
        "url": f"{public_url}/runs/{line.id}",
    }


def _filter(request: Request) -> RunFilter:
    """The filter in the address; what is not valid does not count."""
    given = request.query_params
    outcome = given.get("outcome", "")
    return RunFilter(
        repository=_repository(given.get("repo", "")),
        actor=given.get("by", "").strip()[:_LONGEST_FILTER],
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        label=given.get("label", "").strip()[:_LONGEST_FILTER],
        text=given.get("q", "").strip()[:_LONGEST_FILTER],
    )


def _repository(name: str) -> str:
    try:
        return str(RepoName.parse(name.strip()))
    except ValueError:
        return ""


def _moment(request: Request) -> float | None:
    try:
        return float(request.query_params["before"])
    except (KeyError, ValueError):
        return None
