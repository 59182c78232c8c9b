"""Access to runs: people see the runs of repositories that GitHub lets them read."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from app.domain.values import RepoName
from app.github.people import People

KEPT_SECONDS = 60.0
"""How long GitHub's answer about a person and a repository is cached."""

MAX_CACHED = 20_000
MOST_ASKED = 40
"""How many repositories one list may ask GitHub about."""

Key = tuple[bytes, int]


class RepositoryAccess:
    """Asks GitHub in the person's name and caches the answers for a minute."""

    def __init__(self, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._people = people
        self._clock = clock
        self._known: OrderedDict[Key, tuple[bool, float]] = OrderedDict()

    async def may_read(self, token: str, repository: str, repository_id: int) -> bool:
        """Raises NotSignedInError for an expired token, RetryableError while GitHub is
        unavailable.
        """
        key = (_fingerprint(token), repository_id)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock():
            return known[0]
        name = RepoName.parse(repository)
        answer = await self._people.may_read(SecretStr(token), name, repository_id)
        self._known[key] = (answer, self._clock() + KEPT_SECONDS)
        self._known.move_to_end(key)
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return answer

    async def readable(self, token: str, repositories: Iterable[tuple[str, int]]) -> set[int]:
        """The ids of the repositories that the person can read, among the first MOST_ASKED."""
        wanted = list(dict.fromkeys(repositories))[:MOST_ASKED]
        answers = await asyncio.gather(
            *(self.may_read(token, name, number) for name, number in wanted)
        )
        return {number for (_, number), may in zip(wanted, answers, strict=True) if may}

    def forget(self, token: str) -> None:
        """Drop cached answers for this token, after its owner signed out."""
        mine = _fingerprint(token)
        for key in [key for key in self._known if key[0] == mine]:
            del self._known[key]


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
