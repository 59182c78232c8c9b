"""The status comment while a run works: edited when the phase changes, else once a minute."""

from __future__ import annotations

import time

import structlog

from app.domain import labels, words
from app.domain.run import Phase, RunInput
from app.domain.words import PlanItem, Usage
from app.errors import HonkError
from app.github import conversation
from app.runs.services import TALK, Services
from app.store.runs import RunRow

log = structlog.get_logger()


async def announce(
    services: Services, run: RunInput, phase: Phase, *, plan: list[PlanItem] | None = None
) -> None:
    """Show where the run is. What fails here is logged: words on the way must not stop the work."""
    row = await services.runs.get(run.id)
    changes = {} if plan is None else {"plan": [item.model_dump() for item in plan]}
    new_phase = row.phase is not phase
    row = await services.runs.update(run.id, phase=phase.value, **changes)
    if row.status_comment_id is None or not (new_phase or services.edits.is_due(run.id)):
        return
    services.edits.made(run.id)
    text = words.status_working(
        run.id,
        run.trigger.actor.login,
        phase,
        plan_of(row),
        usage_of(row),
        services.tried.of(run.id),
    )
    try:
        client = await services.client(run, TALK)
        await conversation.edit_comment(client, row.status_comment_id, text)
        if phase is Phase.WORKING and new_phase:
            await conversation.set_state_label(
                client, run.trigger.number, labels.RUNNING, words.LABELS
            )
    except HonkError as problem:
        log.warning("the status comment was not edited", run=run.id, why=str(problem))


def plan_of(row: RunRow) -> list[PlanItem]:
    """The agent's checklist as it was last told."""
    return [PlanItem.model_validate(item) for item in row.plan or []]


def usage_of(row: RunRow) -> Usage:
    """What the run has used until now."""
    end = row.finished_at or time.time()
    return Usage(
        cost_usd=row.cost_usd, model_turns=row.model_turns, seconds=max(0.0, end - row.created_at)
    )
