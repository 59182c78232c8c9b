"""Pull requests from forks, and who may push to their heads."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def fork_with_pull(world: World, **more: Any) -> str:
    """A stranger's fork with a pull request; gives its head."""
    await world.github.fork(REPO, "stranger")
    files: dict[str, bytes | None] = {"a.py": b"forked\n"}
    sha = await world.github.push_files("stranger/sample", "feat", files, "stranger")
    await world.github.open_pull_request(REPO, "stranger", "stranger:feat", **more)
    return sha


async def test_a_pull_request_from_a_fork(world: World) -> None:
    github = world.github
    sha = await fork_with_pull(world)
    pull = (await world.repo("GET", "/pulls/1")).json()
    assert (pull["head"]["label"], pull["head"]["sha"]) == ("stranger:feat", sha)
    assert pull["head"]["repo"]["full_name"] == "stranger/sample"
    assert pull["head"]["repo"]["fork"] is True
    assert pull["maintainer_can_modify"] is True
    assert (await github.refs(REPO, "refs/pull"))["refs/pull/1/head"] == sha
    found = (await world.repo("GET", "/pulls?head=stranger:feat")).json()
    assert [one["number"] for one in found] == [1]
    files = (await world.repo("GET", "/pulls/1/files")).json()
    assert files[0]["patch"] == "@@ -1 +1 @@\n-one\n+forked"
    await world.repo("POST", "/check-runs", {"name": "x", "head_sha": sha})
    newer = await github.push_files("stranger/sample", "feat", {"b.py": b"x\n"}, "stranger")
    pull = (await world.repo("GET", "/pulls/1")).json()
    assert (pull["head"]["sha"], pull["commits"]) == (newer, 2)
    forks = (await world.repo("GET", "/forks")).json()
    assert [one["full_name"] for one in forks] == ["stranger/sample"]
    fork = await github.act("stranger", "GET", "/repos/stranger/sample")
    assert fork["parent"]["full_name"] == REPO
    merged = await github.merge(REPO, 1, "writer", sha=newer)
    assert await github.branch(REPO, "main") == merged
    assert await github.file(REPO, "main", "b.py") == b"x\n"


async def test_who_may_push_to_a_fork(world: World) -> None:
    github = world.github
    await fork_with_pull(world)
    fork, files = "stranger/sample", {"c.py": b"x\n"}
    await github.push_files(fork, "feat", files, "writer")
    for branch, login in (("main", "writer"), ("feat", "reader")):
        with pytest.raises(RefusedError, match="denied"):
            await github.push_files(fork, branch, files, login)
    await world.clone()
    url = github.url.removeprefix("http://")

    def remote(token: str) -> str:
        return f"http://x:{token}@{url}/{fork}.git"

    sha = await world.commit("d.py", "x\n")
    bot = remote(await world.token())
    push = ("push", "-f")
    words = await world.git(*push, bot, "HEAD:refs/heads/feat", folder="work", fails=True)
    assert "Permission to stranger/sample.git denied to honk[bot]" in words
    mine = remote(github.token_for("writer"))
    words = await world.git(*push, mine, "HEAD:refs/heads/main", folder="work", fails=True)
    assert "permission denied" in words
    await world.git(*push, mine, "HEAD:refs/heads/feat", folder="work")
    assert (await world.repo("GET", "/pulls/1")).json()["head"]["sha"] == sha
    closed = {"maintainer_can_modify": False}
    await github.act("stranger", "PATCH", f"/repos/{REPO}/pulls/1", closed)
    await world.commit("e.py", "x\n")
    words = await world.git(*push, mine, "HEAD:refs/heads/feat", folder="work", fails=True)
    assert "denied to writer" in words


async def test_the_app_cannot_update_a_fork(world: World) -> None:
    await fork_with_pull(world)
    await world.github.push_files(REPO, "main", {"z.py": b"x\n"}, "writer")
    refused = await world.repo("PUT", "/pulls/1/update-branch", {})
    assert refused.status_code == 403
    await world.github.update_branch(REPO, 1, "maintainer")
    assert await world.github.file("stranger/sample", "feat", "z.py") == b"x\n"


async def test_a_fork_that_is_gone(world: World) -> None:
    github = world.github
    sha = await fork_with_pull(world, maintainer_can_modify=False)
    await github.delete_repository("stranger/sample", "stranger")
    pull = (await world.repo("GET", "/pulls/1")).json()
    assert (pull["head"]["repo"], pull["head"]["label"]) == (None, "stranger:feat")
    assert (pull["state"], pull["head"]["sha"]) == ("open", sha)
    await github.close_issue(REPO, 1, "stranger")
    with pytest.raises(RefusedError, match="repository that submitted this pull request"):
        await github.reopen(REPO, 1, "stranger")


async def test_a_head_that_is_gone_stays_closed(world: World) -> None:
    github = world.github
    await fork_with_pull(world)
    await github.delete_branch("stranger/sample", "feat", "stranger")
    assert github.issue(REPO, 1).state == "closed"
    with pytest.raises(RefusedError, match="The feat branch has been deleted"):
        await github.reopen(REPO, 1, "stranger")
    await github.push_files("stranger/sample", "feat", {"q.py": b"x\n"}, "stranger")
    with pytest.raises(RefusedError, match="force-pushed or recreated"):
        await github.reopen(REPO, 1, "stranger")


async def test_forks_that_cannot_be(world: World) -> None:
    world.github.repository(REPO).allow_forking = False
    with pytest.raises(RefusedError, match="Forking is disabled"):
        await world.github.fork(REPO, "stranger")
    unrelated = {"head": "stranger:main", "base": "main", "title": "x"}
    refused = await world.repo("POST", "/pulls", unrelated)
    assert refused.status_code == 422
