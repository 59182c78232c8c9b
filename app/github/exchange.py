"""A call to GitHub and its response, as values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote, unquote

import httpx
import msgspec

from app.errors import RetryableError

T = TypeVar("T")
Json = Mapping[str, Any]
Kind = Literal["api", "token", "status_edit"]

FULL = "application/vnd.github.full+json"
"""The media type that returns texts as Markdown (`body`) and HTML (`body_html`)."""

DIFF = "application/vnd.github.diff"

_MESSAGE_LENGTH = 400
_SLASHES_KEPT = {"ref", "path"}

GRAPHQL = "/graphql"
"""Stands for the GraphQL API's URL, which is next to `/api/v3`, not below it."""


@dataclass(frozen=True)
class ApiCall:
    """A request that was sent. `path` is the template, so that calls can be grouped.

    `writes`: it counts toward an installation's limit of writes per minute. `status` is None
    without a response. Token requests and status comment edits have their own `kind`, to be counted
    separately.
    """

    method: str
    path: str
    kind: Kind
    writes: bool
    status: int | None
    seconds: float


Observe = Callable[[ApiCall], None]


@dataclass(frozen=True)
class ApiResponse:
    """GitHub's response."""

    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)

    def read(self, shape: type[T]) -> T:
        """Decode the content into `shape`, ignoring other fields. Raises RetryableError."""
        try:
            return msgspec.json.decode(self.content, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise RetryableError(f"GitHub's answer could not be read ({problem}).") from None

    def page(self, rel: str) -> int | None:
        """The page number of `rel` (`next`, `last`) in the Link header, if any."""
        found = re.search(rf'[?&]page=(\d+)[^>]*>\s*;\s*rel="{rel}"', self.headers.get("link", ""))
        return int(found[1]) if found else None

    @property
    def date(self) -> float | None:
        """The response time by GitHub's own clock (Unix time), if given."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except ValueError:
            return None

    @property
    def next_cursor(self) -> str | None:
        """The next page's cursor, in lists that use cursors instead of page numbers."""
        found = re.search(
            r'[?&]cursor=([^&>]+)[^>]*>\s*;\s*rel="next"', self.headers.get("link", "")
        )
        return unquote(found[1]) if found else None

    @property
    def reason(self) -> str:
        """GitHub's error message, on one line and shortened; empty if there is none."""
        try:
            body = json.loads(self.content)
        except ValueError:
            return ""
        if not isinstance(body, dict):
            return ""
        details = body.get("errors")
        words = [body.get("message"), *(details if isinstance(details, list) else [])]
        text = "; ".join(filter(None, map(_error_text, words)))
        return " ".join(text.split())[:_MESSAGE_LENGTH]


@dataclass(frozen=True)
class NoResponse:
    """There was no response. `unsent`: the connection could not be opened."""

    why: str
    unsent: bool


@dataclass(frozen=True)
class ApiRequest:
    """A call before it is sent.

    `template` is the path as GitHub documents it, `path` fills its placeholders. `repeatable` means
    that sending it twice has the same effect as once. `accept` lists error and redirect statuses
    that the caller handles. `known` is the ETag of an answer that the caller has: if nothing
    changed, GitHub answers 304, which costs nothing of the rate limit. `media` is a media type
    other than the default:
    https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types
    """

    method: str
    template: str
    path: Mapping[str, str | int] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Json | None = field(default=None, repr=False)
    kind: Kind = "api"
    repeatable: bool = False
    just_created: bool = False
    accept: Collection[int] = ()
    media: str = ""
    known: str = ""

    @property
    def writes(self) -> bool:
        """Whether GitHub counts it as a write; in GraphQL, mutations.

        https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
        """
        if self.template == GRAPHQL:
            return str((self.body or {}).get("query", "")).lstrip().startswith("mutation")
        return self.method not in ("GET", "HEAD")

    @property
    def url(self) -> str:
        """The path with every placeholder filled in and percent-encoded.

        Raises ValueError for `.` and `..`, which an HTTP client would resolve to another path.
        """
        return re.sub(r"\{(\w+)\}", lambda name: self._segment(name[1]), self.template)

    def _segment(self, name: str) -> str:
        value = str(self.path[name])
        if any(part in ("", ".", "..") for part in value.split("/")):
            raise ValueError(f"{value!r} cannot stand in an address as {name}")
        return quote(value, safe="/" if name in _SLASHES_KEPT else "")


def cut(text: str, limit: int) -> str:
    """Truncate a text to `limit` bytes of UTF-8; a last line says how much is missing."""
    size = len(text.encode())
    if size <= limit:
        return text
    # Reserve space for the note with the largest possible number.
    room = limit - len(_truncation_note(size).encode())
    kept = text.encode()[: max(0, room)].decode("utf-8", errors="ignore")
    return kept + _truncation_note(size - len(kept.encode()))


def _truncation_note(size: int) -> str:
    return f"\n\n… {size:,} more bytes are not shown."


def _error_text(error: object) -> str:
    """One of GitHub's `errors`: a string, or an object with resource, field, code, message."""
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return ""
    if error.get("message"):
        return str(error["message"])
    return " ".join(str(error[key]) for key in ("resource", "field", "code") if error.get(key))
