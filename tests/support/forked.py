"""Processes of the product that do not have to import it again.

A server process has imported everything once and forks (the standard library's `forkserver`), so
that a start costs what the product itself does at its start: most stories need one of their own,
and those about dying need many.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

_IMPORTED = (
    "alembic.command",
    "anthropic",
    "app.cli",
    "app.runs.workflow",
    "app.web.app",
    "app.web.server",
    "app.worker",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)

_LOOK_SECONDS = 0.02

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_IMPORTED))


class Forked:
    """A process, with as much of `subprocess.Popen` as the playground and the stories use."""

    def __init__(self, process: ForkServerProcess, stdout: IO[bytes] | None) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self.stdout = stdout
        self._process = process
        # Its exit code can be read once, and threads wait for it.
        self._one_reader = threading.Lock()

    def poll(self) -> int | None:
        with self._one_reader:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("the product", timeout or 0)
            time.sleep(_LOOK_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: IO[bytes]
) -> Forked:
    """`python -m` with these words, in a folder, with this environment alone."""
    reader, writer = os.pipe()
    try:
        process = _process(words, environment, folder, (writer, errors.fileno()))
    finally:
        os.close(writer)
    return Forked(process, os.fdopen(reader, "rb"))


def start_logging(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, log: IO[bytes]
) -> Forked:
    """The same, with all that it prints in its log."""
    return Forked(_process(words, environment, folder, (log.fileno(), log.fileno())), None)


def _process(
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    descriptors: tuple[int, int],
) -> ForkServerProcess:
    arguments = (list(words), dict(environment), folder, _Lent(descriptors))
    process = _context.Process(target=_run, args=arguments)
    process.start()
    return process


class _Lent:
    """Where output and errors go, on the way into the process that is being started."""

    def __init__(self, descriptors: tuple[int, int]) -> None:
        self._descriptors = descriptors
        self._received: tuple[Any, ...] = ()

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(DupFd(each) for each in self._descriptors)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._received = state

    def take(self) -> tuple[int, ...]:
        return tuple(each.detach() for each in self._received)


def _run(words: list[str], environment: dict[str, str], folder: Path, lent: _Lent) -> None:
    """Run like `python -m`."""
    out, errors = lent.take()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((nothing, 0), (out, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(0, "rb", closefd=False), encoding="utf-8"),
        io.TextIOWrapper(io.FileIO(1, "wb", closefd=False), encoding="utf-8", write_through=True),
        io.TextIOWrapper(io.FileIO(2, "wb", closefd=False), encoding="utf-8", write_through=True),
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
