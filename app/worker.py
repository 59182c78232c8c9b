"""The worker process: it alone holds the App's private key and the model key, and does the work."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.agent.model import AnthropicModel
from app.errors import HonkError, UserError
from app.github.client import GitHubApp
from app.runs import engine, workflow
from app.runs.services import Services
from app.settings import Settings
from app.store.database import Database
from app.store.messages import Messages
from app.store.results import ResultStore
from app.store.runs import Runs
from app.workspace.checkout import Workspaces
from app.workspace.mirror import Mirrors
from app.workspace.sandbox import Bubblewrap, Sandbox, Unsandboxed, probe

log = structlog.get_logger()

_SETTLE_SECONDS = 60.0


@asynccontextmanager
async def working(settings: Settings, database: Database) -> AsyncIterator[GitHubApp]:
    """Bring the database up to date and work on the queues while the context is open.

    Raises UserError when a setting is missing or the sandbox cannot be made here.
    """
    github = GitHubApp(
        settings.app_id(),
        settings.private_key(),
        settings.github_api_url,
        settings.github_server_url,
        secrets=settings.secrets,
    )
    model = AnthropicModel(
        settings.model_key().get_secret_value(), base_url=settings.anthropic_base_url
    )
    services = _services(settings, database, github, model, await _sandbox(settings))
    workflow.register(services)
    try:
        with database.only_worker():
            engine.migrate(database, concurrency=settings.concurrency)
            async with engine.running(database, executor=_executor(database)):
                always = [
                    asyncio.create_task(_settle_regularly(services)),
                    asyncio.create_task(services.stops.watch(services.runs)),
                    asyncio.create_task(model.warm()),
                ]
                log.info("the worker is ready", concurrency=settings.concurrency)
                try:
                    yield github
                finally:
                    for task in always:
                        task.cancel()
                    await asyncio.gather(*always, return_exceptions=True)
    finally:
        await github.close()
        await model.aclose()


def _services(
    settings: Settings,
    database: Database,
    github: GitHubApp,
    model: AnthropicModel,
    sandbox: Sandbox,
) -> Services:
    home = settings.home_path
    mirrors = Mirrors(home / "mirrors")
    return Services(
        database=database,
        runs=Runs(database),
        results=ResultStore(database),
        messages=Messages(database),
        github=github,
        mirrors=mirrors,
        workspaces=Workspaces(home / "workspaces", mirrors, sandbox),
        sandbox=sandbox,
        model=model,
        model_id=settings.model,
        model_id_max=settings.model_max,
        scratch=home / "scratch",
    )


async def _sandbox(settings: Settings) -> Sandbox:
    """The sandbox that the operator chose, proved to work here."""
    if settings.sandbox == "none":
        if settings.allow_unsandboxed != "yes":
            raise UserError(
                "HONK_SANDBOX=none runs a repository's code with everything this account may do.",
                next_step="Use bubblewrap, or set HONK_ALLOW_UNSANDBOXED=yes if you are sure.",
            )
        return Unsandboxed()
    found = await probe()
    if not found.ok:
        raise UserError(f"No sandbox can be made here. {found.problem}", next_step=found.next_step)
    return Bubblewrap.create(settings.home_path / "workspaces")


def _executor(database: Database) -> str:
    """On SQLite there is one worker, and it goes on with what its predecessor left."""
    if database.is_sqlite:
        return "local"
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


async def _settle_regularly(services: Services) -> None:
    while True:
        try:
            await workflow.settle(services)
        except HonkError as problem:
            log.warning("settling waits", why=str(problem))
        await asyncio.sleep(_SETTLE_SECONDS)
