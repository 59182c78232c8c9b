"""The toolchains that tests need: `make test` installs them, `make test TOOLCHAINS=none` does
not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.sandbox.toolchains import Toolchain, installed

_CACHE = Path(__file__).parents[2] / ".cache"
_FETCHED = _CACHE / "toolchains"
OUTPUTS = _CACHE / "outputs"
"""Build outputs of this machine's toolchains, which last between test runs."""
_WELL_KNOWN = ("/usr/local/go/bin", str(Path.home() / ".cargo" / "bin"))
"""Where installers put one; .ci/toolchains looks there, too."""
_LEFT_OUT = "left out with TOOLCHAINS=none: "


def use_fetched() -> None:
    """Put those that `make` fetched from registries before the machine's own."""
    own = [str(folder) for folder in sorted(_FETCHED.glob("*/bin"))]
    places = dict.fromkeys([*own, *os.get_exec_path(), *_WELL_KNOWN])
    os.environ["PATH"] = os.pathsep.join(places)


def needs(name: str) -> Toolchain:
    """The toolchain. Without it the test fails, or is skipped if that was requested."""
    for each in installed().found:
        if each.name == name:
            return each
    if os.environ.get("TOOLCHAINS") == "none":
        pytest.skip(f"{_LEFT_OUT}{name}")
    pytest.fail(f"{name} is missing: run `make test`, or leave it out with TOOLCHAINS=none")


def not_tested(skipped: Iterable[pytest.TestReport]) -> str:
    """One line about what was left out; empty when nothing was."""
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    names = [reason.partition(_LEFT_OUT)[2] for reason in reasons if _LEFT_OUT in reason]
    if not names:
        return ""
    listed = ", ".join(f"{name} ({names.count(name)})" for name in sorted(set(names)))
    return f"Not tested because of TOOLCHAINS=none (number of tests): {listed}."
