"""Work on a fork: a patch that people can read and apply."""

from __future__ import annotations

from app.domain.run import Preparation, RunInput
from app.domain.values import Value
from app.runs.services import Services
from app.runs.steps import elsewhere
from app.runs.steps.checkpoint import Packed

MAX_BYTES = 40_000


class Patch(Value):
    """What the work changes, cut at a comment's size; a cut says so in its last line."""

    text: str


async def patch(
    services: Services, run: RunInput, preparation: Preparation, packed: Packed
) -> Patch:
    """The difference between the fork's head and the work."""
    repo = run.trigger.repository
    await elsewhere.bring_commits(services, run, preparation.base, packed.commit)
    text = await services.mirrors.diff(repo, preparation.base, packed.commit, MAX_BYTES)
    return Patch(text=text)
