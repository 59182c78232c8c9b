"""Polls GitHub for new labels and comments, with HONK_INTAKE=poll: no webhook, no public address.

Each entry becomes the event that a webhook would carry, and so the same trigger with the same id:
one that also arrives another way counts once. GitHub's lists have labels, closings and comments,
but nothing about pushes, checks and merge queues.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from app import log_events
from app.domain.event import ACTED_ON, EventError
from app.domain.trigger import AppIdentity, Ignored, Signal, Trigger, from_event
from app.errors import HonkError
from app.github import activity, installations, webhooks
from app.github.activity import ActivityList, Entry, RecentActivity
from app.github.client import GitHubApp, RepositoryClient
from app.github.installations import InstalledRepository
from app.runs.queue import TriggerQueue
from app.store.database import Database
from app.store.marks import Marks

log = structlog.get_logger()

POLL_SECONDS = 10.0
"""Seconds between two polls of a repository, unless there are many repositories."""

_CALLS_PER_SECOND = 8.0
"""At most: GitHub allows 900 a minute.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

_LISTS: tuple[ActivityList, ...] = ("events", "comments", "line_comments")
_REPOSITORIES_SECONDS = 60.0
"""How long the list of installed repositories is used; three more for each installation."""
_FIRST_LOOK_SECONDS = 3600.0
"""How far back the first poll of a repository goes."""
_OVERLAP_SECONDS = 120.0
"""How late an entry may appear in GitHub's lists."""
_SEEN = 500
_TIMED_ID = re.compile(r"(.*:)(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\Z", re.DOTALL)
_NEAR_SECONDS = 3
"""A webhook tells when the issue was updated, a list when the label was added."""


@dataclass
class PolledRepository:
    """A repository that is polled: what GitHub last said, and which entries were handled."""

    installation_id: int
    found: InstalledRepository
    etags: dict[ActivityList, str] = field(default_factory=dict)
    seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def mark(self) -> str:
        """The name of its bookmark in the database."""
        return f"polled {self.found.id}"

    def is_new(self, entry: Entry) -> bool:
        """Whether the entry is new since this process started."""
        return str(entry.get("node_id")) not in self.seen

    def remember(self, entry: Entry) -> None:
        """Note that an entry was handled."""
        self.seen[str(entry.get("node_id"))] = None
        while len(self.seen) > _SEEN:
            self.seen.popitem(last=False)


class Poller:
    """Polls all installed repositories; only one worker does so at a time."""

    def __init__(
        self, database: Database, github: GitHubApp, queue: TriggerQueue, app: AppIdentity
    ) -> None:
        self._database = database
        self._marks = Marks(database)
        self._github = github
        self._queue = queue
        self._app = app
        self._polled: dict[int, PolledRepository] = {}
        self._listed_at = float("-inf")

    async def keep_polling(self) -> None:
        """Poll until cancelled, more slowly the more repositories there are."""
        while True:
            try:
                await self.poll()
            except HonkError as problem:
                log.warning(log_events.POLL_FAILED, why=str(problem))
            calls = len(self._polled) * len(_LISTS)
            await asyncio.sleep(max(POLL_SECONDS, calls / _CALLS_PER_SECOND))

    async def poll(self) -> int:
        """Enqueue new entries; return the number of triggers.

        An unreadable repository is skipped until the next poll. Raises RetryableError and
        GitHubRefusedError when the list of repositories is unavailable.
        """
        async with self._database.alone("poll") as ours:
            if not ours:
                return 0
            await self._list_repositories()
            accepted = 0
            for each in list(self._polled.values()):
                try:
                    accepted += await self._look_at(each)
                except HonkError as problem:
                    log.warning(
                        log_events.POLL_FAILED, repository=str(each.found.name), why=str(problem)
                    )
            return accepted

    async def _list_repositories(self) -> None:
        installed = {each.installation_id for each in self._polled.values()}
        if time.monotonic() - self._listed_at < _REPOSITORIES_SECONDS + 3 * len(installed):
            return
        found: dict[int, PolledRepository] = {}
        async for installation in installations.every(self._github):
            if installation.suspended_at is not None:
                continue
            async for each in installations.covered(self._github, installation.id):
                if not each.archived:
                    known = self._polled.get(each.id)
                    found[each.id] = PolledRepository(
                        installation.id,
                        each,
                        known.etags if known else {},
                        known.seen if known else OrderedDict(),
                    )
        self._polled, self._listed_at = found, time.monotonic()

    async def _look_at(self, polled: PolledRepository) -> int:
        """Read all lists of a repository. A failed one is read again at the next poll."""
        client = await self._github.repository(
            polled.installation_id, polled.found.name, activity.READ
        )
        until = await self._marks.at(polled.mark)
        since = (until or time.time() - _FIRST_LOOK_SECONDS) - _OVERLAP_SECONDS
        looks: dict[ActivityList, RecentActivity] = {}
        for name in _LISTS:
            etag = polled.etags.get(name, "")
            looks[name] = await activity.recent(client, name, since=since, etag=etag)
        accepted = 0
        for name, look in looks.items():
            for entry in look.entries:
                if polled.is_new(entry):
                    accepted += await self._take(client, polled, name, entry)
                    polled.remember(entry)
        times = [look.at for look in looks.values() if look.at is not None]
        changed = any(look.entries for look in looks.values())
        if times and (until is None or changed or min(times) - until > _OVERLAP_SECONDS / 2):
            await self._marks.set(polled.mark, min(times))
        polled.etags |= {name: look.etag for name, look in looks.items()}
        return accepted

    async def _take(
        self, client: RepositoryClient, polled: PolledRepository, name: ActivityList, entry: Entry
    ) -> bool:
        """Enqueue the trigger in an entry; return whether there was a new one."""
        try:
            whole = await _event_of(client, name, entry, self._app)
            if whole is None:
                return False
            kind, payload = whole
            found = polled.found
            payload |= {
                "repository": activity.repository_payload(
                    found.id, found.name, found.default_branch, private=found.private
                ),
                "installation": {"id": polled.installation_id},
            }
            body = json.dumps(payload).encode()
            event = webhooks.read(kind, "application/json", body)
            decided = from_event(kind, event, self._app)
        except (EventError, KeyError, TypeError, ValueError) as problem:
            log.warning(log_events.POLLED_ENTRY_UNREADABLE, why=str(problem))
            return False
        if isinstance(decided, Ignored) or await self._arrived_otherwise(decided):
            return False
        if await self._queue.enqueue(decided) == "known":
            return False
        log.info(log_events.POLLED_ENTRY_ACCEPTED, trigger=decided.id)
        return True

    async def _arrived_otherwise(self, decided: Trigger | Signal) -> bool:
        """Whether a webhook delivered it with an id whose time differs by a second or two."""
        timed = _TIMED_ID.match(decided.id)
        if timed is None:
            return False
        at = datetime.fromisoformat(timed[2])
        near = range(-_NEAR_SECONDS, _NEAR_SECONDS + 1)
        ids = [timed[1] + _stamp(at + timedelta(seconds=seconds)) for seconds in near]
        return await self._queue.knows(ids)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _event_of(
    client: RepositoryClient, name: ActivityList, entry: Entry, app: AppIdentity
) -> tuple[str, dict[str, Any]] | None:
    """The event that a webhook would have carried, without the repository; None if Honk ignores it.

    https://docs.github.com/en/rest/using-the-rest-api/issue-event-types
    """
    if name == "events":
        return await _issue_event(client, entry, app)
    number = _number_in(str(entry.get("issue_url" if name == "comments" else "pull_request_url")))
    if number is None or not _may_ask(entry.get("user"), app):
        return None
    payload: dict[str, Any] = {"action": "created", "sender": entry["user"], "comment": entry}
    if name == "comments":
        subject = await activity.issue(client, number)
        kind, part = "issue_comment", "issue"
    else:
        subject = await activity.pull_request(client, number)
        kind, part = "pull_request_review_comment", "pull_request"
    return None if subject is None else (kind, payload | {part: subject})


async def _issue_event(
    client: RepositoryClient, entry: Entry, app: AppIdentity
) -> tuple[str, dict[str, Any]] | None:
    action, issue, actor = entry.get("event"), entry.get("issue"), entry.get("actor")
    if ("issues", action) not in ACTED_ON or not isinstance(issue, dict) or not actor:
        return None
    if action in ("labeled", "unlabeled") and not _may_ask(actor, app):
        return None
    # The issue is as it is now; the id of its trigger holds the time of the event.
    then = {"updated_at": entry["created_at"]}
    payload: dict[str, Any] = {"action": action, "sender": actor}
    payload |= {"label": entry["label"]} if entry.get("label") else {}
    if not issue.get("pull_request"):
        return "issues", payload | {"issue": issue | then}
    pull = await activity.pull_request(client, int(issue["number"]))
    return None if pull is None else ("pull_request", payload | {"pull_request": pull | then})


def _may_ask(account: object, app: AppIdentity) -> bool:
    """Whether a comment may start something; for Honk's own comments, the issue is not even
    requested.
    """
    return isinstance(account, dict) and account.get("login") != app.bot_login


def _number_in(url: str) -> int | None:
    last = url.rpartition("/")[2]
    return int(last) if last.isdecimal() else None
