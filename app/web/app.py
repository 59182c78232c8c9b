"""The web process's ASGI application; its dependencies are passed in."""

from __future__ import annotations

import html
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__
from app.domain import policy
from app.domain.trigger import AppIdentity
from app.web import health
from app.web.health import HealthChecks
from app.web.webhook import BODY_SECONDS, INTAKE_SECONDS, Receiver, TriggerSink

WEBHOOK_PATH = "/webhooks/github"
# GitHub posts to the App's webhook URL exactly as it was typed and follows no redirect.
_WEBHOOK_PATHS = (WEBHOOK_PATH, f"{WEBHOOK_PATH}/")
POLICY_SCHEMA_PATH = "/honk.schema.json"

_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_RAW_SECURITY_HEADERS = [(k.encode(), v.encode()) for k, v in _SECURITY_HEADERS.items()]
_NO_CONTENT = 204
_ONLY_HTTPS = (b"strict-transport-security", b"max-age=31536000")


def create_app(
    *,
    secrets: Sequence[bytes],
    app: AppIdentity,
    intake: TriggerSink,
    watched: HealthChecks,
    pages: Sequence[BaseRoute] = (),
    is_https: bool = False,
    body_seconds: float = BODY_SECONDS,
    intake_seconds: float = INTAKE_SECONDS,
) -> ASGIApp:
    """Build the application.

    `secrets` holds one or two webhook secrets. `pages` are the routes for people (`web.pages`);
    `is_https` says that browsers reach Honk by HTTPS.
    """
    receiver = Receiver(
        secrets=secrets,
        app=app,
        intake=intake,
        body_seconds=body_seconds,
        intake_seconds=intake_seconds,
    )
    application = Starlette(
        routes=[
            *(Route(path, receiver, methods=["POST"]) for path in _WEBHOOK_PATHS),
            *health.routes(watched),
            Route(POLICY_SCHEMA_PATH, _policy_schema),
            *pages,
            Route("/", _front_page),
        ],
        middleware=[Middleware(_SecurityHeaders, is_https=is_https)],
        exception_handlers={Exception: _internal_error},
    )
    application.router.redirect_slashes = False
    guarded = ServerErrorMiddleware(_SecurityHeaders(receiver, is_https=is_https), _internal_error)
    return _DeliveryShortcut(guarded, application)


class _DeliveryShortcut:
    """Sends deliveries past the router: most start nothing, and routing costs more than handling
    them."""

    def __init__(self, receiver: ASGIApp, others: ASGIApp) -> None:
        self._receiver = receiver
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_delivery = scope.get("path") in _WEBHOOK_PATHS and scope.get("method") == "POST"
        await (self._receiver if is_delivery else self._others)(scope, receive, send)


class _SecurityHeaders:
    """Adds security headers to every response with content; a page's own headers take
    precedence."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = _RAW_SECURITY_HEADERS + ([_ONLY_HTTPS] if is_https else [])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] != _NO_CONTENT:
                existing = message["headers"]
                names = {name for name, _ in existing}
                # Build a new list: a response that is sent again keeps its own.
                message["headers"] = existing + [
                    each for each in self._headers if each[0] not in names
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _internal_error(_request: Request, _problem: Exception) -> Response:
    """The response to an unhandled error. It is sent outside all middleware, so it sets the
    security headers itself; the server logs the traceback."""
    return PlainTextResponse("Something went wrong in Honk.\n", 500, _SECURITY_HEADERS)


async def _policy_schema(_request: Request) -> Response:
    """The policy's JSON schema; browser-based editors may load it from other origins."""
    return Response(
        policy.json_schema(),
        media_type="application/schema+json",
        headers={"access-control-allow-origin": "*"},
    )


async def _front_page(_request: Request) -> Response:
    return HTMLResponse(_FRONT_PAGE)


_FRONT_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Honk</title>
<h1>Honk {html.escape(__version__)}</h1>
<p>A GitHub App that turns a labeled issue into a pull request a person can trust.</p>
<p><a href="/runs">Runs</a></p>
<p>GitHub delivers its webhooks to <code>{WEBHOOK_PATH}</code>.</p>
</html>
"""
