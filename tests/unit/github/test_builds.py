"""Which artifact of a commit is offered to try, and why one is not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.values import CommitSha
from app.playground.github.records import SimulatedWorkflowRun
from app.runs.builds import FoundArtifact, find_artifact, read_artifact
from app.verify.archive import MAX_ARCHIVE_BYTES, BadArchiveError
from tests.support.apps import ci_that_builds

from .scene import NAME, Scene

APK = {"app.apk": b"PK\x03\x04"}


async def built(
    scene: Scene, files: Mapping[str, bytes] = APK, *, event: str = "push"
) -> tuple[CommitSha, SimulatedWorkflowRun]:
    """A push whose workflow uploaded these files as `app`, and GitHub's record of the run."""
    scene.github.use_ci(NAME, ci_that_builds(files, conclusion="success"))
    sha = await scene.change("feat", "b.txt", f"{len(scene.calls)}\n")
    record = max(scene.github.repository(NAME).workflow_runs.values(), key=lambda run: run.id)
    record.event = event
    return sha, record


async def found(scene: Scene, sha: CommitSha) -> FoundArtifact:
    artifact = await find_artifact(scene.client, "app", sha, scene.github.repository(NAME).id)
    assert artifact is not None
    return artifact


async def why_not(scene: Scene, sha: CommitSha) -> str:
    with pytest.raises(BadArchiveError) as caught:
        await read_artifact(scene.client, await found(scene, sha))
    return str(caught.value)


async def test_the_artifact_of_the_name_is_read(scene: Scene) -> None:
    sha, _ = await built(scene)
    (file,) = await read_artifact(scene.client, await found(scene, sha))
    assert (file.file.name, file.file.kind, file.content) == ("app.apk", "android", APK["app.apk"])
    repository = scene.github.repository(NAME).id
    assert await find_artifact(scene.client, "other", sha, repository) is None


async def test_a_fork_and_a_workflow_on_other_files_are_refused(scene: Scene) -> None:
    sha, record = await built(scene, event="pull_request_target")
    assert "another commit's workflow" in await why_not(scene, sha)
    record.event, record.fork_id = "pull_request", 999
    assert "a fork" in await why_not(scene, sha)


async def test_a_running_workflow_has_not_built_anything_yet(scene: Scene) -> None:
    sha, record = await built(scene)
    record.status = "in_progress"
    repository = scene.github.repository(NAME).id
    assert await find_artifact(scene.client, "app", sha, repository) is None


async def test_an_artifact_that_expired_was_replaced_or_is_too_large(scene: Scene) -> None:
    sha, record = await built(scene)
    artifact = next(each for each in record.artifacts if each.name == "app")
    whole = artifact.content
    artifact.content = whole[:-1] + b"x"
    assert "GitHub says" in await why_not(scene, sha)
    artifact.content = bytes(MAX_ARCHIVE_BYTES + 1)
    assert "larger than 64 MiB" in await why_not(scene, sha)
    artifact.content, artifact.expired = whole, True
    assert "it has expired" in await why_not(scene, sha)
