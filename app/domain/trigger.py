"""Maps a GitHub event to a `Trigger`, a `Signal` or `Ignored`. Pure.

A trigger is a comment or label on an issue or pull request. A signal is anything else that
concerns a run: a button, a closed subject, a push, another App's checks. It names the run or the
commit; the worker looks up the subject. An event may carry further signals besides, which concern
no run: `further_signals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, ValidationError

from app.domain import command, event, labels
from app.domain.command import Command
from app.domain.event import EventError
from app.domain.values import CommitSha, RepoName, Value

BUTTONS = frozenset({"retry", "fix", "continue", "accept", "test"})
"""The identifiers of our check runs' buttons; each is the command of that name."""

REVIEW_CHECK_ID = "approvals"
"""The external id of the check run `honk / review`, which belongs to no run."""

FAILED_CHECKS = frozenset({"failure", "timed_out", "startup_failure"})
"""Conclusions of a check suite that may start automatic work."""


class AppIdentity(Value):
    """Honk's identity on GitHub."""

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


class ReviewLine(Value):
    """The position of a review comment. `thread` is the id of the first comment of its thread.

    `line` is None once the line is no longer in the diff, or for a comment on a whole file.
    """

    path: str
    line: int | None
    start_line: int | None = None
    side: str = "RIGHT"
    diff_hunk: str = ""
    thread: int


class TriggerComment(Value):
    """The comment that holds the command, as it was when it was written.

    `on` is its kind: a comment of the conversation, one on a line of a review (see `line`), or a
    review's own text. `association` is GitHub's author association (OWNER, MEMBER, COLLABORATOR,
    NONE, ...), which does not determine permissions.
    """

    id: int
    node_id: str
    body: str
    url: str
    created_at: AwareDatetime
    on: Literal["conversation", "line", "review"] = "conversation"
    line: ReviewLine | None = None
    association: str = ""


Kind = Literal["label", "unlabel", "comment", "reply", "button", "unasked", "check"]
SignalKind = Literal[
    "button",
    "rerun",
    "failed",
    "pushed",
    "closed",
    "head",
    "merge_group",
    "approvals",
    "deployment",
    "dequeued",
    "built",
]

_MERGE_QUEUE_PULL = re.compile(r"/pr-([1-9][0-9]{0,17})-[0-9a-f]{40,64}\Z")


class MergeGroup(Value):
    """An entry of a merge queue. `base_ref` is the target branch's name, `head_ref` the entry's.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#merge_group
    """

    head_sha: CommitSha
    head_ref: str
    base_sha: CommitSha
    base_ref: str

    @property
    def number(self) -> int:
        """The pull request that the entry adds to the queue; 0 if its name does not say."""
        found = _MERGE_QUEUE_PULL.search(self.head_ref)
        return int(found[1]) if found else 0


class Trigger(Value):
    """A request, with everything the webhook says, so that later edits change nothing.

    `id` is made from signed content only: a comment's node id, or for a label
    `label:<repository id>:<number>:<label>:<the issue's updated_at>`. The same id is the same
    request, however often and under whatever delivery GUID it arrives.

    `comment` is there for the kinds "comment" and "reply" (a comment without a command where Honk
    has asked a question), `label` for the kinds "label" and "unlabel". `command` is what a comment
    says, or what a button stands for, and None for the others. "unasked" is automatic: another
    App's checks failed on what a run has published. "check" is about `head_sha` of a pull request
    or of `merge_group`, which gets a verdict without a run of the agent; a `command` is there when
    a person asked for it. `author` is None when the author's account is gone. `labels`, `title` and
    `body` are the issue's (or the pull request's) at that moment, and `comments` the number of
    comments below it. `issue_type` is the type that an organization gave the issue, such as "Bug",
    or empty.
    """

    id: str
    kind: Kind
    installation_id: int
    repository: RepoName
    repository_id: int
    default_branch: str
    private: bool
    number: int
    is_pull_request: bool
    closed: bool = False
    actor: Actor
    title: str
    body: str
    author: Actor | None
    labels: tuple[str, ...]
    issue_type: str = ""
    comments: int = 0
    label: str | None
    comment: TriggerComment | None
    command: Command | None
    head_sha: CommitSha | None = None
    merge_group: MergeGroup | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    html_url: str

    @property
    def is_requested(self) -> bool:
        """Whether a person wants the check: asked for it, or put the entry in a merge queue."""
        return self.command is not None or self.merge_group is not None

    @property
    def asked_at(self) -> AwareDatetime:
        """When the request was made; later comments and edits are not part of it."""
        return self.comment.created_at if self.comment else self.updated_at


class Signal(Value):
    """An event that concerns a run's subject, commit or check run.

    "button": a person pressed a button or re-ran a check run; `run` is the check run's external id,
    `action` the command's name, and `said` the whole command if it comes from a run's page.
    "rerun": a person re-ran Honk's whole check suite at `head_sha`.
    "failed": the checks of another App failed at `head_sha`. "pushed": a person pushed `head_sha`
    to one of Honk's pull requests, `number`. "head": the pull request `number` of anyone else has
    another head, or another target branch. "merge_group": a merge queue asks for checks of
    `merge_group`, or has removed it (`action`). "dequeued": a merge queue has removed the pull
    request `number`; `action` is GitHub's reason. "closed": `number` was closed, merged or deleted;
    `action` says which. "approvals": the approvals of the pull request `number`, or of all at
    `head_sha`, may have changed: `action` is the event's, or what the submitted `review` decides.
    "deployment": someone's CI or host reported on a deployment of `head_sha`, in a status with the
    id `deployment_status`. "built": a workflow run for `head_sha` has ended, and may have uploaded
    something to try.
    `id` is made from signed content only, as a trigger's is.
    """

    id: str
    kind: SignalKind
    installation_id: int
    repository: RepoName
    repository_id: int
    default_branch: str
    actor: Actor
    number: int | None = None
    head_sha: CommitSha | None = None
    merge_group: MergeGroup | None = None
    run: str = ""
    action: str = ""
    said: Command | None = None
    review: int | None = None
    deployment_status: int | None = None

    @classmethod
    def of_button(
        cls, trigger: Trigger, id: str, *, run: str, actor: Actor, action: str, said: Command | None
    ) -> Signal:
        """A button on the run of this trigger, pressed somewhere other than on GitHub."""
        return cls(
            id=id,
            kind="button",
            installation_id=trigger.installation_id,
            repository=trigger.repository,
            repository_id=trigger.repository_id,
            default_branch=trigger.default_branch,
            actor=actor,
            run=run,
            action=action,
            said=said,
        )


@dataclass(frozen=True)
class Ignored:
    """An event that starts nothing. `reason` is a phrase for the log."""

    reason: str


Decision = Trigger | Signal | Ignored


def from_event(name: str, payload: event.Event, app: AppIdentity) -> Decision:
    """Decide whether an event, named `name` in its header, is a request to `app`.

    Raises EventError when a required value is not one that GitHub would send.
    """
    if isinstance(payload, event.OtherEvent) or (name, payload.action) not in event.ACTED_ON:
        return Ignored(f"{name}.{payload.action} is not acted on")
    refusal = _not_for_us(payload)
    if refusal:
        return Ignored(refusal)
    with _errors_of_events():
        return _decide(payload, app)


def further_signals(name: str, payload: event.Event, app: AppIdentity) -> tuple[Signal, ...]:
    """The signals that an event carries besides what `from_event` makes of it.

    They are about the state of a pull request and not requests, so Honk's own events count too.
    Raises EventError as `from_event`.
    """
    if isinstance(payload, event.OtherEvent) or (name, payload.action) not in event.ACTED_ON:
        return ()
    if _not_for_us(payload):
        return ()
    with _errors_of_events():
        found = (_approvals_signal(payload, app),)
        return tuple(each for each in found if each is not None)


@contextmanager
def _errors_of_events() -> Iterator[None]:
    """Raise EventError for a value that is not one that GitHub would send."""
    try:
        yield
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EventError(f"{where}: {first['msg']}.") from None
    except ValueError as problem:
        raise EventError(f"{problem}.") from None


def _not_for_us(payload: event.ActedOn) -> str | None:
    if payload.repository.archived:
        return "the repository is archived"
    if payload.installation is None:
        return "it has no installation, so it comes from a repository's own webhook"
    return None


def _decide(payload: event.ActedOn, app: AppIdentity) -> Decision:
    match payload:
        case event.CheckRunEvent():
            return _from_check_run(payload, app)
        case event.CheckSuiteEvent():
            return _from_check_suite(payload, app)
        case event.PullRequestEvent() if payload.action not in ("labeled", "unlabeled"):
            return _from_pull_request(payload, app)
        case event.PullRequestReviewEvent() if payload.action != "submitted":
            return Ignored("the review was submitted before")
        case event.MergeGroupEvent():
            return _from_merge_group(payload)
        case event.IssuesEvent() if payload.action in ("closed", "deleted", "transferred"):
            return _from_the_end(payload, payload.issue)
        case event.DeploymentStatusEvent():
            return _from_deployment(payload, app)
        case event.WorkflowRunEvent():
            run = payload.workflow_run
            what = f"{run.id}:{run.run_attempt}"
            return _signal(payload, "built", what, head_sha=run.head_sha)
    if _is_ours(payload.sender, app):
        # Reacting to our own labels and comments would loop forever.
        return Ignored("this App is the sender")
    match payload:
        case event.IssuesEvent() | event.PullRequestEvent():
            return _from_label(payload)
        case _:
            return _from_comment(payload, app)


def _is_ours(account: event.AccountPayload | None, app: AppIdentity) -> bool:
    """`issue.performed_via_github_app` is about who opened the issue, not who labeled it."""
    return (
        account is not None
        and account.type == "Bot"
        and account.login.lower() == app.bot_login.lower()
    )


def _is_our_app(made_by: event.AppPayload | None, app: AppIdentity) -> bool:
    return made_by is not None and made_by.id == app.app_id


def _from_label(payload: event.IssuesEvent | event.PullRequestEvent) -> Trigger | Ignored:
    if payload.label is None:
        return Ignored("GitHub does not say which label it was")
    name = labels.plain(payload.label.name)
    subject = payload.issue if isinstance(payload, event.IssuesEvent) else payload.pull_request
    kind: Literal["label", "unlabel"] = "label" if payload.action == "labeled" else "unlabel"
    if name not in ({labels.TRIGGER} if kind == "label" else labels.STOPPING):
        return Ignored("the label neither starts nor stops anything")
    if kind == "unlabel" and not subject.is_open:
        return Ignored("a closed subject has no run to stop")
    return _trigger(
        payload,
        subject,
        id=f"{kind}:{payload.repository.id}:{subject.number}:{name}:{subject.updated_at}",
        kind=kind,
        label=name,
    )


def _from_comment(
    payload: event.IssueCommentEvent
    | event.PullRequestReviewEvent
    | event.PullRequestReviewCommentEvent,
    app: AppIdentity,
) -> Trigger | Ignored:
    subject = (
        payload.issue if isinstance(payload, event.IssueCommentEvent) else payload.pull_request
    )
    comment = _comment(payload)
    via = _written(payload).performed_via_github_app
    if _is_our_app(via, app):
        return Ignored("this App wrote the comment")
    asked = command.parse(comment.body, app.slug)
    if asked is None and not _may_answer(payload.sender, subject, comment):
        return Ignored("the comment contains no command")
    return _trigger(
        payload,
        subject,
        id=comment.node_id,
        kind="comment" if asked else "reply",
        comment=comment,
        command=asked,
    )


def _may_answer(
    sender: event.AccountPayload,
    subject: event.IssuePayload | event.PullRequestPayload,
    comment: TriggerComment,
) -> bool:
    """If a question is pending, a person's comment may be its answer."""
    waits = labels.NEEDS_YOU in _labels_of(subject)
    is_talk = sender.type == "User" and bool(comment.body.strip())
    return waits and is_talk and subject.is_open


def _comment(
    payload: event.IssueCommentEvent
    | event.PullRequestReviewEvent
    | event.PullRequestReviewCommentEvent,
) -> TriggerComment:
    where: dict[str, Any] = {}
    if isinstance(payload, event.PullRequestReviewEvent):
        where = {"on": "review"}
        # A review updates its pull request, so use that time if the review's is missing.
        at = payload.review.submitted_at or payload.pull_request.updated_at
    else:
        at = payload.comment.created_at
    if isinstance(payload, event.PullRequestReviewCommentEvent):
        where = {"on": "line", "line": _line(payload.comment)}
    written = _written(payload)
    return TriggerComment.model_validate(
        {
            "id": written.id,
            "node_id": written.node_id,
            "body": _text(written.body),
            "url": written.html_url,
            "created_at": at,
            "association": written.author_association or "",
            **where,
        }
    )


def _written(
    payload: event.IssueCommentEvent
    | event.PullRequestReviewEvent
    | event.PullRequestReviewCommentEvent,
) -> event.CommentPayload | event.LineCommentPayload | event.ReviewPayload:
    return payload.review if isinstance(payload, event.PullRequestReviewEvent) else payload.comment


def _line(comment: event.LineCommentPayload) -> ReviewLine:
    return ReviewLine(
        path=_text(comment.path),
        line=comment.line,
        start_line=comment.start_line,
        side=comment.side or "RIGHT",
        diff_hunk=_text(comment.diff_hunk),
        thread=comment.in_reply_to_id or comment.id,
    )


def _trigger(
    payload: event.ActedOn,
    subject: event.IssuePayload | event.PullRequestPayload,
    *,
    id: str,
    kind: Kind,
    label: str | None = None,
    comment: TriggerComment | None = None,
    command: Command | None = None,
) -> Trigger:
    is_pull = isinstance(subject, event.PullRequestPayload) or subject.pull_request is not None
    repository = payload.repository
    assert payload.installation is not None
    return Trigger.model_validate(
        {
            "id": id,
            "kind": kind,
            "installation_id": payload.installation.id,
            "repository": RepoName.parse(repository.full_name),
            "repository_id": repository.id,
            "default_branch": repository.default_branch,
            "private": repository.private,
            "number": subject.number,
            "is_pull_request": is_pull,
            "closed": not subject.is_open,
            "actor": _actor(payload.sender),
            "title": _text(subject.title),
            "body": _text(subject.body),
            "author": _actor(subject.user) if subject.user else None,
            "labels": _labels_of(subject),
            "issue_type": _type_of(subject),
            "comments": subject.comments,
            "label": label,
            "comment": comment,
            "command": command,
            "created_at": subject.created_at,
            "updated_at": subject.updated_at,
            "html_url": subject.html_url,
        }
    )


def _from_check_run(payload: event.CheckRunEvent, app: AppIdentity) -> Signal | Ignored:
    run = payload.check_run
    if not _is_our_app(run.app, app):
        return Ignored("the check run is another App's")
    if run.external_id == REVIEW_CHECK_ID:
        return Ignored("the check run belongs to no run")
    pressed = payload.requested_action
    action = pressed.identifier if pressed else "retry"
    if action not in BUTTONS or not run.external_id:
        return Ignored("the check run has no such button")
    return _signal(
        payload,
        "button",
        f"{run.id}:{action}:{payload.sender.id}:{run.completed_at or ''}",
        run=run.external_id,
        action=action,
        head_sha=run.head_sha,
    )


def _from_check_suite(payload: event.CheckSuiteEvent, app: AppIdentity) -> Signal | Ignored:
    suite = payload.check_suite
    ours = _is_our_app(suite.app, app)
    if payload.action == "rerequested":
        if not ours:
            return Ignored("the check suite is another App's")
        asked = f"{suite.id}:{payload.sender.id}:{suite.updated_at}"
        return _signal(payload, "rerun", asked, head_sha=suite.head_sha)
    if ours or suite.conclusion not in FAILED_CHECKS:
        return Ignored("no check of another App has failed")
    # Several Apps may fail on one commit: start one run for all of them.
    return _signal(payload, "failed", suite.head_sha, head_sha=suite.head_sha)


def _from_pull_request(payload: event.PullRequestEvent, app: AppIdentity) -> Signal | Ignored:
    pull = payload.pull_request
    if payload.action == "closed":
        return _closed(payload, pull)
    if payload.action == "dequeued":
        return _dequeued(payload)
    if _is_ours(payload.sender, app):
        return Ignored("this App is the sender")
    if payload.action == "ready_for_review":
        return Ignored("a draft is verified like any other")
    if payload.action == "edited" and not _has_other_base(payload):
        return Ignored("an edit of the text changes no code")
    if _is_ours(pull.user, app) and payload.action == "synchronize":
        pushed = f"{pull.number}:{pull.head.sha}:{pull.updated_at}"
        return _signal(payload, "pushed", pushed, number=pull.number, head_sha=pull.head.sha)
    if not pull.is_open:
        return Ignored("the pull request is closed")
    # A push may bring back a commit whose check was canceled, so the commit alone is not enough.
    again = "" if payload.action == "opened" else f":{payload.action}:{pull.updated_at}"
    what = f"{pull.number}:{pull.head.sha}{again}"
    return _signal(payload, "head", what, number=pull.number, head_sha=pull.head.sha)


def _dequeued(payload: event.PullRequestEvent) -> Signal:
    pull, reason = payload.pull_request, (payload.reason or "")[:100]
    what = f"{pull.number}:{pull.head.sha}:{reason}:{pull.updated_at}"
    return _signal(
        payload, "dequeued", what, number=pull.number, head_sha=pull.head.sha, action=reason
    )


def _has_other_base(payload: event.PullRequestEvent) -> bool:
    return payload.changes is not None and payload.changes.base is not None


def _from_merge_group(
    payload: event.MergeGroupEvent, kind: Literal["merge_group", "approvals"] = "merge_group"
) -> Signal:
    entry = payload.merge_group
    group = MergeGroup(
        head_sha=CommitSha(entry.head_sha),
        head_ref=entry.head_ref,
        base_sha=CommitSha(entry.base_sha),
        base_ref=entry.base_ref.removeprefix("refs/heads/"),
    )
    what = f"{entry.head_sha}:{entry.base_sha}:{payload.action}"
    return _signal(
        payload,
        kind,
        what,
        number=group.number or None,
        head_sha=entry.head_sha,
        merge_group=group,
        action=payload.action,
    )


def _from_deployment(payload: event.DeploymentStatusEvent, app: AppIdentity) -> Signal | Ignored:
    if _is_ours(payload.sender, app):
        return Ignored("this App is the sender")
    status = payload.deployment_status.id
    return _signal(
        payload,
        "deployment",
        str(status),
        head_sha=payload.deployment.sha,
        deployment_status=status,
    )


_CHANGE_APPROVALS = frozenset(
    {"opened", "reopened", "ready_for_review", "synchronize", "edited", "closed"}
)
"""Actions on a pull request after which its head has other approvals, or other pull requests.

"edited" only with another base branch: people approved the changes compared with the former one.
"""


def _approvals_signal(payload: event.ActedOn, app: AppIdentity) -> Signal | None:
    match payload:
        case event.PullRequestEvent() if payload.action in _CHANGE_APPROVALS:
            if payload.action == "edited" and not _has_other_base(payload):
                return None
            pull = payload.pull_request
            what = f"{pull.number}:{payload.action}:{pull.head.sha}:{pull.updated_at}"
            return _approvals_of(payload, what, pull)
        case event.PullRequestReviewEvent():
            pull, review = payload.pull_request, payload.review
            what = f"{pull.number}:{payload.action}:{review.id}:{pull.updated_at}"
            state = (review.state or "").lower() if payload.action == "submitted" else ""
            return _approvals_of(payload, what, pull, review=review.id, action=state)
        case event.MergeGroupEvent() if payload.action == "checks_requested":
            # A required check has to be on the queue's entry, too.
            return _from_merge_group(payload, "approvals")
        case event.CheckRunEvent() if _is_rerun_of_approvals(payload, app):
            again = f"{payload.check_run.id}:{payload.sender.id}:{payload.check_run.completed_at}"
            return _signal(payload, "approvals", again, head_sha=payload.check_run.head_sha)
        case event.CheckSuiteEvent() if payload.action == "rerequested":
            suite = payload.check_suite
            if _is_our_app(suite.app, app):
                again = f"{suite.id}:{payload.sender.id}:{suite.updated_at}"
                return _signal(payload, "approvals", again, head_sha=suite.head_sha)
    return None


def _is_rerun_of_approvals(payload: event.CheckRunEvent, app: AppIdentity) -> bool:
    run = payload.check_run
    ours = _is_our_app(run.app, app)
    return ours and payload.action == "rerequested" and run.external_id == REVIEW_CHECK_ID


def _approvals_of(
    payload: event.ActedOn,
    what: str,
    pull: event.PullRequestPayload,
    *,
    review: int | None = None,
    action: str = "",
) -> Signal:
    return _signal(
        payload,
        "approvals",
        what,
        number=pull.number,
        head_sha=pull.head.sha,
        action=action or payload.action,
        review=review,
    )


def _from_the_end(payload: event.ActedOn, subject: event.IssuePayload) -> Signal | Ignored:
    if labels.STOPPING.isdisjoint(_labels_of(subject)):
        return Ignored("no run is at work here")
    return _closed(payload, subject)


def _closed(
    payload: event.ActedOn, subject: event.IssuePayload | event.PullRequestPayload
) -> Signal:
    merged = isinstance(subject, event.PullRequestPayload) and bool(subject.merged)
    how = "merged" if merged else payload.action
    closed = f"{subject.number}:{how}:{subject.updated_at}"
    return _signal(payload, "closed", closed, number=subject.number, action=how)


def _signal(
    payload: event.ActedOn,
    kind: SignalKind,
    what: str,
    **known: Any,
) -> Signal:
    repository = payload.repository
    assert payload.installation is not None
    return Signal.model_validate(
        {
            "id": f"{kind}:{repository.id}:{what}",
            "kind": kind,
            "installation_id": payload.installation.id,
            "repository": RepoName.parse(repository.full_name),
            "repository_id": repository.id,
            "default_branch": repository.default_branch,
            "actor": _actor(payload.sender),
            **known,
        }
    )


def _labels_of(subject: event.IssuePayload | event.PullRequestPayload) -> tuple[str, ...]:
    return tuple(labels.plain(each.name) for each in subject.labels)


def _type_of(subject: event.IssuePayload | event.PullRequestPayload) -> str:
    kind = subject.type if isinstance(subject, event.IssuePayload) else None
    return kind.name if kind else ""


def _actor(account: event.AccountPayload) -> Actor:
    return Actor(login=account.login, id=account.id, type=account.type)


def _text(text: str | None) -> str:
    """An empty body is null in an event; Postgres cannot store a NUL."""
    return (text or "").replace("\0", "")
