"""GitHub's error responses as exceptions with messages for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.values import RepoName
from app.errors import RetryableError, UserError
from app.github.auth import TokenScope
from app.github.exchange import ApiRequest, ApiResponse


class GitHubRefusedError(UserError):
    """GitHub refused a request. `status` is HTTP's, `reason` GitHub's message."""

    def __init__(self, message: str, *, status: int, reason: str = "", next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.status = status
        self.reason = reason


class NotFoundError(GitHubRefusedError):
    """It does not exist, or the App has no access: GitHub answers 404 to both."""


class MissingPermissionError(GitHubRefusedError):
    """The App lacks a required permission."""


class BadCredentialsError(GitHubRefusedError):
    """GitHub rejects the App's JWT."""


class NoTokenError(GitHubRefusedError):
    """GitHub issues no token: the App is suspended, uninstalled or lacks the repository."""


class NotInstalledError(NoTokenError, NotFoundError):
    """The installation or the repository does not exist for the App."""


class UnknownOutcomeError(RetryableError):
    """A write was sent but its outcome is unknown: check before resending."""


def refusal(request: ApiRequest, answer: ApiResponse, scope: TokenScope) -> GitHubRefusedError:
    reason, status = answer.reason, answer.status
    said = f"GitHub said: {reason}" if reason else f"GitHub answered {status}."
    if status == 403 and "not accessible by integration" in reason.lower():
        return MissingPermissionError(
            f"Honk lacks a permission in {scope.repo}: {_needed(request, answer)}.",
            status=status,
            reason=reason,
            next_step="Grant it to the App, then accept it on the installation's page on GitHub.",
        )
    if status == 404 and request.template == "/repos/{owner}/{repo}":
        return NotFoundError(
            f"The repository {scope.repo} does not exist, or Honk has no access to it.",
            status=status,
            reason=reason,
            next_step="Add it on the installation's page of the App on GitHub.",
        )
    if status == 404:
        return NotFoundError(
            f"GitHub does not find {request.url[:300]}, or Honk has no access to it.",
            status=status,
            reason=reason,
        )
    return GitHubRefusedError(
        f"GitHub refused a request about {scope.repo}. {said}", status=status, reason=reason
    )


def _needed(request: ApiRequest, answer: ApiResponse) -> str:
    """The permissions that GitHub's header names: `;` separates alternatives, `,` parts."""
    header = answer.headers.get("x-accepted-github-permissions", "")
    first = header.partition(";")[0]
    pairs = [part.partition("=") for part in first.split(",") if "=" in part]
    if pairs:
        return ", ".join(_permission_name(name, level) for name, _, level in pairs)
    level = "read" if request.method == "GET" else "write"
    for part, name in _PERMISSION_BY_PATH.items():
        if f"/{part}" in request.template:
            return _permission_name(name, level)
    return _permission_name("contents", level)


_PERMISSION_BY_PATH = {
    "check-runs": "checks",
    "actions": "actions",
    "status": "statuses",
    "pulls": "pull_requests",
    "issues": "issues",
    "labels": "issues",
    "collaborators": "metadata",
    "graphql": "pull_requests",
}


def _permission_name(name: str, level: str) -> str:
    return f"{name.strip().replace('_', ' ').capitalize()} ({level.strip()})"


def graphql_refusal(repo: RepoName, answer: Mapping[str, Any], needs: str) -> Exception:
    """The exception for a GraphQL response with errors (its status is 200).

    `needs` names the required permissions, as GraphQL does not tell which are missing.
    """
    errors = [error for error in answer["errors"] if isinstance(error, dict)]
    reason = "; ".join(str(error.get("message", "")) for error in errors)[:400]
    if any(error.get("type") == "RATE_LIMITED" for error in errors):
        return RetryableError("GitHub's GraphQL limit is reached.", retry_after=60.0)
    if _is_transient(reason):
        return RetryableError(f"GitHub's GraphQL API failed: {reason}")
    if "not accessible by integration" in reason.lower():
        return MissingPermissionError(
            f"Honk lacks a permission in {repo}: {needs}.",
            status=403,
            reason=reason,
            next_step="Grant it to the App, then accept it on the installation's page on GitHub.",
        )
    if is_gone(answer):
        return NotFoundError(
            f"GitHub does not find something in {repo}, or Honk has no access to it.",
            status=404,
            reason=reason,
        )
    return GitHubRefusedError(
        f"GitHub refused a request about {repo}. GitHub said: {reason}",
        status=422,
        reason=reason,
    )


def failed_by_itself(answer: object) -> bool:
    """Whether GraphQL returned only internal errors of GitHub, the equivalent of a 5xx."""
    if not isinstance(answer, dict) or not isinstance(answer.get("errors"), list):
        return False
    data = answer.get("data")
    has_data = isinstance(data, dict) and any(part is not None for part in data.values())
    return not has_data and any(
        isinstance(error, dict) and _is_transient(str(error.get("message", "")))
        for error in answer["errors"]
    )


def _is_transient(reason: str) -> bool:
    """GitHub has no error type for these, only messages."""
    lowered = reason.lower()
    return any(each in lowered for each in _PASSING)


_PASSING = (
    "something went wrong while executing your query",
    "couldn't respond to your request in time",
    "timedout",
    "internal server error",
    "service unavailable",
)


def is_gone(answer: Mapping[str, Any]) -> bool:
    """Whether GraphQL reports that the object does not exist, the equivalent of a 404."""
    errors = answer.get("errors") or ()
    return any(isinstance(one, dict) and one.get("type") == "NOT_FOUND" for one in errors)


def no_token(scope: TokenScope, answer: ApiResponse) -> GitHubRefusedError:
    reason, status = answer.reason, answer.status
    wanted = ", ".join(_permission_name(*pair) for pair in scope.permissions)
    if status == 404:
        return NotInstalledError(
            f"Honk is no longer installed for {scope.repo}.", status=status, reason=reason
        )
    if status == 422 and "permission" in reason.lower():
        return MissingPermissionError(
            f"Honk's installation for {scope.repo} lacks permissions: {wanted}.",
            status=status,
            reason=reason,
            next_step="Accept the App's permissions on the installation's page on GitHub.",
        )
    if status == 422:
        return NotInstalledError(
            f"The repository {scope.repo} does not exist, or Honk has no access to it.",
            status=status,
            reason=reason,
            next_step="Add it on the installation's page of the App on GitHub.",
        )
    return NoTokenError(
        f"GitHub refuses Honk a token for {scope.repo}. GitHub said: {reason}",
        status=status,
        reason=reason,
    )


def not_accepted(answer: ApiResponse) -> BadCredentialsError:
    return BadCredentialsError(
        f"GitHub rejects Honk's credentials. GitHub said: {answer.reason}",
        status=answer.status,
        reason=answer.reason,
        next_step="Check GITHUB_APP_ID, the private key and this machine's clock.",
    )


def refused(message: str, answer: ApiResponse) -> GitHubRefusedError:
    """A refusal with the caller's message; GitHub's own is appended."""
    said = f" GitHub said: {answer.reason}" if answer.reason else ""
    return GitHubRefusedError(message + said, status=answer.status, reason=answer.reason)
