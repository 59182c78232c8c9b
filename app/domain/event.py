"""The parts of GitHub's webhook events that Honk reads. Pure.

The names are those of https://docs.github.com/en/webhooks/webhook-events-and-payloads. Members that
are not named here are checked to be JSON and skipped, so that GitHub may add to its events.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import HonkError

ACTED_ON = frozenset(
    {
        ("issues", "labeled"),
        ("issues", "unlabeled"),
        ("issues", "closed"),
        ("issues", "deleted"),
        ("issues", "transferred"),
        ("issue_comment", "created"),
        ("pull_request", "labeled"),
        ("pull_request", "unlabeled"),
        ("pull_request", "opened"),
        ("pull_request", "reopened"),
        ("pull_request", "ready_for_review"),
        ("pull_request", "edited"),
        ("pull_request", "synchronize"),
        ("pull_request", "closed"),
        ("pull_request", "dequeued"),
        ("pull_request_review", "submitted"),
        ("pull_request_review", "edited"),
        ("pull_request_review", "dismissed"),
        ("pull_request_review_comment", "created"),
        ("check_run", "requested_action"),
        ("check_run", "rerequested"),
        ("check_suite", "rerequested"),
        ("check_suite", "completed"),
        ("merge_group", "checks_requested"),
        ("merge_group", "destroyed"),
        ("deployment_status", "created"),
        ("workflow_run", "completed"),
    }
)
"""The events that may start something, each with its action."""

# GitHub's own limit is 65,536 characters for a body and 256 for a title.
_Text = Annotated[str, Meta(max_length=1_000_000)]
_Word = Annotated[str, Meta(min_length=1, max_length=1_000)]
_Time = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
        r"(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})\Z"
    ),
]
_NodeId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/=-]{1,150}\Z")]
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Sha = Annotated[str, Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})\Z")]


class EventError(HonkError):
    """The body is not a valid event of this name. The message says where."""


class AccountPayload(msgspec.Struct, frozen=True):
    """A person, a bot or an organization."""

    login: _Word
    id: _Id
    type: _Word = "User"


GHOST = AccountPayload(login="ghost", id=10137)
"""The account for an event without a sender, as on GitHub's own pages. It has no
permissions."""


class AppPayload(msgspec.Struct, frozen=True):
    """A GitHub App; `id` is null where GitHub no longer knows it."""

    id: _Id | None = None


class InstallationPayload(msgspec.Struct, frozen=True):
    id: _Id


class RepositoryPayload(msgspec.Struct, frozen=True):
    id: _Id
    full_name: _Word
    default_branch: _Word
    private: bool
    archived: bool = False


class LabelPayload(msgspec.Struct, frozen=True):
    name: _Word


class IssueTypePayload(msgspec.Struct, frozen=True):
    """The type that an organization gave an issue, such as Bug or Feature."""

    name: _Word


class PullRequestLink(msgspec.Struct, frozen=True):
    """Only its presence matters."""


class IssuePayload(msgspec.Struct, frozen=True):
    """An issue, or a pull request seen as one: then `pull_request` is there.

    Some events omit `state`; `closed_at` then gives the same information.
    """

    number: _Id
    title: _Text
    html_url: _Word
    created_at: _Time
    updated_at: _Time
    state: _Word | None = None
    closed_at: _Time | None = None
    body: _Text | None = None
    user: AccountPayload | None = None
    labels: Annotated[list[LabelPayload], Meta(max_length=1_000)] = []
    comments: int = 0
    pull_request: PullRequestLink | None = None
    type: IssueTypePayload | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was open at the event."""
        return self.closed_at is None if self.state is None else self.state == "open"


class BranchPayload(msgspec.Struct, frozen=True):
    """One end of a pull request."""

    sha: _Sha


class PullRequestPayload(msgspec.Struct, frozen=True):
    """A pull request as its own events carry it."""

    number: _Id
    title: _Text
    html_url: _Word
    state: _Word
    created_at: _Time
    updated_at: _Time
    head: BranchPayload
    body: _Text | None = None
    user: AccountPayload | None = None
    labels: Annotated[list[LabelPayload], Meta(max_length=1_000)] = []
    comments: int = 0
    merged: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was open at the event."""
        return self.state == "open"


class ChangedValue(msgspec.Struct, frozen=True):
    """The earlier value of something that was edited; only its presence matters."""


class Changes(msgspec.Struct, frozen=True):
    """What an edit changed; `base` is there when the target branch is another one now."""

    base: ChangedValue | None = None


class MergeGroupPayload(msgspec.Struct, frozen=True):
    """An entry of a merge queue: `head_sha` is tested as it would be merged onto `base_sha`."""

    head_sha: _Sha
    head_ref: _Word
    base_sha: _Sha
    base_ref: _Word


class CommentPayload(msgspec.Struct, frozen=True):
    id: _Id
    node_id: _NodeId
    html_url: _Word
    created_at: _Time
    body: _Text | None = None
    author_association: _Text | None = None
    performed_via_github_app: AppPayload | None = None


class LineCommentPayload(msgspec.Struct, frozen=True):
    """A comment on a line of the diff. `line` is null once the line is gone, or for a file."""

    id: _Id
    node_id: _NodeId
    html_url: _Word
    created_at: _Time
    path: _Text
    body: _Text | None = None
    diff_hunk: _Text | None = None
    line: int | None = None
    start_line: int | None = None
    side: str | None = None
    in_reply_to_id: _Id | None = None
    author_association: _Text | None = None
    performed_via_github_app: AppPayload | None = None


class ReviewPayload(msgspec.Struct, frozen=True):
    """A submitted review; its body is null when it only approves or only has line comments."""

    id: _Id
    node_id: _NodeId
    html_url: _Word
    submitted_at: _Time | None = None
    body: _Text | None = None
    author_association: _Text | None = None
    state: _Text | None = None
    performed_via_github_app: AppPayload | None = None


class CheckRunPayload(msgspec.Struct, frozen=True):
    id: _Id
    name: _Text
    head_sha: _Sha
    external_id: _Text | None = None
    completed_at: _Time | None = None
    app: AppPayload | None = None


class CheckSuitePayload(msgspec.Struct, frozen=True):
    id: _Id
    head_sha: _Sha
    updated_at: _Time
    conclusion: str | None = None
    app: AppPayload | None = None


class RequestedAction(msgspec.Struct, frozen=True):
    identifier: _Word | None = None


class BaseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Fields shared by the events that Honk acts on."""

    action: _Word
    sender: AccountPayload
    repository: RepositoryPayload
    installation: InstallationPayload | None = None


class IssuesEvent(BaseEvent, frozen=True, kw_only=True):
    """`issues`; `label` is there for the actions about one."""

    issue: IssuePayload
    label: LabelPayload | None = None


class IssueCommentEvent(BaseEvent, frozen=True, kw_only=True):
    """`issue_comment`, on pull requests too."""

    issue: IssuePayload
    comment: CommentPayload


class PullRequestEvent(BaseEvent, frozen=True, kw_only=True):
    """`pull_request`; `label` is there for the actions about one, `changes` for an edit, `reason`
    when a merge queue has removed it."""

    sender: AccountPayload = GHOST
    pull_request: PullRequestPayload
    label: LabelPayload | None = None
    changes: Changes | None = None
    reason: _Text | None = None


class PullRequestReviewEvent(BaseEvent, frozen=True, kw_only=True):
    """`pull_request_review`."""

    pull_request: PullRequestPayload
    review: ReviewPayload


class PullRequestReviewCommentEvent(BaseEvent, frozen=True, kw_only=True):
    """`pull_request_review_comment`."""

    pull_request: PullRequestPayload
    comment: LineCommentPayload


class CheckRunEvent(BaseEvent, frozen=True, kw_only=True):
    """`check_run`; `requested_action` is set when a person pressed one of Honk's buttons."""

    check_run: CheckRunPayload
    requested_action: RequestedAction | None = None


class CheckSuiteEvent(BaseEvent, frozen=True, kw_only=True):
    """`check_suite`. Its sender is the pusher, whoever ran the checks."""

    check_suite: CheckSuitePayload


class MergeGroupEvent(BaseEvent, frozen=True, kw_only=True):
    """`merge_group`: a merge queue asks for checks of an entry, or has removed it."""

    merge_group: MergeGroupPayload
    sender: AccountPayload = GHOST


class DeploymentPayload(msgspec.Struct, frozen=True):
    """A deployment of a commit; its newest status says how it went."""

    id: _Id
    sha: _Sha


class DeploymentStatusPayload(msgspec.Struct, frozen=True):
    id: _Id


class DeploymentStatusEvent(BaseEvent, frozen=True, kw_only=True):
    """`deployment_status`: someone's CI or host reports on a deployment."""

    deployment: DeploymentPayload
    deployment_status: DeploymentStatusPayload


class WorkflowRunPayload(msgspec.Struct, frozen=True):
    id: _Id
    head_sha: _Sha
    run_attempt: int = 1


class WorkflowRunEvent(BaseEvent, frozen=True, kw_only=True):
    """`workflow_run`: a run of a workflow in GitHub Actions has ended."""

    workflow_run: WorkflowRunPayload


class OtherEvent(msgspec.Struct, frozen=True):
    """An event that Honk ignores."""

    action: str | None = None


ActedOn = (
    IssuesEvent
    | IssueCommentEvent
    | PullRequestEvent
    | PullRequestReviewEvent
    | PullRequestReviewCommentEvent
    | CheckRunEvent
    | CheckSuiteEvent
    | MergeGroupEvent
    | DeploymentStatusEvent
    | WorkflowRunEvent
)
Event = ActedOn | OtherEvent

BY_NAME: dict[str, type[ActedOn]] = {
    "issues": IssuesEvent,
    "issue_comment": IssueCommentEvent,
    "pull_request": PullRequestEvent,
    "pull_request_review": PullRequestReviewEvent,
    "pull_request_review_comment": PullRequestReviewCommentEvent,
    "check_run": CheckRunEvent,
    "check_suite": CheckSuiteEvent,
    "merge_group": MergeGroupEvent,
    "deployment_status": DeploymentStatusEvent,
    "workflow_run": WorkflowRunEvent,
}
"""The model of each event, by the name in its header."""
