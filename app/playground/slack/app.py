"""The simulated Slack as an ASGI application: Web API, Socket Mode, files, response URLs, pages.

The Web API is at `/api/`, as below `https://slack.com`. Every call passes faults, authentication,
scopes, the rate limit and the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from app.playground.serving import CutResponse

from . import auth, chat, conversations, files, response_urls, sign_in, views
from .calls import SlackCall, SlackMethod
from .faults import SlackFault
from .refusals import SlackRefusal
from .world import Json, SlackRecord, SlackToken, SlackWorld

METHODS: dict[str, SlackMethod] = {
    each.name: each
    for each in (
        *auth.METHODS,
        *chat.METHODS,
        *conversations.METHODS,
        *files.METHODS,
        *views.METHODS,
    )
}
"""Every simulated method of the Web API."""

_AWAY = 503
SlackObserver = Callable[[SlackRecord], None]


class SlackFront:
    """The server's front; calls `observers` with each call after the answer."""

    def __init__(self, world: SlackWorld, pages: Sequence[BaseRoute] = ()) -> None:
        self.world = world
        self.observers: list[SlackObserver] = []
        self._routes = Starlette(
            routes=[
                Route("/api/{method}", self._api, methods=["GET", "POST"]),
                WebSocketRoute("/link/", self._link),
                *files.routes(world),
                *response_urls.routes(world, self._log),
                *sign_in.routes(world),
                *pages,
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application."""
        await self._routes(scope, receive, send)

    async def _link(self, socket: WebSocket) -> None:
        world = self.world
        away = lambda: world.faults.is_away  # noqa: E731
        await world.deliveries.sockets.serve(socket, world.app.id, away)

    async def _api(self, request: Request) -> Response:
        world, name = self.world, request.path_params["method"]
        if world.faults.is_away:
            return HTMLResponse("<html><body>Service unavailable</body></html>", _AWAY)
        call, fault = SlackCall(world, name, {}), None
        status, headers = 200, dict[str, str]()
        answer: Json = {"ok": False, "error": "fatal_error"}
        try:
            call.arguments = await _arguments(request)
            fault = world.faults.take(name, call.arguments)
            if fault is not None and not fault.after:
                await asyncio.sleep(fault.delay)
            if fault is None or fault.after or not fault.status:
                answer = {"ok": True} | await self._run(call, request)
        except SlackRefusal as refusal:
            status, headers, answer = refusal.status, refusal.headers, refusal.body()
        for effect in call.later:
            effect()
        if fault is not None and fault.after:
            await asyncio.sleep(fault.delay)
        response = _response(status, headers, answer, fault)
        record = SlackRecord(
            name,
            call.arguments,
            response.status_code,
            answer,
            call.user.name if call.token else "",
            world.now(),
            http_method=request.method,
            fault=fault is not None and bool(fault.status or fault.cut),
        )
        self._log(record)
        return response

    async def _run(self, call: SlackCall, request: Request) -> Json:
        method = METHODS.get(call.method)
        if method is None:
            raise SlackRefusal("unknown_method", req_method=call.method)
        if method.token:
            call.token = _token(self.world, call, request)
            self.world.limits.check(call.method, call.team.id, self.world.now())
            _check_token(call.token, method)
        elif basic := request.headers.get("authorization", "").removeprefix("Basic "):
            call.arguments["_basic"] = basic
        return await method.run(call)

    def _log(self, record: SlackRecord) -> None:
        self.world.records.append(record)
        for observer in self.observers:
            observer(record)


async def _arguments(request: Request) -> Json:
    """The arguments from the query, a form, or JSON, which only a POST can have."""
    arguments: Json = dict(request.query_params)
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" and body:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            raise SlackRefusal("invalid_json") from None
        if not isinstance(given, dict):
            raise SlackRefusal("json_not_object")
        return arguments | given
    if kind == "application/x-www-form-urlencoded":
        text = body.decode("utf-8", "replace")
        return arguments | dict(parse_qsl(text, keep_blank_values=True))
    if body:
        raise SlackRefusal("invalid_post_type")
    return arguments


def _token(world: SlackWorld, call: SlackCall, request: Request) -> SlackToken:
    """The caller's token. Raises SlackRefusal."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    text = text.strip() if kind == "Bearer" else str(call.arguments.pop("token", ""))
    if not text:
        raise SlackRefusal("not_authed")
    if text == world.app.app_token and world.installations:
        user = next(iter(world.installations.values())).bot
        return SlackToken(text, user, ("connections:write",))
    token = world.tokens.get(text)
    if token is None:
        raise SlackRefusal("invalid_auth")
    if token.is_revoked:
        raise SlackRefusal("token_revoked")
    if token.user.deleted:
        raise SlackRefusal("account_inactive")
    return token


def _check_token(token: SlackToken, method: SlackMethod) -> None:
    kind = token.text.partition("-")[0]
    if kind not in method.token.split():
        raise SlackRefusal("not_allowed_token_type")
    if method.scopes and not set(method.scopes) & set(token.scopes):
        needed, provided = ",".join(method.scopes), ",".join(token.scopes)
        raise SlackRefusal("missing_scope", needed=needed, provided=provided)


def _response(
    status: int, headers: dict[str, str], answer: Any, fault: SlackFault | None
) -> Response:
    if fault is None or not (fault.status or fault.cut):
        return JSONResponse(answer, status, headers)
    if not fault.status:
        return CutResponse(JSONResponse(answer))
    if isinstance(fault.body, str):
        return HTMLResponse(fault.body, fault.status, fault.headers)
    return JSONResponse(fault.body, fault.status, fault.headers)
