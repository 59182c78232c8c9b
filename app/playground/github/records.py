"""Records about commits: check runs, statuses, deployments, workflow runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .accounts import User
from .git import SimulatedCommit


@dataclass(frozen=True)
class OtherApp:
    """Another App, whose checks appear next to ours."""

    id: int
    slug: str
    name: str


ACTIONS = OtherApp(15_368, "github-actions", "GitHub Actions")
"""GitHub's own CI, with the id that it has there."""


@dataclass(eq=False)
class CommitStatus:
    """One status of a commit; the latest of a context counts."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: datetime


@dataclass(eq=False)
class DeploymentStatus:
    """One status of a deployment; the latest counts."""

    id: int
    state: str
    creator: User
    description: str
    environment: str
    environment_url: str
    log_url: str
    created_at: datetime


@dataclass(eq=False)
class Deployment:
    """A deployment, which another program carries out."""

    id: int
    sha: str
    ref: str
    task: str
    environment: str
    description: str
    payload: Any
    transient: bool
    production: bool
    creator: User
    created_at: datetime
    updated_at: datetime
    statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether it may not be deleted."""
        return not self.statuses or self.statuses[-1].state not in ("inactive", "error", "failure")


@dataclass
class OtherCi:
    """The CI of a repository, by Actions: the result of each push to a branch.

    `conclusion` None leaves it running until it is finished by a call; `action_required` is a run
    that waits for approval and has no jobs yet. `log` is what its job wrote. `on` are the events
    that start it. `works` is called with the run when it ends, and returns the zip archives that it
    uploads, by name, and a conclusion instead of `success`.
    """

    conclusion: str | None = "success"
    workflow: str = "CI"
    job: str = "test"
    title: str = ""
    summary: str = ""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    log: str = ""
    workflow_id: int = 0
    state: str = "active"
    on: tuple[str, ...] = ("push",)
    works: Callable[[SimulatedWorkflowRun], tuple[str, dict[str, bytes]]] | None = None

    @property
    def path(self) -> str:
        """The workflow's file."""
        return f".github/workflows/{self.workflow.lower().replace(' ', '-')}.yml"


@dataclass(eq=False)
class CheckSuite:
    """The check runs of the App on one commit."""

    id: int
    head_sha: str
    head_branch: str | None
    before: str
    created_at: datetime
    updated_at: datetime
    commit: SimulatedCommit
    runs: list[CheckRun] = field(default_factory=list)
    app: OtherApp | None = None
    """Whose it is; None is our App."""
    settled: str | None = None
    """A conclusion without runs, as where Actions wait for approval."""


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
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def head_sha(self) -> str:
        """The commit that it belongs to."""
        return self.suite.head_sha


@dataclass(eq=False)
class SimulatedWorkflowRun:
    """One run of a workflow; its job is a check run of the suite."""

    id: int
    number: int
    ci: OtherCi
    suite: CheckSuite
    branch: str
    actor: User
    created_at: datetime
    updated_at: datetime
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    job: CheckRun | None = None
    log: str = ""
    event: str = "push"
    fork_id: int | None = None
    """The repository that its commit comes from, if it is another one."""
    artifacts: list[SimulatedArtifact] = field(default_factory=list)


@dataclass(eq=False)
class SimulatedArtifact:
    """A run's upload, as the zip archive that can be downloaded. `digest` is GitHub's digest of its
    bytes.
    """

    id: int
    name: str
    content: bytes
    digest: str
    created_at: datetime
    expired: bool = False


@dataclass(frozen=True)
class Attachment:
    """A file that a person attached to a text. `id` is part of its URL."""

    id: str
    name: str
    content: bytes
    media_type: str
    private: bool


@dataclass(frozen=True)
class OAuthCode:
    """A person agreed that the App may act for them; `challenge` is PKCE's."""

    user: User
    redirect_uri: str
    challenge: str | None
    expires_at: datetime


@dataclass
class Desk:
    """Submitted manifests that were not exchanged yet, by code."""

    sign_ins: dict[str, OAuthCode] = field(default_factory=dict)
    asked: dict[str, tuple[dict[str, Any], str | None]] = field(default_factory=dict)
    """Manifests that a person is reviewing, each with its state."""
    manifests: dict[str, tuple[User, dict[str, Any], datetime]] = field(default_factory=dict)
    organizations: dict[str, set[str]] = field(default_factory=dict)
    """Logins of organizations, in small letters, with those of their owners."""
    taken_names: set[str] = field(default_factory=set)
    """Slugs of other Apps."""
    refreshes: dict[str, tuple[User, datetime]] = field(default_factory=dict)
    """Refresh tokens."""
