"""Whether a merged commit reached production. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from app.domain.ci import WorkflowRun
from app.domain.values import Value

_PRODUCTION = frozenset({"production", "prod", "live"})
"""Names of environments for hosts that do not set GitHub's flag."""
_BAD_STATES = frozenset({"failure", "error"})
_BAD_CONCLUSIONS = frozenset({"failure", "timed_out", "startup_failure"})
_AFTER_A_MERGE = frozenset({"push", "release", "deployment", "workflow_run", "merge_group"})
"""Events of workflow runs that a merge starts."""


class MergedDeployment(Value):
    """The newest deployment of the merged commit to an environment, with its newest status."""

    environment: str
    is_flagged: bool
    state: str
    status: int = 0
    url: str = ""

    @property
    def is_production(self) -> bool:
        """Whether people would call it production."""
        return self.is_flagged or self.environment.lower() in _PRODUCTION


class Fate(Value):
    """Where the merged commit is now. "nothing": no deployment to production, and no workflow of it
    failed. `name` is the environment or workflow; `state` GitHub's value for a deployment; `key`
    changes with every report, so that a state can be told from a flapping one."""

    kind: Literal["live", "failed", "running", "nothing"]
    name: str = ""
    url: str = ""
    state: str = ""
    is_workflow: bool = False
    key: str = ""


def fate(deployments: Sequence[MergedDeployment], runs: Iterable[WorkflowRun]) -> Fate:
    """A deployment to production decides alone; without one, the merge's workflows do."""
    production = [each for each in deployments if each.is_production]
    key = " ".join(f"{each.environment}:{each.status}:{each.state}" for each in production)
    for kind, fitting in (
        ("failed", [each for each in production if each.state in _BAD_STATES]),
        ("running", [each for each in production if each.state != "success"]),
        ("live", production),
    ):
        if fitting:
            first = fitting[0]
            return Fate.model_validate(
                {
                    "kind": kind,
                    "name": first.environment,
                    "url": first.url,
                    "state": first.state,
                    "key": key,
                }
            )
    started = [each for each in runs if each.event in _AFTER_A_MERGE]
    if any(each.status != "completed" for each in started):
        return Fate(kind="running", is_workflow=True)
    for each in started:
        if each.conclusion in _BAD_CONCLUSIONS:
            key = f"{each.id}:{each.attempt}"
            return Fate(kind="failed", name=each.path, url=each.url, is_workflow=True, key=key)
    return Fate(kind="nothing")
