"""A running sandbox from the worker's side: its process, its channel and its termination."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import UserError
from app.sandbox.cgroups import Group
from app.sandbox.inside import HEADER, frame
from app.shielded import shielded

START_SECONDS = 30.0
KILL_SECONDS = 30.0
MAX_HEADER_BYTES = 1 << 16
MAX_DATA_BYTES = 64 << 20


class UnfinishedError(Exception):
    """The first process could not complete the sandbox's setup; the message says why."""


class SandboxGoneError(Exception):
    """The other end of the channel is closed or sent an invalid message."""


@dataclass(frozen=True)
class Launch:
    """How to start the first process of a sandbox.

    `info_fd` is where bubblewrap writes the process id; without one the started process is the
    sandbox's first. `inherited` descriptors are closed here once it runs. `name` is set for a
    container. `group` is its cgroup, removed with the sandbox.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    uid: int | None
    inherited: Sequence[int]
    info_fd: int | None
    name: str = ""
    group: Group | None = None


class SandboxProcess:
    """One sandbox. `kill` must be called, and works in any state."""

    def __init__(
        self, process: subprocess.Popen[bytes], channel: socket.socket, errors: int
    ) -> None:
        self._process = process
        self._channel = channel
        self._errors = errors
        self._monitor = os.pidfd_open(process.pid)
        self._first: int | None = None
        self._folders: list[int] = []
        self._listener: int | None = None
        self.name = ""
        self._group: Group | None = None
        self.ran_out = False
        """Whether the OOM killer ended it; set by `kill`."""

    @classmethod
    async def start(
        cls,
        launch_on: Callable[[int], Launch],
        config: Mapping[str, object],
    ) -> SandboxProcess:
        """Start it and wait until it is ready. Raises UserError if it does not start.

        Call it from a thread that outlives the sandbox: the parent-death signal is tied to the
        thread that forked.
        """
        ours, theirs = socket.socketpair()
        read_errors, write_errors = os.pipe()
        try:
            launch = launch_on(theirs.fileno())
            process = _popen(launch, theirs.fileno(), write_errors)
        except BaseException:
            ours.close()
            os.close(read_errors)
            raise
        finally:
            theirs.close()
            os.close(write_errors)
        living = cls(process, ours, read_errors)
        living.name = launch.name
        living._group = launch.group
        try:
            async with asyncio.timeout(START_SECONDS):
                await living._start(launch, config)
        except (SandboxGoneError, OSError, TimeoutError) as error:
            words = living._last_words()
            await shielded(living.kill())
            raise UserError(
                f"A sandbox did not start: {words or error!r}.", next_step="Run `honk doctor`."
            ) from error
        except BaseException:
            await shielded(living.kill())
            raise
        return living

    async def _start(self, launch: Launch, config: Mapping[str, object]) -> None:
        self._channel.setblocking(False)
        os.set_blocking(self._errors, False)
        pid = self._process.pid
        if launch.info_fd is not None:
            pid = await _child_pid(launch.info_fd)
        self._first = os.pidfd_open(pid)
        if self._group is not None:
            # Before the first request, these two are the only processes.
            for each in (self._process.pid, pid):
                self._group.add(each)
        header, _ = await self.ask(dict(config))
        if "unfinished" in header:
            raise UnfinishedError(str(header["unfinished"]))
        if header != {"ready": True}:
            raise SandboxGoneError(f"unexpected {header}")
        walls: Any = config["walls"] or {"scratch": ()}
        for _ in filter(None, (each["kept"] for each in walls["scratch"])):
            self._folders.append(await self._descriptor())
        if config["worker_port"]:
            self._listener = await self._descriptor()

    async def _descriptor(self) -> int:
        """Receive a descriptor that the first process sends before it runs anything."""
        await readable(self._channel.fileno())
        data, descriptors, *_ = socket.recv_fds(self._channel, 1, 1)
        if not data or not descriptors:
            raise SandboxGoneError("a descriptor was not handed over")
        return descriptors[0]

    def folders(self) -> list[int]:
        """Descriptors of in-memory folders, readable after `kill`; the caller closes them."""
        taken, self._folders = self._folders, []
        return taken

    def listener(self) -> socket.socket | None:
        """The listening socket of the spec's `worker_port`; the caller closes it."""
        taken, self._listener = self._listener, None
        return None if taken is None else socket.socket(fileno=taken)

    async def ask(self, header: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send one request and wait for its reply. Raises SandboxGoneError."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._channel, frame(header, data))
            lengths = HEADER.unpack(await self._exactly(HEADER.size))
            if lengths[0] > MAX_HEADER_BYTES or lengths[1] > MAX_DATA_BYTES:
                raise SandboxGoneError("an oversized answer")
            answer = json.loads(await self._exactly(lengths[0]))
            return dict(answer), await self._exactly(lengths[1])
        except (OSError, ValueError) as error:
            raise SandboxGoneError(str(error)) from error

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < size:
            part = await loop.sock_recv(self._channel, min(size - len(parts), 1 << 20))
            if not part:
                raise SandboxGoneError("the channel is closed")
            parts += part
        return bytes(parts)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return os.read(self._errors, 2000).decode("utf-8", "replace").strip()
        return ""

    async def kill(self) -> None:
        """Kill every process of the sandbox and wait until the last has exited.

        The kernel reaps a pid namespace's first process only after all others in it, so its exit
        means that all have ended. Raises TimeoutError if it does not exit.
        """
        self._channel.close()
        deadline = time.monotonic() + KILL_SECONDS
        try:
            if self._first is not None:
                _signal(self._first)
                await _ended(self._first, deadline)
            else:
                # bubblewrap's child dies with it only once it has begun; until then it would wait
                # for its parent forever.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            await _ended(self._monitor, deadline)
            self._process.wait()
            if self._group is not None:
                self.ran_out = self._group.ran_out
                await asyncio.to_thread(self._group.remove)
        finally:
            handed_over = (*self.folders(), self._listener)
            for fd in (self._first, self._monitor, self._errors, *handed_over):
                if fd is not None:
                    os.close(fd)
            self._first = self._listener = None


class PlainProcess(SandboxProcess):
    """Without a pid namespace only the first process knows its descendants, so it kills them."""

    async def kill(self) -> None:
        self._channel.close()
        with contextlib.suppress(TimeoutError):
            await _ended(self._monitor, time.monotonic() + 8)
        await super().kill()


def _popen(launch: Launch, channel: int, errors: int) -> subprocess.Popen[bytes]:
    who: dict[str, Any] = {}
    if launch.uid is not None:
        who = {"user": launch.uid, "group": launch.uid, "extra_groups": []}
    try:
        return subprocess.Popen(
            launch.argv,
            env=dict(launch.environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[channel, *launch.inherited],
            start_new_session=True,
            **who,
        )
    except OSError as error:
        if launch.info_fd is not None:
            os.close(launch.info_fd)
        raise UserError(
            f"{launch.argv[0]} could not be started: {error.strerror}.",
            next_step="Run `honk doctor`.",
        ) from error
    finally:
        for fd in launch.inherited:
            os.close(fd)


async def _child_pid(fd: int) -> int:
    """Read the JSON object that bubblewrap writes to its `--info-fd`."""
    os.set_blocking(fd, False)
    text = b""
    try:
        while b"}" not in text:
            await readable(fd)
            part = os.read(fd, 4096)
            if not part:
                raise SandboxGoneError("bubblewrap ended")
            text += part
    finally:
        os.close(fd)
    return int(json.loads(text)["child-pid"])


async def readable(fd: int) -> None:
    """Wait until the descriptor is readable: a pipe has data, or a pidfd's process has exited."""
    loop = asyncio.get_running_loop()
    happened = asyncio.Event()
    loop.add_reader(fd, happened.set)
    try:
        await happened.wait()
    finally:
        loop.remove_reader(fd)


async def _ended(pidfd: int, deadline: float) -> None:
    async with asyncio.timeout(max(deadline - time.monotonic(), 0.01)):
        await readable(pidfd)


def _signal(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
