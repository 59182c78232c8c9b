"""Every attempt, by kind, and the selection that `make test` tries."""

from __future__ import annotations

from typing import Final

from tests.security.attempts import (
    caches,
    ci,
    engines,
    git_trees,
    installer,
    leaks,
    merges,
    network,
    previews,
    processes,
    reading,
    receiver,
    setups,
    verdicts,
    words,
)
from tests.security.harness import Attempt

KINDS: Final[dict[str, tuple[Attempt, ...]]] = {
    "Processes, kernel and limits": processes.ATTEMPTS,
    "Network and egress": network.ATTEMPTS,
    "Git on hostile trees": git_trees.ATTEMPTS,
    "Caches": caches.ATTEMPTS,
    "Automatic setup": setups.ATTEMPTS,
    "Reading results": reading.ATTEMPTS,
    "Results from CI": ci.ATTEMPTS,
    "Verdicts and approvals": verdicts.ATTEMPTS,
    "Merging": merges.ATTEMPTS,
    "Previews": previews.ATTEMPTS,
    "Other engines": engines.ATTEMPTS,
    "Receiver over HTTP": receiver.ATTEMPTS,
    "The page of honk init": installer.ATTEMPTS,
    "Prompt injection and hostile text": words.ATTEMPTS,
    "Leaking secrets": leaks.ATTEMPTS,
}

SHORT: Final = (
    *(each.name for each in words.ATTEMPTS),
    "kills a process of the same user",
    "traces another process (ptrace)",
    "reads a file of this machine",
    "reaches a server on this machine's loopback",
    "uploads through a package registry",
    "uses the model at another run's expense",
    "looks for the model's key where Claude Code runs",
    "core.fsmonitor",
    "a report that is a symlink to a secret",
    *(each.name for each in caches.ATTEMPTS),
    *(each.name for each in ci.ATTEMPTS),
    *(each.name for each in verdicts.ATTEMPTS),
    *(each.name for each in merges.ATTEMPTS),
    *(each.name for each in previews.ATTEMPTS),
    *(each.name for each in setups.ATTEMPTS),
    *(each.name for each in installer.ATTEMPTS),
    "a forged delivery",
    "a signature with SHA-1",
    "starts processes endlessly (fork bomb)",
)
