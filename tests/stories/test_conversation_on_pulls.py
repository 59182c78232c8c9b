"""Talking to Honk on pull requests, ours and people's: on lines, in reviews, from forks."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github.records import OtherCi
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROKEN = PROJECT["calc.py"] + b"\n\ndef triple(a):\n    return a * 2\n"
TESTED = PROJECT["test_calc.py"].replace(b"add, double", b"add, double, triple") + (
    b"\n\ndef test_triple():\n    assert triple(4) == 12\n"
)
FIX_TRIPLE = {
    "str_replace_based_edit_tool": {
        "command": "str_replace",
        "path": "/workspace/calc.py",
        "old_str": "def triple(a):\n    return a * 2",
        "new_str": "def triple(a):\n    return a * 3",
    }
}


async def proposal(
    harness: Harness, *turns: Any, by: str = "walter", fork: bool = False
) -> Subject:
    """A person's pull request with a function that is wrong, and what the model does about it."""
    base = await harness.subject(permissions={"walter": "write"})
    files = {"calc.py": BROKEN, "test_calc.py": TESTED}
    head = "triple"
    if fork:
        copy = await harness.github.fork(base.repository, by)
        await harness.github.push_files(copy.full_name, "triple", files, by, "Add triple")
        head = f"{by}:triple"
    else:
        await harness.github.push_files(base.repository, "triple", files, by, "Add triple")
    pull = await harness.github.open_pull_request(base.repository, by, head, title="Add triple")
    subject = Subject(harness, base.repository, pull.number)
    if turns:
        harness.model.scripts[f"{base.repository}#{pull.number}"] = script(*turns)
    return subject


async def head_of(subject: Subject, branch: str) -> str:
    return (await subject.git("rev-parse", f"refs/heads/{branch}")).strip()


def said_to_the_model(harness: Harness, subject: Subject) -> str:
    return str([r for r in harness.model.requests if subject.repository in str(r)])


async def test_work_on_a_persons_pull_request_goes_to_its_own_branch(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    before = await head_of(subject, "triple")
    await subject.comment("/honk triple should triple")
    await subject.settled()

    head = await head_of(subject, "triple")
    assert (await subject.git("rev-parse", f"{head}^")).strip() == before
    assert "a * 3" in await subject.git("show", f"{head}:calc.py")
    assert [pull.number for pull in subject.pulls] == [subject.number]
    by_name = {check.name: check for check in subject.checks(head)}
    assert by_name["honk / tests"].conclusion == "success"
    assert by_name["honk / tests"].title == "New code: 1 test cannot run without this change"
    (run,) = subject.checks(before)
    assert (run.name, run.conclusion) == ("honk / run", "success")
    assert not run.actions
    assert "triple" in subject.last_words
    assert subject.labels == ["honk:done"]
    assert "what the pull request changes" in said_to_the_model(harness, subject)


async def test_a_command_on_a_line_is_answered_in_its_thread(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    line = BROKEN.count(b"\n")
    asked = await harness.github.review_comment(
        subject.repository, subject.number, OWNER, "calc.py", line, "/honk this should be three"
    )
    await harness.until(
        lambda: len(harness.github.thread_of(subject.repository, asked.id)[0].comments) == 2,
        "nobody answers in the thread",
    )
    thread, comment = harness.github.thread_of(subject.repository, asked.id)
    assert f"@{OWNER}" in thread.comments[1].body
    await harness.until(lambda: subject.labels == ["honk:done"], "it is not settled")
    assert sorted(r.content for r in comment.reactions) == ["eyes", "rocket"]
    told = said_to_the_model(harness, subject)
    assert "this should be three" in told
    assert f"calc.py, line {line}" in told


async def test_a_review_is_worked_on_as_a_whole(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    line = BROKEN.count(b"\n")
    comments = [
        {"path": "calc.py", "line": line, "body": "Twice is not triple."},
        {"path": "test_calc.py", "line": 9, "body": "And a test with zero, please."},
    ]
    await harness.github.review(
        subject.repository, subject.number, OWNER, "/honk do all of this", "COMMENT", comments
    )
    await subject.settled()
    told = said_to_the_model(harness, subject)
    assert "do all of this" in told
    assert "Twice is not triple." in told
    assert "And a test with zero, please." in told


async def test_work_on_a_fork_is_shown_and_published_only_with_trust(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH], [FINISH], by="trudy", fork=True)
    pull = subject.pull.pull
    assert pull is not None
    await subject.comment("/honk triple should triple")
    await subject.settled()
    assert "+    return a * 3" in subject.status
    assert "with access to its secrets" in subject.status
    assert subject.labels == ["honk:needs-you"]
    assert "honk/" not in await subject.git("for-each-ref", "refs/heads")

    await subject.comment("/honk trust")
    assert f"/honk trust {pull.head_sha}" in await subject.refused()
    await subject.comment(f"/honk trust {pull.head_sha}")
    await subject.settled(endings=2)
    ours = [each for each in subject.pulls if each.number != subject.number]
    assert len(ours) == 1
    assert ours[0].pull is not None
    parent = (await subject.git("rev-parse", f"{ours[0].pull.head_sha}^")).strip()
    assert parent == pull.head_sha


async def test_fix_works_on_what_fails(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    await subject.comment("/honk fix")
    assert "No failing checks" in await subject.refused()

    harness.github.use_ci(
        subject.repository,
        OtherCi(
            "failure",
            job="unit tests",
            summary="test_triple: 8 is not 12",
            annotations=[
                {
                    "path": "calc.py",
                    "start_line": 10,
                    "end_line": 10,
                    "annotation_level": "failure",
                    "message": "triple is wrong here",
                }
            ],
            log="E  assert 8 == 12",
        ),
    )
    await harness.github.push_files(subject.repository, "triple", {"x": b"\n"}, "walter")
    harness.github.use_ci(subject.repository, None)
    await subject.comment("/honk fix")
    await subject.settled()
    told = said_to_the_model(harness, subject)
    assert "the failing check unit tests" in told
    assert "assert 8 == 12" in told
    assert "test_triple: 8 is not 12" in told
    assert "triple is wrong here" in told
    assert "a * 3" in await subject.git("show", "triple:calc.py")


async def test_the_label_on_a_pull_request_means_its_failing_checks(harness: Harness) -> None:
    subject = await proposal(harness)
    await subject.label()
    assert "No failing checks" in await subject.refused()
    await harness.until(lambda: subject.labels == [], "the label stays")


async def test_test_judges_the_head_and_changes_nothing(harness: Harness) -> None:
    subject = await proposal(harness)
    before = await head_of(subject, "triple")
    await subject.comment("/honk test")
    await subject.settled()
    assert await head_of(subject, "triple") == before
    tests = next(c for c in subject.checks(before) if c.name == "honk / tests")
    assert tests.conclusion == "failure"
    assert "not ready to merge" in subject.last_words
    assert subject.repository not in str(harness.model.requests)


async def test_undo_takes_back_exactly_one_run(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    before = await head_of(subject, "triple")
    await subject.comment("/honk triple should triple")
    await subject.settled()
    done = await head_of(subject, "triple")
    await subject.comment("/honk undo")
    await harness.until(
        lambda: any("Reverted run" in c.body for c in subject.ours), "it is not undone"
    )
    head = await head_of(subject, "triple")
    assert (await subject.git("rev-parse", f"{head}^")).strip() == done
    assert await subject.git("diff", before, head) == ""

    await subject.comment("/honk undo")
    assert "nothing to undo" in (await subject.refused()).lower()


async def test_undo_refuses_where_people_have_gone_on(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    await subject.comment("/honk triple should triple")
    await subject.settled()
    repository = subject.repository
    pushed = await harness.github.push_files(repository, "triple", {"new.py": b"\n"}, "walter")
    await subject.comment("/honk undo")
    words = await subject.refused()
    assert "git revert" in words
    assert await head_of(subject, "triple") == pushed


@pytest.mark.slow
async def test_rebase_recreates_our_commits_on_the_base(harness: Harness) -> None:
    issue = await harness.subject(plays=script([FIX], [FINISH]))
    await issue.label()
    await issue.settled()
    branch = "honk/1-add-subtracts"
    old = await head_of(issue, branch)
    base = await harness.github.push_files(issue.repository, "main", {"README": b"Hi\n"}, OWNER)
    subject = Subject(harness, issue.repository, issue.pull.number)
    await subject.comment("/honk rebase")
    await subject.settled()
    head = await head_of(issue, branch)
    assert head != old
    assert (await issue.git("rev-parse", f"{head}^")).strip() == base
    assert "return a + b" in await issue.git("show", f"{head}:calc.py")
    tests = next(c for c in subject.checks(head) if c.name == "honk / tests")
    assert tests.conclusion == "success"


async def test_rebase_merges_the_base_into_a_persons_branch(harness: Harness) -> None:
    subject = await proposal(harness)
    before = await head_of(subject, "triple")
    base = await harness.github.push_files(subject.repository, "main", {"README": b"Hi\n"}, OWNER)
    await subject.comment("/honk rebase")
    await subject.settled()
    head = await head_of(subject, "triple")
    parents = (await subject.git("rev-parse", f"{head}^1", f"{head}^2")).split()
    assert parents == [before, base]


async def test_a_rebase_that_is_stopped_leaves_the_branch_as_it_was(harness: Harness) -> None:
    subject = await proposal(harness)
    before = await head_of(subject, "triple")
    slow = {".github/honk.yml": b'verify: ["sleep 60"]\n'}
    await harness.github.push_files(subject.repository, "main", slow, OWNER)
    await subject.comment("/honk rebase")
    await harness.until(lambda: "Running tests" in str(subject.ours), "it does not verify")
    await subject.comment("/honk stop")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    assert await head_of(subject, "triple") == before


async def test_ready_turns_a_draft_of_ours(harness: Harness) -> None:
    files = {**PROJECT, ".github/honk.yml": b"draft: true\n"}
    issue = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await issue.label()
    await issue.settled()
    assert issue.pull.pull is not None
    assert issue.pull.pull.draft
    subject = Subject(harness, issue.repository, issue.pull.number)
    await subject.comment("/honk ready")
    await harness.until(
        lambda: any("is ready for review" in c.body for c in subject.ours), "it is not ready"
    )
    assert not issue.pull.pull.draft


async def test_a_push_during_the_run_is_kept_and_verified(harness: Harness) -> None:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH])
    async with subject.thinking():
        await subject.comment("/honk triple should triple")
        await subject.at_work()
        pushed = await harness.github.push_files(
            subject.repository, "triple", {"notes.txt": b"mine\n"}, "walter"
        )
    await subject.settled()
    head = await head_of(subject, "triple")
    assert (await subject.git("rev-parse", f"{head}^")).strip() == pushed
    assert "a * 3" in await subject.git("show", f"{head}:calc.py")
    assert await subject.git("show", f"{head}:notes.txt") == "mine\n"


async def test_a_base_that_moved_is_merged_before_publishing(harness: Harness) -> None:
    issue = await harness.subject(plays=script([FIX], [FINISH]))
    async with issue.thinking():
        await issue.label()
        await issue.at_work()
        files = {"README": b"Hi\n"}
        base = await harness.github.push_files(issue.repository, "main", files, OWNER)
    await issue.settled()
    assert issue.pull.pull is not None
    assert (await issue.git("rev-parse", f"{issue.pull.pull.head_sha}^")).strip() == base
    assert issue.check.conclusion == "success"


@pytest.mark.slow
async def test_a_conflict_with_the_base_is_the_agents_work_once(harness: Harness) -> None:
    write = {
        "str_replace_based_edit_tool": {
            "command": "create",
            "path": "/workspace/calc.py",
            "file_text": "def add(a, b):\n    return b + a\n\n\ndef double(a):\n    return a * 2\n",
        }
    }
    issue = await harness.subject(plays=script([FIX], [FINISH], [write], [FINISH]))
    other = {"calc.py": PROJECT["calc.py"].replace(b"a - b", b"b - a")}
    async with issue.thinking():
        await issue.label()
        await issue.at_work()
        base = await harness.github.push_files(issue.repository, "main", other, OWNER)
    await issue.settled()
    assert issue.pull.pull is not None
    head = issue.pull.pull.head_sha
    assert (await issue.git("rev-parse", f"{head}^")).strip() == base
    assert "return b + a" in await issue.git("show", f"{head}:calc.py")
    assert "conflict markers" in said_to_the_model(harness, issue)
    assert issue.check.conclusion == "success"
