"""The order of the tests (what takes long first), their toolchains, and what was left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.toolchains import not_tested, use_fetched

use_fetched()
# How long an example takes depends on what else the machine does.
settings.register_profile("honk", deadline=None)
settings.load_profile("honk")

_TESTS = Path(__file__).parent
_FIRST = ("stories", "faults", "verify", "cheats", "security", "browser", "contract", "fuzz")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(_TESTS).parts[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Left for the very end, where it is read."""
    line = not_tested(terminalreporter.getreports("skipped"))
    if line:
        terminalreporter.config.add_cleanup(lambda: terminalreporter.write_line(line))
