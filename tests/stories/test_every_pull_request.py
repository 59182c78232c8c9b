"""The verdict on every pull request, by anyone: no model key, and few permissions."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from app import log_events
from app.playground.github.accounts import User
from app.playground.github.records import CheckRun, OtherCi
from tests.support.harness import (
    FINISH,
    FIX,
    OWNER,
    PROJECT,
    Harness,
    Subject,
    open_harness,
    open_harness_with_one_worker,
    script,
)
from tests.support.rules import MERGE_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANIFEST = Path("deploy/manifest-verify-only.yml")
FIXED = {
    "calc.py": PROJECT["calc.py"].replace(b"a - b", b"a + b"),
    "test_more.py": b"from calc import add\n\n\ndef test_more():\n    assert add(1, 1) == 2\n",
}
UNPROVEN = {
    "calc.py": PROJECT["calc.py"].replace(b"a * 2", b"2 * a"),
    "test_more.py": b"from calc import double\n\n\ndef test_more():\n    assert double(1) == 2\n",
}
REQUIRED = {
    "type": "required_status_checks",
    "parameters": {"required_status_checks": [{"context": "honk / tests"}]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="verifier")
async def _verifier() -> AsyncIterator[Harness]:
    """An installation that only verifies: its manifest's permissions, and no model key."""
    async with open_harness(HONK_CHECK="all", ANTHROPIC_API_KEY="") as harness:
        manifest = yaml.safe_load(MANIFEST.read_text())
        harness.github.world.register(
            dataclasses.replace(
                harness.github.world.app,
                permissions=dict(manifest["default_permissions"]),
                events=tuple(manifest["default_events"]),
            )
        )
        yield harness
        assert harness.model.requests == []
        refused = [each for each in harness.github.requests if each.status in (403, 422)]
        assert [(each.method, each.template) for each in refused] == []
        writes = {each.template for each in harness.github.requests if each.method != "GET"}
        assert writes <= {
            "/app/installations/{installation_id}/access_tokens",
            "/installation/token",
            "/repos/{owner}/{repo}/check-runs",
            "/repos/{owner}/{repo}/check-runs/{check_run_id}",
            "/{owner}/{repo}.git/git-upload-pack",
        }


async def _proposed(
    harness: Harness,
    files: dict[str, bytes],
    *,
    by: str = "walter",
    fork: bool = False,
    **more: str,
) -> Subject:
    base = await harness.subject(permissions={"walter": "write"})
    return await _pull(harness, base.repository, files, by=by, fork=fork, **more)


async def _pull(
    harness: Harness,
    repository: str,
    files: dict[str, bytes],
    *,
    by: str = "walter",
    fork: bool = False,
    branch: str = "fix",
) -> Subject:
    at = (await harness.github.fork(repository, by)).full_name if fork else repository
    await harness.github.push_files(at, branch, files, by, "Fix it")
    head = f"{by}:{branch}" if fork else branch
    pull = await harness.github.open_pull_request(repository, by, head, title="Fix add()")
    return Subject(harness, repository, pull.number)


def _tests(subject: Subject, sha: str | None = None) -> CheckRun | None:
    pull = subject.issue.pull
    assert pull is not None
    found = [one for one in subject.checks(sha or pull.head_sha) if one.name == "honk / tests"]
    return found[-1] if found else None


def _head(subject: Subject) -> str:
    assert subject.issue.pull is not None
    return subject.issue.pull.head_sha


async def _completed(subject: Subject, sha: str | None = None) -> CheckRun:
    def is_complete() -> bool:
        check = _tests(subject, sha)
        return check is not None and check.status == "completed"

    await subject.harness.until(is_complete, f"{subject.name} has no completed check")
    check = _tests(subject, sha)
    assert check is not None
    return check


async def test_every_pull_request_of_a_person_gets_the_whole_verdict(verifier: Harness) -> None:
    subject = await _proposed(verifier, FIXED)
    check = await _completed(subject)
    assert (check.conclusion, check.title) == (
        "success",
        "Proven: 2 tests fail without this change",
    )
    assert subject.issue.comments == []
    assert subject.labels == []


async def test_every_pull_request_of_a_bot_gets_it_and_learns_that_nothing_is_proven(
    verifier: Harness,
) -> None:
    verifier.github.world.users.setdefault(
        "renovate[bot]", User(verifier.github.world.new_id(), "renovate[bot]", "Bot")
    )
    base = await verifier.subject(permissions={"walter": "write", "renovate[bot]": "write"})
    subject = await _pull(verifier, base.repository, UNPROVEN, by="renovate[bot]")
    check = await _completed(subject)
    assert check.title == "Not proven: the new test passes without the change too"


async def test_every_pull_request_of_a_fork_waits_for_a_person(verifier: Harness) -> None:
    subject = await _proposed(verifier, FIXED, by="trudy", fork=True)
    check = await _completed(subject)
    assert check.conclusion == "action_required"
    assert check.title == "Not run: this pull request is from a fork"
    await verifier.github.press(subject.repository, check.id, "test", OWNER)
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "the button starts nothing",
    )


@pytest.mark.slow
async def test_every_pull_request_of_a_fork_starts_when_all_checks_are_run_again(
    verifier: Harness,
) -> None:
    """No run is behind the check that waits; GitHub shows the suite as queued until one comes."""
    subject = await _proposed(verifier, FIXED, by="trudy", fork=True)
    check = await _completed(subject)
    await verifier.github.rerequest_all(subject.repository, check.id, OWNER)
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "nothing is started",
    )


@pytest.mark.slow
async def test_every_pull_request_of_a_fork_waits_again_with_another_base(
    verifier: Harness,
) -> None:
    """Its author chooses the base branch; a person has started the tests against the first one."""
    subject = await _proposed(verifier, FIXED, by="trudy", fork=True)
    github, repo = verifier.github, subject.repository
    check = await _completed(subject)
    await github.press(repo, check.id, "test", OWNER)
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "the button starts nothing",
    )
    await github.push_files(repo, "release", {"notes.txt": b"\n"}, OWNER, "Start a release")
    await github.act("trudy", "PATCH", f"/repos/{repo}/pulls/{subject.number}", {"base": "release"})
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "action_required",
        "the newest check is of the former base branch",
    )


@pytest.mark.slow
async def test_every_pull_request_with_the_same_head_has_to_pass(verifier: Harness) -> None:
    """The second one is compared with a branch that has removed the test already."""
    base = await verifier.subject(permissions={"walter": "write"})
    github, repo = verifier.github, base.repository
    sha = await github.push_files(repo, "bare", {"test_calc.py": None}, "walter", "Remove a test")
    ref = {"ref": "refs/heads/fix", "sha": sha}
    await github.act("walter", "POST", f"/repos/{repo}/git/refs", ref)
    subject = await _pull(verifier, repo, FIXED)
    assert (await _completed(subject)).conclusion == "action_required"
    other = await github.open_pull_request(repo, "walter", "fix", "bare")
    await verifier.until(
        lambda: (
            len([one for one in subject.checks(_head(subject)) if one.name == "honk / tests"]) == 2
        ),
        "it has no second check",
    )
    check = await _completed(subject)
    assert check.conclusion == "action_required"
    assert check.title == f"Does not count: #{subject.number} has the same head commit"

    await github.close_issue(repo, subject.number, "walter")
    await github.press(repo, check.id, "test", "walter")
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        f"#{other.number} alone does not pass",
    )


async def test_every_pull_request_of_a_fork_that_is_not_verified_passes_no_one_else_s(
    verifier: Harness,
) -> None:
    """`never` passes a required check, and anyone can open a pull request with another's head."""
    files = PROJECT | {".github/honk.yml": b"check: {authors: all, forks: never}\n"}
    base = await verifier.subject(files=files, permissions={"walter": "write"})
    subject = await _pull(verifier, base.repository, {"calc.py": b"def add(a, b):\n    return 0\n"})
    assert (await _completed(subject)).conclusion == "failure"
    await verifier.github.fork(base.repository, "trudy")
    await verifier.github.open_pull_request(base.repository, "trudy", "trudy:fix")
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "action_required",
        "the fork's check is missing",
    )


async def test_every_pull_request_can_be_verified_by_comment_without_an_answer(
    verifier: Harness,
) -> None:
    subject = await _proposed(verifier, FIXED, by="trudy", fork=True)
    await _completed(subject)
    await subject.comment("/honk test", by="walter")
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "the comment starts nothing",
    )
    assert [each.author.login for each in subject.issue.comments] == ["walter"]


@pytest.mark.slow
async def test_every_pull_request_can_have_its_changed_tests_accepted(verifier: Harness) -> None:
    changed = {"test_calc.py": PROJECT["test_calc.py"].replace(b"== 8", b"== 9")}
    more = {"calc.py": PROJECT["calc.py"].replace(b"a * 2", b"a * 2 + 1")}
    subject = await _proposed(verifier, changed | more)
    check = await _completed(subject)
    assert check.conclusion == "action_required"
    await verifier.github.press(subject.repository, check.id, "accept", "walter")
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "nothing is accepted",
    )


async def test_every_pull_request_learns_what_needs_more_permissions(verifier: Harness) -> None:
    subject = await _proposed(verifier, FIXED)
    await _completed(subject)
    await subject.comment("/honk make it faster", by="walter")
    assert subject.issue.pull is not None
    head = subject.issue.pull.head_sha

    def refusals() -> list[CheckRun]:
        return [one for one in subject.checks(head) if one.name == "honk / run"]

    await verifier.until(
        lambda: [one.conclusion for one in refusals()] == ["neutral"], "nothing is refused"
    )
    assert "Honk can only verify here" in (refusals()[0].summary or "")


async def test_every_pull_request_is_verified_at_its_newest_push(verifier: Harness) -> None:
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(600)\n"}
    subject = await _proposed(verifier, FIXED | slow)
    assert subject.issue.pull is not None
    first = subject.issue.pull.head_sha
    await verifier.until(
        lambda: (now := _tests(subject, first)) is not None and now.status == "in_progress",
        "it is not at work",
    )
    fast = {"test_slow.py": b"def test_slow():\n    assert True\n"}
    await verifier.github.push_files(subject.repository, "fix", fast, "walter", "Faster")
    old, new = await _completed(subject, first), await _completed(subject)
    assert (old.conclusion, old.title) == ("cancelled", "Superseded")
    assert subject.issue.pull.head_sha[:7] in (old.summary or "")
    assert new.conclusion == "success"


@pytest.mark.slow
async def test_every_pull_request_is_verified_although_github_shows_the_former_head(
    verifier: Harness,
) -> None:
    subject = await _proposed(verifier, UNPROVEN)
    await _completed(subject)
    path = f"/repos/{subject.repository}/pulls/{subject.number}"
    former = await verifier.github.act("walter", "GET", path)
    verifier.github.faults.answer("GET", f"{path}$", 200, former)
    await verifier.github.push_files(subject.repository, "fix", FIXED, "walter", "Fix add()")
    assert _head(subject) != former["head"]["sha"]
    check = await _completed(subject)
    assert check.title == "Proven: 2 tests fail without this change"


@pytest.mark.slow
async def test_every_pull_request_is_verified_at_its_newest_push_whatever_comes_late(
    verifier: Harness,
) -> None:
    """The first request has seen its head, and goes on when the second one is being verified."""
    base = await verifier.subject(permissions={"walter": "write"})
    late = verifier.github.faults.answer("GET", r"/pulls/\d+$", 0, delay=8.0, after=True)
    subject = await _pull(verifier, base.repository, UNPROVEN)
    first = _head(subject)
    faults = verifier.github.faults
    await verifier.until(lambda: late not in faults.answers, "the head is not asked for")
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(15)\n"}
    await verifier.github.push_files(subject.repository, "fix", FIXED | slow, "walter", "Fix it")
    check = await _completed(subject)
    assert check.conclusion == "success"
    assert _tests(subject, first) is None


async def test_every_pull_request_that_closes_is_left_alone(verifier: Harness) -> None:
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(600)\n"}
    subject = await _proposed(verifier, slow, by="walter")
    await verifier.until(lambda: _tests(subject) is not None, "it is not queued")
    await verifier.github.close_issue(subject.repository, subject.number, "walter")
    check = await _completed(subject)
    assert (check.conclusion, check.title) == ("cancelled", "Stopped")


@pytest.mark.slow
async def test_every_pull_request_in_a_merge_queue_is_compared_with_the_entry_before(
    verifier: Harness,
) -> None:
    base = await verifier.subject(permissions={"walter": "write"})
    verifier.github.add_ruleset(base.repository, MERGE_QUEUE, REQUIRED, include=["refs/heads/main"])
    one = await _pull(verifier, base.repository, FIXED)
    other = {
        "other.py": b"def one():\n    return 1\n",
        "test_other.py": b"from other import one\n\n\ndef test_one():\n    assert one() == 1\n",
    }
    two = await _pull(verifier, base.repository, other, branch="other")
    for each in (one, two):
        await _completed(each)
        await verifier.github.enqueue(each.repository, each.number, "walter")
    await verifier.until(
        lambda: (one.issue.state, two.issue.state) == ("closed", "closed"),
        "the queue does not merge",
    )
    titles = {
        check.title
        for check in verifier.github.check_runs(base.repository)
        if check.name == "honk / tests"
    }
    assert "Proven: 2 tests fail without this change" in titles


@pytest.mark.slow
async def test_every_pull_request_whose_run_fails_says_why_in_its_check(harness: Harness) -> None:
    """There is no comment and no issue that could say it."""
    files = PROJECT | {".github/honk.yml": b"check: all\n"}
    base = await harness.subject(files=files, permissions={"walter": "write"})
    harness.github.faults.answer("GET", f"{base.repository}.git/info/refs", 403, times=None)
    try:
        subject = await _pull(harness, base.repository, FIXED)
        check = await _completed(subject)
    finally:
        harness.github.faults.clear()
    assert (check.conclusion, check.title) == ("cancelled", "No verdict: the run failed")
    assert "git" in (check.summary or "").lower()
    await harness.github.press(base.repository, check.id, "test", "walter")
    await harness.until(
        lambda: (now := _tests(subject)) is not None and now.conclusion == "success",
        "the button starts nothing",
    )


async def test_every_pull_request_by_policy_alone(harness: Harness) -> None:
    """The operator's default asks for nothing here; the repository's policy does."""
    files = PROJECT | {".github/honk.yml": b"check: {authors: bots, skip: ['docs/**']}\n"}
    base = await harness.subject(files=files, permissions={"walter": "write"})
    subject = await _pull(harness, base.repository, FIXED)
    await harness.github.drained()
    await harness.until(lambda: log_events.CHECK_NOT_STARTED in harness.log(), "nothing is decided")
    assert subject.checks(subject.issue.pull.head_sha if subject.issue.pull else "") == []


async def test_every_pull_request_shows_the_error_of_a_policy_that_asks_for_checks(
    harness: Harness,
) -> None:
    """A required check would wait forever, also for the pull request that fixes the policy."""
    files = PROJECT | {".github/honk.yml": b"check: {authors: all}\nbudget: {usd: much}\n"}
    base = await harness.subject(files=files, permissions={"walter": "write"})
    check = await _completed(await _pull(harness, base.repository, FIXED))
    assert check.conclusion == "action_required"
    assert check.title == "Not run: the policy file has an error"
    assert "line 2" in (check.summary or "")


@pytest.mark.slow
async def test_every_pull_request_of_honk_shows_the_error_of_a_policy_after_a_push(
    harness: Harness,
) -> None:
    """Its check always comes, whatever the policy says about the pull requests of others."""
    subject = await harness.subject(plays=script(FIX, FINISH), permissions={"walter": "write"})
    await subject.label()
    await subject.settled()
    github, repo = harness.github, subject.repository
    ours = Subject(harness, repo, subject.pull.number)
    assert ours.issue.pull is not None
    wrong = {".github/honk.yml": b"budget: {usd: much}\n"}
    await github.push_files(repo, "main", wrong, OWNER, "Limit the budget")
    more = {"test_more.py": FIXED["test_more.py"]}
    await github.push_files(repo, ours.issue.pull.head, more, "walter", "Add a test")
    check = await _completed(ours)
    assert check.conclusion == "action_required"
    assert check.title == "Not run: the policy file has an error"
    assert "line 1" in (check.summary or "")

    await github.push_files(repo, "main", {".github/honk.yml": b""}, OWNER, "Don't")
    await github.press(repo, check.id, "test", "walter")
    await harness.until(
        lambda: (now := _tests(ours)) is not None and now.conclusion == "success",
        "the button starts nothing",
    )


@pytest.mark.slow
async def test_every_pull_request_of_honk_is_verified_at_its_newest_push(
    harness: Harness,
) -> None:
    subject = await harness.subject(plays=script(FIX, FINISH), permissions={"walter": "write"})
    await subject.label()
    await subject.settled()
    ours = Subject(harness, subject.repository, subject.pull.number)
    assert ours.issue.pull is not None
    branch = ours.issue.pull.head
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(600)\n"}
    await harness.github.push_files(subject.repository, branch, slow, "walter", "Add a test")
    first = _head(ours)
    await harness.until(
        lambda: (now := _tests(ours, first)) is not None and now.status == "in_progress",
        "it is not at work",
    )
    fast = {"test_slow.py": b"def test_slow():\n    assert True\n"}
    await harness.github.push_files(subject.repository, branch, fast, "walter", "Faster")
    old, new = await _completed(ours, first), await _completed(ours)
    assert (old.conclusion, old.title) == ("cancelled", "Superseded")
    assert new.conclusion == "success"


@pytest.mark.slow
async def test_every_pull_request_that_breaks_the_policy_file_is_told_before_it_is_merged(
    verifier: Harness,
) -> None:
    """After the merge each check would show the error, also that of the change that fixes it."""
    wrong = {".github/honk.yml": b"check: all\nbudget: {usd: much}\n"}
    subject = await _proposed(verifier, FIXED | wrong)
    check = await _completed(subject)
    assert check.conclusion == "action_required"
    assert check.title == "Not run: this change breaks the policy file"
    assert "line 2" in (check.summary or "")
    right = {".github/honk.yml": b"check: all\nbudget: {usd: 2}\n"}
    await verifier.github.push_files(subject.repository, "fix", right, "walter", "Fix the policy")
    assert (await _completed(subject)).conclusion == "success"


@pytest.mark.slow
async def test_every_pull_request_is_told_apart_from_a_job_of_the_same_name(
    verifier: Harness,
) -> None:
    """The repository's own CI calls its job as Honk calls its check."""
    base = await verifier.subject(permissions={"walter": "write"})
    theirs = OtherCi(conclusion=None, job="honk / tests", on=("push", "pull_request"))
    verifier.github.use_ci(base.repository, theirs)
    subject = await _pull(verifier, base.repository, FIXED)

    def ours() -> list[CheckRun]:
        return [each for each in subject.checks(_head(subject)) if each.suite.app is None]

    await verifier.until(
        lambda: [each.status for each in ours()] == ["completed"], "it has no completed check"
    )
    assert ours()[0].title == "Proven: 2 tests fail without this change"
    others = [each for each in subject.checks(_head(subject)) if each.suite.app is not None]
    assert {each.status for each in others} == {"in_progress"}


@pytest.mark.slow
async def test_every_pull_request_of_hundreds_of_commits(verifier: Harness) -> None:
    base = await verifier.subject(permissions={"walter": "write"})
    git = verifier.github.world.repository(base.repository).git
    commit = (
        b"commit refs/heads/fix\ncommitter walter <walter@example.com> %d +0000\ndata 4\nWait\n"
    )
    history = [commit % 1_790_000_000 + b"from refs/heads/main\n"]
    history += [commit % (1_790_000_000 + number) for number in range(1, 300)]
    await git.run("fast-import", "--quiet", data=b"".join(history))
    subject = await _pull(verifier, base.repository, FIXED)
    check = await _completed(subject)
    assert check.title == "Proven: 2 tests fail without this change"


@pytest.mark.slow
async def test_every_pull_request_of_a_repository_that_is_renamed(verifier: Harness) -> None:
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(5)\n"}
    subject = await _proposed(verifier, FIXED | slow)
    await verifier.until(
        lambda: (now := _tests(subject)) is not None and now.status == "in_progress",
        "it is not at work",
    )
    new = await verifier.github.rename(subject.repository, f"{subject.repository[7:]}-new", OWNER)
    check = await _completed(Subject(verifier, new, subject.number))
    assert check.conclusion == "success"


def _module(name: str, more: bytes = b"") -> dict[str, bytes]:
    """A module with one test, which fails without it."""
    test = f"from {name} import get\n\n\ndef test_{name}():\n    assert get() == 1\n".encode()
    return {f"{name}.py": b"def get():\n    return 1\n", f"test_{name}.py": test + more}


_WAITS_BEHIND_ONE = (
    b"\n\ndef test_time():\n    import os, time\n\n"
    b"    time.sleep(600 if os.path.exists('one.py') else 0)\n"
)
_DOUBLE = b"import calc\n\n\ndef test_four():\n    assert calc.double(4) == 8\n"


@pytest.mark.slow
async def test_every_pull_request_of_five_in_a_merge_queue_has_one_check_for_each_entry(
    verifier: Harness,
) -> None:
    """The third is removed while its tests run, and the fourth passes alone but not behind the
    second; each time what is behind them gets other commits."""
    files = {"calc.py": PROJECT["calc.py"], "test_base.py": b"def test_base():\n    assert True\n"}
    base = await verifier.subject(files=files, permissions={"walter": "write"})
    github, repo = verifier.github, base.repository
    github.add_ruleset(repo, MERGE_QUEUE, REQUIRED, include=["refs/heads/main"])
    renamed = {"calc.py": PROJECT["calc.py"].replace(b"double", b"twice")}
    proposed = {
        "one": _module("one"),
        "two": _module("two") | renamed,
        "three": _module("three", _WAITS_BEHIND_ONE),
        "four": {"test_four.py": _DOUBLE},
        "five": _module("five"),
    }
    pulls = [await _pull(verifier, repo, each, branch=name) for name, each in proposed.items()]
    for each in pulls:
        await github.enqueue(repo, each.number, "walter")

    def checks_of(entry: str) -> list[CheckRun]:
        return [one for one in base.checks(entry) if one.name == "honk / tests"]

    third = pulls[2].issue.pull
    assert third is not None
    assert third.queued is not None
    waiting = third.queued.head_sha
    await verifier.until(
        lambda: [one.status for one in checks_of(waiting)] == ["in_progress"],
        "the third entry is not at work",
    )
    await github.dequeue(repo, pulls[2].number, "walter")
    await verifier.until(lambda: pulls[4].issue.state == "closed", "the queue does not merge")
    await github.drained()

    groups = [
        each.payload["merge_group"]
        for each in github.deliveries
        if (each.event, each.action) == ("merge_group", "checks_requested")
        and each.payload["repository"]["full_name"] == repo
    ]
    entries = [(each["head_ref"].rpartition("/pr-")[2], each["head_sha"]) for each in groups]
    await verifier.until(
        lambda: all(one.status == "completed" for _, sha in entries for one in checks_of(sha)),
        "an entry waits",
    )
    first = pulls[0].number
    found: dict[int, list[tuple[str | None, str | None]]] = {}
    for name, sha in entries:
        (check,) = checks_of(sha)
        nth = int(name.partition("-")[0]) - first + 1
        found.setdefault(nth, []).append((check.conclusion, check.title))
    good = ("success", "New code: 1 test cannot run without this change")
    removed = ("cancelled", "Stopped")
    failed = ("failure", "Regression: 1 new test fails")
    if found[5][1] == good:  # its tests were faster than those of the fourth
        found[5][1] = removed
    assert found == {
        1: [good],
        2: [good],
        3: [removed],
        4: [removed, failed],
        5: [removed, removed, good],
    }


@pytest.mark.slow
async def test_every_pull_request_in_a_merge_queue_is_verified_although_the_minutes_are_used_up(
    verifier: Harness,
) -> None:
    """GitHub would drop the entry before the next day; a person has asked for this merge."""
    policy = {".github/honk.yml": b"check: {authors: all, minutes_per_day: 0.001}\n"}
    base = await verifier.subject(files=PROJECT | policy, permissions={"walter": "write"})
    github, repo = verifier.github, base.repository
    github.add_ruleset(repo, MERGE_QUEUE, REQUIRED, include=["refs/heads/main"])
    await _completed(await _pull(verifier, repo, FIXED))
    late = await _pull(verifier, repo, _module("late"), branch="late")
    check = await _completed(late)
    assert check.conclusion == "action_required"
    assert check.title == "Not run: today's minutes are used up"
    assert "minutes_per_day" in (check.summary or "")

    await github.enqueue(repo, late.number, "walter")
    await verifier.until(lambda: late.issue.state == "closed", "the entry is not verified")
    again = await _completed(await _pull(verifier, repo, _module("more"), branch="more"))
    assert again.title == "Not run: today's minutes are used up"


@pytest.mark.slow
async def test_every_pull_request_of_a_repository_that_is_transferred(harness: Harness) -> None:
    """One check is at work and one is not decided; the old owner's installation can do neither."""
    github = harness.github
    await harness.subject(owner="oscar")
    policy = {".github/honk.yml": b"check: all\n"}
    base = await harness.subject(files=PROJECT | policy, permissions={"walter": "write"})
    slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(4)\n"}
    subject = await _pull(harness, base.repository, FIXED | slow)
    await harness.until(
        lambda: (now := _tests(subject)) is not None and now.status == "in_progress",
        "it is not at work",
    )
    late = github.faults.answer("GET", r"/issues/\d+$", 502)
    other = await _pull(harness, base.repository, _module("other"), branch="other")
    await harness.until(lambda: late not in github.faults.answers, "the other is not asked for")
    new = await github.transfer_repository(base.repository, "oscar", OWNER)
    for number in (subject.number, other.number):
        check = await _completed(Subject(harness, new, number))
        assert check.conclusion == "success"
    await github.press(new, check.id, "test", "walter")
    again = Subject(harness, new, other.number)
    await harness.until(
        lambda: (
            [one.conclusion for one in again.checks(_head(again)) if one.name == "honk / tests"]
            == ["success", "success"]
        ),
        "the button starts nothing",
    )


@pytest.mark.slow
async def test_every_pull_request_of_two_hundred_that_a_bot_opens_at_once() -> None:
    """Each has one completed check, and what a person asks for last is the next to start.

    The bot opens most of them from its fork, whose tests a person has to start.
    """
    policy = b"check: {authors: bots, skip: ['docs/**'], minutes_per_day: 0.001}\n"
    settings = {"HONK_CONCURRENCY": "1", "ANTHROPIC_API_KEY": ""}
    async with open_harness_with_one_worker(**settings) as harness:
        harness.patience = 600.0
        users, bot = harness.github.world.users, "forking-renovate[bot]"
        users.setdefault(bot, User(harness.github.world.new_id(), bot, "Bot"))
        files = PROJECT | {".github/honk.yml": policy}
        base = await harness.subject(files=files, permissions={bot: "write", "walter": "write"})
        repo = base.repository
        person = await _pull(harness, repo, FIXED)
        slow = {"test_slow.py": b"import time\n\n\ndef test_slow():\n    time.sleep(600)\n"}
        first = await _pull(harness, repo, slow, by=bot, branch="slow")
        await harness.until(
            lambda: (now := _tests(first)) is not None and now.status == "in_progress",
            "the first is not at work",
        )
        pulls: dict[str, list[Subject]] = {"docs": [], "code": [], "fork": []}
        for number in range(199):
            kind = ("docs", "code")[number % 2] if number < 20 else "fork"
            name = f"update-{number}"
            change = {f"{'docs/' if kind == 'docs' else ''}{name}.txt": b"1\n"}
            opened = await _pull(harness, repo, change, by=bot, branch=name, fork=kind == "fork")
            pulls[kind].append(opened)
        await person.comment("/honk test", by="walter")
        await person.answered("Queued")
        await harness.github.close_issue(repo, first.number, "walter")

        def results(kind: str) -> list[list[str | None]]:
            return [
                [one.title for one in pull.checks(_head(pull)) if one.conclusion]
                for pull in pulls[kind]
            ]

        await _completed(person)
        assert [] in results("docs"), "the person waited for all of them"
        for kind in pulls:
            await harness.until(partial(_all_in, results, kind), "a check is not completed")
        await harness.github.drained()
        assert results("docs") == [["Not run: only skipped paths changed"]] * 10
        assert results("code") == [["Not run: today's minutes are used up"]] * 10
        assert results("fork") == [["Not run: this pull request is from a fork"]] * 179


def _all_in(results: Callable[[str], list[list[str | None]]], kind: str) -> bool:
    return [] not in results(kind)
