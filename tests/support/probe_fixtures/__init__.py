"""Small repositories that bring no policy file: one for each row of the tables of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProbeFixture:
    """One repository, and what the probe must find in it.

    `row`: the row of the table that it stands for. `prepare`: commands that make files which name a
    registry, such as lock files; they run on this machine before the files are committed. `tests`:
    how many tests run. `missing`: text that the message holds, for a repository with a fault.
    """

    name: str
    row: str
    files: Mapping[str, str]
    prepare: tuple[str, ...] = ()
    tests: int | None = None
    missing: str = ""
    programs: tuple[str, ...] = field(default=())
    """Programs that `prepare` needs; without them the fixture is left out."""
