"""Every text that people read on GitHub, one module for each surface."""

from app.messages import (
    agent,
    check_run,
    comments,
    formatting,
    labels,
    pull_request,
    refusals,
    status_comment,
)

__all__ = [
    "agent",
    "check_run",
    "comments",
    "formatting",
    "labels",
    "pull_request",
    "refusals",
    "status_comment",
]
