"""`make bench`: every benchmark, or the one named as `ONLY=`. They measure and never gate."""

from __future__ import annotations

import os

from benchmarks import capacity, intake, receiver, report, slow, verify

BENCHMARKS = {
    "receiver": receiver.main,
    "slow": slow.main,
    "intake": intake.main,
    "capacity": capacity.main,
    "verify": verify.main,
    "report": report.main,
}


def main() -> None:
    """Run what ONLY names, or all. Raises SystemExit for an unknown name."""
    only = os.environ.get("ONLY")
    if only and only not in BENCHMARKS:
        raise SystemExit(f"ONLY={only}: there is {', '.join(BENCHMARKS)}")
    for name, run in BENCHMARKS.items():
        if only in (None, "", name):
            print(f"\n{name}")
            run()


if __name__ == "__main__":
    main()
