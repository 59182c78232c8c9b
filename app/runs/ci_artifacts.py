"""The reports of a workflow run, from the artifacts that it uploaded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fnmatch import fnmatchcase

from app import messages
from app.domain.ci import WorkflowRun
from app.domain.policy import CiPolicy
from app.github import actions
from app.github.actions import UploadedArtifact
from app.github.client import RepositoryClient
from app.verify.archive import MAX_ARCHIVE_BYTES, BadArchiveError, check_digest
from app.verify.ci_results import Artifact, read_reports

MAX_ARTIFACTS = 50
"""The maximum number of artifacts to read per run."""


class NotMeasuredError(Exception):
    """CI has no results for a commit. The message is a sentence that says why."""


async def read_artifacts(
    client: RepositoryClient, policy: CiPolicy, run: WorkflowRun
) -> list[Artifact]:
    """The artifacts of an ended run with their reports, or with the reason they are unreadable.

    Empty for a run that failed without uploading reports. Raises NotMeasuredError for one that
    succeeded without, and when an artifact is of another run or commit. Needs actions: read.
    """
    listed = await actions.artifacts(client, run.id)
    chosen = _newest_by_name(listed, policy.artifacts)
    for each in chosen:
        if not is_of(each, run):
            raise NotMeasuredError(messages.ci.of_another_commit(each.name, run.url))
    read = [await _read(client, policy, each) for each in chosen[:MAX_ARTIFACTS]]
    if len(chosen) > MAX_ARTIFACTS:
        why = f"a run may have at most {MAX_ARTIFACTS} artifacts with reports"
        read.append(Artifact(chosen[MAX_ARTIFACTS].name, unreadable=why))
    if any(each.reports or each.unreadable for each in read):
        return read
    if run.conclusion not in ("success", "neutral"):
        return []
    expired = [each.name for each in chosen if each.expired]
    names = [each.name for each in listed]
    raise NotMeasuredError(messages.ci.no_reports(policy.file, run.url, names, expired))


async def _read(client: RepositoryClient, policy: CiPolicy, artifact: UploadedArtifact) -> Artifact:
    if artifact.expired:
        return Artifact(artifact.name)
    if artifact.size > MAX_ARCHIVE_BYTES:
        size = f"{artifact.size // 2**20:,} MiB"
        return Artifact(artifact.name, unreadable=messages.ci.too_large(size))
    content = await actions.artifact_archive(client, artifact.id, MAX_ARCHIVE_BYTES)
    if content is None:
        return Artifact(artifact.name, unreadable="GitHub no longer has it")
    try:
        await asyncio.to_thread(check_digest, content, artifact.digest)
        reports = await asyncio.to_thread(read_reports, content, policy.junit)
    except BadArchiveError as problem:
        return Artifact(artifact.name, unreadable=str(problem))
    return Artifact(artifact.name, reports)


def _newest_by_name(
    artifacts: Sequence[UploadedArtifact], globs: Sequence[str]
) -> list[UploadedArtifact]:
    """The artifacts that the policy names, one for each name: a newer attempt's replaces others."""
    newest: dict[str, UploadedArtifact] = {}
    for each in sorted(artifacts, key=lambda artifact: artifact.id):
        if not globs or any(fnmatchcase(each.name, glob) for glob in globs):
            newest[each.name] = each
    return sorted(newest.values(), key=lambda artifact: artifact.name)


def is_of(artifact: UploadedArtifact, run: WorkflowRun) -> bool:
    """Whether GitHub says that exactly this run uploaded the artifact for exactly this commit."""
    return (artifact.run_id, artifact.head_sha, artifact.head_repository_id) == (
        run.id,
        run.head_sha,
        run.head_repository_id,
    )
