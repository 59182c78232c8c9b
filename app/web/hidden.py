"""Answers about what a person may not know to exist: the same whether it exists, and as late."""

from __future__ import annotations

import asyncio
import hashlib
import time

from app.web.repository_access import RepositoryAccess
from app.web.sessions import WebSession

NOT_HERE_SECONDS = 0.25
"""The least time of such an answer."""


class HiddenAnswer:
    """Begins with the request; `wait` before the answer that something is not there."""

    def __init__(self, access: RepositoryAccess, session: WebSession) -> None:
        self._access = access
        self._session = session
        self._at = time.monotonic() + NOT_HERE_SECONDS

    async def ask_in_vain(self, what: str) -> None:
        """Ask GitHub about a repository that does not exist, as it would be asked about one that
        does. Raises as `RepositoryAccess.level`."""
        digest = hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()[:15]
        name = f"{self._session.login}/honk-{digest}"
        await self._access.level(self._session.token, name, -int(digest, 16))

    async def wait(self) -> None:
        """Until the answer may be given."""
        await asyncio.sleep(max(0.0, self._at - time.monotonic()))
