"""What anyone but GitHub sends to the receiver, and what GitHub sends more than once."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.trigger import AppIdentity, Signal, Trigger
from app.web.app import create_app
from app.web.health import HealthChecks
from app.web.server import serve
from tests.security.harness import Attempt, Outcome, outcome
from tests.support.deliveries import OUR_BOT, commented, encoded, labeled, signature
from tests.unit.web.support import SECRET, MemoryIntake, Site, head, no_figures

LABELED = encoded(labeled())
_US = AppIdentity(app_id=4711, slug="honk")
_FORGED = b"a secret of mine"


class Forgetful(MemoryIntake):
    """No defense: an intake that does not know a trigger again."""

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        self.taken[f"{trigger.id} {len(self.taken)}"] = trigger
        return "accepted"


Wrap = Callable[[ASGIApp], ASGIApp]


def as_it_is(app: ASGIApp) -> ASGIApp:
    return app


def any_signature(app: ASGIApp) -> ASGIApp:
    """No defense: the forwarded request is always signed correctly."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        sign = signature(body, SECRET).encode()
        others = [(name, value) for name, value in scope["headers"] if b"signature" not in name]
        scope = {**scope, "headers": [*others, (b"x-hub-signature-256", sign)]}

        async def whole() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, whole, send)

    return wrapped


@dataclass(frozen=True)
class Parts:
    secrets: tuple[bytes, ...] = (SECRET,)
    intake: Callable[[], MemoryIntake] = MemoryIntake
    us: AppIdentity = _US
    wrap: Wrap = as_it_is
    body_seconds: float = 1.0
    header_seconds: float = 1.0

    @asynccontextmanager
    async def running(self) -> Any:
        site = Site(self.intake())
        app = create_app(
            secrets=self.secrets,
            app=self.us,
            intake=site.intake,
            watched=HealthChecks(site.check_ready, no_figures, "text/plain"),
            body_seconds=self.body_seconds,
        )
        stop = asyncio.Event()
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(
                self.wrap(app),
                host="127.0.0.1",
                port=0,
                stop=stop,
                listening=port.set_result,
                header_seconds=self.header_seconds,
            )
        )
        site.port = await port
        try:
            yield site
        finally:
            stop.set()
            await server


Send_ = Callable[[Site], Awaitable[str]]
"""Sends something, and returns the answer."""


async def _tried(send: Send_, most: int, parts: Parts, folder: Path) -> Outcome:
    async with parts.running() as site:
        answered = await send(site)
        taken = len(site.intake.taken)
    return outcome(taken > most, f"{taken} taken", answered)


def _attempt(name: str, defense: str, send: Send_, null: Parts, most: int = 0) -> Attempt:
    run = functools.partial(_tried, send, most)
    return Attempt(name, defense, functools.partial(run, Parts()), functools.partial(run, null))


def _delivers(body: bytes = LABELED, event: str = "issues", **more: Any) -> Send_:
    async def send(site: Site) -> str:
        answer = await site.deliver(event, body, **more)
        return f"{answer.status} {answer.body.decode().strip()}"

    return send


def _signed(value: str) -> Send_:
    return _delivers(headers={"X-Hub-Signature-256": value})


async def _replayed(site: Site) -> str:
    await site.deliver("issues", LABELED)
    again = await site.deliver("issues", LABELED, headers={"X-GitHub-Delivery": "another"})
    return f"{again.status}: known already"


async def _slowly(site: Site, *, of_head: bool) -> str:
    """A byte, and another a good while later, for longer than the receiver waits."""
    first = head("issues", LABELED)
    whole = first + LABELED
    at = 10 if of_head else len(first) + 5
    pieces: Sequence[bytes] = (whole[:at], whole[at : at + 1], whole[at + 1 :])
    try:
        answer = await site.send(*pieces, pause=0.7)
    except (ConnectionError, asyncio.IncompleteReadError):
        return "the connection is closed"
    return f"{answer.status} {answer.body.decode().strip()}"


_SHA1 = "sha1=" + hmac.new(SECRET, LABELED, hashlib.sha1).hexdigest()
_RIGHT = signature(LABELED, SECRET)
_ANY = Parts(wrap=any_signature)
_OTHERS = Parts(us=AppIdentity(app_id=1, slug="somebody"))

ATTEMPTS = (
    _attempt(
        "a forged delivery",
        "signature over the raw body",
        _delivers(secret=_FORGED),
        Parts(secrets=(SECRET, _FORGED)),
    ),
    _attempt("a delivery without a signature", "signature over the raw body", _signed(""), _ANY),
    _attempt(
        "a delivery changed on the way",
        "signature over the raw body",
        _signed(signature(LABELED + b" ", SECRET)),
        _ANY,
    ),
    _attempt("a signature with SHA-1", "strict header format", _signed(_SHA1), _ANY),
    _attempt("a signature in uppercase", "strict header format", _signed(_RIGHT.upper()), _ANY),
    _attempt("a signature that is cut off", "strict header format", _signed(_RIGHT[:-2]), _ANY),
    _attempt(
        "two signatures, one of them correct",
        "a repeated header is rejected",
        _delivers(extra=b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"),
        _ANY,
    ),
    _attempt(
        "a replayed delivery with another GUID",
        "a trigger is identified by its signed content",
        _replayed,
        Parts(intake=Forgetful),
        most=1,
    ),
    _attempt(
        "a command in Honk's own comment",
        "Honk ignores its own events",
        _delivers(
            encoded(commented("/honk again", sender=OUR_BOT, comment__user=OUR_BOT)),
            "issue_comment",
        ),
        _OTHERS,
    ),
    _attempt(
        "Honk's own label",
        "Honk ignores its own events",
        _delivers(encoded(labeled(sender=OUR_BOT))),
        _OTHERS,
    ),
    _attempt(
        "a body sent slowly",
        "time limit for the body",
        functools.partial(_slowly, of_head=False),
        Parts(body_seconds=20),
    ),
    _attempt(
        "headers sent slowly",
        "time limit for headers",
        functools.partial(_slowly, of_head=True),
        Parts(header_seconds=20),
    ),
)
