"""Real git against the server: permissions, what a push triggers, what the server refuses."""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from .conftest import FILES, REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_everybody_clones_what_is_public(world: World) -> None:
    await world.clone()
    for path, content in FILES.items():
        assert (world.home / "work" / path).read_bytes() == content


async def test_private_is_private(world: World) -> None:
    world.github.repository(REPO).private = True
    for remote in (world.remote(), world.remote("wrong")):
        words = await world.git("ls-remote", remote, fails=True)
        assert "Authentication failed" in words or "could not read Username" in words
    stranger = world.github.token_for("stranger")
    assert "not found" in await world.git("ls-remote", world.remote(stranger), fails=True)
    await world.git("ls-remote", world.remote(world.github.token_for("reader")))
    await world.git("ls-remote", world.remote(await world.token()))
    narrow = await world.token(permissions={"issues": "write"})
    assert "403" in await world.git("ls-remote", world.remote(narrow), fails=True)


async def test_a_push_needs_the_right(world: World) -> None:
    await world.clone()
    await world.commit("a.py", "changed\n")
    push = ("push", "-q")
    for token in ("", "wrong"):
        words = await world.git(*push, world.remote(token), "main", folder="work", fails=True)
        assert "Authentication failed" in words or "could not read Username" in words
    narrow = await world.token(permissions={"contents": "read"})
    words = await world.git(*push, world.remote(narrow), "main", folder="work", fails=True)
    assert "403" in words
    assert "denied to honk[bot]" in words
    reader = world.github.token_for("reader")
    assert "403" in await world.git(*push, world.remote(reader), "main", folder="work", fails=True)
    writer = world.github.token_for("writer")
    await world.git(*push, world.remote(writer), "main", folder="work")
    assert await world.github.file(REPO, "main", "a.py") == b"changed\n"


async def test_odd_names_travel(world: World) -> None:
    token = await world.token()
    await world.clone(token)
    sha = await world.commit('neu/ä "b"\nc.txt', "x\n", "feat/x@2#ü")
    await world.git("push", "-q", "origin", "feat/x@2#ü", folder="work")
    assert await world.github.branch(REPO, "feat/x@2#ü") == sha
    path = "/git/ref/heads/feat/x@2%23%C3%BC"
    assert (await world.repo("GET", path)).json()["object"]["sha"] == sha
    escaped = "/git/ref/heads%2Ffeat%2Fx@2%23%C3%BC"
    assert (await world.repo("GET", escaped)).json()["ref"] == "refs/heads/feat/x@2#ü"
    branch = await world.repo("GET", "/branches/feat%2Fx%402%23%C3%BC")
    assert branch.json()["commit"]["sha"] == sha
    query = "/contents/neu/%C3%A4%20%22b%22%0Ac.txt?ref=feat/x@2%23%C3%BC"
    raw = await world.repo("GET", query, Accept="application/vnd.github.raw+json")
    assert raw.content == b"x\n"


async def test_any_commit_can_be_fetched_by_its_sha(world: World) -> None:
    sha = await world.branch("away")
    await world.repo("POST", "/git/refs", {"ref": "refs/honk/run-1", "sha": sha})
    assert (await world.repo("DELETE", "/git/refs/heads/away")).status_code == 204
    await world.clone()
    await world.git("fetch", "-q", "origin", sha, folder="work")
    assert await world.git("show", f"{sha}:a.py", folder="work") == "new"
    listed = await world.git("ls-remote", "origin", "refs/honk/*", folder="work")
    assert listed.split() == [sha, "refs/honk/run-1"]


async def test_workflow_files_need_a_separate_permission(world: World) -> None:
    token = await world.token()
    await world.clone(token)
    await world.commit(".github/workflows/ci.yml", "on: push\n", "ci")
    words = await world.git("push", "origin", "ci", "main", folder="work", fails=True)
    assert (
        "refusing to allow a GitHub App to create or update workflow "
        "`.github/workflows/ci.yml` without `workflows` permission" in words
    )
    assert await world.github.branch(REPO, "ci") is None
    writer = world.github.token_for("writer")
    await world.git("push", "-q", world.remote(writer), "ci", folder="work")
    # What a branch already has is nothing new, by git or by API.
    await world.git("push", "-q", "origin", "ci:again", folder="work")
    sha = await world.github.branch(REPO, "ci")
    made = await world.repo("POST", "/git/refs", {"ref": "refs/heads/third", "sha": sha})
    assert made.status_code == 201


async def test_the_api_refuses_workflow_files_too(world: World) -> None:
    with pytest.raises(AssertionError, match="without `workflows` permission"):
        await world.branch("ci", ".github/workflows/ci.yml")


async def test_rules_refuse_a_push_with_a_reason(world: World) -> None:
    token = await world.token()
    await world.clone(token)
    sha = await world.commit("a.py", "x\n")
    world.github.repository(REPO).protected.add("main")
    words = await world.git("push", "origin", "main", folder="work", fails=True)
    assert "GH006: Protected branch update failed for refs/heads/main." in words
    assert "(protected branch hook declined)" in words
    world.github.faults.refuse_push("refs/honk/*", "Creations are restricted", times=1)
    push = ("push", "origin", "HEAD:refs/honk/1", "HEAD:refs/heads/good")
    words = await world.git(*push, folder="work", fails=True)
    assert "GH013: Repository rule violations found for refs/honk/1." in words
    assert "Creations are restricted" in words
    assert await world.github.branch(REPO, "good") == sha
    assert world.github.faults.pushes == []
    words = await world.git("push", "origin", ":main", folder="work", fails=True)
    assert "rejected" in words
    await world.git(*push, folder="work")
    pulls = await world.git("push", "origin", "HEAD:refs/pull/1/head", folder="work", fails=True)
    assert "deny updating a hidden ref" in pulls


async def test_the_default_branch_stays(world: World) -> None:
    await world.clone(await world.token())
    words = await world.git("push", "origin", ":main", folder="work", fails=True)
    assert "refusing to delete the current branch: refs/heads/main" in words


async def test_an_archived_repository_is_read_only(world: World) -> None:
    await world.clone(await world.token())
    world.github.repository(REPO).archived = True
    await world.git("fetch", "-q", folder="work")
    await world.commit("a.py", "x\n")
    words = await world.git("push", "origin", "main", folder="work", fails=True)
    assert "archived so it is read-only" in words


async def test_a_large_push_streams(world: World) -> None:
    await world.clone(await world.token())
    (world.home / "work" / "big.bin").write_bytes(_noise(3_000_000))
    await world.commit("a.py", "x\n")
    await world.git("push", "-q", "origin", "main", folder="work")
    assert await world.github.file(REPO, "main", "big.bin") == _noise(3_000_000)


async def test_a_client_that_dies_during_a_push_blocks_no_other(world: World) -> None:
    token = await world.token()
    await world.clone(token)
    await world.commit("a.py", "changed\n")
    remote = urlsplit(world.remote(token))
    assert remote.hostname is not None
    _, writer = await asyncio.open_connection(remote.hostname, remote.port)
    secret = b64encode(f"{remote.username}:{remote.password}".encode()).decode()
    writer.write(
        (
            f"POST {remote.path}/git-receive-pack HTTP/1.1\r\nHost: {remote.hostname}\r\n"
            f"Authorization: Basic {secret}\r\nContent-Length: 1000\r\n"
            "Content-Type: application/x-git-receive-pack-request\r\n\r\n0094"
        ).encode()
    )
    await writer.drain()
    await asyncio.sleep(0.3)  # until git waits for the rest
    writer.transport.abort()
    await asyncio.wait_for(world.git("push", "-q", "origin", "main", folder="work"), 20)


def _noise(length: int) -> bytes:
    return random.Random(1).randbytes(length)


async def test_a_copy_of_a_repository(world: World) -> None:
    await world.clone()
    sha = await world.commit("a.py", "x\n", "trunk")
    await world.git("tag", "v1", folder="work")
    await world.github.add_repository("octo/copy", source=world.home / "work")
    refs = await world.github.refs("octo/copy")
    assert refs["refs/heads/main"] == refs["refs/heads/trunk"] == refs["refs/tags/v1"] == sha
    remote = f"{world.github.url}/octo/copy.git"
    assert sha in await world.git("ls-remote", remote, "HEAD")


async def test_an_empty_repository(world: World) -> None:
    await world.github.add_repository("octo/empty")
    token = await world.token()
    ask = [
        await world.ask("GET", f"/repos/octo/empty{path}", token=token)
        for path in ("", "/branches", "/git/ref/heads/main", "/contents/a.py", "/commits/main")
    ]
    assert [answer.status_code for answer in ask] == [200, 200, 409, 404, 409]
    remote = f"{world.github.url}/octo/empty.git"
    assert await world.git("ls-remote", remote) == ""
