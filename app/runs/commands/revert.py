"""`/honk revert`: open the pull request that takes a merged one back, and test it."""

from __future__ import annotations

import asyncio

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, Value
from app.errors import RetryableError
from app.github import merging, pulls
from app.github.refusals import GitHubRefusedError, MissingPermissionError, NoTokenError
from app.runs import durable, intake, starting
from app.runs.commands import check
from app.runs.durable import NoResult
from app.runs.services import PUBLISH, Services


class RevertResult(Value):
    """The pull request that reverts, or why there is none."""

    number: int | None = None
    head_sha: CommitSha | None = None
    problem: str = ""
    next_step: str = ""


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Open it unless it is open already, and verify it like any pull request of Honk's."""
    done = await durable.step("revert", RevertResult, lambda: _revert_once(services, trigger))
    if done.number is None:
        await starting.refuse(services, trigger, (done.problem, done.next_step))
        return
    answer = messages.merge.reverted(trigger.number, done.number)
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, answer))
    change = {
        # The same for two requests: there is one verdict.
        "id": f"revert:{trigger.repository_id}:{done.number}:{done.head_sha}",
        "kind": "check",
        "number": done.number,
        "title": messages.merge.revert_title(trigger.title),
        "closed": False,
        "command": None,
        "comment": None,
        "label": None,
        "head_sha": done.head_sha,
    }
    # GitHub's event for a pull request that Honk opened is Honk's own, and ignored.
    bot = {"author": trigger.actor.model_copy(update={"login": await services.bot_login()})}
    await check.handle(services, trigger.model_copy(update={**change, **bot}), policy)


async def _revert_once(services: Services, trigger: Trigger) -> RevertResult:
    """Two requests at once make one pull request, and get the same answer."""
    name = f"revert {trigger.repository_id} {trigger.number}"
    async with (
        services.locks.only_one(name, asyncio.Event()),
        services.database.alone(name) as ours,
    ):
        if not ours:
            raise RetryableError(f"Another worker is reverting #{trigger.number}.")
        return await _revert(services, trigger)


async def _revert(services: Services, trigger: Trigger) -> RevertResult:
    number = trigger.number
    if not trigger.is_pull_request:
        return _refused(messages.refusals.only_on_pulls("revert"))
    client = await services.github.repository(trigger.installation_id, trigger.repository, PUBLISH)
    pull = await pulls.pull_request(client, number)
    if not pull.merged:
        return _refused(messages.merge.nothing_to_revert(number))
    try:
        made = await merging.ensure_revert(
            client,
            pull,
            title=messages.merge.revert_title(pull.title),
            body=messages.merge.revert_body(str(trigger.repository), number, trigger.actor.login),
        )
    except (MissingPermissionError, NoTokenError):
        raise
    except GitHubRefusedError as refusal:
        return _refused(messages.merge.revert_refused(number, refusal.reason))
    return RevertResult(number=made.number, head_sha=made.head_sha)


def _refused(refusal: tuple[str, str]) -> RevertResult:
    return RevertResult(problem=refusal[0], next_step=refusal[1])
