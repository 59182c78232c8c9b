"""Reports at the end what was validated against published descriptions, what was not, and why."""

from __future__ import annotations

import pytest

from tests.support.openapi import EXEMPT, EXEMPT_ANSWERS, SESSION
from tests.support.slack_contract import EXEMPT as SLACK_EXEMPT
from tests.support.slack_contract import EXEMPT_ANSWERS as SLACK_EXEMPT_ANSWERS
from tests.support.slack_contract import SLACK_SESSION
from tests.support.webhook_schemas import EXEMPT_VALUES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _report_slack(terminalreporter)
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


def _report_slack(terminalreporter: pytest.TerminalReporter) -> None:
    if not SLACK_SESSION.totals:
        return
    terminalreporter.section("Slack's own types")
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(SLACK_SESSION.totals.items()))
    terminalreporter.line(f"validated: {counts}; {len(SLACK_SESSION.problems)} invalid")
    for words, reason in {**SLACK_EXEMPT, **SLACK_EXEMPT_ANSWERS}.items():
        terminalreporter.line(f"exempt: {words}: {reason}")
