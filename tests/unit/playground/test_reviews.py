"""Reviews and the threads on lines, against diffs of real git."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "".join(f"{number}\n" for number in range(1, 31)).encode()
CHANGED = LONG.replace(b"\n5\n", b"\nfive\n").replace(b"\n20\n", b"\ntwenty\n")


async def long_pull(world: World) -> str:
    """A pull request by the writer with two hunks in one file; gives its head."""
    await world.github.push_files(REPO, "main", {"long.txt": LONG}, "owner")
    sha = await world.github.push_files(REPO, "feat", {"long.txt": CHANGED}, "writer")
    await world.github.open_pull_request(REPO, "writer", "feat")
    return sha


async def refused(world: World, path: str, body: dict[str, Any], token: str = "") -> Any:
    answer = await world.repo("POST", path, body, token)
    assert answer.status_code == 422, answer.text
    return answer.json()


async def test_a_review_with_comments_on_lines(world: World) -> None:
    sha = await long_pull(world)
    comments = [
        {"path": "long.txt", "line": 5, "body": "Why?"},
        {"path": "long.txt", "line": 5, "side": "LEFT", "body": "This was good"},
        {"path": "long.txt", "line": 21, "start_line": 19, "body": "All of this"},
        {"path": "long.txt", "position": 2, "body": "By position"},
    ]
    body = {"event": "REQUEST_CHANGES", "body": "Not yet", "comments": comments}
    made = (await world.repo("POST", "/pulls/1/reviews", body)).json()
    assert (made["state"], made["commit_id"]) == ("CHANGES_REQUESTED", sha)
    path = f"/pulls/1/reviews/{made['id']}"
    first, left, several, placed = (await world.repo("GET", f"{path}/comments")).json()
    assert first["diff_hunk"] == "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five"
    assert (first["line"], first["side"], first["position"]) == (5, "RIGHT", 5)
    assert (left["side"], left["position"]) == ("LEFT", 4)
    assert left["diff_hunk"].endswith("\n-5")
    assert (several["start_line"], several["line"], several["start_side"]) == (19, 21, "RIGHT")
    assert (placed["line"], placed["side"]) == (3, "RIGHT")
    assert first["pull_request_review_id"] == made["id"]
    everywhere = (await world.repo("GET", "/pulls/comments")).json()
    assert [one["id"] for one in everywhere] == [
        one["id"] for one in (first, left, several, placed)
    ]
    assert (await world.repo("GET", "/pulls/1")).json()["review_comments"] == 4
    assert (await world.repo("GET", path)).json()["body"] == "Not yet"


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        (
            {"line": 12},
            "Pull request review thread line must be part of the diff and "
            "Pull request review thread diff hunk can't be blank",
        ),
        (
            {"line": 12, "start_line": 11},
            "Pull request review thread line must be part of the diff, Pull request review thread "
            "start line must be part of the same hunk as the line., and Pull request review thread "
            "diff hunk can't be blank",
        ),
        ({"line": 20, "start_line": 5}, "start line must be part of the same hunk as the line."),
        ({"line": 5, "start_line": 5}, "start line must precede the end line."),
        ({"line": 8, "path": "a.py"}, "path could not be resolved"),
        ({"position": 99}, "position is invalid"),
    ],
)
async def test_lines_outside_the_diff(world: World, comment: dict[str, Any], words: str) -> None:
    sha = await long_pull(world)
    comment = {"path": "long.txt", "body": "x"} | comment
    body = {"event": "COMMENT", "body": "x", "comments": [comment]}
    assert words in (await refused(world, "/pulls/1/reviews", body))["errors"][0]
    alone = await refused(world, "/pulls/1/comments", comment | {"commit_id": sha})
    assert alone["message"] == "Validation Failed"
    assert alone["errors"][0]["field"].startswith("pull_request_review_thread.")
    assert (await world.repo("GET", "/pulls/1/reviews")).json() == []


async def test_other_commits_cannot_be_commented_on(world: World) -> None:
    await long_pull(world)
    other = await world.branch("other")
    body = {"path": "long.txt", "line": 5, "body": "x", "commit_id": other}
    problem = (await refused(world, "/pulls/1/comments", body))["errors"][0]
    assert problem["message"] == "commit_id is not part of the pull request"


async def test_a_thread(world: World) -> None:
    github = world.github
    await long_pull(world)
    first = await github.review_comment(REPO, 1, "reader", "long.txt", 5, "Why five?")
    second = await github.reply(REPO, 1, first.id, "writer", "Because")
    third = await github.reply(REPO, 1, second.id, "reader", "I see")
    assert third.in_reply_to == first.id
    only = await world.token(permissions={"pull_requests": "write"})
    body = {"body": "Done", "in_reply_to": first.id}
    mine = await world.repo("POST", "/pulls/1/comments", body, only)
    assert mine.json()["in_reply_to_id"] == first.id
    assert mine.json()["diff_hunk"] == first.diff_hunk
    answered = await world.repo("POST", f"/pulls/1/comments/{second.id}/replies", {"body": "x"})
    assert answered.status_code == 404
    path = f"/pulls/comments/{mine.json()['id']}"
    await world.repo("PATCH", path, {"body": "Done."})
    react = await world.repo("POST", f"/pulls/comments/{first.id}/reactions", {"content": "eyes"})
    assert react.status_code == 201
    assert (await world.repo("GET", f"/pulls/comments/{first.id}")).json()["reactions"]["eyes"] == 1
    gone = f"/pulls/comments/{first.id}/reactions/{react.json()['id']}"
    assert (await world.repo("DELETE", gone)).status_code == 204
    with pytest.raises(RefusedError) as problem:
        await github.act("reader", "PATCH", f"/repos/{REPO}{path}", {"body": "x"})
    assert problem.value.status == 403
    assert (await world.repo("DELETE", path)).status_code == 204
    texts = [one["body"] for one in (await world.repo("GET", "/pulls/1/comments")).json()]
    assert texts == ["Why five?", "Because", "I see"]


async def test_threads_follow_pushes(world: World) -> None:
    github = world.github
    await long_pull(world)
    kept = await github.review_comment(REPO, 1, "reader", "long.txt", 20, "Stays")
    changed = await github.review_comment(REPO, 1, "reader", "long.txt", 5, "Goes")
    left = await github.review_comment(REPO, 1, "reader", "long.txt", 20, "Old", side="LEFT")
    newer = b"0\n" + CHANGED.replace(b"five", b"FIVE")
    sha = await github.push_files(REPO, "feat", {"long.txt": newer}, "writer")
    shapes = {one["id"]: one for one in (await world.repo("GET", "/pulls/1/comments")).json()}
    assert (shapes[kept.id]["line"], shapes[kept.id]["original_line"]) == (21, 20)
    assert shapes[kept.id]["commit_id"] == sha
    assert (shapes[changed.id]["line"], shapes[changed.id]["position"]) == (None, None)
    assert shapes[changed.id]["commit_id"] == shapes[changed.id]["original_commit_id"]
    assert shapes[left.id]["line"] == 20
    assert github.thread_of(REPO, changed.id)[0].outdated


async def test_a_pending_review_is_its_authors(world: World) -> None:
    await long_pull(world)
    drafts = [{"path": "long.txt", "line": 5, "body": "Draft"}]
    made = (await world.repo("POST", "/pulls/1/reviews", {"comments": drafts})).json()
    assert made["state"] == "PENDING"
    path = f"/pulls/1/reviews/{made['id']}"
    assert len((await world.repo("GET", f"{path}/comments")).json()) == 1
    assert await world.github.act("owner", "GET", f"/repos/{REPO}/pulls/1/reviews") == []
    assert (await world.repo("GET", "/pulls/1/comments")).json() == []
    again = await refused(world, "/pulls/1/reviews", {"body": "x"})
    assert again["errors"] == ["User can only have one pending review per pull request"]
    await world.repo("PUT", path, {"body": "Better words"})
    sent = (await world.repo("POST", f"{path}/events", {"event": "COMMENT"})).json()
    assert (sent["state"], sent["body"]) == ("COMMENTED", "Better words")
    assert [one["body"] for one in (await world.repo("GET", "/pulls/1/comments")).json()] == [
        "Draft"
    ]
    assert (await world.repo("POST", f"{path}/events", {"event": "COMMENT"})).status_code == 422
    assert (await world.repo("DELETE", path)).status_code == 422
    draft = (await world.repo("POST", "/pulls/1/reviews", {})).json()
    gone = await world.repo("DELETE", f"/pulls/1/reviews/{draft['id']}")
    assert gone.status_code == 200
    assert len((await world.repo("GET", "/pulls/1/reviews")).json()) == 1


async def test_reviews_are_dismissed_by_those_who_may_write(world: World) -> None:
    github = world.github
    await long_pull(world)
    review = await github.review(REPO, 1, "maintainer", "Good", "APPROVE")
    with pytest.raises(RefusedError) as problem:
        await github.dismiss_review(REPO, 1, review.id, "reader")
    assert problem.value.status == 403
    await github.dismiss_review(REPO, 1, review.id, "owner", "Look again")
    assert review.state == "DISMISSED"
    with pytest.raises(RefusedError, match="Can not dismiss a dismissed"):
        await github.dismiss_review(REPO, 1, review.id, "owner")
    with pytest.raises(RefusedError, match="Can not approve your own pull request"):
        await github.review(REPO, 1, "writer", event="APPROVE")
    with pytest.raises(RefusedError, match="Body can not be blank"):
        await github.review(REPO, 1, "reader")
