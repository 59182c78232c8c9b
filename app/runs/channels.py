"""Where else people read Honk's answers to a request, besides its comments on GitHub."""

from __future__ import annotations

from typing import Protocol


class ChatChannel(Protocol):
    """A chat from which people ask Honk for work.

    A run never waits for one: what is said is stored, and the chat shows it when it can. What a run
    does is not said here; a chat reads that from the database, as the pages do.
    """

    def takes(self, request: str) -> bool:
        """Whether the request with this id came from here."""
        ...

    async def say(self, request: str, text: str) -> None:
        """Keep an answer or refusal, in Markdown, for the person who asked.

        Saying it twice has no further effect. Raises RetryableError when the database is
        unavailable.
        """
        ...
