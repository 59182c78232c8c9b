"""Data about commits: statuses, deployments, Actions; and files written one at a time."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.playground.github import OtherCi

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDE = dict.fromkeys(("contents", "deployments", "checks", "statuses", "actions"), "write")
PREVIEW = {"auto_merge": False, "required_contexts": [], "environment": "preview"}


async def wide(world: World) -> str:
    """A token with all these permissions; new ones need a new token."""
    world.github.grant("octo", WIDE | {"metadata": "read", "pull_requests": "write"})
    return await world.token()


async def status(world: World, sha: str, **body: Any) -> int:
    return (await world.repo("POST", f"/statuses/{sha}", body)).status_code


async def test_the_latest_status_of_a_context_counts(world: World) -> None:
    world.whole_token = await wide(world)
    sha = await world.branch("feat")
    combined = f"/commits/{sha}/status"
    assert (await world.repo("GET", combined)).json()["state"] == "pending"
    for state in ("pending", "failure", "success"):
        assert await status(world, sha, state=state, context="lint") == 201
    assert await status(world, sha, state="success", description="fine") == 201
    whole = (await world.repo("GET", combined)).json()
    assert (whole["state"], whole["total_count"]) == ("success", 2)
    assert await status(world, sha, state="error", context="deploy") == 201
    assert (await world.repo("GET", "/commits/feat/status")).json()["state"] == "failure"
    listed = (await world.repo("GET", f"/commits/{sha}/statuses")).json()
    assert [one["context"] for one in listed] == ["deploy", "default", "lint", "lint", "lint"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "good"},
        {"state": "success", "description": "x" * 141},
        {"state": "success", "target_url": "nowhere"},
    ],
)
async def test_bad_statuses_are_refused(world: World, body: dict[str, Any]) -> None:
    world.whole_token = await wide(world)
    sha = await world.github.branch(REPO, "main") or ""
    assert await status(world, sha, **body) == 422
    assert await status(world, "1" * 40, state="success") == 422


async def test_a_deployment_wants_the_default_branch_and_all_checks(world: World) -> None:
    world.whole_token = await wide(world)
    sha = await world.branch("feat", "new.py")
    await world.github.act("owner", "PUT", f"/repos/{REPO}/contents/m.py", change("m"))
    merged = await world.repo("POST", "/deployments", {"ref": "feat"})
    assert merged.status_code == 202
    assert await world.github.branch(REPO, "feat") != sha
    assert (await world.repo("POST", "/deployments", {"ref": sha})).status_code == 409
    await status(world, sha, state="failure", context="lint")
    body = {"ref": sha, "auto_merge": False}
    refused = await world.repo("POST", "/deployments", body)
    assert refused.status_code == 409
    assert refused.json()["errors"][0]["contexts"] == [{"context": "lint"}]
    made = await world.repo("POST", "/deployments", body | {"required_contexts": []})
    assert (made.status_code, made.json()["sha"]) == (201, sha)
    assert made.json()["production_environment"] is True
    missing = await world.repo("POST", "/deployments", {"ref": "nowhere"})
    assert missing.status_code == 422


async def test_a_success_ends_what_was_there_before(world: World) -> None:
    world.whole_token = await wide(world)
    sha = await world.github.branch(REPO, "main")
    states, body = [], PREVIEW | {"ref": sha}
    for more in ({}, {"transient_environment": True}, {}):
        made = (await world.repo("POST", "/deployments", body | more)).json()
        path = f"/deployments/{made['id']}"
        states.append(path)
        good = {"state": "success", "environment_url": "https://x.example"}
        assert (await world.repo("POST", f"{path}/statuses", good)).status_code == 201
    latest = [(await world.repo("GET", f"{path}/statuses")).json()[0] for path in states]
    assert [one["state"] for one in latest] == ["inactive", "success", "success"]
    assert latest[0]["environment_url"] == "https://x.example"
    assert (await world.repo("DELETE", states[2])).status_code == 422
    assert (await world.repo("DELETE", states[0])).status_code == 204
    await world.github.drained()
    told = [one for one in world.github.deliveries if one.event == "deployment_status"]
    assert len(told) == 4
    for bad in ({"state": "fine"}, {"state": "success", "environment_url": "x"}):
        assert (await world.repo("POST", f"{states[2]}/statuses", bad)).status_code == 422


async def test_the_ci_of_another_app(world: World) -> None:
    world.whole_token = await wide(world)
    notes = [{"path": "a.py", "start_line": 1, "end_line": 1, "message": "no"}]
    notes[0]["annotation_level"] = "failure"
    ci = OtherCi("failure", title="1 failed", annotations=notes, log="E  assert 1 == 2\n")
    world.github.use_ci(REPO, ci)
    sha = await world.branch("feat")
    await world.github.drained()
    others = ("push", "installation")
    told = [(d.event, d.action) for d in world.github.deliveries if d.event not in others]
    assert told == [
        ("check_suite", "requested"),
        ("workflow_run", "requested"),
        ("check_run", "created"),
        ("workflow_run", "in_progress"),
        ("check_run", "completed"),
        ("check_suite", "completed"),
        ("workflow_run", "completed"),
    ]
    [run] = (await world.repo("GET", f"/commits/{sha}/check-runs")).json()["check_runs"]
    assert (run["app"]["slug"], run["conclusion"]) == ("github-actions", "failure")
    noted = (await world.repo("GET", f"/check-runs/{run['id']}/annotations")).json()
    assert [one["message"] for one in noted] == ["no"]
    changed = await world.repo("PATCH", f"/check-runs/{run['id']}", {"conclusion": "success"})
    assert changed.status_code == 403
    assert (await world.repo("POST", f"/check-runs/{run['id']}/rerequest")).status_code == 403
    leads = await world.repo("GET", f"/actions/jobs/{run['id']}/logs")
    assert leads.status_code == 302
    log = await world.client.get(leads.headers["location"])
    assert log.text == "E  assert 1 == 2\n"
    world.github.clock.advance(61)
    assert (await world.client.get(leads.headers["location"])).status_code == 404
    assert (await world.client.get(leads.headers["location"][:-3])).status_code == 404


async def test_ci_that_waits_for_approval(world: World) -> None:
    world.whole_token = await wide(world)
    world.github.use_ci(REPO, OtherCi("action_required"))
    sha = await world.branch("feat")
    found = (await world.repo("GET", f"/actions/runs?head_sha={sha}")).json()
    [run] = found["workflow_runs"]
    assert (run["status"], run["conclusion"]) == ("completed", "action_required")
    path = f"/actions/runs/{run['id']}"
    assert (await world.repo("GET", f"{path}/jobs")).json()["jobs"] == []
    suites = (await world.repo("GET", f"/commits/{sha}/check-suites")).json()["check_suites"]
    assert [one["conclusion"] for one in suites] == [None, "action_required"]
    assert (await world.repo("POST", f"{path}/approve")).status_code == 201
    world.github.finish_ci(REPO, sha, "success")
    assert (await world.repo("GET", path)).json()["conclusion"] == "success"
    assert (await world.repo("POST", f"{path}/approve")).status_code == 403
    nothing = await world.repo("GET", f"/actions/runs?head_sha={'0' * 40}")
    assert nothing.json()["total_count"] == 0


def change(text: str, **more: Any) -> dict[str, Any]:
    return {"message": "m", "content": base64.b64encode(text.encode()).decode()} | more


async def test_only_a_file_that_was_read_can_be_written(world: World) -> None:
    made = await world.repo("PUT", "/contents/docs/n.md", change("one", branch="main"))
    assert made.status_code == 201
    assert made.json()["commit"]["verification"]["verified"] is True
    path = "/contents/docs/n.md"
    assert (await world.repo("PUT", path, change("two"))).status_code == 422
    assert (await world.repo("PUT", path, change("two", sha="0" * 40))).status_code == 409
    sha = made.json()["content"]["sha"]
    assert (await world.repo("PUT", path, change("two", sha=sha))).status_code == 200
    assert await world.github.file(REPO, "main", "docs/n.md") == b"two"
    gone = {"message": "m", "sha": sha}
    assert (await world.repo("DELETE", path, gone)).status_code == 409
    gone["sha"] = (await world.repo("GET", path)).json()["sha"]
    assert (await world.repo("DELETE", path, gone)).status_code == 200
    assert await world.github.file(REPO, "main", "docs/n.md") is None
    assert (await world.repo("DELETE", path, gone)).status_code == 404
    for bad, answer in ((change("x", branch="none"), 404), (change("x") | {"content": "é"}, 422)):
        assert (await world.repo("PUT", path, bad)).status_code == answer
    assert (await world.repo("PUT", "/contents/src", change("x"))).status_code == 422
    flow = await world.repo("PUT", "/contents/.github/workflows/ci.yml", change("x"))
    assert flow.status_code == 403
    await world.github.act("writer", "PUT", f"/repos/{REPO}/contents/w.md", change("w"))
    with pytest.raises(Exception, match="403"):
        await world.github.act("reader", "PUT", f"/repos/{REPO}/contents/r.md", change("r"))
    world.github.faults.refuse_push("refs/heads/main", "No direct pushes.")
    assert (await world.repo("PUT", "/contents/x.md", change("x"))).status_code == 422
