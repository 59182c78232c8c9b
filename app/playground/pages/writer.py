"""Texts as safe HTML, cached, because pages request the same text twice a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from markupsafe import Markup

from app.playground.github.accounts import User
from app.playground.github.git import Git
from app.playground.github.world import Repository, World

from . import markdown

_KEPT = 4096
"""Cached texts; when there are more, the cache is cleared."""
_UNKNOWN_SECONDS = 5.0
"""How long a word counts as not being a commit before git is asked again."""


@dataclass
class Writer:
    """Renders the Markdown of a world; shared by all pages."""

    world: World
    _written: dict[object, Markup] = field(default_factory=dict)
    _commits: dict[tuple[int, str], str] = field(default_factory=dict)
    _unknown: dict[tuple[int, str], float] = field(default_factory=dict)

    async def html(self, repository: Repository, text: str | None, reader: User) -> Markup:
        """A text in a repository, as a reader sees it."""
        if not text or not text.strip():
            return Markup()
        place = await self._place(repository, text, reader)
        sizes = {name: len(numbers) for name, numbers in place.issues.items()}
        key = (repository.id, text, str(sizes), len(place.logins), str(place.commits))
        if key not in self._written:
            if len(self._written) >= _KEPT:
                self._written.clear()
            # nh3's output is safe to use as it is.
            self._written[key] = Markup(markdown.render(text, place))  # noqa: S704
        return self._written[key]

    async def _place(self, repository: Repository, text: str, reader: User) -> markdown.Place:
        visible = [one for one in self.world.repositories.values() if one.allows(reader, "read")]
        people = [user for user in self.world.users.values() if user.type == "User"]
        return markdown.Place(
            url=self.world.url,
            repository=repository.full_name,
            logins=frozenset(user.login.lower() for user in people),
            issues={one.full_name.lower(): frozenset(one.issues) for one in visible},
            commits=await self._known_commits(repository, text),
        )

    async def _known_commits(self, repository: Repository, text: str) -> dict[str, str]:
        found = {}
        for name in sorted(markdown.possible_commits(text)):
            sha = await self._commit(repository.id, repository.git, name)
            if sha:
                found[name] = sha
        return found

    async def _commit(self, repository: int, git: Git, name: str) -> str | None:
        key, now = (repository, name), time.monotonic()
        if key in self._commits:
            return self._commits[key]
        if now < self._unknown.get(key, 0.0):
            return None
        sha = await git.verify(f"{name}^{{commit}}")
        if sha is None:
            self._unknown[key] = now + _UNKNOWN_SECONDS
            return None
        self._commits[key] = sha
        return sha
