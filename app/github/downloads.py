"""What lies behind an address that carries its own permission: logs, images.

Such addresses lead away from GitHub's API, so nothing that is sent there names us: no token, no
cookie. Whoever has the address can read it, so it is written down nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import httpx

from app import __version__
from app.errors import RetryableError
from app.github.client import GitHubApp

_ATTEMPTS = 3
_REDIRECTS = 2
_REDIRECTIONS = (301, 302, 303, 307, 308)
_MOST_READ = 100_000_000
"""Bytes that are read for the sake of the end of something long."""


@dataclass(frozen=True)
class Download:
    """What came. `status` is HTTP's, `size` counts the bytes that were read, kept or not;
    `whole` is whether `content` is all that there is.
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
    """Read what is at an address, of something longer the `start` or the `end`.

    Encrypted only, unless it is the server that we were told to speak to. Where it redirects to is
    asked of `may_follow`; otherwise the redirection is the answer. Raises RetryableError when
    there is no answer.
    """
    for redirects in range(_REDIRECTS + 1):
        if not is_safe(github, url):
            return Download(status=0, content=b"", size=0, whole=False)
        found = await _tried(github, url, max_bytes, keep)
        if isinstance(found, Download):
            return found
        if redirects == _REDIRECTS or not may_follow(found):
            break
        url = found
    return Download(status=302, content=b"", size=0, whole=False)


async def _tried(
    github: GitHubApp, url: str, max_bytes: int, keep: Literal["start", "end"]
) -> Download | str:
    for failures in range(1, _ATTEMPTS + 1):
        try:
            found = await _read(github, url, max_bytes, keep)
        except (httpx.HTTPError, httpx.InvalidURL):
            found = None
        if isinstance(found, str) or (found is not None and found.status < 500):
            return found
        if failures < _ATTEMPTS:
            await github.pause(failures)
    # The address stays out of the words: whoever has it can read what is there.
    raise RetryableError(f"{urlsplit(url).hostname} does not give what GitHub keeps there.")


async def _read(
    github: GitHubApp, url: str, max_bytes: int, keep: Literal["start", "end"]
) -> Download | str:
    """The answer, or the address that it redirects to."""
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
    """Encrypted, or the very server (a simulator, say) that we were told to speak to."""
    there, here = urlsplit(url), urlsplit(github.server_url)
    if not there.hostname:
        return False
    return there.scheme == "https" or (there.scheme, there.netloc) == (here.scheme, here.netloc)
