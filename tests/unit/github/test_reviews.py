"""Review comments on lines of a pull request, and our replies."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import UserError
from app.github import conversation, pulls, reviews
from app.github.conversation import Subject
from app.github.refusals import NotFoundError
from tests.unit.github.conftest import Bench
from tests.unit.github.scene import NAME, Scene
from tests.unit.github.scripted import Reply

MARKER = "<!-- honk:run=r1 -->"
ANSWER = f"Done.\n\n{MARKER}"


async def on_line(scene: Scene, number: int, body: str, line: int = 1, path: str = "a.txt") -> int:
    head = (await pulls.pull_request(scene.client, number)).head_sha
    place = {"commit_id": head, "path": path, "line": line, "side": "RIGHT"}
    made = await scene.act("octo", "POST", f"/pulls/{number}/comments", place | {"body": body})
    return int(made["id"])


async def reply(scene: Scene, number: int, to: int, body: str) -> int:
    path = f"/pulls/{number}/comments/{to}/replies"
    return int((await scene.act("octo", "POST", path, {"body": body}))["id"])


@pytest.fixture
async def pull(scene: Scene) -> int:
    await scene.change("feat", "a.txt", "one\ntwo\n")
    return await scene.propose("feat")


async def test_a_thread_is_read_whole_from_any_of_its_comments(scene: Scene, pull: int) -> None:
    first = await on_line(scene, pull, "Why?", line=2)
    other = await on_line(scene, pull, "Unrelated")
    second = await reply(scene, pull, first, "Because")
    third = await reply(scene, pull, first, "/honk change it")
    for asked in (first, second, third):
        thread = await reviews.thread(scene.client, pull, asked)
        assert [one.id for one in thread] == [first, second, third]
    top = thread[0]
    assert (top.path, top.line, top.start_line, top.side) == ("a.txt", 2, None, "RIGHT")
    assert top.diff_hunk.endswith("+two")
    assert (top.author.login, top.in_reply_to, thread[2].in_reply_to) == ("octo", None, first)
    assert (thread[2].body, thread[2].body_html) == ("/honk change it", "<p>/honk change it</p>")
    assert [one.id for one in await reviews.thread(scene.client, pull, other)] == [other]


async def test_a_thread_outlives_its_first_comment(scene: Scene, pull: int) -> None:
    first = await on_line(scene, pull, "Why?")
    second = await reply(scene, pull, first, "Because")
    await scene.act("octo", "DELETE", f"/pulls/comments/{first}")
    assert [one.id for one in await reviews.thread(scene.client, pull, second)] == [second]
    assert await reviews.thread(scene.client, pull, first) == ()
    with pytest.raises(NotFoundError):
        await reviews.ensure_reply(scene.client, pull, first, MARKER, ANSWER)
    with pytest.raises(NotFoundError):
        await reviews.ensure_reply(scene.client, pull, second, MARKER, ANSWER)


async def test_a_changed_line_is_where_it_was(scene: Scene, pull: int) -> None:
    said = await on_line(scene, pull, "Why?", line=2)
    await scene.change("feat", "a.txt", "one\nthree\n")
    (comment,) = await reviews.thread(scene.client, pull, said)
    assert (comment.line, comment.original_line) == (None, 2)


async def test_a_review_has_its_own_comments(scene: Scene, pull: int) -> None:
    await on_line(scene, pull, "Before")
    lines = [{"path": "a.txt", "line": n, "side": "RIGHT", "body": f"On {n}"} for n in (1, 2)]
    wanted = {"event": "COMMENT", "body": "/honk do these", "comments": lines}
    made = await scene.act("octo", "POST", f"/pulls/{pull}/reviews", wanted)
    read = await reviews.review(scene.client, pull, made["id"])
    assert (read.body, read.state, read.author.login) == ("/honk do these", "COMMENTED", "octo")
    assert (read.node_id, read.body_html) == (made["node_id"], "<p>/honk do these</p>")
    found = await reviews.comments_of_review(scene.client, pull, made["id"])
    assert [(one.body, one.line) for one in found] == [("On 1", 1), ("On 2", 2)]
    assert await reviews.comments_of_review(scene.client, pull, 1) == ()


@pytest.mark.parametrize("fault", [None, "after", "before"])
async def test_an_answer_is_given_once(scene: Scene, pull: int, fault: str | None) -> None:
    first = await on_line(scene, pull, "Why?")
    second = await reply(scene, pull, first, f"A copy\n{MARKER}")
    if fault:
        scene.github.faults.answer("POST", "/replies$", 502, after=fault == "after")
    made = await reviews.ensure_reply(scene.client, pull, second, MARKER, ANSWER)
    again = await reviews.ensure_reply(scene.client, pull, first, MARKER, ANSWER)
    assert (made.created, again.created, again.id, again.url) == (True, False, made.id, made.url)
    thread = await reviews.thread(scene.client, pull, first)
    assert [one.author.login for one in thread] == ["octo", "octo", "honk[bot]"]
    assert await reviews.edit_review_comment(scene.client, made.id, "Better.")
    assert (await reviews.thread(scene.client, pull, first))[2].body == "Better."
    await scene.act("octo", "DELETE", f"/pulls/comments/{made.id}")
    assert not await reviews.edit_review_comment(scene.client, made.id, "Gone.")


async def test_an_answer_without_its_marker_is_never_sent(scene: Scene, pull: int) -> None:
    with pytest.raises(ValueError, match="marker"):
        await reviews.ensure_reply(scene.client, pull, 1, MARKER, "Done.")


async def test_everything_can_be_reacted_to(scene: Scene, pull: int) -> None:
    line = await on_line(scene, pull, "Why?")
    body = {"event": "COMMENT", "body": "/honk"}
    made = await scene.act("octo", "POST", f"/pulls/{pull}/reviews", body)
    review = Subject(kind="review", id=made["id"], node_id=made["node_id"])
    for _ in range(2):
        await conversation.react(scene.client, review, "eyes")
        await conversation.react(scene.client, Subject(kind="review_comment", id=line), "eyes")
    change = scene.github.issue(NAME, pull).pull
    assert change is not None
    assert [one.content for one in change.reviews[-1].reactions] == ["eyes"]
    assert [one.content for one in change.review_comments[0][1].reactions] == ["eyes"]
    gone = Subject(kind="review", id=1, node_id="PRR_nothing")
    with pytest.raises(NotFoundError):
        await conversation.react(scene.client, gone, "eyes")


async def test_a_comment_is_folded_away_once(scene: Scene) -> None:
    made = await scene.github.comment(NAME, scene.issue, "octo", "Old")
    (read,) = (await conversation.comments(scene.client, scene.issue)).comments
    for _ in range(2):
        assert await conversation.minimize(scene.client, read.node_id)
    assert made.minimised == "OUTDATED"
    await scene.github.delete_comment(NAME, made.id, "octo")
    assert not await conversation.minimize(scene.client, read.node_id)


async def test_folding_away_needs_a_permission(bench: Bench) -> None:
    words = {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}
    refusal = Reply(200, {"data": {"minimizeComment": None}, "errors": [words]})
    bench.github.reply("POST", "/api/graphql", refusal, Reply(200, limited()))
    with pytest.raises(UserError, match=r"Issues \(write\)"):
        await conversation.minimize(bench.client, "IC_1")
    with pytest.raises(Exception, match="limit is reached"):
        await conversation.minimize(bench.client, "IC_1")


def limited() -> dict[str, Any]:
    return {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
