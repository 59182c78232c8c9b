"""The labels by which people and Honk speak to each other. Pure."""

from __future__ import annotations

TRIGGER = "honk"
"""Starts work; one-shot."""

STRONGER = "honk:max"
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
