"""Authentication: the App's JWT, and installation tokens for one repository each.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from app.domain.values import RepoName
from app.errors import UserError

Clock = Callable[[], float]
"""Unix time in seconds, like `time.time`."""

_JWT_BACKDATED = 60
"""Seconds. GitHub rejects a JWT issued in the future, and clocks differ."""

_JWT_LIFE = 540
"""Seconds from now. With the backdating, the total life is the ten minutes GitHub allows."""

_SLACK = 60
"""A token is not handed out in its last seconds, so that a push can finish."""


class AppKey:
    """The App's private key and its current JWT.

    A JWT is reused until shortly before it expires: signing takes milliseconds, and GitHub's ETags
    depend on the token, so a new one for each call would invalidate them all.
    """

    def __init__(self, app_id: str, private_key_pem: SecretStr, clock: Clock = time.time) -> None:
        self._app_id = app_id
        self._pem = private_key_pem
        self._clock = clock
        self._key: RSAPrivateKey | None = None
        self._current: tuple[SecretStr, float] | None = None
        self._ahead = 0.0

    def jwt(self) -> SecretStr:
        """The current JWT. Raises UserError for a bad key."""
        now = self._clock() + self._ahead
        if self._current is None or now >= self._current[1] - _SLACK / 2:
            expires = int(now) + _JWT_LIFE
            claims = {"iat": int(now) - _JWT_BACKDATED, "exp": expires, "iss": self._app_id}
            signed = jwt.encode(claims, self._private_key(), algorithm="RS256")
            self._current = (SecretStr(signed), float(expires))
        return self._current[0]

    def forget_jwt(self, github_time: float | None) -> None:
        """GitHub rejected the JWT: sign another for the next call.

        Uses GitHub's clock (Unix time) if known, as this machine's may be wrong.
        """
        self._current = None
        if github_time is not None:
            self._ahead = github_time - self._clock()

    def secrets(self) -> set[str]:
        """Values that must never be logged or stored: the key and the current JWT."""
        current = set() if self._current is None else {self._current[0].get_secret_value()}
        return current | {self._pem.get_secret_value()}

    def _private_key(self) -> RSAPrivateKey:
        if self._key is None:
            try:
                key = load_pem_private_key(self._pem.get_secret_value().encode(), password=None)
            except (ValueError, TypeError):
                raise _not_a_key() from None
            if not isinstance(key, RSAPrivateKey):
                raise _not_a_key()
            self._key = key
        return self._key


@dataclass(frozen=True)
class TokenScope:
    """What a token grants: some permissions for one repository of one installation.

    `permissions` are sorted pairs of GitHub's permission name and `read` or `write`.
    """

    installation_id: int
    repo: RepoName
    permissions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, installation_id: int, repo: RepoName, permissions: Mapping[str, str]) -> TokenScope:
        """Raises ValueError without permissions: GitHub would then grant all that the App has."""
        if not permissions:
            raise ValueError("a token needs to be asked for at least one permission")
        return cls(installation_id, repo, tuple(sorted(permissions.items())))


@dataclass(frozen=True)
class InstallationToken:
    """A token from GitHub. Its format is opaque; `expires_at` is Unix time."""

    value: SecretStr
    expires_at: float


Mint = Callable[[], Awaitable[InstallationToken]]


@dataclass
class InstallationTokens:
    """The tokens in use, kept in memory only.

    Concurrent callers that need the same token share one request, and cancelling one of them does
    not cancel it for the others.
    """

    clock: Clock = time.time
    _current: dict[TokenScope, InstallationToken] = field(default_factory=dict, repr=False)
    _minting: dict[TokenScope, asyncio.Task[InstallationToken]] = field(
        default_factory=dict, repr=False
    )
    _issued: dict[str, float] = field(default_factory=dict, repr=False)
    _used: dict[TokenScope, float] = field(default_factory=dict, repr=False)

    async def get(self, scope: TokenScope, mint: Mint) -> SecretStr:
        """The token for this scope, minted if there is none or it expires soon."""
        self._used[scope] = self.clock()
        known = self._current.get(scope)
        if known is not None and self.clock() < known.expires_at - _SLACK:
            return known.value
        task = self._minting.get(scope)
        if task is None:
            task = asyncio.ensure_future(self._mint(scope, mint))
            task.add_done_callback(lambda done: self._finish_minting(scope, done))
            self._minting[scope] = task
        return (await asyncio.shield(task)).value

    def drop(self, scope: TokenScope, token: SecretStr) -> None:
        """GitHub rejected this token. Keeps a newer one that another caller has minted."""
        known = self._current.get(scope)
        if known is not None and known.value == token:
            del self._current[scope]

    def drop_all(self, repo: RepoName) -> None:
        """Forget the tokens for a repository that their installation no longer has."""
        for scope in [each for each in self._current if each.repo == repo]:
            del self._current[scope]

    def take_idle(self, seconds: float) -> list[SecretStr]:
        """Remove and return the tokens that have not been requested for `seconds`."""
        now = self.clock()
        idle = [scope for scope in self._current if now - self._used.get(scope, 0.0) >= seconds]
        for scope in idle:
            self._used.pop(scope, None)
        tokens = [self._current.pop(scope) for scope in idle]
        return [token.value for token in tokens if token.expires_at > now]

    def forget(self, token: SecretStr) -> None:
        """Forget a token that is revoked."""
        self._issued.pop(token.get_secret_value(), None)

    def secrets(self) -> set[str]:
        """Every token that may still be valid, also in the form in which git sends it."""
        now = self.clock()
        self._issued = {token: end for token, end in self._issued.items() if end > now}
        return {form for token in self._issued for form in (token, basic_credentials(token))}

    async def close(self) -> None:
        """Cancel pending requests and forget the tokens."""
        under_way = list(self._minting.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._current.clear()

    async def _mint(self, scope: TokenScope, mint: Mint) -> InstallationToken:
        token = await mint()
        self._current[scope] = token
        self._issued[token.value.get_secret_value()] = token.expires_at
        return token

    def _finish_minting(self, scope: TokenScope, task: asyncio.Task[InstallationToken]) -> None:
        if self._minting.get(scope) is task:
            del self._minting[scope]
        if not task.cancelled():
            # Retrieve the error, as no caller may be left; those still waiting get it too.
            task.exception()


def basic_credentials(token: str) -> str:
    """The token as in the header of a git request (`Authorization: basic ...`)."""
    return base64.b64encode(f"x-access-token:{token}".encode()).decode("ascii")


def _not_a_key() -> UserError:
    return UserError(
        "The App's private key is not an RSA private key in PEM.",
        next_step="Download a new one from the App's settings page on GitHub.",
    )
