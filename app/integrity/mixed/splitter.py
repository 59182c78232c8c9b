"""The common interface of all splitters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

MAX_BYTES = 600_000
"""A larger file is not split."""


@dataclass(frozen=True)
class Parts:
    """A file's parts, to compare with those of another version.

    `rest`: the tests, or the runner's configuration. `dependencies`: what only tests need; it
    belongs to the runner, but stays with the source, because a cell installs one manifest as a
    whole. None if it is not separated.
    """

    source: object
    rest: object
    dependencies: object = None


class Splitter(ABC):
    """Splits one kind of file."""

    @abstractmethod
    def parts(self, content: bytes) -> Parts | None:
        """The parts of a file; None if they cannot be separated. Never raises."""

    @abstractmethod
    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        """See `splice`; what this returns is checked."""

    def splice(self, source: bytes, rest: bytes) -> bytes | None:
        """`source` with the other part of `rest` instead of its own.

        An empty `rest` removes the part. None if the result would not be exactly that.
        """
        wanted, given = self.parts(source), self.parts(rest)
        if wanted is None or given is None:
            return None
        made = self._spliced(source, rest)
        found = None if made is None else self.parts(made)
        if found != Parts(wanted.source, given.rest, wanted.dependencies):
            return None
        return made
