"""The notifications that GitHub would have sent to a person.

New texts count, edits do not: https://docs.github.com/subscriptions-and-notifications
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.playground.github.accounts import User
from app.playground.github.world import Repository, SimulatedIssue, World

from .markdown import mentions, plain

_EXCERPT = 140


@dataclass(frozen=True)
class Notice:
    """One line on the phone. `id` grows with time."""

    id: int
    reason: str
    repository: Repository
    issue: SimulatedIssue
    author: User
    words: str
    at: datetime
    anchor: str


def notices(world: World, person: User) -> list[Notice]:
    """All notifications of a person, newest first."""
    found = [
        notice
        for repository in world.repositories.values()
        if repository.allows(person, "read")
        for issue in repository.issues.values()
        for notice in _of_issue(repository, issue, person)
    ]
    return sorted(found, key=lambda notice: notice.id, reverse=True)


def _of_issue(repository: Repository, issue: SimulatedIssue, person: User) -> Iterator[Notice]:
    subscribed = person in (repository.owner, issue.author) or person in issue.assignees
    for number, author, text, at, anchor in _texts(issue):
        if author is person:
            subscribed = True
            continue
        mentioned = person.login.lower() in mentions(text)
        subscribed = subscribed or mentioned
        if subscribed:
            reason = "mention" if mentioned else _reason(anchor)
            words = _excerpt(text)
            yield Notice(number, reason, repository, issue, author, words, at, anchor)
    for event in issue.events:
        asked = event.more.get("requested_reviewer") or {}
        if event.event == "review_requested" and asked.get("login") == person.login:
            words, at, anchor = "Your review was requested.", event.created_at, f"event-{event.id}"
            reason = "review requested"
            yield Notice(event.id, reason, repository, issue, event.actor, words, at, anchor)


def _texts(issue: SimulatedIssue) -> list[tuple[int, User, str, datetime, str]]:
    """All texts in a thread, in order: id, author, text, time, position on the page."""
    rows = [(issue.id, issue.author, issue.body or "", issue.created_at, f"issue-{issue.id}")]
    for comment in issue.comments:
        anchor = f"issuecomment-{comment.id}"
        rows.append((comment.id, comment.author, comment.body, comment.created_at, anchor))
    for review in issue.pull.reviews if issue.pull else []:
        if review.submitted_at is not None:
            words = review.body or review.state.replace("_", " ").lower()
            anchor = f"pullrequestreview-{review.id}"
            rows.append((review.id, review.author, words, review.submitted_at, anchor))
    for _, comment in issue.pull.review_comments if issue.pull else []:
        anchor = f"discussion_r{comment.id}"
        rows.append((comment.id, comment.author, comment.body, comment.created_at, anchor))
    return sorted(rows, key=lambda row: row[0])


def _reason(anchor: str) -> str:
    if anchor.startswith("issue-"):
        return "new"
    return "review" if anchor.startswith("pullrequestreview") else "comment"


def _excerpt(text: str) -> str:
    words = plain(text)
    return words if len(words) <= _EXCERPT else words[: _EXCERPT - 1] + "…"
