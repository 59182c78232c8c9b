"""An attempt, and the same attempt without the defense that stops it.

What is attacked is the product's own code. A control passes another part instead of one of the
product's, through a parameter that the product has anyway, and keeps everything else: then the
attempt must get through, or it has proven nothing.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """Whether it succeeded, and what stopped it or what it got: one line."""

    through: bool
    why: str


def stopped(why: str) -> Outcome:
    return Outcome(False, _line(why))


def got(what: str) -> Outcome:
    return Outcome(True, _line(what))


def outcome(through: bool, got_what: str, stopped_by: str) -> Outcome:
    return got(got_what) if through else stopped(stopped_by)


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 100 else words[:99] + "…"


Try = Callable[[Path], Awaitable[Outcome]]
Needs = Callable[[], str]
"""Why something cannot be tried on this machine, or nothing."""


def nothing() -> str:
    return ""


def root() -> str:
    """Controls in which sandboxes share a user with what they attack would need another user."""
    return "" if os.geteuid() == 0 else "only a root worker has users to give away"


@dataclass(frozen=True)
class Attempt:
    """`tried` and `control` get an empty folder; `defense` is what the control removes."""

    name: str
    defense: str
    tried: Try
    control: Try
    needs: Needs = nothing


async def both(attempt: Attempt, folder: Path) -> tuple[Outcome, Outcome]:
    """The attempt and its control."""
    for name in ("tried", "control"):
        (folder / name).mkdir(parents=True)
    return await attempt.tried(folder / "tried"), await attempt.control(folder / "control")
