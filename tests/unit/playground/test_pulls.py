"""Pull requests whose heads, diffs and mergeability come from real git."""

from __future__ import annotations

import pytest

from app.playground.github import RefusedError
from app.playground.github.heads import closing_numbers

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_pull_request_from_opening_to_merge(world: World) -> None:
    github = world.github
    await github.open_issue(REPO, "owner", "It breaks")
    await github.open_issue(REPO, "owner", "Another")
    sha = await world.branch("feat")
    made = await world.pull(body="Closes #1, see #2", draft=True)
    assert (made["number"], made["draft"], made["head"]["sha"]) == (3, True, sha)
    assert (made["commits"], made["additions"], made["changed_files"]) == (1, 1, 1)
    assert made["mergeable_state"] == "draft"
    with pytest.raises(RefusedError) as refused:
        await github.merge(REPO, 3, "writer")
    assert refused.value.status == 405
    fields = "{ pullRequest { isDraft } }"
    mutation = f"markPullRequestReadyForReview(input: {{pullRequestId: $id}}) {fields}"
    query = {"query": f"mutation($id: ID!) {{ {mutation} }}", "variables": {"id": made["node_id"]}}
    url = f"{github.url}/api/graphql"
    headers = {"Authorization": f"Bearer {await world.token()}"}
    ready = await world.client.post(url, json=query, headers=headers)
    assert ready.json()["data"]["markPullRequestReadyForReview"]["pullRequest"]["isDraft"] is False
    files = (await world.repo("GET", "/pulls/3/files")).json()
    assert [(one["filename"], one["status"]) for one in files] == [("a.py", "modified")]
    assert files[0]["patch"] == "@@ -1 +1 @@\n-one\n+new"
    commits = (await world.repo("GET", "/pulls/3/commits")).json()
    assert [one["sha"] for one in commits] == [sha]
    with pytest.raises(RefusedError) as refused:
        await github.merge(REPO, 3, "writer", sha="0" * 40)
    assert refused.value.status == 409
    with pytest.raises(RefusedError) as refused:
        await github.merge(REPO, 3, "reader")
    assert refused.value.status == 403
    merged = await github.merge(REPO, 3, "writer", sha=sha)
    assert await github.branch(REPO, "main") == merged
    assert await github.file(REPO, "main", "a.py") == b"new\n"
    assert [github.issue(REPO, number).state for number in (1, 2, 3)] == [
        "closed",
        "open",
        "closed",
    ]
    assert (await world.repo("GET", "/pulls/3")).json()["merged"] is True
    assert (await world.repo("GET", "/pulls/3/merge")).status_code == 204


@pytest.mark.parametrize("method", ["squash", "rebase"])
async def test_other_ways_to_merge(world: World, method: str) -> None:
    await world.branch("feat", "src/b.py")
    await world.branch("else", "c.py")
    await world.pull()
    await world.pull("else")
    await world.github.merge(REPO, 2, "writer")
    before = await world.github.branch(REPO, "main")
    merged = await world.github.merge(REPO, 1, "writer", method=method)
    commit = (await world.repo("GET", f"/commits/{merged}")).json()
    assert [parent["sha"] for parent in commit["parents"]] == [before]
    assert await world.github.file(REPO, "main", "src/b.py") == b"new\n"
    assert await world.github.file(REPO, "main", "c.py") == b"new\n"
    assert commit["commit"]["verification"]["verified"] is (method == "squash")


async def test_conflicts_cannot_be_merged(world: World) -> None:
    await world.branch("one", content="1\n")
    await world.branch("two", content="2\n")
    await world.pull("one")
    await world.pull("two")
    assert (await world.repo("GET", "/pulls/2")).json()["mergeable"] is True
    await world.github.merge(REPO, 1, "owner")
    pull = (await world.repo("GET", "/pulls/2")).json()
    assert (pull["mergeable"], pull["mergeable_state"]) == (False, "dirty")
    with pytest.raises(RefusedError) as refused:
        await world.github.merge(REPO, 2, "owner")
    assert refused.value.status == 405


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"head": "none", "base": "main"}, "head"),
        ({"head": "feat", "base": "none"}, "base"),
        ({"head": "other:feat", "base": "main"}, "head"),
        ({"head": "same", "base": "main"}, "No commits between main and same"),
        ({"head": "feat", "base": "main", "title": ""}, "title"),
        ({"head": "feat", "base": "main", "draft": True}, "Draft pull requests are not supported"),
        ({"head": "taken", "base": "main"}, "A pull request already exists for octo:taken."),
    ],
)
async def test_pull_requests_that_cannot_be(
    world: World, body: dict[str, object], words: str
) -> None:
    await world.branch("feat")
    await world.branch("taken")
    await world.pull("taken")
    main = await world.github.branch(REPO, "main")
    await world.repo("POST", "/git/refs", {"ref": "refs/heads/same", "sha": main})
    world.github.repository(REPO).drafts_allowed = False
    answer = await world.repo("POST", "/pulls", {"title": "x"} | body)
    assert answer.status_code == 422
    assert words in answer.text


async def test_pull_requests_are_found_and_edited(world: World) -> None:
    await world.branch("feat")
    await world.branch("other")
    await world.pull("feat")
    await world.pull("octo:other")
    for query, numbers in (
        ("", [2, 1]),
        ("?head=octo:feat", [1]),
        ("?head=octo:none", []),
        ("?base=main&direction=asc", [1, 2]),
        ("?state=closed", []),
    ):
        found = (await world.repo("GET", f"/pulls{query}")).json()
        assert [one["number"] for one in found] == numbers
    edited = await world.repo("PATCH", "/pulls/1", {"title": "New", "body": "b", "state": "closed"})
    assert (edited.json()["title"], edited.json()["state"]) == ("New", "closed")
    assert (await world.repo("PATCH", "/pulls/1", {"state": "open"})).json()["state"] == "open"
    sha = await world.github.branch(REPO, "feat")
    found = (await world.repo("GET", f"/commits/{sha}/pulls")).json()
    assert [one["number"] for one in found] == [1]
    assert (await world.repo("GET", "/issues/1")).json()["pull_request"]["merged_at"] is None
    only = await world.token(permissions={"pull_requests": "write"})
    comment = await world.repo("POST", "/issues/1/comments", {"body": "x"}, only)
    assert comment.status_code == 201
    await world.github.open_issue(REPO, "owner", "x")
    assert (await world.repo("POST", "/issues/3/comments", {"body": "x"}, only)).status_code == 403


async def test_reviewers(world: World) -> None:
    await world.branch("feat")
    await world.pull()
    path = "/pulls/1/requested_reviewers"
    assert (await world.repo("POST", path, {"reviewers": ["reader"]})).status_code == 201
    assert (await world.repo("GET", path)).json()["users"][0]["login"] == "reader"
    for name in ("stranger", "nobody", "honk[bot]"):
        refused = await world.repo("POST", path, {"reviewers": [name]})
        assert refused.status_code == 422
    await world.github.review(REPO, 1, "reader", "Fine", "APPROVE")
    reviews = (await world.repo("GET", "/pulls/1/reviews")).json()
    assert [(one["state"], one["body"]) for one in reviews] == [("APPROVED", "Fine")]
    assert (await world.repo("GET", path)).json()["users"] == []
    own = await world.repo("POST", "/pulls/1/reviews", {"event": "APPROVE"})
    assert own.status_code == 422
    await world.repo("POST", path, {"reviewers": ["writer"]})
    gone = await world.repo("DELETE", path, {"reviewers": ["writer"]})
    assert gone.json()["requested_reviewers"] == []


async def test_a_push_moves_the_pull_request(world: World) -> None:
    await world.branch("feat")
    await world.pull()
    await world.clone(await world.token())
    await world.git("checkout", "-q", "feat", folder="work")
    sha = await world.commit("c.py", "x\n", "feat")
    await world.git("push", "-q", "origin", "feat", folder="work")
    pull = (await world.repo("GET", "/pulls/1")).json()
    assert (pull["head"]["sha"], pull["commits"], pull["changed_files"]) == (sha, 2, 2)
    assert (await world.github.refs(REPO, "refs/pull"))["refs/pull/1/head"] == sha
    await world.git("push", "-q", "origin", "feat:main", folder="work")
    assert (await world.repo("GET", "/pulls/1")).json()["merged"] is True
    await world.branch("gone")
    await world.pull("gone")
    await world.git("push", "-q", "origin", ":gone", folder="work")
    assert world.github.issue(REPO, 2).state == "closed"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Closes #1", [1]),
        ("fixes: #2 and RESOLVED #3", [2, 3]),
        ("see #4, discloses #5, closes 6", []),
        ("`fixes #1`\n\n```\ncloses #2\n```\n\nfixes `#3`, closes &num;4", [4]),
    ],
)
async def test_closing_keywords(text: str, numbers: list[int]) -> None:
    assert closing_numbers(text) == numbers
