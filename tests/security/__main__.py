"""`make security`: the result of every attempt and its control.

Finished rows are kept in .cache/security for each commit; an interrupted call resumes.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path

from app import logs
from tests.security.harness import Attempt, both
from tests.security.table import KINDS
from tests.support.ledger import Ledger

CACHE = Path(".cache/security")
_ROW_SECONDS = 120.0


async def _row(attempt: Attempt, ledger: Ledger, folder: Path) -> None:
    if cannot := attempt.needs():
        ledger.write(attempt.name, [attempt.defense, cannot, "", "not run"])
        return
    async with asyncio.timeout(_ROW_SECONDS):
        tried, control = await both(attempt, folder)
    good = not tried.through and control.through
    row = [attempt.defense, tried.why, control.why]
    if tried.through:
        row[1] = f"GOT THROUGH: {tried.why}"
    if not control.through:
        row[2] = f"STOPPED: {control.why}"
    ledger.write(attempt.name, [*row, "ok" if good else "BAD"])


async def _all(only: str, ledger: Ledger, folder: Path) -> None:
    for number, attempt in enumerate(_chosen(only)):
        if attempt.name not in ledger.rows:
            await _row(attempt, ledger, folder / str(number))


def _chosen(only: str) -> list[Attempt]:
    return [each for kind, them in KINDS.items() for each in them if only in f"{kind}: {each.name}"]


def _print(only: str, ledger: Ledger) -> int:
    """Print the tables and the totals. Returns how many rows are bad."""
    counted = bad = left = 0
    for kind, attempts in KINDS.items():
        rows = [(each.name, ledger.rows[each.name]) for each in attempts if each in _chosen(only)]
        if not rows:
            continue
        print(f"## {kind}\n")
        print("| Attempt | Defense | What stopped it | Without that defense |\n|---|---|---|---|")
        for name, (*cells, ending) in rows:
            shown = [_cell(cell) for cell in cells]
            if ending == "not run":
                shown[1:] = [f"not run here: {shown[1]}", "not counted"]
            print("| " + " | ".join([name, *shown]) + " |")
        print()
        counted += sum(row[-1] == "ok" for _, row in rows)
        bad += sum(row[-1] == "BAD" for _, row in rows)
        left += sum(row[-1] == "not run" for _, row in rows)
    print(f"{counted} attempts were stopped, each with a control that got through.")
    print(f"{left} could not be tried here and are not counted.")
    print(f"{bad} got through, or have a control that did not.")
    return bad


def _cell(text: str) -> str:
    """Neutralize what an attempt printed: it may target the reader of the table."""
    letters = (each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    # Also HTML and images, which would come from the attempt's own server.
    return re.sub(r"[|<]|!(?=\[)", r"\\\g<0>", "".join(letters))


def main() -> int:
    """Print the tables; the exit code is 1 if a row is bad."""
    parser = argparse.ArgumentParser(prog="make security")
    parser.add_argument("--only", default="", help="rows with this in their kind or name")
    parser.add_argument("--again", action="store_true", help="forget what is known")
    given = parser.parse_args()
    logs.configure(level="critical", form="console", secrets=lambda: ())
    ledger = Ledger(CACHE, again=given.again)
    with tempfile.TemporaryDirectory(prefix="honk-security-") as folder:
        Path(folder).chmod(0o755)
        asyncio.run(_all(given.only, ledger, Path(folder)))
    print(f"Made from commit {ledger.commit}.\n")
    return 1 if _print(given.only, ledger) else 0


if __name__ == "__main__":
    sys.exit(main())
