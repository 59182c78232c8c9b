"""`/honk test`: the head of a pull request as it stands, judged like a commit of our own."""

from __future__ import annotations

from app.domain import words
from app.domain.run import Preparation, RunInput
from app.github import checks
from app.runs.services import SEAL, Services
from app.runs.steps.seal import Sealed


async def look(services: Services, run: RunInput, preparation: Preparation) -> Sealed:
    """The head commit, and a check run on it."""
    head = preparation.parent
    repo = run.trigger.repository
    await services.mirrors.pin(repo, f"{run.id}-sealed", head)
    client = await services.client(run, SEAL)
    check = await checks.ensure_check_run(client, words.CHECK_TESTS, head, run.id)
    tree = await services.mirrors.tree_of(repo, head)
    return Sealed(sha=head, tree=tree, check_run=check.id, check_url=check.url)
