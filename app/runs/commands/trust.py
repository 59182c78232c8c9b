"""`/honk trust SHA`: a person vouches for a fork's commit, so that work on it may be pushed."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, Value
from app.github import pulls
from app.runs import durable, starting
from app.runs.services import READ_PULLS, Services


class HeadResult(Value):
    """The pull request's head, and whether it comes from a fork."""

    sha: CommitSha
    fork: bool


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Publish the work shown earlier, on top of exactly the commit the person has read."""
    if not trigger.is_pull_request:
        await starting.refuse(services, trigger, messages.refusals.only_on_pulls("trust"))
        return
    head = await durable.step("load head", HeadResult, lambda: _load_head(services, trigger))
    if not head.fork:
        await starting.refuse(services, trigger, messages.refusals.not_a_fork(trigger.number))
        return
    if trigger.command is None or trigger.command.sha.lower() != head.sha:
        await starting.refuse(services, trigger, messages.refusals.trust_which(head.sha))
        return
    state = await starting.recorded_state(services, trigger)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif state.outcome is not Outcome.SHOWN:
        await starting.refuse(services, trigger, messages.refusals.nothing_to_trust(trigger.number))
    else:
        await starting.resume(services, trigger, policy, state, trusted=head.sha)


async def _load_head(services: Services, trigger: Trigger) -> HeadResult:
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, READ_PULLS
    )
    pull = await pulls.pull_request(client, trigger.number)
    return HeadResult(sha=pull.head_sha, fork=not pull.same_repository)
