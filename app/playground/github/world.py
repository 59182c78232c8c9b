"""What the simulated GitHub knows: people, repositories, conversations, checks, tokens, deliveries.

Plain state, changed by the endpoints alone; heads, diffs and files are in the git repositories.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .faults import Faults
from .git import Git
from .refusals import not_found

if TYPE_CHECKING:
    from .api import RequestRecord
    from .webhooks import Webhooks

LEVELS = ("none", "read", "triage", "write", "maintain", "admin")
"""What a person may do in a repository, from the least to the most."""

Json = dict[str, Any]


class Clock:
    """The time GitHub goes by: the machine's, moved forward by `advance`."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass at once: tokens expire, limits are renewed."""
        self._offset += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time in UTC, in whole seconds as GitHub tells it."""
        return (datetime.now(UTC) + self._offset).replace(microsecond=0)

    def timestamp(self) -> float:
        """Seconds since 1970, with fractions."""
        return (datetime.now(UTC) + self._offset).timestamp()


@dataclass(eq=False)
class User:
    """An account: a person (`User`) or an App's bot (`Bot`)."""

    id: int
    login: str
    type: Literal["User", "Bot"] = "User"
    name: str | None = None

    @property
    def email(self) -> str:
        """The address that GitHub gives to commits made on its pages."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(frozen=True)
class AppRegistration:
    """An App as registered. `permissions` are what every installation grants."""

    app_id: int
    slug: str
    private_key_pem: str
    webhook_secret: str
    permissions: dict[str, str] = field(
        default_factory=lambda: {
            "contents": "write",
            "issues": "write",
            "pull_requests": "write",
            "checks": "write",
            "deployments": "write",
            "merge_queues": "write",
            "metadata": "read",
            "actions": "read",
            "statuses": "read",
        }
    )
    events: tuple[str, ...] = (
        "issues",
        "issue_comment",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "check_run",
        "check_suite",
        "workflow_run",
        "push",
        "deployment_status",
        "release",
        "merge_group",
    )
    name: str = ""


@dataclass(eq=False)
class Installation:
    """The App on one account."""

    id: int
    account: User
    created_at: datetime
    suspended_at: datetime | None = None


@dataclass(eq=False)
class Token:
    """A credential. `installation` is None for a person's own token."""

    text: str
    user: User
    expires_at: datetime | None = None
    installation: Installation | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    repositories: frozenset[int] | None = None
    """Ids of the repositories it is narrowed to; None is all of the installation."""


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


@dataclass(eq=False)
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(eq=False)
class IssueEvent:
    """A line of an issue's timeline; `more` is what this kind of event carries besides."""

    id: int
    event: str
    actor: User
    created_at: datetime
    more: Json = field(default_factory=dict)


@dataclass(eq=False)
class Review:
    """A review of a pull request."""

    id: int
    author: User
    body: str
    state: str
    commit_id: str
    submitted_at: datetime


@dataclass(frozen=True)
class Size:
    """How much a pull request changes, as of its last push."""

    commits: int = 0
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0


@dataclass(eq=False)
class PullRequest:
    """What a pull request is besides an issue. `head` and `base` are names of branches."""

    id: int
    head: str
    base: str
    head_sha: str
    base_sha: str
    draft: bool = False
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviewers: list[User] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    size: Size = Size()


@dataclass(eq=False)
class Issue:
    """An issue; with `pull` it is a pull request, for they share their numbers."""

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
    comments: list[Comment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    events: list[IssueEvent] = field(default_factory=list)
    pull: PullRequest | None = None

    @property
    def label_names(self) -> list[str]:
        """The names of its labels, in the order they were added."""
        return [label.name for label in self.labels]


@dataclass(eq=False)
class CheckSuite:
    """The check runs of the App on one commit."""

    id: int
    head_sha: str
    head_branch: str | None
    before: str
    created_at: datetime
    updated_at: datetime
    runs: list[CheckRun] = field(default_factory=list)


@dataclass(eq=False)
class CheckRun:
    """A check run."""

    id: int
    suite: CheckSuite
    name: str
    status: str
    conclusion: str | None
    started_at: str
    completed_at: str | None
    external_id: str | None = None
    details_url: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[Json] = field(default_factory=list)
    actions: list[Json] = field(default_factory=list)

    @property
    def head_sha(self) -> str:
        """The commit it speaks of."""
        return self.suite.head_sha


@dataclass(eq=False)
class Repository:
    """A repository. The switches below `has_issues` stand for plans, settings and rules."""

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
    protected: set[str] = field(default_factory=set)
    """Branches that only a merged pull request may move."""
    permissions: dict[str, str] = field(default_factory=dict)
    role_names: dict[str, str] = field(default_factory=dict)
    """Names of custom roles by login; `permissions` holds what the role amounts to."""
    labels: list[Label] = field(default_factory=list)
    issues: dict[int, Issue] = field(default_factory=dict)
    suites: dict[int, CheckSuite] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    """Commits that GitHub itself signed."""
    pushed_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while refs move, so that what a push changed can be told."""

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

    def issue(self, number: int) -> Issue:
        """An issue or pull request. Refuses with 404."""
        if number not in self.issues:
            raise not_found()
        return self.issues[number]

    def label(self, name: str) -> Label | None:
        """A label by its name; case does not matter."""
        return next((label for label in self.labels if label.name.lower() == name.lower()), None)

    def pulls(self) -> list[tuple[Issue, PullRequest]]:
        """Every pull request with the issue it also is."""
        return [(issue, issue.pull) for issue in self.issues.values() if issue.pull is not None]

    def open_pulls(self, branch: str) -> list[tuple[Issue, PullRequest]]:
        """The open pull requests from a branch."""
        return [pair for pair in self.pulls() if pair[1].head == branch and pair[0].state == "open"]

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
    """The whole state, and the few questions that every part asks of it."""

    def __init__(self, root: Path, app: AppRegistration) -> None:
        self.root = root
        self.app = app
        self.clock = Clock()
        self.url = "http://github.playground.invalid"
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.installations: dict[str, Installation] = {}
        self.tokens: dict[str, Token] = {}
        self.faults = Faults()
        self.requests: list[RequestRecord] = []
        self.rate_limit = 5000
        self.rates: dict[str, RateLimit] = {}
        self.webhooks: Webhooks
        self._ids = itertools.count(100_001)
        self.created_at = self.clock.now()
        self.web_flow = User(19_864_447, "web-flow", "User", "GitHub")
        self.bot = self.add_user(f"{app.slug}[bot]", kind="Bot")

    @property
    def api_url(self) -> str:
        """Where the REST API is."""
        return f"{self.url}/api/v3"

    def new_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def add_user(self, login: str, *, kind: Literal["User", "Bot"] = "User") -> User:
        """Make an account, or give the one with this login."""
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

    def installation_of(self, repository: Repository) -> Installation | None:
        """The installation that covers a repository."""
        if not repository.installed:
            return None
        return self.installations.get(repository.owner.login.lower())

    def touch(self, issue: Issue) -> None:
        """Note that an issue changed just now."""
        issue.updated_at = self.clock.now()
