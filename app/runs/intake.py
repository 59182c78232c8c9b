"""Hearing a trigger: who asks, whether they may, and what follows. Answered within a second.

Each function here is one recorded step of the `intake` workflow, in the order of the file.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from app.domain import policy as policies
from app.domain import words
from app.domain.run import (
    LABEL_QUEUED,
    RunInput,
    run_id,
    subject_key,
)
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.errors import UserError
from app.github import conversation, repositories
from app.github.client import RepositoryClient
from app.runs.durable import Nothing
from app.runs.services import ADMIT, Services

log = structlog.get_logger()

LABEL_MAX = "honk:max"
Reaction = Literal["eyes", "confused"]


class Admission(Value):
    """What becomes of a trigger: a run, a refusal that is said aloud, or silence with a reason."""

    run: RunInput | None = None
    problem: str = ""
    next_step: str = ""
    silent: str = ""


async def admit(services: Services, trigger: Trigger) -> Admission:
    """Decide from the actor's permission and the default branch's policy."""
    client = await _client(services, trigger)
    permission, text = await asyncio.gather(
        repositories.permission(client, trigger.actor.login),
        repositories.read_file(
            client,
            policies.POLICY_PATH,
            trigger.default_branch,
            policies.POLICY_MAX_BYTES,
        ),
    )
    # The least that may speak at all: nobody below it gets an answer, whatever the policy holds.
    if not permission.at_least(repositories.Permission.WRITE):
        return Admission(silent=f"{trigger.actor.login} has no write access")
    try:
        policy = policies.parse(None if text is None else text.decode("utf-8"))
    except UnicodeDecodeError:
        return _refusal(UserError(f"`{policies.POLICY_PATH}` is not UTF-8 text."))
    except UserError as error:
        return _refusal(error)
    if not permission.at_least(repositories.Permission(policy.who)):
        return Admission(silent=f"{trigger.actor.login} is below `who: {policy.who}`")
    if trigger.is_pull_request:
        problem, next_step = words.only_issues()
        return Admission(problem=problem, next_step=next_step)
    if await _is_live(services, trigger):
        problem, next_step = words.already_working(trigger.number)
        return Admission(problem=problem, next_step=next_step)
    return Admission(run=_input(services, trigger, policy))


async def refuse(services: Services, trigger: Trigger, admission: Admission) -> Nothing:
    """Say on the subject why nothing starts; the label goes, so that it can be put on again."""
    client = await _client(services, trigger)
    run = run_id(trigger.id)
    await asyncio.gather(
        conversation.ensure_comment(
            client,
            trigger.number,
            words.refusal_marker(run),
            words.refused(run, trigger.actor.login, admission.problem, admission.next_step),
        ),
        _react(client, trigger, "confused"),
        _take_label_off(client, trigger),
    )
    return Nothing()


async def acknowledge(services: Services, run: RunInput) -> Nothing:
    """The row, the eyes, the status comment and the label: the person sees that it was heard."""
    row = await services.runs.open(run)
    ahead = await services.runs.waiting_before(row)
    client = await services.client(run, ADMIT)
    status, _, _ = await asyncio.gather(
        conversation.ensure_comment(
            client,
            run.trigger.number,
            words.marker(run.id),
            words.status_waiting(run.id, run.trigger.actor.login, ahead=ahead),
        ),
        _react(client, run.trigger, "eyes"),
        _swap_labels(client, run.trigger),
    )
    await services.runs.update(run.id, status_comment_id=status.id)
    return Nothing()


async def _client(services: Services, trigger: Trigger) -> RepositoryClient:
    return await services.github.repository(
        trigger.installation_id,
        trigger.repository,
        ADMIT,
        observe=services.counting(run_id(trigger.id)),
    )


async def _is_live(services: Services, trigger: Trigger) -> bool:
    subject = subject_key(trigger.repository, trigger.number)
    own = run_id(trigger.id)
    return any(row.id != own for row in await services.runs.alive_on(subject))


def _input(services: Services, trigger: Trigger, policy: policies.Policy) -> RunInput:
    stronger = LABEL_MAX in (trigger.label, *trigger.labels)
    return RunInput(
        id=run_id(trigger.id),
        trigger=trigger,
        policy=policy,
        base_branch=policy.base or trigger.default_branch,
        model=services.model_id_max if stronger else services.model_id,
    )


def _refusal(problem: UserError) -> Admission:
    return Admission(problem=problem.message, next_step=problem.next_step)


async def _react(client: RepositoryClient, trigger: Trigger, reaction: Reaction) -> None:
    comment = trigger.comment
    subject = (
        conversation.Subject(kind="comment", id=comment.id)
        if comment
        else conversation.Subject(kind="issue", id=trigger.number)
    )
    await conversation.react(client, subject, reaction)


async def _swap_labels(client: RepositoryClient, trigger: Trigger) -> None:
    await _take_label_off(client, trigger)
    await conversation.set_state_label(client, trigger.number, LABEL_QUEUED, words.LABELS)


async def _take_label_off(client: RepositoryClient, trigger: Trigger) -> None:
    """The trigger's label is one-shot."""
    if trigger.label:
        await conversation.remove_label(client, trigger.number, trigger.label)
