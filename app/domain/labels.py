"""The labels that control Honk and show its state. Pure."""

from __future__ import annotations

TRIGGER = "honk"
"""Starts work; one-shot."""

MAX_MODEL = "honk:max"
"""Asks for the stronger model."""

HOLD = "honk:hold"
"""Prevents any run from starting."""

QUEUED = "honk:queued"
RUNNING = "honk:running"
NEEDS_YOU = "honk:needs-you"
DONE = "honk:done"
FAILED = "honk:failed"

STATES = frozenset({QUEUED, RUNNING, NEEDS_YOU, DONE, FAILED})
"""Exactly one of these is on an issue that Honk has worked on."""

STOPPING = frozenset({QUEUED, RUNNING})
"""Removing one of these asks the run to stop."""

OURS = STATES | {TRIGGER, MAX_MODEL, HOLD}


def plain(name: str) -> str:
    """Return the canonical spelling of one of Honk's labels; other labels are returned
    unchanged.

    GitHub compares labels case-insensitively. Letters that become ASCII only when lower-cased,
    such as the Kelvin sign, do not match.
    """
    small = name.lower() if name.isascii() else name
    return small if small in OURS else name
