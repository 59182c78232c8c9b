"""What a visitor carries: cookies that only this Honk can read and make.

Everything in them is encrypted and signed, the person's token included, and ends after some time.
Nothing is kept here: every web process that has the same HONK_SESSION_SECRET knows its visitors.
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
"""For a person to come back from GitHub."""

Clock = Callable[[], float]


class WebSession(msgspec.Struct, frozen=True):
    """Somebody who is signed in. `form` is a word that this person's own forms carry."""

    login: str
    id: int
    token: str
    form: str
    ends: float  # seconds since 1970

    def __repr__(self) -> str:
        return f"Session(login={self.login!r})"


class SigningIn(msgspec.Struct, frozen=True):
    """Somebody who was sent to GitHub, and where they wanted to go."""

    state: str
    verifier: str
    then: str
    ends: float  # seconds since 1970

    @classmethod
    def begin(cls, then: str, now: float) -> SigningIn:
        """With a state and a verifier that nobody can guess."""
        return cls(
            secrets.token_urlsafe(32), secrets.token_urlsafe(48), then, now + SIGN_IN_SECONDS
        )


S = TypeVar("S", WebSession, SigningIn)


@dataclass(frozen=True)
class Cookie:
    """One kind of cookie. Over HTTPS its name binds it to this very host (`__Host-`).

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    """

    name: str
    is_secure: bool
    key: Fernet

    @property
    def full_name(self) -> str:
        return f"__Host-{self.name}" if self.is_secure else self.name


class Cookies:
    """Both kinds: of those who are signed in, and of those on their way to it."""

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
        """What the visitor carries; None where it is missing, forged, or has ended."""
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
        """The value as the cookie holds it."""
        return self._kinds[type(value)].key.encrypt(msgspec.json.encode(value)).decode()

    def give(self, response: Response, value: WebSession | SigningIn) -> None:
        """Let the visitor carry it until it ends."""
        cookie = self._kinds[type(value)]
        response.set_cookie(
            cookie.full_name,
            self.seal(value),
            max_age=max(0, int(value.ends - self._clock())),
            path="/",
            secure=cookie.is_secure,
            httponly=True,
            # GitHub sends people back by a link, which a strict cookie would not go along with.
            samesite="lax",
        )

    def take(self, response: Response, kind: type) -> None:
        """Let the visitor carry it no longer."""
        cookie = self._kinds[kind]
        response.delete_cookie(
            cookie.full_name, path="/", secure=cookie.is_secure, httponly=True, samesite="lax"
        )


def _key(secret: bytes, use: str) -> Fernet:
    """A key for one use: what was sealed for another cannot be passed off as this."""
    derived = HKDF(SHA256(), 32, salt=None, info=f"honk cookie: {use}".encode()).derive(secret)
    return Fernet(base64.urlsafe_b64encode(derived))
