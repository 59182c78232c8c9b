"""What the App was given where it is installed.

https://docs.github.com/en/rest/apps/apps
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from app.domain.values import Value
from app.github.client import GitHubApp
from app.github.exchange import Request


class Installation(Value):
    """An installation. `permissions` are GitHub's names with `read`, `write` or `admin`, as they
    were accepted, which may be less than the App asks for; `events` are those that are sent, `url`
    the page where all of it is shown and changed.
    """

    id: int
    account: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    suspended_at: datetime | None
    url: str


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
    """What was accepted for this installation; None when the App was uninstalled there.

    https://docs.github.com/en/rest/apps/apps#get-an-installation-for-the-authenticated-app
    """
    answer = await github.send_as_app(
        Request(
            "GET",
            "/app/installations/{installation_id}",
            path={"installation_id": installation_id},
            repeatable=True,
            accept={404},
        )
    )
    if answer.status == 404:
        return None
    wire = answer.read(_InstallationWire)
    # An enterprise has no login but a slug.
    account = wire.account or _AccountWire()
    return Installation(
        id=wire.id,
        account=account.login or account.slug,
        permissions=wire.permissions,
        events=tuple(wire.events),
        suspended_at=wire.suspended_at,
        url=wire.html_url,
    )
