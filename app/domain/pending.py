"""Accepted requests that intake could not process yet: why, and when to retry them. Pure.

A request is pending until intake processes it, its requester gets a reason, or a week passes.
"""

from __future__ import annotations

from typing import Literal

Cause = Literal[
    "credentials",  # GitHub rejects the App's id and key
    "installation",  # the App is suspended, uninstalled, or was not given the repository
    "permission",  # the App lacks a permission
    "github",  # GitHub is unavailable, or asks to wait longer than a step does
    "refused",  # GitHub refused for another reason
    "disk",  # the worker's disk is full
    "upgrade",  # another version of Honk began to process it
    "bug",  # Honk itself failed
]
"""Why intake cannot process a request."""

PASSING: frozenset[Cause] = frozenset({"github", "disk", "upgrade"})
"""Temporary causes: the request is retried without being repeated."""

NEXT_STEPS: dict[Cause, str] = {
    "credentials": "Check GITHUB_APP_ID, the private key and this machine's clock, then restart "
    "the worker.",
    "installation": "Look at the App's installation on GitHub: it may be suspended, or lack the "
    "repository.",
    "permission": "Grant the permission to the App, then accept it on the installation's page on "
    "GitHub.",
    "github": "See whether GITHUB_API_URL can be reached from here, and https://www.githubstatus.com.",
    "refused": "The worker's log holds what GitHub said.",
    "disk": "Make room on the worker's disk.",
    "upgrade": "Nothing: the worker starts over with it.",
    "bug": "The worker's log holds the traceback.",
}
"""What the operator can do about each cause."""

_WAITS = (30.0, 60.0, 120.0, 300.0, 600.0)
_LONGEST_WAIT = 900.0
_KEPT_SECONDS = 7 * 86_400.0
_TRIES_OF_A_BUG = 5


def wait_before(tries: int) -> float:
    """Seconds until the next try, after that many failed ones."""
    return _WAITS[tries] if tries < len(_WAITS) else _LONGEST_WAIT


def is_given_up(cause: Cause, tries: int, age: float) -> bool:
    """Whether no more tries follow. `age` is in seconds."""
    return age > _KEPT_SECONDS or (cause == "bug" and tries >= _TRIES_OF_A_BUG)
