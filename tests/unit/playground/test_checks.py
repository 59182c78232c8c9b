"""Check runs within GitHub's limits."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.github import RefusedError

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNOTATION = {
    "path": "a.py",
    "start_line": 1,
    "end_line": 1,
    "annotation_level": "failure",
    "message": "wrong",
}
ACTION = {"label": "Retry", "description": "Try once more", "identifier": "retry"}
OUTPUT = {"title": "t", "summary": "s"}


async def start(world: World, **more: Any) -> dict[str, Any]:
    sha = await world.github.branch(REPO, "main")
    made = await world.repo("POST", "/check-runs", {"name": "honk / tests", "head_sha": sha} | more)
    assert made.status_code == 201, made.text
    shape: dict[str, Any] = made.json()
    return shape


async def test_a_run_from_queued_to_done(world: World) -> None:
    run = await start(world, external_id="run-1", details_url="http://x.example/run-1")
    assert (run["status"], run["conclusion"]) == ("queued", None)
    path = f"/check-runs/{run['id']}"
    await world.repo("PATCH", path, {"status": "in_progress"})
    for _ in range(2):
        output = OUTPUT | {"annotations": [ANNOTATION] * 50}
        assert (await world.repo("PATCH", path, {"output": output})).status_code == 200
    body = {"conclusion": "failure", "actions": [ACTION], "output": OUTPUT}
    done = (await world.repo("PATCH", path, body)).json()
    assert (done["status"], done["conclusion"]) == ("completed", "failure")
    assert done["completed_at"]
    assert done["output"]["annotations_count"] == 100
    listed = await world.repo("GET", f"{path}/annotations?per_page=60")
    assert len(listed.json()) == 60
    found = (await world.repo("GET", "/commits/main/check-runs")).json()
    assert [one["external_id"] for one in found["check_runs"]] == ["run-1"]
    suites = (await world.repo("GET", "/commits/main/check-suites")).json()["check_suites"]
    assert [suite["conclusion"] for suite in suites] == ["failure"]
    suite = f"/check-suites/{suites[0]['id']}"
    assert (await world.repo("GET", suite)).json()["latest_check_runs_count"] == 1
    assert (await world.repo("GET", f"{suite}/check-runs")).json()["total_count"] == 1


@pytest.mark.parametrize(
    "more",
    [
        {"head_sha": "1" * 40},
        {"name": None},
        {"status": "done"},
        {"status": "completed"},
        {"conclusion": "stale"},
        {"details_url": "nowhere"},
        {"output": {"title": "t"}},
        {"output": OUTPUT | {"summary": "x" * 65_536}},
        {"output": OUTPUT | {"annotations": [ANNOTATION] * 51}},
        {"output": OUTPUT | {"annotations": [ANNOTATION | {"annotation_level": "error"}]}},
        {"output": OUTPUT | {"annotations": [ANNOTATION | {"end_line": 2, "start_column": 1}]}},
        {"output": OUTPUT | {"annotations": [{"path": "a.py"}]}},
        {"conclusion": "failure", "actions": [ACTION] * 4},
        {"conclusion": "failure", "actions": [ACTION | {"label": "x" * 21}]},
        {"conclusion": "failure", "actions": [ACTION | {"description": "x" * 41}]},
        {"conclusion": "failure", "actions": [ACTION | {"identifier": "x" * 21}]},
    ],
)
async def test_what_does_not_fit_is_refused(world: World, more: dict[str, Any]) -> None:
    sha = await world.github.branch(REPO, "main")
    body = {"name": "x", "head_sha": sha} | more
    assert (await world.repo("POST", "/check-runs", body)).status_code == 422


async def test_only_apps_write_checks(world: World) -> None:
    run = await start(world)
    owner = world.github.token_for("owner")
    sha = await world.github.branch(REPO, "main")
    body = {"name": "x", "head_sha": sha}
    assert (await world.repo("POST", "/check-runs", body, owner)).status_code == 403
    path = f"/check-runs/{run['id']}"
    assert (await world.repo("PATCH", path, {"name": "y"}, owner)).status_code == 403
    assert (await world.repo("GET", path, token=owner)).status_code == 200
    narrow = await world.token(permissions={"checks": "read"})
    assert (await world.repo("PATCH", path, {"name": "y"}, narrow)).status_code == 403
    assert (await world.repo("GET", "/check-runs/1")).status_code == 404


async def test_buttons_and_re_runs(world: World) -> None:
    run = await start(world, conclusion="failure", output=OUTPUT, actions=[ACTION])
    await world.github.press(REPO, run["id"], "retry", "reader")
    await world.github.rerequest(REPO, run["id"], "writer")
    with pytest.raises(RefusedError):
        await world.github.press(REPO, run["id"], "other", "reader")
    await world.github.drained()
    told = [d for d in world.github.deliveries if d.event == "check_run"]
    assert [d.action for d in told] == ["created", "completed", "requested_action", "rerequested"]
    assert told[2].payload["requested_action"] == {"identifier": "retry"}
    assert told[2].payload["sender"]["login"] == "reader"


async def test_the_latest_run_of_a_name_counts(world: World) -> None:
    await start(world, conclusion="failure", output=OUTPUT)
    last = await start(world, conclusion="success", output=OUTPUT)
    await start(world, name="honk / run")
    listed = "/commits/main/check-runs"
    query = "?check_name=honk%20%2F%20tests"
    found = (await world.repo("GET", listed + query)).json()["check_runs"]
    assert [one["id"] for one in found] == [last["id"]]
    every = (await world.repo("GET", f"{listed}?filter=all")).json()
    assert every["total_count"] == 3
    busy = (await world.repo("GET", f"{listed}?status=queued")).json()["check_runs"]
    assert [one["name"] for one in busy] == ["honk / run"]
