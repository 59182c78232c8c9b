"""Doing something twice has an effect once, even when GitHub's answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.domain.values import RepoName
from app.errors import UserError
from app.github import checks, commits, conversation, pulls, repositories
from app.github.commits import RefMoved
from app.github.refusals import MissingPermissionError, NotFoundError
from app.messages.labels import (
    LABELS,
)
from tests.unit.github.scene import NAME, TIMEOUT, Scene

MARKER = "<!-- honk:run=r1 -->"
BODY = f"Working on it.\n{MARKER}"
Effect = Callable[[Scene], Awaitable[Any]]
Count = Callable[[Scene], int]


async def say(scene: Scene) -> Any:
    return await conversation.ensure_comment(scene.client, scene.issue, MARKER, BODY)


async def check(scene: Scene) -> Any:
    return await checks.ensure_check_run(scene.client, "honk / tests", await scene.head(), "r1")


async def branch(scene: Scene) -> Any:
    await commits.ensure_ref(
        scene.client, "refs/heads/feat/x@2#ü", await scene.head(), expected=None
    )


async def propose(scene: Scene) -> Any:
    if await repositories.branch_head(scene.client, "honk/1-x") is None:
        await commits.ensure_ref(
            scene.client, "refs/heads/honk/1-x", await scene.commit(), expected=None
        )
    return await pulls.ensure_pull_request(
        scene.client, "honk/1-x", "main", "Fix it", "Closes #1", True
    )


async def label(scene: Scene) -> Any:
    await conversation.set_state_label(scene.client, scene.issue, "honk:running", LABELS)


async def eyes(scene: Scene) -> Any:
    subject = conversation.Subject(kind="issue", id=scene.issue)
    await conversation.react(scene.client, subject, "eyes")


def said(scene: Scene) -> int:
    return len(scene.github.issue(NAME, scene.issue).comments)


def checked(scene: Scene) -> int:
    return len(scene.github.repository(NAME).check_runs())


def branched(scene: Scene) -> int:
    return scene.git("for-each-ref", "--format=%(refname)").count("feat/x@2#ü")


def proposed(scene: Scene) -> int:
    return len(scene.github.pulls(NAME))


def labelled(scene: Scene) -> int:
    return scene.github.repository(NAME).issues[scene.issue].label_names.count("honk:running")


def looked(scene: Scene) -> int:
    return len(scene.github.issue(NAME, scene.issue).reactions)


EFFECTS = [
    pytest.param(say, said, "/issues/\\d+/comments$", id="comment"),
    pytest.param(check, checked, "/check-runs$", id="check run"),
    pytest.param(branch, branched, "/git/refs$", id="ref"),
    pytest.param(propose, proposed, "/pulls$", id="pull request"),
    pytest.param(label, labelled, "/issues/\\d+/labels$", id="label"),
    pytest.param(eyes, looked, "/reactions$", id="reaction"),
]


@pytest.mark.parametrize(("effect", "count", "path"), EFFECTS)
async def test_done_twice_is_seen_once(
    scene: Scene, effect: Effect, count: Count, path: str
) -> None:
    first = await effect(scene)
    second = await effect(scene)
    assert count(scene) == 1
    if first is not None:
        assert (first.created, second.created) == (True, False)
        assert second.url == first.url


@pytest.mark.parametrize("status", [500, 502])
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize(("effect", "count", "path"), EFFECTS)
async def test_a_bad_gateway_is_seen_once(
    scene: Scene, effect: Effect, count: Count, path: str, status: int, after: bool
) -> None:
    scene.github.faults.answer("POST", path, status, after=after)
    result = await effect(scene)
    assert count(scene) == 1
    assert scene.github.faults.answers == []
    if result is not None:
        assert result.created


@pytest.mark.parametrize(("effect", "count", "path"), EFFECTS)
async def test_an_answer_that_never_comes_is_seen_once(
    scene: Scene, effect: Effect, count: Count, path: str
) -> None:
    scene.github.faults.answer("POST", path, 0, delay=2 * TIMEOUT, after=True)
    await effect(scene)
    assert count(scene) == 1
    assert scene.github.faults.answers == []


@pytest.mark.parametrize(("effect", "count", "path"), EFFECTS)
async def test_a_token_refused_in_the_middle_is_replaced(
    scene: Scene, effect: Effect, count: Count, path: str
) -> None:
    scene.github.faults.answer("POST", path, 401, {"message": "Bad credentials"})
    await effect(scene)
    assert count(scene) == 1
    assert len([call for call in scene.calls if call.kind == "token"]) == 2


@pytest.mark.parametrize(("effect", "count", "path"), EFFECTS)
async def test_a_secondary_limit_is_waited_for(
    scene: Scene, effect: Effect, count: Count, path: str
) -> None:
    scene.github.faults.answer(
        "POST",
        path,
        403,
        {"message": "You have exceeded a secondary rate limit."},
        headers={"Retry-After": "2"},
    )
    await effect(scene)
    assert count(scene) == 1


async def test_a_comment_of_ours_is_found_on_the_last_page(scene: Scene) -> None:
    for number in range(205):
        await scene.github.comment(NAME, scene.issue, "mallory", f"{number}\n{MARKER}")
    first = await say(scene)
    scene.calls.clear()
    second = await say(scene)
    assert (first.created, second.created, second.id) == (True, False, first.id)
    assert len(scene.calls) == 2
    everything = await conversation.comments(scene.client, scene.issue)
    assert (len(everything.comments), everything.left_out) == (206, 0)
    assert everything.comments[-1].id == first.id
    ids = [each.id for each in everything.comments]
    assert ids == sorted(ids)
    newest = await conversation.comments(scene.client, scene.issue, most=7)
    assert [each.id for each in newest.comments] == ids[-7:]
    assert newest.left_out == 199


async def test_the_status_comment_is_edited_and_counted_apart(scene: Scene) -> None:
    ref = await say(scene)
    assert await conversation.edit_comment(scene.client, ref.id, "Done.")
    assert scene.github.issue(NAME, scene.issue).comments[0].body == "Done."
    assert scene.calls[-1].kind == "status_edit"


async def test_exactly_one_state_label_remains(scene: Scene) -> None:
    await scene.github.add_label(NAME, scene.issue, "bug", "octo")
    client, number = scene.client, scene.issue
    for state in ("honk:queued", "honk:running", "honk:running", "honk:done"):
        await conversation.set_state_label(client, number, state, LABELS)
        assert sorted(scene.github.issue(NAME, number).label_names) == ["bug", state]
    painted = scene.github.repository(NAME).label("honk:done")
    assert painted is not None
    assert painted.color == LABELS["honk:done"].color
    assert painted.description == LABELS["honk:done"].description
    await conversation.set_state_label(client, number, None, LABELS)
    assert scene.github.issue(NAME, number).label_names == ["bug"]
    await conversation.remove_label(client, number, "bug")
    await conversation.remove_label(client, number, "bug")
    assert scene.github.issue(NAME, number).label_names == []


async def test_a_label_is_made_once_and_left_as_it_is(scene: Scene) -> None:
    await conversation.ensure_label(scene.client, "honk", "e7b416", "First")
    await conversation.ensure_label(scene.client, "honk", "000000", "Second")
    made = scene.github.repository(NAME).label("honk")
    assert made is not None
    assert (made.color, made.description) == ("e7b416", "First")


async def test_the_commit_is_signed_by_github(scene: Scene) -> None:
    base = await scene.head()
    tree = (await commits.get_commit(scene.client, base)).tree
    made = await commits.create_signed_commit(scene.client, tree, [base], "Fix it\n\nHonk-Run: r1")
    assert made.verified
    read = await commits.get_commit(scene.client, made.sha, just_created=True)
    assert (read.tree, read.parents, read.verified) == (tree, (base,), True)
    assert read.message == "Fix it\n\nHonk-Run: r1"
    assert scene.git("log", "-1", "--format=%an", made.sha) == "honk[bot]"


@pytest.mark.parametrize("ref", ["refs/heads/feat/x@2#ü", "refs/honk/r1"])
async def test_a_ref_moves_only_from_where_it_is_expected(scene: Scene, ref: str) -> None:
    base = await scene.head()
    one = await scene.commit(message="One")
    two = await scene.commit(one, message="Two")
    client = scene.client
    await commits.ensure_ref(client, ref, one, expected=None)
    await commits.ensure_ref(client, ref, two, expected=one)
    await commits.ensure_ref(client, ref, two, expected=one)
    assert scene.git("rev-parse", ref) == two
    with pytest.raises(RefMoved) as caught:
        await commits.ensure_ref(client, ref, one, expected=None)
    assert (caught.value.expected, caught.value.actual) == (None, two)
    with pytest.raises(RefMoved):
        await commits.ensure_ref(client, ref, base, expected=one, force=True)
    with pytest.raises(UserError, match=r"(?i)fast.forward"):
        await commits.ensure_ref(client, ref, base, expected=two)
    await commits.ensure_ref(client, ref, base, expected=two, force=True)
    assert scene.git("rev-parse", ref) == base
    await commits.delete_ref(client, ref)
    await commits.delete_ref(client, ref)
    assert await commits.read_ref(client, ref) is None
    with pytest.raises(RefMoved, match="is not there"):
        await commits.ensure_ref(client, ref, two, expected=base)


@pytest.mark.parametrize(("there", "wanted"), [("way", "way/7-x"), ("in/the/way", "in/the")])
async def test_a_branch_in_the_way_is_named(scene: Scene, there: str, wanted: str) -> None:
    one = await scene.commit(message="One")
    await commits.ensure_ref(scene.client, f"refs/heads/{there}", one, expected=None)
    with pytest.raises(commits.RefConflict, match=f"`{there}` is in the way of `{wanted}`"):
        await commits.ensure_ref(scene.client, f"refs/heads/{wanted}", one, expected=None)


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
async def test_a_move_whose_answer_is_lost_is_made_once(scene: Scene, after: bool) -> None:
    ref, one = "refs/heads/x", await scene.commit(message="One")
    await commits.ensure_ref(scene.client, ref, await scene.head(), expected=None)
    scene.github.faults.answer("PATCH", "/git/refs/", 502, after=after)
    await commits.ensure_ref(scene.client, ref, one, expected=await scene.head())
    assert scene.git("rev-parse", ref) == one


async def test_a_repository_rule_is_quoted(scene: Scene) -> None:
    scene.github.faults.refuse_push("refs/heads/*", "Only releases may make branches")
    with pytest.raises(UserError, match="Only releases may make branches"):
        await commits.ensure_ref(scene.client, "refs/heads/x", await scene.head(), expected=None)


async def test_a_check_run_is_completed_with_many_annotations(scene: Scene) -> None:
    run = await check(scene)
    await checks.update_check_run(scene.client, run.id, status="in_progress")
    await complete(scene, run.id)
    (seen,) = scene.github.repository(NAME).check_runs()
    assert (seen.status, seen.conclusion) == ("completed", "failure")
    assert [each["start_line"] for each in seen.annotations] == list(range(1, 121))
    assert [each["identifier"] for each in seen.actions] == ["retry"]
    assert seen.summary is not None
    assert len(seen.summary.encode()) <= 65_535


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_annotations_whose_answer_is_lost_are_there_once(
    scene: Scene, lost: int, after: bool
) -> None:
    run = await check(scene)
    faults = scene.github.faults
    for _ in range(lost - 1):
        faults.answer("PATCH", "/check-runs/", 0)
    faults.answer("PATCH", "/check-runs/", 502, after=after)
    await complete(scene, run.id)
    await complete(scene, run.id)
    assert faults.answers == []
    (seen,) = scene.github.repository(NAME).check_runs()
    assert [each["start_line"] for each in seen.annotations] == list(range(1, 121))
    assert (seen.status, seen.conclusion) == ("completed", "failure")


async def complete(scene: Scene, check_run: int) -> None:
    await checks.complete_check_run(
        scene.client,
        check_run,
        conclusion="failure",
        output=checks.Output(title="t" * 300, summary="ü" * 40_000, text="x" * 70_000),
        annotations=[
            checks.Annotation(
                path="a.txt", start_line=line, end_line=line, level="failure", message="No"
            )
            for line in range(1, 121)
        ],
        actions=[checks.Action(label="Retry", description="Again", identifier="retry")],
    )


async def test_a_pull_request_is_drafted_readied_and_changed(scene: Scene) -> None:
    made = await propose(scene)
    assert (made.draft, made.state, made.head_ref, made.base_ref) == (
        True,
        "open",
        "honk/1-x",
        "main",
    )
    assert made.head_sha == await scene.head("honk/1-x")
    await pulls.ready_for_review(scene.client, made.node_id)
    await pulls.ready_for_review(scene.client, made.node_id)
    assert (await pulls.pull_request(scene.client, made.number)).draft is False
    assert await pulls.convert_to_draft(scene.client, made.node_id)
    changed = await pulls.update_pull_request(scene.client, made.number, title="New", body="b")
    assert (changed.title, changed.draft) == ("New", True)


async def test_a_repository_without_drafts_gets_an_ordinary_one(scene: Scene) -> None:
    scene.github.repository(NAME).drafts_allowed = False
    made = await propose(scene)
    assert (made.title, made.draft, made.draft_refused) == ("Not ready: Fix it", False, True)
    again = await propose(scene)
    assert (again.url, again.created, again.draft_refused) == (made.url, False, True)


async def test_a_review_is_asked_of_those_who_can_give_it(scene: Scene) -> None:
    made = await propose(scene)
    assert await pulls.request_review(scene.client, made.number, "octo")
    assert await pulls.request_review(scene.client, made.number, "octo")
    assert not await pulls.request_review(scene.client, made.number, "mallory")


async def test_a_replica_that_lags_is_asked_once_more(scene: Scene) -> None:
    made = await propose(scene)
    scene.github.faults.answer("GET", f"/pulls/{made.number}$", 404, {"message": "Not Found"})
    found = await pulls.pull_request(scene.client, made.number, just_created=True)
    assert found.number == made.number


async def test_what_a_person_may_do_and_what_is_there(scene: Scene) -> None:
    client = scene.client
    assert await repositories.permission(client, "octo") is repositories.Permission.ADMIN
    assert await repositories.permission(client, "mallory") is repositories.Permission.READ
    assert await repositories.permission(client, "nobody-at-all") is repositories.Permission.NONE
    info = await repositories.repository(client)
    assert (info.default_branch, info.private, info.archived) == ("main", False, False)
    assert await repositories.read_file(client, "a.txt", "main", 100) == b"one\n"
    assert await repositories.read_file(client, "b.txt", "main", 100) is None
    issue = await conversation.issue(client, scene.issue)
    assert (issue.title, issue.body, issue.author.login) == ("It is broken", "Really.", "octo")


async def test_a_token_can_do_no_more_than_was_asked_for(scene: Scene) -> None:
    installation = next(iter(scene.github.world.installations.values())).id
    narrow = await scene.app.repository(
        installation, RepoName.parse(NAME), {"issues": "read", "metadata": "read"}
    )
    await conversation.issue(narrow, scene.issue)
    with pytest.raises(MissingPermissionError, match=r"Issues \(write\)"):
        await conversation.ensure_comment(narrow, scene.issue, MARKER, BODY)


async def test_a_repository_without_the_app_is_named(scene: Scene) -> None:
    installation = next(iter(scene.github.world.installations.values())).id
    other = await scene.app.repository(
        installation, RepoName.parse("octo/other"), {"metadata": "read"}
    )
    with pytest.raises(NotFoundError, match="octo/other does not exist"):
        await repositories.repository(other)


async def test_an_expired_token_is_replaced(scene: Scene) -> None:
    await repositories.repository(scene.client)
    scene.github.clock.advance(3601)
    await repositories.repository(scene.client)
    assert len([call for call in scene.calls if call.kind == "token"]) == 2


async def test_an_issue_that_went_elsewhere_says_where(scene: Scene) -> None:
    assert (await conversation.issue(scene.client, scene.issue)).repository == NAME
    await scene.github.open_issue(NAME, "octo", "Another", "")
    await scene.github.add_repository("octo/other", files={"x": b""})
    ids = 'query { a: repository(owner: "octo", name: "widget") { issue(number: 1) { id } }'
    ids += ' b: repository(owner: "octo", name: "other") { id } }'
    found = await scene.github.graphql("octo", ids, {})
    wanted = {"issueId": found["a"]["issue"]["id"], "repositoryId": found["b"]["id"]}
    move = "mutation($i: TransferIssueInput!) { transferIssue(input: $i) { clientMutationId } }"
    await scene.github.graphql("octo", move, {"i": wanted})
    assert (await conversation.issue(scene.client, 1)).repository == "octo/other"
    scene.github.repository("octo/other").private = True
    with pytest.raises(NotFoundError):
        await conversation.issue(scene.client, 1)
