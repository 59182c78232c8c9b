"""`/honk test`: verify a pull request's head like a commit of our own."""

from __future__ import annotations

from app import messages
from app.domain.run import Preparation
from app.github import checks
from app.runs.attempt import Attempt
from app.runs.services import WRITE_COMMITS
from app.runs.steps.commit import CommitResult


async def verify_head(attempt: Attempt, preparation: Preparation) -> CommitResult:
    """The head commit, with a check run on it."""
    services, run = attempt.services, attempt.run
    head = preparation.parent
    repo = run.trigger.repository
    await services.mirrors.pin(repo, f"{run.id}-sealed", head)
    client = await services.client(run, WRITE_COMMITS)
    check = await checks.ensure_check_run(client, messages.check_run.TESTS_CHECK, head, run.id)
    tree = await services.mirrors.tree_of(repo, head)
    return CommitResult(sha=head, tree=tree, check_run=check.id, check_url=check.url)
