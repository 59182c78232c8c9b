"""What Honk knows of Slack: deliveries, links to GitHub accounts, threads, its own messages.

Each method is one transaction. Raises RetryableError when the database is unavailable.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Literal

import sqlalchemy as sa

from app.domain.values import RepoName, Value
from app.store.database import Database, now
from app.store.schema import (
    slack_answers,
    slack_channels,
    slack_codes,
    slack_inbox,
    slack_links,
    slack_posts,
    slack_threads,
)

CODE_SECONDS = 600.0
"""How long a code that links an account may be used."""

KEEP_SECONDS = 86_400.0
"""How long deliveries are remembered. Slack redelivers for some minutes."""

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 8

ItemKind = Literal["request", "click", "notice"]


class InboxItem(Value):
    """A delivery to be handled; `tries` counts earlier attempts."""

    id: str
    kind: ItemKind
    payload: dict[str, Any]
    tries: int
    received_at: float


class SlackLink(Value):
    """A Slack user's GitHub account. `repository` is the person's default, or empty."""

    team: str
    user_id: str
    login: str
    account_id: int
    repository: str
    linked_at: float


class ChannelDefault(Value):
    """A channel's default repository, and who set it on GitHub's side."""

    team: str
    channel: str
    name: str
    repository: str
    login: str
    set_at: float


class SlackThread(Value):
    """A thread in Slack and the issue that records it; `number` is None until that exists."""

    team: str
    channel: str
    thread: str
    user_id: str
    repository: str
    repository_id: int
    installation_id: int
    private: bool
    number: int | None
    subject: str
    pull_subject: str
    live_until: float
    closed_by: str
    created_at: float

    @property
    def repo(self) -> RepoName:
        return RepoName.parse(self.repository)


class SlackPost(Value):
    """One of Honk's messages; `ts` is None while it is not known whether it was posted."""

    key: str
    team: str
    channel: str
    thread: str
    ts: str | None
    digest: str
    posted_at: float


class SlackStore:
    """The tables about Slack."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _insert(self, table: sa.Table, row: dict[str, Any]) -> Any:
        return self._database.insert(table).values(**row).on_conflict_do_nothing()

    # -- the inbox

    async def receive(
        self,
        id: str,
        kind: ItemKind,
        payload: dict[str, Any],
        *,
        thread: tuple[str, str, str] | None = None,
    ) -> Literal["accepted", "known", "ignored"]:
        """Store a delivery once. With `thread` (team, channel, first message), only if Honk takes
        part in that thread or is about to."""
        moment = now()
        row = {
            "id": id,
            "kind": kind,
            "payload": payload,
            "tries": 0,
            "next_at": moment,
            "waits_for": "",
            "received_at": moment,
        }

        def insert(connection: sa.Connection) -> Literal["accepted", "known", "ignored"]:
            if thread is not None and not _takes_part(connection, thread):
                return "ignored"
            insert = self._insert(slack_inbox, row).returning(slack_inbox.c.id)
            return "accepted" if connection.execute(insert).first() is not None else "known"

        return await self._database.run(insert)

    async def due(self, limit: int) -> list[InboxItem]:
        """Deliveries to handle now, oldest first."""
        query = (
            sa.select(slack_inbox)
            .where(slack_inbox.c.next_at <= now(), slack_inbox.c.payload.is_not(None))
            .order_by(slack_inbox.c.received_at)
            .limit(limit)
        )
        rows = await self._rows(query)
        return [_item(row) for row in rows]

    async def item(self, id: str) -> InboxItem | None:
        """A delivery that is not handled yet."""
        query = sa.select(slack_inbox).where(
            slack_inbox.c.id == id, slack_inbox.c.payload.is_not(None)
        )
        rows = await self._rows(query)
        return _item(rows[0]) if rows else None

    async def done(self, id: str) -> None:
        """Forget what a delivery said; that it was received is remembered."""
        await self._change_item(id, payload=None, next_at=None, waits_for="")

    async def try_again(self, id: str, seconds: float) -> None:
        """Handle a delivery again after so many seconds."""
        await self._change_item(id, next_at=now() + seconds, tries=slack_inbox.c.tries + 1)

    async def wait_for(self, id: str, what: str) -> None:
        """Keep a delivery until `resume` or `resume_all`."""
        await self._change_item(id, next_at=None, waits_for=what)

    async def resume(self, id: str, payload: dict[str, Any]) -> bool:
        """Handle a waiting delivery now, with this payload; False if it does not wait."""
        query = (
            sa.update(slack_inbox)
            .where(
                slack_inbox.c.id == id,
                slack_inbox.c.payload.is_not(None),
                slack_inbox.c.next_at.is_(None),
            )
            .values(payload=payload, next_at=now(), waits_for="")
        )
        return await self._database.run(lambda connection: connection.execute(query).rowcount == 1)

    async def resume_all(self, what: str) -> None:
        """Handle all deliveries now that wait for this."""
        query = (
            sa.update(slack_inbox)
            .where(slack_inbox.c.waits_for == what, slack_inbox.c.payload.is_not(None))
            .values(next_at=now(), waits_for="")
        )
        await self._database.run(lambda connection: connection.execute(query))

    async def forget_old(self) -> None:
        """Delete old deliveries, codes and answers."""
        old = now() - KEEP_SECONDS

        def delete(connection: sa.Connection) -> None:
            connection.execute(sa.delete(slack_inbox).where(slack_inbox.c.received_at < old))
            connection.execute(sa.delete(slack_codes).where(slack_codes.c.ends_at < now()))
            connection.execute(sa.delete(slack_answers).where(slack_answers.c.given_at < old))

        await self._database.run(delete)

    async def _change_item(self, id: str, **values: Any) -> None:
        query = sa.update(slack_inbox).where(slack_inbox.c.id == id).values(**values)
        await self._database.run(lambda connection: connection.execute(query))

    # -- links

    async def new_code(self, login: str, account_id: int) -> str:
        """A new code for a GitHub account; its earlier codes end."""
        code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
        row = {
            "digest": _digest(code),
            "login": login,
            "account_id": account_id,
            "ends_at": now() + CODE_SECONDS,
        }

        def replace(connection: sa.Connection) -> None:
            mine = slack_codes.c.account_id == account_id
            connection.execute(sa.delete(slack_codes).where(mine))
            connection.execute(sa.insert(slack_codes).values(**row))

        await self._database.run(replace)
        return f"{code[:4]}-{code[4:]}"

    async def use_code(self, code: str, team: str, user: str) -> SlackLink | None:
        """Link the Slack user who sent this code; None if it is wrong, used or too old."""
        digest = _digest(code)

        def use(connection: sa.Connection) -> dict[str, Any] | None:
            query = sa.select(slack_codes).where(
                slack_codes.c.digest == digest, slack_codes.c.ends_at > now()
            )
            found = connection.execute(query).mappings().first()
            taken = connection.execute(sa.delete(slack_codes).where(slack_codes.c.digest == digest))
            if found is None or taken.rowcount != 1:
                return None
            mine = sa.and_(slack_links.c.team == team, slack_links.c.user_id == user)
            connection.execute(sa.delete(slack_links).where(mine))
            row = {
                "team": team,
                "user_id": user,
                "login": found["login"],
                "account_id": found["account_id"],
                "repository": "",
                "linked_at": now(),
            }
            connection.execute(sa.insert(slack_links).values(**row))
            return row

        row = await self._database.run(use)
        return None if row is None else SlackLink.model_validate(row)

    async def link(self, team: str, user: str) -> SlackLink | None:
        """A Slack user's link."""
        query = sa.select(slack_links).where(
            slack_links.c.team == team, slack_links.c.user_id == user
        )
        rows = await self._rows(query)
        return SlackLink.model_validate(rows[0]) if rows else None

    async def links_of(self, account_id: int) -> list[SlackLink]:
        """The links of a GitHub account."""
        query = sa.select(slack_links).where(slack_links.c.account_id == account_id)
        return [SlackLink.model_validate(row) for row in await self._rows(query)]

    async def unlink(self, team: str, user: str, account_id: int | None = None) -> bool:
        """Remove a link, with `account_id` only one to that account; whether there was one."""
        query = sa.delete(slack_links).where(
            slack_links.c.team == team, slack_links.c.user_id == user
        )
        if account_id is not None:
            query = query.where(slack_links.c.account_id == account_id)
        return await self._database.run(lambda connection: connection.execute(query).rowcount == 1)

    async def unlink_team(self, team: str) -> None:
        """Remove all links of a workspace that uninstalled the app."""
        query = sa.delete(slack_links).where(slack_links.c.team == team)
        await self._database.run(lambda connection: connection.execute(query))

    async def set_default(self, team: str, user: str, account_id: int, repository: str) -> bool:
        """Set a person's default repository, or none; whether the link is theirs."""
        query = (
            sa.update(slack_links)
            .where(
                slack_links.c.team == team,
                slack_links.c.user_id == user,
                slack_links.c.account_id == account_id,
            )
            .values(repository=repository)
        )
        return await self._database.run(lambda connection: connection.execute(query).rowcount == 1)

    # -- channels

    async def set_channel_default(self, default: ChannelDefault) -> None:
        """Set a channel's default repository."""

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(slack_channels).where(_channel(default)))
            connection.execute(sa.insert(slack_channels).values(**default.model_dump()))

        await self._database.run(replace)

    async def channel_default(self, team: str, channel: str) -> str:
        """A channel's default repository, or empty."""
        query = sa.select(slack_channels).where(
            slack_channels.c.team == team, slack_channels.c.channel == channel
        )
        rows = await self._rows(query)
        return str(rows[0]["repository"]) if rows else ""

    async def channel_defaults_by(self, login: str) -> list[ChannelDefault]:
        """The channel defaults that a GitHub account set."""
        query = sa.select(slack_channels).where(slack_channels.c.login == login)
        return [ChannelDefault.model_validate(row) for row in await self._rows(query)]

    async def remove_channel_default(self, team: str, channel: str, login: str) -> None:
        """Remove a channel's default repository, if this account set it."""
        query = sa.delete(slack_channels).where(
            slack_channels.c.team == team,
            slack_channels.c.channel == channel,
            slack_channels.c.login == login,
        )
        await self._database.run(lambda connection: connection.execute(query))

    # -- threads

    async def thread(self, team: str, channel: str, thread: str) -> SlackThread | None:
        """A thread that Honk takes part in."""
        query = sa.select(slack_threads).where(
            slack_threads.c.team == team,
            slack_threads.c.channel == channel,
            slack_threads.c.thread == thread,
        )
        rows = await self._rows(query)
        return SlackThread.model_validate(rows[0]) if rows else None

    async def open_thread(self, thread: SlackThread) -> SlackThread:
        """Store a thread before its issue is created; the stored one if there is one already."""
        row = thread.model_dump()
        await self._database.run(
            lambda connection: connection.execute(self._insert(slack_threads, row))
        )
        found = await self.thread(thread.team, thread.channel, thread.thread)
        assert found is not None
        return found

    async def change_thread(self, thread: SlackThread, **values: Any) -> None:
        """Change columns of a thread."""
        query = (
            sa.update(slack_threads)
            .where(
                slack_threads.c.team == thread.team,
                slack_threads.c.channel == thread.channel,
                slack_threads.c.thread == thread.thread,
            )
            .values(**values)
        )
        await self._database.run(lambda connection: connection.execute(query))

    async def look_at(self, team: str, channel: str, thread: str, seconds: float) -> None:
        """Have a thread looked at from now on, for at least so many seconds."""
        until = now() + seconds
        query = (
            sa.update(slack_threads)
            .where(
                slack_threads.c.team == team,
                slack_threads.c.channel == channel,
                slack_threads.c.thread == thread,
                slack_threads.c.live_until < until,
            )
            .values(live_until=until)
        )
        await self._database.run(lambda connection: connection.execute(query))

    async def live_threads(self) -> list[SlackThread]:
        """Threads that may have something to show."""
        query = sa.select(slack_threads).where(
            slack_threads.c.live_until > now(), slack_threads.c.closed_by == ""
        )
        return [SlackThread.model_validate(row) for row in await self._rows(query)]

    async def threads_about(self, subjects: set[str]) -> list[SlackThread]:
        """Threads about one of these issues and pull requests."""
        query = sa.select(slack_threads).where(
            sa.or_(
                slack_threads.c.subject.in_(subjects), slack_threads.c.pull_subject.in_(subjects)
            ),
            slack_threads.c.closed_by == "",
        )
        return [SlackThread.model_validate(row) for row in await self._rows(query)]

    # -- Honk's messages

    async def begin_post(
        self, key: str, team: str, channel: str, thread: str
    ) -> tuple[SlackPost, bool]:
        """The message with this key, and whether it is new: then posting it was never tried."""
        row = {
            "key": key,
            "team": team,
            "channel": channel,
            "thread": thread,
            "ts": None,
            "digest": "",
            "posted_at": 0.0,
        }

        def begin(connection: sa.Connection) -> tuple[Any, bool]:
            insert = self._insert(slack_posts, row).returning(slack_posts.c.key)
            created = connection.execute(insert).first() is not None
            query = sa.select(slack_posts).where(slack_posts.c.key == key)
            return dict(connection.execute(query).mappings().one()), created

        found, created = await self._database.run(begin)
        return SlackPost.model_validate(found), created

    async def posted(self, key: str, ts: str, digest: str) -> None:
        """Record a message as posted or edited."""
        query = (
            sa.update(slack_posts)
            .where(slack_posts.c.key == key)
            .values(ts=ts, digest=digest, posted_at=now())
        )
        await self._database.run(lambda connection: connection.execute(query))

    async def post(self, key: str) -> SlackPost | None:
        """A message by its key."""
        rows = await self._rows(sa.select(slack_posts).where(slack_posts.c.key == key))
        return SlackPost.model_validate(rows[0]) if rows else None

    # -- answers

    async def answer(self, trigger_id: str, text: str) -> None:
        """Keep an answer to a request until it is shown in Slack."""
        row = {"trigger_id": trigger_id, "text": text, "given_at": now()}
        await self._database.run(
            lambda connection: connection.execute(self._insert(slack_answers, row))
        )

    async def answers(self, prefix: str) -> list[tuple[str, str]]:
        """Answers to the requests whose ids begin so: the trigger's id and the text."""
        query = (
            sa.select(slack_answers.c.trigger_id, slack_answers.c.text)
            .where(slack_answers.c.trigger_id.startswith(prefix, autoescape=True))
            .order_by(slack_answers.c.given_at)
        )
        return [(row["trigger_id"], row["text"]) for row in await self._rows(query)]

    async def answer_shown(self, trigger_id: str) -> None:
        """Forget an answer that was shown."""
        query = sa.delete(slack_answers).where(slack_answers.c.trigger_id == trigger_id)
        await self._database.run(lambda connection: connection.execute(query))

    async def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        return await self._database.run(
            lambda connection: [dict(row) for row in connection.execute(query).mappings()]
        )


def _item(row: dict[str, Any]) -> InboxItem:
    known = {name: row[name] for name in InboxItem.model_fields}
    return InboxItem.model_validate(known)


def _channel(default: ChannelDefault) -> sa.ColumnElement[bool]:
    return sa.and_(
        slack_channels.c.team == default.team, slack_channels.c.channel == default.channel
    )


def _takes_part(connection: sa.Connection, place: tuple[str, str, str]) -> bool:
    team, channel, thread = place
    known = sa.select(slack_threads.c.thread).where(
        slack_threads.c.team == team,
        slack_threads.c.channel == channel,
        slack_threads.c.thread == thread,
    )
    asked = sa.select(slack_inbox.c.id).where(
        slack_inbox.c.id == f"message:{team}:{channel}:{thread}", slack_inbox.c.payload.is_not(None)
    )
    return any(connection.execute(query).first() is not None for query in (known, asked))


def _digest(code: str) -> str:
    plain = "".join(each for each in code.upper() if each.isascii() and each.isalnum())
    return hashlib.sha256(f"honk slack code: {plain}".encode()).hexdigest()
