"""Signing in with GitHub, and signing out.

    /login ─> /login/start ─> GitHub ─> /login/callback ─> the page they wanted

The OAuth state and the PKCE verifier live in an encrypted cookie of the visitor. So only the
browser that started a sign-in can finish it, and an intercepted code is useless.
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import structlog
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app import log_events
from app.errors import RetryableError
from app.github.people import NotSignedInError, People
from app.web.forms import is_same, read_form
from app.web.rendering import HEADERS, Renderer
from app.web.repository_access import RepositoryAccess
from app.web.sessions import Cookies, SigningIn, WebSession

CALLBACK_PATH = "/login/callback"

_OUR_PAGES = re.compile(
    r"/|/usage|/slack|/runs(?:/[a-z2-7]{1,32})?|/attestations/[0-9a-f]{32}"
    r"|/builds/[a-z2-7]{32}|/repos/[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}"
)
_MOST_FORM_BYTES = 4096
_FORM_SECONDS = 5.0

_log = structlog.get_logger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class AuthMiddleware:
    """Sign-in routes and sessions. `guarded` wraps handlers that need GitHub."""

    people: People
    access: RepositoryAccess
    cookies: Cookies
    renderer: Renderer

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/login", self.guarded(self._login_page)),
            Route("/login/start", self.guarded(self._start)),
            Route(CALLBACK_PATH, self.guarded(self._callback)),
            Route("/logout", self.guarded(self._logout), methods=["POST"]),
        ]

    def session(self, request: Request) -> WebSession | None:
        """The session in the request's cookie, if any."""
        return self.cookies.read(request, WebSession)

    def to_login(self, request: Request) -> Response:
        """Redirect to the sign-in page, and back to this page afterward."""
        response = _go_to("/login", then=request.url.path)
        self.cookies.delete(response, WebSession)
        return response

    def guarded(self, handler: Handler) -> Handler:
        """Wrap a handler so that GitHub's refusals and outages become pages."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except NotSignedInError as problem:
                _log.info(log_events.SIGN_IN_REFUSED, path=request.url.path, why=str(problem))
                return self._not_signed_in(request, str(problem))
            except RetryableError as problem:
                _log.warning(log_events.PAGE_UNAVAILABLE, path=request.url.path, why=str(problem))
                return self.renderer.problem(
                    503, "Temporarily unavailable", f"{problem} Try again in a minute."
                )

        return answer

    # -- the steps

    async def _login_page(self, request: Request) -> Response:
        then = _safe_target(request.query_params.get("then", ""))
        if self.session(request) is not None:
            return RedirectResponse(then, 303, HEADERS)
        return self.renderer.page("login.html", session=None, then=then)

    async def _start(self, request: Request) -> Response:
        then = _safe_target(request.query_params.get("then", ""))
        sign_in = SigningIn.begin(then, self.cookies.now())
        url = self.people.sign_in_url(sign_in.state, sign_in.verifier)
        response = RedirectResponse(url, 303, HEADERS)
        self.cookies.set(response, sign_in)
        return response

    async def _callback(self, request: Request) -> Response:
        sign_in = self.cookies.read(request, SigningIn)
        given = request.query_params
        if sign_in is None or not is_same(given.get("state", ""), sign_in.state):
            raise NotSignedInError("This sign-in has expired or was started in another browser.")
        if "error" in given or not given.get("code"):
            raise NotSignedInError("Authorization was denied on GitHub.")
        token = await self.people.token_for(given["code"], sign_in.verifier)
        person = await self.people.who(token.value)
        session = WebSession(
            login=person.login,
            id=person.id,
            token=token.value.get_secret_value(),
            form=secrets.token_urlsafe(24),
            ends=self.cookies.now() + token.seconds,
        )
        response = RedirectResponse(sign_in.then, 303, HEADERS)
        self.cookies.delete(response, SigningIn)
        self.cookies.set(response, session)
        _log.info(log_events.SIGNED_IN, login=person.login)
        return response

    async def _logout(self, request: Request) -> Response:
        session = self.session(request)
        if session is None:
            return _go_to("/login")
        form = await read_form(request, max_bytes=_MOST_FORM_BYTES, seconds=_FORM_SECONDS)
        if not is_same(form.get("form", ""), session.form):
            return self.renderer.problem(
                403, "Forbidden", "This form was not submitted from one of these pages."
            )
        await self._revoke(session)
        response = _go_to("/login")
        self.cookies.delete(response, WebSession)
        return response

    async def _revoke(self, session: WebSession) -> None:
        """Revoke the user's GitHub token, so that copies of the cookie stop working too."""
        self.access.forget(session.token)
        try:
            await self.people.forget(SecretStr(session.token))
        except RetryableError as problem:
            _log.warning(log_events.USER_TOKEN_REVOCATION_FAILED, why=str(problem))

    def _not_signed_in(self, request: Request, text: str) -> Response:
        if request.url.path != CALLBACK_PATH:
            return self.to_login(request)
        link = ("/login", "Sign in again")
        response = self.renderer.problem(400, "Not signed in", text, link=link)
        self.cookies.delete(response, SigningIn)
        return response


def _safe_target(then: str) -> str:
    """The given path if it is one of our pages, else /runs: prevents open redirects."""
    return then if _OUR_PAGES.fullmatch(then) else "/runs"


def _go_to(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303, HEADERS)
