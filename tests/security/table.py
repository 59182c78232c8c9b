"""Every attempt, by kind, and the few of them that `make test` tries."""

from __future__ import annotations

from typing import Final

from tests.security.attempts import processes, words
from tests.security.harness import Attempt

KINDS: Final[dict[str, tuple[Attempt, ...]]] = {
    "Processes, the kernel and bounds": processes.ATTEMPTS,
    "Injection and words": words.ATTEMPTS,
}

SHORT: Final = (
    *(each.name for each in words.ATTEMPTS),
    "kills a process of the same user",
    "traces another process (ptrace)",
    "reads a file of this machine",
    "starts processes without end (fork bomb)",
)
