"""GitHub Actions: workflows, their runs, artifacts and job logs.

https://docs.github.com/en/rest/actions/workflow-runs
"""

from __future__ import annotations

import msgspec

from app.domain.ci import WorkflowRun
from app.domain.values import CommitSha, Value
from app.github.client import RepositoryClient
from app.github.conversation import UserWire
from app.github.downloads import download
from app.github.exchange import ApiRequest

_MOST_PAGES = 3


class _IdWire(msgspec.Struct):
    id: int


class _RunWire(msgspec.Struct):
    id: int
    event: str
    html_url: str
    head_sha: str
    path: str
    repository: _IdWire
    run_attempt: int = 1
    status: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    head_repository: _IdWire | None = None
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
    return tuple(
        [_run(wire) async for answer in listing for wire in answer.read(_RunsWire).workflow_runs]
    )


async def runs_of_workflow(
    client: RepositoryClient, file: str, sha: CommitSha
) -> tuple[WorkflowRun, ...]:
    """The runs of one workflow for a commit, newest first. Needs actions: read.

    Raises NotFoundError where the repository has no such workflow file.
    https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow
    """
    listing = client.pages(
        "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
        path={"workflow_id": file},
        query={"head_sha": sha},
        most=_MOST_PAGES,
    )
    return tuple(
        [_run(wire) async for answer in listing for wire in answer.read(_RunsWire).workflow_runs]
    )


async def workflow_run(client: RepositoryClient, run_id: int) -> WorkflowRun:
    """One workflow run, in its newest attempt. Needs actions: read.

    https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/actions/runs/{run_id}", path={"run_id": run_id}
    )
    return _run(answer.read(_RunWire))


def _run(wire: _RunWire) -> WorkflowRun:
    return WorkflowRun(
        id=wire.id,
        attempt=wire.run_attempt,
        path=wire.path,
        event=wire.event,
        status=wire.status or "",
        conclusion=wire.conclusion or "",
        head_sha=wire.head_sha,
        repository_id=wire.repository.id,
        head_repository_id=wire.head_repository.id if wire.head_repository else None,
        url=wire.html_url,
        branch=wire.head_branch or "",
        actor=wire.actor.login if wire.actor else "",
    )


class Workflow(Value):
    """A workflow. `state` is GitHub's value: `active`, `disabled_manually` and others."""

    path: str
    state: str


class _WorkflowWire(msgspec.Struct):
    path: str
    state: str


class _WorkflowsWire(msgspec.Struct):
    workflows: list[_WorkflowWire]


async def workflows(client: RepositoryClient) -> tuple[Workflow, ...]:
    """The repository's workflows. Needs actions: read.

    https://docs.github.com/en/rest/actions/workflows#list-repository-workflows
    """
    listing = client.pages("/repos/{owner}/{repo}/actions/workflows", most=_MOST_PAGES)
    return tuple(
        [
            Workflow(path=wire.path, state=wire.state)
            async for answer in listing
            for wire in answer.read(_WorkflowsWire).workflows
        ]
    )


async def dispatch(client: RepositoryClient, file: str, branch: str) -> str:
    """Start a workflow on a branch; returns why GitHub refused, or nothing. Needs actions: write.

    GitHub refuses a workflow that is disabled or that has no `workflow_dispatch` trigger on the
    branch. Done twice, it starts two runs: look for one first.
    https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event
    """
    answer = await client.send(
        ApiRequest(
            "POST",
            "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches",
            path={"workflow_id": file},
            body={"ref": branch},
            accept={404, 422},
        )
    )
    return "" if answer.status < _REFUSED else str(answer.read(_DispatchRefusalWire).message)


_REFUSED = 400


class _DispatchRefusalWire(msgspec.Struct):
    message: str = "no reason is given"


class UploadedArtifact(Value):
    """An artifact of a workflow run. `digest` is `sha256:...` over its archive, if GitHub has one.

    `run_id`, `head_sha` and `head_repository_id` are of the run that uploaded it.
    """

    id: int
    name: str
    size: int
    expired: bool
    digest: str | None
    run_id: int | None
    head_sha: str | None
    head_repository_id: int | None


class _RunOfArtifactWire(msgspec.Struct):
    id: int | None = None
    head_sha: str | None = None
    head_repository_id: int | None = None


class _ArtifactWire(msgspec.Struct):
    id: int
    name: str
    size_in_bytes: int
    expired: bool
    digest: str | None = None
    workflow_run: _RunOfArtifactWire | None = None


class _ArtifactsWire(msgspec.Struct):
    artifacts: list[_ArtifactWire]


async def artifacts(client: RepositoryClient, run_id: int) -> tuple[UploadedArtifact, ...]:
    """The artifacts of a run, at most 300. Needs actions: read.

    https://docs.github.com/en/rest/actions/artifacts#list-workflow-run-artifacts
    """
    listing = client.pages(
        "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts",
        path={"run_id": run_id},
        most=_MOST_PAGES,
    )
    return tuple(
        [
            _artifact(wire)
            async for answer in listing
            for wire in answer.read(_ArtifactsWire).artifacts
        ]
    )


def _artifact(wire: _ArtifactWire) -> UploadedArtifact:
    run = wire.workflow_run or _RunOfArtifactWire()
    return UploadedArtifact(
        id=wire.id,
        name=wire.name,
        size=wire.size_in_bytes,
        expired=wire.expired,
        digest=wire.digest,
        run_id=run.id,
        head_sha=run.head_sha,
        head_repository_id=run.head_repository_id,
    )


async def artifact_archive(
    client: RepositoryClient, artifact_id: int, max_bytes: int
) -> bytes | None:
    """An artifact's zip archive, cut one byte after `max_bytes`. None if it has expired.

    Needs actions: read. GitHub redirects to a URL that is valid for a minute, on a host other than
    its API's. Raises RetryableError when that host does not answer.
    https://docs.github.com/en/rest/actions/artifacts#download-an-artifact
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}",
        path={"artifact_id": artifact_id, "archive_format": "zip"},
        accept={302, 404, 410},
    )
    address = answer.headers.get("location", "")
    if answer.status != 302 or not address:
        return None
    found = await download(client.github, address, max_bytes + 1)
    return found.content if found.status == 200 else None


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
