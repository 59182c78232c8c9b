"""What the kernel tells of a process: its memory, its processor time, the processes below it."""

from __future__ import annotations

from pathlib import Path

MIB = 1024
"""KiB in one."""


def below(pid: int) -> list[int]:
    """Its children and theirs, as far as they are still there."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def pss(pid: int) -> int:
    """KiB in memory; what it shares is divided among those that share it. 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def ticks(pid: int, *, children: bool = False) -> int:
    """Clock ticks of the processor that it used; with those of children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15] if children else fields[11:13]))
