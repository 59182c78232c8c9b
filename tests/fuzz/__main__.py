"""`make fuzz`: a hundred thousand examples for every parser of untrusted input.

Progress is kept in .cache/fuzz for each commit; a call stops after nine minutes, and the next one
resumes.
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
from tests.fuzz.throwing import Tally, throw

EXAMPLES = 100_000
BATCH = 5_000
_SECONDS = 540.0
_CACHE = Path(__file__).parents[2] / ".cache" / "fuzz"


class Ledger:
    """How far each parser is, for the commit that is checked out."""

    def __init__(self, *, again: bool) -> None:
        command = ["git", "rev-parse", "--short", "HEAD"]
        self.commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout[
            :-1
        ]
        _CACHE.mkdir(parents=True, exist_ok=True)
        self._path = _CACHE / f"{self.commit}.json"
        if again:
            self._path.unlink(missing_ok=True)
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._tallies = {name: Tally(**tally) for name, tally in known.items()}

    def of(self, target: Target) -> Tally:
        return self._tallies.setdefault(target.name, Tally())

    def add(self, target: Target, more: Tally) -> None:
        whole = self.of(target)
        whole.examples += more.examples
        whole.refused += more.refused
        whole.slowest = max(whole.slowest, more.slowest)
        whole.failure = more.failure
        tallies = {name: asdict(each) for name, each in self._tallies.items()}
        self._path.write_text(json.dumps(tallies))


def _resume(target: Target, ledger: Ledger, end: float) -> None:
    """Run batches, each with its own seed, until there are enough, one fails, or time is up."""
    while time.monotonic() < end:
        so_far = ledger.of(target)
        if so_far.failure or so_far.examples >= EXAMPLES:
            return
        ledger.add(target, throw(target, BATCH, number=1 + so_far.examples // BATCH))


def _table(targets: list[Target], ledger: Ledger) -> int:
    """Print the results. Returns how many parsers failed or are incomplete."""
    print(
        "| parser | examples | parsed | refused | slowest, ms of CPU | |\n|---|--:|--:|--:|--:|---|"
    )
    bad = 0
    for target in targets:
        tally = ledger.of(target)
        state = "passed" if tally.examples >= EXAMPLES else "incomplete"
        state = "FAILED" if tally.failure else state
        bad += state != "passed"
        read = tally.examples - tally.refused
        print(
            f"| {target.name} | {tally.examples:,} | {read:,} | {tally.refused:,}"
            f" | {tally.slowest * 1000:.0f} | {state} |"
        )
    total = sum(ledger.of(target).examples for target in targets)
    print(f"\n{total:,} examples, {bad} of {len(targets)} parsers failed or are incomplete.")
    print(f"Made from commit {ledger.commit}.")
    return bad


def main() -> int:
    """The exit code is 1 if a parser failed or is incomplete."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--only", default="", help="parsers with this in their name")
    parser.add_argument("--again", action="store_true", help="start over")
    given = parser.parse_args()
    # OpenSSL's callback warns about names that are not ASCII, and refuses them itself.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    ledger, end = Ledger(again=given.again), time.monotonic() + _SECONDS
    targets = [target for target in TARGETS if given.only in target.name]
    for target in targets:
        _resume(target, ledger, end)
        tally = ledger.of(target)
        print(f"  {target.name}: {tally.examples:,}", file=sys.stderr, flush=True)
        if tally.failure:
            print(tally.failure, file=sys.stderr, flush=True)
    return 1 if _table(targets, ledger) else 0


if __name__ == "__main__":
    sys.exit(main())
