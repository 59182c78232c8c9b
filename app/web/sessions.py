"""Encrypted session cookies, which only this Honk can create and read.

Their content, including the user's token, is encrypted, authenticated and expires. The server
stores nothing: every web process with the same HONK_SESSION_SECRET accepts the same cookies.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

SIGN_IN_SECONDS = 600
"""How long a person may take on GitHub's sign-in page."""

Clock = Callable[[], float]


class WebSession(msgspec.Struct, frozen=True):
    """A signed-in person. `form` is the CSRF token of this person's forms."""

    login: str
    id: int
    token: str
    form: str
    ends: float  # seconds since 1970

    def __repr__(self) -> str:
        return f"Session(login={self.login!r})"


class SigningIn(msgspec.Struct, frozen=True):
    """A sign-in in progress, and the page to return to."""

    state: str
    verifier: str
    then: str
    ends: float  # seconds since 1970

    @classmethod
    def begin(cls, then: str, now: float) -> SigningIn:
        """Start a sign-in with a random state and PKCE verifier."""
        return cls(
            secrets.token_urlsafe(32), secrets.token_urlsafe(48), then, now + SIGN_IN_SECONDS
        )


S = TypeVar("S", WebSession, SigningIn)


@dataclass(frozen=True)
class Cookie:
    """One kind of cookie. Over HTTPS the `__Host-` prefix binds it to this host.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    """

    name: str
    is_secure: bool
    key: Fernet

    @property
    def full_name(self) -> str:
        return f"__Host-{self.name}" if self.is_secure else self.name


class Cookies:
    """The cookies for sessions and for sign-ins in progress."""

    def __init__(
        self, session_secret: SecretStr, *, is_secure: bool, clock: Clock = time.time
    ) -> None:
        secret = session_secret.get_secret_value().encode()
        self._clock = clock
        self._kinds: dict[type, Cookie] = {
            kind: Cookie(name, is_secure, _key(secret, name))
            for kind, name in ((WebSession, "honk-session"), (SigningIn, "honk-signing-in"))
        }

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def read(self, request: Request, kind: type[S]) -> S | None:
        """The cookie's value; None when it is missing, forged or expired."""
        cookie = self._kinds[kind]
        sealed = request.cookies.get(cookie.full_name)
        if sealed is None:
            return None
        try:
            found = msgspec.json.decode(cookie.key.decrypt(sealed.encode()), type=kind)
        except (InvalidToken, msgspec.DecodeError, UnicodeError):
            return None
        return found if found.ends > self._clock() else None

    def seal(self, value: WebSession | SigningIn) -> str:
        """The encrypted cookie value."""
        return self._kinds[type(value)].key.encrypt(msgspec.json.encode(value)).decode()

    def set(self, response: Response, value: WebSession | SigningIn) -> None:
        """Set the cookie until the value expires."""
        cookie = self._kinds[type(value)]
        response.set_cookie(
            cookie.full_name,
            self.seal(value),
            max_age=max(0, int(value.ends - self._clock())),
            path="/",
            secure=cookie.is_secure,
            httponly=True,
            # GitHub's redirect back to us is cross-site, so a strict cookie would not be sent.
            samesite="lax",
        )

    def delete(self, response: Response, kind: type) -> None:
        """Delete the cookie."""
        cookie = self._kinds[kind]
        response.delete_cookie(
            cookie.full_name, path="/", secure=cookie.is_secure, httponly=True, samesite="lax"
        )


def sealing_key(session_secret: SecretStr, use: str) -> Fernet:
    """A key that seals addresses for one use; no cookie opens with it."""
    return _key(session_secret.get_secret_value().encode(), f"address of {use}")


def _key(secret: bytes, use: str) -> Fernet:
    """A key per kind of cookie, so that one kind cannot be passed off as the other."""
    derived = HKDF(SHA256(), 32, salt=None, info=f"honk cookie: {use}".encode()).derive(secret)
    return Fernet(base64.urlsafe_b64encode(derived))
