"""GitHub's faults: each call of a run, one after the other, with each kind of failure.

The calls are those that an undisturbed run makes, read from the simulator's record. Whatever the
answer, people see the usual end.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.playground.github.faults import UNICORN, AnswerFault, Faults
from app.playground.github.request_log import RequestRecord
from tests.faults.points import Point, demand, demand_the_usual_end, over
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

SCRIPT = script([FIX], [FINISH])
TITLE = "GitHub faults"

_TIMEOUT = 35.0
"""Seconds: longer than Honk waits for one answer."""

_PATIENT = 150.0
"""Seconds to wait for the end: a silence and what Honk waits after it."""

_LONG = ("path", "ref", "tail")


@dataclass(frozen=True)
class Trouble:
    """A failure of a call. `git`: whether it also applies to git's own requests."""

    answer: dict[str, Any]
    git: bool = False
    cut: bool = False
    slow: bool = False

    def order(self, faults: Faults, method: str, path: str, skip: int) -> AnswerFault:
        """Let it happen to one request."""
        if self.cut:
            return faults.cut(method, path, skip=skip)
        return faults.answer(method, path, skip=skip, **self.answer)


_LIMIT = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}

TROUBLES = {
    "404 once": Trouble({"status": 404, "body": {"message": "Not Found"}}),
    "409": Trouble({"status": 409, "body": {"message": "Conflict"}}),
    "502 after it took effect": Trouble({"status": 502, "body": UNICORN, "after": True}, git=True),
    "cut": Trouble({}, cut=True),
    "401": Trouble({"status": 401, "body": {"message": "Bad credentials"}}, git=True),
    "secondary limit": Trouble({"status": 403, "body": _LIMIT, "headers": {"Retry-After": "1"}}),
    "500": Trouble({"status": 500}, git=True),
    "502 with HTML": Trouble({"status": 502, "body": UNICORN}, git=True),
    "timeout after it took effect": Trouble(
        {"status": 0, "delay": _TIMEOUT, "after": True}, slow=True
    ),
}


@dataclass(frozen=True)
class Asked:
    """The nth request of this kind in a run, or in a merge."""

    method: str
    template: str
    nth: int
    of_merge: bool = False

    def __str__(self) -> str:
        short = self.template.removeprefix("/repos/{owner}/{repo}") or "the repository"
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{'/honk merge: ' if self.of_merge else ''}{self.method} {short}{nth}"

    @property
    def is_git(self) -> bool:
        """Whether git itself asks."""
        return self.template.startswith("/{owner}/{repo}.git")

    @property
    def is_nobodys(self) -> bool:
        """Whether its URL does not show which run makes the request."""
        return not ("{owner}" in self.template or "{installation_id}" in self.template)


@dataclass
class Bench:
    """One harness for all; each point has an owner, an installation and a repository of its own."""

    harness: Harness
    calls: dict[str, Asked] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def points(self) -> list[Point]:
        """Every failure at every call of an undisturbed run."""
        requests = self.harness.github.requests
        before = len(requests)
        subject = await self._subject()
        await subject.label()
        await over(self.harness, subject)
        await demand_the_usual_end(subject)
        self._note(requests[before:], of_merge=False)
        pull = await self._proposed()
        before = len(requests)
        await self._merged(pull)
        self._note(requests[before:], of_merge=True)
        return [
            Point(name, what, trouble.slow)
            for what, trouble in TROUBLES.items()
            for name, asked in self.calls.items()
            if trouble.git or not asked.is_git
        ]

    def _note(self, records: list[RequestRecord], *, of_merge: bool) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for record in records:
            kind = (record.method, record.template)
            counts[kind] += 1
            asked = Asked(*kind, counts[kind], of_merge)
            if self._is_of_a_run(record):
                self.calls[str(asked)] = asked

    def needs_the_harness_alone(self, point: Point) -> bool:
        """Whether another run could get the failure that is meant for this one."""
        return self.calls[point.where].is_nobodys

    async def survives(self, point: Point) -> str:
        """Inject it. Returns "ok", or "not met" if the run made no such call this time.

        Raises AssertionError when people could see it.
        """
        asked, faults = self.calls[point.where], self.harness.github.faults
        subject = await (self._proposed() if asked.of_merge else self._subject())
        path = self._path(asked, subject)
        fault = TROUBLES[point.what].order(faults, asked.method, path, asked.nth - 1)
        try:
            if asked.of_merge:
                await self._merged(subject)
            else:
                await subject.label()
                await over(self.harness, subject)
            met = all(each is not fault for each in faults.answers)
        finally:
            faults.answers[:] = [each for each in faults.answers if each is not fault]
        if asked.of_merge:
            return "ok" if met else "not met"
        await demand_the_usual_end(subject)
        told = [each for each in subject.ours if "<!-- honk:" in each.body]
        # Only where no review was requested, a second comment says how it ended.
        wanted = 1 if "<!-- honk:end=" in subject.status else 2
        demand(len(told) == wanted, f"{len(told)} comments were made")
        return "ok" if met else "not met"

    async def _proposed(self) -> Subject:
        """A person's pull request, which a rule lets be merged when someone has approved it."""
        issue = await self._subject()
        github, repo = self.harness.github, issue.repository
        github.protect(repo, "main", reviews=1, enforce_admins=True)
        github.set_permission(repo, "walter", "write")
        await github.push_files(repo, "feat", {"b.txt": b"b\n"}, "olivia")
        made = await github.open_pull_request(repo, "olivia", "feat")
        await github.review(repo, made.number, "walter", "Good", "APPROVE")
        await github.drained()
        return Subject(self.harness, repo, made.number)

    async def _merged(self, pull: Subject) -> None:
        """Ask for the merge; there is one merge and one answer."""
        assert pull.issue.pull is not None
        await pull.comment(f"/honk merge {pull.issue.pull.head_sha}")
        answer = await pull.answered("Merged #")
        await self.harness.github.drained()
        told = [each for each in pull.ours if "<!-- honk:" in each.body]
        demand(len(told) == 1, f"{len(told)} comments were made")
        demand(pull.issue.pull.merged_at is not None, f"it is not merged: {answer}")
        count = await pull.git("rev-list", "--count", "main")
        demand(count.strip() == "3", f"{count.strip()} commits are on the base branch")

    async def _subject(self) -> Subject:
        owner = f"owner-{next(self._numbers):04}"
        return await self.harness.subject(plays=SCRIPT, name="calc", owner=owner)

    def _is_of_a_run(self, record: RequestRecord) -> bool:
        """Whether the request belongs to a run rather than to one of the worker's timers."""
        return bool(record.template) and not record.template.startswith("/app/hook")

    def _path(self, asked: Asked, subject: Subject) -> str:
        """A pattern for the path, which holds for this subject's run alone where it can."""
        owner, _, repo = subject.repository.partition("/")
        installation = self.harness.github.world.installations[owner].id
        known = {"owner": owner, "repo": repo, "installation_id": str(installation)}

        def filled(name: str) -> str:
            return known.get(name, ".*" if name in _LONG else "[^/]+")

        pieces = re.split(r"\{(\w+)\}", asked.template)
        parts = [filled(p) if i % 2 else re.escape(p) for i, p in enumerate(pieces)]
        return f"^{''.join(parts)}$"


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    """With slots for runs that only wait."""
    async with open_harness(HONK_CONCURRENCY="40") as harness:
        harness.patience = _PATIENT
        yield Bench(harness)
