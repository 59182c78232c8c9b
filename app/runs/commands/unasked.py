"""The outer loop: what happens to a pull request of ours without anybody asking."""

from __future__ import annotations

import structlog

from app.domain.policy import Policy
from app.domain.run import subject_key
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.runs import durable, intake, starting
from app.runs.commands import fix
from app.runs.commands.fix import Failing
from app.runs.intake import Standing
from app.runs.services import Services

log = structlog.get_logger()


class Before(Value):
    """How often the pull request was worked on unasked."""

    times: int


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Somebody pushed: their head is judged. Another App's checks fail: they are worked on."""
    standing = await durable.step("look", Standing, lambda: intake.look(services, trigger))
    if standing.live or trigger.closed:
        log.info("nothing starts unasked", live=standing.live, closed=trigger.closed)
    elif trigger.command is not None and trigger.command.name == "test":
        run = intake.new_run(services, trigger, policy, request="Run the tests")
        quiet = run.model_copy(update={"mode": "test", "quiet": True})
        await starting.start(services, trigger, quiet)
    else:
        await _fix(services, trigger, policy)


async def _fix(services: Services, trigger: Trigger, policy: Policy) -> None:
    before = await durable.step("count", Before, lambda: _count(services, trigger))
    if before.times >= policy.auto_fix_ci:
        log.info("failing checks are left to people", times=before.times)
        return
    failing = await durable.step("look at the checks", Failing, lambda: fix.look(services, trigger))
    if failing.count:
        run = intake.new_run(services, trigger, policy, request="")
        await starting.start(services, trigger, run, fixing=True)


async def _count(services: Services, trigger: Trigger) -> Before:
    rows = await services.runs.of_subject(subject_key(trigger.repository, trigger.number))
    unasked = [row for row in rows if row.input.trigger.kind == "unasked" and not row.input.quiet]
    return Before(times=len(unasked))
