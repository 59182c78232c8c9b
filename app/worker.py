"""The worker process: runs attempts, and alone holds the App's private key and the model key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from app import gc_tuning, log_events, metrics
from app.agent import engines
from app.agent.engines import Engines
from app.chat.answers import SlackAnswers
from app.domain.command import COMMANDS
from app.domain.fair_queue import ConcurrencyLimits
from app.domain.retention import Retention
from app.domain.trigger import AppIdentity
from app.egress.setup_proxy import SetupProxies
from app.errors import RetryableError, UserError
from app.git.checkout import Workspaces
from app.git.external_cache import ExternalCache
from app.git.mirror import Mirrors
from app.git.setup_snapshots import SetupSnapshots
from app.github.client import GitHubApp
from app.github.exchange import ApiCall
from app.outgoing import Outgoing
from app.private_files import close_home
from app.runs import (
    attestation_key,
    engine,
    queue,
    worker_leases,
    workflow,
)
from app.runs.admission import Admission
from app.runs.after_merge import keep_following
from app.runs.pace import keep_queues_at
from app.runs.pending import keep_retrying
from app.runs.polling import Poller
from app.runs.reaper import keep_reaping
from app.runs.reconcile import POLL_SECONDS, RECONCILE_SECONDS, Reconciler
from app.runs.services import Services
from app.runs.upkeep import clear_workspaces_of_killed, keep_clean
from app.runs.worker_leases import PeerMonitor, WorkerRegistration
from app.sandbox import toolchains
from app.sandbox.bubblewrap import Sandbox
from app.sandbox.build_outputs import BuildOutputs
from app.sandbox.factory import chosen_sandbox, workspace_disks
from app.sandbox.removal import remove_tree
from app.sandbox.workspace_disks import DisksUnavailableError, WorkspaceDisks
from app.settings import Settings
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
from app.store.slack import SlackStore
from app.store.writes import Writes

log = structlog.get_logger()

# Most platforms send SIGKILL thirty seconds after SIGTERM.
_SHUTDOWN_SECONDS = 14.0
_HANDOVER_SECONDS = 5.0
_OPEN_FILES = 65_536
_SWITCH_SECONDS = 0.001
_AUTOGROUP = Path("/proc/self/autogroup")
_NICE_VALUE = "-10"


@dataclass(frozen=True)
class RunningWorker:
    """A running worker."""

    github: GitHubApp
    _registration: WorkerRegistration

    async def ready(self) -> None:
        """Raises HonkError unless the worker may take runs: on Postgres its lease is alive, on
        SQLite the schema is new enough."""
        await asyncio.to_thread(self._registration.check)


@asynccontextmanager
async def running_worker(settings: Settings, database: Database) -> AsyncIterator[RunningWorker]:
    """Migrate the database and process the queues while the context is open.

    Raises UserError when a setting is missing or the sandbox does not work on this machine.
    """
    allow_many_open_files()
    _raise_scheduling_priority()
    # Shorten the GIL switch interval so that database threads cannot delay the event loop.
    sys.setswitchinterval(_SWITCH_SECONDS)
    github = _github(settings)
    agent_engines = _engines(settings, github.outgoing)
    try:
        with database.only_worker(), _reconciler(settings, database, github) as reconciler:
            sandbox = await chosen_sandbox(settings)
            disks = await asyncio.to_thread(_workspace_disks, settings)
            services = _services(
                settings, database, github, reconciler, agent_engines, sandbox, disks
            )
            workflow.register(services)
            await asyncio.to_thread(engine.migrate, database, concurrency=settings.concurrency)
            if disks is not None:
                # What a killed worker left takes much of the disk.
                await clear_workspaces_of_killed(services)
            await services.attestations.publish(services.signing_key.public)
            async with (
                _registered(settings, services) as registration,
                _asking_github(settings, services, reconciler),
            ):
                _warn_without_model(agent_engines)
                log.info(log_events.WORKER_READY, concurrency=settings.concurrency)
                yield RunningWorker(github, registration)
    finally:
        await github.close()
        await agent_engines.aclose()


def _warn_without_model(agent_engines: Engines) -> None:
    """Say which commands cannot work when the model's key is missing."""
    problem = agent_engines.problem(agent_engines.default)
    if problem is not None:
        log.warning(
            log_events.NO_MODEL,
            why=problem.message,
            unavailable=[f"/honk {each.name}" for each in COMMANDS.values() if each.uses_model],
        )


def _workspace_disks(settings: Settings) -> WorkspaceDisks | None:
    try:
        disks = workspace_disks(settings)
    except DisksUnavailableError as why:
        log.info(log_events.WORKSPACE_DISKS_UNAVAILABLE, why=str(why))
        WorkspaceDisks(settings.home_path, settings.workspace_bytes).discard_left()
        return None
    disks.resume()
    return disks


@asynccontextmanager
async def local_services(settings: Settings, home: Path) -> AsyncIterator[Services]:
    """What verifies commits on this machine without a worker, on a database and caches in `home`.

    Without the App's key it still works, as long as nothing is asked of GitHub. Raises UserError
    when the sandbox does not work on this machine.
    """
    outputs = settings.home_path / "outputs"  # what toolchains built serves every start
    alone: dict[str, object] = {"home": home, "database_url": None, "public_url": None}
    # An engine is made with every worker, but no agent works here.
    alone |= {"engine": "anthropic", "anthropic_api_key": SecretStr("none")}
    if not settings.has_app:
        alone |= {"github_app_id": "0", "github_private_key": SecretStr("none")}
    settings = settings.model_copy(update=alone)
    github = _github(settings)
    agents = _engines(settings, github.outgoing)
    database = Database(settings.database)
    try:
        await asyncio.to_thread(database.migrate)
        with _reconciler(settings, database, github) as reconciler:
            sandbox = await chosen_sandbox(settings)
            outputs.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield _services(
                settings, database, github, reconciler, agents, sandbox, None, outputs=outputs
            )
    finally:
        await github.close()
        await agents.aclose()
        database.close()


@asynccontextmanager
async def services_for_once(settings: Settings) -> AsyncIterator[Services]:
    """`local_services` in a folder that is deleted at the end.

    It is among those that a worker's nightly cleanup deletes, should this process be killed.
    """
    close_home(settings.home_path)
    scratch = settings.home_path / "scratch"
    scratch.mkdir(exist_ok=True, mode=0o700)
    home = Path(tempfile.mkdtemp(dir=scratch, prefix="report-alone-"))
    try:
        async with local_services(settings, home) as services:
            yield services
    finally:
        await asyncio.to_thread(remove_tree, home)


def allow_many_open_files() -> None:
    """Raise the limit of open files: each live run needs about six, and the usual default of 1,024
    is meant for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _raise_scheduling_priority() -> None:
    """Raise our autogroup's priority: with autogroups each sandbox session gets as much CPU as we
    do.

    Only root may do this. See sched(7), "The autogroup feature".
    """
    with contextlib.suppress(OSError):
        _AUTOGROUP.write_text(_NICE_VALUE)


@asynccontextmanager
async def _registered(settings: Settings, services: Services) -> AsyncIterator[WorkerRegistration]:
    """Hold the lease and run the engine; at the end hand over unfinished work."""
    database, lease = services.database, settings.lease_seconds
    registered = worker_leases.registered_worker(
        database, slots=settings.concurrency, lease_seconds=lease
    )
    async with registered as registration:
        watch = PeerMonitor(database, registration.executor, lease)
        async with _running_engine(
            settings, services, watch, registration.executor, settings.home_path
        ):
            yield registration
        await _hand_over(database, registration.executor)


def _engines(settings: Settings, outgoing: Outgoing) -> Engines:
    return Engines(settings.engine, lambda name: engines.spec(name).create(settings, outgoing))


def _github(settings: Settings) -> GitHubApp:
    return GitHubApp(
        settings.app_id(),
        settings.private_key(),
        settings.github_api_url,
        settings.github_server_url,
        _count_answer,
        secrets=settings.secrets,
        outgoing=Outgoing.of(settings),
    )


def _count_answer(call: ApiCall) -> None:
    metrics.GITHUB_ANSWERS.labels("none" if call.status is None else str(call.status)).inc()
    metrics.GITHUB_SECONDS.observe(call.seconds)


@contextmanager
def _reconciler(settings: Settings, database: Database, github: GitHubApp) -> Iterator[Reconciler]:
    app = AppIdentity(app_id=int(settings.app_id()), slug=settings.github_app_slug)
    with queue.trigger_queue(database) as triggers:
        yield Reconciler(database, github, triggers, app)


@contextmanager
def _poller(settings: Settings, database: Database, github: GitHubApp) -> Iterator[Poller]:
    app = AppIdentity(app_id=int(settings.app_id()), slug=settings.github_app_slug)
    with queue.trigger_queue(database) as triggers:
        yield Poller(database, github, triggers, app)


@asynccontextmanager
async def _asking_github(
    settings: Settings, services: Services, reconciler: Reconciler
) -> AsyncIterator[None]:
    """Fetch what webhooks do not bring: as HONK_INTAKE says, little or everything."""
    if settings.intake == "poll":
        # An App without a webhook has no log of deliveries.
        with _poller(settings, services.database, services.github) as poller:
            async with _background_tasks(poller.keep_polling()):
                yield
        return
    seconds = POLL_SECONDS if settings.intake == "log" else RECONCILE_SECONDS
    async with _background_tasks(reconciler.keep_reconciling(seconds)):
        yield


@asynccontextmanager
async def _running_engine(
    settings: Settings, services: Services, watch: PeerMonitor, executor: str, home: Path
) -> AsyncIterator[None]:
    """Run the engine and the worker's background tasks; at the end none of them runs any more."""
    async with engine.running(services.database, executor=executor):
        background = _background_tasks(
            keep_reaping(services),
            keep_retrying(services),
            services.stops.watch(services.runs),
            keep_clean(services, home),
            keep_following(services),
            Admission(services).keep_admitting(),
            keep_queues_at(services.pace, queue.poll_at, services.runs.are_any_alive),
            watch.keep_watching(),
            services.github.keep_revoking(),
            metrics.keep_sampling_lag(),
            gc_tuning.keep_collecting(services.shutdown.is_idle),
            services.engines.warm(),
        )
        try:
            async with background, _chat(settings, services):
                yield
        finally:
            await services.shutdown.end(seconds=_SHUTDOWN_SECONDS)


@asynccontextmanager
async def _chat(settings: Settings, services: Services) -> AsyncIterator[None]:
    """Run what Slack needs, where it is on; its libraries are installed only there."""
    if settings.slack == "off":
        yield
        return
    try:
        from app.chat.service import chat_tasks
    except ModuleNotFoundError as missing:
        raise UserError(
            f"HONK_SLACK needs the package {missing.name}.",
            next_step="Install Honk with the extra `slack`.",
        ) from None
    async with (
        chat_tasks(settings, services, services.database) as tasks,
        _background_tasks(*tasks),
    ):
        yield


@asynccontextmanager
async def _background_tasks(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these background tasks while the context is open; a failing one ends the worker."""
    tasks = [asyncio.create_task(part) for part in parts]
    for task in tasks:
        task.add_done_callback(_terminate_on_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _terminate_on_failure(task: asyncio.Task[None]) -> None:
    """Terminate the worker: without one of its tasks it would look healthy and do half its work."""
    if task.cancelled() or task.exception() is None:
        return
    log.critical(log_events.WORKER_PART_FAILED, exc_info=task.exception())
    os.kill(os.getpid(), signal.SIGTERM)


async def _hand_over(database: Database, executor: str) -> None:
    """Put unfinished workflows back in the queue for another worker."""
    try:
        async with asyncio.timeout(_HANDOVER_SECONDS):
            left = await asyncio.to_thread(queue.hand_over, database, executor)
    except (RetryableError, DBAPIError, TimeoutError) as problem:
        log.warning(log_events.HANDOVER_FAILED, why=type(problem).__name__)
    else:
        log.info(log_events.WORKER_ENDED, handed_over=left)


def _services(
    settings: Settings,
    database: Database,
    github: GitHubApp,
    reconciler: Reconciler,
    agent_engines: Engines,
    sandbox: Sandbox,
    disks: WorkspaceDisks | None,
    *,
    outputs: Path | None = None,
) -> Services:
    home = settings.home_path
    limits = ConcurrencyLimits(
        repository=settings.repository_concurrency, installation=settings.installation_concurrency
    )
    outgoing = github.outgoing
    mirrors = Mirrors(home / "mirrors", outgoing=outgoing)
    installed, root = toolchains.installed(), home / "workspaces"
    built = BuildOutputs(outputs or home / "outputs", root, sandbox, installed)
    workspaces = Workspaces(root, mirrors, sandbox, installed, disks, built)
    signing_key, pem = attestation_key.load(settings.attestation_key(), home)
    keys = [each.get_secret_value() for each in (settings.private_key(), pem)]
    return Services(
        database=database,
        runs=Runs(database, limits),
        results=ResultStore(database),
        flaky_tests=FlakyTests(database),
        messages=Messages(database),
        pending=PendingRequests(database),
        writes=Writes(database, settings.writes_per_minute),
        images=Images(database),
        external_cache=ExternalCache(home / "elsewhere", outgoing),
        reports=Reports(database),
        attestations=Attestations(database),
        signing_key=signing_key,
        acceptances=Acceptances(database),
        previews=PreviewStore(database),
        builds=BuildStore(database),
        merges=Merges(database),
        follows=Follows(database),
        github=github,
        reconciler=reconciler,
        mirrors=mirrors,
        workspaces=workspaces,
        sandbox=sandbox,
        egress=SetupProxies(sandbox, settings.egress_networks(), outgoing),
        snapshots=SetupSnapshots(home / "setups", workspaces),
        engines=agent_engines,
        model_id=settings.model,
        model_id_max=settings.model_max,
        scratch=home / "scratch",
        local_bundles=home / "kept",
        public_url=settings.public_url or "",
        retention=_retention(settings),
        setup_network=settings.setup_network,
        check=settings.check,
        intake=settings.intake,
        usd_per_day=settings.max_usd_per_day,
        usd_per_day_installation=settings.max_usd_per_day_installation,
        sandbox_kind=settings.sandbox,
        image=settings.image if settings.sandbox == "container" else None,
        credentials=tuple({*settings.secrets(), *keys}),
        channels=() if settings.slack == "off" else (SlackAnswers(SlackStore(database)),),
    )


def _retention(settings: Settings) -> Retention:
    return Retention(
        attestation_days=settings.attestation_days,
        history_days=settings.history_days,
        cache_days=settings.cache_days,
        cache_bytes=int(settings.cache_gb * 2**30),
    )
