"""The processes of this machine, read from the kernel: a bare system has no `ps`."""

from __future__ import annotations

from pathlib import Path


def command_lines() -> list[str]:
    """The command of every process that has not ended, its words separated by spaces."""
    return [line for entry in Path("/proc").glob("[0-9]*") if (line := _command_line(entry))]


def _command_line(entry: Path) -> str:
    try:
        words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:  # it ended in the meantime
        return ""
    return b" ".join(words).decode(errors="replace")
