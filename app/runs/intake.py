"""Hearing a trigger: who asks and whether they may, and the ways to be heard.

Each function is one recorded step of the `intake` workflow; which of them follow on the first
decides the command (`app/runs/commands/`).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from app import log_events, messages
from app.domain import (
    labels,
)
from app.domain import policy as policies
from app.domain.policy import Policy
from app.domain.run import Mode, Outcome, Phase, RunInput, run_id, subject_key
from app.domain.trigger import Actor, Signal, Trigger
from app.domain.values import RunId, Value
from app.errors import HonkError, UserError
from app.github import conversation, pulls, repositories
from app.github.client import RepositoryClient
from app.github.refusals import GitHubRefusedError
from app.runs import durable, reply
from app.runs.durable import NoResult
from app.runs.services import READ_PULLS, TALK, Services
from app.runs.steps import work
from app.runs.steps.progress import status_context
from app.store.messages import Message
from app.store.runs import RunRow

log = structlog.get_logger()

_TOLD_LOOKS, _TOLD_SECONDS = 50, 0.2


class Authorization(Value):
    """Whether a trigger is heard: by the rules of `policy`, refused aloud, or met with silence."""

    policy: Policy | None = None
    problem: str = ""
    next_step: str = ""
    silent: str = ""


class SubjectState(Value):
    """The last run of the subject, as it stands when somebody asks something."""

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
    """Words that were kept for a run. `ended`: its last attempt, where that ended without them."""

    ended: int | None = None


class Refreshed(Value):
    """A trigger that waited, with what its subject is like now."""

    trigger: Trigger


_SIGNED = ("label", "unlabel", "comment", "reply")
"""Kinds of triggers that are as GitHub has signed them; the others are made from a live run."""


async def authorize(services: Services, trigger: Trigger) -> Authorization:
    """Decide from the actor's permission and the default branch's policy."""
    if trigger.kind in _SIGNED and _is_beyond_memory(services, trigger):
        return Authorization(silent="it was asked too long ago")
    return await _admitted(await services.talker(trigger), trigger.actor, trigger.default_branch)


async def may_stop(services: Services, signal: Signal) -> bool:
    """Whether who closed a subject may stop its run: whoever could have asked for it.

    GitHub lets everybody close an issue or pull request of their own.
    """
    client = await services.github.repository(signal.installation_id, signal.repository, TALK)
    admission = await _admitted(client, signal.actor, signal.default_branch)
    if admission.silent:
        log.info(log_events.CLOSE_STOPS_NO_RUN, number=signal.number, why=admission.silent)
    return not admission.silent


async def _admitted(client: RepositoryClient, actor: Actor, default_branch: str) -> Authorization:
    permission, policy = await asyncio.gather(
        _permission(client, actor), _policy(client, default_branch)
    )
    is_bot = actor.type != "User"
    # The least that may speak at all: nobody below it gets an answer, whatever the policy holds.
    if not is_bot and not permission.at_least(repositories.Permission.WRITE):
        return Authorization(silent=f"{actor.login} has no write access")
    if isinstance(policy, UserError):
        return _refusal(is_bot, policy)
    if is_bot and actor.id not in policy.bots:
        return Authorization(silent=f"{actor.login} is a bot that the policy does not name")
    if not is_bot and not permission.at_least(repositories.Permission(policy.who)):
        return Authorization(silent=f"{actor.login} is below `who: {policy.who}`")
    return Authorization(policy=policy)


async def refreshed(services: Services, trigger: Trigger) -> Refreshed:
    """What was asked a while ago, on a subject that may have been closed or put on hold since."""
    issue = await conversation.issue(await services.talker(trigger), trigger.number)
    now = {"closed": issue.state != "open", "labels": tuple(map(labels.plain, issue.labels))}
    return Refreshed(trigger=trigger.model_copy(update=now))


def _is_beyond_memory(services: Services, trigger: Trigger) -> bool:
    """It may have been heard and forgotten since: somebody could send an old delivery again."""
    return trigger.asked_at.timestamp() < services.retention.unknown_before(time.time())


async def _policy(client: RepositoryClient, branch: str) -> Policy | UserError:
    """The rules of the default branch, or what is wrong with them."""
    # The full name: a tag may be called like the branch.
    ref, most = f"refs/heads/{branch}", policies.POLICY_MAX_BYTES
    try:
        yml, yaml = await asyncio.gather(
            repositories.read_file(client, policies.POLICY_PATH, ref, most),
            repositories.read_file(client, policies.OTHER_POLICY_PATH, ref, most),
        )
        return policies.read(*policies.choose(yml, yaml))
    except UserError as error:
        return error


async def _permission(client: RepositoryClient, actor: Actor) -> repositories.Permission:
    """An App has no permission of this kind: only the policy lets it speak."""
    if actor.type != "User":
        return repositories.Permission.NONE
    return await repositories.permission_by_account(client, actor.login, actor.id)


def should_reply(trigger: Trigger, admission: Authorization) -> bool:
    """Whether a refusal is said: to who asked for something, not to who only talks."""
    return bool(admission.problem) and trigger.kind not in ("reply", "unasked")


def validation_error(services: Services, trigger: Trigger) -> tuple[str, str] | None:
    """What is wrong with the words themselves; None when they can be carried out."""
    said = trigger.command
    if said is None or "stop" in said.several:
        return None
    if said.several:
        return messages.refusals.one_at_a_time(said.several)
    model = said.arguments.model
    if model and services.model_named(model) is None:
        return messages.refusals.unknown_model(model, services.model_id, services.model_id_max)
    # Which commit may be trusted, and what that means, its own answer tells better.
    if said.problem and said.name != "trust":
        return said.problem, "`/honk help` shows what can be asked for."
    if said.near:
        return messages.refusals.did_you_mean(said.near)
    return None


async def subject_state(services: Services, trigger: Trigger) -> SubjectState:
    """The subject's last run, the one that this very trigger started left aside."""
    row = await last_run(services, trigger)
    if row is None:
        found = await _linked_pull(services, trigger)
        return SubjectState(open_pull=found.number, open_pull_is_ours=found.ours)
    row = await _ended_if_told(services, row)
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


async def _ended_if_told(services: Services, row: RunRow) -> RunRow:
    """Whoever has read a run's last words speaks to one that has ended, though that takes a moment.

    Not for ever: what comes after the last words may have to wait for GitHub.
    """
    for _ in range(_TOLD_LOOKS):
        if row.finished_at is not None or row.told_attempt != row.attempt:
            return row
        async with durable.released():
            await asyncio.sleep(_TOLD_SECONDS)
        row = await services.runs.get(row.id)
    return row


async def last_run(services: Services, trigger: Trigger) -> RunRow | None:
    """The subject's newest run that somebody asked for, besides this trigger's own."""
    return next(iter(await runs_asked_for(services, trigger)), None)


async def runs_asked_for(services: Services, trigger: Trigger) -> list[RunRow]:
    """The subject's runs that somebody asked for, newest first, besides this trigger's own.

    One that began under another name of the repository is still at work here.
    """
    own = run_id(trigger.id)
    subject = subject_key(trigger.repository, trigger.number)
    rows = await services.runs.of_subject(subject)
    rows = rows or await services.runs.alive_by_id(trigger.repository_id, trigger.number)
    return [row for row in rows if row.id != own and not row.input.quiet]


async def refuse(services: Services, trigger: Trigger, problem: str, next_step: str) -> NoResult:
    """Say on the subject why nothing starts; the label goes, so that it can be put on again."""
    client = await services.talker(trigger)
    run = run_id(trigger.id)
    marker = messages.comments.refusal_marker(run)
    text = messages.comments.refused(run, trigger.actor.login, problem, next_step)
    # First of all: where nothing can be said, the label that asked stays as it is.
    await reply.say(client, trigger, marker, text)
    await asyncio.gather(
        reply.react(client, trigger, "confused"),
        remove_trigger_label(client, trigger),
    )
    return NoResult()


async def answer(services: Services, trigger: Trigger, text: str) -> NoResult:
    """Answer a question about Honk itself with one comment."""
    client = await services.talker(trigger)
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
    """The row, the eyes, the status comment and the label: the person sees that it was heard."""
    row, made = await services.runs.open(run)
    if run.quiet:
        return NoResult()
    waiting = await services.runs.waiting(row)
    client = await services.talker(run.trigger)
    status, _ = await asyncio.gather(
        conversation.ensure_comment(
            client,
            run.trigger.number,
            messages.status_comment.marker(run.id),
            messages.status_comment.waiting(status_context(services, row), waiting),
            # Before its row there was no status comment of this run.
            fresh=made,
        ),
        reply.react(client, run.trigger, "eyes"),
    )
    await services.runs.update(run.id, status_comment_id=status.id, status_node_id=status.node_id)
    # Not before: where nothing can be said, the label that asked stays as it is.
    await _swap_labels(client, run.trigger)
    services.places[run.id] = waiting
    return NoResult()


async def deliver_message(
    services: Services, trigger: Trigger, run: RunId, text: str
) -> DeliveredMessage:
    """Keep a person's words for a run, and show that they were heard.

    The run that was seen at work may have ended since, and have looked for the last time.
    """
    message = Message(id=trigger.id, author=trigger.actor.login, text=_with_place(trigger, text))
    await services.messages.add(run, message)
    await reply.react(await services.talker(trigger), trigger, "eyes")
    # Only now: a run that ends after the words were kept finds them itself.
    row = await services.runs.get(run)
    if row.finished_at is None or not await work.has_unread_messages(services, row.input):
        return DeliveredMessage()
    return DeliveredMessage(ended=row.attempt)


def _with_place(trigger: Trigger, text: str) -> str:
    """Words on a line mean that line."""
    line = trigger.comment.line if trigger.comment else None
    if line is None:
        return text
    where = f"{line.path}, line {line.line}" if line.line else line.path
    return f"On {where}:\n\n{line.diff_hunk}\n\n{text}"


async def reopen(services: Services, trigger: Trigger, run: RunInput, attempt: int) -> NoResult:
    """Let a finished run wait for a slot again, and show it where the run is shown.

    Done twice, or by two at once, it is once.
    """
    before = await services.runs.get(run.id)
    if before.attempt >= attempt and not _waits(before):
        return await react_with_eyes(services, trigger)
    row = await services.runs.reopen(run.id, attempt, run)
    waiting = await services.runs.waiting(row)
    client = await services.talker(trigger)
    text = messages.status_comment.waiting(status_context(services, row), waiting)
    if row.status_comment_id is not None:
        edited = conversation.edit_comment(client, row.status_comment_id, text)
        await reply.decorate("the status comment", edited)
    services.places[run.id] = waiting
    await asyncio.gather(
        reply.react(client, trigger, "eyes"),
        remove_trigger_label(client, trigger),
        reply.set_label(client, trigger, labels.QUEUED),
    )
    return NoResult()


def _waits(row: RunRow) -> bool:
    return row.finished_at is None and row.admitted_at is None


async def react_with_eyes(services: Services, trigger: Trigger) -> NoResult:
    """Only the eyes."""
    await reply.react(await services.talker(trigger), trigger, "eyes")
    return NoResult()


def new_run(
    services: Services, trigger: Trigger, policy: Policy, *, request: str | None = None
) -> RunInput:
    """What a new run is asked; `request` when it is not what the trigger itself says."""
    said = trigger.command.task if trigger.command else ""
    asked = trigger.command.arguments if trigger.command else None
    stronger = labels.MAX_MODEL in trigger.labels
    if asked and asked.budget_usd is not None:
        budget = policy.budget.model_copy(update={"usd": asked.budget_usd})
        policy = policy.model_copy(update={"budget": budget})
    model = services.model_id_max if stronger else services.model_id
    return RunInput(
        id=run_id(trigger.id),
        trigger=trigger,
        policy=policy,
        request=(said or _what_stands_there(trigger)) if request is None else request,
        base_branch=(asked and asked.base) or policy.base or trigger.default_branch,
        model=(asked and asked.model and services.model_named(asked.model)) or model,
    )


def _what_stands_there(trigger: Trigger) -> str:
    """A `/honk` without words in a review or on a line is about what is written there."""
    if trigger.comment is None or trigger.comment.on == "conversation":
        return ""
    return messages.agent.address_review()


class _OpenPull(Value):
    """The open pull request of an issue, if there is one, and whether Honk opened it here."""

    number: int | None = None
    ours: bool = False


async def _linked_pull(services: Services, trigger: Trigger) -> _OpenPull:
    """An open pull request of anybody's that says it closes this issue.

    It spares people a second one, and no more: where GitHub does not tell, there is none.
    """
    if trigger.is_pull_request:
        return _OpenPull()
    try:
        client = await _reader(services, trigger)
        found = await pulls.linked_to_issue(client, trigger.number)
        bot = await services.bot_login()
    except HonkError as problem:
        log.warning(log_events.LINKED_PULLS_UNAVAILABLE, why=str(problem))
        return _OpenPull()
    here = str(trigger.repository).lower()
    for pull in found:
        if pull.author.login == bot and pull.repository.lower() == here:
            return _OpenPull(number=pull.number, ours=True)
    return _OpenPull(number=found[0].number) if found else _OpenPull()


async def _open_pull(services: Services, trigger: Trigger, row: RunRow) -> _OpenPull:
    """The run's pull request, as long as nobody merged or closed it."""
    if row.pull_number is None:
        return await _linked_pull(services, trigger)
    if trigger.is_pull_request:
        return _OpenPull()
    try:
        client = await _reader(services, trigger)
        pull = await pulls.pull_request(client, row.pull_number)
    except GitHubRefusedError as problem:
        log.warning(log_events.RUN_PULL_UNAVAILABLE, run=row.id, why=str(problem))
        return _OpenPull()
    return _OpenPull(number=pull.number, ours=True) if pull.state == "open" else _OpenPull()


async def on_pull(services: Services, trigger: Trigger, number: int) -> Trigger:
    """The same request, about a pull request in place of the issue that it was made on."""
    pull = await pulls.pull_request(await _reader(services, trigger), number)
    author = Actor(login=pull.author.login, id=pull.author.id, type=pull.author.type)
    return trigger.model_copy(
        update={
            "number": pull.number,
            "is_pull_request": True,
            "title": pull.title,
            "body": pull.body,
            "author": author,
            "html_url": pull.url,
        }
    )


async def _reader(services: Services, trigger: Trigger) -> RepositoryClient:
    return await services.github.repository(
        trigger.installation_id, trigger.repository, {**READ_PULLS, "issues": "read"}
    )


def _refusal(is_bot: bool, problem: UserError) -> Authorization:
    """A bot that may be none of ours gets no answer: two of them could go on for ever."""
    if is_bot:
        return Authorization(silent=f"a bot asked, and the policy is wrong: {problem.message}")
    told, next_step = messages.formatting.quoted_problem(problem.message, problem.next_step)
    return Authorization(problem=told, next_step=next_step)


async def _swap_labels(client: RepositoryClient, trigger: Trigger) -> None:
    await remove_trigger_label(client, trigger)
    await reply.set_label(client, trigger, labels.QUEUED)


async def remove_trigger_label(client: RepositoryClient, trigger: Trigger) -> None:
    """The trigger's label is one-shot."""
    if trigger.label == labels.TRIGGER:
        gone = conversation.remove_label(client, trigger.number, trigger.label)
        await reply.decorate("the label that asked", gone)
