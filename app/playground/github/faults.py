"""Faults on demand: failing responses, and rules that refuse a push."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any

UNICORN = (
    "<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head>"
    "<body><p><strong>We had issues producing the response to your request.</strong></p>"
    "</body></html>\n"
)
"""The response of GitHub's load balancer when no API server answers."""


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
    cut: bool = False
    """Send half of the answer and hang up."""
    skip: int = 0
    """How many requests that match are let through first."""


@dataclass
class PushRule:
    """Refuses pushes to refs that match a shell pattern, through git and API alike."""

    pattern: str
    text: str
    times: int | None


@dataclass
class Faults:
    """All active orders; each is removed when it is used up."""

    answers: list[AnswerFault] = field(default_factory=list)
    pushes: list[PushRule] = field(default_factory=list)
    late_reads: int = 0
    """How many times anything created from now on answers 404."""
    _fresh: dict[str, int] = field(default_factory=dict)

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
        skip: int = 0,
    ) -> AnswerFault:
        """Answer requests with this status instead.

        `path` is a regular expression searched in the path as the client wrote it, below `/api/v3`
        for the API (`/repos/o/r/issues$`) and from the root for git (`/o/r.git/git-receive-pack`).
        `method` may be `*`. `status` 0 leaves the answer as it is (for a mere delay). `delay` is in
        seconds, and passes where `after` says. `times` None is forever; the first `skip` matching
        requests are let through. A `body` of text is sent as HTML, like `UNICORN`.
        """
        headers = headers or {}
        fault = AnswerFault(method, re.compile(path), status, body, headers, delay, after, times)
        fault.skip = skip
        self.answers.append(fault)
        return fault

    def cut(self, method: str, path: str, *, times: int | None = 1, skip: int = 0) -> AnswerFault:
        """Let requests take effect, and disconnect in the middle of the response."""
        fault = AnswerFault(method, re.compile(path), 0, None, {}, 0.0, True, times, cut=True)
        fault.skip = skip
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
        self.late_reads = 0
        self._fresh.clear()

    def take(self, method: str, path: str) -> AnswerFault | None:
        """The order that applies to this request; counts as one use."""
        for fault in self.answers:
            if fault.method in ("*", method) and fault.path.search(path):
                if fault.skip:
                    fault.skip -= 1
                    continue
                if _used_up(fault):
                    self.answers.remove(fault)
                return fault
        return None

    def made(self, path: str) -> None:
        """Note that something new is at this path, which not every reader sees immediately."""
        if self.late_reads:
            self._fresh[path.replace("/git/refs/", "/git/ref/")] = self.late_reads

    def is_hidden(self, path: str) -> bool:
        """Whether a read of this path is too early; counts as one use."""
        for fresh, left in self._fresh.items():
            if left and (path == fresh or path.startswith(f"{fresh}/")):
                self._fresh[fresh] -= 1
                return True
        return False

    def push_refusal(self, ref: str) -> str | None:
        """The text of the rule that applies to this ref; counts as one use."""
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
