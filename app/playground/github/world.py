"""The state of the simulated GitHub: people, repositories, conversations, checks, tokens.

Plain state, changed by the endpoints alone; heads, diffs and files are in the git repositories.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from app.playground.clock import Clock

from .accounts import AppRegistration, SimulatedInstallation, Token, User
from .deliveries import Webhooks
from .faults import Faults
from .git import Git
from .limits import Limits
from .records import (
    Attachment,
    CheckRun,
    CheckSuite,
    CommitStatus,
    Deployment,
    Desk,
    OtherCi,
    SimulatedWorkflowRun,
)
from .refusals import not_found
from .request_log import RequestRecord

LEVELS = ("none", "read", "triage", "write", "maintain", "admin")
"""A person's permission in a repository, from the lowest to the highest."""

Json = dict[str, Any]


@dataclass(eq=False)
class Label:
    """A label of a repository."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(eq=False)
class Reaction:
    """One person's reaction."""

    id: int
    user: User
    content: str
    created_at: datetime


@dataclass(frozen=True)
class Edit:
    """One version of a text: its author, time and whole text."""

    id: int
    editor: User
    edited_at: datetime
    text: str


@dataclass(eq=False)
class SimulatedComment:
    """A comment on an issue or a pull request."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    reactions: list[Reaction] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    """Every version, oldest first; empty until it is edited."""
    minimised: str | None = None
    """Why it is hidden: SPAM, ABUSE, OFF_TOPIC, OUTDATED, DUPLICATE or RESOLVED."""


@dataclass(eq=False)
class IssueEvent:
    """An entry of an issue's timeline; `more` has the other fields of this kind of event."""

    id: int
    event: str
    actor: User
    created_at: datetime
    more: Json = field(default_factory=dict)


@dataclass(eq=False)
class SimulatedReview:
    """A review of a pull request."""

    id: int
    author: User
    body: str
    state: str
    commit_id: str
    submitted_at: datetime | None
    edits: list[Edit] = field(default_factory=list)
    minimised: str | None = None
    drafts: list[tuple[ReviewThread, ReviewComment]] = field(default_factory=list)
    """Comments of a pending review, which only its author sees."""
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(eq=False)
class ReviewComment(SimulatedComment):
    """A review comment in a thread. `diff_hunk` ends at its line."""

    review_id: int = 0
    diff_hunk: str = ""
    in_reply_to: int | None = None


@dataclass(eq=False)
class ReviewThread:
    """A conversation on lines of a diff, or on a whole file.

    Lines are counted in the head (RIGHT) or the base (LEFT) of the commit `original_commit`;
    `line` follows later pushes and is None when they changed it (`start` likewise).
    """

    id: int
    path: str
    original_commit: str
    original_base: str
    subject: Literal["line", "file"] = "line"
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    original_line: int | None = None
    start_side: Literal["LEFT", "RIGHT"] | None = None
    original_start: int | None = None
    original_position: int | None = None
    line: int | None = None
    start: int | None = None
    position: int | None = None
    comments: list[ReviewComment] = field(default_factory=list)
    resolved_by: User | None = None

    @property
    def outdated(self) -> bool:
        """Whether a push changed its line."""
        return self.subject == "line" and self.line is None


@dataclass(frozen=True)
class AutoMerge:
    """Auto-merge: merge as soon as it is allowed."""

    enabled_by: User
    method: str
    title: str | None = None
    message: str | None = None


@dataclass(eq=False)
class QueueEntry:
    """An entry of the merge queue: the commit to test, on a separate branch."""

    id: int
    enqueued_by: User
    enqueued_at: datetime
    ref: str
    base_sha: str
    head_sha: str


@dataclass(eq=False)
class MergeJob:
    """A merge in the background. `result` is the answer's body once it has run."""

    uuid: str
    user: User
    method: str
    action: str
    sha: str
    title: str | None
    message: str | None
    closes: bool
    result: Json | None = None


@dataclass(frozen=True)
class Size:
    """How much a pull request changes, as of its last push."""

    commits: int = 0
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0


@dataclass(eq=False)
class SimulatedPullRequest:
    """A pull request's data besides that of its issue. `head` and `base` are names of branches."""

    id: int
    head: str
    base: str
    head_sha: str
    base_sha: str
    draft: bool = False
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    merged_onto: str | None = None
    """The head of the base before the merge."""
    reviewers: list[User] = field(default_factory=list)
    reviews: list[SimulatedReview] = field(default_factory=list)
    size: Size = Size()
    head_repository: Repository | None = None
    """Where the head is: the same repository, a fork, or None when the fork is gone."""
    head_owner: User | None = None
    """The owner in the label of the head."""
    maintainer_can_modify: bool = False
    threads: list[ReviewThread] = field(default_factory=list)
    auto_merge: AutoMerge | None = None
    queued: QueueEntry | None = None
    merge_jobs: dict[str, MergeJob] = field(default_factory=dict)
    """Merges that were requested to run in the background, by their UUIDs."""

    @property
    def review_comments(self) -> list[tuple[ReviewThread, ReviewComment]]:
        """Every comment on lines with its thread, oldest first."""
        pairs = [(thread, comment) for thread in self.threads for comment in thread.comments]
        return sorted(pairs, key=lambda pair: pair[1].id)


@dataclass(eq=False)
class SimulatedIssue:
    """An issue; with `pull` it is a pull request, because they share their numbers."""

    id: int
    number: int
    title: str
    body: str | None
    author: User
    created_at: datetime
    updated_at: datetime
    state: Literal["open", "closed"] = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: User | None = None
    labels: list[Label] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    comments: list[SimulatedComment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    events: list[IssueEvent] = field(default_factory=list)
    pull: SimulatedPullRequest | None = None
    edits: list[Edit] = field(default_factory=list)
    """Every version of the body, oldest first; empty until it is edited."""
    locked: bool = False
    lock_reason: str | None = None

    @property
    def label_names(self) -> list[str]:
        """The names of its labels, in the order they were added."""
        return [label.name for label in self.labels]


@dataclass(frozen=True)
class RequiredCheck:
    """A required status or check run; `app_id` None accepts it from anyone."""

    context: str
    app_id: int | None = None


@dataclass
class Protection:
    """The classic protection of a branch."""

    reviews: int | None = None
    """Approvals that a pull request needs; None: no pull request is needed."""
    dismiss_stale: bool = False
    checks: tuple[RequiredCheck, ...] = ()
    strict: bool = False
    """Whether the head must be up to date with the base before it is merged."""
    pushers: frozenset[str] | None = None
    """Logins, in small letters, that alone may push (`honk[bot]` for the App); None: all."""
    signatures: bool = False
    linear: bool = False
    conversations: bool = False
    force_pushes: bool = False
    deletions: bool = False
    locked: bool = False
    enforce_admins: bool = False


@dataclass(eq=False)
class Ruleset:
    """A set of rules for branches, tags, or (`push`) everything that is pushed.

    `rules` are written as the API writes them: `{"type": "update", "parameters": {...}}`.
    """

    id: int
    name: str
    target: Literal["branch", "tag", "push"]
    rules: list[Json]
    created_at: datetime
    enforcement: Literal["active", "disabled", "evaluate"] = "active"
    include: tuple[str, ...] = ("~ALL",)
    exclude: tuple[str, ...] = ()
    bypass: list[Json] = field(default_factory=list)


@dataclass(eq=False)
class Repository:
    """A repository. The switches below `has_issues` represent plans, settings and rules."""

    id: int
    owner: User
    name: str
    git: Git
    default_branch: str
    created_at: datetime
    private: bool = False
    archived: bool = False
    has_issues: bool = True
    installed: bool = True
    drafts_allowed: bool = True
    lfs: dict[str, bytes] = field(default_factory=dict)
    """Git LFS contents, by SHA-256."""
    protected: set[str] = field(default_factory=set)
    """Branches that only a merged pull request may move."""
    protections: dict[str, Protection] = field(default_factory=dict)
    """By the pattern of the branches they protect."""
    rulesets: list[Ruleset] = field(default_factory=list)
    parent: Repository | None = None
    """The repository that it is a fork of."""
    allow_forking: bool = True
    merge_methods: set[str] = field(default_factory=lambda: {"merge", "squash", "rebase"})
    allow_auto_merge: bool = False
    delete_branch_on_merge: bool = False
    gone: dict[int, tuple[Repository, int] | None] = field(default_factory=dict)
    """Numbers of issues that were deleted (None) or transferred (to where)."""
    permissions: dict[str, str] = field(default_factory=dict)
    role_names: dict[str, str] = field(default_factory=dict)
    """Names of custom roles by login; `permissions` holds what the role amounts to."""
    labels: list[Label] = field(default_factory=list)
    issues: dict[int, SimulatedIssue] = field(default_factory=dict)
    suites: dict[int, CheckSuite] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    """Commits that GitHub itself signed."""
    statuses: list[CommitStatus] = field(default_factory=list)
    pushers: dict[str, User] = field(default_factory=dict)
    """Who pushed to a branch last."""
    scanned: set[str] = field(default_factory=set)
    """Commits whose scans of code and licenses have succeeded."""
    deployments: dict[int, Deployment] = field(default_factory=dict)
    ci: OtherCi | None = None
    """The CI settings for each push."""
    workflow_runs: dict[int, SimulatedWorkflowRun] = field(default_factory=dict)
    pushed_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while refs move, so that a push's changes can be determined."""

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"

    def level(self, user: User) -> str:
        """One of LEVELS. Everybody may read what is public."""
        if user is self.owner:
            return "admin"
        given = self.permissions.get(user.login.lower())
        return given or ("none" if self.private else "read")

    def allows(self, user: User, level: str) -> bool:
        """Whether a person has at least this level."""
        return LEVELS.index(self.level(user)) >= LEVELS.index(level)

    def is_collaborator(self, user: User) -> bool:
        """Whether access was given by name."""
        return user is self.owner or user.login.lower() in self.permissions

    def issue(self, number: int) -> SimulatedIssue:
        """An issue or pull request. Refuses with 404."""
        if number not in self.issues:
            raise not_found()
        return self.issues[number]

    def label(self, name: str) -> Label | None:
        """A label by its name; case does not matter."""
        return next((label for label in self.labels if label.name.lower() == name.lower()), None)

    def pulls(self) -> list[tuple[SimulatedIssue, SimulatedPullRequest]]:
        """Every pull request with the issue it also is."""
        return [(issue, issue.pull) for issue in self.issues.values() if issue.pull is not None]

    def open_pulls(
        self, branch: str, source: Repository | None = None
    ) -> list[tuple[SimulatedIssue, SimulatedPullRequest]]:
        """The open pull requests from a branch, of this repository or of a fork."""
        source = source or self
        return [
            (issue, pull)
            for issue, pull in self.pulls()
            if pull.head == branch and pull.head_repository is source and issue.state == "open"
        ]

    def check_runs(self) -> list[CheckRun]:
        """Every check run, oldest first."""
        runs = [run for suite in self.suites.values() for run in suite.runs]
        return sorted(runs, key=lambda run: run.id)


@dataclass
class RateLimit:
    """What one credential's owner has left in this hour."""

    used: int
    resets_at: int


class World:
    """The whole state, and the few lookups that every part needs."""

    def __init__(self, root: Path, app: AppRegistration) -> None:
        self.root = root
        self.app = app
        self.clock = Clock()
        self.url = "http://github.playground.invalid"
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, Repository] = {}
        """Former names, which GitHub redirects."""
        self.installations: dict[str, SimulatedInstallation] = {}
        self.tokens: dict[str, Token] = {}
        self.faults = Faults()
        self.requests: list[RequestRecord] = []
        self.limits = Limits()
        self.desk = Desk()
        self.attachments: dict[str, Attachment] = {}
        self.rate_limit = 5000
        self.rates: dict[str, RateLimit] = {}
        self.followers: list[Callable[[], Awaitable[None]]] = []
        """Called after everything that may have changed something."""
        self._ids = itertools.count(100_001)
        self.webhooks = Webhooks(self.clock, self.new_id, lambda: self.app)
        self.created_at = self.clock.now()
        self.web_flow = User(19_864_447, "web-flow", "User", "GitHub")
        self.register(app)

    def register(self, app: AppRegistration) -> None:
        """Register this App; it is not installed anywhere yet."""
        self.app = app
        self.bot = self.add_user(f"{app.slug}[bot]", kind="Bot")
        self.installations.clear()

    @property
    def api_url(self) -> str:
        """Where the REST API is."""
        return f"{self.url}/api/v3"

    def new_id(self) -> int:
        """A unique number."""
        return next(self._ids)

    def add_user(self, login: str, *, kind: Literal["User", "Bot"] = "User") -> User:
        """Create an account, or return the one with this login."""
        known = self.users.get(login.lower())
        if known is None:
            known = self.users[login.lower()] = User(self.new_id(), login, kind)
        return known

    def user(self, login: str) -> User:
        """An account by login. Refuses with 404."""
        if login.lower() not in self.users:
            raise not_found()
        return self.users[login.lower()]

    def repository(self, full_name: str) -> Repository:
        """A repository by `owner/name`. Refuses with 404."""
        if full_name.lower() not in self.repositories:
            raise not_found()
        return self.repositories[full_name.lower()]

    def installation_of(self, repository: Repository) -> SimulatedInstallation | None:
        """The installation that covers a repository."""
        if not repository.installed:
            return None
        return self.installations.get(repository.owner.login.lower())

    def forks(self, repository: Repository) -> list[Repository]:
        """The forks of a repository, oldest first."""
        return [one for one in self.repositories.values() if one.parent is repository]

    def pulls_from(
        self, source: Repository, branch: str
    ) -> list[tuple[Repository, SimulatedIssue]]:
        """The open pull requests from a branch, in whatever repository they are."""
        return [
            (repository, issue)
            for repository in self.repositories.values()
            for issue, _ in repository.open_pulls(branch, source)
        ]

    async def settle(self) -> None:
        """Let pending effects happen, such as an auto-merge."""
        for follower in self.followers:
            await follower()

    def edited(
        self,
        thing: SimulatedIssue | SimulatedComment | SimulatedReview,
        editor: User,
        before: str,
        now: str,
    ) -> None:
        """Keep the versions of a text that was edited; the first edit keeps the original too."""
        created = thing.submitted_at if isinstance(thing, SimulatedReview) else thing.created_at
        if not thing.edits:
            first = created or self.clock.now()
            thing.edits.append(Edit(self.new_id(), thing.author, first, before))
        thing.edits.append(Edit(self.new_id(), editor, self.clock.now(), now))

    def touch(self, issue: SimulatedIssue) -> None:
        """Note that an issue changed just now."""
        issue.updated_at = self.clock.now()
