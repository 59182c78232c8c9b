"""Workflow runs as GitHub lists them."""

from __future__ import annotations

from typing import Any

from app.domain.ci import WorkflowRun
from app.domain.values import CommitSha


def workflow_run(sha: CommitSha, path: str, **fields: Any) -> WorkflowRun:
    """A completed and successful run of a push to repository 1; `fields` replace."""
    usual: dict[str, Any] = {
        "id": 99,
        "attempt": 1,
        "event": "push",
        "status": "completed",
        "conclusion": "success",
        "repository_id": 1,
        "head_repository_id": 1,
        "url": "https://github.invalid/run",
    }
    return WorkflowRun(path=path, head_sha=sha, **(usual | fields))
