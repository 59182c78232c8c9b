"""Conversations that are edited, locked, transferred, deleted or minimized, and their events."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError

from .conftest import REPO, World
from .test_webhooks import Receiver
from .test_webhooks import receiver as receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")

HISTORY = """
query($id: ID!) {
  node(id: $id) {
    __typename
    ... on Comment { body lastEditedAt includesCreatedEdit editor { login }
      userContentEdits(first: 10) { totalCount nodes { diff editor { login } editedAt } } }
    ... on Minimizable { isMinimized minimizedReason }
  }
}
"""


async def ask(world: World, query: str, token: str = "", **variables: Any) -> dict[str, Any]:
    """One GraphQL document, with an installation's whole rights by default."""
    headers = {"Authorization": f"Bearer {token or await world.token()}"}
    body = {"query": query, "variables": variables}
    url = f"{world.github.url}/api/graphql"
    whole: dict[str, Any] = (await world.client.post(url, json=body, headers=headers)).json()
    return whole


async def test_every_version_of_a_text_is_kept(world: World, receiver: Receiver) -> None:
    github = world.github
    issue = await github.open_issue(REPO, "reader", "It breaks", "first")
    comment = await github.comment(REPO, 1, "reader", "one")
    shape = (await world.repo("GET", f"/issues/comments/{comment.id}")).json()
    before = (await ask(world, HISTORY, id=shape["node_id"]))["data"]["node"]
    assert (before["lastEditedAt"], before["userContentEdits"]["totalCount"]) == (None, 0)
    await github.edit_comment(REPO, comment.id, "reader", "two")
    await github.edit_comment(REPO, comment.id, "maintainer", "three")
    after = (await ask(world, HISTORY, id=shape["node_id"]))["data"]["node"]
    edits = [(one["diff"], one["editor"]["login"]) for one in after["userContentEdits"]["nodes"]]
    assert edits == [("three", "maintainer"), ("two", "reader"), ("one", "reader")]
    assert after["includesCreatedEdit"]
    assert after["editor"]["login"] == "maintainer"
    await github.edit(REPO, 1, "reader", body="second", title="It broke")
    node = (await world.repo("GET", "/issues/1")).json()["node_id"]
    body = (await ask(world, HISTORY, id=node))["data"]["node"]
    assert [one["diff"] for one in body["userContentEdits"]["nodes"]] == ["second", "first"]
    assert issue.edits[0].editor.login == "reader"
    await github.drained()
    assert receiver.payload(-1)["changes"] == {
        "title": {"from": "It breaks"},
        "body": {"from": "first"},
    }


async def test_a_locked_conversation(world: World, receiver: Receiver) -> None:
    github = world.github
    await github.open_issue(REPO, "stranger", "Hot")
    with pytest.raises(RefusedError):
        await github.lock(REPO, 1, "reader")
    await github.lock(REPO, 1, "maintainer", "too heated")
    shape = (await world.repo("GET", "/issues/1")).json()
    assert (shape["locked"], shape["active_lock_reason"]) == (True, "too heated")
    for login in ("stranger", "triager"):
        with pytest.raises(RefusedError, match="because issue is locked") as problem:
            await github.comment(REPO, 1, login, "But")
        assert problem.value.status == 403
    await github.comment(REPO, 1, "writer", "Enough")
    mine = await world.repo("POST", "/issues/1/comments", {"body": "x"})
    assert mine.status_code == 201
    await github.unlock(REPO, 1, "maintainer")
    await github.comment(REPO, 1, "stranger", "Thanks")
    await github.drained()
    assert ("issues", "locked") in receiver.events()
    assert ("issues", "unlocked") in receiver.events()
    wrong = await world.repo("PUT", "/issues/1/lock", {"lock_reason": "boring"})
    assert wrong.status_code == 422


async def test_a_transferred_issue(world: World, receiver: Receiver) -> None:
    github = world.github
    await github.add_repository("octo/other", files={"x": b""}, permissions={"writer": "write"})
    await github.open_issue("octo/other", "octo", "There already")
    await github.open_issue(REPO, "reader", "Wrong place", "x", labels=[])
    await github.add_label(REPO, 1, "bug", "writer")
    await github.comment(REPO, 1, "reader", "hello")
    with pytest.raises(RefusedError):
        await github.transfer(REPO, 1, "octo/other", "reader")
    moved = await github.transfer(REPO, 1, "octo/other", "writer")
    assert (moved.number, moved.title, len(moved.comments)) == (2, "Wrong place", 1)
    assert moved.labels == []
    away = await world.repo("GET", "/issues/1")
    assert away.status_code == 301
    place = away.headers["Location"]
    assert place == away.json()["url"]
    there = await world.ask("GET", place.removeprefix(github.api_url), token=await world.token())
    assert there.json()["title"] == "Wrong place"
    comments = (await world.repo("GET", "/issues/1/comments")).headers["Location"]
    assert comments == f"{place}/comments"
    assert (await github.open_issue(REPO, "reader", "Next")).number == 2
    narrow = await world.token(repositories=["sample"])
    github.repository("octo/other").private = True
    assert (await world.repo("GET", "/issues/1", token=narrow)).status_code == 404
    await github.drained()
    events = receiver.events()
    assert events.index(("issues", "transferred")) >= 0
    payloads = [receiver.payload(at) for at in range(len(events))]
    told = next(one for one in payloads if one["action"] == "transferred")
    assert told["changes"]["new_issue"]["number"] == 2
    assert told["repository"]["full_name"] == REPO


async def test_a_private_issue_stays_private(world: World) -> None:
    github = world.github
    await github.add_repository("octo/open", files={"x": b""})
    github.repository(REPO).private = True
    await github.open_issue(REPO, "octo", "Secret")
    with pytest.raises(RefusedError, match="Private"):
        await github.transfer(REPO, 1, "octo/open", "octo")


async def test_a_deleted_issue(world: World, receiver: Receiver) -> None:
    github = world.github
    await github.open_issue(REPO, "reader", "Spam")
    with pytest.raises(RefusedError):
        await github.delete_issue(REPO, 1, "maintainer")
    await github.delete_issue(REPO, 1, "owner")
    for method, path, body in (
        ("GET", "/issues/1", None),
        ("POST", "/issues/1/comments", {"body": "x"}),
        ("POST", "/issues/1/labels", {"labels": ["x"]}),
    ):
        gone = await world.repo(method, path, body)
        assert (gone.status_code, gone.json()["message"]) == (410, "This issue was deleted")
    assert (await github.open_issue(REPO, "reader", "Next")).number == 2
    await github.drained()
    assert ("issues", "deleted") in receiver.events()


async def test_an_issue_becomes_a_discussion(world: World, receiver: Receiver) -> None:
    github = world.github
    issue = await github.open_issue(REPO, "reader", "What do you think?")
    with pytest.raises(RefusedError):
        await github.convert_to_discussion(REPO, 1, "reader")
    await github.convert_to_discussion(REPO, 1, "triager")
    assert (issue.state, issue.locked) == ("closed", True)
    events = (await world.repo("GET", "/issues/1/events")).json()
    assert events[-1]["event"] == "converted_to_discussion"
    await github.drained()
    assert receiver.events()[1:] == [("issues", "closed"), ("issues", "locked")]


async def test_comments_are_hidden(world: World) -> None:
    github = world.github
    await github.open_issue(REPO, "reader", "x")
    comment = await github.comment(REPO, 1, "reader", "old words")
    node = (await world.repo("GET", f"/issues/comments/{comment.id}")).json()["node_id"]
    hide = """
    mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) {
      minimizedComment { isMinimized minimizedReason ... on IssueComment { id } } } }
    """
    done = await ask(world, hide, id=node)
    told = {"isMinimized": True, "minimizedReason": "outdated", "id": node}
    assert done["data"]["minimizeComment"]["minimizedComment"] == told
    with pytest.raises(RefusedError):
        await github.minimise(comment, "stranger", None)
    await github.minimise(comment, "reader", None)
    assert comment.minimised is None
    narrow = await world.token(permissions={"contents": "read"})
    refused = await ask(world, hide, narrow, id=node)
    assert refused["errors"][0]["type"] == "FORBIDDEN"
    nothing = await ask(world, hide, id="IC_none")
    assert nothing["errors"][0]["type"] == "NOT_FOUND"


async def test_threads_are_resolved(world: World) -> None:
    github = world.github
    await github.push_files(REPO, "feat", {"a.py": b"1\n"}, "writer")
    issue = await github.open_pull_request(REPO, "writer", "feat")
    comment = await github.review_comment(REPO, 1, "reader", "a.py", 1, "Why?")
    with pytest.raises(RefusedError):
        await github.resolve_thread(REPO, comment.id, "reader")
    query = """
    query { repository(owner: "octo", name: "sample") { pullRequest(number: 1) {
      reviewThreads(first: 5) { totalCount nodes { id isResolved isOutdated path line
        resolvedBy { login } comments(first: 5) { nodes { body path } } } }
      reviews(last: 1) { nodes { state author { login } } } mergeStateStatus } } }
    """
    pull = (await ask(world, query))["data"]["repository"]["pullRequest"]
    thread = pull["reviewThreads"]["nodes"][0]
    assert (thread["isResolved"], thread["line"], thread["path"]) == (False, 1, "a.py")
    assert thread["comments"]["nodes"][0]["body"] == "Why?"
    assert pull["mergeStateStatus"] == "CLEAN"
    await github.resolve_thread(REPO, comment.id, "writer")
    pull = (await ask(world, query))["data"]["repository"]["pullRequest"]
    assert pull["reviewThreads"]["nodes"][0]["resolvedBy"]["login"] == "writer"
    mine = """
    mutation($id: ID!) { unresolveReviewThread(input: {threadId: $id}) {
      thread { isResolved } } }
    """
    assert (await ask(world, mine, id=thread["id"]))["data"]["unresolveReviewThread"] == {
        "thread": {"isResolved": False}
    }
    assert issue.pull
    assert issue.pull.threads[0].resolved_by is None


async def test_a_renamed_repository_leads_on(world: World) -> None:
    github = world.github
    await github.open_issue(REPO, "reader", "x")
    token = world.whole_token = await world.token()
    await world.clone(token)
    assert await github.rename(REPO, "renamed", "octo") == "octo/renamed"
    installed = await world.ask("GET", f"/repos/{REPO}/installation")
    assert installed.status_code == 301
    place = installed.headers["Location"].removeprefix(github.api_url)
    assert (await world.ask("GET", place)).json()["account"]["login"] == "octo"
    away = await world.repo("GET", "/issues/1")
    assert away.status_code == 301
    place = away.headers["Location"].removeprefix(github.api_url)
    assert (await world.ask("GET", place, token=token)).json()["title"] == "x"
    written = await world.repo("POST", "/issues/1/comments", {"body": "x"})
    assert written.status_code == 307
    sha = await world.commit("a.py", "x\n")
    await world.git("push", "-q", "origin", "main", folder="work")
    assert await github.branch("octo/renamed", "main") == sha
    await github.archive("octo/renamed", "octo")
    refused = await world.ask("POST", "/repos/octo/renamed/issues/1/comments", {"body": "x"}, token)
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "Repository was archived so is read-only.",
    )
