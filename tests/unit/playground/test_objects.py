"""Refs, commits and trees through the API."""

from __future__ import annotations

import base64

import pytest

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_commit_without_a_name_is_signed_as_the_apps(world: World) -> None:
    sha = await world.branch("feat")
    commit = (await world.repo("GET", f"/git/commits/{sha}")).json()
    assert commit["verification"]["verified"] is True
    assert commit["verification"]["reason"] == "valid"
    assert commit["author"]["name"] == "honk[bot]"
    assert commit["author"]["email"].endswith("+honk[bot]@users.noreply.github.com")
    assert commit["committer"]["email"] == "noreply@github.com"
    assert (await world.repo("GET", f"/commits/{sha}")).json()["author"]["type"] == "Bot"
    await world.clone()
    await world.git("fetch", "-q", "origin", sha, folder="work")
    raw = await world.git("cat-file", "commit", sha, folder="work")
    assert "gpgsig -----BEGIN PGP SIGNATURE-----" in raw
    await world.git("fsck", "--strict", folder="work")


@pytest.mark.parametrize(("there", "wanted"), [("a", "a/b/c"), ("a/b", "a/b/c"), ("a/b/c", "a/b")])
async def test_a_name_and_a_beginning_of_it_are_not_both_there(
    world: World, there: str, wanted: str
) -> None:
    sha = await world.branch(f"way/{there}")
    ref = {"ref": f"refs/heads/way/{wanted}", "sha": sha}
    refused = await world.repo("POST", "/git/refs", ref)
    assert (refused.status_code, refused.json()["message"]) == (422, "Reference update failed")
    assert (await world.repo("DELETE", f"/git/refs/heads/way/{there}")).status_code == 204
    assert (await world.repo("POST", "/git/refs", ref)).status_code == 201
    assert (await world.repo("DELETE", f"/git/refs/heads/way/{wanted}")).status_code == 204


@pytest.mark.parametrize("who", ["author", "committer"])
async def test_a_name_costs_the_signature(world: World, who: str) -> None:
    main = await world.github.branch(REPO, "main")
    tree = (await world.repo("GET", f"/git/commits/{main}")).json()["tree"]["sha"]
    person = {"name": "Ada", "email": "ada@example.com", "date": "2024-02-03T04:05:06Z"}
    body = {"message": "Ä\n\nbody", "tree": tree, "parents": [main], who: person}
    commit = (await world.repo("POST", "/git/commits", body)).json()
    assert commit["verification"]["verified"] is False
    assert commit["verification"]["reason"] == "unsigned"
    assert commit[who] == person
    assert commit["message"] == "Ä\n\nbody"


async def test_objects_that_are_not_there(world: World) -> None:
    main = await world.github.branch(REPO, "main")
    tree = (await world.repo("GET", f"/git/commits/{main}")).json()["tree"]["sha"]
    none = "1" * 40
    for body in (
        {"message": "x", "tree": none},
        {"message": "x", "tree": main},
        {"message": "x", "tree": tree, "parents": [none]},
        {"message": "x", "tree": tree, "parents": [tree]},
        {"tree": tree},
    ):
        assert (await world.repo("POST", "/git/commits", body)).status_code == 422
    ref = {"ref": "refs/heads/x", "sha": none}
    assert (await world.repo("POST", "/git/refs", ref)).json()["message"] == "Object does not exist"
    assert (await world.repo("GET", f"/git/commits/{none}")).status_code == 404
    assert (await world.repo("GET", "/git/ref/heads/none")).status_code == 404
    assert (await world.repo("GET", f"/git/blobs/{none}")).status_code == 404


async def test_trees_keep_modes_links_and_bytes(world: World) -> None:
    data = bytes(range(256))
    blob = {"content": base64.b64encode(data).decode(), "encoding": "base64"}
    sha = (await world.repo("POST", "/git/blobs", blob)).json()["sha"]
    got = (await world.repo("GET", f"/git/blobs/{sha}")).json()
    assert base64.b64decode(got["content"]) == data
    main = await world.github.branch(REPO, "main")
    entries = [
        {"path": "run.sh", "mode": "100755", "type": "blob", "sha": sha},
        {"path": "link", "mode": "120000", "type": "blob", "content": "a.py"},
        {"path": "src", "mode": "040000", "type": "tree", "sha": None},
        {"path": 'new "\n/ü', "mode": "100644", "type": "blob", "content": "x"},
    ]
    made = await world.repo("POST", "/git/trees", {"base_tree": main, "tree": entries})
    assert made.status_code == 201
    whole = await world.repo("GET", f"/git/trees/{made.json()['sha']}?recursive=1")
    modes = {one["path"]: one["mode"] for one in whole.json()["tree"]}
    assert modes["run.sh"] == "100755"
    assert modes["link"] == "120000"
    assert modes['new "\n/ü'] == "100644"
    assert "src/b.py" not in modes
    assert "a.py" in modes


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "x", "mode": "100644", "type": "blob", "sha": "1" * 40},
        {"path": "x", "mode": "100666", "type": "blob", "content": ""},
        {"path": "../x", "mode": "100644", "type": "blob", "content": ""},
        {"path": ".git/config", "mode": "100644", "type": "blob", "content": ""},
        {"path": "x", "mode": "100644", "type": "blob"},
    ],
)
async def test_bad_trees_are_refused(world: World, entry: dict[str, str]) -> None:
    assert (await world.repo("POST", "/git/trees", {"tree": [entry]})).status_code == 422


async def test_refs_move_forward_unless_forced(world: World) -> None:
    one, other = await world.branch("one"), await world.branch("other", content="else\n")
    main = await world.github.branch(REPO, "main")
    refused = await world.repo("PATCH", "/git/refs/heads/one", {"sha": other})
    assert (refused.status_code, refused.json()["message"]) == (422, "Update is not a fast forward")
    assert await world.github.branch(REPO, "one") == one
    forced = await world.repo("PATCH", "/git/refs/heads/one", {"sha": other, "force": True})
    assert forced.json()["object"]["sha"] == other
    back = await world.repo("PATCH", "/git/refs/heads/one", {"sha": main, "force": True})
    assert back.status_code == 200
    assert (await world.repo("PATCH", "/git/refs/heads/one", {"sha": other})).status_code == 200
    gone = await world.repo("PATCH", "/git/refs/heads/none", {"sha": other})
    assert gone.json()["message"] == "Reference does not exist"


async def test_hidden_refs_live_and_start_nothing(world: World) -> None:
    main = await world.github.branch(REPO, "main")
    world.github.deliveries.clear()
    body = {"ref": "refs/honk/run-1", "sha": main}
    assert (await world.repo("POST", "/git/refs", body)).status_code == 201
    again = await world.repo("POST", "/git/refs", body)
    assert (again.status_code, again.json()["message"]) == (422, "Reference already exists")
    found = (await world.repo("GET", "/git/matching-refs/honk/")).json()
    assert [one["ref"] for one in found] == ["refs/honk/run-1"]
    assert (await world.repo("DELETE", "/git/refs/honk/run-1")).status_code == 204
    assert (await world.repo("DELETE", "/git/refs/honk/run-1")).status_code == 422
    await world.github.drained()
    assert world.github.deliveries == []


@pytest.mark.parametrize(
    "ref", ["heads/x", "refs/x", "refs/heads/a..b", "refs/heads/", "refs/heads/a\nb"]
)
async def test_bad_names_of_refs(world: World, ref: str) -> None:
    main = await world.github.branch(REPO, "main")
    assert (await world.repo("POST", "/git/refs", {"ref": ref, "sha": main})).status_code == 422


async def test_rules_hold_for_the_api(world: World) -> None:
    sha = await world.branch("feat")
    world.github.repository(REPO).protected.add("main")
    assert (await world.repo("PATCH", "/git/refs/heads/main", {"sha": sha})).status_code == 422
    world.github.faults.refuse_push("refs/honk/*", "No hidden refs here")
    refused = await world.repo("POST", "/git/refs", {"ref": "refs/honk/1", "sha": sha})
    assert "No hidden refs here" in refused.json()["message"]


async def test_contents(world: World) -> None:
    file = (await world.repo("GET", "/contents/.github/honk.yml")).json()
    assert base64.b64decode(file["content"]) == b"verify: [pytest]\n"
    accept = "application/vnd.github.raw+json"
    raw = await world.repo("GET", "/contents/.github/honk.yml", Accept=accept)
    assert raw.content == b"verify: [pytest]\n"
    assert (await world.repo("GET", "/contents/none.yml")).status_code == 404
    assert (await world.repo("GET", "/contents/a.py?ref=none")).status_code == 404
    listed = (await world.repo("GET", "/contents/src")).json()
    assert [one["path"] for one in listed] == ["src/b.py"]
    assert {one["type"] for one in (await world.repo("GET", "/contents/")).json()} == {
        "file",
        "dir",
    }


async def test_history(world: World) -> None:
    main, sha = await world.github.branch(REPO, "main"), await world.branch("feat")
    compared = (await world.repo("GET", "/compare/main...feat")).json()
    assert (compared["status"], compared["ahead_by"]) == ("ahead", 1)
    assert [one["filename"] for one in compared["files"]] == ["a.py"]
    assert compared["merge_base_commit"]["sha"] == main
    commit = (await world.repo("GET", "/commits/feat")).json()
    assert (commit["sha"], commit["stats"]["total"]) == (sha, 2)
    accept = "application/vnd.github.sha"
    assert (await world.repo("GET", "/commits/feat", Accept=accept)).text == sha
    names = [one["name"] for one in (await world.repo("GET", "/branches")).json()]
    assert names == ["feat", "main"]
