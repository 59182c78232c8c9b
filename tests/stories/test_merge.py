"""`/honk merge`: exactly the commit that a person has seen, and never against a rule."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.playground.github.records import OtherCi
from app.playground.github.world import SimulatedPullRequest
from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, script
from tests.support.rules import MERGE_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def proposed(
    harness: Harness, *, policy: bytes = b"", permissions: dict[str, str] | None = None
) -> tuple[Subject, str]:
    """A person's pull request that Honk has not tested; with its head."""
    files = {"a.txt": b"a\n"} | ({".github/honk.yml": policy} if policy else {})
    issue = await harness.subject(files=files, permissions=permissions or {})
    github, repo = harness.github, issue.repository
    sha = await github.push_files(repo, "feat", {"b.txt": b"b\n"}, OWNER)
    made = await github.open_pull_request(repo, OWNER, "feat", body=f"Fixes #{issue.number}")
    return Subject(harness, repo, made.number), sha


def pull_of(subject: Subject) -> SimulatedPullRequest:
    assert subject.issue.pull is not None
    return subject.issue.pull


def check_rule(name: str) -> dict[str, Any]:
    parameters = {
        "required_status_checks": [{"context": name}],
        "strict_required_status_checks_policy": False,
    }
    return {"type": "required_status_checks", "parameters": parameters}


async def test_merge_of_the_verdict_that_the_person_saw(harness: Harness) -> None:
    issue = await harness.subject(plays=script([FIX], [FINISH]), permissions={"rita": "read"})
    harness.github.repository(issue.repository).delete_branch_on_merge = True
    await issue.label()
    await issue.settled()
    pull = Subject(harness, issue.repository, issue.pull.number)
    branch = pull_of(pull).head

    await pull.comment("/honk merge", by="rita")
    await asyncio.sleep(1.1)  # GitHub's times are whole seconds: the verdict has to be older
    await asyncio.gather(pull.comment("/honk merge squash"), pull.comment("/honk merge squash"))
    answer = await pull.answered("Merged #")
    await harness.until(
        lambda: issue.issue.state == "closed", "the issue is not closed by the merge"
    )
    await harness.github.drained()
    assert "as one squashed commit" in answer
    assert pull_of(pull).merge_commit_sha is not None
    assert str(pull_of(pull).merge_commit_sha)[:7] in answer
    parents = await issue.git("rev-list", "--parents", "-1", "main")
    assert len(parents.split()) == 2, "it is not squashed"
    assert await harness.github.branch(issue.repository, branch) is None
    answers = [each.body for each in pull.ours if "erged" in each.body]
    assert len(answers) == 1, answers
    assert pull.issue.state == "closed"


async def test_merge_queue_takes_it_and_says_when_it_rejects(harness: Harness) -> None:
    pull, sha = await proposed(harness)
    github, repo = harness.github, pull.repository
    github.add_ruleset(repo, MERGE_QUEUE, check_rule("ci"), include=["refs/heads/main"])
    body = {"state": "success", "context": "ci"}
    await github.act(OWNER, "POST", f"/repos/{repo}/statuses/{sha}", body)

    await pull.comment(f"/honk merge {sha}")
    assert "merge queue of `main`" in await pull.answered("Added #")
    entry = pull_of(pull).queued
    assert entry is not None
    assert pull_of(pull).auto_merge is None

    body = {"state": "failure", "context": "ci"}
    await github.act(OWNER, "POST", f"/repos/{repo}/statuses/{entry.head_sha}", body)
    said = await pull.answered("removed #")
    assert "a required check failed on the queue's commit" in said
    assert f"`/honk merge {sha}`" in said
    assert pull_of(pull).merged_at is None


async def test_merge_when_the_checks_are_done_and_not_after_a_push(harness: Harness) -> None:
    pull, sha = await proposed(harness)
    github, repo = harness.github, pull.repository
    github.repository(repo).allow_auto_merge = True
    github.add_ruleset(repo, check_rule("ci"), include=["refs/heads/main"])

    await pull.comment(f"/honk merge {sha}")
    assert "`ci` has succeeded" in await pull.answered("Auto-merge is on")
    assert pull_of(pull).auto_merge is not None

    later = await github.push_files(repo, "feat", {"c.txt": b"c\n"}, OWNER)
    off = await pull.answered("Auto-merge is off")
    assert f"`/honk merge {later}`" in off
    assert pull_of(pull).auto_merge is None

    await pull.comment(f"/honk merge rebase {later}")
    await harness.until(lambda: pull_of(pull).auto_merge is not None, "it is not on again")
    body = {"state": "success", "context": "ci"}
    await github.act(OWNER, "POST", f"/repos/{repo}/statuses/{later}", body)
    await github.drained()
    assert pull_of(pull).merged_at is not None


@pytest.mark.slow
async def test_merge_names_the_commit_when_it_is_not_clear(harness: Harness) -> None:
    pull, sha = await proposed(harness, permissions={"walter": "write"})
    github, repo = harness.github, pull.repository

    await pull.comment("/honk merge")
    assert f"`/honk merge {sha}`" in await pull.answered("no verdict")
    await pull.comment(f"/honk merge {'a' * 40}")
    assert f"`/honk merge {sha}`" in await pull.answered("not at aaaaaaa")
    await pull.comment(f"/honk merge {sha[:10]}")
    assert f"`/honk merge {sha}`" in await pull.answered("takes one method")

    await github.add_label(repo, pull.number, "honk:hold", OWNER)
    await pull.comment(f"/honk merge {sha}", by="walter")
    await pull.answered("keeps Honk from merging")
    await github.remove_label(repo, pull.number, "honk:hold", OWNER)

    await github.set_draft(repo, pull.number, OWNER, draft=True)
    await pull.comment(f"/honk merge {sha}")
    await pull.answered("is a draft")
    assert pull.issue.state == "open"


@pytest.mark.slow
async def test_merge_of_an_edited_comment_or_against_the_policy_is_refused(
    harness: Harness,
) -> None:
    pull, sha = await proposed(harness)
    github, repo = harness.github, pull.repository
    refuse = github.faults.answer("GET", "/repos/{owner}/{repo}/collaborators/*", status=502)
    said = await github.comment(repo, pull.number, OWNER, f"/honk merge {sha}")
    await github.edit_comment(repo, said.id, OWNER, f"/honk merge rebase {sha}")
    assert refuse is not None
    assert f"`/honk merge {sha}`" in await pull.answered("was edited or deleted")
    assert pull.issue.state == "open"

    never, sha = await proposed(harness, policy=b"merge: never\n")
    await never.comment(f"/honk merge {sha}")
    await never.answered("`merge: never`")
    assert never.issue.state == "open"


@pytest.mark.slow
async def test_merge_does_not_trust_a_check_that_still_runs(harness: Harness) -> None:
    pull, _ = await proposed(harness)
    github, repo = harness.github, pull.repository
    github.use_ci(repo, OtherCi(conclusion=None))
    sha = await github.push_files(repo, "feat", {"c.txt": b"c\n"}, OWNER)
    await pull.comment(f"/honk merge {sha}")
    await pull.answered("did not finish")
    assert pull.issue.state == "open"
    github.finish_ci(repo, sha, "success")
    await pull.comment(f"/honk merge {sha}")
    await pull.answered("Merged #")
    assert pull_of(pull).merged_at is not None


async def test_after_a_merge_it_can_be_reverted_with_a_verdict(harness: Harness) -> None:
    issue = await harness.subject(permissions={"rita": "read"})
    github, repo = harness.github, issue.repository
    broken = {"calc.py": b"def add(a, b):\n    return 0\n\n\ndef double(a):\n    return a * 2\n"}
    await github.push_files(repo, "feat", broken, OWNER)
    made = await github.open_pull_request(repo, OWNER, "feat", title="Add nothing")
    pull = Subject(harness, repo, made.number)
    await pull.comment("/honk revert")
    await pull.answered("is not merged")
    await github.merge(repo, pull.number, OWNER, method="squash")
    await github.push_files(repo, "main", {"later.txt": b"\n"}, OWNER)

    await pull.comment("/honk revert", by="rita")
    await asyncio.gather(pull.comment("/honk revert"), pull.comment("/honk revert"))
    await pull.answered(f"reverts #{pull.number}")
    await github.drained()
    (other,) = [each for each in pull.pulls if each.number != pull.number]
    assert other.title == 'Revert "Add nothing"'
    assert (other.body or "").startswith(f"Reverts {repo}#{pull.number}\n")
    assert other.pull is not None
    head = other.pull.head_sha
    await harness.until(
        lambda: [each.conclusion for each in pull.checks(head)] == ["success"],
        "the revert has no verdict",
    )
    assert await github.file(repo, head, "later.txt") is not None
    assert b"return a - b" in (await github.file(repo, head, "calc.py") or b"")


async def merged(harness: Harness, policy: bytes = b"") -> tuple[Subject, str]:
    """A pull request that Honk has merged; with the commit on the base branch."""
    pull, sha = await proposed(harness, policy=policy)
    await pull.comment(f"/honk merge squash {sha}")
    await pull.answered("Merged #")
    return pull, str(pull_of(pull).merge_commit_sha)


async def deploy(harness: Harness, pull: Subject, sha: str, *states: str) -> None:
    """Someone's host reports a deployment to production."""
    deployments = f"/repos/{pull.repository}/deployments"
    wanted = {"ref": sha, "environment": "production", "auto_merge": False, "required_contexts": []}
    made = await harness.github.act(OWNER, "POST", deployments, wanted)
    for state in states:
        report = {"state": state, "environment_url": "https://shop.example/"}
        await harness.github.act(OWNER, "POST", f"{deployments}/{made['id']}/statuses", report)


async def test_after_a_merge_it_is_followed_to_production(harness: Harness) -> None:
    pull, sha = await merged(harness)
    other = await harness.github.push_files(pull.repository, "main", {"x": b"\n"}, OWNER)
    await deploy(harness, pull, other, "failure")
    await deploy(harness, pull, sha, "in_progress", "failure", "success")
    said = await pull.answered("is in production")
    assert "`https://shop.example/`" in said
    assert sha[:7] in said
    await deploy(harness, pull, sha, "failure")
    await asyncio.sleep(6)
    assert len([each for each in pull.ours if "honk:after-merge" in each.body]) == 1


@pytest.mark.slow
async def test_after_a_merge_that_breaks_a_workflow_the_log_is_shown(harness: Harness) -> None:
    pull, sha = await proposed(harness)
    ci = OtherCi(conclusion="failure", log="deploying\nError: no such bucket\n")
    harness.github.use_ci(pull.repository, ci)
    await pull.comment(f"/honk merge {sha}")
    said = await pull.answered("failed after the merge")
    assert "Error: no such bucket" in said
    assert "`/honk revert`" in said
