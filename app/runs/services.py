"""What the steps of a run work with, made once when the worker starts and handed down."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from app import log_events
from app.agent.model import Model
from app.domain.fair_queue import QueuePosition
from app.domain.retention import Retention
from app.domain.run import RunInput, run_id
from app.domain.setup import BlockedHost
from app.domain.trigger import Trigger
from app.domain.values import RepoName, RunId
from app.egress.setup_proxy import SetupProxies
from app.errors import RetryableError
from app.git.checkout import Workspaces
from app.git.external_cache import ExternalCache
from app.git.mirror import Mirrors, Remote
from app.git.setup_snapshots import SetupSnapshots
from app.github.client import GitHubApp, RepositoryClient
from app.github.exchange import ApiCall, Observe
from app.runs.durable import ReleasableSemaphore
from app.runs.graceful_shutdown import GracefulShutdown
from app.runs.queue import INTAKE_AT_ONCE
from app.runs.reconcile import Reconciler
from app.sandbox.bubblewrap import Sandbox
from app.store.database import Database
from app.store.images import Images
from app.store.messages import Messages
from app.store.pending import PendingRequests
from app.store.reports import Reports
from app.store.results import ResultStore
from app.store.runs import Runs
from app.store.writes import Writes

log = structlog.get_logger()

# What each kind of step may do; a token is asked for with these and no more.
READ_CODE = {"contents": "read", "metadata": "read"}
READ_RUNS = {"actions": "read", "metadata": "read"}
READ_PULLS = {"contents": "read", "pull_requests": "read", "metadata": "read"}
READ_CHECKS = {**READ_PULLS, "checks": "read", "statuses": "read", "actions": "read"}
WRITE_CODE = {"contents": "write", "metadata": "read"}
TALK = {
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "metadata": "read",
}
MARK = {"checks": "write", "metadata": "read"}
SEAL = {"contents": "write", "checks": "write", "metadata": "read"}
PUBLISH = {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}


_EDIT_SECONDS = 60.0
_STOP_SECONDS = 0.3


class StopRequests:
    """Which live runs people asked to stop, as this worker knows it: half a second late at most."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def of(self, run: RunId) -> asyncio.Event:
        """Set as soon as somebody asks the run to stop."""
        return self._events.setdefault(run, asyncio.Event())

    def forget(self, run: RunId) -> None:
        self._events.pop(run, None)

    async def watch(self, runs: Runs) -> None:
        """Look again and again, until cancelled."""
        while True:
            if self._events:
                await self._look(runs)
            await asyncio.sleep(_STOP_SECONDS)

    async def _look(self, runs: Runs) -> None:
        try:
            asked = await runs.to_stop()
        except RetryableError as problem:
            log.warning(log_events.STOP_POLL_FAILED, why=str(problem))
            return
        for run, event in self._events.items():
            if run in asked:
                event.set()


class KeyedLocks:
    """One at a time, of what several runs may want at once, such as one base's results."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def only_one(self, key: str, stop: asyncio.Event) -> AsyncIterator[bool]:
        """Nobody else of this worker is within the context for that key.

        False where `stop` came first: somebody may be, and what is theirs is to be left alone.
        """
        # There for as long as somebody has it or waits for it: whoever waits while it is given
        # back does not have it yet, and who comes next must wait for them.
        lock = self._locks.setdefault(key, asyncio.Lock())
        if not await _won(lock, stop):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


async def _won(lock: asyncio.Lock, stop: asyncio.Event) -> bool:
    """Wait for the lock, unless the stop comes first; who is cancelled does not have it either."""
    winning = asyncio.ensure_future(lock.acquire())
    stopped = asyncio.ensure_future(stop.wait())
    ours = False
    try:
        await asyncio.wait({winning, stopped}, return_when=asyncio.FIRST_COMPLETED)
        ours = winning.done() and not stop.is_set()
        return ours
    finally:
        stopped.cancel()
        # What cannot be called off any more has been won.
        if not ours and not winning.cancel():
            lock.release()


class StatusEdits:
    """When each run's status comment was last edited, and what it told, in this worker."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._warned: dict[str, frozenset[str]] = {}
        self._seconds: dict[str, float] = {}

    def is_due(self, run: str) -> bool:
        return time.monotonic() - self._last.get(run, -_EDIT_SECONDS) >= _EDIT_SECONDS

    def made(self, run: str, warned: frozenset[str] = frozenset()) -> None:
        """It was edited, and these warnings stood in it."""
        self._last[run] = time.monotonic()
        self._warned[run] = warned

    def is_news(self, run: str, warned: frozenset[str]) -> bool:
        """Whether a warning is due that the last edit did not hold."""
        return not warned <= self._warned.get(run, frozenset())

    def worked(self, run: str, seconds: float) -> None:
        """How long the agent has worked until now."""
        self._seconds[run] = seconds

    def seconds(self, run: str) -> float:
        return self._seconds.get(run, 0.0)

    def forget(self, run: str) -> None:
        for known in (self._last, self._warned, self._seconds):
            known.pop(run, None)


class BlockedHosts:
    """What the set-ups of each run were not let through to, in this worker."""

    def __init__(self) -> None:
        self._tried: dict[str, dict[tuple[str, str], int]] = {}

    def note(self, run: str, tried: Sequence[BlockedHost]) -> None:
        """The same place counts as often as the set-up that tried it most."""
        known = self._tried.setdefault(run, {})
        for each in tried:
            what = (each.host, each.why)
            known[what] = max(known.get(what, 0), each.count)

    def of(self, run: str) -> tuple[BlockedHost, ...]:
        known = self._tried.get(run, {})
        return tuple(
            BlockedHost(host=host, why=why, count=count) for (host, why), count in known.items()
        )

    def forget(self, run: str) -> None:
        self._tried.pop(run, None)


@dataclass(frozen=True)
class Services:
    """The worker's parts. The sandbox's and the model's adapters are chosen by the operator."""

    database: Database
    runs: Runs
    results: ResultStore
    messages: Messages
    pending: PendingRequests
    writes: Writes
    images: Images
    supply: ExternalCache
    reports: Reports
    github: GitHubApp
    reconciler: Reconciler
    mirrors: Mirrors
    workspaces: Workspaces
    sandbox: Sandbox
    egress: SetupProxies
    snapshots: SetupSnapshots
    model: Model
    model_id: str
    model_id_max: str
    scratch: Path
    kept: Path  # where work stays that GitHub does not take
    public_url: str = ""  # where people find the pages, without a slash; empty where nowhere
    retention: Retention = field(default_factory=Retention)
    usd_per_day: float | None = None  # the operator's ceiling for all repositories together
    usd_per_day_installation: float | None = None  # and for those of one installation
    credentials: tuple[str, ...] = field(default=(), repr=False)  # never to be found in any work
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    edits: StatusEdits = field(default_factory=StatusEdits)
    stops: StopRequests = field(default_factory=StopRequests)
    hearing: ReleasableSemaphore = field(
        default_factory=lambda: ReleasableSemaphore(INTAKE_AT_ONCE)
    )
    places: dict[RunId, QueuePosition] = field(default_factory=dict)  # in the queue, as last told
    tried: BlockedHosts = field(default_factory=BlockedHosts)
    shift: GracefulShutdown = field(default_factory=GracefulShutdown)
    _calls: dict[RunId, Counter[str]] = field(default_factory=dict)
    _written: Counter[int] = field(default_factory=Counter)

    async def client(self, run: RunInput, permissions: Mapping[str, str]) -> RepositoryClient:
        """A client for the run's repository whose calls are counted with the run."""
        self.github.know(run.trigger.repository, run.trigger.repository_id)
        return await self.github.repository(
            run.trigger.installation_id,
            run.trigger.repository,
            permissions,
            observe=self.counting(run.id, run.trigger.installation_id),
        )

    async def remote(self, run: RunInput, permissions: Mapping[str, str]) -> Remote:
        """The repository as git reaches it, by the name that it has now."""
        self.github.know(run.trigger.repository, run.trigger.repository_id)
        installation, repo = run.trigger.installation_id, run.trigger.repository
        token = await self.github.token(installation, repo, permissions)
        return Remote(
            url=self.git_url(self.github.present_name(repo)),
            token=token.get_secret_value(),
            # The next token is another one, and tells its new name.
            outdated=lambda: self.github.drop_token(installation, repo, permissions, token),
        )

    async def talker(self, trigger: Trigger) -> RepositoryClient:
        """A client for hearing and answering; its calls are counted with the trigger's run."""
        return await self.github.repository(
            trigger.installation_id,
            trigger.repository,
            TALK,
            observe=self.counting(run_id(trigger.id), trigger.installation_id),
        )

    def model_named(self, name: str) -> str | None:
        """The model that a person may name: one of the operator's two, or what it is called."""
        known = {"max": self.model_id_max, "normal": self.model_id}
        known |= {model: model for model in (self.model_id, self.model_id_max)}
        return known.get(name.lower())

    async def bot_login(self) -> str:
        """The account that our comments, labels and commits come from."""
        return f"{await self.github.slug()}[bot]"

    def git_url(self, repo: RepoName) -> str:
        return f"{self.github.server_url}/{repo}.git"

    def counting(self, run: RunId, installation: int) -> Observe:
        """Counts calls to GitHub with the run, until `save_counts` writes them down."""

        def count(call: ApiCall) -> None:
            self._calls.setdefault(run, Counter())[_COLUMNS[call.kind]] += 1
            # Edits of the status comment were taken out of the bucket before they were made.
            if call.kind == "api" and call.writes:
                self._written[installation] += 1

        return count

    async def save_counts(self, run: RunId) -> None:
        """Add the calls counted since last time to the run's row, and writes to their bucket."""
        counted = self._calls.pop(run, None)
        if counted:
            await self.runs.count_calls(run, counted)
        while self._written:
            installation, number = self._written.popitem()
            await self.writes.spend(installation, number)


_COLUMNS = {"api": "api_calls", "status_edit": "status_edits", "token": "token_requests"}
