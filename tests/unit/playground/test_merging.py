"""Merging with requirements: by hand, by itself, through a queue."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError
from app.playground.github.records import ACTIONS, OtherCi
from app.playground.github.world import RequiredCheck
from tests.support.rules import MERGE_QUEUE

from .conftest import REPO, World
from .test_webhooks import Receiver
from .test_webhooks import receiver as receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def pull_by(world: World, login: str = "writer", head: str = "feat") -> str:
    """A pull request of one commit; gives its head."""
    sha = await world.github.push_files(REPO, head, {f"{head}.py": b"new\n"}, login)
    await world.github.open_pull_request(REPO, login, head)
    return sha


async def check(world: World, sha: str, name: str = "ci", conclusion: str = "success") -> None:
    body = {"name": name, "head_sha": sha, "conclusion": conclusion}
    assert (await world.repo("POST", "/check-runs", body)).status_code == 201


async def merge_words(world: World, **body: Any) -> str:
    answer = await world.repo("PUT", "/pulls/1/merge", body)
    assert answer.status_code == 405, answer.text
    return str(answer.json()["message"])


async def state(world: World) -> str:
    return str((await world.repo("GET", "/pulls/1")).json()["mergeable_state"])


async def test_required_checks(world: World) -> None:
    world.github.protect(REPO, "main", checks=["ci"])
    sha = await pull_by(world)
    assert await merge_words(world) == 'Required status check "ci" is expected.'
    assert await state(world) == "blocked"
    await check(world, sha, conclusion="failure")
    assert await merge_words(world) == 'Required status check "ci" is failing.'
    # Neutral and skipped are good enough.
    await check(world, sha, conclusion="neutral")
    assert await state(world) == "clean"
    await check(world, sha, "other", "failure")
    assert await state(world) == "unstable"
    assert (await world.repo("PUT", "/pulls/1/merge", {"sha": sha})).status_code == 200


async def test_a_check_of_another_app_does_not_count(world: World) -> None:
    parameters = {"required_status_checks": [{"context": "ci", "integration_id": 15368}]}
    rule = {"type": "required_status_checks", "parameters": parameters}
    world.github.add_ruleset(REPO, rule, include=["refs/heads/main"])
    await check(world, await pull_by(world))
    assert await merge_words(world) == (
        'Repository rule violations found\n\nRequired status check "ci" is expected.\n\n'
    )


async def test_required_reviews(world: World) -> None:
    github = world.github
    github.protect(REPO, "main", reviews=1, dismiss_stale=True)
    await pull_by(world)
    words = "At least 1 approving review is required by reviewers with write access."
    await github.review(REPO, 1, "reader", "Fine", "APPROVE")
    assert await merge_words(world) == words
    no = await github.review(REPO, 1, "maintainer", "No", "REQUEST_CHANGES")
    assert await merge_words(world) == (
        "1 review requesting changes by reviewers with write access."
    )
    await github.dismiss_review(REPO, 1, no.id, "owner")
    yes = await github.review(REPO, 1, "maintainer", "Well", "APPROVE")
    assert await state(world) == "clean"
    await github.push_files(REPO, "feat", {"more.py": b"x"}, "writer")
    assert yes.state == "DISMISSED"
    assert await merge_words(world) == words


async def test_strict_checks_want_the_base(world: World) -> None:
    github = world.github
    github.protect(REPO, "main", checks=["ci"], strict=True)
    sha = await pull_by(world)
    await check(world, sha)
    await github.push_files(REPO, "main", {"base.py": b"x"}, "owner")
    assert await state(world) == "behind"
    assert "out of date" in await merge_words(world)
    wrong = {"expected_head_sha": "0" * 40}
    assert (await world.repo("PUT", "/pulls/1/update-branch", wrong)).status_code == 422
    done = await world.repo("PUT", "/pulls/1/update-branch", {"expected_head_sha": sha})
    assert done.status_code == 202
    newer = (await world.repo("GET", "/pulls/1")).json()["head"]["sha"]
    assert newer != sha
    again = await world.repo("PUT", "/pulls/1/update-branch")
    assert again.json()["message"] == "There are no new commits on the base branch."
    await check(world, newer)
    assert await state(world) == "clean"


async def test_methods_conversations_and_branches(world: World) -> None:
    github, repository = world.github, world.github.repository(REPO)
    repository.merge_methods = {"squash"}
    repository.delete_branch_on_merge = True
    github.protect(REPO, "main", conversations=True)
    await pull_by(world)
    comment = await github.review_comment(REPO, 1, "reader", "feat.py", 1, "Why?")
    assert "conversation must be resolved" in await merge_words(world, merge_method="squash")
    await github.resolve_thread(REPO, comment.id, "writer")
    words = await merge_words(world, merge_method="merge")
    assert words == "Merge commits are not allowed on this repository."
    await github.push_files(REPO, "stacked", {"s.py": b"x"}, "writer")
    await github.open_pull_request(REPO, "writer", "stacked", "feat")
    assert (
        await world.repo("PUT", "/pulls/1/merge", {"merge_method": "squash"})
    ).status_code == 200
    assert await github.branch(REPO, "feat") is None
    stacked = github.issue(REPO, 2)
    assert stacked.pull
    assert (stacked.state, stacked.pull.base) == ("open", "main")


async def test_closing_keywords_need_write_access(world: World) -> None:
    github = world.github
    for number in range(3):
        await github.open_issue(REPO, "owner", str(number))
    await github.push_files(REPO, "one", {"1": b""}, "writer")
    await github.push_files(REPO, "two", {"2": b""}, "writer")
    await github.open_pull_request(REPO, "writer", "one", body="Fixes #1")
    await github.open_pull_request(REPO, "writer", "two", body="Fixes #2")
    narrow = await world.token(permissions={"contents": "write", "pull_requests": "write"})
    assert (await world.repo("PUT", "/pulls/4/merge", {}, narrow)).status_code == 200
    assert github.issue(REPO, 1).state == "open"
    await github.merge(REPO, 5, "writer")
    assert github.issue(REPO, 2).state == "closed"
    await github.push_files(REPO, "main", {"3": b""}, "writer", "Fix it\n\nFixes #3")
    assert github.issue(REPO, 3).state == "closed"


@pytest.mark.parametrize(("conclusion", "word"), [("success", "clean"), ("failure", "unstable")])
async def test_auto_merge_is_refused_where_one_can_merge(
    world: World, conclusion: str, word: str
) -> None:
    github = world.github
    sha = await pull_by(world)
    with pytest.raises(RefusedError, match="Auto merge is not allowed for this repository"):
        await github.enable_auto_merge(REPO, 1, "writer")
    github.repository(REPO).allow_auto_merge = True
    await check(world, sha, conclusion=conclusion)
    with pytest.raises(RefusedError, match=f"Pull request is in {word} status"):
        await github.enable_auto_merge(REPO, 1, "writer")
    with pytest.raises(RefusedError):
        await github.enable_auto_merge(REPO, 1, "reader")


async def test_auto_merge_waits_for_what_is_required(world: World, receiver: Receiver) -> None:
    github = world.github
    github.repository(REPO).allow_auto_merge = True
    github.protect(REPO, "main", checks=["ci"], reviews=1)
    sha = await pull_by(world)
    await github.enable_auto_merge(REPO, 1, "writer", "squash")
    shape = (await world.repo("GET", "/pulls/1")).json()
    assert shape["auto_merge"]["enabled_by"]["login"] == "writer"
    assert shape["auto_merge"]["merge_method"] == "squash"
    await check(world, sha)
    assert github.issue(REPO, 1).state == "open"
    await github.review(REPO, 1, "maintainer", event="APPROVE")
    issue = github.issue(REPO, 1)
    assert issue.pull
    assert issue.pull.merged_by
    assert issue.pull.merged_by.login == "writer"
    assert await github.file(REPO, "main", "feat.py") == b"new\n"
    await github.drained()
    assert ("pull_request", "auto_merge_enabled") in receiver.events()
    assert receiver.events()[-3:] == [
        ("pull_request", "closed"),
        ("push", None),
        ("check_suite", "requested"),
    ]


async def test_auto_merge_after_a_green_ci(world: World) -> None:
    github = world.github
    github.repository(REPO).allow_auto_merge = True
    github.use_ci(REPO, OtherCi(None, job="ci"))
    github.protect(REPO, "main", checks=[RequiredCheck("ci", ACTIONS.id)])
    sha = await pull_by(world)
    await github.enable_auto_merge(REPO, 1, "writer")
    await check(world, sha)
    assert github.issue(REPO, 1).state == "open"
    github.finish_ci(REPO, sha, "success")
    await github.drained()
    assert github.issue(REPO, 1).state == "closed"


async def test_auto_merge_is_taken_back(world: World, receiver: Receiver) -> None:
    github = world.github
    github.repository(REPO).allow_auto_merge = True
    github.protect(REPO, "main", checks=["ci"])
    sha = await pull_by(world)
    await github.enable_auto_merge(REPO, 1, "writer")
    await github.disable_auto_merge(REPO, 1, "writer")
    await check(world, sha)
    assert github.issue(REPO, 1).state == "open"
    await github.drained()
    assert ("pull_request", "auto_merge_disabled") in receiver.events()
    with pytest.raises(RefusedError):
        await github.disable_auto_merge(REPO, 1, "writer")


async def test_a_merge_queue(world: World, receiver: Receiver) -> None:
    github = world.github
    checks = {"required_status_checks": [{"context": "ci"}]}
    rules = {"type": "required_status_checks", "parameters": checks}
    github.add_ruleset(REPO, MERGE_QUEUE, rules, include=["refs/heads/main"])
    first = await pull_by(world)
    await pull_by(world, head="second")
    await check(world, first)
    assert "Changes must be made through the merge queue" in await merge_words(world)
    for number in (1, 2):
        await github.enqueue(REPO, number, "writer")
    one, two = github.issue(REPO, 1).pull, github.issue(REPO, 2).pull
    assert one and one.queued and two and two.queued
    assert two.queued.base_sha == one.queued.head_sha
    assert one.queued.ref.startswith("refs/heads/gh-readonly-queue/main/pr-1-")
    landed = one.queued.head_sha
    await check(world, landed)
    assert github.issue(REPO, 1).state == "closed"
    assert await github.branch(REPO, "main") == landed
    await check(world, two.queued.head_sha, conclusion="failure")
    again = github.issue(REPO, 2)
    assert again.pull
    assert (again.state, again.pull.queued) == ("open", None)
    await github.drained()
    groups = [action for event, action in receiver.events() if event == "merge_group"]
    assert groups == ["checks_requested", "checks_requested", "destroyed", "destroyed"]
    assert ("pull_request", "enqueued") in receiver.events()
    assert ("pull_request", "dequeued") in receiver.events()
    left = [ref for ref in await github.refs(REPO, "refs/heads") if "queue" in ref]
    assert left == []


async def test_all_entries_behind_one_that_leaves_the_merge_queue_are_made_again(
    world: World,
) -> None:
    github = world.github
    checks = {"required_status_checks": [{"context": "ci"}]}
    rules = {"type": "required_status_checks", "parameters": checks}
    github.add_ruleset(REPO, MERGE_QUEUE, rules, include=["refs/heads/main"])
    for number in range(1, 5):
        await pull_by(world, head=f"head-{number}")
        await github.enqueue(REPO, number, "writer")
    await github.dequeue(REPO, 2, "writer")
    pulls = [github.issue(REPO, number).pull for number in (1, 3, 4)]
    entries = [pull.queued for pull in pulls if pull and pull.queued]
    assert [each.base_sha for each in entries] == [
        await github.branch(REPO, "main"),
        entries[0].head_sha,
        entries[1].head_sha,
    ]
