"""What others send to the page of `honk init`, which gets the App's private key."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from app.installer.env_file import EnvFile
from app.installer.pages import InstallerPages, Visitor
from app.installer.wizard import Wizard
from tests.security.harness import Attempt, Outcome, outcome

_TOKEN = "t" * 43
_HOST = "127.0.0.1:4711"
_COOKIE = "honk-init-4711"


@dataclass
class Recording(Wizard):
    """Takes every code and changes nothing."""

    taken: list[str] = field(default_factory=list)

    async def take(self, code: str) -> None:
        self.taken.append(code)

    def use_intake(self, intake: str) -> None:
        self.taken.append(intake)

    def check_deliveries(self) -> None:
        pass


class Credulous(Visitor):
    """No defense: any state is a good one."""

    def use_state(self, given: str) -> bool:
        return True


Wrap = Callable[[ASGIApp, Visitor], ASGIApp]


def as_it_is(app: ASGIApp, _visitor: Visitor) -> ASGIApp:
    return app


def _with_header(name: bytes, value: Callable[[Visitor], str]) -> Wrap:
    """No defense: whatever was sent, this header is good when it arrives."""

    def wrap(app: ASGIApp, visitor: Visitor) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            others = [each for each in scope["headers"] if each[0] != name]
            good = (name, value(visitor).encode())
            await app({**scope, "headers": [*others, good]}, receive, send)

        return wrapped

    return wrap


any_browser = _with_header(b"cookie", lambda visitor: f"{_COOKIE}={visitor.cookie}")
any_name = _with_header(b"host", lambda _visitor: _HOST)


@dataclass(frozen=True)
class Parts:
    visitor: Callable[[], Visitor] = Visitor
    wrap: Wrap = as_it_is


@dataclass
class Scene:
    """A page whose browser has a form for GitHub open, and an attacker."""

    visitor: Visitor
    state: str
    browser: httpx.AsyncClient
    other: httpx.AsyncClient


Try = Callable[[Scene], Awaitable[httpx.Response]]


async def _tried(send: Try, most: int, parts: Parts, folder: Path) -> Outcome:
    wizard, visitor = Recording(EnvFile(folder / ".env")), parts.visitor()
    pages = InstallerPages(wizard, _TOKEN, "http://127.0.0.1:8000", visitor=lambda: visitor)
    transport = httpx.ASGITransport(app=parts.wrap(pages.app(), visitor))
    client: Any = functools.partial(httpx.AsyncClient, transport=transport)
    async with client(base_url=f"http://{_HOST}") as browser, client() as other:
        await browser.get(f"/start/{_TOKEN}")
        scene = Scene(visitor, visitor.new_state(), browser, other)
        answer = await send(scene)
    text = answer.text.partition("</h1>\n<p>")[2].partition("</p>")[0] or "redirected"
    taken = f"{len(wizard.taken)} taken"
    return outcome(len(wizard.taken) > most, taken, f"{answer.status_code} {text}")


def _attempt(name: str, defense: str, send: Try, null: Parts, most: int = 0) -> Attempt:
    run = functools.partial(_tried, send, most)
    return Attempt(name, defense, functools.partial(run, Parts()), functools.partial(run, null))


async def _replays(scene: Scene) -> httpx.Response:
    query = {"code": "c" * 40, "state": scene.state}
    await scene.browser.get("/created", params=query)
    return await scene.browser.get("/created", params=query)


async def _plants(scene: Scene) -> httpx.Response:
    """Leads the browser to an answer for an App of the attacker's."""
    query = {"code": "c" * 40, "state": "of-the-attacker"}
    return await scene.browser.get("/created", params=query)


async def _steals(scene: Scene) -> httpx.Response:
    query = {"code": "c" * 40, "state": scene.state}
    return await scene.other.get(f"http://{_HOST}/created", params=query)


async def _rebinds(scene: Scene) -> httpx.Response:
    """The browser believes that the attacker's name is this machine, and sends its cookie there."""
    query = {"code": "c" * 40, "state": scene.state}
    headers = {"host": "evil.example:4711", "cookie": f"{_COOKIE}={scene.visitor.cookie}"}
    return await scene.browser.get("/created", params=query, headers=headers)


async def _forges(scene: Scene) -> httpx.Response:
    return await scene.browser.post("/intake", data={"intake": "log", "form": "guessed"})


def _guessable() -> Visitor:
    return Visitor(form="guessed")


ATTEMPTS = (
    _attempt(
        "GitHub's answer to `honk init`, replayed",
        "a state is used once",
        _replays,
        Parts(visitor=Credulous),
        most=1,
    ),
    _attempt(
        "an answer for another App",
        "a state belongs to the browser",
        _plants,
        Parts(visitor=Credulous),
    ),
    _attempt(
        "GitHub's answer in another browser",
        "cookie of the browser",
        _steals,
        Parts(wrap=any_browser),
    ),
    _attempt(
        "a name of the attacker's for this machine", "Host header", _rebinds, Parts(wrap=any_name)
    ),
    _attempt("a form from another page", "token in each form", _forges, Parts(visitor=_guessable)),
)
