"""What makes Honk start: an event of GitHub's in, a `Trigger` or `Ignored` out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from app.domain import command, event, labels
from app.domain.command import Command
from app.domain.event import EventError
from app.domain.values import RepoName, Value


class OurApp(Value):
    """Who we are on GitHub."""

    app_id: int
    slug: str

    @property
    def bot_login(self) -> str:
        """The account that the App's own comments and labels come from."""
        return f"{self.slug}[bot]"


class Actor(Value):
    """An account on GitHub. `id` stays when the login changes; `type` is `User` for a person."""

    login: str
    id: int
    type: str


class Comment(Value):
    """The comment that holds the command, as it was when it was written."""

    id: int
    node_id: str
    body: str
    url: str
    created_at: AwareDatetime


class Trigger(Value):
    """Somebody asked for something: all that the webhook tells, so that later edits change nothing.

    `id` is made from signed content only: a comment's node id, or for a label
    `label:<repository id>:<number>:<label>:<the issue's updated_at>`. The same id is the same
    request, however often and under whatever delivery GUID it arrives.

    `comment` is there for the kinds "comment" and "reply" (a comment without a command where Honk
    has asked a question), `label` for the kinds "label" and "unlabel". `command` is what a comment
    says, and None for the others. `author` is None when the author's account is gone. `labels`,
    `title` and `body` are the issue's (or the pull request's) at that moment.
    """

    id: str
    kind: Literal["label", "unlabel", "comment", "reply"]
    installation_id: int
    repository: RepoName
    repository_id: int
    default_branch: str
    private: bool
    number: int
    is_pull_request: bool
    actor: Actor
    title: str
    body: str
    author: Actor | None
    labels: tuple[str, ...]
    label: str | None
    comment: Comment | None
    command: Command | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    html_url: str


@dataclass(frozen=True)
class Ignored:
    """An event that starts nothing. `reason` is half a sentence, for the log."""

    reason: str


def from_event(name: str, payload: event.Event, app: OurApp) -> Trigger | Ignored:
    """Decide whether an event, called `name` in its header, asks `app` for work.

    Raises EventError when a value that we need is none that GitHub would send.
    """
    if isinstance(payload, event.OtherEvent) or (name, payload.action) not in event.ACTED_ON:
        return Ignored(f"{name}.{payload.action} is not acted on")
    refusal = _ours(payload, app) or _not_for_us(payload)
    if refusal:
        return Ignored(refusal)
    try:
        if isinstance(payload, event.Issues):
            return _from_label(payload)
        return _from_comment(payload, app)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EventError(f"{where}: {first['msg']}.") from None
    except ValueError as problem:
        raise EventError(f"{problem}.") from None


def _ours(payload: event.OnIssue, app: OurApp) -> str | None:
    """Our own comments and labels come back to us; answering them would never end.

    `issue.performed_via_github_app` tells who opened the issue, not who labelled it.
    """
    if isinstance(payload, event.IssueComment):
        via = payload.comment.performed_via_github_app
        if via is not None and via.id == app.app_id:
            return "this App wrote the comment"
    sender = payload.sender
    if sender.type == "Bot" and sender.login.lower() == app.bot_login.lower():
        return "this App is the sender"
    return None


def _not_for_us(payload: event.OnIssue) -> str | None:
    if payload.sender.type != "User":
        return f"its sender is no person but of type {payload.sender.type[:40]!r}"
    if payload.repository.archived:
        return "the repository is archived"
    if payload.issue.state != "open":
        return "the issue is closed"
    return None


def _from_label(payload: event.Issues) -> Trigger | Ignored:
    if payload.label is None:
        raise EventError("label: it is missing.")
    name, issue = payload.label.name, payload.issue
    kind: Literal["label", "unlabel"] = "label" if payload.action == "labeled" else "unlabel"
    if name not in ({labels.TRIGGER} if kind == "label" else labels.STOPPING):
        return Ignored("the label is none that starts or stops work")
    return _trigger(
        payload,
        id=f"{kind}:{payload.repository.id}:{issue.number}:{name}:{issue.updated_at}",
        kind=kind,
        label=name,
    )


def _from_comment(payload: event.IssueComment, app: OurApp) -> Trigger | Ignored:
    said = _text(payload.comment.body)
    asked = command.parse(said, app.slug)
    waits = any(label.name == labels.NEEDS_YOU for label in payload.issue.labels)
    if asked is None and not waits:
        return Ignored("the comment holds no command")
    comment = Comment(
        id=payload.comment.id,
        node_id=payload.comment.node_id,
        body=said,
        url=payload.comment.html_url,
        created_at=payload.comment.created_at,
    )
    return _trigger(
        payload,
        id=comment.node_id,
        kind="comment" if asked else "reply",
        comment=comment,
        command=asked,
    )


def _trigger(
    payload: event.OnIssue,
    *,
    id: str,
    kind: Literal["label", "unlabel", "comment", "reply"],
    label: str | None = None,
    comment: Comment | None = None,
    command: Command | None = None,
) -> Trigger | Ignored:
    issue, repository = payload.issue, payload.repository
    if payload.installation is None:
        return Ignored("it names no installation, so it is a repository's own webhook")
    return Trigger(
        id=id,
        kind=kind,
        installation_id=payload.installation.id,
        repository=RepoName.parse(repository.full_name),
        repository_id=repository.id,
        default_branch=repository.default_branch,
        private=repository.private,
        number=issue.number,
        is_pull_request=issue.pull_request is not None,
        actor=_actor(payload.sender),
        title=_text(issue.title),
        body=_text(issue.body),
        author=_actor(issue.user) if issue.user else None,
        labels=tuple(each.name for each in issue.labels),
        label=label,
        comment=comment,
        command=command,
        created_at=issue.created_at,
        updated_at=issue.updated_at,
        html_url=issue.html_url,
    )


def _actor(account: event.Account) -> Actor:
    return Actor(login=account.login, id=account.id, type=account.type)


def _text(text: str | None) -> str:
    """An empty body is null in an event; a NUL is something that Postgres stores nowhere."""
    return (text or "").replace("\0", "")
