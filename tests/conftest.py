"""In which order the tests run: what takes long first, so that no core waits at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_FIRST = ("stories", "faults", "verify", "cheats", "security", "browser", "contract", "fuzz")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(_TESTS).parts[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)
