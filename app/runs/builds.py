"""What a repository's own workflow builds from a commit of Honk's, offered on Honk's pages.

Only an artifact that GitHub says belongs to exactly this commit and this repository counts: a fork
can upload anything under any name.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from app import log_events, messages
from app.domain.build import Build
from app.domain.ci import OF_A_PULL_REQUEST, OF_THE_COMMIT, WorkflowRun
from app.domain.retention import DAY
from app.domain.trigger import Signal
from app.domain.values import CommitSha
from app.github import actions, deployments
from app.github.actions import UploadedArtifact
from app.github.client import RepositoryClient
from app.runs import previews, reply
from app.runs.build_files import ReadFile, read_build
from app.runs.built_here import build_here
from app.runs.ci_artifacts import is_of
from app.runs.services import READ_RUNS, WRITE_DEPLOYMENTS, Services
from app.store.runs import RunRow
from app.verify.archive import MAX_ARCHIVE_BYTES, BadArchiveError, check_digest

log = structlog.get_logger()

_NO_PAGES = "the operator has not set HONK_PUBLIC_URL, so there are no pages"
_MOST_RUNS = 10
"""Workflow runs of a commit whose artifacts are listed."""


@dataclass(frozen=True)
class FoundArtifact:
    """An artifact of the wanted name and the workflow run that uploaded it."""

    artifact: UploadedArtifact
    run: WorkflowRun
    is_ours: bool


async def on_signal(services: Services, signal: Signal) -> None:
    """After a workflow run: collect what it built from a commit whose run has ended.

    A run that has not ended collects it at its end. Raises HonkError as `collect`.
    """
    rows = await services.runs.of_commit(str(signal.repository), signal.head_sha or "")
    if rows and rows[0].finished_at is not None and await collect(services, rows[0]):
        await previews.show(services, rows[0])


async def collect(services: Services, row: RunRow) -> bool:
    """Store the artifact that the policy names; whether there is one.

    Raises RetryableError when GitHub or the database is unavailable, and UserError when GitHub
    refuses.
    """
    policy, sha = row.input.policy.preview, row.published_sha
    if policy is None or policy.artifact is None or sha is None or row.pull_number is None:
        return False
    client = await services.client(row.input, READ_RUNS)
    found = await find_artifact(client, policy.artifact, CommitSha(sha), _repository_id(row))
    if found is None:
        return False
    # The end of the run and an event may come at the same time.
    async with services.locks.only_one(f"build {_repository_id(row)} {sha}", asyncio.Event()):
        known = await services.builds.of_commit(_repository_id(row), sha)
        if known is None or known.artifact_id < found.artifact.id:
            known = await _put(services, *await _from_artifact(services, client, row, found))
        await _link(services, row, known)
    return True


async def make(services: Services, row: RunRow) -> None:
    """Build with the policy's command, unless this commit was built before. Raises as `collect`."""
    policy, sha, base = row.input.policy.preview, row.published_sha, row.base_sha
    if policy is None or policy.command is None or row.pull_number is None or not (sha and base):
        return
    known = await services.builds.of_commit(_repository_id(row), sha)
    if known is None:
        files, why_not = tuple[ReadFile, ...](), ""
        if services.public_url:
            try:
                commits = CommitSha(base), CommitSha(sha)
                files = await build_here(services, row.input, policy, *commits)
            except BadArchiveError as reason:
                why_not = str(reason)
        else:
            why_not = _NO_PAGES
        problem = messages.preview.not_built(policy.command, why_not) if why_not else ""
        build = _about(row, files, problem, artifact_id=0, command=policy.command)
        known = await _put(services, build, files)
    await _link(services, row, known)


async def _put(services: Services, build: Build, files: Sequence[ReadFile]) -> Build:
    await services.builds.put(build, [each.content for each in files])
    log.info(log_events.BUILD_STORED, sha=build.sha, size=build.size, why=build.problem)
    return build


async def _link(services: Services, row: RunRow, build: Build) -> None:
    if build.files and build.deployment is None:
        await reply.decorate("a deployment", _deploy(services, row, build))


async def find_artifact(
    client: RepositoryClient, name: str, sha: CommitSha, repository_id: int
) -> FoundArtifact | None:
    """The newest artifact of this name for a commit: the repository's own, else a fork's."""
    found: list[FoundArtifact] = []
    for run in (await actions.runs_for_sha(client, sha))[:_MOST_RUNS]:
        if run.status != "completed":
            continue
        for each in await actions.artifacts(client, run.id):
            if each.name == name:
                ours = is_trusted(each, run, sha, repository_id)
                found.append(FoundArtifact(each, run, ours))
    return max(found, key=lambda one: (one.is_ours, one.artifact.id), default=None)


def is_trusted(
    artifact: UploadedArtifact, run: WorkflowRun, sha: CommitSha, repository_id: int
) -> bool:
    """Whether the repository's own workflow built the artifact from this commit's files."""
    return (
        (run.head_sha, run.repository_id, run.head_repository_id)
        == (sha, repository_id, repository_id)
        and run.event in {*OF_THE_COMMIT, OF_A_PULL_REQUEST}
        and is_of(artifact, run)
    )


async def _from_artifact(
    services: Services, client: RepositoryClient, row: RunRow, found: FoundArtifact
) -> tuple[Build, Sequence[ReadFile]]:
    """The build with its files, or with the reason why it has none."""
    files, why_not = tuple[ReadFile, ...](), ""
    if services.public_url:
        try:
            files = await read_artifact(client, found)
        except BadArchiveError as reason:
            why_not = str(reason)
    else:
        why_not = _NO_PAGES
    problem = messages.preview.not_offered(found.artifact.name, why_not) if why_not else ""
    build = _about(
        row,
        files,
        problem,
        artifact=found.artifact.name,
        artifact_id=found.artifact.id,
        workflow_url=found.run.url,
        actor=found.run.actor,
        merged=found.run.event == OF_A_PULL_REQUEST,
    )
    return build, files


def _about(
    row: RunRow, files: Sequence[ReadFile], problem: str, *, artifact_id: int, **source: Any
) -> Build:
    policy, moment = row.input.policy.preview, time.time()
    assert policy is not None
    assert row.published_sha is not None
    assert row.pull_number is not None
    return Build(
        id=_id(_repository_id(row), row.published_sha, artifact_id),
        repository=row.input.trigger.repository,
        repository_id=_repository_id(row),
        number=row.pull_number,
        sha=CommitSha(row.published_sha),
        run=row.id,
        artifact_id=artifact_id,
        files=tuple(each.file for each in files),
        problem=problem,
        created_at=moment,
        expires_at=moment + policy.keep_days * DAY,
        **source,
    )


async def read_artifact(client: RepositoryClient, found: FoundArtifact) -> tuple[ReadFile, ...]:
    """The artifact's files. Raises BadArchiveError with the reason why it offers none."""
    artifact = found.artifact
    if not found.is_ours:
        raise BadArchiveError("a fork or another commit's workflow uploaded it")
    if artifact.expired:
        raise BadArchiveError("it has expired; re-run the workflow")
    if artifact.size > MAX_ARCHIVE_BYTES:
        raise BadArchiveError(f"it is larger than {MAX_ARCHIVE_BYTES // 2**20} MiB")
    content = await actions.artifact_archive(client, artifact.id, MAX_ARCHIVE_BYTES)
    if content is None:
        raise BadArchiveError("GitHub no longer has it; re-run the workflow")
    await asyncio.to_thread(check_digest, content, artifact.digest)
    return await asyncio.to_thread(read_build, content)


async def _deploy(services: Services, row: RunRow, build: Build) -> None:
    """Link the build in GitHub's list of deployments, and end those of earlier commits."""
    client = await services.client(row.input, WRITE_DEPLOYMENTS)
    url, about = page_url(services, build), messages.preview.deployment(build.number)
    deployment = await deployments.ensure_preview(client, build.sha, url, about)
    await services.builds.deployed(build, deployment)
    for other in await services.builds.of_pull(build.repository_id, build.number):
        if other.id != build.id and other.deployment is not None:
            await deployments.end_previews(client, other.sha)
            await services.builds.deployed(other, None)


async def on_close(services: Services, signal: Signal) -> None:
    """Delete the builds of a closed pull request, and end their deployments."""
    if signal.number is None:
        return
    found = await services.builds.of_pull(signal.repository_id, signal.number)
    if not found:
        return
    client = await services.github.repository(
        signal.installation_id, signal.repository, WRITE_DEPLOYMENTS
    )
    for build in found:
        if build.deployment is not None:
            ending = deployments.end_previews(client, build.sha)
            await reply.decorate("the end of a deployment", ending)
        await services.builds.remove(build)
    for row in await services.runs.of_pull(str(signal.repository), signal.number):
        if row.published_sha in {build.sha for build in found}:
            await previews.update(services, row)


def _id(repository_id: int, sha: str, artifact: int) -> str:
    """The same for the same artifact, so that a repeated step changes no address."""
    digest = hashlib.sha256(f"{repository_id} {sha} {artifact}".encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()


def page_url(services: Services, build: Build) -> str:
    """The build's page."""
    return f"{services.public_url}/builds/{build.id}"


def _repository_id(row: RunRow) -> int:
    return row.input.trigger.repository_id
