"""The code that a run starts from, and the commands that make it ready to work in."""

from __future__ import annotations

from app.domain import sanitize, words
from app.domain.run import Phase, Preparation, RunInput
from app.domain.values import CommitSha
from app.errors import UserError
from app.runs.services import READ_CODE, Services
from app.workspace.checkout import Workspace

SETUP_OUTPUT = 4_000


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


async def set_up(services: Services, run: RunInput, workspace: Workspace) -> None:
    """Run the policy's `setup` commands in the workspace. Raises UserError when one fails."""
    for line in run.policy.setup:
        done = await services.sandbox.run(services.workspaces.spec(workspace), ["bash", "-c", line])
        if done.exit_code == 0:
            continue
        output = done.output.decode("utf-8", "replace")
        how = "did not end in time" if done.timed_out else f"ended with {done.exit_code}"
        raise UserError(
            f"The set-up command {sanitize.code(line, limit=200)} {how}:\n\n"
            + sanitize.fence(output, limit=SETUP_OUTPUT),
            next_step="Mend `setup` in `.github/honk.yml`. Set-up has no network.",
        )
