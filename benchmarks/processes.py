"""The kernel's data about a process: its memory, its CPU time, its descendants."""

from __future__ import annotations

from pathlib import Path

MIB = 1024
"""KiB in one."""


def below(pid: int) -> list[int]:
    """Its descendants that still exist."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def pss(pid: int) -> int:
    """Resident KiB; shared memory is divided among its users (PSS). 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def ticks(pid: int, *, children: bool = False) -> int:
    """CPU time in clock ticks, including children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15] if children else fields[11:13]))
