"""Finished rows, stored for each commit, so that a long table can resume."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

Row = list[str]


class Ledger:
    """Rows by name, for the commit that is checked out."""

    def __init__(self, folder: Path, *, again: bool) -> None:
        words = ["git", "rev-parse", "--short", "HEAD"]
        self.commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout[:-1]
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / f"rows-{self.commit}.jsonl"
        if again:
            self._path.unlink(missing_ok=True)
        self.rows = self._read()

    def _read(self) -> dict[str, Row]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return dict(json.loads(line) for line in lines)

    def refresh(self) -> None:
        """Add the rows that a concurrent call has written since."""
        self.rows = {**self._read(), **self.rows}

    def write(self, name: str, row: Row) -> None:
        """Store a row; its last item is the result."""
        self.rows[name] = row
        with self._path.open("a") as file:
            file.write(json.dumps([name, row]) + "\n")
        print(f"  {row[-1]:4} {name}", file=sys.stderr, flush=True)
