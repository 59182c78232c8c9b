"""Posting and editing Honk's messages in Slack, each once."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass

from app.chat.api import SlackApi, SlackRefusedError
from app.messages.slack import ChatMessage
from app.store.slack import SlackStore

EDIT_SECONDS = 3.0
"""How long a message stays as it is before it is edited again."""

_CANNOT_EDIT = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


@dataclass(frozen=True)
class Poster:
    """Raises RetryableError and SlackRefusedError as the API does; a later call goes on."""

    api: SlackApi
    store: SlackStore

    async def ensure(
        self, key: str, team: str, channel: str, thread: str, message: ChatMessage
    ) -> str:
        """Post the message with this key unless it is there; returns its timestamp.

        After a call of unknown outcome, the message is looked for by the id of its first block.
        """
        post, created = await self.store.begin_post(key, team, channel, thread)
        if post.ts is not None:
            return post.ts
        ts = None if created else await self.api.find(channel, thread, key)
        if ts is None:
            ts = await self.api.post(channel, thread, message)
        await self.store.posted(key, ts, digest(message))
        return ts

    async def show(
        self, key: str, team: str, channel: str, thread: str, message: ChatMessage
    ) -> bool:
        """Post the message, or edit it if it changed and was not edited a moment ago.

        Returns whether it is shown as it should be.
        """
        post = await self.store.post(key)
        if post is None or post.ts is None:
            await self.ensure(key, team, channel, thread, message)
            return True
        if post.digest == digest(message):
            return True
        if time.time() - post.posted_at < EDIT_SECONDS or not self.api.may_update():
            return False
        try:
            await self.api.update(channel, post.ts, message)
        except SlackRefusedError as problem:
            if problem.code not in _CANNOT_EDIT:
                raise
            # A person deleted it: the rest of the thread goes on.
        await self.store.posted(key, post.ts, digest(message))
        return True


def digest(message: ChatMessage) -> str:
    """A digest of what the message shows."""
    whole = json.dumps(message.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
