"""Runs that nobody requested on GitHub: `honk verify` and `honk probe`."""

from __future__ import annotations

from datetime import UTC, datetime

from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.trigger import Actor, Trigger
from app.domain.values import RepoName, RunId

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = Actor(login="nobody", id=0, type="User")


def requestless_run(
    name: RunId,
    repo: RepoName,
    policy: Policy,
    *,
    installation_id: int = 0,
    repository_id: int = 0,
    default_branch: str = "",
) -> RunInput:
    """What checkouts, setup and verification need to know of a run, without a task."""
    trigger = Trigger(
        id=f"local:{name}",
        kind="comment",
        installation_id=installation_id,
        repository=repo,
        repository_id=repository_id,
        default_branch=default_branch,
        private=True,
        number=0,
        is_pull_request=False,
        actor=_NOBODY,
        title="",
        body="",
        author=None,
        labels=(),
        label=None,
        comment=None,
        command=None,
        created_at=_NEVER,
        updated_at=_NEVER,
        html_url="",
    )
    return RunInput(id=name, trigger=trigger, policy=policy, base_branch="", model="", quiet=True)
