"""Every text that people read on GitHub, one module for each surface."""

from app.messages import (
    acceptance,
    agent,
    check_run,
    comments,
    formatting,
    labels,
    outcome,
    probe,
    pull_report,
    pull_request,
    refusals,
    reproduction,
    review_check,
    setup,
    status_comment,
    verdict,
)

__all__ = [
    "acceptance",
    "agent",
    "check_run",
    "comments",
    "formatting",
    "labels",
    "outcome",
    "probe",
    "pull_report",
    "pull_request",
    "refusals",
    "reproduction",
    "review_check",
    "setup",
    "status_comment",
    "verdict",
]
