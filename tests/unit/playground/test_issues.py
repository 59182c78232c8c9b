"""Issues, labels, comments and reactions, as the App and as people."""

from __future__ import annotations

import pytest

from app.playground.github import RefusedError

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_app_comments_labels_and_reacts(world: World) -> None:
    github = world.github
    issue = await github.open_issue(REPO, "stranger", "It “breaks”\nhere", "Böse ' \" text")
    assert (await world.repo("GET", "/issues/1")).json()["title"] == issue.title
    made = await world.repo("POST", "/issues/1/comments", {"body": "On it"})
    assert made.status_code == 201
    assert made.json()["performed_via_github_app"]["slug"] == "honk"
    assert made.json()["user"]["login"] == "honk[bot]"
    number = made.json()["id"]
    assert (
        await world.repo("PATCH", f"/issues/comments/{number}", {"body": "Done"})
    ).status_code == 200
    labels = await world.repo("POST", "/issues/1/labels", {"labels": ["honk:running", "bug"]})
    assert [label["name"] for label in labels.json()] == ["honk:running", "bug"]
    assert github.issue(REPO, 1).label_names == ["honk:running", "bug"]
    gone = await world.repo("DELETE", "/issues/1/labels/honk%3Arunning")
    assert [label["name"] for label in gone.json()] == ["bug"]
    again = await world.repo("DELETE", "/issues/1/labels/honk%3Arunning")
    assert again.status_code == 404
    assert github.issue(REPO, 1).comments[0].body == "Done"


async def test_a_reaction_is_given_once(world: World) -> None:
    await world.github.open_issue(REPO, "reader", "x")
    comment = await world.github.comment(REPO, 1, "reader", "/honk")
    for path in ("/issues/1/reactions", f"/issues/comments/{comment.id}/reactions"):
        first = await world.repo("POST", path, {"content": "eyes"})
        second = await world.repo("POST", path, {"content": "eyes"})
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
        assert len((await world.repo("GET", path)).json()) == 1
        assert (await world.repo("POST", path, {"content": "wink"})).status_code == 422
        gone = await world.repo("DELETE", f"{path}/{first.json()['id']}")
        assert gone.status_code == 204
    assert world.github.issue(REPO, 1).reactions == []


async def test_lists_come_in_pages(world: World) -> None:
    await world.github.open_issue(REPO, "reader", "x")
    for number in range(5):
        await world.github.comment(REPO, 1, "reader", f"Comment {number}")
    path, seen = "/issues/1/comments?per_page=2", []
    token = await world.token()
    answer = await world.repo("GET", path, token=token)
    while True:
        seen += [comment["body"] for comment in answer.json()]
        if "next" not in answer.links:
            break
        url = answer.links["next"]["url"].removeprefix(f"{world.github.api_url}/repos/{REPO}")
        answer = await world.repo("GET", url, token=token)
    assert seen == [f"Comment {number}" for number in range(5)]
    assert set(answer.links) == {"prev", "first"}
    late = await world.repo("GET", "/issues/1/comments?since=2999-01-01T00:00:00Z")
    assert late.json() == []
    assert len((await world.repo("GET", "/issues/comments")).json()) == 5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/issues", {"body": "no title"}),
        ("/issues", {"title": "x", "body": "y" * 65_537}),
        ("/issues/1/comments", {}),
        ("/issues/1/comments", {"body": 5}),
        ("/issues/1/comments", {"body": "  "}),
        ("/issues/1/comments", {"body": "x" * 65_537}),
        ("/issues/1/labels", {"labels": ["x" * 51]}),
        ("/labels", {"name": "x", "color": "red"}),
        ("/labels", {"name": "BUG"}),
    ],
)
async def test_what_cannot_be_stored_is_refused(
    world: World, path: str, body: dict[str, object]
) -> None:
    await world.github.open_issue(REPO, "owner", "x", labels=["bug"])
    answer = await world.repo("POST", path, body)
    assert (answer.status_code, answer.json()["status"]) == (422, "422")


async def test_the_longest_comment_fits(world: World) -> None:
    await world.github.open_issue(REPO, "reader", "x")
    answer = await world.repo("POST", "/issues/1/comments", {"body": "x" * 65_536})
    assert answer.status_code == 201


async def test_what_is_no_json_is_refused(world: World) -> None:
    url = f"{world.github.api_url}/repos/{REPO}/issues"
    headers = {"Authorization": f"Bearer {await world.token()}"}
    answer = await world.client.post(url, content=b"{", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")
    answer = await world.client.post(url, content=b"[1]", headers=headers)
    assert answer.status_code == 400


async def test_people_do_what_they_may(world: World) -> None:
    github = world.github
    issue = await github.open_issue(REPO, "reader", "x", labels=["bug"])
    assert issue.labels == []
    with pytest.raises(RefusedError) as refused:
        await github.add_label(REPO, 1, "honk", "reader")
    assert refused.value.status == 403
    await github.add_label(REPO, 1, "honk", "triager")
    await github.remove_label(REPO, 1, "HONK", "triager")
    comment = await github.comment(REPO, 1, "writer", "x")
    with pytest.raises(RefusedError):
        await github.edit_comment(REPO, comment.id, "reader", "y")
    await github.edit_comment(REPO, comment.id, "owner", "y")
    await github.delete_comment(REPO, comment.id, "writer")
    assert github.issue(REPO, 1).comments == []
    await github.close_issue(REPO, 1, "reader")
    assert github.issue(REPO, 1).state == "closed"
    assert github.requests == []


async def test_closed_doors(world: World) -> None:
    repository = world.github.repository(REPO)
    await world.github.open_issue(REPO, "owner", "x")
    assert (await world.repo("GET", "/issues/2")).status_code == 404
    repository.has_issues = False
    assert (await world.repo("GET", "/issues/1")).status_code == 410
    assert (await world.repo("POST", "/issues", {"title": "x"})).status_code == 410
    repository.has_issues, repository.archived = True, True
    assert (await world.repo("GET", "/issues/1")).status_code == 200
    refused = await world.repo("POST", "/issues/1/comments", {"body": "x"})
    assert refused.status_code == 403
    assert "archived" in refused.json()["message"]


async def test_issues_are_edited_found_and_remembered(world: World) -> None:
    github = world.github
    await github.open_issue(REPO, "owner", "One", labels=["bug"])
    await github.open_issue(REPO, "owner", "Two")
    body = {"title": "Uno", "labels": ["new"], "assignees": ["writer"], "state": "closed"}
    edited = (await world.repo("PATCH", "/issues/1", body)).json()
    assert (edited["title"], edited["state"], edited["state_reason"]) == (
        "Uno",
        "closed",
        "completed",
    )
    assert [user["login"] for user in edited["assignees"]] == ["writer"]
    assert [one["number"] for one in (await world.repo("GET", "/issues")).json()] == [2]
    found = await world.repo("GET", "/issues?state=all&labels=new")
    assert [one["number"] for one in found.json()] == [1]
    events = [event["event"] for event in (await world.repo("GET", "/issues/1/events")).json()]
    assert events == ["labeled", "renamed", "unlabeled", "labeled", "assigned", "closed"]
    await github.comment(REPO, 1, "owner", "x")
    timeline = (await world.repo("GET", "/issues/1/timeline")).json()
    assert {event["event"] for event in timeline} >= {"labeled", "commented", "closed"}
    stranger = await world.repo("PATCH", "/issues/2", {"assignees": ["stranger"]})
    assert stranger.status_code == 422
    added = await world.repo("POST", "/issues/2/assignees", {"assignees": ["stranger", "reader"]})
    assert [user["login"] for user in added.json()["assignees"]] == ["reader"]
    await world.repo("DELETE", "/issues/2/assignees", {"assignees": ["reader"]})
    assert github.issue(REPO, 2).assignees == []
    html = await world.repo("GET", "/issues/2", Accept="application/vnd.github.full+json")
    assert html.json()["body_html"] == ""


async def test_labels_of_the_repository(world: World) -> None:
    made = await world.repo("POST", "/labels", {"name": "honk:done", "color": "0E8A16"})
    assert (made.status_code, made.json()["color"]) == (201, "0e8a16")
    assert (await world.repo("GET", "/labels/HONK%3Adone")).status_code == 200
    changed = await world.repo("PATCH", "/labels/honk%3Adone", {"new_name": "done/ü"})
    assert changed.json()["name"] == "done/ü"
    assert len((await world.repo("GET", "/labels")).json()) == 1
    assert (await world.repo("DELETE", "/labels/done%2F%C3%BC")).status_code == 204
    assert (await world.repo("GET", "/labels/done%2F%C3%BC")).status_code == 404
    await world.github.open_issue(REPO, "owner", "x", labels=["a", "b"])
    assert len((await world.repo("PUT", "/issues/1/labels", {"labels": ["b", "c"]})).json()) == 2
    assert (await world.repo("DELETE", "/issues/1/labels")).status_code == 204
    assert (await world.repo("GET", "/issues/1/labels")).json() == []
