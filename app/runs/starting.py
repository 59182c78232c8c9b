"""The three outcomes of a command that requests work: start a run, resume one, or refuse."""

from __future__ import annotations

from typing import Literal

from app import messages
from app.domain import (
    labels,
)
from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, RunId, Value
from app.runs import (
    collapse_old_comments,
    context,
    durable,
    intake,
)
from app.runs.context import RunContext
from app.runs.durable import NoResult
from app.runs.intake import DeliveredMessage, SubjectState
from app.runs.queue import enqueue_attempt
from app.runs.services import Services
from app.store.runs import start_of_today


class BudgetLeft(Value):
    """US dollars left today, and whose limit that is."""

    usd: float
    of: Literal["repository", "installation", "operator"]


class DailyBudget(Value):
    """US dollars left today under the operator's limits and the policy's; None without a limit."""

    everywhere: float | None
    installation: float | None
    repository: float | None


class ExtendResult(Value):
    """A run as updated for its next attempt."""

    run: RunInput


async def recorded_state(
    services: Services, trigger: Trigger, *, skip_answered: bool = False
) -> SubjectState:
    """`intake.subject_state` as a recorded step: what a command decides on stays the same."""
    return await durable.step(
        "load state",
        SubjectState,
        lambda: intake.subject_state(services, trigger, skip_answered=skip_answered),
    )


async def start(
    services: Services, trigger: Trigger, run: RunInput, *, fixing: bool = False
) -> None:
    """Acknowledge the request, collect its context, and queue the first attempt.

    `fixing` means that the run is about the pull request's failing checks.
    """
    if await _is_refused(services, trigger):
        return
    if run.mode not in ("test", "setup"):
        if await _lacks_model(services, trigger, run.engine):
            return
        left = await durable.step(
            "check daily budget", BudgetLeft, lambda: budget_left(services, run)
        )
        if left.usd <= 0:
            await refuse(services, trigger, messages.refusals.daily_budget_spent(left.of))
            return
        run = _cap_budget(run, left.usd)
    await durable.step("acknowledge", NoResult, lambda: intake.acknowledge(services, run))
    gathered = run
    if not run.quiet:
        gathered = (
            await durable.step(
                "collect context",
                RunContext,
                lambda: context.collect_context(services, run, fixing=fixing),
            )
        ).run
    await enqueue_attempt(gathered, 1)
    await durable.step(
        "collapse old comments",
        NoResult,
        lambda: collapse_old_comments.collapse_old_comments(services, run),
    )


async def budget_left(services: Services, run: RunInput) -> BudgetLeft:
    """The smallest budget left today, of the policy's and the operator's limits."""
    day = await budget_left_today(services, run.policy, run.trigger)
    limits = [
        BudgetLeft(usd=float("1e9") if day.everywhere is None else day.everywhere, of="operator"),
        *(
            []
            if day.installation is None
            else [BudgetLeft(usd=day.installation, of="installation")]
        ),
        *([] if day.repository is None else [BudgetLeft(usd=day.repository, of="repository")]),
    ]
    return min(limits, key=lambda left: left.usd)


async def budget_left_today(services: Services, policy: Policy, trigger: Trigger) -> DailyBudget:
    """What is left of each limit today (UTC)."""
    today = start_of_today()
    spent = services.runs.spent_since
    operator, installation = services.usd_per_day, services.usd_per_day_installation
    repository = policy.budget.per_day_usd
    if operator is not None:
        operator -= await spent(today)
    if installation is not None:
        installation -= await spent(today, installation=trigger.installation_id)
    if repository is not None:
        repository -= await spent(today, repository=str(trigger.repository))
    return DailyBudget(everywhere=operator, installation=installation, repository=repository)


def _cap_budget(run: RunInput, usd: float) -> RunInput:
    """The run with its budget capped at what is left today."""
    budget = run.policy.budget
    capped = budget.model_copy(update={"usd": min(budget.usd, usd)})
    return run.model_copy(update={"policy": run.policy.model_copy(update={"budget": capped})})


async def _is_refused(services: Services, trigger: Trigger) -> bool:
    """Refuse the request if the subject is on hold or closed; return whether it was refused."""
    if labels.HOLD in trigger.labels:
        await refuse(services, trigger, messages.refusals.on_hold())
        return True
    if trigger.closed:
        await refuse(services, trigger, messages.refusals.subject_is_closed(trigger.number))
        return True
    return False


async def _lacks_model(services: Services, trigger: Trigger, engine: str) -> bool:
    """Refuse the request if no agent can work; return whether it was refused."""
    problem = services.engines.problem(engine)
    if problem is not None:
        await refuse(services, trigger, messages.refusals.no_model(problem.message))
    return problem is not None


async def resume(
    services: Services,
    trigger: Trigger,
    policy: Policy,
    state: SubjectState,
    *,
    said: str = "",
    carry_out: bool = False,
    trusted: CommitSha | None = None,
) -> None:
    """Start the run's next attempt, with a person's message if there is one.

    `carry_out` executes the plan that the run made. `trusted` is the fork's commit on which the
    work may be pushed.
    """
    if await _is_refused(services, trigger):
        return
    assert state.run is not None
    row = await durable.step("load run", ExtendResult, lambda: _load_run(services, state))
    if await _lacks_model(services, trigger, row.run.engine):
        return
    left = await durable.step(
        "check daily budget", BudgetLeft, lambda: budget_left(services, row.run)
    )
    if left.usd <= 0:
        await refuse(services, trigger, messages.refusals.daily_budget_spent(left.of))
        return
    run, attempt = state.run, state.attempt + 1
    if said:
        await durable.step(
            "deliver message",
            DeliveredMessage,
            lambda: intake.deliver_message(services, trigger, run, said),
        )
    extended = await durable.step(
        "extend",
        ExtendResult,
        lambda: _extend(services, trigger, policy, run, attempt if carry_out else None, trusted),
    )
    await durable.step(
        "reopen", NoResult, lambda: intake.reopen(services, trigger, extended.run, attempt)
    )
    await enqueue_attempt(extended.run, attempt)


async def _load_run(services: Services, state: SubjectState) -> ExtendResult:
    assert state.run is not None
    return ExtendResult(run=(await services.runs.get(state.run)).input)


async def refuse(services: Services, trigger: Trigger, refusal: tuple[str, str]) -> None:
    """Comment why nothing starts, and what to do."""
    await durable.step("refuse", NoResult, lambda: intake.refuse(services, trigger, *refusal))


async def _extend(
    services: Services,
    trigger: Trigger,
    policy: Policy,
    run: RunId,
    carries_out: int | None,
    trusted: CommitSha | None,
) -> ExtendResult:
    """Set the budget to what the run has used plus one more budget of the policy, or the requested
    one."""
    row = await services.runs.get(run)
    used, more = row.input.policy.budget, policy.budget
    asked = trigger.command.arguments.budget_usd if trigger.command else None
    budget = used.model_copy(
        update={
            "usd": row.cost_usd + (more.usd if asked is None else asked),
            "minutes": used.minutes + more.minutes,
            "turns": row.model_turns + more.turns,
        }
    )
    change: dict[str, object] = {
        "policy": row.input.policy.model_copy(update={"budget": budget}),
    }
    if carries_out is not None:
        plan = await services.reports.of(run, row.attempt)
        planned = plan.work.text if plan is not None and plan.work is not None else ""
        change |= {"mode": "work", "carries_out": carries_out, "planned": planned}
    if trusted is not None:
        change |= {"trusted": trusted}
    if trigger.actor.id not in {each.id for each in row.input.requesters}:
        change |= {"resumed_by": (*row.input.resumed_by, trigger.actor)}
    return ExtendResult(run=row.input.model_copy(update=change))
