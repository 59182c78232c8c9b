"""`auth.*`, `apps.*` and `openid.*`: tokens, Socket Mode, and signing in with Slack.

Outside contract: https://docs.slack.dev/authentication
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from urllib.parse import urlencode, urlsplit

import jwt

from . import events
from .calls import SlackCall, SlackMethod
from .refusals import SlackRefusal
from .world import Json, SlackSignIn, SlackToken, SlackUser, SlackWorld

CODE_SECONDS = 600


class SlackSignInError(Exception):
    """Why Slack shows an error page instead of asking the person."""


def agree(world: SlackWorld, user: SlackUser, asked: dict[str, str]) -> str:
    """A person allows the App to know who they are; return the redirect, with code and state.

    `asked` is the App's query at `/openid/connect/authorize`. Raises SlackSignInError.
    """
    if asked.get("client_id") != world.app.client_id:
        raise SlackSignInError("Invalid client_id parameter.")
    if asked.get("response_type") != "code":
        raise SlackSignInError("Invalid response_type parameter.")
    scopes = tuple(asked.get("scope", "").replace(",", " ").split())
    if "openid" not in scopes:
        raise SlackSignInError("Invalid permissions requested: the scope openid is missing.")
    redirect, known = asked.get("redirect_uri", ""), world.app.redirect_urls
    if not redirect or (known and not redirect.startswith(known)):
        raise SlackSignInError("redirect_uri did not match any configured URIs.")
    if asked.get("team") and asked["team"] != user.team.id:
        raise SlackSignInError("You are not signed in to this workspace.")
    code = f"{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
    world.sign_ins[code] = SlackSignIn(user, redirect, asked.get("nonce", ""), scopes, world.now())
    more = {"code": code} | ({"state": asked["state"]} if "state" in asked else {})
    return f"{redirect}{'&' if urlsplit(redirect).query else '?'}{urlencode(more)}"


async def connect_token(call: SlackCall) -> Json:
    app = call.world.app
    client, secret = _client(call)
    if client != app.client_id:
        raise SlackRefusal("invalid_client_id")
    if not hmac.compare_digest(secret.encode(), app.client_secret.encode()):
        raise SlackRefusal("bad_client_secret")
    sign_in = call.world.sign_ins.pop(call.text("code"), None)
    if sign_in is None or call.world.now() - sign_in.at > CODE_SECONDS:
        raise SlackRefusal("invalid_code")
    if call.text("redirect_uri") != sign_in.redirect_uri:
        raise SlackRefusal("bad_redirect_uri")
    token = SlackToken(call.world.new_token("xoxp"), sign_in.user, sign_in.scopes)
    call.world.tokens[token.text] = token
    claims = _claims(sign_in.user, sign_in.scopes) | _token_claims(call.world, token)
    if sign_in.nonce:
        claims["nonce"] = sign_in.nonce
    id_token = jwt.encode(claims, call.world.signing_key, "RS256", headers={"kid": "playground"})
    return {"access_token": token.text, "token_type": "Bearer", "id_token": id_token}


def _client(call: SlackCall) -> tuple[str, str]:
    """The App's id and secret: arguments, or HTTP basic authentication."""
    basic = call.text("_basic")
    if basic:
        client, _, secret = base64.b64decode(basic).decode("utf-8", "replace").partition(":")
        return client, secret
    return call.text("client_id"), call.text("client_secret")


def _token_claims(world: SlackWorld, token: SlackToken) -> Json:
    now = int(time.time())
    half = hashlib.sha256(token.text.encode()).digest()[:16]
    return {
        "iss": "https://slack.com",
        "aud": world.app.client_id,
        "exp": now + 300,
        "iat": now,
        "auth_time": now,
        "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
    }


def _claims(user: SlackUser, scopes: tuple[str, ...]) -> Json:
    """What a person is, as far as the scopes go."""
    claims: Json = {
        "sub": user.id,
        "https://slack.com/user_id": user.id,
        "https://slack.com/team_id": user.team.id,
    }
    if "email" in scopes:
        claims |= {"email": user.email, "email_verified": True}
    if "profile" in scopes:
        claims |= {
            "name": user.real_name or user.name,
            "locale": "en-US",
            "https://slack.com/team_name": user.team.name,
            "https://slack.com/team_domain": user.team.domain,
        }
    return claims


async def user_info(call: SlackCall) -> Json:
    assert call.token is not None
    return _claims(call.user, call.token.scopes)


async def test(call: SlackCall) -> Json:
    user, team = call.user, call.team
    answer: Json = {
        "url": f"{call.world.url}/",
        "team": team.name,
        "user": user.name,
        "team_id": team.id,
        "user_id": user.id,
    }
    if user.is_bot:
        answer |= {"bot_id": user.bot_id}
    return answer | {"is_enterprise_install": False}


async def revoke(call: SlackCall) -> Json:
    assert call.token is not None
    if call.flag("test"):
        return {"revoked": False}
    call.token.is_revoked = True
    installation = call.token.installation
    if installation is not None:
        events.tokens_revoked(call.world, installation, [])
    return {"revoked": True}


async def open_socket(call: SlackCall) -> Json:
    ticket = call.world.deliveries.sockets.new_ticket()
    place = call.world.url.replace("http://", "ws://", 1)
    return {"url": f"{place}/link/?ticket={ticket}&app_id={call.world.app.id}"}


METHODS = [
    SlackMethod("auth.test", test, token="xoxb xoxp"),
    SlackMethod("auth.revoke", revoke, token="xoxb xoxp"),
    SlackMethod("apps.connections.open", open_socket, token="xapp"),
    SlackMethod("openid.connect.token", connect_token, token=""),
    SlackMethod("openid.connect.userInfo", user_info, ("openid",), token="xoxp"),
]
