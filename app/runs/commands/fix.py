"""`/honk fix [task]`: make the failing checks of a pull request pass."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, Value
from app.github import checks, pulls
from app.runs import durable, intake, starting
from app.runs.commands import work
from app.runs.services import READ_CHECKS, Services


class FailingChecks(Value):
    """How many checks of other Apps fail on the pull request's head."""

    head: CommitSha
    count: int


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that gets the failing checks as context."""
    said = trigger.command.task if trigger.command else ""
    if not trigger.is_pull_request:
        # On an issue, "/honk fix the rounding" is an ordinary task: only pull requests have checks.
        if said:
            await work.handle(services, trigger, policy)
        else:
            await starting.refuse(services, trigger, messages.refusals.only_on_pulls("fix"))
        return
    state = await starting.recorded_state(services, trigger)
    if state.live and said:
        await work.handle(services, trigger, policy)
        return
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
        return
    failing = await durable.step(
        "count failing checks", FailingChecks, lambda: count_failing(services, trigger)
    )
    if not failing.count and not said:
        await starting.refuse(services, trigger, messages.refusals.nothing_fails(failing.head))
        return
    run = intake.new_run(services, trigger, policy)
    await starting.start(services, trigger, run, fixing=failing.count > 0)


async def count_failing(services: Services, trigger: Trigger) -> FailingChecks:
    """Count the failing checks on the pull request's head, except ours."""
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, READ_CHECKS
    )
    pull = await pulls.pull_request(client, trigger.number)
    found = await checks.failing(client, pull.head_sha)
    return FailingChecks(head=pull.head_sha, count=len(found))
