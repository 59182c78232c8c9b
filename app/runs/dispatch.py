"""Handling one trigger: check permission and policy, then run the command."""

from __future__ import annotations

import structlog

from app import log_events, messages
from app.domain.trigger import Trigger
from app.errors import UserError
from app.runs import commands, durable, intake, pending, starting
from app.runs.commands import check
from app.runs.durable import InternalError, NoResult
from app.runs.intake import Authorization, Refreshed
from app.runs.services import Services

log = structlog.get_logger()


async def dispatch(services: Services, trigger: Trigger, tries: int = 0) -> None:
    """Handle one trigger. Unauthorized people get no reply, only a log line.

    A failing request is deferred; `tries` counts the earlier failures.
    """
    structlog.contextvars.bind_contextvars(trigger=trigger.id)
    services.github.know(trigger.repository, trigger.repository_id)
    authorization = Authorization()
    try:
        if tries:
            trigger = (
                await durable.step(
                    "refresh", Refreshed, lambda: intake.refreshed(services, trigger)
                )
            ).trigger
        authorization = await durable.step(
            "authorize", Authorization, lambda: intake.authorize(services, trigger)
        )
        await _execute(services, trigger, authorization)
    except (UserError, InternalError) as problem:
        may_comment = authorization.policy is not None and trigger.kind != "check"
        await pending.defer(services, trigger, problem, may_comment=may_comment)
    else:
        if tries:
            await pending.mark_handled(services, trigger)


async def _execute(services: Services, trigger: Trigger, authorization: Authorization) -> None:
    invalid = intake.validation_error(services, trigger)
    if authorization.policy is not None and invalid is None:
        handler = _handler(trigger, may_comment=authorization.may_comment)
        if handler is None:
            await starting.refuse(services, trigger, messages.refusals.only_verifies())
            return
        await handler(services, trigger, authorization.policy)
    elif authorization.policy is not None and invalid is not None:
        await durable.step("refuse", NoResult, lambda: intake.refuse(services, trigger, *invalid))
    elif authorization.problem and intake.only_verifies_head(trigger):
        await check.show_policy_error(services, trigger, authorization)
    elif intake.should_reply(trigger, authorization):
        refusal = authorization.problem, authorization.next_step
        await durable.step("refuse", NoResult, lambda: intake.refuse(services, trigger, *refusal))
    else:
        why = authorization.silent or authorization.problem
        log.info(log_events.TRIGGER_IGNORED, why=why)
        if any(channel.takes(trigger.id) for channel in services.channels):
            await durable.step(
                "tell asker", NoResult, lambda: intake.tell_asker(services, trigger, why)
            )


def _handler(trigger: Trigger, *, may_comment: bool) -> commands.Handler | None:
    """The trigger's handler; None if the App's permissions allow only verification."""
    if may_comment or trigger.kind == "check":
        return commands.handler(trigger)
    name = trigger.command.name if trigger.command is not None else ""
    if name == "test" and trigger.is_pull_request:
        return check.handle_comment
    return commands.handler(trigger) if name == "accept" else None
