"""The context of a run besides its subject, and the list of it for people.

Only text by people with write access is included, as it was when the run was requested: later
comments or edits could be written to manipulate the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from app import log_events, messages
from app.domain import (
    excerpts,
    sanitize,
)
from app.domain.rendered_markdown import see
from app.domain.run import ContextItem, ContextText, RunInput, subject_key
from app.domain.trigger import ReviewLine, Trigger
from app.domain.values import Value
from app.errors import HonkError
from app.github import actions, checks, conversation, images, pulls, repositories, reviews
from app.github.checks import FailingCheck
from app.github.client import RepositoryClient
from app.github.conversation import Comment
from app.github.images import TextWithImages
from app.github.repositories import Permission
from app.github.reviews import ThreadComment
from app.runs.services import WRITE_COMMENTS, Services
from app.store.images import StoredImage

log = structlog.get_logger()

MAX_TEXT = 20_000
MAX_ALL = 120_000
_EARLIER_RUNS = 5
_MAY_WRITE = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_READ_CONTEXT = {**WRITE_COMMENTS, "checks": "read", "actions": "read", "statuses": "read"}


class RunContext(Value):
    """A run with its collected context."""

    run: RunInput


class _ContextCollector:
    """Collects context and manifest together, so that they always match."""

    def __init__(self) -> None:
        self.context: list[ContextText] = []
        self.items: list[ContextItem] = []
        self.with_images: list[TextWithImages] = []
        self._size = 0

    def add(
        self,
        about: str,
        text: str,
        *,
        markdown: str = "",
        author: str = "",
        access: str = "",
        at: str = "",
    ) -> None:
        """Add an item. `text` is code, a log or a list; `markdown`, shown below it, a person's own
        text."""
        plain, words_seen = sanitize.visible(text), see(markdown)
        seen = "\n\n".join(part.strip() for part in (plain, words_seen.text) if part.strip())
        notes = ["hidden text removed"] if plain.strip() != _normalized(text) else []
        notes += words_seen.notes
        if len(seen) > MAX_TEXT:
            notes.append(f"cut from {len(seen):,} characters")
            seen = sanitize.fit_middle(seen, MAX_TEXT)
        if self._size + len(seen) > MAX_ALL:
            self.skip(about, "there was no room left", author=author, at=at)
            return
        self._size += len(seen)
        if seen:
            self.context.append(ContextText(about=about, text=seen, author=author, access=access))
        self.items.append(ContextItem(what=about, author=author, at=at, note="; ".join(notes)))

    def note_images(self, where: str, body: str, html: str) -> None:
        """Record a text that may show images; only images named in `body` count."""
        if images.mentioned(body):
            self.with_images.append(TextWithImages(where=where, body=body, body_html=html))

    def skip(self, what: str, why: str, *, author: str = "", at: str = "") -> None:
        self.items.append(ContextItem(what=what, author=author, at=at, why_not=why))


async def collect_context(services: Services, run: RunInput, *, fixing: bool = False) -> RunContext:
    """Collect the request's context. Unreadable items are listed as such and never stop the run."""
    trigger = run.trigger
    client = await services.client(run, _READ_CONTEXT)
    collector = _ContextCollector()
    _subject(collector, trigger)
    access = _Access(client)
    if images.mentioned(trigger.body):
        await _add_or_skip(
            collector, "the images of the text", _find_images(collector, client, trigger)
        )
    if trigger.comments or _is_illustrated(trigger):
        await _add_or_skip(
            collector, "the conversation", _conversation(collector, client, access, run)
        )
    if trigger.comment is not None and trigger.comment.on != "conversation":
        await _add_or_skip(collector, "the review", _review(collector, client, access, trigger))
    if run.mode not in ("test", "setup"):
        await _add_or_skip(collector, "earlier runs here", _earlier_runs(collector, services, run))
        collector.items.append(ContextItem(what=messages.agent.OVERVIEW))
    request = run.request
    if fixing:
        failing = await _failing(collector, client, trigger)
        request = request or messages.agent.fix_request([check.name for check in failing])
    await _add_or_skip(collector, "the images", _images(services, collector, run))
    said = [trigger.title, trigger.body, run.request, *(each.text for each in collector.context)]
    if run.mode not in ("test", "setup") and excerpts.has_frames("\n".join(said)):
        collector.items.append(ContextItem(what=messages.agent.TRACED))
    gathered = run.model_copy(
        update={
            "request": request,
            "context": tuple(collector.context),
            "manifest": tuple(collector.items),
        }
    )
    await services.runs.update(run.id, input=gathered.model_dump(mode="json"))
    return RunContext(run=gathered)


def _subject(collector: _ContextCollector, trigger: Trigger) -> None:
    """List the title and text, which come with the trigger, and note what was removed from them."""
    author = trigger.author.login if trigger.author else ""
    what = "the pull request's text" if trigger.is_pull_request else "the issue's text"
    note = "; ".join(see(trigger.body).notes)
    collector.items.append(
        ContextItem(what=what, author=author, at=_when(trigger.updated_at), note=note)
    )
    if trigger.command is not None and (notes := see(trigger.command.task).notes):
        asked_by = trigger.actor.login
        collector.items.append(
            ContextItem(what="the request", author=asked_by, note="; ".join(notes))
        )


def _is_illustrated(trigger: Trigger) -> bool:
    """Whether the requesting comment is in the conversation and may show images."""
    comment = trigger.comment
    return comment is not None and comment.on == "conversation" and images.mentioned(comment.body)


async def _find_images(
    collector: _ContextCollector, client: RepositoryClient, trigger: Trigger
) -> None:
    """Signed image URLs exist only in GitHub's current HTML; the text itself is the webhook's."""
    what = "the pull request's text" if trigger.is_pull_request else "the issue's text"
    now = await conversation.issue(client, trigger.number)
    collector.note_images(what, trigger.body, now.body_html)


async def _images(services: Services, collector: _ContextCollector, run: RunInput) -> None:
    """Download the images while their signed URLs are valid, which is five minutes."""
    if not collector.with_images:
        return
    found = await images.images_of(services.github, collector.with_images)
    for seq, image in enumerate(found.images):
        await services.images.put(
            run.id, seq, StoredImage(image.source, image.media_type, image.data)
        )
        size = max(1, len(image.data) // 1024)
        collector.items.append(ContextItem(what=f"an image: {image.source}", note=f"{size:,} KiB"))
    for left in found.left_out:
        collector.skip(f"an image in {left.where}", left.why)


async def _add_or_skip(collector: _ContextCollector, what: str, reading: object) -> None:
    try:
        await reading  # type: ignore[misc]
    except HonkError as problem:
        log.warning(log_events.CONTEXT_ITEM_UNAVAILABLE, what=what, why=str(problem))
        collector.skip(what, f"it could not be read: {problem}")


async def _earlier_runs(collector: _ContextCollector, services: Services, run: RunInput) -> None:
    """How the latest runs on the same issue or pull request ended."""
    subject = subject_key(run.trigger.repository, run.trigger.number)
    rows = await services.runs.of_subject(subject)
    ended = [row for row in rows if row.id != run.id and row.outcome is not None]
    lines = [
        messages.agent.earlier_run(
            row.created_at, row.input.request or row.input.trigger.title, row.outcome, row.pull_url
        )
        for row in ended[:_EARLIER_RUNS]
        if row.outcome is not None
    ]
    if lines:
        collector.add("earlier runs here", "\n".join(lines))


class _Access:
    """Authors' permissions in the repository; each is looked up once."""

    def __init__(self, client: RepositoryClient) -> None:
        self._client = client
        self._known: dict[int, Permission] = {}

    async def of(self, login: str, account: int, association: str) -> Permission:
        """An author's permission. GitHub's association rules out most without a request."""
        if association not in _MAY_WRITE:
            return Permission.NONE
        if account not in self._known:
            self._known[account] = await repositories.permission_by_account(
                self._client, login, account
            )
        return self._known[account]


async def _conversation(
    collector: _ContextCollector, client: RepositoryClient, access: _Access, run: RunInput
) -> None:
    trigger = run.trigger
    own = trigger.comment.id if trigger.comment else None
    found = await conversation.comments(client, trigger.number)
    if found.left_out:
        collector.skip(f"{found.left_out:,} older comments", "only the newest comments are read")
    for comment in found.comments:
        if trigger.comment is not None and comment.id == own:
            collector.note_images("the request", trigger.comment.body, comment.body_html)
        ours = comment.app_id == client.github.app_id
        if ours or comment.id == own or comment.created_at > trigger.asked_at:
            continue
        await _add_comment(collector, access, comment, trigger)


async def _add_comment(
    collector: _ContextCollector,
    access: _Access,
    comment: Comment | ThreadComment,
    trigger: Trigger,
) -> None:
    login, at = comment.author.login, _when(comment.updated_at)
    if comment.updated_at > trigger.asked_at and comment.updated_at != comment.created_at:
        collector.skip("a comment", "it was edited after the request", author=login, at=at)
        return
    may = await access.of(login, comment.author.id, comment.association)
    if not may.at_least(Permission.WRITE):
        collector.skip("a comment", "its author has no write access", author=login, at=at)
        return
    about = _comment_location(comment) if isinstance(comment, ThreadComment) else "a comment"
    collector.note_images(about, comment.body, comment.body_html)
    hunk = comment.diff_hunk if isinstance(comment, ThreadComment) else ""
    collector.add(about, hunk or "", markdown=comment.body, author=login, access=may.value, at=at)


async def _review(
    collector: _ContextCollector, client: RepositoryClient, access: _Access, trigger: Trigger
) -> None:
    """The thread of the line that was commented on, or every line comment of the review."""
    comment = trigger.comment
    assert comment is not None
    if comment.line is not None:
        collector.add(f"the lines under review: {_location(comment.line)}", comment.line.diff_hunk)
        found = await reviews.thread(client, trigger.number, comment.id)
    else:
        found = await reviews.comments_of_review(client, trigger.number, comment.id)
    if comment.on == "review" and images.mentioned(comment.body):
        collector.skip("images in the review's own text", "only those in comments are read")
    for each in found:
        if each.id == comment.id:
            collector.note_images("the request", comment.body, each.body_html)
        elif not await conversation.is_our_bot(client, each.author):
            await _add_comment(collector, access, each, trigger)


async def _failing(
    collector: _ContextCollector, client: RepositoryClient, trigger: Trigger
) -> Sequence[FailingCheck]:
    """The failing checks of other Apps, with their annotations and the end of their logs."""
    pull = await pulls.pull_request(client, trigger.number)
    failing = await checks.failing(client, pull.head_sha)
    logs = await asyncio.gather(*(_log_of(client, check) for check in failing))
    for check, text in zip(failing, logs, strict=True):
        notes = [
            f"{note.path}:{note.start_line}: {note.title} {note.message}".strip()
            for note in check.annotations
        ]
        parts = [check.title, check.summary, "\n".join(notes), text]
        text_parts = "\n\n".join(part for part in parts if part)
        collector.add(f"the failing check {check.name} ({check.conclusion})", text_parts)
    return failing


async def _log_of(client: RepositoryClient, check: FailingCheck) -> str:
    if check.job_id is None:
        return ""
    try:
        found = await actions.job_log(client, check.job_id, MAX_TEXT)
    except HonkError as problem:
        log.warning(log_events.JOB_LOG_UNAVAILABLE, check=check.name, why=str(problem))
        return ""
    return found or ""


def _normalized(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _comment_location(comment: ThreadComment) -> str:
    line = f", line {comment.line}" if comment.line else ""
    return f"a comment on {comment.path}{line}"


def _location(line: ReviewLine) -> str:
    return f"{line.path}, line {line.line}" if line.line else line.path
