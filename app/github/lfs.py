"""Download Git LFS files through the batch API.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
https://github.com/git-lfs/git-lfs/blob/main/docs/api/basic-transfers.md
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import msgspec
from pydantic import SecretStr

from app import __version__, retrying
from app.domain.values import Value
from app.errors import RetryableError
from app.github.client import GitHubApp
from app.github.downloads import is_safe
from app.private_files import open_for_sandboxes
from app.retrying import retry

_IN_A_BATCH = 100
_MEDIA = "application/vnd.git-lfs+json"
_WAITED_OUT = 429
_NOT_GIVEN = "GitHub does not provide it"


class Content(Value):
    """An LFS object: its SHA-256 and size in bytes."""

    oid: str
    size: int


class _Action(msgspec.Struct):
    href: str
    header: dict[str, str] = {}


class _Actions(msgspec.Struct):
    download: _Action | None = None


class _Object(msgspec.Struct):
    oid: str
    actions: _Actions | None = None


class _Batch(msgspec.Struct):
    objects: list[_Object] = []


async def fetch(
    github: GitHubApp, url: str, token: SecretStr, wanted: Sequence[Content], folder: Path
) -> dict[str, str]:
    """Download objects into a folder, each named by its SHA-256; returns why others are missing.

    `url` is the repository's git URL. The token is sent only to that server; each object has its
    own URL. Only content with the right hash is saved. Raises RetryableError when there is no
    response.
    """
    missing: dict[str, str] = {}
    for at in range(0, len(wanted), _IN_A_BATCH):
        part = wanted[at : at + _IN_A_BATCH]
        found = await _places(github, url, token, part)
        for content in part:
            action = found.get(content.oid)
            if action is None or not is_safe(github, action.href):
                missing[content.oid] = _NOT_GIVEN
            elif why := await _save(github, action, content, folder):
                missing[content.oid] = why
    return missing


async def _places(
    github: GitHubApp, url: str, token: SecretStr, wanted: Sequence[Content]
) -> dict[str, _Action]:
    """The download action of each object, without those that GitHub does not offer."""
    who = base64.b64encode(f"x-access-token:{token.get_secret_value()}".encode()).decode()
    asked = {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [each.model_dump() for each in wanted],
    }
    headers = {"Authorization": f"Basic {who}", "Accept": _MEDIA, "Content-Type": _MEDIA}
    body = msgspec.json.encode(asked)
    failure = RetryableError("GitHub did not return Git LFS download locations.")

    async def attempt() -> dict[str, _Action]:
        try:
            async with _client(github) as client:
                answer = await client.post(
                    f"{url}/info/lfs/objects/batch", content=body, headers=headers
                )
        except httpx.HTTPError:
            raise failure from None
        if _is_transient(answer.status_code):
            raise failure
        return _read(answer)

    return await retry(attempt, retrying.GITHUB_DOWNLOAD, sleep=github.sleep)


def _read(answer: httpx.Response) -> dict[str, _Action]:
    if answer.status_code != httpx.codes.OK:
        return {}
    try:
        batch = msgspec.json.decode(answer.content, type=_Batch)
    except msgspec.DecodeError:
        return {}
    return {
        each.oid: each.actions.download
        for each in batch.objects
        if each.actions is not None and each.actions.download is not None
    }


async def _save(github: GitHubApp, action: _Action, content: Content, folder: Path) -> str:
    """Download one object; returns the reason if it failed, or an empty string."""

    async def attempt() -> str:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as new:
            path = Path(new, content.oid)
            status, digest = await _stream(github, action, content.size, path)
            if status == httpx.codes.OK and digest == content.oid:
                open_for_sandboxes(path)
                path.rename(folder / content.oid)
                return ""
        if status == httpx.codes.OK:
            return "what GitHub gave is something else"
        if status and not _is_transient(status):
            return _NOT_GIVEN
        raise RetryableError("Git LFS files cannot be read now.")

    return await retry(attempt, retrying.GITHUB_DOWNLOAD, sleep=github.sleep)


async def _stream(github: GitHubApp, action: _Action, size: int, path: Path) -> tuple[int, str]:
    """HTTP's status (0 if the response was incomplete) and the SHA-256 of the content."""
    digest, came = hashlib.sha256(), 0
    try:
        async with (
            _client(github) as client,
            client.stream("GET", action.href, headers=_plain(action.header)) as response,
        ):
            async for part in response.aiter_bytes():
                came += len(part)
                if came > size:
                    break
                digest.update(part)
                await asyncio.to_thread(_append, path, part)
            return response.status_code, digest.hexdigest()
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0, ""


def _append(path: Path, part: bytes) -> None:
    with path.open("ab") as file:
        file.write(part)


def _client(github: GitHubApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=github.timeout,
        headers={"User-Agent": f"honk/{__version__}"},
        transport=github.outgoing.transport(),
        trust_env=False,
    )


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that the storage requires, without Host."""
    return {name: value for name, value in headers.items() if name.lower() != "host"}


def _is_transient(status: int) -> bool:
    return status >= 500 or status == _WAITED_OUT
