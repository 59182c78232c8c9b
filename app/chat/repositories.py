"""Repositories that a request from a chat may be about, and what a person may do in them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from app.domain.values import RepoName, Value
from app.errors import UserError
from app.github import installations, repositories
from app.github.client import RepositoryClient
from app.github.installations import InstalledRepository
from app.github.repositories import Permission
from app.messages.slack import OPTIONS
from app.runs.services import Services
from app.store.slack import SlackLink

_LISTED_SECONDS = 60.0
_AT_ONCE = 8


class ChosenRepository(Value):
    """A repository in which the person may ask for work."""

    name: RepoName
    id: int
    installation_id: int
    default_branch: str
    private: bool
    has_issues: bool


@dataclass
class Repositories:
    """Asks GitHub. Raises RetryableError while it is unavailable."""

    services: Services
    _listed: list[tuple[int, InstalledRepository]] = field(default_factory=list)
    _listed_at: float = float("-inf")

    async def writable(self, name: RepoName, link: SlackLink) -> ChosenRepository | None:
        """The repository if Honk is installed there and the person may write to it, else None.

        The answer does not tell a repository that does not exist from one that the person must
        not know about.
        """
        installation = await self.services.github.installation_of(name)
        if installation is None:
            return None
        client = await self.client(installation, name)
        try:
            if not await self.may_write(client, link):
                return None
            info = await repositories.repository(client)
        except UserError:
            return None
        if info.archived or info.disabled:
            return None
        self.services.github.know(name, info.id)
        return ChosenRepository(
            name=RepoName.parse(info.full_name),
            id=info.id,
            installation_id=installation,
            default_branch=info.default_branch,
            private=info.private,
            has_issues=info.has_issues,
        )

    async def may_write(self, client: RepositoryClient, link: SlackLink) -> bool:
        """Whether the person may write there now. Not cached: it is asked at each request."""
        found = await repositories.permission_by_account(client, link.login, link.account_id)
        return found.at_least(Permission.WRITE)

    async def client(self, installation: int, name: RepoName) -> RepositoryClient:
        """A client that reads the repository."""
        permissions = await self.services.reading_permissions()
        return await self.services.github.repository(installation, name, permissions)

    async def choices(self, link: SlackLink) -> list[RepoName]:
        """The repositories that the person may choose from, by name; as many as a menu holds."""
        listed = [each for each in await self._all() if not each[1].archived][: 3 * OPTIONS]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def allowed(installation: int, name: RepoName) -> bool:
            async with gate:
                try:
                    return await self.may_write(await self.client(installation, name), link)
                except UserError:
                    return False

        may = await asyncio.gather(*(allowed(number, each.name) for number, each in listed))
        names = [each.name for (_, each), ok in zip(listed, may, strict=True) if ok]
        return sorted(names, key=lambda name: str(name).lower())[:OPTIONS]

    async def _all(self) -> list[tuple[int, InstalledRepository]]:
        if time.monotonic() - self._listed_at > _LISTED_SECONDS:
            found: list[tuple[int, InstalledRepository]] = []
            async for installation in installations.every(self.services.github):
                if installation.suspended_at is None:
                    github = self.services.github
                    async for each in installations.covered(github, installation.id):
                        found.append((installation.id, each))
            self._listed, self._listed_at = found, time.monotonic()
        return self._listed
