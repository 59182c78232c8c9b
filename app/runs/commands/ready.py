"""`/honk ready`: mark one of Honk's drafts ready for review, whatever its tests say."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.github import pulls
from app.github.pulls import NOT_READY
from app.runs import (
    durable,
    intake,
    reply,
    starting,
)
from app.runs.durable import NoResult
from app.runs.services import PUBLISH, Services


class ReadyResult(Value):
    """The pull request that is now ready, or why nothing was done."""

    number: int | None = None
    problem: str = ""
    next_step: str = ""


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Mark the pull request ready: a person may overrule failing tests, since they decide on the
    merge."""
    done = await durable.step("ready", ReadyResult, lambda: _ready(services, trigger))
    number = done.number
    if number is None:
        await starting.refuse(services, trigger, (done.problem, done.next_step))
        return
    text = messages.comments.made_ready(number)
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, text))


async def _ready(services: Services, trigger: Trigger) -> ReadyResult:
    number: int | None = trigger.number
    if not trigger.is_pull_request:
        row = await intake.last_run(services, trigger)
        number = row.pull_number if row else None
    if number is None:
        return _refused(messages.refusals.only_on_pulls("ready"))
    client = await services.github.repository(trigger.installation_id, trigger.repository, PUBLISH)
    pull = await pulls.pull_request(client, number)
    if pull.author.login != await services.bot_login():
        return _refused(messages.refusals.not_our_pull(number))
    if pull.state != "open":
        return _refused(messages.refusals.pull_is_closed(number, merged=pull.merged))
    if pull.draft:
        await pulls.ready_for_review(client, pull.node_id)
    if pull.title.startswith(NOT_READY):
        await pulls.update_pull_request(client, number, title=pull.title.removeprefix(NOT_READY))
    asked = pulls.request_review(client, number, trigger.actor.login)
    await reply.decorate("the request for a review", asked)
    return ReadyResult(number=number)


def _refused(refusal: tuple[str, str]) -> ReadyResult:
    return ReadyResult(problem=refusal[0], next_step=refusal[1])
