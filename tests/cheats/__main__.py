"""`make trust`: what becomes of every cheat, with its control, and of every honest change.

Rows that are done are kept in .cache/trust for the commit they were done with; a call that is cut
short goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.cheats.harness import GREEN, Bench, Outcome
from tests.cheats.honest import CACHE, HONEST, Own, Upstream, judged
from tests.cheats.run import both
from tests.cheats.table import CHEATS, POLICY, PROJECTS, Cheat
from tests.support.ledger import Ledger, Row

_AT_ONCE = 2


async def _cheat(cheat: Cheat, bench: Bench, ledger: Ledger) -> None:
    caught, control = await both(cheat, bench)
    good = caught.conclusion != GREEN and control.conclusion == GREEN
    why = ", ".join(caught.kinds) or caught.why
    row = [caught.conclusion, why, cheat.defence, control.conclusion, "ok" if good else "BAD"]
    ledger.write(cheat.name, row)


async def _honest(change: Own | Upstream, folder: Path, ledger: Ledger) -> None:
    outcome = await judged(change, folder)
    good = is_let_through(outcome)
    flags = ", ".join(outcome.kinds) or "none"
    said = "draft" if outcome.draft else "ready"
    ledger.write(change.name, [outcome.why, flags, said, "ok" if good else "BAD"])


def is_let_through(outcome: Outcome) -> bool:
    return not outcome.draft and len(outcome.flags) <= 1


async def _all(only: str, ledger: Ledger, folder: Path) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)
    cheats = [each for each in CHEATS if only in each.name and each.name not in ledger.rows]
    names = dict.fromkeys(each.project for each in cheats)
    benches = {name: await Bench.make(folder / name, PROJECTS[name], POLICY) for name in names}

    async def cheat(each: Cheat) -> None:
        async with gate:
            await _cheat(each, benches[each.project], ledger)

    async def honest(at: int, each: Own | Upstream) -> None:
        async with gate:
            await _honest(each, folder / f"honest-{at}", ledger)

    async with asyncio.TaskGroup() as group:
        for at, change in enumerate(HONEST):
            if only in change.name and change.name not in ledger.rows:
                group.create_task(honest(at, change))
        for each in cheats:
            group.create_task(cheat(each))


def _table(heads: Row, names: list[str], ledger: Ledger) -> int:
    rows = [(name, ledger.rows[name]) for name in names if name in ledger.rows]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, row in rows:
        print("| " + " | ".join([name, *row[:-1]]) + " |")
    good = sum(row[-1] == "ok" for _, row in rows)
    print(f"\n{good} of {len(rows)} as they should be.\n")
    return len(rows) - good


def main() -> int:
    """Print both tables; the exit code is 1 when a row is not as it should be."""
    parser = argparse.ArgumentParser(prog="make trust")
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--again", action="store_true", help="forget what is known")
    given = parser.parse_args()
    ledger = Ledger(CACHE, again=given.again)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_all(given.only, ledger, Path(folder)))
    print(f"Made from commit {ledger.commit}.\n")
    heads = ["The model", "Ends", "By", "Defence taken away in the control", "Then it ends"]
    bad = _table(heads, [each.name for each in CHEATS if given.only in each.name], ledger)
    names = [each.name for each in HONEST if given.only in each.name]
    bad += _table(["The change", "Tests", "Flags", "Pull request"], names, ledger)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
