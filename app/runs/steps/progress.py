"""The status comment of a live run: edited when the phase changes, otherwise at most once a
minute."""

from __future__ import annotations

import time

import structlog

from app import log_events, messages
from app.domain import (
    labels,
)
from app.domain.budget import CALLS, BudgetWarning, agent_budget, budget_warnings
from app.domain.report import (
    PlanItem,
    StatusContext,
    Usage,
)
from app.domain.run import Phase, RunInput
from app.domain.setup_outcome import SetupOutcome
from app.errors import HonkError, UserError
from app.github import conversation
from app.recipes.policy_file import policy_text
from app.runs import reply
from app.runs.services import WRITE_COMMENTS, Services
from app.store.runs import RunRow

log = structlog.get_logger()

# The share of an installation's write limit that is reserved for first and final comments.
_RESERVED_SHARE = 0.4


async def announce(
    services: Services, run: RunInput, phase: Phase, *, plan: list[PlanItem] | None = None
) -> None:
    """Show the run's progress. Failures are logged: a status update must not stop the work."""
    recorded = None if plan is None else [item.model_dump() for item in plan]
    row, new_phase = await services.runs.enter(run.id, phase, plan=recorded)
    context = status_context(services, row)
    warned = frozenset(each.which for each in context.nearly) | _refusal(row)
    is_due = (
        new_phase or services.edits.is_due(run.id) or services.edits.has_new_warning(run.id, warned)
    )
    if row.status_comment_id is None or not is_due or calls_of(row) >= CALLS:
        return
    try:
        client = await services.client(run, WRITE_COMMENTS)
        if phase is Phase.WORKING and new_phase:
            # Never skipped: removing this label is how people stop the run from a phone.
            await reply.set_label(client, run.trigger, labels.RUNNING)
        if not await services.writes.allow(row.installation_id, keep_back=_RESERVED_SHARE):
            return
        services.edits.record_edit(run.id, warned)
        text = messages.status_comment.working(context, phase)
        await conversation.edit_comment(client, row.status_comment_id, text)
    except HonkError as problem:
        log.warning(log_events.STATUS_COMMENT_NOT_EDITED, run=run.id, why=str(problem))


def status_context(services: Services, row: RunRow) -> StatusContext:
    """The data of a run's status comment."""
    run = row.input
    outcome = SetupOutcome.recorded(row.setup_outcome) if row.setup_outcome else None
    return StatusContext(
        run=row.id,
        requester="" if run.trigger.kind == "unasked" else run.trigger.actor.login,
        asked=run.request or run.trigger.title,
        mode=run.mode,
        plan=tuple(PlanItem.recorded(item) for item in row.plan or []),
        planned=run.planned,
        usage=usage_of(row) if row.model_turns else None,
        nearly=_nearly_spent(services, row),
        kept_here=row.kept_here or "",
        phases=tuple((Phase(name), at) for name, at in row.phases or []),
        now=row.finished_at or time.time(),
        manifest=run.manifest,
        tried=services.blocked_hosts.of(row.id),
        setup=outcome,
        policy_file=_policy_file(outcome),
        page=f"{services.public_url}/runs/{row.id}" if services.public_url else "",
    )


def _policy_file(outcome: SetupOutcome | None) -> str:
    """The setup as a policy to paste; empty if nothing worked or a policy cannot express it."""
    if outcome is None or not outcome.ran:
        return ""
    try:
        return policy_text(outcome.plan, outcome.taken)
    except UserError:
        return ""


def _refusal(row: RunRow) -> frozenset[str]:
    return frozenset({row.kept_here} if row.kept_here else ())


def calls_of(row: RunRow) -> int:
    """The run's recorded calls to GitHub's API."""
    return row.api_calls + row.status_edits + row.token_requests


def _nearly_spent(services: Services, row: RunRow) -> tuple[BudgetWarning, ...]:
    policy = row.input.policy
    share = agent_budget(policy.budget, judge=policy.judge)
    return budget_warnings(
        share, row.cost_usd, services.edits.work_seconds(row.id), row.model_turns
    )


def usage_of(row: RunRow) -> Usage:
    """What the run has used so far."""
    end = row.finished_at or time.time()
    return Usage(
        cost_usd=row.cost_usd, model_turns=row.model_turns, seconds=max(0.0, end - row.created_at)
    )
