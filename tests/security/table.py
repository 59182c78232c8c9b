"""Every attempt, by kind, and the few of them that `make test` tries."""

from __future__ import annotations

from typing import Final

from tests.security.attempts import (
    caches,
    ci,
    engines,
    git_trees,
    leaks,
    network,
    processes,
    reading,
    receiver,
    setups,
    words,
)
from tests.security.harness import Attempt

KINDS: Final[dict[str, tuple[Attempt, ...]]] = {
    "Processes, the kernel and bounds": processes.ATTEMPTS,
    "Network and egress": network.ATTEMPTS,
    "Git on hostile trees": git_trees.ATTEMPTS,
    "Caches": caches.ATTEMPTS,
    "Setup that Honk finds out": setups.ATTEMPTS,
    "Reading back": reading.ATTEMPTS,
    "Results from CI": ci.ATTEMPTS,
    "Other engines": engines.ATTEMPTS,
    "Receiver over HTTP": receiver.ATTEMPTS,
    "Injection and words": words.ATTEMPTS,
    "Secrets on their way out": leaks.ATTEMPTS,
}

SHORT: Final = (
    *(each.name for each in words.ATTEMPTS),
    "kills a process of the same user",
    "traces another process (ptrace)",
    "reads a file of this machine",
    "reaches a server on this machine's loopback",
    "uploads through a package registry",
    "asks the model at the cost of another run",
    "looks for the model's key where Claude Code runs",
    "core.fsmonitor",
    "a report that is a link to a secret",
    *(each.name for each in caches.ATTEMPTS),
    *(each.name for each in ci.ATTEMPTS),
    *(each.name for each in setups.ATTEMPTS),
    "a forged delivery",
    "a signature with SHA-1",
    "starts processes without end (fork bomb)",
)
