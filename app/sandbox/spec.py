"""Types shared by all sandboxes: what to run, its limits and results, and the protocols."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from app.domain.setup_plan import Service
from app.errors import RetryableError

GIB = 1 << 30
MIB = 1 << 20

WORKSPACE = "/workspace"
HOME = "/home/honk"
PATH = "/usr/local/bin:/usr/bin:/bin"
HOSTNAME = "honk"
DISK_BYTES = 20 * GIB
"""What the sandboxes of a workspace may store unless the operator set another limit."""
HOSTS = f"""127.0.0.1 localhost
127.0.1.1 {HOSTNAME}
::1 localhost ip6-localhost ip6-loopback
"""
"""There is no DNS inside, and many programs resolve their own host's name."""


@dataclass(frozen=True)
class Mount:
    """A file or directory of this machine, seen inside at `target` (absolute)."""

    source: Path
    target: str
    writable: bool = False
    bounds: tuple[int, int] | None = None
    """Bytes and files that a writable directory may hold. Where possible it is then in memory, and
    its files are copied to `source` after `run`."""


@dataclass(frozen=True)
class ResourceLimits:
    """Limits for everything in one sandbox, in bytes, seconds and counts.

    `memory_bytes` limits the resident memory of all processes together, and the private memory of
    each; `processes` counts threads too; `seconds` is the wall time of one `run` (a session's
    commands have their own). `cpu_seconds`, `file_bytes` and `open_files` apply per process.
    `output_bytes` is how much output is kept. `tmp_bytes` and `tmp_files` apply to /tmp and to the
    home directory separately. `disk_bytes` (None: the operator's HONK_WORKSPACE_GB) and
    `disk_files` limit the workspace; it may exceed them by about an eighth before that is detected.
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
    disk_bytes: int | None = None
    disk_files: int = 2_000_000


@dataclass(frozen=True)
class SandboxSpec:
    """One sandbox: what it sees, may change and may use.

    `own_disk` means that nothing but this workspace is on its file system.
    `image` (by digest) applies only to containers; the default is the operator's image.
    `services` answer on its loopback before a command starts, and in a session.
    `worker_port` is a port of its loopback where the worker answers (`Program.listener`). Only what
    runs in this sandbox can connect to it, since the sandbox has its own loopback.
    """

    workspace: Path
    workspace_writable: bool = True
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    image: str | None = None
    own_disk: bool = False
    services: tuple[Service, ...] = ()
    worker_port: int | None = None


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

    `exit_code` is 128 + signal for a killed command, as in a shell, and None when the sandbox ended
    it. `output` is stdout and stderr interleaved; a line marks where the middle was dropped, and
    `dropped_bytes` counts it. `killed` is the limit that was exceeded: "memory", "processes",
    "disk", "room" (the machine's disk is nearly full) or "output"; or "stopped" (by the caller), or
    "sandbox" (the sandbox went away). `timed_out` means the time limit was reached.
    """

    exit_code: int | None
    output: bytes
    dropped_bytes: int
    timed_out: bool
    killed: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """It exited by itself with code 0."""
        return self.exit_code == 0

    @property
    def how_it_ended(self) -> str | None:
        """A text for what ended it; None when it exited by itself."""
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
        """Raises RetryableError if the sandbox went away, so that the command is run again."""
        if self.killed == "sandbox":
            raise RetryableError("A sandbox went away.")

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode("utf-8", "replace")


@dataclass(frozen=True)
class EditResult:
    """The file tool's reply; with `is_error` the text says why it failed.

    An image or PDF comes as `data` with its `media` type (`image/png`) and without text.
    """

    text: str
    is_error: bool
    media: str = ""
    data: bytes = b""


@dataclass(frozen=True)
class SandboxReport:
    """Whether sandboxes work here; if not, what is missing and how to fix it."""

    ok: bool
    problem: str = ""
    next_step: str = ""


class SandboxSession(Protocol):
    """A running sandbox with a persistent shell for the agent. One request at a time."""

    async def bash(self, command: str, *, seconds: float) -> Completed:
        """Run a command; directory, variables and functions persist for the next one.

        A command that exceeds its time is killed with everything it started, and the shell is
        restarted; the output says so.
        """
        ...

    async def restart_bash(self) -> None:
        """Kill all processes in the sandbox; the next command gets a new shell."""
        ...

    async def edit_file(self, request: Mapping[str, object]) -> EditResult:
        """Handle one request of the `text_editor_20250728` tool.

        An edit of a file that has changed since it was last viewed or edited is refused with the
        diff.
        """
        ...

    async def read_many(self, requests: Sequence[Mapping[str, object]]) -> list[EditResult]:
        """Several read-only requests, concurrently; results in their order.

        Each is a `view` of `edit_file`, or `{"command": "search", "pattern": ..., "path": ...}`.
        """
        ...

    async def background(self, request: Mapping[str, object]) -> Completed:
        """Start, list, read or stop a background command.

        `action` is one of these; `start` takes `command`, `read` and `stop` take `id`. Exit code 1
        comes with a reason. They end with the sandbox, and when a command of the shell is killed at
        a limit.
        """
        ...

    async def search(self, pattern: str, path: str) -> Completed:
        """Matching lines below `path`, as `path:line: text`; exit code 1 and a reason on failure.

        The pattern is a Python regular expression. Skips `.git`, links, binary and very large
        files.
        """
        ...


class Program(Protocol):
    """A program in its own sandbox, connected to the worker by its stdin and stdout."""

    @property
    def listener(self) -> socket.socket | None:
        """Accepts connections to the spec's `worker_port`; None without one."""
        ...

    @property
    def error_output(self) -> str:
        """What it wrote to stderr so far, without the middle of a long output."""
        ...

    async def send(self, data: bytes) -> None:
        """Write to its stdin. Raises BrokenPipeError once it reads no more."""
        ...

    async def receive(self) -> bytes:
        """Read from its stdout, at most 64 KiB; empty once nothing more can come."""
        ...

    async def close_input(self) -> None:
        """End its stdin."""
        ...

    async def ended(self) -> Completed:
        """Wait until it has ended. `output` is empty."""
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
        """Run one command in a fresh sandbox. All its processes are dead when this returns.

        With `stdout_to`, stdout is written there (at most `file_bytes`) and `output` is only
        stderr. Raises UserError when no sandbox can be made.
        """
        ...

    def session(self, spec: SandboxSpec) -> AbstractAsyncContextManager[SandboxSession]:
        """A running sandbox. It is dead when the context exits."""
        ...

    def program(
        self, spec: SandboxSpec, argv: Sequence[str]
    ) -> AbstractAsyncContextManager[Program]:
        """A program in a fresh sandbox; all its processes are dead when the context exits.

        The caller limits its time. Raises UserError when no sandbox can be made, or when
        `worker_port` is set and the sandbox has no loopback of its own.
        """
        ...

    def claim(self, path: Path, *, like: Path | None = None) -> None:
        """Give an empty directory to the user that runs in its sandboxes.

        A workspace gets its own owner; another directory gets the owner of the workspace `like`.
        """
        ...

    def seen(self, mount: Mount) -> str:
        """The path of a mount inside the sandbox."""
        ...
