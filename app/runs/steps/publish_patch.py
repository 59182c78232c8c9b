"""The work on a fork's pull request, as a patch that people can read and apply."""

from __future__ import annotations

from app.domain.run import Preparation
from app.domain.values import Value
from app.runs.attempt import Attempt
from app.runs.steps import handoff
from app.runs.steps.checkpoint import CheckpointResult

MAX_BYTES = 40_000


class PatchResult(Value):
    """The patch, cut to a comment's size; its last line says if it was cut."""

    text: str


async def create_patch(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult
) -> PatchResult:
    """The diff between the fork's head and the work."""
    services, run = attempt.services, attempt.run
    repo = run.trigger.repository
    await handoff.fetch_commits(services, run, preparation.base, packed.commit)
    text = await services.mirrors.diff(repo, preparation.base, packed.commit, MAX_BYTES)
    return PatchResult(text=text)
