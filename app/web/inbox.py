"""`/`: what waits for the signed-in person, with its evidence and the actions right there.

It is ordered by what is quickest to decide safely: review is the bottleneck.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import messages
from app.domain.report import Report
from app.domain.run import Outcome
from app.domain.values import RepoName
from app.domain.verdict import VerdictKind
from app.errors import RetryableError
from app.github.people import Access, People, SubjectNow
from app.store.database import Database, now
from app.store.reports import Reports
from app.store.run_lists import RunLists
from app.store.runs import RunRow, Runs
from app.web.login import AuthMiddleware
from app.web.run_page import NOTICES, RunPages
from app.web.run_values import Button, buttons
from app.web.sessions import WebSession

_DAYS = 30
_CANDIDATES = 60
_SHOWN = 30
_OUTCOMES = tuple(each for each in Outcome if each is not Outcome.ANSWERED)

Kind = Literal["question", "review", "decision", "failure"]
HEADINGS: dict[Kind, str] = {
    "question": "Question",
    "review": "Ready for review",
    "decision": "Needs a decision",
    "failure": "Failed",
}


@dataclass(frozen=True)
class AttentionItem:
    """One thing that waits for a person. `evidence` is one line, `minutes` a rough estimate of
    how long it takes to decide."""

    row: RunRow
    kind: Kind
    evidence: str
    question: str
    minutes: float
    actions: tuple[Button, ...]
    may_act: bool
    url: str
    head_sha: str = ""

    @property
    def heading(self) -> str:
        """What it is, in two or three words."""
        return HEADINGS[self.kind]


class InboxPages:
    """The inbox. GitHub says what is still open, in the name of the person who looks."""

    def __init__(
        self,
        auth: AuthMiddleware,
        people: People,
        database: Database,
        run_pages: RunPages,
        server_url: str,
    ) -> None:
        self._auth = auth
        self._people = people
        self._run_pages = run_pages
        self._lists = RunLists(database)
        self._runs = Runs(database)
        self._reports = Reports(database)
        self._server_url = server_url

    def routes(self) -> list[BaseRoute]:
        guarded = self._auth.guarded
        return [
            Route("/", guarded(self._page)),
            Route("/runs/{run}/approve", guarded(self._approve), methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        everyone = request.query_params.get("of") == "everyone"
        items = await self._items(session, everyone=everyone)
        return self._auth.renderer.page(
            "inbox.html",
            session=session,
            items=items[:_SHOWN],
            more=max(0, len(items) - _SHOWN),
            everyone=everyone,
            once=secrets.token_urlsafe(12),
            notice=NOTICES.get(request.query_params.get("sent", ""), ""),
        )

    async def _approve(self, request: Request) -> Response:
        """Approve the run's pull request on GitHub, in the person's own name and with their own
        rights: the commit that the verdict is about, if it is still the head."""
        viewed = await self._run_pages.viewed(request)
        if isinstance(viewed, Response):
            return viewed
        form = await self._run_pages.form(request, viewed)
        if isinstance(form, Response):
            return form
        row, token = viewed.row, SecretStr(viewed.session.token)
        repo, number = row.input.trigger.repository, row.pull_number
        back = form.get("back", "")
        subject = None
        if number is not None:
            subject = await self._people.subject(token, repo, number, is_pull=True)
        if number is None or subject is None or not subject.is_open:
            text = "There is no open pull request to approve."
            return self._run_pages.answer(request, viewed, 409, text, back=back)
        if subject.head_sha != row.published_sha or form.get("sha") != row.published_sha:
            text = (
                "The pull request has other commits than those that Honk verified. Review it there."
            )
            return self._run_pages.answer(request, viewed, 409, text, back=back)
        refusal = await self._people.approve(token, repo, number, subject.head_sha)
        if refusal:
            text = f"GitHub refused the approval: {refusal}"
            return self._run_pages.answer(request, viewed, 409, text, back=back)
        return self._run_pages.answer(request, viewed, 200, "Approved on GitHub.", "approved", back)

    async def _items(self, session: WebSession, *, everyone: bool) -> list[AttentionItem]:
        since = now() - _DAYS * 86_400
        mine = "" if everyone else session.login
        ended = await self._lists.ended_since(since, _OUTCOMES, _CANDIDATES, actor=mine)
        newest = await self._lists.newest_of([subject for _, subject in ended])
        latest = {run for run, subject in ended if newest.get(subject) == run}
        found = await asyncio.gather(*(self._item(session, run) for run in latest))
        items = [each for each in found if each is not None]
        return sorted(items, key=lambda each: (each.minutes, -each.row.updated_at))

    async def _item(self, session: WebSession, run: str) -> AttentionItem | None:
        """The item of a run; None when nothing waits: it is closed, or not theirs to see."""
        row = await self._runs.find(run)
        if row is None or row.outcome is None:
            return None
        trigger = row.input.trigger
        repository, number = str(trigger.repository), row.pull_number or row.number
        access = await self._auth.access.level(session.token, repository, trigger.repository_id)
        if access is Access.NONE:
            return None
        is_pull = row.pull_number is not None or trigger.is_pull_request
        try:
            subject = await self._people.subject(
                SecretStr(session.token), RepoName.parse(repository), number, is_pull=is_pull
            )
        except RetryableError:
            subject = SubjectNow(is_open=True)
        if subject is None or not subject.is_open:
            return None
        if row.outcome is Outcome.DONE and not row.pull_number:
            return None
        report = await self._reports.of(row.id, row.attempt)
        kind = _kind(row.outcome, subject)
        moved = bool(subject.head_sha and subject.head_sha != row.published_sha)
        return AttentionItem(
            row=row,
            kind=kind,
            evidence=_evidence(row, report, subject, moved=moved and kind == "review"),
            question=report.work.text if kind == "question" and report and report.work else "",
            minutes=_minutes(kind, report, subject),
            actions=tuple(buttons(row, report, is_newest=True)),
            may_act=access >= Access.WRITE,
            url=f"{self._server_url}/{repository}/{'pull' if is_pull else 'issues'}/{number}",
            head_sha="" if moved else row.published_sha or "",
        )


def _kind(outcome: Outcome, subject: SubjectNow) -> Kind:
    if outcome is Outcome.QUESTION:
        return "question"
    if outcome is Outcome.DONE and not subject.is_draft:
        return "review"
    return "failure" if outcome is Outcome.ERROR else "decision"


def _evidence(row: RunRow, report: Report | None, subject: SubjectNow, *, moved: bool) -> str:
    """The verdict, the size of the change and its flags, or what went wrong, in one line."""
    parts: list[str] = []
    if report is not None and report.verdict is not None:
        name = messages.verdict.label(report.verdict)
        seen = messages.verdict.seen(report.verdict)
        parts.append((f"{name}: {seen}" if name else seen).rstrip("."))
    elif report is not None and report.problem:
        parts.append(report.problem.partition("\n")[0])
    elif row.outcome is not None:
        parts.append(messages.formatting.state(row.phase, row.outcome, row.input.mode))
    if subject.changed_files:
        files = messages.formatting.count(subject.changed_files, "file")
        parts.append(f"{files} +{subject.additions:,} −{subject.deletions:,}")
    if report is not None and report.publication is not None:
        flags = ", ".join(report.flags)
        parts.append(f"flags: {flags}" if flags else "no flags")
    if moved:
        parts.append("new commits since")
    return " · ".join(parts)


def _minutes(kind: Kind, report: Report | None, subject: SubjectNow) -> float:
    """How long it takes a careful person to decide. Only the order matters."""
    lines = subject.additions + subject.deletions
    flags = len(report.flags) if report else 0
    text = len(report.work.text) if report and report.work else 0
    if kind == "question":
        return 1.5 + text / 500
    if kind == "review":
        verdict = report.verdict if report else None
        proven = verdict is not None and verdict.kind is VerdictKind.PROVEN
        return (1 if proven else 4) + lines / 40 + 3 * flags
    return (6 if kind == "decision" else 8) + lines / 40 + 3 * flags
