"""`make bench`: every benchmark, or those named as `ONLY=`. They measure and never gate."""

from __future__ import annotations

import os

from benchmarks import (
    agent,
    capacity,
    crowd,
    durable,
    every,
    history,
    intake,
    large,
    pages,
    receiver,
    report,
    setup,
    slack,
    slow,
    verify,
)

BENCHMARKS = {
    "receiver": receiver.main,
    "large": large.main,
    "slow": slow.main,
    "durable": durable.main,
    "intake": intake.main,
    "capacity": capacity.main,
    "crowd": crowd.main,
    "history": history.main,
    "verify": verify.main,
    "report": report.main,
    "setup": setup.main,
    "every": every.main,
    "slack": slack.main,
    "pages": pages.main,
    "agent": agent.main,
}


def main() -> None:
    """Run what ONLY names, or all. Raises SystemExit for an unknown name."""
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    if unknown := set(only) - BENCHMARKS.keys():
        raise SystemExit(f"ONLY={','.join(sorted(unknown))}: there is {', '.join(BENCHMARKS)}")
    for name in only or BENCHMARKS:
        print(f"\n{name}")
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
