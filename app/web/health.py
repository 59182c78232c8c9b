"""`/healthz`, `/readyz` and `/metrics` for operators, in the web process and in workers."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import log_events
from app.errors import HonkError

READY_SECONDS = 3.0

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class HealthChecks:
    """How to check this process.

    `ready` returns when the process can do its work, and raises HonkError when it cannot, for
    example while the database is unavailable. `metrics` returns Prometheus's text format, of type
    `content_type`, and raises HonkError when the metrics cannot be read. With a `token`, /metrics
    requires it; without one, it answers only requests from this machine.
    """

    ready: Callable[[], Awaitable[object]]
    metrics: Callable[[], Awaitable[bytes]]
    content_type: str
    token: str = field(default="", repr=False)


def routes(watched: HealthChecks) -> list[Route]:
    """The three endpoints."""
    return [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz(watched)),
        Route("/metrics", _metrics(watched)),
    ]


def create_health_app(watched: HealthChecks) -> Starlette:
    """A worker's HTTP application."""
    application = Starlette(routes=routes(watched))
    application.router.redirect_slashes = False
    return application


async def _healthz(_request: Request) -> Response:
    """Says that the event loop runs. It checks nothing else, so that no outage elsewhere restarts
    us."""
    return PlainTextResponse("up\n")


def _readyz(watched: HealthChecks) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(_request: Request) -> Response:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await watched.ready()
        except (HonkError, TimeoutError) as problem:
            _log.warning(
                log_events.READINESS_CHECK_FAILED, reason=str(problem) or "the check took too long"
            )
            return PlainTextResponse("not ready\n", 503)
        return PlainTextResponse("ready\n")

    return readyz


def _metrics(watched: HealthChecks) -> Callable[[Request], Awaitable[Response]]:
    async def metrics(request: Request) -> Response:
        refusal = _refusal(request, watched.token)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(READY_SECONDS):
                text = await watched.metrics()
        except (HonkError, TimeoutError) as problem:
            _log.warning(
                log_events.METRICS_UNAVAILABLE, reason=str(problem) or "reading them took too long"
            )
            return PlainTextResponse("Metrics are temporarily unavailable.\n", 503)
        return Response(text, media_type=watched.content_type)

    return metrics


def _refusal(request: Request, token: str) -> Response | None:
    """The response to a request that may not read the metrics, else None. Web's port is public."""
    if token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode()):
            return None
        return PlainTextResponse(
            "The token is missing or wrong.\n", 401, {"www-authenticate": "Bearer"}
        )
    if _is_local(request):
        return None
    return PlainTextResponse("Set HONK_METRICS_TOKEN to allow remote requests.\n", 403)


def _is_local(request: Request) -> bool:
    """Whether the request came from this machine and not through a proxy."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
