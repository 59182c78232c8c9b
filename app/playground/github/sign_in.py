"""Signing in to an App: `/login/oauth`, with state and PKCE.

Outside contract:
https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.responses import Response as Answered
from starlette.routing import Route

from .accounts import Token, User
from .records import OAuthCode
from .world import Json, World

_CODE_LIFE = timedelta(minutes=10)
_TOKEN_LIFE = timedelta(hours=8)
_REFRESH_LIFE = timedelta(days=184)


class SignInError(Exception):
    """Why sign-in failed: GitHub's error code, and a sentence."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def agree(world: World, user: User, asked: dict[str, str]) -> str:
    """A person authorizes the App; return the redirect URL, with the code and the state.

    `asked` is the App's query. Raises SignInError.
    """
    redirect = _check_question(world, asked)
    code = secrets.token_hex(10)
    expires = world.clock.now() + _CODE_LIFE
    challenge = asked.get("code_challenge")
    world.desk.sign_ins[code] = OAuthCode(user, redirect, challenge, expires)
    more = {"code": code} | ({"state": asked["state"]} if "state" in asked else {})
    return f"{redirect}{'&' if urlsplit(redirect).query else '?'}{urlencode(more)}"


def _check_question(world: World, asked: dict[str, str]) -> str:
    """The URL that a person returns to."""
    if asked.get("client_id") != world.app.client_id:
        raise SignInError("not_found", "There is no App of this client id.")
    known = world.app.callback_urls
    redirect = asked.get("redirect_uri") or (known[0] if known else "")
    if not redirect or (known and not any(_belongs(redirect, one) for one in known)):
        words = "The redirect_uri is not associated with this application."
        raise SignInError("redirect_uri_mismatch", words)
    if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
        words = "The code_challenge_method must be S256."
        raise SignInError("invalid_request", words)
    return redirect


def _belongs(url: str, registered: str) -> bool:
    """Host and port are the registered ones, and the path is below."""
    one, other = urlsplit(url), urlsplit(registered)
    same = (one.scheme, one.netloc) == (other.scheme, other.netloc)
    return same and (one.path == other.path or one.path.startswith(other.path.rstrip("/") + "/"))


def token_for(world: World, given: dict[str, str]) -> Json:
    """Exchange a code or a refresh token for a token. Raises SignInError."""
    if given.get("client_id") != world.app.client_id or not hmac.compare_digest(
        given.get("client_secret", "").encode(), world.app.client_secret.encode()
    ):
        words = "The client_id and/or client_secret passed are incorrect."
        raise SignInError("incorrect_client_credentials", words)
    if given.get("grant_type") == "refresh_token":
        return _new_token(world, _refreshed(world, given))
    return _new_token(world, _signed_in(world, given))


def _refreshed(world: World, given: dict[str, str]) -> User:
    found = world.desk.refreshes.pop(given.get("refresh_token", ""), None)
    if found is None or found[1] <= world.clock.now():
        words = "The refresh token passed is incorrect or expired."
        raise SignInError("bad_refresh_token", words)
    return found[0]


def _signed_in(world: World, given: dict[str, str]) -> User:
    # A code can be used only once, even if that fails.
    found = world.desk.sign_ins.pop(given.get("code", ""), None)
    if found is None or found.expires_at <= world.clock.now():
        raise SignInError("bad_verification_code", "The code passed is incorrect or expired.")
    if given.get("redirect_uri", found.redirect_uri) != found.redirect_uri:
        words = "The redirect_uri MUST match the registered callback URL for this application."
        raise SignInError("redirect_uri_mismatch", words)
    if found.challenge is not None:
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=")
        if not hmac.compare_digest(proof, found.challenge.encode()):
            raise SignInError("bad_verification_code", "The code_verifier is incorrect.")
    return found.user


def _new_token(world: World, user: User) -> Json:
    now = world.clock.now()
    text, refresh = f"ghu_{secrets.token_hex(18)}", f"ghr_{secrets.token_hex(38)}"
    world.tokens[text] = Token(text, user, now + _TOKEN_LIFE, via_app=True)
    world.desk.refreshes[refresh] = (user, now + _REFRESH_LIFE)
    return {
        "access_token": text,
        "expires_in": int(_TOKEN_LIFE.total_seconds()),
        "refresh_token": refresh,
        "refresh_token_expires_in": int(_REFRESH_LIFE.total_seconds()),
        "scope": "",
        "token_type": "bearer",
    }


# -- pages


def routes(world: World) -> list[Route]:
    """Where people are sent, and where the App fetches what they agreed to."""

    async def ask(request: Request) -> Answered:
        asked = dict(request.query_params)
        try:
            _check_question(world, asked)
        except SignInError as problem:
            return PlainTextResponse(problem.words, 404)
        return HTMLResponse(_page(world, request.url.query))

    async def agreed(request: Request) -> Answered:
        user = world.users.get(dict(parse_qsl((await request.body()).decode())).get("login", ""))
        if user is None or user.type != "User":
            return PlainTextResponse("There is no user with this name.", 422)
        try:
            return RedirectResponse(agree(world, user, dict(request.query_params)), 302)
        except SignInError as problem:
            return PlainTextResponse(problem.words, 404)

    async def give(request: Request) -> Answered:
        text = (await request.body()).decode()
        is_json = "json" in request.headers.get("content-type", "")
        body = dict(await request.json()) if is_json else dict(parse_qsl(text))
        try:
            response = token_for(world, dict(request.query_params) | body)
        except SignInError as problem:
            # GitHub says so with status 200.
            response = {"error": problem.code, "error_description": problem.words}
        if "json" in request.headers.get("accept", ""):
            return JSONResponse(response)
        return Answered(urlencode(response), media_type="application/x-www-form-urlencoded")

    return [
        Route("/login/oauth/authorize", ask, methods=["GET"]),
        Route("/login/oauth/authorize", agreed, methods=["POST"]),
        Route("/login/oauth/access_token", give, methods=["POST"]),
    ]


def _page(world: World, query: str) -> str:
    people = [user.login for user in world.users.values() if user.type == "User"]
    buttons = "".join(
        f'<p><button name="login" value="{escape(login.lower())}">{escape(login)}</button></p>'
        for login in people
    )
    name = escape(world.app.name or world.app.slug)
    return (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>Sign in to {name}</title><h1>Sign in to {name}</h1>"
        f'<form method=post action="?{escape(query)}">{buttons}</form></html>'
    )
