"""The commands, one file each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs.commands import (
    ask,
    automatic,
    continue_,
    doctor,
    fix,
    go,
    help,
    plan,
    ready,
    rebase,
    reply,
    retry,
    status,
    stop,
    test,
    trust,
    undo,
    work,
)
from app.runs.services import Services

Handler = Callable[[Services, Trigger, Policy], Awaitable[None]]

BY_NAME: dict[str, Handler] = {
    "work": work.handle,
    "plan": plan.handle,
    "go": go.handle,
    "ask": ask.handle,
    "retry": retry.handle,
    "stop": stop.handle,
    "continue": continue_.handle,
    "status": status.handle,
    "help": help.handle,
    "fix": fix.handle,
    "test": test.handle,
    "rebase": rebase.handle,
    "undo": undo.handle,
    "ready": ready.handle,
    "trust": trust.handle,
    "doctor": doctor.handle,
}
BY_KIND: dict[str, Handler] = {
    "label": work.handle,
    "unlabel": stop.handle,
    "reply": reply.handle,
    "unasked": automatic.handle,
}


def handler(trigger: Trigger) -> Handler:
    """The handler of a trigger: by its kind, or for a comment by its command."""
    if stop.is_included(trigger):
        return stop.handle
    if _means_fix(trigger):
        return fix.handle
    if trigger.command is None or trigger.kind == "unasked":
        return BY_KIND[trigger.kind]
    return BY_NAME[trigger.command.name]


def _means_fix(trigger: Trigger) -> bool:
    """Whether the request means "fix the failing checks".

    On a pull request the label or a bare `/honk` does; in a review or on a line it means the
    review.
    """
    said = trigger.command
    is_bare = said is not None and said.name == "work" and not said.task
    in_conversation = trigger.comment is None or trigger.comment.on == "conversation"
    asked = trigger.kind == "label" or (trigger.kind == "comment" and is_bare and in_conversation)
    return trigger.is_pull_request and asked
