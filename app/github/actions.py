"""GitHub Actions: workflow runs and job logs.

https://docs.github.com/en/rest/actions/workflow-runs
"""

from __future__ import annotations

import msgspec

from app.domain.values import CommitSha, Value
from app.github.client import RepositoryClient
from app.github.conversation import Author, UserWire, actor
from app.github.downloads import download

_MOST_PAGES = 3


class WorkflowRun(Value):
    """One workflow run. `status` and `conclusion` are GitHub's values.

    A run that needs approval is `completed` with the conclusion `action_required`, or has the
    status `waiting` if a deployment environment requires it.
    """

    id: int
    name: str
    status: str
    conclusion: str | None
    event: str
    branch: str | None
    url: str
    actor: Author

    @property
    def waits_for_approval(self) -> bool:
        """Whether the run needs someone's approval to start."""
        return self.conclusion == "action_required" or self.status in ("action_required", "waiting")


class _RunWire(msgspec.Struct):
    id: int
    event: str
    html_url: str
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    actor: UserWire | None = None


class _RunsWire(msgspec.Struct):
    workflow_runs: list[_RunWire]


async def runs_for_sha(client: RepositoryClient, sha: CommitSha) -> tuple[WorkflowRun, ...]:
    """The workflow runs of a commit, newest first. Needs actions: read.

    https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-repository
    """
    listing = client.pages(
        "/repos/{owner}/{repo}/actions/runs", query={"head_sha": sha}, most=_MOST_PAGES
    )
    wires = [wire async for answer in listing for wire in answer.read(_RunsWire).workflow_runs]
    return tuple(
        WorkflowRun(
            id=wire.id,
            name=wire.name or "",
            status=wire.status or "",
            conclusion=wire.conclusion,
            event=wire.event,
            branch=wire.head_branch,
            url=wire.html_url,
            actor=actor(wire.actor),
        )
        for wire in wires
    )


async def job_log(client: RepositoryClient, job_id: int, max_bytes: int) -> str | None:
    """The last `max_bytes` of a job's log; a first line says if it was truncated.

    None if there is no log: the job is still running, or the log has expired. Needs actions: read.
    GitHub redirects to a URL that is valid for a minute, on a host other than its API's.
    https://docs.github.com/en/rest/actions/workflow-jobs#download-job-logs-for-a-workflow-run
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/actions/jobs/{job_id}/logs",
        path={"job_id": job_id},
        accept={302, 404, 410},
    )
    address = answer.headers.get("location", "")
    if answer.status != 302 or not address:
        return None
    found = await download(client.github, address, max_bytes, keep="end")
    if found.status != 200:
        return None
    text = found.content.decode("utf-8", errors="replace")
    if found.whole:
        return text
    # The first line is incomplete.
    _, _, rest = text.partition("\n")
    return f"… {found.size - len(found.content):,} bytes before this are not shown.\n{rest or text}"
