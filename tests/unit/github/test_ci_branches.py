"""Temporary branches that a killed worker left are deleted at night; all others stay."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from app.github import commits
from app.runs import ci_branches
from app.runs.services import Services
from tests.unit.github.scene import NAME, Scene

ENDED, LIVE = "abcdefgh23", "zzzzzzzz77"
BRANCHES = {f"honk/tmp-{ENDED}-proof", f"honk/tmp-{ENDED}-guard", f"honk/tmp-{LIVE}-proof"}


@dataclass
class Rows:
    """The runs of the database: one ended, one live."""

    has_ci: bool = True

    async def alive(self) -> list[Any]:
        return [SimpleNamespace(id=LIVE)]

    async def created_since(self, moment: float) -> list[Any]:
        policy = SimpleNamespace(policy=SimpleNamespace(ci=object() if self.has_ci else None))
        return [SimpleNamespace(installation_id=self._installation, repository=NAME, input=policy)]

    _installation: int = 0


async def left(scene: Scene, *, has_ci: bool = True, kept: str = "") -> set[str]:
    """What is left of the branches after the cleanup."""
    head = await scene.head()
    for branch in (*BRANCHES, "honk/tmp-fix", "honk/7-fix"):
        await commits.ensure_ref(scene.client, f"refs/heads/{branch}", head, expected=None)
    if kept:
        scene.github.faults.refuse_push(f"refs/heads/{kept}", "This branch is kept.")
    rows = Rows(has_ci, scene.client.installation_id)
    services = cast("Services", SimpleNamespace(runs=rows, github=scene.app))
    await ci_branches.delete_leftovers(services, 0.0)
    heads = await scene.github.refs(NAME, "refs/heads/honk")
    return {name.removeprefix("refs/heads/") for name in heads}


async def test_only_those_of_ended_runs_are_deleted(scene: Scene) -> None:
    assert await left(scene) == {f"honk/tmp-{LIVE}-proof", "honk/tmp-fix", "honk/7-fix"}


async def test_repositories_without_results_from_ci_are_not_asked(scene: Scene) -> None:
    before = len(scene.calls)
    assert await left(scene, has_ci=False) > BRANCHES
    assert not [call for call in scene.calls[before:] if "matching-refs" in str(call)]


async def test_a_branch_that_github_keeps_ends_nothing(scene: Scene) -> None:
    found = await left(scene, kept=f"honk/tmp-{ENDED}-guard")
    assert found & BRANCHES == {f"honk/tmp-{ENDED}-guard", f"honk/tmp-{LIVE}-proof"}
