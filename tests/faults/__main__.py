"""`make faults`: what goes wrong, one after the other, and whether anybody could see it.

Each part stops after nine minutes and goes on where it was when it is called again; what was done
is kept in .cache/faults for the commit it was done with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.faults.kill import Bench, Point, on_postgres, on_sqlite

_SECONDS = 540.0
_CACHE = Path(".cache/faults")
_DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "sqlite": on_sqlite,
    "postgres": on_postgres,
}


class Ledger:
    """What came of each point, for the commit that is checked out."""

    def __init__(self, part: str, *, again: bool) -> None:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self.commit = commit
        self._path = _CACHE / f"{part}-{commit}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if again:
            self._path.unlink(missing_ok=True)
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self.results: dict[str, str] = dict(json.loads(line) for line in lines)

    def write(self, key: str, result: str) -> None:
        self.results[key] = result
        with self._path.open("a") as file:
            file.write(json.dumps([key, result]) + "\n")


async def kill(ledger: Ledger, databases: list[str]) -> bool:
    """The kill matrix on the databases; True when it came to its end."""
    ends = time.monotonic() + _SECONDS
    for name in databases:
        opened = _DATABASES[name]
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder)) as bench:
                if not await _kill_on(bench, name, ledger, ends):
                    return False
    return True


async def _kill_on(bench: Bench, name: str, ledger: Ledger, ends: float) -> bool:
    points = await bench.points()
    print(f"{name}: {len(points)} points", flush=True)
    for point in points:
        key = f"{name}: {point}"
        if key in ledger.results:
            continue
        if time.monotonic() > ends:
            return False
        ledger.write(key, await _result(bench, point))
        print(f"  {ledger.results[key]:<8} {point}", flush=True)
    return True


async def _result(bench: Bench, point: Point) -> str:
    try:
        await bench.survives(point)
    except AssertionError as problem:
        return f"FAILED: {str(problem).splitlines()[0] if str(problem) else 'assertion'}"
    return "good"


def _table(ledger: Ledger) -> str:
    lines = [f"Kill matrix at {ledger.commit}", "", "| database | points | good | failed |"]
    lines.append("|---|---|---|---|")
    for name in _DATABASES:
        theirs = [result for key, result in ledger.results.items() if key.startswith(f"{name}:")]
        good = sum(result == "good" for result in theirs)
        lines.append(f"| {name} | {len(theirs)} | {good} | {len(theirs) - good} |")
    failed = [f"- {key}: {result}" for key, result in ledger.results.items() if result != "good"]
    return "\n".join([*lines, "", *failed])


def main() -> int:
    """0 when all is good, 1 when something failed, 3 when there is more to do."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--only", choices=["kill"], default="kill")
    parser.add_argument("--on", choices=list(_DATABASES), help="one database, not both")
    parser.add_argument("--again", action="store_true", help="forget what was done")
    given = parser.parse_args()
    # As Ctrl-C does: what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ledger = Ledger(given.only, again=given.again)
    whole = asyncio.run(kill(ledger, [given.on] if given.on else list(_DATABASES)))
    print(_table(ledger))
    if any(result != "good" for result in ledger.results.values()):
        return 1
    if not whole:
        print("There is more to do: call it again.")
    return 0 if whole else 3


if __name__ == "__main__":
    sys.exit(main())
