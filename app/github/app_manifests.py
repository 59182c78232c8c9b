"""Exchanging the code that GitHub gives for an App's manifest.

https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest

The call has no authentication: anyone who has the code can get the App's private key, once, within
an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx
import msgspec
from pydantic import SecretStr

from app.errors import RetryableError, UserError
from app.github.people import client_of
from app.outgoing import Outgoing

_CODE = re.compile(r"[A-Za-z0-9_-]{8,200}")
_CREATED, _NOT_FOUND = 201, 404


class CodeRefusedError(UserError):
    """GitHub does not know the code: it is wrong, used or expired."""


@dataclass(frozen=True)
class NewApp:
    """GitHub's data about a new App; it sends the secrets only this once.

    `webhook_secret` is None for an App without a webhook. `url` is its public page.
    """

    id: int
    slug: str
    name: str
    owner: str
    url: str
    client_id: str
    client_secret: SecretStr
    private_key: SecretStr
    webhook_secret: SecretStr | None


class _OwnerWire(msgspec.Struct):
    login: str = ""
    slug: str = ""


class _NewAppWire(msgspec.Struct):
    id: int
    slug: str
    name: str
    html_url: str
    client_id: str
    client_secret: str
    pem: str
    webhook_secret: str | None = None
    owner: _OwnerWire | None = None


async def exchange(api_url: str, code: str, outgoing: Outgoing) -> NewApp:
    """The App behind a code. The code is used up when GitHub answers.

    Raises CodeRefusedError, UserError when this is no GitHub API, and RetryableError when GitHub
    does not answer: the code is still good then.
    """
    if not _CODE.fullmatch(code):
        raise CodeRefusedError("That is not a code from GitHub.")
    url = f"{api_url}/app-manifests/{code}/conversions"
    headers = {"Accept": "application/vnd.github+json"}
    try:
        async with client_of(outgoing) as client:
            answer = await client.post(url, headers=headers)
    except httpx.HTTPError as problem:
        raise RetryableError(f"GitHub does not answer ({type(problem).__name__}).") from None
    if answer.status_code == _CREATED:
        return _new_app(answer.content)
    if not is_github(answer):
        raise not_github(api_url)
    if answer.status_code == _NOT_FOUND:
        raise CodeRefusedError(
            "GitHub does not know this code: it is wrong, was used already or is older than an "
            "hour. A very old Enterprise Server cannot create Apps this way at all.",
        )
    if answer.status_code in (403, 429) or answer.status_code >= 500:
        raise RetryableError(f"GitHub answered with {answer.status_code}.")
    raise UserError(f"GitHub refused the code ({answer.status_code}).")


async def check_server(api_url: str, outgoing: Outgoing) -> None:
    """Raises UserError unless a GitHub API answers at this URL."""
    try:
        async with client_of(outgoing) as client:
            answer = await client.get(f"{api_url}/meta")
    except httpx.HTTPError as problem:
        raise UserError(
            f"{api_url} does not answer ({type(problem).__name__}).",
            next_step="Check the address, HTTPS_PROXY and HONK_CA_BUNDLE.",
        ) from None
    if not is_github(answer):
        raise not_github(api_url)


def is_github(answer: httpx.Response) -> bool:
    """Whether an answer comes from a GitHub API."""
    return "x-github-request-id" in answer.headers and "json" in answer.headers.get(
        "content-type", ""
    )


def not_github(api_url: str) -> UserError:
    """The error for a server that is something else."""
    return UserError(
        f"The server at {api_url} is not a GitHub API.",
        next_step="Give the address of github.com or of your Enterprise Server.",
    )


def _new_app(content: bytes) -> NewApp:
    try:
        wire = msgspec.json.decode(content, type=_NewAppWire)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise UserError(
            f"GitHub's answer could not be read ({problem}).",
            next_step="Delete the App on GitHub and create it again.",
        ) from None
    owner = wire.owner or _OwnerWire()
    secret = None if wire.webhook_secret is None else SecretStr(wire.webhook_secret)
    return NewApp(
        id=wire.id,
        slug=wire.slug,
        name=wire.name,
        owner=owner.login or owner.slug,
        url=wire.html_url,
        client_id=wire.client_id,
        client_secret=SecretStr(wire.client_secret),
        private_key=SecretStr(wire.pem),
        webhook_secret=secret,
    )
