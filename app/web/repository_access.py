"""Who may see a run: whoever can read its repository on GitHub, asked of GitHub in their name."""

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
"""How long GitHub's answer about a person and a repository is taken for true."""

MOST_KEPT = 20_000
MOST_ASKED = 40
"""Repositories that are asked about for one list."""

Key = tuple[bytes, int]


class RepositoryAccess:
    """Asks, and remembers for a minute. What was not asked is not readable."""

    def __init__(self, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._people = people
        self._clock = clock
        self._known: OrderedDict[Key, tuple[bool, float]] = OrderedDict()

    async def may_read(self, token: str, repository: str, repository_id: int) -> bool:
        """Raises NotSignedInError for an ended token, RetryableError while GitHub is away."""
        key = (_fingerprint(token), repository_id)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock():
            return known[0]
        name = RepoName.parse(repository)
        answer = await self._people.may_read(SecretStr(token), name, repository_id)
        self._known[key] = (answer, self._clock() + KEPT_SECONDS)
        self._known.move_to_end(key)
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return answer

    async def readable(self, token: str, repositories: Iterable[tuple[str, int]]) -> set[int]:
        """The ids of those, among the first MOST_ASKED, that the person can read."""
        wanted = list(dict.fromkeys(repositories))[:MOST_ASKED]
        answers = await asyncio.gather(
            *(self.may_read(token, name, number) for name, number in wanted)
        )
        return {number for (_, number), may in zip(wanted, answers, strict=True) if may}

    def forget(self, token: str) -> None:
        """The person has left: ask anew if the token comes again."""
        mine = _fingerprint(token)
        for key in [key for key in self._known if key[0] == mine]:
            del self._known[key]


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
