"""The pages of `honk init`, on loopback, for one browser.

    /start/TOKEN ─> / ─> /create ─> GitHub ─> /created?code&state ─> /

The link in the terminal works once: the browser that opens it first gets the cookie that everything
else needs. GitHub's answer counts only in that browser, and each state only once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from markupsafe import Markup
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.errors import HonkError, UserError
from app.installer import manifest
from app.installer.manifest import Intake
from app.installer.wizard import InstallProgress, Wizard, choice_of
from app.settings import Settings
from app.web.forms import is_same, read_form
from app.web.rendering import HEADERS, STATIC, redacted, templates_in

_HERE = Path(__file__).parent
_HOSTS = ("127.0.0.1", "localhost", "::1")
_MOST_FORM_BYTES = 16_384
_FORM_SECONDS = 10.0
_MOST_STATES = 8
_INTAKES: Mapping[str, Intake] = {"webhook": "webhook", "log": "log", "poll": "poll"}

FIRST_ISSUE_TITLE = "Say in the README how to run the tests"
FIRST_ISSUE_BODY = (
    "Add a short section to the README: how to install what this project needs, and how to run its "
    "tests.\n"
)

Handler = Callable[[Request], Awaitable[Response]]


class ForbiddenError(UserError):
    """The request does not come from the browser that this page belongs to."""


@dataclass
class Visitor:
    """The one browser. `states` are those of forms for GitHub whose answer has not come yet."""

    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    form: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    states: list[str] = field(default_factory=list)
    without_model: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    """What was typed about the App, to be corrected."""
    said: str = ""
    """A problem with the last action; the next page shows it at the top."""

    def new_state(self) -> str:
        """A state for one more form; the oldest ones are forgotten."""
        self.states = [*self.states[1 - _MOST_STATES :], secrets.token_urlsafe(24)]
        return self.states[-1]

    def use_state(self, given: str) -> bool:
        """Whether the state was given to this browser and is used for the first time."""
        found = [each for each in self.states if is_same(given, each)]
        for each in found:
            self.states.remove(each)
        return bool(found)


class InstallerPages:
    """The application. `token` is in the first link; `local_url` is where `honk serve` listens."""

    def __init__(
        self,
        wizard: Wizard,
        token: str,
        local_url: str,
        *,
        visitor: Callable[[], Visitor] = Visitor,
    ) -> None:
        self._wizard = wizard
        self._token = token
        self._local_url = local_url
        self._new_visitor = visitor
        self._visitor: Visitor | None = None
        self._secrets: frozenset[str] = frozenset()
        self._environment = templates_in(
            _HERE / "templates", lambda value: redacted(value, self._secrets)
        )

    def app(self) -> Starlette:
        """The ASGI application."""
        posts = {
            "/choose": self._choose,
            "/again": self._again,
            "/key": self._key,
            "/without-model": self._without_model,
            "/intake": self._intake,
            "/deliveries": self._deliveries,
            "/doctor": self._doctor,
            "/probe": self._probe,
        }
        application = Starlette(
            routes=[
                Mount("/static", StaticFiles(directory=STATIC)),
                Mount("/assets", StaticFiles(directory=_HERE / "static")),
                Route("/start/{token}", self._guarded(self._start, known=False)),
                Route("/", self._guarded(self._overview)),
                Route("/create", self._guarded(self._create)),
                Route("/created", self._guarded(self._created)),
                *(
                    Route(path, self._guarded(self._posted(handler)), methods=["POST"])
                    for path, handler in posts.items()
                ),
            ]
        )
        application.router.redirect_slashes = False
        return application

    # -- access

    def _guarded(self, handler: Handler, *, known: bool = True) -> Handler:
        """Answer only this machine's own browser; `known`: only with the cookie."""

        async def answer(request: Request) -> Response:
            try:
                _check_host(request)
                if known:
                    self._check_visitor(request)
                return await handler(request)
            except ForbiddenError as problem:
                return self._problem(403, problem)
            except HonkError as problem:
                return self._problem(400, problem)

        return answer

    def _check_visitor(self, request: Request) -> None:
        if self._visitor_of(request) is None:
            raise ForbiddenError(
                "This page belongs to the browser that opened the link in the terminal.",
                next_step="Stop `honk init` with Ctrl-C and start it again for a new link.",
            )

    def _posted(self, handler: Callable[[Mapping[str, str]], Awaitable[str]]) -> Handler:
        """A form: what it does, and the page that follows."""

        async def answer(request: Request) -> Response:
            visitor, given = (
                self._known,
                await read_form(request, max_bytes=_MOST_FORM_BYTES, seconds=_FORM_SECONDS),
            )
            origin = request.headers.get("origin")
            if origin is not None and origin != f"http://{request.headers['host']}":
                raise ForbiddenError("This form was sent by another site.")
            if not is_same(given.get("form", ""), visitor.form):
                raise ForbiddenError(
                    "This form is from an earlier start.", next_step="Load the page again."
                )
            try:
                target = await handler(given)
            except HonkError as problem:
                visitor.said, target = str(problem), "/"
            return _go_to(target)

        return answer

    @property
    def _known(self) -> Visitor:
        assert self._visitor is not None, "guarded"
        return self._visitor

    def _visitor_of(self, request: Request) -> Visitor | None:
        visitor = self._visitor
        given = request.cookies.get(_cookie_name(request), "")
        return visitor if visitor is not None and is_same(given, visitor.cookie) else None

    async def _start(self, request: Request) -> Response:
        if not is_same(request.path_params["token"], self._token):
            raise ForbiddenError("This link is not from the `honk init` that runs here.")
        if self._visitor_of(request) is not None:
            return _go_to("/")
        if self._visitor is not None:
            raise ForbiddenError(
                "This link was already opened in another browser.",
                next_step="Stop `honk init` with Ctrl-C and start it again for a new link.",
            )
        self._visitor = self._new_visitor()
        response = _go_to("/")
        # GitHub's redirect back is cross-site, so a strict cookie would not be sent.
        response.set_cookie(
            _cookie_name(request), self._visitor.cookie, httponly=True, samesite="lax", path="/"
        )
        return response

    # -- pages

    async def _overview(self, request: Request) -> Response:
        visitor, wizard = self._known, self._wizard
        progress = await wizard.progress()
        ready = progress.step == "ready" or (progress.step == "model" and visitor.without_model)
        if ready and not wizard.doctor.runs and wizard.doctor.result is None:
            wizard.check_all()
        if ready and progress.settings.intake != "webhook" and not _was_tried(wizard):
            wizard.check_deliveries()
        works = (wizard.doctor, wizard.deliveries, wizard.probe)
        live = progress.step == "install" or (ready and any(each.runs for each in works))
        said, visitor.said = visitor.said, ""
        return self._page(
            "wizard.html",
            settings=progress.settings,
            wizard=wizard,
            visitor=visitor,
            progress=progress,
            ready=ready,
            live=live,
            said=said,
            local_url=self._local_url,
            webhook_path=manifest.WEBHOOK_PATH,
            issues=_first_issues(progress),
        )

    async def _create(self, request: Request) -> Response:
        """The form that is sent to GitHub, with a new state and a new name each time."""
        choice = self._wizard.choice
        body = manifest.manifest(
            name=manifest.suggested_name(choice.organization),
            intake=choice.intake,
            public_url=choice.public_url,
            redirect_url=f"http://{request.headers['host']}/created",
            local_url=self._local_url,
        )
        state = self._known.new_state()
        return self._page(
            "create.html",
            action=manifest.form_url(choice.server_url, choice.organization, state),
            manifest=Markup.escape(json.dumps(body)),
            name=body["name"],
            choice=choice,
            sends_to=choice.server_url,
        )

    async def _created(self, request: Request) -> Response:
        """GitHub sends the browser back here. The code is exchanged before anything else."""
        given = request.query_params
        if not self._known.use_state(given.get("state", "")):
            raise ForbiddenError(
                "This answer from GitHub was already used, or is for another start of `honk init`.",
                next_step="If GitHub did create an App, delete it there and start over.",
            )
        try:
            await self._wizard.take(given.get("code", ""))
        except HonkError as problem:
            self._known.said = str(problem)
        return _go_to("/")

    # -- forms

    async def _choose(self, given: Mapping[str, str]) -> str:
        self._known.given = given
        intake = _INTAKES.get(given.get("intake", ""), "poll")
        address = given.get("address", "")
        await self._wizard.choose(
            choice_of(given.get("server", ""), given.get("organization", ""), intake, address)
        )
        return "/create"

    async def _again(self, given: Mapping[str, str]) -> str:
        """Finish what was interrupted after GitHub created the App."""
        if self._wizard.unsaved is not None:
            self._wizard.save()
        elif self._wizard.code:
            await self._wizard.take(self._wizard.code)
        return "/"

    async def _key(self, given: Mapping[str, str]) -> str:
        key = given.get("key", "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise UserError(
                "That is not an API key.", next_step="Paste it as the Console shows it."
            )
        problem = await self._wizard.use_key(SecretStr(key))
        if problem:
            raise UserError(f"The key was not saved. {problem}")
        return "/"

    async def _without_model(self, given: Mapping[str, str]) -> str:
        self._known.without_model = True
        return "/"

    async def _intake(self, given: Mapping[str, str]) -> str:
        chosen = _INTAKES.get(given.get("intake", ""))
        if chosen is None:
            raise UserError("Choose how events reach Honk.")
        self._wizard.use_intake(chosen)
        self._wizard.check_deliveries()
        return "/#deliveries"

    async def _deliveries(self, given: Mapping[str, str]) -> str:
        self._wizard.check_deliveries()
        return "/#deliveries"

    async def _doctor(self, given: Mapping[str, str]) -> str:
        self._wizard.check_all()
        return "/#doctor"

    async def _probe(self, given: Mapping[str, str]) -> str:
        progress = await self._wizard.progress()
        self._wizard.try_repository(given.get("repository", ""), progress.repositories)
        return "/#try"

    # -- rendering

    def _page(
        self, template: str, status: int = 200, sends_to: str = "", **values: Any
    ) -> Response:
        self._secrets = frozenset(_secrets(values.get("settings")))
        text = self._environment.get_template(template).render(
            {"form": self._visitor.form if self._visitor else "", **values}
        )
        return HTMLResponse(text, status, _headers(sends_to))

    def _problem(self, status: int, problem: HonkError) -> Response:
        text = problem.message if isinstance(problem, UserError) else str(problem)
        next_step = problem.next_step if isinstance(problem, UserError) else ""
        return self._page("problem.html", status, text=text, next_step=next_step)


def _secrets(found: Settings | None) -> set[str]:
    return set() if found is None else found.secrets()


def _headers(sends_to: str) -> dict[str, str]:
    """`sends_to` is the GitHub server that a page's form goes to, or empty."""
    policy = HEADERS["content-security-policy"]
    if sends_to:
        policy = policy.replace("form-action 'self'", f"form-action 'self' {sends_to}")
    return HEADERS | {
        "content-security-policy": policy,
        "cache-control": "no-store",
        # GitHub sees that its form comes from this machine, never a path with a code in it.
        "referrer-policy": "strict-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _check_host(request: Request) -> None:
    """A name that another site points at this machine is refused (DNS rebinding)."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in _HOSTS:
        raise ForbiddenError(
            "This page only answers to 127.0.0.1.", next_step="Open the link from the terminal."
        )


def _cookie_name(request: Request) -> str:
    """Cookies ignore ports: with the port in the name, two starts keep separate cookies."""
    return f"honk-init-{urlsplit('//' + request.headers['host']).port or 80}"


def _go_to(path: str) -> Response:
    return RedirectResponse(path, 303, _headers(""))


def _was_tried(wizard: Wizard) -> bool:
    work = wizard.deliveries
    return work.runs or work.result is not None or bool(work.problem)


def _first_issues(progress: InstallProgress) -> list[tuple[str, str]]:
    """Each repository with the link that opens a first issue on it, filled in."""
    query = urlencode({"title": FIRST_ISSUE_TITLE, "body": FIRST_ISSUE_BODY})
    server = progress.settings.github_server_url
    return [(name, f"{server}/{quote(name)}/issues/new?{query}") for name in progress.repositories]
