"""Access to runs: people see the runs of repositories that GitHub lets them read."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from app.domain.values import RepoName
from app.github.people import Access, People

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
        self._known: OrderedDict[Key, tuple[Access, float]] = OrderedDict()

    async def may_read(self, token: str, repository: str, repository_id: int) -> bool:
        """Whether the person may read the repository. Raises as `level`."""
        return await self.level(token, repository, repository_id) >= Access.READ

    async def level(
        self, token: str, repository: str, repository_id: int, *, max_age: float = KEPT_SECONDS
    ) -> Access:
        """What the person may do in the repository, as GitHub said at most `max_age` seconds ago.

        Raises NotSignedInError for an expired token, RetryableError while GitHub is unavailable.
        """
        key = (_fingerprint(token), repository_id)
        known = self._known.get(key)
        if known is not None and self._clock() - known[1] < max_age:
            return known[0]
        name = RepoName.parse(repository)
        answer = await self._people.access(SecretStr(token), name, repository_id)
        self._known[key] = (answer, self._clock())
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
