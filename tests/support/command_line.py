"""The command `honk` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_honk(
    *arguments: str,
    settings: Mapping[str, str],
    seconds: float = 300.0,
    within: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run it with only these settings; `within` is the command that starts it."""
    return subprocess.run(
        [*within, sys.executable, "-m", "app", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **settings},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
