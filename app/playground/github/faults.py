"""What goes wrong on order: answers of a bad day, and rules that refuse a push."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class AnswerFault:
    """One order. `after`: the request takes effect and only its answer is replaced."""

    method: str
    path: re.Pattern[str]
    status: int
    body: Any
    headers: dict[str, str]
    delay: float
    after: bool
    times: int | None


@dataclass
class PushRule:
    """Refuses pushes to refs that match a shell pattern, through git and API alike."""

    pattern: str
    text: str
    times: int | None


@dataclass
class Faults:
    """All orders in force; each goes when it was used up."""

    answers: list[AnswerFault] = field(default_factory=list)
    pushes: list[PushRule] = field(default_factory=list)

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        delay: float = 0.0,
        after: bool = False,
        times: int | None = 1,
    ) -> AnswerFault:
        """Answer requests with this status instead.

        `path` is a regular expression searched in the path as the client wrote it, below
        `/api/v3` for the API (`/repos/o/r/issues$`) and from the root for git
        (`/o/r.git/git-receive-pack`). `method` may be `*`. `status` 0 leaves the answer as it is
        (for a mere delay). `delay` is in seconds. `times` None is for ever.
        """
        headers = headers or {}
        fault = AnswerFault(method, re.compile(path), status, body, headers, delay, after, times)
        self.answers.append(fault)
        return fault

    def refuse_push(self, pattern: str, text: str, *, times: int | None = None) -> PushRule:
        """Refuse to make or move refs that match, such as `refs/honk/*`, with this rule's text."""
        rule = PushRule(pattern, text, times)
        self.pushes.append(rule)
        return rule

    def clear(self) -> None:
        """Everything works again."""
        self.answers.clear()
        self.pushes.clear()

    def take(self, method: str, path: str) -> AnswerFault | None:
        """The order that this request meets, which is thereby used once."""
        for fault in self.answers:
            if fault.method in ("*", method) and fault.path.search(path):
                if _used_up(fault):
                    self.answers.remove(fault)
                return fault
        return None

    def push_refusal(self, ref: str) -> str | None:
        """The text of the rule that this ref meets, which is thereby used once."""
        for rule in self.pushes:
            if fnmatch.fnmatchcase(ref, rule.pattern):
                if _used_up(rule):
                    self.pushes.remove(rule)
                return rule.text
        return None


def _used_up(order: AnswerFault | PushRule) -> bool:
    if order.times is None:
        return False
    order.times -= 1
    return order.times <= 0
