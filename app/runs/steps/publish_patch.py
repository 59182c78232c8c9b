"""The work on a fork's pull request, as a patch that people can read and apply."""

from __future__ import annotations

from app.domain.run import Preparation, RunInput
from app.domain.values import Value
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.checkpoint import CheckpointResult

MAX_BYTES = 40_000


class PatchResult(Value):
    """The patch, cut to a comment's size; its last line says if it was cut."""

    text: str


async def create_patch(
    services: Services, run: RunInput, preparation: Preparation, packed: CheckpointResult
) -> PatchResult:
    """The diff between the fork's head and the work."""
    repo = run.trigger.repository
    await handoff.fetch_commits(services, run, preparation.base, packed.commit)
    text = await services.mirrors.diff(repo, preparation.base, packed.commit, MAX_BYTES)
    return PatchResult(text=text)
