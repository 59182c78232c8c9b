"""Intake of a trigger: authorize the requester, and reply, acknowledge or refuse.

Each function is one recorded step of the `intake` workflow; the command decides which of them
follow `authorize` (`app/runs/commands/`).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from app import log_events, messages
from app.domain import labels
from app.domain.policy import BadPolicyError, Policy
from app.domain.run import Mode, Outcome, Phase, RunInput, run_id, subject_key
from app.domain.trigger import Actor, Signal, Trigger
from app.domain.values import RunId, Value
from app.errors import HonkError, UserError
from app.github import checks, conversation, pulls, repositories
from app.github.checks import Output
from app.github.client import RepositoryClient
from app.github.refusals import GitHubRefusedError
from app.runs import current_policy, durable, reply
from app.runs.durable import NoResult
from app.runs.services import READ_PULLS, READ_SUBJECT, WRITE_CHECKS, Services
from app.runs.steps import work
from app.runs.steps.progress import status_context
from app.store.messages import Message
from app.store.runs import RunRow

log = structlog.get_logger()

_END_POLLS, _END_POLL_SECONDS = 50, 0.2


class Authorization(Value):
    """Whether a trigger is accepted: under `policy`, refused with a `problem`, or ignored
    (`silent`)."""

    policy: Policy | None = None
    problem: str = ""
    next_step: str = ""
    silent: str = ""
    may_comment: bool = True  # whether the App asks for permission to answer
    asks_for_checks: bool = False  # whether the invalid policy asks for checks on pull requests


class SubjectState(Value):
    """The subject's last run at the time of a request."""

    run: RunId | None = None
    live: bool = False
    queued: bool = False
    outcome: Outcome | None = None
    attempt: int = 1
    asked_by: int = 0
    request: str = ""
    mode: Mode = "work"
    open_pull: int | None = None
    open_pull_is_ours: bool = False


class DeliveredMessage(Value):
    """A stored message to a run. `ended` is the run's last attempt if that ended without reading
    it."""

    ended: int | None = None


class Refreshed(Value):
    """A deferred trigger with the current state of its subject."""

    trigger: Trigger


_SIGNED_KINDS = ("label", "unlabel", "comment", "reply")
"""Kinds of triggers that come directly from a signed delivery; the others are derived from a
run."""


async def authorize(services: Services, trigger: Trigger) -> Authorization:
    """Authorize a trigger by the actor's permission and the default branch's policy."""
    if trigger.kind in _SIGNED_KINDS and _is_too_old(services, trigger):
        return Authorization(silent="the request is too old")
    client = await _reading_client(services, trigger)
    if _only_verifies_unasked(trigger):
        # No one asked: the policy alone decides whose pull requests get a check.
        policy = await _policy(client, trigger.default_branch)
        if not isinstance(policy, UserError):
            return Authorization(policy=policy)
        asks = isinstance(policy, BadPolicyError) and policy.asks_for_checks
        return _refusal(False, policy).model_copy(update={"asks_for_checks": asks})
    authorization = await _authorize_actor(client, trigger.actor, trigger.default_branch)
    return authorization.model_copy(update={"may_comment": await services.may_comment()})


def only_verifies_head(trigger: Trigger) -> bool:
    """Whether this is about the check `honk / tests` on a head, which can show the error."""
    return trigger.kind == "check" or _is_push_to_ours(trigger)


def _only_verifies_unasked(trigger: Trigger) -> bool:
    """Whether a head was opened or pushed, even by a bot to one of Honk's pull requests: a required
    check must appear no matter who pushed.
    """
    return _is_push_to_ours(trigger) or (trigger.kind == "check" and trigger.command is None)


def _is_push_to_ours(trigger: Trigger) -> bool:
    said = trigger.command
    return trigger.kind == "unasked" and said is not None and said.name == "test"


async def _reading_client(services: Services, trigger: Trigger) -> RepositoryClient:
    """A client for reading. Most requests are answered with a comment, so they share its token."""
    is_check = trigger.kind == "check"
    return await services.github.repository(
        trigger.installation_id,
        trigger.repository,
        READ_SUBJECT if is_check else await services.reading_permissions(),
        observe=services.counting(run_id(trigger.id), trigger.installation_id),
    )


async def may_stop(services: Services, signal: Signal) -> bool:
    """Whether the person who closed a subject may stop its run: only if they could have started
    one.

    GitHub lets everybody close their own issues and pull requests.
    """
    client = await services.github.repository(
        signal.installation_id, signal.repository, await services.reading_permissions()
    )
    authorization = await _authorize_actor(client, signal.actor, signal.default_branch)
    if authorization.silent:
        log.info(log_events.CLOSE_STOPS_NO_RUN, number=signal.number, why=authorization.silent)
    return not authorization.silent


async def _authorize_actor(
    client: RepositoryClient, actor: Actor, default_branch: str
) -> Authorization:
    permission, policy = await asyncio.gather(
        _permission(client, actor), _policy(client, default_branch)
    )
    is_bot = actor.type != "User"
    # The minimum for any reply: people without write access get none, whatever the policy says.
    if not is_bot and not permission.at_least(repositories.Permission.WRITE):
        return Authorization(silent=f"{actor.login} has no write access")
    if isinstance(policy, UserError):
        return _refusal(is_bot, policy)
    if is_bot and actor.id not in policy.bots:
        return Authorization(silent=f"{actor.login} is a bot that the policy does not list")
    if not is_bot and not permission.at_least(repositories.Permission(policy.who)):
        return Authorization(silent=f"{actor.login} is below `who: {policy.who}`")
    return Authorization(policy=policy)


async def refreshed(services: Services, trigger: Trigger) -> Refreshed:
    """Update a deferred trigger: its subject may have been closed or put on hold since."""
    if trigger.merge_group is not None:
        return Refreshed(trigger=trigger)
    issue = await conversation.issue(await _reading_client(services, trigger), trigger.number)
    now = {"closed": issue.state != "open", "labels": tuple(map(labels.plain, issue.labels))}
    return Refreshed(trigger=trigger.model_copy(update=now))


def _is_too_old(services: Services, trigger: Trigger) -> bool:
    """Whether the request is so old that records of it may be deleted, so it could be a replay."""
    return trigger.asked_at.timestamp() < services.retention.unknown_before(time.time())


async def _policy(client: RepositoryClient, branch: str) -> Policy | UserError:
    """The default branch's policy, or what is wrong with it."""
    try:
        return await current_policy.load(client, branch)
    except UserError as error:
        return error


async def _permission(client: RepositoryClient, actor: Actor) -> repositories.Permission:
    """A user's permission. Apps have none: only the policy can authorize them."""
    if actor.type != "User":
        return repositories.Permission.NONE
    return await repositories.permission_by_account(client, actor.login, actor.id)


def should_reply(trigger: Trigger, authorization: Authorization) -> bool:
    """Whether to reply with a refusal: only to explicit requests."""
    return bool(authorization.problem) and trigger.kind not in ("reply", "unasked", "check")


def validation_error(services: Services, trigger: Trigger) -> tuple[str, str] | None:
    """What is wrong with the command; None when it can be executed."""
    said = trigger.command
    if said is None or "stop" in said.several:
        return None
    if said.several:
        return messages.refusals.one_at_a_time(said.several)
    model = said.arguments.model
    if model and services.model_named(model) is None:
        return messages.refusals.unknown_model(model, services.model_id, services.model_id_max)
    # `accept`, `merge` and `trust` name the exact commit to give them.
    if said.problem and said.name not in ("accept", "merge", "trust"):
        return said.problem, "`/honk help` lists the commands."
    if said.near:
        return messages.refusals.did_you_mean(said.near)
    return None


async def subject_state(
    services: Services, trigger: Trigger, *, skip_answered: bool = False
) -> SubjectState:
    """The state of the subject's last run, except the one this trigger started.

    `skip_answered`: when that run was an answered `/honk ask`, the run before it counts.
    """
    rows = await requested_runs(services, trigger)
    row = next(iter(rows), None)
    if row is None:
        found = await _linked_pull(services, trigger)
        return SubjectState(open_pull=found.number, open_pull_is_ours=found.ours)
    row = await _wait_for_end(services, row)
    if skip_answered and is_answered(row):
        row = next((each for each in rows[1:] if not is_answered(each)), row)
    found = await _open_pull(services, trigger, row)
    return SubjectState(
        run=row.id,
        live=row.finished_at is None,
        queued=row.phase is Phase.QUEUED,
        outcome=row.outcome,
        attempt=row.attempt,
        asked_by=row.input.trigger.actor.id,
        request=row.input.request,
        mode=row.input.mode,
        open_pull=found.number,
        open_pull_is_ours=found.ours,
    )


def is_answered(row: RunRow) -> bool:
    """Whether this is an answered `/honk ask`, so there is nothing to resume or undo."""
    return row.input.mode == "ask" and row.outcome is Outcome.ANSWERED


async def _wait_for_end(services: Services, row: RunRow) -> RunRow:
    """A person may answer the final comment before the row is marked finished; wait up to ten
    seconds.

    The wait is bounded because the steps after the final comment may have to wait for GitHub.
    """
    for _ in range(_END_POLLS):
        if row.finished_at is not None or row.told_attempt != row.attempt:
            return row
        async with durable.released():
            await asyncio.sleep(_END_POLL_SECONDS)
        row = await services.runs.get(row.id)
    return row


async def last_run(services: Services, trigger: Trigger) -> RunRow | None:
    """The subject's newest requested run, except this trigger's own."""
    return next(iter(await requested_runs(services, trigger)), None)


async def requested_runs(services: Services, trigger: Trigger) -> list[RunRow]:
    """The subject's requested runs except this trigger's own: a live one first, then by latest
    request.

    Resuming a run is a request, too, so an older run can come before a newer one. Includes live
    runs that started under an earlier name of the repository.
    """
    own = run_id(trigger.id)
    subject = subject_key(trigger.repository, trigger.number)
    rows = await services.runs.of_subject(subject)
    rows = rows or await services.runs.alive_by_id(trigger.repository_id, trigger.number)
    requested = [row for row in rows if row.id != own and not row.input.quiet]
    return sorted(requested, key=lambda row: (row.finished_at is None, row.asked_at), reverse=True)


async def refuse(services: Services, trigger: Trigger, problem: str, next_step: str) -> NoResult:
    """Comment why nothing starts, and remove the label so that it can be added again."""
    await services.relay(trigger.id, f"{problem} {next_step}")
    if not await services.may_comment():
        await _refuse_in_check(services, trigger, problem, next_step)
        return NoResult()
    client = await services.comment_client(trigger)
    run = run_id(trigger.id)
    marker = messages.comments.refusal_marker(run)
    text = messages.comments.refused(run, trigger.actor.login, problem, next_step)
    # Comment first: if that fails, the label stays.
    await reply.say(client, trigger, marker, text)
    await asyncio.gather(
        reply.react(client, trigger, "confused"),
        remove_trigger_label(client, trigger),
    )
    return NoResult()


async def _refuse_in_check(
    services: Services, trigger: Trigger, problem: str, next_step: str
) -> None:
    """Show a refusal in a check run of a pull request; on an issue only the log can say it."""
    log.warning(log_events.ONLY_VERIFIES, number=trigger.number, why=problem)
    if not trigger.is_pull_request:
        return
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, {**READ_PULLS, **WRITE_CHECKS}
    )
    head = trigger.head_sha or (await pulls.pull_request(client, trigger.number)).head_sha
    name, number = messages.check_run.RUN_CHECK, trigger.number
    external_id = messages.check_run.pull_id(number, run_id(trigger.id))
    check = await checks.ensure_check_run(client, name, head, external_id)
    title, summary = messages.check_run.refused(problem, next_step)
    output = Output(title=title, summary=summary)
    await checks.complete_check_run(client, check.id, conclusion="neutral", output=output)


async def answer(services: Services, trigger: Trigger, text: str) -> NoResult:
    """Answer a question about Honk with one comment, where the App may comment."""
    await services.relay(trigger.id, text)
    if not await services.may_comment():
        return NoResult()
    client = await services.comment_client(trigger)
    run = run_id(trigger.id)
    await asyncio.gather(
        reply.say(
            client,
            trigger,
            messages.comments.answer_marker(run),
            messages.comments.answer(run, text),
        ),
        reply.react(client, trigger, "eyes"),
    )
    return NoResult()


async def acknowledge(services: Services, run: RunInput) -> NoResult:
    """Create the run's row, react with eyes, and post the status comment and label."""
    row, created = await services.runs.open(run)
    if run.quiet:
        return NoResult()
    waiting = await services.runs.waiting(row)
    client = await services.comment_client(run.trigger)
    status, _ = await asyncio.gather(
        conversation.ensure_comment(
            client,
            run.trigger.number,
            messages.status_comment.marker(run.id),
            messages.status_comment.waiting(status_context(services, row), waiting),
            # A new row means that this run has no status comment yet.
            fresh=created,
        ),
        reply.react(client, run.trigger, "eyes"),
    )
    await services.runs.update(run.id, status_comment_id=status.id, status_node_id=status.node_id)
    # Only now: if commenting fails, the label stays.
    await _swap_labels(client, run.trigger)
    services.queue_positions[run.id] = waiting
    return NoResult()


async def tell_asker(services: Services, trigger: Trigger, reason: str) -> NoResult:
    """Say why a request was ignored, in a chat: on GitHub, unauthorized people get no reply."""
    await services.relay(trigger.id, messages.refusals.ignored(reason))
    return NoResult()


async def deliver_message(
    services: Services, trigger: Trigger, run: RunId, text: str
) -> DeliveredMessage:
    """Store a person's message to a run and acknowledge it.

    The run may have ended in the meantime, after checking for messages one last time.
    """
    message = Message(id=trigger.id, author=trigger.actor.login, text=_with_line(trigger, text))
    await services.messages.add(run, message)
    await reply.react(await services.comment_client(trigger), trigger, "eyes")
    # Check after storing: a run that ends later finds the message itself.
    row = await services.runs.get(run)
    if row.finished_at is None or not await work.has_unread_messages(services, row.input):
        return DeliveredMessage()
    return DeliveredMessage(ended=row.attempt)


def _with_line(trigger: Trigger, text: str) -> str:
    """Add the location and diff hunk to a comment on a line."""
    line = trigger.comment.line if trigger.comment else None
    if line is None:
        return text
    where = f"{line.path}, line {line.line}" if line.line else line.path
    return f"On {where}:\n\n{line.diff_hunk}\n\n{text}"


async def reopen(services: Services, trigger: Trigger, run: RunInput, attempt: int) -> NoResult:
    """Queue a finished run again and show that in its status comment.

    Repeated or concurrent calls have no further effect.
    """
    before = await services.runs.get(run.id)
    if before.attempt >= attempt and not _is_queued(before):
        return await react_with_eyes(services, trigger)
    row = await services.runs.reopen(run.id, attempt, run)
    waiting = await services.runs.waiting(row)
    client = await services.comment_client(trigger)
    text = messages.status_comment.waiting(status_context(services, row), waiting)
    if row.status_comment_id is not None:
        edited = conversation.edit_comment(client, row.status_comment_id, text)
        await reply.decorate("the status comment", edited)
    services.queue_positions[run.id] = waiting
    await asyncio.gather(
        reply.react(client, trigger, "eyes"),
        remove_trigger_label(client, trigger),
        reply.set_label(client, trigger, labels.QUEUED),
    )
    return NoResult()


def _is_queued(row: RunRow) -> bool:
    return row.finished_at is None and row.admitted_at is None


async def react_with_eyes(services: Services, trigger: Trigger) -> NoResult:
    """React with eyes and do nothing else."""
    await reply.react(await services.comment_client(trigger), trigger, "eyes")
    return NoResult()


def new_run(
    services: Services, trigger: Trigger, policy: Policy, *, request: str | None = None
) -> RunInput:
    """The input of a new run; `request` overrides the trigger's own text."""
    said = trigger.command.task if trigger.command else ""
    asked = trigger.command.arguments if trigger.command else None
    named = (asked and asked.model) or ""
    stronger = named.lower() == "max" if named else labels.MAX_MODEL in trigger.labels
    if asked and asked.budget_usd is not None:
        budget = policy.budget.model_copy(update={"usd": asked.budget_usd})
        policy = policy.model_copy(update={"budget": budget})
    model = services.model_id_max if stronger else services.model_id
    return RunInput(
        id=run_id(trigger.id),
        trigger=trigger,
        policy=policy,
        request=(said or _implied_request(trigger)) if request is None else request,
        base_branch=(asked and asked.base) or policy.base or trigger.default_branch,
        model=(named and services.model_named(named)) or model,
        stronger=stronger,
        engine=policy.engine or services.engines.default,
    )


def _implied_request(trigger: Trigger) -> str:
    """The request of a bare `/honk` in a review or on a line: address that review."""
    if trigger.comment is None or trigger.comment.on == "conversation":
        return ""
    return messages.agent.address_review()


class _OpenPullRequest(Value):
    """The open pull request of an issue, if any, and whether Honk opened it in this repository."""

    number: int | None = None
    ours: bool = False


async def _linked_pull(services: Services, trigger: Trigger) -> _OpenPullRequest:
    """An open pull request by anybody that says it closes this issue.

    It only prevents duplicates, so a failed lookup counts as none.
    """
    if trigger.is_pull_request:
        return _OpenPullRequest()
    try:
        client = await _reader(services, trigger)
        found = await pulls.linked_to_issue(client, trigger.number)
        bot = await services.bot_login()
    except HonkError as problem:
        log.warning(log_events.LINKED_PULLS_UNAVAILABLE, why=str(problem))
        return _OpenPullRequest()
    here = str(trigger.repository).lower()
    for pull in found:
        if pull.author.login == bot and pull.repository.lower() == here:
            return _OpenPullRequest(number=pull.number, ours=True)
    return _OpenPullRequest(number=found[0].number) if found else _OpenPullRequest()


async def _open_pull(services: Services, trigger: Trigger, row: RunRow) -> _OpenPullRequest:
    """The run's pull request while it is open."""
    if row.pull_number is None:
        return await _linked_pull(services, trigger)
    if trigger.is_pull_request:
        return _OpenPullRequest()
    try:
        client = await _reader(services, trigger)
        pull = await pulls.pull_request(client, row.pull_number)
    except GitHubRefusedError as problem:
        log.warning(log_events.RUN_PULL_UNAVAILABLE, run=row.id, why=str(problem))
        return _OpenPullRequest()
    return (
        _OpenPullRequest(number=pull.number, ours=True)
        if pull.state == "open"
        else _OpenPullRequest()
    )


async def on_pull(services: Services, trigger: Trigger, number: int) -> Trigger:
    """The same request, moved from the issue to a pull request."""
    pull = await pulls.pull_request(await _reader(services, trigger), number)
    return trigger.model_copy(
        update={
            "number": pull.number,
            "is_pull_request": True,
            "title": pull.title,
            "body": pull.body,
            "author": actor_of(pull.author),
            "html_url": pull.url,
        }
    )


def actor_of(author: conversation.Author) -> Actor:
    """An author on GitHub as the actor of a trigger."""
    return Actor(login=author.login, id=author.id, type=author.type)


async def _reader(services: Services, trigger: Trigger) -> RepositoryClient:
    return await services.github.repository(
        trigger.installation_id, trigger.repository, READ_SUBJECT
    )


def _refusal(is_bot: bool, problem: UserError) -> Authorization:
    """A refusal because of a broken policy. Bots get no reply: two bots could answer each other
    forever."""
    if is_bot:
        return Authorization(silent=f"a bot asked, and the policy is wrong: {problem.message}")
    quoted, next_step = messages.formatting.quoted_problem(problem.message, problem.next_step)
    return Authorization(problem=quoted, next_step=next_step)


async def _swap_labels(client: RepositoryClient, trigger: Trigger) -> None:
    await remove_trigger_label(client, trigger)
    await reply.set_label(client, trigger, labels.QUEUED)


async def remove_trigger_label(client: RepositoryClient, trigger: Trigger) -> None:
    """Remove the label that triggered the run, so that it can be added again."""
    if trigger.label == labels.TRIGGER:
        gone = conversation.remove_label(client, trigger.number, trigger.label)
        await reply.decorate("the label that asked", gone)
