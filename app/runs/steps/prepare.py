"""The code that a run starts from."""

from __future__ import annotations

from app.domain import words
from app.domain.run import Phase, Preparation, RunInput
from app.domain.values import CommitSha
from app.errors import UserError
from app.runs.services import READ_CODE, Services


async def prepare(services: Services, run: RunInput) -> Preparation:
    """Bring the mirror up to date and fix the base commit for the whole run.

    Raises UserError for an empty repository or a base branch that is not there.
    """
    repo = run.trigger.repository
    row = await services.runs.update(run.id, phase=Phase.PREPARING.value)
    remote = await services.remote(run, READ_CODE)
    start = row.base_sha or f"refs/heads/{run.base_branch}"
    base = await services.mirrors.fetch(repo, remote, start)
    if base is None:
        problem, next_step = words.no_commits(repo, run.base_branch)
        raise UserError(problem, next_step=next_step)
    rules = await _default_head(services, run, base)
    await services.mirrors.pin(repo, f"{run.id}-base", base)
    await services.runs.update(run.id, base_sha=base)
    parent = CommitSha(row.published_sha) if row.published_sha else base
    return Preparation(base=base, parent=parent, rules=rules)


async def _default_head(services: Services, run: RunInput, base: CommitSha) -> CommitSha:
    """Guidance for agents counts on the default branch only, whatever the base."""
    branch = run.trigger.default_branch
    if branch == run.base_branch:
        return base
    remote = await services.remote(run, READ_CODE)
    head = await services.mirrors.fetch(run.trigger.repository, remote, f"refs/heads/{branch}")
    return head or base
