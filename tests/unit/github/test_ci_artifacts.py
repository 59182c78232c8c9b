"""Reports of a workflow run as GitHub returns them: each way in which they can be unusable."""

from __future__ import annotations

import io
import zipfile

import pytest

from app.domain.ci import Wanted, WorkflowRun, select
from app.domain.policy import CiPolicy
from app.github import actions
from app.github.refusals import NotFoundError
from app.playground.github import OtherCi
from app.playground.github.records import SimulatedArtifact, SimulatedWorkflowRun
from app.runs.ci_artifacts import NotMeasuredError, read_artifacts
from app.verify.archive import MAX_ARCHIVE_BYTES
from tests.unit.github.scene import NAME, Scene

POLICY = CiPolicy(workflow="ci.yml", junit=("reports/*.xml",))


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


GOOD = {"junit": zipped({"a.xml": b"<testsuite/>", "log.txt": b"x"})}


async def ran(
    scene: Scene, archives: dict[str, bytes], conclusion: str = "success"
) -> tuple[WorkflowRun, SimulatedWorkflowRun]:
    """A push whose workflow run uploaded these archives, and GitHub's record of it."""
    scene.github.use_ci(NAME, OtherCi(works=lambda run: (conclusion, archives)))
    sha = await scene.change("feat", "b.txt", f"{len(scene.calls)}\n")
    runs = await actions.runs_of_workflow(scene.client, "ci.yml", sha)
    repository = scene.github.repository(NAME)
    found = select(runs, Wanted(repository_id=repository.id, workflow=POLICY.path, sha=sha))
    assert found is not None
    return found, repository.workflow_runs[found.id]


async def why_not(scene: Scene, run: WorkflowRun, policy: CiPolicy = POLICY) -> str:
    with pytest.raises(NotMeasuredError) as caught:
        await read_artifacts(scene.client, policy, run)
    return str(caught.value)


def first(record: SimulatedWorkflowRun) -> SimulatedArtifact:
    return record.artifacts[0]


async def test_reports_are_read(scene: Scene) -> None:
    run, _ = await ran(scene, {**GOOD, "coverage": zipped({"coverage.json": b"{}"})})
    coverage, junit = await read_artifacts(scene.client, POLICY, run)
    assert (coverage.name, coverage.reports, coverage.unreadable) == ("coverage", (), "")
    assert [(each.name, each.content) for each in junit.reports] == [(b"a.xml", b"<testsuite/>")]
    assert await actions.workflow_run(scene.client, run.id) == run


async def test_only_artifacts_that_the_policy_names(scene: Scene) -> None:
    run, _ = await ran(scene, {**GOOD, "build": b"no archive"})
    named = POLICY.model_copy(update={"artifacts": ("jun*",)})
    [junit] = await read_artifacts(scene.client, named, run)
    assert junit.name == "junit"
    build, _junit = await read_artifacts(scene.client, POLICY, run)
    assert "not a zip" in build.unreadable


async def test_a_newer_attempts_artifact_replaces_the_older(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    first(record).content = b"older, and no longer what its digest says"
    again = SimulatedArtifact(
        first(record).id + 1, "junit", GOOD["junit"], first(record).digest, first(record).created_at
    )
    record.artifacts.append(again)
    [junit] = await read_artifacts(scene.client, POLICY, run)
    assert junit.reports


async def test_a_digest_that_does_not_fit(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    first(record).content = zipped({"a.xml": b"<testsuite><forged/></testsuite>"})
    [junit] = await read_artifacts(scene.client, POLICY, run)
    assert "and GitHub says" in junit.unreadable
    assert junit.reports == ()


async def test_a_bomb_and_a_climbing_path(scene: Scene) -> None:
    run, _ = await ran(
        scene,
        {"bomb": zipped({"a.xml": bytes(60_000_000)}), "climbs": zipped({"../a.xml": b"x"})},
    )
    bomb, climbs = await read_artifacts(scene.client, POLICY, run)
    assert "bomb" in bomb.unreadable
    assert "points outside" in climbs.unreadable


async def test_a_large_artifact_is_not_downloaded(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    first(record).content = bytes(MAX_ARCHIVE_BYTES + 1)
    [junit] = await read_artifacts(scene.client, POLICY, run)
    assert "`verify.artifacts`" in junit.unreadable


async def test_nothing_was_uploaded(scene: Scene) -> None:
    run, _ = await ran(scene, {})
    assert "uploaded no artifact" in await why_not(scene, run)
    failed, _ = await ran(scene, {}, "failure")
    assert await read_artifacts(scene.client, POLICY, failed) == []


async def test_no_report_among_what_was_uploaded(scene: Scene) -> None:
    run, _ = await ran(scene, {"logs": zipped({"log.txt": b"x"})})
    assert "(logs)" in await why_not(scene, run)


async def test_an_expired_artifact(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    first(record).expired = True
    assert "junit has expired" in await why_not(scene, run)


async def test_an_artifact_of_another_commit(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    _other, others = await ran(scene, GOOD)
    record.artifacts[:], others.suite.head_sha = others.artifacts, record.suite.head_sha
    stolen = run.model_copy(update={"head_sha": "0" * 40})
    assert "another commit" in await why_not(scene, stolen)


async def test_a_workflow_that_is_gone_and_one_that_is_disabled(scene: Scene) -> None:
    run, record = await ran(scene, GOOD)
    assert [each.state for each in await actions.workflows(scene.client)] == ["active"]
    record.ci.state = "disabled_manually"
    assert [each.state for each in await actions.workflows(scene.client)] == ["disabled_manually"]
    record.ci.workflow = "Build"
    with pytest.raises(NotFoundError):
        await actions.runs_of_workflow(scene.client, "ci.yml", await scene.head())
    assert run.state == "done"


async def test_a_dispatch_and_why_it_is_refused(scene: Scene) -> None:
    scene.github.grant("octo", {**_granted(scene), "actions": "write"}, "octo")
    ci = OtherCi(on=("workflow_dispatch",))
    scene.github.use_ci(NAME, ci)
    wide = {"actions": "write", "metadata": "read"}
    client = await scene.app.repository(scene.client.installation_id, scene.client.repo, wide)
    assert await actions.dispatch(client, "ci.yml", "main") == ""
    [run] = await actions.runs_of_workflow(scene.client, "ci.yml", await scene.head())
    assert (run.event, run.branch) == ("workflow_dispatch", "main")
    assert "No ref found" in await actions.dispatch(client, "ci.yml", "gone")
    assert await actions.dispatch(client, "other.yml", "main") == "Not Found"
    ci.on = ("push",)
    assert "workflow_dispatch" in await actions.dispatch(client, "ci.yml", "main")
    ci.state = "disabled_inactivity"
    assert "disabled" in await actions.dispatch(client, "ci.yml", "main")


def _granted(scene: Scene) -> dict[str, str]:
    return dict(scene.github.world.installations["octo"].permissions or {})
