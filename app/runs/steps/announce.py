"""The status comment while a run works: edited when the phase changes, else once a minute."""

from __future__ import annotations

import time

import structlog

from app.domain import labels, words
from app.domain.budget import CALLS, Nearly, for_the_agent, nearly_spent
from app.domain.run import Phase, RunInput
from app.domain.words import PlanItem, Told, Usage
from app.errors import HonkError
from app.github import conversation
from app.runs import talk
from app.runs.services import TALK, Services
from app.store.runs import RunRow

log = structlog.get_logger()

# Of what GitHub lets an installation write, this share is kept for first and last words.
_KEPT_BACK = 0.4


async def announce(
    services: Services, run: RunInput, phase: Phase, *, plan: list[PlanItem] | None = None
) -> None:
    """Show where the run is. What fails here is logged: words on the way must not stop the work."""
    row = await services.runs.get(run.id)
    new_phase = row.phase is not phase
    row = await services.runs.enter(run.id, phase)
    if plan is not None:
        row = await services.runs.update(run.id, plan=[item.model_dump() for item in plan])
    told = told_of(services, row)
    warned = frozenset(each.which for each in told.nearly) | _refusal(row)
    due = new_phase or services.edits.is_due(run.id) or services.edits.is_news(run.id, warned)
    if row.status_comment_id is None or not due or calls_of(row) >= CALLS:
        return
    try:
        client = await services.client(run, TALK)
        if phase is Phase.WORKING and new_phase:
            # Not held up: taking it off is how the run is stopped from a phone.
            await talk.set_label(client, run.trigger, labels.RUNNING)
        if not await services.writes.allow(row.installation_id, keep_back=_KEPT_BACK):
            return
        services.edits.made(run.id, warned)
        text = words.status_working(told, phase)
        await conversation.edit_comment(client, row.status_comment_id, text)
    except HonkError as problem:
        log.warning("the status comment was not edited", run=run.id, why=str(problem))


def told_of(services: Services, row: RunRow) -> Told:
    """What the status comment tells of a run, as it stands now."""
    run = row.input
    return Told(
        run=row.id,
        requester="" if run.trigger.kind == "unasked" else run.trigger.actor.login,
        asked=run.request or run.trigger.title,
        mode=run.mode,
        plan=tuple(PlanItem.recorded(item) for item in row.plan or []),
        planned=run.planned,
        usage=usage_of(row) if row.model_turns else None,
        calls=calls_of(row),
        nearly=_nearly_spent(services, row),
        kept_here=row.kept_here or "",
        phases=tuple((Phase(name), at) for name, at in row.phases or []),
        now=row.finished_at or time.time(),
        manifest=run.manifest,
        tried=services.tried.of(row.id),
        page=f"{services.public_url}/runs/{row.id}" if services.public_url else "",
    )


def _refusal(row: RunRow) -> frozenset[str]:
    return frozenset({row.kept_here} if row.kept_here else ())


def calls_of(row: RunRow) -> int:
    """The run's calls to GitHub's API, as far as they are written down."""
    return row.api_calls + row.status_edits + row.token_requests


def _nearly_spent(services: Services, row: RunRow) -> tuple[Nearly, ...]:
    policy = row.input.policy
    share = for_the_agent(policy.budget, judge=policy.judge)
    return nearly_spent(share, row.cost_usd, services.edits.seconds(row.id), row.model_turns)


def usage_of(row: RunRow) -> Usage:
    """What the run has used until now."""
    end = row.finished_at or time.time()
    return Usage(
        cost_usd=row.cost_usd, model_turns=row.model_turns, seconds=max(0.0, end - row.created_at)
    )
