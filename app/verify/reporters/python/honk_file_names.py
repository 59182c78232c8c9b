"""A pytest plugin for test files whose names are not UTF-8: pytest cannot write a report with them.

It runs in the project's own Python, in whatever version, and imports nothing of Honk. It changes
names and nothing else: they become printable as everywhere in Honk (`values.printable_name`).
"""

from __future__ import annotations

from typing import Any

import pytest


def _printable(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rename(report: Any) -> None:
    name = _printable(report.nodeid)
    if name != report.nodeid:
        report.nodeid = name
        if report.when != "collect":  # of a file that was collected, it comes from its name
            report.location = tuple(map(_printable, report.location))


@pytest.hookimpl(tryfirst=True)
def pytest_collectreport(report: Any) -> None:
    """Before pytest's own reporters see it."""
    _rename(report)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: Any) -> None:
    """Before pytest's own reporters see it."""
    _rename(report)
