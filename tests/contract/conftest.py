"""Reports at the end what was validated against GitHub's descriptions, what was not, and why."""

from __future__ import annotations

import pytest

from tests.support.openapi import EXEMPT, EXEMPT_ANSWERS, SESSION
from tests.support.webhook_schemas import EXEMPT_VALUES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SESSION.totals:
        return
    terminalreporter.section("GitHub's own descriptions")
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(SESSION.totals.items()))
    terminalreporter.line(f"validated: {counts}; {len(SESSION.problems)} invalid")
    for (method, template), reason in EXEMPT.items():
        terminalreporter.line(f"exempt: {method} {template}: {reason}")
    for (method, template), reason in EXEMPT_ANSWERS.items():
        terminalreporter.line(f"exempt: the answer of {method} {template}: {reason}")
    for words, reason in EXEMPT_VALUES.items():
        terminalreporter.line(f"exempt: in webhooks, {words} ...: {reason}")
