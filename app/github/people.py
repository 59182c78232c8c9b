"""User sign-in through the App, and checks of what a user may read.

Requests about a user are made with that user's own token, so GitHub decides about access.

Outside contract:
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
https://docs.github.com/en/rest/users/users#get-the-authenticated-user
https://docs.github.com/en/rest/repos/repos#get-a-repository
https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-token
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
from pydantic import SecretStr

from app import __version__
from app.domain.values import RepoName
from app.errors import RetryableError, UserError
from app.outgoing import Outgoing

T = TypeVar("T")

_SECONDS = 8.0
_AT_ONCE = 16
_LONGEST_LIFE = 8 * 3600.0
"""Seconds to use a token at most, even if the App's user tokens do not expire."""


class Access(IntEnum):
    """What a user may do in a repository, ascending."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


class NotSignedInError(UserError):
    """GitHub rejected a sign-in, or a session has ended."""


@dataclass(frozen=True)
class SignedInUser:
    """A GitHub account."""

    login: str
    id: int


@dataclass(frozen=True)
class UserToken:
    """A user access token, valid for `seconds` from now."""

    value: SecretStr
    seconds: float


@dataclass(frozen=True)
class SubjectNow:
    """An issue or pull request as it is on GitHub now. The other fields are a pull request's."""

    is_open: bool
    is_draft: bool = False
    head_sha: str = ""
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0


class _UserTokenWire(msgspec.Struct):
    access_token: str = ""
    expires_in: float = _LONGEST_LIFE
    error: str = ""


class _PersonWire(msgspec.Struct):
    login: str
    id: int


class _PermissionsWire(msgspec.Struct):
    push: bool = False
    admin: bool = False


class _ReadableRepositoryWire(msgspec.Struct):
    id: int
    permissions: _PermissionsWire | None = None


class _HeadWire(msgspec.Struct):
    sha: str = ""


class _SubjectWire(msgspec.Struct):
    state: str
    draft: bool = False
    head: _HeadWire | None = None
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0


class _ReviewRefusalWire(msgspec.Struct):
    message: str = ""


@dataclass(frozen=True)
class People:
    """GitHub's sign-in and user API. Every method raises RetryableError while it is unavailable.

    `server_url` is for browsers, `api_url` for the API. `back` is the callback URL; without it
    GitHub uses the first callback URL registered for the App.
    """

    client: httpx.AsyncClient = field(repr=False)
    server_url: str
    api_url: str
    client_id: str
    client_secret: SecretStr
    back: str | None = None

    def sign_in_url(self, state: str, verifier: str) -> str:
        """Where to send a user to authorize the App. The PKCE verifier itself is not sent."""
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "client_id": self.client_id,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            **({"redirect_uri": self.back} if self.back else {}),
        }
        return f"{self.server_url}/login/oauth/authorize?{urlencode(asked)}"

    async def token_for(self, code: str, verifier: str) -> UserToken:
        """Exchange the code for a token. Raises NotSignedInError if GitHub rejects it."""
        given = {
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
            "code": code,
            "code_verifier": verifier,
            **({"redirect_uri": self.back} if self.back else {}),
        }
        # In the body, because URLs end up in logs.
        answer = await self._send("POST", f"{self.server_url}/login/oauth/access_token", data=given)
        response = _read(answer, _UserTokenWire)
        if answer.status_code != httpx.codes.OK or not response.access_token:
            raise NotSignedInError("GitHub rejected the sign-in code.")
        seconds = min(max(response.expires_in, 0.0), _LONGEST_LIFE)
        return UserToken(SecretStr(response.access_token), seconds)

    async def who(self, token: SecretStr) -> SignedInUser:
        """The user of a token. Raises NotSignedInError if it is no longer valid."""
        answer = await self._ask("/user", token)
        if answer.status_code != httpx.codes.OK:
            raise NotSignedInError("GitHub did not identify you.")
        response = _read(answer, _PersonWire)
        return SignedInUser(response.login, response.id)

    async def access(self, token: SecretStr, repo: RepoName, repository_id: int) -> Access:
        """What a user may currently do in the repository with this id.

        A name may be reused for another repository, so the id must match. Raises NotSignedInError
        if the token is no longer valid.
        """
        answer = await self._ask(f"/repos/{repo.owner}/{repo.name}", token)
        if _is_refused_by_limit(answer):
            raise RetryableError("GitHub's rate limit is reached.")
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise RetryableError("GitHub has a server error.")
        if answer.status_code != httpx.codes.OK:
            return Access.NONE
        found = _read(answer, _ReadableRepositoryWire)
        if found.id != repository_id:
            return Access.NONE
        may = found.permissions or _PermissionsWire()
        return Access.ADMIN if may.admin else Access.WRITE if may.push else Access.READ

    async def subject(
        self, token: SecretStr, repo: RepoName, number: int, *, is_pull: bool
    ) -> SubjectNow | None:
        """An issue or pull request now; None where GitHub does not show it.

        https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request
        """
        kind = "pulls" if is_pull else "issues"
        answer = await self._ask(f"/repos/{repo.owner}/{repo.name}/{kind}/{number}", token)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or _is_refused_by_limit(answer):
            raise RetryableError("GitHub did not answer.")
        if answer.status_code != httpx.codes.OK:
            return None
        wire = _read(answer, _SubjectWire)
        return SubjectNow(
            is_open=wire.state == "open",
            is_draft=wire.draft,
            head_sha=wire.head.sha if wire.head else "",
            additions=wire.additions,
            deletions=wire.deletions,
            changed_files=wire.changed_files,
        )

    async def approve(self, token: SecretStr, repo: RepoName, number: int, sha: str) -> str:
        """Approve exactly this commit in the user's name; GitHub's reason if it refuses.

        https://docs.github.com/en/rest/pulls/reviews#create-a-review-for-a-pull-request
        """
        answer = await self._send(
            "POST",
            f"{self.api_url}/repos/{repo.owner}/{repo.name}/pulls/{number}/reviews",
            headers=_headers(token),
            json={"event": "APPROVE", "commit_id": sha},
        )
        if answer.status_code == httpx.codes.OK:
            return ""
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise NotSignedInError("Your session with GitHub has ended.")
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or _is_refused_by_limit(answer):
            raise RetryableError("GitHub did not answer.")
        return _read(answer, _ReviewRefusalWire).message or "GitHub refused the review."

    async def forget(self, token: SecretStr) -> None:
        """Revoke the token."""
        await self._send(
            "DELETE",
            f"{self.api_url}/applications/{self.client_id}/token",
            json={"access_token": token.get_secret_value()},
            auth=httpx.BasicAuth(self.client_id, self.client_secret.get_secret_value()),
        )

    async def _ask(self, path: str, token: SecretStr) -> httpx.Response:
        answer = await self._send("GET", self.api_url + path, headers=_headers(token))
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise NotSignedInError("Your session with GitHub has ended.")
        return answer

    async def _send(self, method: str, url: str, **more: object) -> httpx.Response:
        try:
            # Never follow a redirect with a body: it contains secrets.
            follow = method == "GET"
            return await self.client.request(method, url, follow_redirects=follow, **more)  # type: ignore[arg-type]
        except httpx.HTTPError as problem:
            raise RetryableError(f"GitHub does not answer ({type(problem).__name__}).") from None


@asynccontextmanager
async def client_of(outgoing: Outgoing) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP client for `People`."""
    async with httpx.AsyncClient(
        headers={"Accept": "application/json", "User-Agent": f"honk/{__version__}"},
        timeout=_SECONDS,
        transport=outgoing.transport(httpx.Limits(max_connections=_AT_ONCE)),
        # A renamed repository redirects; httpx does not send the token to another host.
        max_redirects=3,
        trust_env=False,
    ) as client:
        yield client


_LIMITED = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)


def _headers(token: SecretStr) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token.get_secret_value()}",
    }


def _is_refused_by_limit(answer: httpx.Response) -> bool:
    return answer.status_code in _LIMITED and _is_a_limit(answer)


def _is_a_limit(answer: httpx.Response) -> bool:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
    spent = answer.headers.get("x-ratelimit-remaining") == "0"
    return spent or "retry-after" in answer.headers or answer.status_code == _LIMITED[1]


def _read(answer: httpx.Response, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RetryableError("GitHub sent an invalid response.") from None
