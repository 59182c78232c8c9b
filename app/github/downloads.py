"""Download from pre-signed URLs: logs and images.

These lead to other hosts than GitHub's API, so requests carry no token and no cookie. Anyone with
the URL can read the content, so it is never logged or stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import httpx

from app import __version__, retrying
from app.errors import RetryableError
from app.github.client import GitHubApp
from app.retrying import retry

_REDIRECTS = 2
_REDIRECTIONS = (301, 302, 303, 307, 308)
_MOST_READ = 100_000_000
"""Bytes to read at most when only the end of something long is wanted."""


@dataclass(frozen=True)
class Download:
    """A response. `status` is HTTP's, `size` the bytes read (kept or not), `whole` whether
    `content` is complete.
    """

    status: int
    content: bytes = field(repr=False)
    size: int
    whole: bool


async def download(
    github: GitHubApp,
    url: str,
    max_bytes: int,
    *,
    keep: Literal["start", "end"] = "start",
    may_follow: Callable[[str], bool] = lambda url: False,
) -> Download:
    """Download a URL; of more than `max_bytes`, keep the `start` or the `end`.

    Requires HTTPS, except for the configured server. Follows a redirect only if `may_follow` allows
    its target; otherwise returns status 302. Raises RetryableError when there is no response.
    """
    for redirects in range(_REDIRECTS + 1):
        if not is_safe(github, url):
            return Download(status=0, content=b"", size=0, whole=False)
        found = await _read_with_retries(github, url, max_bytes, keep)
        if isinstance(found, Download):
            return found
        if redirects == _REDIRECTS or not may_follow(found):
            break
        url = found
    return Download(status=302, content=b"", size=0, whole=False)


async def _read_with_retries(
    github: GitHubApp, url: str, max_bytes: int, keep: Literal["start", "end"]
) -> Download | str:
    # Do not put the URL into the message: anyone who has it can read the content.
    failure = RetryableError(f"{urlsplit(url).hostname} does not give what GitHub keeps there.")

    async def attempt() -> Download | str:
        try:
            found = await _read(github, url, max_bytes, keep)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise failure from None
        if isinstance(found, Download) and found.status >= 500:
            raise failure
        return found

    return await retry(attempt, retrying.GITHUB_DOWNLOAD, sleep=github.sleep)


async def _read(
    github: GitHubApp, url: str, max_bytes: int, keep: Literal["start", "end"]
) -> Download | str:
    """The response, or the URL that it redirects to."""
    content, size, whole = bytearray(), 0, True
    async with (
        httpx.AsyncClient(
            timeout=github.timeout,
            headers={"User-Agent": f"honk/{__version__}"},
            transport=github.outgoing.transport(),
            trust_env=False,
        ) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code in _REDIRECTIONS:
            return str(response.url.join(response.headers.get("location", "")))
        async for part in response.aiter_bytes():
            size += len(part)
            content += part
            if len(content) > max_bytes:
                whole = False
                if keep == "start":
                    del content[max_bytes:]
                    break
                del content[: len(content) - max_bytes]
            if size > _MOST_READ:
                whole = False
                break
        return Download(response.status_code, bytes(content), size, whole)


def is_safe(github: GitHubApp, url: str) -> bool:
    """Whether the URL is HTTPS, or on the configured server (such as a simulator)."""
    there, here = urlsplit(url), urlsplit(github.server_url)
    if not there.hostname:
        return False
    return there.scheme == "https" or (there.scheme, there.netloc) == (here.scheme, here.netloc)
