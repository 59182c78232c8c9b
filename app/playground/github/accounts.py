"""The users of the simulated GitHub: accounts, the App with its installations, tokens, callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


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
    client_secret: str = "playground-client-secret"
    callback_urls: tuple[str, ...] = ()
    """The callback URLs after sign-in; empty allows any."""

    @property
    def client_id(self) -> str:
        """Its client ID at sign-in."""
        return f"Iv23li{self.app_id:014d}"


@dataclass(eq=False)
class SimulatedInstallation:
    """The App on one account. `permissions` are the granted ones; None: all that it requests."""

    id: int
    account: User
    created_at: datetime
    suspended_at: datetime | None = None
    suspended_by: User | None = None
    permissions: dict[str, str] | None = None


@dataclass(eq=False)
class Token:
    """A credential. `installation` is None for a person's own token."""

    text: str
    user: User
    expires_at: datetime | None = None
    installation: SimulatedInstallation | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    repositories: frozenset[int] | None = None
    """Ids of the repositories it is narrowed to; None is all of the installation."""
    via_app: bool = False
    """A person's token through the App, with only the permissions that both have."""


@dataclass(frozen=True)
class ApiCaller:
    """The caller: anonymous, a person, the App itself (by JWT) or one of its installations."""

    kind: Literal["anonymous", "person", "app", "installation"]
    user: User | None = None
    token: Token | None = None

    @property
    def name(self) -> str:
        """The login, for logs and messages."""
        return self.user.login if self.user else ""

    @property
    def counted_as(self) -> str:
        """The owner of a rate limit: each installation has its own.

        https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
        """
        installation = self.token.installation if self.token else None
        return f"{self.name} {installation.id}" if installation else self.name
