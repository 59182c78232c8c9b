"""`honk / review`: who approved an agent's pull request, and whether that is independent."""

from __future__ import annotations

import pytest

from app.playground.github.records import CheckRun
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script
from tests.support.rules import MERGE_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = {".github/honk.yml": b"approvals: {human: 1}\n"}
PEOPLE = {"walter": "write", "rita": "read", "stan": "write"}


async def published(harness: Harness, **more: bytes) -> tuple[Subject, int]:
    """An issue that Olivia asked Honk to fix, and the number of its pull request."""
    issue = await harness.subject(
        files={**PROJECT, **POLICY, **more}, plays=script([FIX], [FINISH]), permissions=PEOPLE
    )
    await issue.label()
    await issue.settled()
    return issue, issue.pull.number


def head(subject: Subject, number: int) -> str:
    pull = subject.harness.github.issue(subject.repository, number).pull
    assert pull is not None
    return pull.head_sha


def review_check(subject: Subject, number: int) -> CheckRun | None:
    """The one check run `honk / review` on the pull request's head."""
    named = [each for each in subject.checks(head(subject, number)) if each.name == "honk / review"]
    assert len(named) <= 1, named
    return named[0] if named else None


async def shows(subject: Subject, number: int, conclusion: str, words: str) -> CheckRun:
    def is_shown() -> bool:
        check = review_check(subject, number)
        said = f"{check.title} {check.summary}" if check else ""
        return check is not None and check.conclusion == conclusion and words in said

    await subject.harness.until(
        is_shown,
        f"not {conclusion} with {words!r}: {vars(review_check(subject, number) or object)}",
    )
    found = review_check(subject, number)
    assert found is not None
    return found


async def test_an_independent_approval_of_exactly_this_commit(harness: Harness) -> None:
    issue, number = await published(harness)
    github, repo = harness.github, issue.repository
    check = await shows(issue, number, "action_required", "Waiting for 1 independent approval")

    for person, words in (
        (OWNER, "`olivia`: asked Honk for this change"),
        ("rita", "`rita`: has no write access"),
    ):
        await github.review(repo, number, person, event="APPROVE")
        await shows(issue, number, "action_required", words)

    approval = await github.review(repo, number, "walter", event="APPROVE")
    approved = await shows(issue, number, "success", "Approved by walter")
    assert approved.id == check.id
    assert "*Rulesets*" in (approved.summary or "")

    (delivery,) = [
        each
        for each in github.deliveries
        if each.event == "pull_request_review" and each.payload["review"]["id"] == approval.id
    ]
    github.world.webhooks.send_again(delivery)
    await github.dismiss_review(repo, number, approval.id, OWNER)
    await shows(issue, number, "action_required", "`walter`: the review was dismissed")

    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")
    await github.review(repo, number, "walter", "No.", event="REQUEST_CHANGES")
    await shows(issue, number, "action_required", "`walter`: requested changes")


@pytest.mark.slow
async def test_a_push_makes_approvals_stale_and_its_author_a_contributor(harness: Harness) -> None:
    issue, number = await published(harness)
    github, repo = harness.github, issue.repository
    pull = github.issue(repo, number).pull
    assert pull is not None
    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")

    before = pull.head_sha
    await github.push_files(repo, pull.head, {"notes.txt": b"\n"}, "stan", "Add notes")
    assert pull.head_sha != before
    await shows(issue, number, "action_required", "`walter`: approved an earlier commit")
    await github.review(repo, number, "stan", event="APPROVE")
    await shows(issue, number, "action_required", "`stan`: is an author or co-author")
    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")

    # The same head in a second pull request: the check holds for both.
    await github.act(
        OWNER,
        "POST",
        f"/repos/{repo}/git/refs",
        {"ref": "refs/heads/copy", "sha": pull.head_sha},
    )
    copy = await github.open_pull_request(repo, "stan", "copy")
    await shows(issue, number, "action_required", f"**#{copy.number}** needs 1")
    await github.close_issue(repo, copy.number, "stan")
    await shows(issue, number, "success", "Approved by walter")


@pytest.mark.slow
async def test_people_who_resume_a_run_have_asked_for_it(harness: Harness) -> None:
    """Olivia asks for a plan, and Stan has it carried out: neither is independent."""
    issue = await harness.subject(
        files={**PROJECT, **POLICY},
        plays=script([{"finish": {"summary": "First fix add()."}}], [FIX], [FINISH]),
        permissions=PEOPLE,
    )
    await issue.comment("/honk plan")
    await issue.settled()
    await issue.comment("/honk go", by="stan")
    await issue.settled(endings=2)
    number = issue.pull.number
    await harness.github.review(issue.repository, number, "stan", event="APPROVE")
    await shows(issue, number, "action_required", "`stan`: asked Honk for this change")
    await harness.github.review(issue.repository, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")


async def test_another_base_branch_makes_approvals_stale(harness: Harness) -> None:
    """The head is the same, but the pull request proposes other changes than people approved."""
    issue, number = await published(harness)
    github, repo = harness.github, issue.repository
    await github.push_files(repo, "release", {"notes.txt": b"\n"}, OWNER, "Start a release")
    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")

    await github.act(OWNER, "PATCH", f"/repos/{repo}/pulls/{number}", {"base": "release"})
    words = "`walter`: approved before the base branch changed"
    await shows(issue, number, "action_required", words)
    github.world.clock.advance(2)
    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")


async def test_people_s_pull_requests_and_repositories_without_the_policy(
    harness: Harness,
) -> None:
    issue = await harness.subject(files={**PROJECT, **POLICY}, permissions=PEOPLE)
    github, repo = harness.github, issue.repository
    await github.push_files(repo, "by-hand", {"notes.txt": b"\n"}, "walter", "Add notes")
    pull = await github.open_pull_request(repo, "walter", "by-hand")
    await shows(issue, pull.number, "skipped", "no agent wrote this")

    silent = await harness.subject(files=PROJECT, permissions=PEOPLE)
    await github.push_files(silent.repository, "by-hand", {"a.txt": b"\n"}, "walter", "Add a")
    other = await github.open_pull_request(silent.repository, "walter", "by-hand")
    await github.drained()
    assert review_check(silent, other.number) is None


@pytest.mark.slow
async def test_an_approval_that_cannot_be_looked_up_is_none(harness: Harness) -> None:
    issue, number = await published(harness)
    github, repo = harness.github, issue.repository
    approval = await github.review(repo, number, "walter", event="APPROVE")
    check = await shows(issue, number, "success", "Approved by walter")

    refused = {"message": "Resource not accessible by integration"}
    github.faults.answer("GET", f"{repo}/pulls/{number}/reviews", 403, refused, times=None)
    try:
        await github.dismiss_review(repo, number, approval.id, OWNER)
        await shows(issue, number, "action_required", "could not find out who approved")
    finally:
        github.faults.clear()
    await github.rerequest(repo, check.id, OWNER)
    await shows(issue, number, "action_required", "`walter`: the review was dismissed")


@pytest.mark.slow
async def test_a_merge_queue_waits_for_the_approval_of_its_entry(harness: Harness) -> None:
    issue, number = await published(harness)
    github, repo = harness.github, issue.repository
    required = {"required_status_checks": [{"context": "honk / review"}]}
    checks = {"type": "required_status_checks", "parameters": required}
    github.add_ruleset(repo, MERGE_QUEUE, checks, include=["refs/heads/main"])
    if github.issue(repo, number).pull.draft:  # type: ignore[union-attr]
        await github.set_draft(repo, number, OWNER, draft=False)
    await shows(issue, number, "action_required", "Waiting for 1")
    await github.enqueue(repo, number, OWNER)
    await github.drained()
    await harness.until(
        lambda: github.issue(repo, number).pull.queued is None,  # type: ignore[union-attr]
        "an entry without approval stays in the queue",
    )
    assert github.issue(repo, number).state == "open"

    await github.review(repo, number, "walter", event="APPROVE")
    await shows(issue, number, "success", "Approved by walter")
    await github.enqueue(repo, number, OWNER)
    await harness.until(
        lambda: github.issue(repo, number).state == "closed", "the queue does not merge"
    )
