"""The labels by which people and Honk speak to each other. Pure."""

from __future__ import annotations

TRIGGER = "honk"
"""Starts work; one-shot."""

MAX_MODEL = "honk:max"
"""Asks for the stronger model."""

HOLD = "honk:hold"
"""Keeps everything from starting."""

QUEUED = "honk:queued"
RUNNING = "honk:running"
NEEDS_YOU = "honk:needs-you"
DONE = "honk:done"
FAILED = "honk:failed"

STATES = frozenset({QUEUED, RUNNING, NEEDS_YOU, DONE, FAILED})
"""Exactly one of these is on an issue that Honk has worked on."""

STOPPING = frozenset({QUEUED, RUNNING})
"""Taking one of these off asks the run to stop."""

OURS = STATES | {TRIGGER, MAX_MODEL, HOLD}


def plain(name: str) -> str:
    """A label of ours as it is written here, however somebody wrote it; any other as it is.

    To GitHub `Honk` and `honk` are one label. Letters that only become ASCII when they are made
    small, such as the Kelvin sign, are other letters.
    """
    small = name.lower() if name.isascii() else name
    return small if small in OURS else name
