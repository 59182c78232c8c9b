"""The check `honk / tests` on a pull request or a merge-queue entry: a verdict without the agent.

Nothing here comments or adds a label, so the App needs only to read code and write checks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import structlog

from app import log_events, messages
from app.domain.author_kind import AuthorKind, author_kind
from app.domain.policy import Policy
from app.domain.report import Report
from app.domain.run import Outcome, RunInput, attempt_id, run_id, subject_of
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.errors import UserError
from app.github import checks, pulls
from app.github.checks import Output
from app.github.pulls import PullRequest
from app.runs import buttons, durable, intake
from app.runs.attempt import Attempt
from app.runs.durable import NoResult
from app.runs.intake import Authorization
from app.runs.queue import cancel_attempt, enqueue_attempt
from app.runs.services import READ_PULLS, WRITE_CHECKS, Services
from app.runs.shared_commit import shared_with
from app.runs.steps import complete_check, report
from app.store.runs import RunRow

log = structlog.get_logger()

_FORMER_HEAD_PAUSES = (2.0, 5.0)
"""Seconds between polls of a pull request that shows a different head than the event."""


class Decision(Value):
    """What to do about a head: verify it, say why not in its check, or nothing (`why` is for the
    log). `at` is a moment before GitHub was asked for the head."""

    action: Literal["verify", "complete", "nothing"]
    why: str = ""
    title: str = ""
    summary: str = ""
    passes: bool = False
    at: datetime | None = None


class SupersedeResult(Value):
    """Whether a later request about the same pull request or entry is being verified."""

    is_superseded: bool = False


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Queue a verdict on the trigger's head, or complete its check with the reason against one."""
    decision = await durable.step(
        "decide about check", Decision, lambda: _decide(services, trigger, policy)
    )
    if decision.action == "nothing":
        log.info(log_events.CHECK_NOT_STARTED, why=decision.why)
        return
    if decision.at is not None:
        trigger = trigger.model_copy(update={"updated_at": decision.at})
    others = await durable.step("supersede", SupersedeResult, lambda: supersede(services, trigger))
    if others.is_superseded:
        log.info(log_events.CHECK_NOT_STARTED, why="a later request is at work")
        return
    if decision.action == "complete":
        await durable.step("complete check", NoResult, lambda: _refuse(services, trigger, decision))
        return
    run = new_run(services, trigger, policy)
    await durable.step("queue check", NoResult, lambda: _queue(services, run))
    await enqueue_attempt(run, 1)


async def show_policy_error(
    services: Services, trigger: Trigger, authorization: Authorization
) -> None:
    """Complete the check with the policy's error, if the policy or the operator asks for checks,
    and always on one of Honk's pull requests.
    """
    decision = await durable.step(
        "decide about check",
        Decision,
        lambda: _about_policy_error(services, trigger, authorization),
    )
    if decision.action == "nothing":
        log.info(log_events.CHECK_NOT_STARTED, why=decision.why)
        return
    if trigger.head_sha is None:
        # A push to one of Honk's pull requests continues the trigger of its run.
        located = await durable.step("locate head", Located, lambda: _on_head(services, trigger))
        trigger = located.trigger
    await durable.step("complete check", NoResult, lambda: _refuse(services, trigger, decision))


async def _about_policy_error(
    services: Services, trigger: Trigger, authorization: Authorization
) -> Decision:
    is_wanted = (
        services.check != "own" or authorization.asks_for_checks or trigger.command is not None
    )
    author = trigger.author.login if trigger.author is not None else ""
    if not is_wanted and author != await services.bot_login():
        return Decision(action="nothing", why=authorization.problem)
    title, summary = messages.check_run.policy_error(authorization.problem, authorization.next_step)
    return Decision(action="complete", title=title, summary=summary)


def pull_of(external_id: str) -> int | None:
    """The pull request that such an external id names; None for other external ids."""
    prefix = messages.check_run.BY_PULL
    number = external_id.removeprefix(prefix).partition(".")[0]
    is_ours = external_id.startswith(prefix) and number.isascii() and number.isdigit()
    return int(number) if is_ours else None


def new_run(services: Services, trigger: Trigger, policy: Policy) -> RunInput:
    """A run that only verifies and shows nothing but its check run."""
    run = intake.new_run(services, trigger, policy, request="Run the tests")
    group = trigger.merge_group
    base = {} if group is None else {"base_branch": group.base_ref}
    quiet = {"mode": "test", "quiet": True, "background": not trigger.is_requested}
    return run.model_copy(update={**quiet, **base})


class Located(Value):
    """The request, changed to one for the check on its pull request's current head."""

    trigger: Trigger


async def handle_comment(services: Services, trigger: Trigger, policy: Policy) -> None:
    """`/honk test` where Honk may not comment: the check is the whole answer."""
    located = await durable.step("locate head", Located, lambda: _on_head(services, trigger))
    await handle(services, located.trigger, policy)


async def _on_head(services: Services, trigger: Trigger) -> Located:
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, READ_PULLS
    )
    head = (await pulls.pull_request(client, trigger.number)).head_sha
    return Located(trigger=trigger.model_copy(update={"kind": "check", "head_sha": head}))


async def _decide(services: Services, trigger: Trigger, policy: Policy) -> Decision:
    """Whether and how to verify this head, depending on the pull request's author and
    repository.
    """
    # Workers compare these moments, and their own clocks differ.
    moment = await services.database.moment()
    decision = await _about_head(services, trigger, policy)
    return decision.model_copy(update={"at": moment})


async def _about_head(services: Services, trigger: Trigger, policy: Policy) -> Decision:
    if trigger.merge_group is not None and not trigger.number:
        return _of_author(services, trigger, policy, AuthorKind.PERSON, "an unnamed author")
    pull = await _present_pull(services, trigger)
    author = pull.author
    kind = author_kind(author.login, author.type, await services.bot_login())
    decision = _of_author(services, trigger, policy, kind, author.login)
    if decision.action == "nothing" or trigger.merge_group is not None:
        # Someone with write access put the entry in the merge queue.
        return decision
    return _of_pull(trigger, policy, pull)


async def _present_pull(services: Services, trigger: Trigger) -> PullRequest:
    """The pull request as GitHub shows it. Right after a push, GitHub may still show the previous
    head, and it sends no other event for the pushed one.
    """
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, READ_PULLS
    )
    pull = await pulls.pull_request(client, trigger.number)
    for pause in _FORMER_HEAD_PAUSES:
        if trigger.merge_group is not None or pull.head_sha == trigger.head_sha:
            break
        async with durable.released():
            await services.github.sleep(pause)
        pull = await pulls.pull_request(client, trigger.number)
    return pull


def _of_author(
    services: Services, trigger: Trigger, policy: Policy, kind: AuthorKind, login: str
) -> Decision:
    authors = policy.check.authors or services.check
    is_covered = (
        trigger.command is not None
        or authors == "all"
        or (authors == "bots" and kind is AuthorKind.OTHER_AGENT)
        or kind is AuthorKind.HONK
    )
    if is_covered:
        return Decision(action="verify")
    return Decision(action="nothing", why=f"`check: {authors}` does not include {login}")


def _of_pull(trigger: Trigger, policy: Policy, pull: PullRequest) -> Decision:
    if pull.state != "open":
        return Decision(action="nothing", why="the pull request is closed")
    if trigger.head_sha is not None and pull.head_sha != trigger.head_sha:
        return Decision(action="nothing", why=f"the head is {pull.head_sha} now")
    is_asked = trigger.command is not None
    if pull.same_repository or is_asked or policy.check.forks == "always":
        return Decision(action="verify")
    if policy.check.forks == "never":
        title, summary = messages.check_run.forks_never()
        return Decision(action="complete", title=title, summary=summary, passes=True)
    title, summary = messages.check_run.forks_ask(pull.number)
    return Decision(action="complete", title=title, summary=summary)


async def _refuse(services: Services, trigger: Trigger, decision: Decision) -> NoResult:
    """Complete the check with the reason; a required check passes only if the policy says so.

    Each request has its own check run, because GitHub shows and counts the newest one of a commit.
    """
    assert trigger.head_sha is not None
    if decision.passes:
        place = await shared_with(services, trigger, trigger.head_sha, measured=False)
        if place:
            title, summary = messages.check_run.shared(place)
            decision = Decision(action="complete", title=title, summary=summary)
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, WRITE_CHECKS
    )
    check = await checks.ensure_check_run(
        client,
        messages.check_run.TESTS_CHECK,
        trigger.head_sha,
        messages.check_run.pull_id(trigger.number, run_id(trigger.id)),
    )
    await checks.complete_check_run(
        client,
        check.id,
        conclusion="neutral" if decision.passes else "action_required",
        output=Output(title=decision.title, summary=decision.summary),
        actions=() if decision.passes else (buttons.TEST,),
    )
    return NoResult()


async def supersede(services: Services, trigger: Trigger) -> SupersedeResult:
    """Stop the verification of an earlier head; its check says so.

    Requests are handled concurrently, and an interrupted one may finish after a later one, so the
    order is that in which GitHub showed the heads.
    """
    assert trigger.head_sha is not None
    alive = await services.runs.alive_on(subject_of(trigger))
    others = [
        row for row in alive if row.input.trigger.kind == "check" and row.trigger_id != trigger.id
    ]
    for row in others:
        if row.input.trigger.updated_at <= trigger.updated_at:
            is_same = row.input.trigger.head_sha == trigger.head_sha
            why = messages.check_run.superseded_by(trigger.head_sha)
            newer = messages.check_run.superseded_by_newer()
            await stop(services, row, trigger.actor.login, newer if is_same else why)
    later = any(row.input.trigger.updated_at > trigger.updated_at for row in others)
    return SupersedeResult(is_superseded=later)


async def stop(services: Services, row: RunRow, by: str, why: str) -> None:
    """Stop a verification; a queued one ends at once."""
    row = await services.runs.ask_to_stop(row.id, by, why)
    if row.admitted_at is not None or not await cancel_attempt(attempt_id(row.id, row.attempt)):
        return
    try:
        await complete_check.complete_open_check_runs(services, row.input)
    except UserError as problem:
        log.warning(log_events.DEAD_RUN_CHECKS_LEFT_OPEN, run=row.id, why=str(problem))
    ending = Report(outcome=Outcome.STOPPED, mode=row.input.mode)
    await report.report(Attempt(services, row.input, row.attempt), ending)


async def _queue(services: Services, run: RunInput) -> NoResult:
    """Create the run's row, and its check run while it waits for a slot."""
    assert run.trigger.head_sha is not None
    await services.runs.open(run)
    client = await services.client(run, WRITE_CHECKS)
    page = f"{services.public_url}/runs/{run.id}" if services.public_url else None
    check = await checks.ensure_check_run(
        client, messages.check_run.TESTS_CHECK, run.trigger.head_sha, run.id, details_url=page
    )
    if check.created:
        image = f"{services.public_url}/state/{run.id}.svg" if page else ""
        title, summary = messages.check_run.queued(page or "", image)
        output = Output(title=title, summary=summary)
        await checks.update_check_run(client, check.id, output=output)
    return NoResult()
