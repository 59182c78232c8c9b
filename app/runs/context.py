"""What a run is told beside its subject, and the list of it that people can read.

Only words of people with write access are passed on, as they were when the run was asked: what
was written or edited later could have been made for the agent's eyes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from app import log_events, messages
from app.domain import (
    sanitize,
)
from app.domain.rendered_markdown import see
from app.domain.run import ContextItem, ContextText, RunInput
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
from app.runs.services import TALK, Services
from app.store.images import StoredImage

log = structlog.get_logger()

MAX_TEXT = 20_000
MAX_ALL = 120_000
_MAY_WRITE = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_GATHER = {**TALK, "checks": "read", "actions": "read", "statuses": "read"}


class RunContext(Value):
    """A run with what was gathered for it."""

    run: RunInput


class _ContextCollector:
    """Collects context and manifest together, so that nothing is in one and not in the other."""

    def __init__(self) -> None:
        self.context: list[ContextText] = []
        self.items: list[ContextItem] = []
        self.illustrated: list[TextWithImages] = []
        self._size = 0

    def put(
        self,
        about: str,
        text: str,
        *,
        markdown: str = "",
        author: str = "",
        access: str = "",
        at: str = "",
    ) -> None:
        """`text` is code, a log or a list; `markdown`, below it, somebody's own words."""
        plain, words_seen = sanitize.visible(text), see(markdown)
        seen = "\n\n".join(part.strip() for part in (plain, words_seen.text) if part.strip())
        notes = ["hidden text removed"] if plain.strip() != _as_is(text) else []
        notes += words_seen.notes
        if len(seen) > MAX_TEXT:
            notes.append(f"cut from {len(seen):,} characters")
            seen = sanitize.fit_middle(seen, MAX_TEXT)
        if self._size + len(seen) > MAX_ALL:
            self.leave(about, "there was no more room", author=author, at=at)
            return
        self._size += len(seen)
        if seen:
            self.context.append(ContextText(about=about, text=seen, author=author, access=access))
        self.items.append(ContextItem(what=about, author=author, at=at, note="; ".join(notes)))

    def illustrate(self, where: str, body: str, html: str) -> None:
        """Note a text that may show images; only those that `body` names will count."""
        if images.mentioned(body):
            self.illustrated.append(TextWithImages(where=where, body=body, body_html=html))

    def leave(self, what: str, why: str, *, author: str = "", at: str = "") -> None:
        self.items.append(ContextItem(what=what, author=author, at=at, why_not=why))


async def collect_context(services: Services, run: RunInput, *, fixing: bool = False) -> RunContext:
    """Read what belongs to the request. What cannot be read is named, and never stops the run."""
    trigger = run.trigger
    client = await services.client(run, _GATHER)
    basket = _ContextCollector()
    _subject(basket, trigger)
    access = _Access(client)
    if images.mentioned(trigger.body):
        await _attempt(basket, "the images of the text", _shown_in_text(basket, client, trigger))
    if trigger.comments or _is_illustrated(trigger):
        await _attempt(basket, "the conversation", _conversation(basket, client, access, run))
    if trigger.comment is not None and trigger.comment.on != "conversation":
        await _attempt(basket, "the review", _review(basket, client, access, trigger))
    request = run.request
    if fixing:
        failing = await _failing(basket, client, trigger)
        request = request or messages.agent.fix_request([check.name for check in failing])
    await _attempt(basket, "the images", _images(services, basket, run))
    gathered = run.model_copy(
        update={
            "request": request,
            "context": tuple(basket.context),
            "manifest": tuple(basket.items),
        }
    )
    await services.runs.update(run.id, input=gathered.model_dump(mode="json"))
    return RunContext(run=gathered)


def _subject(basket: _ContextCollector, trigger: Trigger) -> None:
    """Title and text come with the trigger; only what was done to them has to be told."""
    author = trigger.author.login if trigger.author else ""
    what = "the pull request's text" if trigger.is_pull_request else "the issue's text"
    note = "; ".join(see(trigger.body).notes)
    basket.items.append(
        ContextItem(what=what, author=author, at=_when(trigger.updated_at), note=note)
    )
    if trigger.command is not None and (notes := see(trigger.command.task).notes):
        asked_by = trigger.actor.login
        basket.items.append(ContextItem(what="the request", author=asked_by, note="; ".join(notes)))


def _is_illustrated(trigger: Trigger) -> bool:
    """Whether the comment that asks, in the conversation, may show images."""
    comment = trigger.comment
    return comment is not None and comment.on == "conversation" and images.mentioned(comment.body)


async def _shown_in_text(
    basket: _ContextCollector, client: RepositoryClient, trigger: Trigger
) -> None:
    """The addresses that open images are only in the HTML of now; the text is the webhook's own."""
    what = "the pull request's text" if trigger.is_pull_request else "the issue's text"
    now = await conversation.issue(client, trigger.number)
    basket.illustrate(what, trigger.body, now.body_html)


async def _images(services: Services, basket: _ContextCollector, run: RunInput) -> None:
    """Load them while their addresses are good, which is for five minutes."""
    if not basket.illustrated:
        return
    found = await images.images_of(services.github, basket.illustrated)
    for seq, image in enumerate(found.images):
        await services.images.put(
            run.id, seq, StoredImage(image.source, image.media_type, image.data)
        )
        size = max(1, len(image.data) // 1024)
        basket.items.append(ContextItem(what=f"an image: {image.source}", note=f"{size:,} KiB"))
    for left in found.left_out:
        basket.leave(f"an image in {left.where}", left.why)


async def _attempt(basket: _ContextCollector, what: str, reading: object) -> None:
    try:
        await reading  # type: ignore[misc]
    except HonkError as problem:
        log.warning(log_events.CONTEXT_ITEM_UNAVAILABLE, what=what, why=str(problem))
        basket.leave(what, f"it could not be read: {problem}")


class _Access:
    """What authors may do in the repository; each is looked up once."""

    def __init__(self, client: RepositoryClient) -> None:
        self._client = client
        self._known: dict[int, Permission] = {}

    async def of(self, login: str, account: int, association: str) -> Permission:
        """GitHub's association spares the look-up of who cannot have write access."""
        if association not in _MAY_WRITE:
            return Permission.NONE
        if account not in self._known:
            self._known[account] = await repositories.permission_by_account(
                self._client, login, account
            )
        return self._known[account]


async def _conversation(
    basket: _ContextCollector, client: RepositoryClient, access: _Access, run: RunInput
) -> None:
    trigger = run.trigger
    own = trigger.comment.id if trigger.comment else None
    found = await conversation.comments(client, trigger.number)
    if found.left_out:
        basket.leave(f"{found.left_out:,} older comments", "only the newest are read")
    for comment in found.comments:
        if trigger.comment is not None and comment.id == own:
            basket.illustrate("the request", trigger.comment.body, comment.body_html)
        ours = comment.app_id == client.github.app_id
        if ours or comment.id == own or comment.created_at > trigger.asked_at:
            continue
        await _one(basket, access, comment, trigger)


async def _one(
    basket: _ContextCollector, access: _Access, comment: Comment | ThreadComment, trigger: Trigger
) -> None:
    login, at = comment.author.login, _when(comment.updated_at)
    if comment.updated_at > trigger.asked_at and comment.updated_at != comment.created_at:
        basket.leave("a comment", "it was edited after the request", author=login, at=at)
        return
    may = await access.of(login, comment.author.id, comment.association)
    if not may.at_least(Permission.WRITE):
        basket.leave("a comment", "its author has no write access", author=login, at=at)
        return
    about = _where(comment) if isinstance(comment, ThreadComment) else "a comment"
    basket.illustrate(about, comment.body, comment.body_html)
    hunk = comment.diff_hunk if isinstance(comment, ThreadComment) else ""
    basket.put(about, hunk or "", markdown=comment.body, author=login, access=may.value, at=at)


async def _review(
    basket: _ContextCollector, client: RepositoryClient, access: _Access, trigger: Trigger
) -> None:
    """The thread of the line that was commented on, or every line comment of the review."""
    comment = trigger.comment
    assert comment is not None
    if comment.line is not None:
        basket.put(f"the lines under review: {_place(comment.line)}", comment.line.diff_hunk)
        found = await reviews.thread(client, trigger.number, comment.id)
    else:
        found = await reviews.comments_of_review(client, trigger.number, comment.id)
    if comment.on == "review" and images.mentioned(comment.body):
        basket.leave("images in the review's own text", "only those in comments are read")
    for each in found:
        if each.id == comment.id:
            basket.illustrate("the request", comment.body, each.body_html)
        elif not await conversation.is_our_bot(client, each.author):
            await _one(basket, access, each, trigger)


async def _failing(
    basket: _ContextCollector, client: RepositoryClient, trigger: Trigger
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
        told = "\n\n".join(part for part in parts if part)
        basket.put(f"the failing check {check.name} ({check.conclusion})", told)
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


def _as_is(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _where(comment: ThreadComment) -> str:
    line = f", line {comment.line}" if comment.line else ""
    return f"a comment on {comment.path}{line}"


def _place(line: ReviewLine) -> str:
    return f"{line.path}, line {line.line}" if line.line else line.path
