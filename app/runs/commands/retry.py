"""`/honk retry`: a new run of the last request, however the last run ended."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Mode
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.runs import durable, intake, starting
from app.runs.services import Services


class RetryRequest(Value):
    """The request to retry; empty without an earlier run."""

    request: str = ""
    mode: Mode = "work"


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start over from the base branch, unless a run is live."""
    state = await starting.recorded_state(services, trigger)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.stop_first(trigger.number))
        return
    previous = await durable.step(
        "load last request", RetryRequest, lambda: _last_request(services, trigger)
    )
    run = intake.new_run(services, trigger, policy, request=previous.request)
    await starting.start(services, trigger, run.model_copy(update={"mode": previous.mode}))


async def _last_request(services: Services, trigger: Trigger) -> RetryRequest:
    """The last run's request; not that of an `ask`, which has its answer."""
    rows = await intake.requested_runs(services, trigger)
    row = next((row for row in rows if row.input.mode != "ask"), None)
    return RetryRequest(request=row.input.request, mode=row.input.mode) if row else RetryRequest()
