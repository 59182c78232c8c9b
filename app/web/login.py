"""Signing in with GitHub, and out again.

    /login ─> /login/start ─> GitHub ─> /login/callback ─> where they wanted to go

State and verifier (PKCE) stay with the visitor in a sealed cookie: whoever did not begin here, in
this browser, is not let in at the end, and a code that was overheard is worth nothing.
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import structlog
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app import log_events
from app.errors import RetryableError
from app.github.people import NotSignedInError, People
from app.web.rendering import HEADERS, Renderer
from app.web.repository_access import RepositoryAccess
from app.web.sessions import Cookies, SigningIn, WebSession

CALLBACK_PATH = "/login/callback"

_OUR_PAGES = re.compile(r"/runs(?:/[a-z2-7]{1,32})?")
_MOST_FORM_BYTES = 4096
_FORM_SECONDS = 5.0

_log = structlog.get_logger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class AuthMiddleware:
    """Where people come in and leave, and who they are meanwhile."""

    people: People
    readers: RepositoryAccess
    cookies: Cookies
    shower: Renderer

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/login", self.guarded(self._ask)),
            Route("/login/start", self.guarded(self._start)),
            Route(CALLBACK_PATH, self.guarded(self._come_back)),
            Route("/logout", self.guarded(self._leave), methods=["POST"]),
        ]

    def session(self, request: Request) -> WebSession | None:
        """Who is signed in, by what they carry."""
        return self.cookies.read(request, WebSession)

    def to_login(self, request: Request) -> Response:
        """The way to the door, and back to this page afterwards."""
        response = _go_to("/login", then=request.url.path)
        self.cookies.take(response, WebSession)
        return response

    def guarded(self, handler: Handler) -> Handler:
        """What GitHub refuses or leaves unanswered is told in words."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except NotSignedInError as problem:
                _log.info(log_events.SIGN_IN_REFUSED, path=request.url.path, why=str(problem))
                return self._not_signed_in(request, str(problem))
            except RetryableError as problem:
                _log.warning(log_events.PAGE_UNAVAILABLE, path=request.url.path, why=str(problem))
                return self.shower.problem(
                    503, "Not now", f"{problem} Try again in a minute; nothing is lost."
                )

        return answer

    # -- the steps

    async def _ask(self, request: Request) -> Response:
        then = _ours(request.query_params.get("then", ""))
        if self.session(request) is not None:
            return RedirectResponse(then, 303, HEADERS)
        return self.shower.page("login.html", session=None, then=then)

    async def _start(self, request: Request) -> Response:
        then = _ours(request.query_params.get("then", ""))
        beginning = SigningIn.begin(then, self.cookies.now())
        url = self.people.sign_in_url(beginning.state, beginning.verifier)
        response = RedirectResponse(url, 303, HEADERS)
        self.cookies.give(response, beginning)
        return response

    async def _come_back(self, request: Request) -> Response:
        beginning = self.cookies.read(request, SigningIn)
        given = request.query_params
        if beginning is None or not _same(given.get("state", ""), beginning.state):
            raise NotSignedInError("This sign-in was not begun here, or too long ago.")
        if "error" in given or not given.get("code"):
            raise NotSignedInError("You did not agree on GitHub, so nobody is signed in.")
        token = await self.people.token_for(given["code"], beginning.verifier)
        person = await self.people.who(token.value)
        session = WebSession(
            login=person.login,
            id=person.id,
            token=token.value.get_secret_value(),
            form=secrets.token_urlsafe(24),
            ends=self.cookies.now() + token.seconds,
        )
        response = RedirectResponse(beginning.then, 303, HEADERS)
        self.cookies.take(response, SigningIn)
        self.cookies.give(response, session)
        _log.info(log_events.SIGNED_IN, login=person.login)
        return response

    async def _leave(self, request: Request) -> Response:
        session = self.session(request)
        if session is None:
            return _go_to("/login")
        if not _same((await _form(request)).get("form", ""), session.form):
            return self.shower.problem(
                403, "Not from here", "This form did not come from one of these pages."
            )
        await self._end(session)
        response = _go_to("/login")
        self.cookies.take(response, WebSession)
        return response

    async def _end(self, session: WebSession) -> None:
        """Whoever has a copy of the cookie is out too: GitHub takes the token back."""
        self.readers.forget(session.token)
        try:
            await self.people.forget(SecretStr(session.token))
        except RetryableError as problem:
            _log.warning(log_events.USER_TOKEN_REVOCATION_FAILED, why=str(problem))

    def _not_signed_in(self, request: Request, words: str) -> Response:
        if request.url.path != CALLBACK_PATH:
            return self.to_login(request)
        link = ("/login", "Sign in again")
        response = self.shower.problem(400, "Not signed in", words, link=link)
        self.cookies.take(response, SigningIn)
        return response


def _ours(then: str) -> str:
    """A page of this site; a link from elsewhere cannot lead people on to another one."""
    return then if _OUR_PAGES.fullmatch(then) else "/runs"


def _go_to(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303, HEADERS)


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), kept.encode())


async def _form(request: Request) -> dict[str, str]:
    """A small form; one that is too long, too slow or broken off is an empty one."""
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST_FORM_BYTES:
                    return {}
    except (TimeoutError, ClientDisconnect):
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))
