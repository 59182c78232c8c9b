"""The App and its installations.

https://docs.github.com/en/rest/apps/apps
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

import msgspec
from pydantic import SecretStr

from app.domain.values import RepoName, Value
from app.errors import HonkError
from app.github.client import GitHubApp
from app.github.exchange import ApiRequest

_PER_PAGE = 100


class Installation(Value):
    """An installation of the App.

    `permissions` maps GitHub's names to `read`, `write` or `admin`, as accepted, which may be less
    than the App requests. `events` are its subscribed events, `url` its settings page.
    """

    id: int
    account: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    suspended_at: datetime | None
    url: str


class App(Value):
    """The App's registration.

    `url` is its public page; `permissions` are those it requests. `answered_at` is the response
    time by GitHub's clock, `received_at` by ours (Unix time).
    """

    slug: str
    url: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    answered_at: float | None
    received_at: float


class InstalledRepository(Value):
    """A repository that an installation covers."""

    id: int
    name: RepoName
    default_branch: str
    private: bool
    archived: bool


class _InstallationTokenWire(msgspec.Struct):
    token: str


class _RepositoryNameWire(msgspec.Struct):
    id: int
    full_name: str
    default_branch: str = "main"
    private: bool = True
    archived: bool = False


class _CoveredWire(msgspec.Struct):
    repositories: list[_RepositoryNameWire]


class _AppWire(msgspec.Struct):
    slug: str
    html_url: str = ""
    permissions: dict[str, str] = {}
    events: list[str] = []


class _AccountWire(msgspec.Struct):
    login: str = ""
    slug: str = ""


class _InstallationWire(msgspec.Struct):
    id: int
    permissions: dict[str, str]
    events: list[str]
    account: _AccountWire | None = None
    suspended_at: datetime | None = None
    html_url: str = ""


async def installation(github: GitHubApp, installation_id: int) -> Installation | None:
    """An installation; None if the App was uninstalled.

    https://docs.github.com/en/rest/apps/apps#get-an-installation-for-the-authenticated-app
    """
    answer = await github.send_as_app(
        ApiRequest(
            "GET",
            "/app/installations/{installation_id}",
            path={"installation_id": installation_id},
            repeatable=True,
            accept={404},
        )
    )
    if answer.status == 404:
        return None
    return _installation(answer.read(_InstallationWire))


async def app(github: GitHubApp) -> App:
    """The App itself. Raises UserError if the key is invalid or belongs to another App.

    https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app
    """
    answer = await github.send_as_app(ApiRequest("GET", "/app", repeatable=True))
    wire = answer.read(_AppWire)
    return App(
        slug=wire.slug,
        url=wire.html_url,
        permissions=wire.permissions,
        events=tuple(wire.events),
        answered_at=answer.date,
        received_at=time.time(),
    )


async def covered(github: GitHubApp, installation_id: int) -> AsyncIterator[InstalledRepository]:
    """The repositories that an installation covers.

    Requested with a token for the whole installation that can only read names.
    https://docs.github.com/en/rest/apps/installations#list-repositories-accessible-to-the-app-installation
    """
    minted = await github.send_as_app(
        ApiRequest(
            "POST",
            "/app/installations/{installation_id}/access_tokens",
            path={"installation_id": installation_id},
            body={"permissions": {"metadata": "read"}},
            kind="token",
            repeatable=True,
        )
    )
    token = SecretStr(minted.read(_InstallationTokenWire).token)
    try:
        page: int | None = 1
        while page is not None:
            query: dict[str, str | int] = {"per_page": _PER_PAGE, "page": page}
            request = ApiRequest("GET", "/installation/repositories", query=query, repeatable=True)
            answer = await github.send_with(request, token)
            for wire in answer.read(_CoveredWire).repositories:
                yield InstalledRepository(
                    id=wire.id,
                    name=RepoName.parse(wire.full_name),
                    default_branch=wire.default_branch,
                    private=wire.private,
                    archived=wire.archived,
                )
            page = answer.page("next")
    finally:
        revoke = ApiRequest("DELETE", "/installation/token", kind="token", repeatable=True)
        with contextlib.suppress(HonkError):
            await github.send_with(revoke, token)


async def every(github: GitHubApp) -> AsyncIterator[Installation]:
    """All installations of the App.

    https://docs.github.com/en/rest/apps/apps#list-installations-for-the-authenticated-app
    """
    page: int | None = 1
    while page is not None:
        query: dict[str, str | int] = {"per_page": _PER_PAGE, "page": page}
        answer = await github.send_as_app(
            ApiRequest("GET", "/app/installations", query=query, repeatable=True)
        )
        for wire in answer.read(list[_InstallationWire]):
            yield _installation(wire)
        page = answer.page("next")


def _installation(wire: _InstallationWire) -> Installation:
    # An enterprise has a slug instead of a login.
    account = wire.account or _AccountWire()
    return Installation(
        id=wire.id,
        account=account.login or account.slug,
        permissions=wire.permissions,
        events=tuple(wire.events),
        suspended_at=wire.suspended_at,
        url=wire.html_url,
    )
