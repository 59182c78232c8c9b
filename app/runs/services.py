"""The services that a run's steps use, created once when the worker starts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import structlog

from app import log_events
from app.agent.engines import Engines
from app.domain.dsse import SigningKey
from app.domain.fair_queue import QueuePosition
from app.domain.retention import Retention
from app.domain.run import RunInput, run_id
from app.domain.setup import BlockedHost
from app.domain.setup_plan import Choices, with_choice
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
from app.recipes import Machine
from app.runs.channels import ChatChannel
from app.runs.durable import ReleasableSemaphore
from app.runs.graceful_shutdown import GracefulShutdown
from app.runs.pace import Pace
from app.runs.queue import INTAKE_CONCURRENCY
from app.runs.read_trees import ReadTrees
from app.runs.reconcile import Reconciler
from app.sandbox.bubblewrap import Sandbox
from app.store.acceptances import Acceptances
from app.store.attestations import Attestations
from app.store.builds import BuildStore
from app.store.database import Database
from app.store.flaky_tests import FlakyTests
from app.store.follows import Follows
from app.store.images import Images
from app.store.merges import Merges
from app.store.messages import Messages
from app.store.pending import PendingRequests
from app.store.previews import PreviewStore
from app.store.reports import Reports
from app.store.results import ResultStore
from app.store.runs import Runs
from app.store.writes import Writes

log = structlog.get_logger()

SetupNetwork = Literal["registries", "policy", "none"]
CheckAuthors = Literal["own", "bots", "all"]

# Token permissions of each kind of step; tokens are requested with exactly these.
READ_CODE = {"contents": "read", "metadata": "read"}
READ_RUNS = {"actions": "read", "metadata": "read"}
START_RUNS = {"actions": "write", "metadata": "read"}
READ_PULLS = {"contents": "read", "pull_requests": "read", "metadata": "read"}
READ_SUBJECT = {**READ_PULLS, "issues": "read"}
READ_CHECKS = {**READ_PULLS, "checks": "read", "statuses": "read", "actions": "read"}
WRITE_CODE = {"contents": "write", "metadata": "read"}
WRITE_COMMENTS = {
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "metadata": "read",
}
WRITE_CHECKS = {"checks": "write", "metadata": "read"}
READ_DEPLOYMENTS = {"deployments": "read", "metadata": "read"}
WRITE_DEPLOYMENTS = {"deployments": "write", "metadata": "read"}
READ_REPORT = {**READ_PULLS, "checks": "read"}
REVIEW_CHECK = {**READ_PULLS, "checks": "write"}
WRITE_COMMITS = {"contents": "write", "checks": "write", "metadata": "read"}
MERGE = {
    # Closing issues by keyword needs the right to close them.
    "issues": "write",
    "contents": "write",
    "pull_requests": "write",
    "checks": "read",
    "statuses": "read",
    "metadata": "read",
}
FOLLOW = {
    **WRITE_COMMENTS,
    "checks": "read",
    "statuses": "read",
    "actions": "read",
    "deployments": "read",
}
MERGE_QUEUE = {**MERGE, "merge_queues": "write"}
MERGE_DEPLOYED = {**MERGE, "deployments": "read"}
PUBLISH = {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}


PROPOSALS = 3
"""How many times the agent of a run may try its own choices for setup."""

_EDIT_SECONDS = 60.0
_STOP_SECONDS = 0.3


class StopRequests:
    """Which live runs people asked to stop; this worker's view is at most half a second old."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self._is_any_live = asyncio.Event()

    def of(self, run: RunId) -> asyncio.Event:
        """The event that is set when somebody asks the run to stop."""
        self._is_any_live.set()
        return self._events.setdefault(run, asyncio.Event())

    def forget(self, run: RunId) -> None:
        self._events.pop(run, None)

    async def watch(self, runs: Runs) -> None:
        """Poll for stop requests until cancelled."""
        while True:
            if not self._events:
                self._is_any_live.clear()
                await self._is_any_live.wait()
            await self._poll(runs)
            await asyncio.sleep(_STOP_SECONDS)

    async def _poll(self, runs: Runs) -> None:
        try:
            asked = await runs.to_stop()
        except RetryableError as problem:
            log.warning(log_events.STOP_POLL_FAILED, why=str(problem))
            return
        for run, event in self._events.items():
            if run in asked:
                event.set()


class KeyedLocks:
    """Locks by key, for work that several runs may need at once, such as a base commit's
    results."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def only_one(self, key: str, stop: asyncio.Event) -> AsyncIterator[bool]:
        """Hold the lock for that key within this worker.

        Yields False when `stop` was set first: another run may hold the lock, so leave its work
        alone.
        """
        # Weakly held: the lock lives while someone holds or awaits it, so a late arrival always
        # queues behind current waiters.
        lock = self._locks.setdefault(key, asyncio.Lock())
        if not await _acquire(lock, stop):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


async def _acquire(lock: asyncio.Lock, stop: asyncio.Event) -> bool:
    """Acquire the lock unless `stop` is set first. A cancelled caller does not hold it either."""
    acquiring = asyncio.ensure_future(lock.acquire())
    stopped = asyncio.ensure_future(stop.wait())
    acquired = False
    try:
        await asyncio.wait({acquiring, stopped}, return_when=asyncio.FIRST_COMPLETED)
        acquired = acquiring.done() and not stop.is_set()
        return acquired
    finally:
        stopped.cancel()
        # If it is too late to cancel, the lock was acquired.
        if not acquired and not acquiring.cancel():
            lock.release()


class StatusEdits:
    """When this worker last edited each run's status comment, and which warnings that showed."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._warned: dict[str, frozenset[str]] = {}
        self._seconds: dict[str, float] = {}

    def is_due(self, run: str) -> bool:
        return time.monotonic() - self._last.get(run, -_EDIT_SECONDS) >= _EDIT_SECONDS

    def record_edit(self, run: str, warned: frozenset[str] = frozenset()) -> None:
        """Record an edit that showed these warnings."""
        self._last[run] = time.monotonic()
        self._warned[run] = warned

    def has_new_warning(self, run: str, warned: frozenset[str]) -> bool:
        """Whether there is a warning that the last edit did not show."""
        return not warned <= self._warned.get(run, frozenset())

    def record_work_time(self, run: str, seconds: float) -> None:
        """Record how long the agent has worked so far, in seconds."""
        self._seconds[run] = seconds

    def work_seconds(self, run: str) -> float:
        return self._seconds.get(run, 0.0)

    def forget(self, run: str) -> None:
        for known in (self._last, self._warned, self._seconds):
            known.pop(run, None)


class BlockedHosts:
    """Hosts that each run's setup was blocked from reaching, in this worker."""

    def __init__(self) -> None:
        self._blocked: dict[str, dict[tuple[str, str], int]] = {}

    def note(self, run: str, blocked: Sequence[BlockedHost]) -> None:
        """Record blocked requests. A host's count is the highest of any single setup."""
        known = self._blocked.setdefault(run, {})
        for each in blocked:
            what = (each.host, each.why)
            known[what] = max(known.get(what, 0), each.count)

    def of(self, run: str) -> tuple[BlockedHost, ...]:
        known = self._blocked.get(run, {})
        return tuple(
            BlockedHost(host=host, why=why, count=count) for (host, why), count in known.items()
        )

    def forget(self, run: str) -> None:
        self._blocked.pop(run, None)


class SetupChoices:
    """The choices for each run's setup in addition to its files, as recorded on the run."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Choices, ...]] = {}
        self._proposals: dict[str, int] = {}

    async def load(self, runs: Runs, run: RunId) -> None:
        """Read them before a step that sets up checkouts: another worker may have recorded them."""
        recorded = (await runs.get(run)).setup_choices or {}
        self._known[run] = tuple(Choices.recorded(each) for each in recorded.get("choices", []))
        self._proposals[run] = int(recorded.get("proposals", 0))

    async def propose(self, runs: Runs, run: RunId) -> bool:
        """Count a proposal before it is tried; False when the run has used up its proposals."""
        if self._proposals.get(run, 0) >= PROPOSALS:
            return False
        self._proposals[run] = self._proposals.get(run, 0) + 1
        await self._store(runs, run)
        return True

    async def add(self, runs: Runs, run: RunId, choices: Sequence[Choices]) -> None:
        """Record choices that worked. Each replaces the one for the same folder."""
        for choice in choices:
            self._known[run] = with_choice(self.of(run), choice)
        await self._store(runs, run)

    async def _store(self, runs: Runs, run: RunId) -> None:
        choices = [each.model_dump(mode="json") for each in self.of(run)]
        made = {"choices": choices, "proposals": self._proposals.get(run, 0)}
        await runs.update(run, setup_choices=made)

    def of(self, run: str) -> tuple[Choices, ...]:
        """The run's choices as last loaded."""
        return self._known.get(run, ())

    def forget(self, run: str) -> None:
        self._known.pop(run, None)
        self._proposals.pop(run, None)


@dataclass(frozen=True)
class Services:
    """The worker's services. The operator's settings choose the sandbox and model adapters."""

    database: Database
    runs: Runs
    results: ResultStore
    flaky_tests: FlakyTests
    messages: Messages
    pending: PendingRequests
    writes: Writes
    images: Images
    external_cache: ExternalCache
    reports: Reports
    attestations: Attestations
    signing_key: SigningKey
    acceptances: Acceptances
    previews: PreviewStore
    builds: BuildStore
    merges: Merges
    follows: Follows
    github: GitHubApp
    reconciler: Reconciler
    mirrors: Mirrors
    workspaces: Workspaces
    sandbox: Sandbox
    egress: SetupProxies
    snapshots: SetupSnapshots
    engines: Engines
    model_id: str
    model_id_max: str
    scratch: Path
    local_bundles: Path  # local copies of work that GitHub refuses
    public_url: str = ""  # base URL of the pages without trailing slash; empty when unset
    retention: Retention = field(default_factory=Retention)
    setup_network: SetupNetwork = "registries"  # the operator's HONK_SETUP_NETWORK
    check: CheckAuthors = "own"  # the operator's HONK_CHECK
    intake: Literal["webhook", "log", "poll"] = "webhook"  # the operator's HONK_INTAKE
    usd_per_day: float | None = None  # the operator's limit for all repositories together
    usd_per_day_installation: float | None = None  # and for each installation
    sandbox_kind: str = "none"  # the operator's HONK_SANDBOX
    image: str | None = None  # the operator's image, if sandboxes are containers
    credentials: tuple[str, ...] = field(default=(), repr=False)  # must never be published
    channels: tuple[ChatChannel, ...] = ()  # chats that requests may come from
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    edits: StatusEdits = field(default_factory=StatusEdits)
    stops: StopRequests = field(default_factory=StopRequests)
    intake_semaphore: ReleasableSemaphore = field(
        default_factory=lambda: ReleasableSemaphore(INTAKE_CONCURRENCY)
    )
    queue_positions: dict[RunId, QueuePosition] = field(default_factory=dict)  # as last shown
    blocked_hosts: BlockedHosts = field(default_factory=BlockedHosts)
    setup_choices: SetupChoices = field(default_factory=SetupChoices)
    machines: dict[str, Machine] = field(default_factory=dict)  # what sandboxes have, by image
    read_trees: ReadTrees = field(default_factory=ReadTrees)
    shutdown: GracefulShutdown = field(default_factory=GracefulShutdown)
    pace: Pace = field(default_factory=Pace)
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

    async def checks_client(self, run: RunInput) -> RepositoryClient:
        """A client that writes check runs; one for both these and commits where a run commits."""
        return await self.client(run, WRITE_CHECKS if run.mode == "test" else WRITE_COMMITS)

    async def remote(self, run: RunInput, permissions: Mapping[str, str]) -> Remote:
        """The repository's git remote, by its current name."""
        self.github.know(run.trigger.repository, run.trigger.repository_id)
        installation, repo = run.trigger.installation_id, run.trigger.repository
        token = await self.github.token(installation, repo, permissions)
        return Remote(
            url=self.git_url(self.github.present_name(repo)),
            token=token.get_secret_value(),
            # A new token comes with the repository's new name.
            outdated=lambda: self.github.drop_token(installation, repo, permissions, token),
        )

    async def comment_client(self, trigger: Trigger) -> RepositoryClient:
        """A client for intake and replies; its calls are counted with the trigger's run."""
        return await self.github.repository(
            trigger.installation_id,
            trigger.repository,
            WRITE_COMMENTS,
            observe=self.counting(run_id(trigger.id), trigger.installation_id),
        )

    async def relay(self, request: str, text: str) -> None:
        """Answer where the request with this id came from, if that was not GitHub."""
        for channel in self.channels:
            if channel.takes(request):
                await channel.say(request, text)

    async def may_comment(self) -> bool:
        """Whether the App asks for permission to comment; one that only verifies does not."""
        return await self.github.asks_for(WRITE_COMMENTS)

    async def reading_permissions(self) -> Mapping[str, str]:
        """Permissions to read a subject: those of the answer's token, if the App may answer."""
        return WRITE_COMMENTS if await self.may_comment() else READ_SUBJECT

    def model_named(self, name: str) -> str | None:
        """The model for a name: `max`, `normal` or one of the operator's two model ids; else
        None."""
        known = {"max": self.model_id_max, "normal": self.model_id}
        known |= {model: model for model in (self.model_id, self.model_id_max)}
        return known.get(name.lower())

    async def bot_login(self) -> str:
        """The account of our comments, labels and commits."""
        return f"{await self.github.slug()}[bot]"

    def git_url(self, repo: RepoName) -> str:
        return f"{self.github.server_url}/{repo}.git"

    def counting(self, run: RunId, installation: int) -> Observe:
        """An observer that counts calls to GitHub per run until `save_counts` stores them."""

        def count(call: ApiCall) -> None:
            self._calls.setdefault(run, Counter())[_COLUMNS[call.kind]] += 1
            # Status comment edits were already taken from the write budget before they were made.
            if call.kind == "api" and call.writes:
                self._written[installation] += 1

        return count

    async def save_counts(self, run: RunId) -> None:
        """Add the calls counted since the last time to the run's row, and the writes to their
        budget."""
        counted = self._calls.pop(run, None)
        if counted:
            await self.runs.count_calls(run, counted)
        while self._written:
            installation, number = self._written.popitem()
            await self.writes.spend(installation, number)


_COLUMNS = {"api": "api_calls", "status_edit": "status_edits", "token": "token_requests"}
