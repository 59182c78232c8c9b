"""What a sandbox is asked for and what it answers. `sandbox.py` makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from app.errors import RetryableError

GIB = 1 << 30
MIB = 1 << 20

WORKSPACE = "/workspace"
HOME = "/home/honk"
PATH = "/usr/local/bin:/usr/bin:/bin"
HOSTNAME = "honk"
HOSTS = f"""127.0.0.1 localhost
127.0.1.1 {HOSTNAME}
::1 localhost ip6-localhost ip6-loopback
"""
"""Inside there is no DNS. Many programs look up the name of the machine they run on."""


@dataclass(frozen=True)
class Mount:
    """A file or directory of this machine, seen inside at `target` (absolute)."""

    source: Path
    target: str
    writable: bool = False
    bounds: tuple[int, int] | None = None
    """Bytes and files that a writable directory may hold: it is then in memory, where that is
    possible, and what is in it when a `run` has ended is copied to `source`."""


@dataclass(frozen=True)
class ResourceLimits:
    """What everything in one sandbox may use. Bytes, seconds, and numbers of things.

    `memory_bytes` counts what is resident in all processes together and bounds the private memory
    of each; `processes` counts threads too; `seconds` is wall time of one `run` (a session's
    commands bring their own); `cpu_seconds`, `file_bytes` and `open_files` hold for each process;
    `output_bytes` is what is kept of an output; `tmp_bytes` is the size of /tmp and, once more,
    of the home directory; `disk_bytes` and `disk_files` are what the workspace may hold, and may be
    passed by about an eighth before it is noticed; `tmp_files` is the number of files in /tmp and,
    once more, in the home directory.
    """

    memory_bytes: int = 4 * GIB
    processes: int = 512
    seconds: float = 600
    cpu_seconds: int = 3600
    file_bytes: int = 2 * GIB
    open_files: int = 4096
    output_bytes: int = 4 * MIB
    tmp_bytes: int = GIB
    tmp_files: int = 200_000
    disk_bytes: int = 20 * GIB
    disk_files: int = 2_000_000


@dataclass(frozen=True)
class SandboxSpec:
    """One sandbox: what it sees, what it may change, what it may use.

    `image`, by digest, is for containers alone; without one it is the operator's.
    """

    workspace: Path
    workspace_writable: bool = True
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    image: str | None = None


_KILLED = {
    "memory": "it used more memory than it may",
    "processes": "it started more processes than it may",
    "disk": "it wrote more files than it may",
    "room": "it still wrote files when the disk of this machine was nearly full",
    "output": "it wrote more output than it may",
    "stopped": "it was stopped",
    "sandbox": "its sandbox went away",
}


@dataclass(frozen=True)
class Completed:
    """How a command ended.

    `exit_code` is 128 + signal for a killed command, as a shell counts, and None when the sandbox
    ended it. `output` is standard output and error as they came; where the middle was dropped it
    says so in a line of its own, and `dropped_bytes` counts it. `killed` names the limit that was
    passed: "memory", "processes", "disk", "room" (of the machine's disk), "output", or "stopped"
    (the caller's stop), or "sandbox" (the sandbox itself went away). `timed_out` is the limit of
    time.
    """

    exit_code: int | None
    output: bytes
    dropped_bytes: int
    timed_out: bool
    killed: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """It ended by itself, with exit code 0."""
        return self.exit_code == 0

    @property
    def how_it_ended(self) -> str | None:
        """In words, what ended it; None when it ended by itself."""
        if self.timed_out:
            return "it did not end within its time limit"
        if self.killed is not None:
            return _KILLED.get(self.killed, f"it was ended ({self.killed})")
        if self.exit_code is None:
            return "it ended without an exit code"
        if self.exit_code > 128:
            return f"it was ended by signal {self.exit_code - 128}"
        return None

    def demand_a_sandbox(self) -> None:
        """Raises RetryableError where the sandbox went away: the command is to be run again."""
        if self.killed == "sandbox":
            raise RetryableError("A sandbox went away.")

    @property
    def text(self) -> str:
        """The output for reading."""
        return self.output.decode("utf-8", "replace")


@dataclass(frozen=True)
class EditResult:
    """The answer of the file tool; with `is_error` the text says what cannot be done."""

    text: str
    is_error: bool


@dataclass(frozen=True)
class SandboxReport:
    """Can sandboxes be made here? When not, what is missing and how to mend it."""

    ok: bool
    problem: str = ""
    next_step: str = ""


class SandboxSession(Protocol):
    """One living sandbox with a shell that remembers: the agent's. One request at a time."""

    async def bash(self, command: str, *, seconds: float) -> Completed:
        """Run in the shell; directory, variables and functions stay for the next command.

        A command over its time is killed together with everything it started, and the shell
        starts again; the output says so.
        """
        ...

    async def restart_bash(self) -> None:
        """Kill everything that runs in the sandbox; the next command has a new shell."""
        ...

    async def edit_file(self, request: Mapping[str, object]) -> EditResult:
        """Answer one request of the `text_editor_20250728` tool."""
        ...

    async def search(self, pattern: str, path: str) -> Completed:
        """Lines below `path` that match, as `path:line: text`; exit code 1 and words if refused.

        The expression is Python's. `.git`, binary and very large files are left out.
        """
        ...


class Sandbox(Protocol):
    """Makes sandboxes."""

    async def run(
        self,
        spec: SandboxSpec,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        stdout_to: Path | BinaryIO | None = None,
        stop: asyncio.Event | None = None,
    ) -> Completed:
        """Run one command in a fresh sandbox. Its whole tree is dead when this returns.

        With `stdout_to` standard output goes there (at most `file_bytes`) and `output` holds
        standard error alone. Raises UserError when no sandbox can be made.
        """
        ...

    def session(self, spec: SandboxSpec) -> AbstractAsyncContextManager[SandboxSession]:
        """One living sandbox. It is dead when the context ends."""
        ...

    def claim(self, path: Path, *, like: Path | None = None) -> None:
        """Make an empty directory the property of whoever runs in its sandboxes.

        A workspace gets an owner of its own; another directory, the owner of the workspace `like`.
        """
        ...

    def seen(self, mount: Mount) -> str:
        """The path under which a mount is found inside."""
        ...
