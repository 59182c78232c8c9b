"""What each trigger does: one module for each slash command and for each kind of trigger.

A command's module is found by the command's name, followed by an underscore if Python reserves the
name; there is no list to add it to. `app/domain/command.py` declares the commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from keyword import iskeyword
from typing import cast

from app.domain.command import COMMANDS
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs.commands import automatic, check, fix, reply, stop, work
from app.runs.services import Services

Handler = Callable[[Services, Trigger, Policy], Awaitable[None]]


def _load(name: str) -> Handler:
    """The function `handle` of a command's module. Raises ModuleNotFoundError without one."""
    module = f"{name}_" if iskeyword(name) else name
    return cast("Handler", import_module(f"{__name__}.{module}").handle)


BY_NAME: dict[str, Handler] = {name: _load(name) for name in COMMANDS}
BY_KIND: dict[str, Handler] = {
    "label": work.handle,
    "unlabel": stop.handle,
    "reply": reply.handle,
    "unasked": automatic.handle,
    "check": check.handle,
}


def handler(trigger: Trigger) -> Handler:
    """The handler of a trigger: by its kind, or for a comment by its command."""
    if stop.is_included(trigger):
        return stop.handle
    if _means_fix(trigger):
        return fix.handle
    if trigger.command is None or trigger.kind in ("unasked", "check"):
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
