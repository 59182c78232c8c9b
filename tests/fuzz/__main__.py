"""`make fuzz`: a hundred thousand examples for every reader of foreign input.

What is done is kept in .cache/fuzz for the commit it was done with; a call stops after nine minutes
and the next one goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.throwing import Told, throw

EXAMPLES = 100_000
A_BATCH = 5_000
_SECONDS = 540.0
_CACHE = Path(__file__).parents[2] / ".cache" / "fuzz"


class Ledger:
    """What each reader has stood so far, for the commit that is checked out."""

    def __init__(self, *, again: bool) -> None:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        self.commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout[:-1]
        _CACHE.mkdir(parents=True, exist_ok=True)
        self._path = _CACHE / f"{self.commit}.json"
        if again:
            self._path.unlink(missing_ok=True)
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._told = {name: Told(**told) for name, told in known.items()}

    def of(self, target: Target) -> Told:
        return self._told.setdefault(target.name, Told())

    def add(self, target: Target, told: Told) -> None:
        whole = self.of(target)
        whole.examples += told.examples
        whole.refused += told.refused
        whole.slowest = max(whole.slowest, told.slowest)
        whole.fell = told.fell
        self._path.write_text(json.dumps({name: asdict(each) for name, each in self._told.items()}))


def _go_on(target: Target, ledger: Ledger, end: float) -> None:
    """Batches of their own seeds, until there are enough, one falls, or time is up."""
    while time.monotonic() < end:
        so_far = ledger.of(target)
        if so_far.fell or so_far.examples >= EXAMPLES:
            return
        ledger.add(target, throw(target, A_BATCH, number=1 + so_far.examples // A_BATCH))


def _table(targets: list[Target], ledger: Ledger) -> int:
    """Print what became of them; how many have fallen or are not through."""
    print(
        "| reader | examples | read | refused | slowest, ms of CPU | |\n|---|--:|--:|--:|--:|---|"
    )
    bad = 0
    for target in targets:
        told = ledger.of(target)
        state = "FELL" if told.fell else "stood" if told.examples >= EXAMPLES else "not through"
        bad += state != "stood"
        read = told.examples - told.refused
        print(
            f"| {target.name} | {told.examples:,} | {read:,} | {told.refused:,}"
            f" | {told.slowest * 1000:.0f} | {state} |"
        )
    total = sum(ledger.of(target).examples for target in targets)
    print(f"\n{total:,} examples, {bad} of {len(targets)} readers fell or are not through.")
    print(f"Made from commit {ledger.commit}.")
    return bad


def main() -> int:
    """The exit code is 1 when a reader fell or is not through yet."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--only", default="", help="readers with this in their name")
    parser.add_argument("--again", action="store_true", help="forget what is known")
    given = parser.parse_args()
    # OpenSSL's callback tells of names that are no ASCII, and refuses them by itself.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    ledger, end = Ledger(again=given.again), time.monotonic() + _SECONDS
    targets = [target for target in TARGETS if given.only in target.name]
    for target in targets:
        _go_on(target, ledger, end)
        told = ledger.of(target)
        print(f"  {target.name}: {told.examples:,}", file=sys.stderr, flush=True)
        if told.fell:
            print(told.fell, file=sys.stderr, flush=True)
    return 1 if _table(targets, ledger) else 0


if __name__ == "__main__":
    sys.exit(main())
