"""Processor time of processes and all that they start, whatever becomes of them.

A cgroup counts everything that runs in it. Waiting for a process does not: what a sandbox's own
process namespace ends with is not always waited for. Where no cgroup can be made, what the kernel
knows of the processes that are still there and of those that were waited for has to do.
https://docs.kernel.org/admin-guide/cgroup-v2.html, `/admin-guide/cgroup-v1/cpuacct.html`
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import below, ticks

_MOUNTS = {"cgroup v2": "/sys/fs/cgroup", "cgroup v1, cpuacct": "/sys/fs/cgroup/cpuacct"}
_COUNTERS = {"cpu.stat": 1e-6, "cpuacct.usage": 1e-9}
_ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


class CpuGroup:
    """The processes started through it. `kind` says how they are counted."""

    def __init__(self, kind: str, folder: Path | None) -> None:
        self.kind = kind
        self._folder = folder

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs this one inside."""
        if self._folder is None:
            return list(argv)
        return ["/bin/sh", "-c", _ENTER, str(self._folder), *argv]

    @property
    def seconds(self) -> float:
        """The CPU time of the group so far."""
        if self._folder is None:
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            alive = sum(ticks(pid, children=True) for pid in below(os.getpid()))
            return alive / os.sysconf("SC_CLK_TCK") + ended.ru_utime + ended.ru_stime
        (name,) = (each for each in _COUNTERS if (self._folder / each).exists())
        # cpu.stat begins with `usage_usec`; cpuacct.usage is a number.
        words = (self._folder / name).read_text().split()
        return int(words[0 if len(words) == 1 else 1]) * _COUNTERS[name]


@contextmanager
def cpu_group() -> Iterator[CpuGroup]:
    """A group that exists until everything in it has ended."""
    for kind, mount in _MOUNTS.items():
        folder = Path(mount) / f"honk-bench-{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            if any((folder / name).exists() for name in _COUNTERS):
                try:
                    yield CpuGroup(kind, folder)
                finally:
                    _remove(folder)
                return
            folder.rmdir()
    yield CpuGroup("processes that were waited for", None)


def _remove(folder: Path) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)
