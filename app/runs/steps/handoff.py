"""Resuming a run on another machine: its work is pushed to GitHub while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from app import log_events
from app.domain.run import RunInput, hidden_ref
from app.domain.values import CommitSha, TreeSha
from app.errors import HonkError, UserError
from app.git.command import GitDeniedError, GitError, GitMissingError
from app.github.refusals import GitHubRefusedError
from app.runs.services import READ_CODE, Services
from app.runs.steps.prepare import work_tree
from app.store.turns import Turns

log = structlog.get_logger()

_FLUSH_SECONDS = 6.0


class BackgroundPusher:
    """Pushes the work after each turn that changed it, in parallel with the agent's next turn.

    It makes one push at a time, always of the newest tree, so pushing never slows the agent down.
    When the repository or the App's access to it is gone, `shut_out` is set and `on_shut_out`
    called.
    """

    def __init__(
        self, push: Callable[[TreeSha], Awaitable[None]], on_shut_out: Callable[[], None]
    ) -> None:
        self._push = push
        self._on_shut_out = on_shut_out
        self.shut_out: UserError | None = None
        self._newest: TreeSha | None = None
        self._sent: TreeSha | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def send(self, tree: TreeSha) -> None:
        """Push this tree soon, unless a newer one replaces it."""
        self._newest = tree
        self._idle.clear()
        self._wake.set()

    async def flush(self) -> None:
        """Wait a few seconds for the newest tree to be pushed."""
        try:
            await asyncio.wait_for(self._idle.wait(), _FLUSH_SECONDS)
        except TimeoutError:
            log.warning(log_events.BACKGROUND_PUSH_PENDING)

    async def work(self) -> None:
        """Push until cancelled. If a push fails, the work stays on this machine."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            tree = self._newest
            assert tree is not None
            if tree != self._sent:
                await self._push_tree(tree)
            if not self._wake.is_set():
                self._idle.set()

    async def _push_tree(self, tree: TreeSha) -> None:
        # A failed push may have arrived anyway, so the remote's state is unknown until one
        # succeeds.
        self._sent = None
        try:
            await self._push(tree)
            self._sent = tree
        except (GitHubRefusedError, GitDeniedError, GitMissingError) as problem:
            log.warning(log_events.REPOSITORY_UNREACHABLE, why=str(problem))
            self.shut_out = problem
            self._on_shut_out()
        except HonkError as problem:
            log.warning(log_events.BACKGROUND_PUSH_REFUSED, why=str(problem))
        except Exception:
            # Any other failure, such as a full disk: try again with the next tree.
            log.exception(log_events.BACKGROUND_PUSH_FAILED)


@asynccontextmanager
async def background_pusher(
    push: Callable[[TreeSha], Awaitable[None]], on_shut_out: Callable[[], None]
) -> AsyncIterator[BackgroundPusher]:
    """Run a pusher while the context is open."""
    pusher = BackgroundPusher(push, on_shut_out)
    task = asyncio.create_task(pusher.work())
    try:
        yield pusher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fetch_work(services: Services, run: RunInput, base: CommitSha) -> None:
    """Ensure that this machine's mirror has the base commit and the recorded work.

    Work that the last machine recorded but did not push is lost: the transcript is rewound to the
    last turn whose work exists.
    """
    await fetch_commits(services, run, base)
    repo = run.trigger.repository
    turns = Turns(services.database, run.id)
    snapshot = await work_tree(services, run)
    if snapshot is None or await _has_tree(services, run, snapshot):
        return
    kept_here = checkpoint_file(services, run)
    if await services.mirrors.unbundle(repo, kept_here) and await _has_tree(
        services, run, snapshot
    ):
        return
    remote = await services.remote(run, READ_CODE)
    kept = await services.mirrors.fetch(repo, remote, hidden_ref(run.id))
    found = await services.mirrors.tree_of(repo, kept or base)
    row = await services.runs.get(run.id)
    lost = 0 if found == snapshot else await turns.rewind_to(found, after=row.start_seq)
    await services.mirrors.pin(repo, f"{run.id}-snapshot", found)
    log.info(log_events.RUN_MOVED_HERE, run=run.id, records_lost=lost)


def checkpoint_file(services: Services, run: RunInput) -> Path:
    """The local file for work that may not, or cannot, leave this machine."""
    return services.local_bundles / f"{run.id}.bundle"


async def fetch_commits(services: Services, run: RunInput, *commits: CommitSha) -> None:
    """Ensure that this machine's mirror has these commits; another machine may have created
    them."""
    repo = run.trigger.repository
    for commit in commits:
        if not await services.mirrors.has_commit(repo, commit):
            await services.mirrors.fetch(repo, await services.remote(run, READ_CODE), commit)


async def _has_tree(services: Services, run: RunInput, tree: str) -> bool:
    try:
        await services.mirrors.tree_of(run.trigger.repository, tree)
    except GitError:
        return False
    return True
