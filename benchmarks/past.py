"""A history for a database: ended runs, each a copy of a real run's rows under another name."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

DAYS = 20
"""The number of days that the history covers."""

OPEN = int(os.environ.get("OPEN", "100"))
"""One in this many copies still has refs on GitHub: merging or closing deletes them."""

_FIRST_NUMBER = 1_000_000
_AT_ONCE = 200
_DAY = 86_400.0


@dataclass
class Past:
    """What one real run left, and how many copies of it there are.

    Make it while the run is nearly alone in the database; all copies are of the one repository that
    `upstream` is, and this worker's `mirror` of it.
    """

    engine: sa.Engine
    upstream: Path
    mirror: Path
    copies: int = 0
    _rows: list[tuple[sa.Table, dict[str, Any]]] = field(default_factory=list)
    _run: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tables = sa.MetaData()
        tables.reflect(self.engine)
        if self.engine.dialect.name != "sqlite":
            tables.reflect(self.engine, schema="dbos")
        with self.engine.connect() as connection:
            newest = sa.select(tables.tables["runs"])
            newest = newest.where(sa.text("finished_at IS NOT NULL"))
            newest = newest.order_by(sa.text("created_at"))
            self._run = dict(connection.execute(newest).mappings().all()[-1])
            known = (self._run["id"], self._run["trigger_id"], self._run["published_sha"])
            for table in tables.sorted_tables:
                for row in connection.execute(sa.select(table)).mappings():
                    if any(each in str(dict(row)) for each in known):
                        self._rows.append((table, dict(row)))

    def grow(self, copies: int) -> None:
        """Create copies, with rows and refs, up to this number."""
        begun = self.copies
        while self.copies < copies:
            chunk = range(self.copies, min(copies, self.copies + _AT_ONCE))
            with self.engine.begin() as connection:
                for table, row in self._rows:
                    connection.execute(sa.insert(table), [self._copy(row, n) for n in chunk])
            self.copies = chunk.stop
        self._copy_refs(range(begun, copies, OPEN))
        self._copy_pins(range(begun, copies))
        if self.engine.dialect.name != "sqlite":
            # As the server does by itself after a while; SQLite does not.
            with self.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("ANALYZE")

    def _names(self, copy: int) -> dict[str, str]:
        """The replacements in a copy, the longest first."""
        run, number = self._run, _FIRST_NUMBER + copy
        sha = hashlib.sha1(str(copy).encode(), usedforsecurity=False).hexdigest()
        return {
            run["trigger_id"]: f"{run['trigger_id']}-{copy}",
            run["branch"]: f"{run['branch']}-{copy}",
            run["published_sha"]: sha,
            run["id"]: f"z{copy:09}",
            f"#{run['number']}": f"#{number}",
        }

    def _copy(self, row: Mapping[str, Any], copy: int) -> dict[str, Any]:
        names = self._names(copy)
        ago = random.Random(copy).random() * DAYS * _DAY
        number = _FIRST_NUMBER + copy
        made: dict[str, Any] = {}
        for column, value in row.items():
            if column in ("number", "pull_number", "status_comment_id", "run_check_id"):
                made[column] = number
            elif isinstance(value, str):
                made[column] = _renamed(value, names)
            elif isinstance(value, (dict, list)):
                made[column] = json.loads(_renamed(json.dumps(value), names))
            else:
                made[column] = _earlier(value, ago)
        return made

    def _copy_refs(self, copies: range) -> None:
        listed = _git(self.upstream, "for-each-ref", "--format=%(objectname) %(refname)")
        left = [line.split(" ", 1) for line in listed.splitlines()]
        mine = [each for each in left if any(known in each[1] for known in self._named_in_refs())]
        text = "".join(
            f"create {_renamed(name, self._names(copy))} {sha}\n"
            for copy in copies
            for sha, name in mine
        )
        _git(self.upstream, "update-ref", "--stdin", given=text)
        _git(self.upstream, "pack-refs", "--all")

    def _copy_pins(self, copies: range) -> None:
        mine = list((self.mirror / "honk-pins").glob(f"*{self._run['id']}*"))
        assert mine, "a run leaves pins"
        for copy in copies:
            for pin in mine:
                shutil.copy(pin, pin.with_name(_renamed(pin.name, self._names(copy))))

    def _named_in_refs(self) -> Iterator[str]:
        yield self._run["id"]
        yield self._run["branch"]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _earlier(value: Any, seconds: float) -> Any:
    """A time (seconds or milliseconds since 1970), shifted back; other values are unchanged."""
    now = time.time()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for unit in (1.0, 1000.0):
            if abs(value / unit - now) < _DAY:
                return type(value)(value - seconds * unit)
    return value


def _git(repository: Path, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
