"""What failed on a commit, what a job wrote, and what the App was given."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.values import CommitSha
from app.errors import RetryableError
from app.github import actions, checks, installations, repositories
from app.github.checks import Annotation
from app.github.downloads import download
from app.github.refusals import MissingPermissionError
from app.github.repositories import Permission
from app.playground.github import OtherCi
from tests.unit.github.conftest import Bench
from tests.unit.github.scene import EVERYTHING, NAME, Scene
from tests.unit.github.scripted import Reply

REPO = "/repos/octo/widget"
SHA = CommitSha("a" * 40)
NOTE = {
    "path": "a.txt",
    "start_line": 1,
    "end_line": 2,
    "annotation_level": "failure",
    "message": "one is not two",
}
CI = OtherCi("failure", title="1 failed", summary="It broke", annotations=[NOTE], log="1 failed\n")


async def test_a_failing_check_has_its_annotations_and_log(scene: Scene) -> None:
    scene.github.use_ci(NAME, CI)
    sha = await scene.change("feat", "b.txt", "b\n")
    ours = await checks.ensure_check_run(scene.client, "honk / tests", sha, "r1")
    output = checks.Output(title="t", summary="s")
    await checks.complete_check_run(scene.client, ours.id, conclusion="failure", output=output)
    for state in ("success", "failure"):
        body = {"state": state, "context": "lint", "description": "2 problems"}
        await scene.act("octo", "POST", f"/statuses/{sha}", body)
    await scene.act("octo", "POST", f"/statuses/{sha}", {"state": "pending", "context": "slow"})
    job, status = await checks.failing(scene.client, sha)
    assert (job.name, job.kind, job.app_slug, job.conclusion) == (
        "test",
        "check_run",
        "github-actions",
        "failure",
    )
    assert (job.title, job.summary, job.annotations_left_out) == ("1 failed", "It broke", 0)
    assert job.annotations == (
        Annotation(
            path="a.txt", start_line=1, end_line=2, level="failure", message="one is not two"
        ),
    )
    assert (status.name, status.kind, status.conclusion) == ("lint", "status", "failure")
    assert (status.title, status.app_id, status.job_id) == ("2 problems", None, None)
    assert job.job_id is not None
    assert await actions.job_log(scene.client, job.job_id, 1000) == "1 failed\n"


async def test_nothing_failed(scene: Scene) -> None:
    scene.github.use_ci(NAME, OtherCi("cancelled"))
    sha = await scene.change("feat", "b.txt", "b\n")
    assert await checks.failing(scene.client, sha) == ()


def run(number: int, conclusion: str | None, app: int = 9, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": "build",
        "conclusion": conclusion,
        "app": {"id": app, "slug": "other"},
        "output": {"annotations_count": 3, "title": None, "summary": None},
        **more,
    }


async def test_the_latest_of_each_name_and_app_counts(bench: Bench) -> None:
    listed = [run(5, "success"), run(4, "failure"), run(6, "timed_out", 10), run(7, "failure", 7)]
    path = f"{REPO}/commits/{SHA}/check-runs"
    bench.github.reply("GET", path, Reply(200, {"check_runs": listed}))
    bench.github.reply("GET", f"{REPO}/commits/{SHA}/status", Reply(200, {"statuses": []}))
    odd = {**NOTE, "annotation_level": None, "message": None}
    bench.github.reply("GET", f"{REPO}/check-runs/6/annotations", Reply(200, [odd, NOTE, NOTE]))
    (found,) = await checks.failing(bench.client, SHA, annotations_each=1)
    assert (found.id, found.conclusion, found.app_slug, found.job_id) == (
        6,
        "timed_out",
        "other",
        None,
    )
    assert [(one.level, one.message) for one in found.annotations] == [("notice", "")]
    assert found.annotations_left_out == 2


async def test_the_end_of_a_long_log_is_kept(scene: Scene) -> None:
    lines = "".join(f"line {number}\n" for number in range(1000))
    scene.github.use_ci(NAME, OtherCi("failure", log=lines))
    sha = await scene.change("feat", "b.txt", "b\n")
    (job,) = await checks.failing(scene.client, sha)
    assert job.job_id is not None
    text = await actions.job_log(scene.client, job.job_id, 100)
    assert text is not None
    first, _, rest = text.partition("\n")
    assert first == f"… {len(lines) - 100:,} bytes before this are not shown."
    assert lines.endswith(f"\n{rest}")
    assert len(rest) <= 100
    assert await actions.job_log(scene.client, 1, 100) is None


async def test_the_store_of_logs_never_sees_our_token(bench: Bench) -> None:
    path, store = f"{REPO}/actions/jobs/3/logs", "/store/log.txt"
    there = {"location": f"{bench.github.url}{store}?sig=x"}
    bench.github.reply("GET", path, *[Reply(302, None, there)] * 2)
    bench.github.reply("GET", store, Reply(503), Reply(raw=b"log"), Reply(404))
    assert await actions.job_log(bench.client, 3, 100) == "log"
    assert await actions.job_log(bench.client, 3, 100) is None
    for seen in bench.github.requests("GET", store):
        assert "authorization" not in seen.headers
    assert "authorization" in bench.github.requests("GET", path)[0].headers


@pytest.mark.parametrize("address", ["http://store.example/log", "file:///etc/passwd", "log", ""])
async def test_only_encrypted_addresses_are_followed(bench: Bench, address: str) -> None:
    path = f"{REPO}/actions/jobs/3/logs"
    bench.github.reply("GET", path, Reply(302, None, {"location": address}))
    assert await actions.job_log(bench.client, 3, 100) is None


async def test_a_store_that_does_not_answer_is_tried_again_later(bench: Bench) -> None:
    bench.github.reply("GET", "/store", *[Reply(500)] * 3)
    with pytest.raises(RetryableError) as caught:
        await download(bench.app, f"{bench.github.url}/store?sig=secret", 100)
    assert "secret" not in str(caught.value)
    assert len(bench.time.slept) == 2


async def test_redirections_are_followed_where_they_may_be(bench: Bench) -> None:
    address = f"{bench.github.url}/store"
    bench.github.reply("GET", "/store", *[Reply(302, None, {"location": "/api/v3/next"})] * 3)
    bench.github.reply("GET", "/next", *[Reply(302, None, {"location": "/api/v3/store"})] * 9)
    assert (await download(bench.app, address, 100)).status == 302
    looped = await download(bench.app, address, 100, may_follow=lambda url: True)
    assert (looped.status, looped.content) == (302, b"")


async def test_runs_that_wait_for_approval_are_known(scene: Scene) -> None:
    scene.github.use_ci(NAME, OtherCi("action_required"))
    waiting = await scene.change("feat", "b.txt", "b\n")
    scene.github.use_ci(NAME, OtherCi(None))
    working = await scene.change("feat", "b.txt", "c\n")
    (found,) = await actions.runs_for_sha(scene.client, waiting)
    assert (found.path, found.attempt) == (".github/workflows/ci.yml", 1)
    assert (found.status, found.conclusion) == ("completed", "action_required")
    assert (found.event, found.branch, found.actor) == ("push", "feat", "octo")
    assert found.is_of_the_repository
    assert found.state == "approval"
    (found,) = await actions.runs_for_sha(scene.client, working)
    assert (found.conclusion, found.state) == ("", "waiting")
    assert await actions.runs_for_sha(scene.client, SHA) == ()


async def test_what_the_app_may_not_read_is_named(scene: Scene) -> None:
    less = {name: level for name, level in EVERYTHING.items() if name != "actions"}
    narrow = await scene.app.repository(scene.client.installation_id, scene.client.repo, less)
    with pytest.raises(MissingPermissionError, match="Actions"):
        await actions.runs_for_sha(narrow, SHA)


async def test_buttons_stand_on_a_completed_check_run(scene: Scene) -> None:
    made = await checks.ensure_check_run(scene.client, "honk / run", await scene.head(), "r1")
    button = checks.Action(label="Retry", description="Try once more", identifier="retry")
    await checks.complete_check_run(
        scene.client,
        made.id,
        conclusion="action_required",
        output=checks.Output(title="t", summary="s"),
        actions=[button],
        details_url="https://honk.example/runs/r1",
    )
    (found,) = scene.github.check_runs(NAME)
    assert [one["identifier"] for one in found.actions] == ["retry"]
    assert found.details_url == "https://honk.example/runs/r1"


async def test_what_an_installation_was_given(scene: Scene) -> None:
    number = scene.client.installation_id
    found = await installations.installation(scene.app, number)
    assert found is not None
    assert (found.id, found.account, found.suspended_at) == (number, "octo", None)
    assert found.permissions == EVERYTHING
    assert "issue_comment" in found.events
    scene.github.grant("octo", {"issues": "read"})
    scene.github.suspend("octo")
    found = await installations.installation(scene.app, number)
    assert found is not None
    assert found.permissions == {"issues": "read", "metadata": "read"}
    assert found.suspended_at is not None
    scene.github.uninstall("octo")
    assert await installations.installation(scene.app, number) is None


async def test_the_rules_of_a_branch(scene: Scene) -> None:
    assert await repositories.rules_for_branch(scene.client, "honk/1-x") == ()
    made = scene.github.add_ruleset(
        NAME, {"type": "non_fast_forward"}, include=["refs/heads/honk/*"]
    )
    (rule,) = await repositories.rules_for_branch(scene.client, "honk/1-x")
    assert (rule.type, rule.ruleset_id, rule.source) == ("non_fast_forward", made.id, NAME)


async def test_what_a_repository_is_now(scene: Scene) -> None:
    found = await repositories.repository(scene.client)
    assert (found.full_name, found.archived, found.disabled) == (NAME, False, False)
    await scene.github.act("octo", "PATCH", f"/repos/{NAME}", {"name": "gadget"})
    await scene.github.act("octo", "PATCH", "/repos/octo/gadget", {"archived": True})
    again = await repositories.repository(scene.client)
    assert (again.id, again.full_name, again.archived) == (found.id, "octo/gadget", True)


async def test_a_login_that_changed_hands_may_nothing(scene: Scene) -> None:
    octo = scene.github.world.user("octo")

    async def asked(login: str, number: int) -> Permission:
        return await repositories.permission_by_account(scene.client, login, number)

    assert await asked("octo", octo.id) is Permission.ADMIN
    assert await asked("octo", octo.id + 1) is Permission.NONE
    assert await asked("nobody", octo.id) is Permission.NONE
    assert await asked("honk[bot]", scene.github.world.bot.id) is Permission.NONE
