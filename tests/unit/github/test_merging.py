"""What Honk says is missing before a merge is what the simulated GitHub refuses, rule by rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.domain.mergeability import Lack, Mergeable, MissingForMerge, decide
from app.domain.values import CommitSha
from app.github import merging, pulls
from app.github.client import RepositoryClient
from app.github.refusals import GitHubRefusedError
from app.playground.github import RefusedError
from tests.support.rules import MERGE_QUEUE
from tests.unit.github.scene import NAME, Scene

Do = Callable[[Scene, int, CommitSha], Awaitable[Any]]
PERMISSIONS = {
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "checks": "read",
    "statuses": "read",
    "metadata": "read",
}


def pull_rule(**parameters: Any) -> dict[str, Any]:
    usual = {
        "required_approving_review_count": 0,
        "dismiss_stale_reviews_on_push": False,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    }
    return {"type": "pull_request", "parameters": usual | parameters}


async def nothing(scene: Scene, number: int, sha: CommitSha) -> None:
    """The rule alone is enough."""


async def approve(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.github.review(NAME, number, "octo", "Good", "APPROVE")


async def approve_as_pusher(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.github.review(NAME, number, "wanda", "Good", "APPROVE")


async def request_changes(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.github.review(NAME, number, "octo", "Bad", "REQUEST_CHANGES")


async def ask_on_a_line(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.github.review_comment(NAME, number, "octo", "b.txt", 1, "Why?")


async def resolve(scene: Scene, number: int, sha: CommitSha) -> None:
    pull = scene.github.issue(NAME, number).pull
    assert pull is not None
    await scene.github.resolve_thread(NAME, pull.threads[0].comments[0].id, "octo")


async def succeed(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.act("octo", "POST", f"/statuses/{sha}", {"state": "success", "context": "ci"})


async def fail(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.act("octo", "POST", f"/statuses/{sha}", {"state": "failure", "context": "ci"})


async def scan(scene: Scene, number: int, sha: CommitSha) -> None:
    scene.github.repository(NAME).scanned.add(sha)


async def own_everything(scene: Scene, number: int, sha: CommitSha) -> None:
    await scene.change("main", "CODEOWNERS", "* @octo\n")


async def unsign(scene: Scene, number: int, sha: CommitSha) -> None:
    scene.github.repository(NAME).signed.discard(sha)


async def sign(scene: Scene, number: int, sha: CommitSha) -> None:
    scene.github.repository(NAME).signed.add(sha)


CHECK = {
    "type": "required_status_checks",
    "parameters": {
        "required_status_checks": [{"context": "ci"}],
        "strict_required_status_checks_policy": False,
    },
}
SCAN = {
    "type": "code_scanning",
    "parameters": {
        "code_scanning_tools": [
            {"tool": "CodeQL", "alerts_threshold": "none", "security_alerts_threshold": "none"}
        ]
    },
}


@pytest.mark.parametrize(
    ("rules", "before", "lack", "give"),
    [
        ([CHECK], nothing, Lack.CHECK_EXPECTED, succeed),
        ([CHECK], fail, Lack.CHECK_FAILED, succeed),
        ([pull_rule(required_approving_review_count=1)], nothing, Lack.APPROVALS, approve),
        (
            [pull_rule(required_approving_review_count=1)],
            request_changes,
            Lack.CHANGES_REQUESTED,
            approve,
        ),
        (
            [pull_rule(required_approving_review_count=1, require_last_push_approval=True)],
            approve_as_pusher,
            Lack.LAST_PUSH,
            approve,
        ),
        (
            [pull_rule(required_approving_review_count=1, require_code_owner_review=True)],
            own_everything,
            Lack.APPROVALS,
            approve,
        ),
        ([pull_rule(required_review_thread_resolution=True)], ask_on_a_line, Lack.THREADS, resolve),
        ([{"type": "required_signatures"}], unsign, Lack.SIGNATURES, sign),
        ([{"type": "update"}], nothing, Lack.FROZEN, None),
        ([SCAN], nothing, Lack.RULE, scan),
    ],
)
async def test_githubs_refusal_and_the_reason_agree(
    scene: Scene, rules: list[dict[str, Any]], before: Do, lack: Lack, give: Do | None
) -> None:
    for login in ("walter", "wanda"):
        scene.github.set_permission(NAME, login, "write")
    sha = await scene.change("feat", "b.txt", "b\n", "wanda")
    number = await scene.propose("feat", "walter")
    await before(scene, number, sha)
    scene.github.add_ruleset(NAME, *rules, include=["refs/heads/main"])
    client = await scene.app.repository(
        scene.client.installation_id, scene.client.repo, PERMISSIONS
    )

    found = await decided(client, number)
    assert isinstance(found, MissingForMerge), found
    assert found.lack is lack
    assert (await merging.merge(client, number, sha, "merge")).outcome == "refused"
    if give is None:
        return
    await give(scene, number, sha)
    found = await decided(client, number)
    assert isinstance(found, Mergeable), found
    done = await merging.merge(client, number, sha, found.method)
    assert done.outcome == "merged"
    assert done.sha == await scene.head()
    again = await merging.merge(client, number, sha, found.method)
    assert (again.outcome, again.sha) == ("merged", done.sha)


async def decided(client: RepositoryClient, number: int) -> Mergeable | MissingForMerge:
    rules = await merging.rules_of(client, "main")
    state = await merging.state_of(client, number, rules)
    return decide(state, rules, method=None, honk_app_id=7, needs_honk_review=False)


async def proposed(scene: Scene) -> tuple[RepositoryClient, int, CommitSha]:
    sha = await scene.change("feat", "b.txt", "b\n")
    number = await scene.propose("feat")
    client = await scene.app.repository(
        scene.client.installation_id, scene.client.repo, PERMISSIONS
    )
    return client, number, sha


async def test_a_head_that_moved_is_not_merged(scene: Scene) -> None:
    client, number, sha = await proposed(scene)
    await scene.change("feat", "c.txt", "c\n")
    assert (await merging.merge(client, number, sha, "squash")).outcome == "moved"
    rules = await merging.rules_of(client, "main")
    state = (await merging.state_of(client, number, rules)).model_copy(update={"head_sha": sha})
    scene.github.repository(NAME).allow_auto_merge = True
    scene.github.protect(NAME, "main", checks=["ci"])
    assert "Head sha" in await merging.enable_auto_merge(client, state, "merge")
    scene.github.add_ruleset(NAME, MERGE_QUEUE, include=["refs/heads/main"])
    with pytest.raises(GitHubRefusedError):
        await merging.enqueue(client, state)  # this token has no right to the queue
    assert (await pulls.pull_request(client, number)).state == "open"


async def test_a_server_without_background_merges(scene: Scene) -> None:
    client, number, sha = await proposed(scene)
    scene.github.faults.answer("PUT", "/merge-async$", 404, {"message": "Not Found"}, times=None)
    scene.github.protect(NAME, "main", checks=["ci"], enforce_admins=True)
    refused = await merging.merge(client, number, sha, "squash")
    assert refused.outcome == "refused"
    assert '"ci" is expected' in refused.reason
    await succeed(scene, number, sha)
    assert (await merging.merge(client, number, sha, "squash")).sha == await scene.head()


async def test_a_rule_about_messages_holds_for_the_merge_commit(scene: Scene) -> None:
    client, number, sha = await proposed(scene)
    wanted = {"operator": "starts_with", "pattern": "feat: "}
    rule = {"type": "commit_message_pattern", "parameters": wanted}
    scene.github.add_ruleset(NAME, rule, include=["refs/heads/main"])
    refused = await merging.merge(client, number, sha, "squash")
    assert "must start with feat: " in refused.reason


async def test_a_revert_is_opened_once(scene: Scene) -> None:
    client, number, sha = await proposed(scene)
    pull = await pulls.pull_request(client, number)
    with pytest.raises(GitHubRefusedError):
        await merging.ensure_revert(client, pull, title="Revert", body="")
    await merging.merge(client, number, sha, "rebase")
    scene.github.faults.answer("POST", "/graphql$", 502, after=True)
    made = await merging.ensure_revert(client, pull, title="Revert", body="Reverts #1")
    again = await merging.ensure_revert(client, pull, title="Revert", body="Reverts #1")
    assert made.number == again.number
    with pytest.raises(RefusedError):
        await scene.act("octo", "GET", f"/pulls/{made.number + 1}")
    assert await scene.github.file(NAME, made.head_ref, "b.txt") is None
