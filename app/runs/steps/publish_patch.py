"""Work on a fork: a patch that people can read and apply."""

from __future__ import annotations

from app.domain.run import Preparation, RunInput
from app.domain.values import Value
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.checkpoint import CheckpointResult

MAX_BYTES = 40_000


class PatchResult(Value):
    """What the work changes, cut at a comment's size; a cut says so in its last line."""

    text: str


async def create_patch(
    services: Services, run: RunInput, preparation: Preparation, packed: CheckpointResult
) -> PatchResult:
    """The difference between the fork's head and the work."""
    repo = run.trigger.repository
    await handoff.fetch_commits(services, run, preparation.base, packed.commit)
    text = await services.mirrors.diff(repo, preparation.base, packed.commit, MAX_BYTES)
    return PatchResult(text=text)
