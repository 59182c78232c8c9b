"""Hearing a trigger: who asks and whether they may, and the ways to be heard.

Each function is one recorded step of the `intake` workflow; which of them follow on the first
decides the command (`app/runs/commands/`).
"""

from __future__ import annotations

import asyncio
from typing import Literal

from app.domain import labels, words
from app.domain import policy as policies
from app.domain.policy import Policy
from app.domain.run import Outcome, Phase, RunInput, run_id, subject_key
from app.domain.trigger import Trigger
from app.domain.values import RunId, Value
from app.errors import UserError
from app.github import conversation, pulls, repositories
from app.github.client import RepositoryClient
from app.runs.durable import Nothing
from app.runs.services import ADMIT, Services
from app.store.messages import Message
from app.store.runs import RunRow


class Admission(Value):
    """Whether a trigger is heard: by the rules of `policy`, refused aloud, or met with silence."""

    policy: Policy | None = None
    problem: str = ""
    next_step: str = ""
    silent: str = ""


class Standing(Value):
    """The last run of the subject, as it stands when somebody asks something."""

    run: RunId | None = None
    live: bool = False
    queued: bool = False
    outcome: Outcome | None = None
    attempt: int = 1
    asked_by: int = 0
    request: str = ""
    mode: Literal["work", "plan", "ask"] = "work"
    open_pull: int | None = None


async def admit(services: Services, trigger: Trigger) -> Admission:
    """Decide from the actor's permission and the default branch's policy."""
    client = await _client(services, trigger)
    permission, policy = await asyncio.gather(
        repositories.permission(client, trigger.actor.login), _policy(client, trigger)
    )
    # The least that may speak at all: nobody below it gets an answer, whatever the policy holds.
    if not permission.at_least(repositories.Permission.WRITE):
        return Admission(silent=f"{trigger.actor.login} has no write access")
    if isinstance(policy, UserError):
        return _refusal(policy)
    if not permission.at_least(repositories.Permission(policy.who)):
        return Admission(silent=f"{trigger.actor.login} is below `who: {policy.who}`")
    if trigger.is_pull_request:
        problem, next_step = words.only_issues()
        return Admission(problem=problem, next_step=next_step)
    return Admission(policy=policy)


async def _policy(client: RepositoryClient, trigger: Trigger) -> Policy | UserError:
    """The rules of the default branch, or what is wrong with them."""
    path, most = policies.POLICY_PATH, policies.POLICY_MAX_BYTES
    try:
        content = await repositories.read_file(client, path, trigger.default_branch, most)
        return policies.read(content)
    except UserError as error:
        return error


def aloud(trigger: Trigger, admission: Admission) -> bool:
    """Whether a refusal is said: to who asked for something, not to who only talks."""
    return bool(admission.problem) and trigger.kind != "reply"


async def look(services: Services, trigger: Trigger) -> Standing:
    """The subject's last run, the one that this very trigger started left aside."""
    own = run_id(trigger.id)
    subject = subject_key(trigger.repository, trigger.number)
    row = next((r for r in await services.runs.of_subject(subject) if r.id != own), None)
    if row is None:
        return Standing()
    return Standing(
        run=row.id,
        live=row.finished_at is None,
        queued=row.phase is Phase.QUEUED,
        outcome=row.outcome,
        attempt=row.attempt,
        asked_by=row.input.trigger.actor.id,
        request=row.input.request,
        mode=row.input.mode,
        open_pull=await _open_pull(services, trigger, row),
    )


async def refuse(services: Services, trigger: Trigger, problem: str, next_step: str) -> Nothing:
    """Say on the subject why nothing starts; the label goes, so that it can be put on again."""
    client = await _client(services, trigger)
    run = run_id(trigger.id)
    await asyncio.gather(
        conversation.ensure_comment(
            client,
            trigger.number,
            words.refusal_marker(run),
            words.refused(run, trigger.actor.login, problem, next_step),
        ),
        react(client, trigger, "confused"),
        _take_label_off(client, trigger),
    )
    return Nothing()


async def answer(services: Services, trigger: Trigger, text: str) -> Nothing:
    """Answer a question about Honk itself with one comment."""
    client = await _client(services, trigger)
    run = run_id(trigger.id)
    await asyncio.gather(
        conversation.ensure_comment(
            client, trigger.number, words.answer_marker(run), words.answered(run, text)
        ),
        react(client, trigger, "eyes"),
    )
    return Nothing()


async def acknowledge(services: Services, run: RunInput) -> Nothing:
    """The row, the eyes, the status comment and the label: the person sees that it was heard."""
    row = await services.runs.open(run)
    waiting = await services.runs.waiting(row)
    client = await services.client(run, ADMIT)
    status, _, _ = await asyncio.gather(
        conversation.ensure_comment(
            client,
            run.trigger.number,
            words.marker(run.id),
            words.status_waiting(run.id, run.trigger.actor.login, waiting),
        ),
        react(client, run.trigger, "eyes"),
        _swap_labels(client, run.trigger),
    )
    await services.runs.update(run.id, status_comment_id=status.id)
    return Nothing()


async def hear(services: Services, trigger: Trigger, run: RunId, text: str) -> Nothing:
    """Keep a person's words for a run, and show that they were heard."""
    message = Message(id=trigger.id, author=trigger.actor.login, text=text)
    await services.messages.add(run, message)
    await react(await _client(services, trigger), trigger, "eyes")
    return Nothing()


async def reopen(services: Services, trigger: Trigger, run: RunInput, attempt: int) -> Nothing:
    """Let a finished run wait for a slot again, and show it where the run is shown."""
    row = await services.runs.reopen(run.id, attempt, run)
    waiting = await services.runs.waiting(row)
    client = await _client(services, trigger)
    text = words.status_waiting(run.id, run.trigger.actor.login, waiting)
    if row.status_comment_id is not None:
        await conversation.edit_comment(client, row.status_comment_id, text)
    await asyncio.gather(
        react(client, trigger, "eyes"),
        conversation.set_state_label(client, trigger.number, labels.QUEUED, words.LABELS),
    )
    return Nothing()


async def seen(services: Services, trigger: Trigger) -> Nothing:
    """Only the eyes."""
    await react(await _client(services, trigger), trigger, "eyes")
    return Nothing()


async def react(
    client: RepositoryClient, trigger: Trigger, reaction: Literal["eyes", "rocket", "confused"]
) -> None:
    """Put a reaction on what asked: the comment, or the issue that was labelled."""
    comment = trigger.comment
    subject = (
        conversation.Subject(kind="comment", id=comment.id)
        if comment
        else conversation.Subject(kind="issue", id=trigger.number)
    )
    await conversation.react(client, subject, reaction)


def new_run(
    services: Services, trigger: Trigger, policy: Policy, *, request: str | None = None
) -> RunInput:
    """What a new run is asked; `request` when it is not what the trigger itself says."""
    said = trigger.command.task if trigger.command else ""
    stronger = labels.STRONGER in trigger.labels
    return RunInput(
        id=run_id(trigger.id),
        trigger=trigger,
        policy=policy,
        request=said if request is None else request,
        base_branch=policy.base or trigger.default_branch,
        model=services.model_id_max if stronger else services.model_id,
    )


async def _client(services: Services, trigger: Trigger) -> RepositoryClient:
    return await services.github.repository(
        trigger.installation_id,
        trigger.repository,
        ADMIT,
        observe=services.counting(run_id(trigger.id)),
    )


async def _open_pull(services: Services, trigger: Trigger, row: RunRow) -> int | None:
    """The run's pull request, as long as nobody merged or closed it."""
    if row.pull_number is None:
        return None
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, {"pull_requests": "read", "metadata": "read"}
    )
    pull = await pulls.pull_request(client, row.pull_number)
    return pull.number if pull.state == "open" else None


def _refusal(problem: UserError) -> Admission:
    told, next_step = words.foreign(problem.message, problem.next_step)
    return Admission(problem=told, next_step=next_step)


async def _swap_labels(client: RepositoryClient, trigger: Trigger) -> None:
    await _take_label_off(client, trigger)
    await conversation.set_state_label(client, trigger.number, labels.QUEUED, words.LABELS)


async def _take_label_off(client: RepositoryClient, trigger: Trigger) -> None:
    """The trigger's label is one-shot."""
    if trigger.label:
        await conversation.remove_label(client, trigger.number, trigger.label)
