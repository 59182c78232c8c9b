"""The three ends of every command that asks for work: a run starts, goes on, or nothing starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from app.domain import labels, words
from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, RunId, Value
from app.runs import durable, gather, intake, supersede
from app.runs.durable import Nothing
from app.runs.gather import Gathered
from app.runs.intake import Heard, Standing
from app.runs.queue import enqueue_attempt
from app.runs.services import Services


class Left(Value):
    """Money that the day has left, in US dollars, and whose limit that is."""

    usd: float
    of: Literal["repository", "installation", "operator"]


class Day(Value):
    """US dollars that the day has left: of the operator's limits, and of the policy's.

    None where there is no limit.
    """

    everywhere: float | None
    installation: float | None
    repository: float | None


class Extended(Value):
    """A run as its next attempt is asked to do it."""

    run: RunInput


async def start(
    services: Services, trigger: Trigger, run: RunInput, *, fixing: bool = False
) -> None:
    """Show that it was heard, read what belongs to it, and put the first attempt in the queue.

    `fixing`: the failing checks of the pull request are what it is about.
    """
    if await _may_not(services, trigger):
        return
    if run.mode != "test":
        left = await durable.step("count the day's money", Left, lambda: _left(services, run))
        if left.usd <= 0:
            await refuse(services, trigger, words.day_is_spent(left.of))
            return
        run = _within(run, left.usd)
    await durable.step("acknowledge", Nothing, lambda: intake.acknowledge(services, run))
    gathered = run
    if not run.quiet:
        gathered = (
            await durable.step(
                "gather", Gathered, lambda: gather.gather(services, run, fixing=fixing)
            )
        ).run
    await enqueue_attempt(gathered, 1)
    await durable.step("put away", Nothing, lambda: supersede.supersede(services, run))


async def _left(services: Services, run: RunInput) -> Left:
    """What may still be spent today: by the policy here, by the operator everywhere."""
    day = await left_today(services, run.policy, run.trigger)
    limits = [
        Left(usd=float("1e9") if day.everywhere is None else day.everywhere, of="operator"),
        *([] if day.installation is None else [Left(usd=day.installation, of="installation")]),
        *([] if day.repository is None else [Left(usd=day.repository, of="repository")]),
    ]
    return min(limits, key=lambda left: left.usd)


async def left_today(services: Services, policy: Policy, trigger: Trigger) -> Day:
    """What the day (in UTC) has left of each limit."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    spent = services.runs.spent_since
    operator, installation = services.usd_per_day, services.usd_per_day_installation
    repository = policy.budget.per_day_usd
    if operator is not None:
        operator -= await spent(today)
    if installation is not None:
        installation -= await spent(today, installation=trigger.installation_id)
    if repository is not None:
        repository -= await spent(today, repository=str(trigger.repository))
    return Day(everywhere=operator, installation=installation, repository=repository)


def _within(run: RunInput, usd: float) -> RunInput:
    """The run with no more money than the day has left."""
    budget = run.policy.budget
    capped = budget.model_copy(update={"usd": min(budget.usd, usd)})
    return run.model_copy(update={"policy": run.policy.model_copy(update={"budget": capped})})


async def _may_not(services: Services, trigger: Trigger) -> bool:
    """Where nothing may start, that is said."""
    if labels.HOLD in trigger.labels:
        await refuse(services, trigger, words.on_hold())
        return True
    if trigger.closed:
        await refuse(services, trigger, words.is_closed(trigger.number))
        return True
    return False


async def resume(
    services: Services,
    trigger: Trigger,
    policy: Policy,
    standing: Standing,
    *,
    said: str = "",
    carry_out: bool = False,
    trusted: CommitSha | None = None,
) -> None:
    """The next attempt, with a person's words when there are any.

    `carry_out`: the run has made a plan, and now does what it says. `trusted`: the commit of a
    fork on which its work may be pushed.
    """
    if await _may_not(services, trigger):
        return
    assert standing.run is not None
    row = await durable.step("look at the run", Extended, lambda: _as_it_is(services, standing))
    left = await durable.step("count the day's money", Left, lambda: _left(services, row.run))
    if left.usd <= 0:
        await refuse(services, trigger, words.day_is_spent(left.of))
        return
    run, attempt = standing.run, standing.attempt + 1
    if said:
        await durable.step("hear", Heard, lambda: intake.hear(services, trigger, run, said))
    extended = await durable.step(
        "extend",
        Extended,
        lambda: _extend(services, trigger, policy, run, attempt if carry_out else None, trusted),
    )
    await durable.step(
        "reopen", Nothing, lambda: intake.reopen(services, trigger, extended.run, attempt)
    )
    await enqueue_attempt(extended.run, attempt)


async def _as_it_is(services: Services, standing: Standing) -> Extended:
    assert standing.run is not None
    return Extended(run=(await services.runs.get(standing.run)).input)


async def refuse(services: Services, trigger: Trigger, told: tuple[str, str]) -> None:
    """Say why nothing starts, and what to do."""
    await durable.step("refuse", Nothing, lambda: intake.refuse(services, trigger, *told))


async def _extend(
    services: Services,
    trigger: Trigger,
    policy: Policy,
    run: RunId,
    carries_out: int | None,
    trusted: CommitSha | None,
) -> Extended:
    """What the run has used, and on top of it one more budget of the policy, or what was asked."""
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
    return Extended(run=row.input.model_copy(update=change))
