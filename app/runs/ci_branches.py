"""Cleans up the temporary branches of workflow runs that Honk started."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain import ci
from app.domain.values import RepoName
from app.errors import HonkError
from app.github import commits
from app.github.client import RepositoryClient
from app.runs.services import WRITE_CODE, Services

log = structlog.get_logger()

_HEADS = "refs/heads/"


async def delete_branches(client: RepositoryClient, branches: set[str]) -> None:
    """Delete the branches. If GitHub refuses one, log that and leave it to the nightly cleanup."""
    for branch in sorted(branches):
        try:
            await commits.delete_ref(client, f"{_HEADS}{branch}")
        except HonkError as problem:
            log.warning(log_events.CI_BRANCH_LEFT, branch=branch, why=str(problem))


async def delete_leftovers(services: Services, since: float) -> None:
    """Delete the temporary branches of ended runs that began after `since` (Unix time).

    A killed worker may have left them. Those of live runs stay, because their workflow runs may not
    have started yet. Raises RetryableError while the database is unavailable.
    """
    alive = {row.id for row in await services.runs.alive()}
    rows = [row for row in await services.runs.created_since(since) if row.input.policy.ci]
    for installation, repository in {(row.installation_id, row.repository) for row in rows}:
        try:
            client = await services.github.repository(
                installation, RepoName.parse(repository), WRITE_CODE
            )
            found = await commits.refs_below(client, f"{_HEADS}{ci.TEMPORARY}")
        except HonkError as problem:
            log.warning(log_events.CI_BRANCH_LEFT, repository=repository, why=str(problem))
            continue
        names = {ref.removeprefix(_HEADS) for ref in found}
        ended = {
            name for name in names if (run := ci.run_of_temporary_branch(name)) and run not in alive
        }
        await delete_branches(client, ended)
