"""Snapshots of a work tree while an agent changes it, each at the cost of what changed.

They are trees in the mirror, as `packing.pack` makes them, but without a word about what was left
out. Git keeps its index from one to the next, in a folder that the agent's sandboxes do not see.
Its own sandbox stays as long as snapshots follow each other quickly.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from app import log_events
from app.domain.generated import patterns
from app.domain.values import TreeSha
from app.errors import HonkError
from app.git.checkout import Workspace, Workspaces, as_exclude_file, write_readable
from app.git.command import inside_environment
from app.git.pack_scripts import SNAPSHOT
from app.git.packing import (
    LIMITS,
    MADE,
    SAVED_INDEX,
    add_pack,
    demand_packed,
    pack,
    read_tree_name,
    without_forbidden,
)
from app.sandbox.spec import Mount, SandboxSession
from app.sandbox.untrusted_files import NotReadableError, open_file
from app.shielded import shielded

log = structlog.get_logger()

IDLE_SECONDS = 10.0
"""How long a sandbox waits for the next snapshot. It takes 7 MB of memory, a new one 40 ms."""


class Snapshots:
    """The snapshots of one workspace, one at a time."""

    def __init__(
        self, workspace: Workspace, workspaces: Workspaces, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._workspace = workspace
        self._workspaces = workspaces
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._folder: Mount | None = None
        self._folder_exit = AsyncExitStack()
        self._session: SandboxSession | None = None
        self._session_exit = AsyncExitStack()
        self._resting: asyncio.Task[None] | None = None
        self._made = b""
        self._packed = ""
        self._tree: TreeSha | None = None

    async def take(self) -> TreeSha:
        """The work tree as it is now, as a tree in the mirror that the workspace pins.

        What changes during the call may be in it or not. Raises as `pack`.
        """
        async with self._turn:
            try:
                tree = await self._take()
            except (HonkError, NotReadableError) as problem:
                # Whatever it was, the next one begins with nothing of this one.
                log.warning(log_events.SNAPSHOT_STARTED_OVER, why=str(problem))
                await shielded(self._forget())
                tree = (await pack(self._workspace, self._workspaces)).tree
            except BaseException:
                await shielded(self._forget())
                raise
        self._rest()
        return tree

    async def end(self) -> None:
        """End the sandbox and delete what was kept for the next snapshot."""
        if self._resting is not None:
            self._resting.cancel()
        async with self._turn:
            await self._forget()

    async def _take(self) -> TreeSha:
        mirrors, repo = self._workspaces.mirrors, self._workspace.repo
        if await mirrors.gitlinks(repo, self._workspace.base):
            return (await pack(self._workspace, self._workspaces)).tree
        made = await asyncio.to_thread(self._workspace.made.read_bytes)
        if made != self._made:
            await shielded(self._forget())
            self._made = made
        folder = await self._begin()
        await self._run(folder)
        packed = await asyncio.to_thread(read_tree_name, folder.source)
        if packed == self._packed and self._tree is not None:
            return self._tree
        await self._keep(folder.source)
        changes = await mirrors.changes(repo, self._workspace.base, packed, with_sizes=False)
        tree, _ = await without_forbidden(mirrors, repo, packed, changes)
        if not changes:
            # Git writes old trees with zero-padded modes differently; that is not a change.
            tree = await mirrors.tree_of(repo, self._workspace.base)
        await mirrors.pin(repo, self._workspace.pin("tree"), tree)
        self._packed, self._tree = packed, tree
        return tree

    async def _begin(self) -> Mount:
        """The folder that git works in."""
        if self._folder is None:
            workspaces, workspace = self._workspaces, self._workspace
            scratch = workspaces.scratch(workspace)
            self._folder = await self._folder_exit.enter_async_context(scratch)
            files = await workspaces.mirrors.files(workspace.repo, workspace.base)
            generated = as_exclude_file(patterns(files))
            write_readable(self._folder.source / "generated", generated)
        return self._folder

    async def _run(self, folder: Mount) -> None:
        workspaces, workspace = self._workspaces, self._workspace
        saved, made = Mount(workspace.index, SAVED_INDEX), Mount(workspace.made, MADE)
        if self._session is None:
            spec = workspaces.spec(
                workspace,
                limits=LIMITS,
                writable=False,
                environment=inside_environment(),
                mounts=(folder, saved, made),
            )
            session = workspaces.sandbox.session(spec)
            self._session = await self._session_exit.enter_async_context(session)
        words = [workspace.base, workspaces.objects_inside(workspace)]
        words += [workspaces.sandbox.seen(each) for each in (folder, saved, made)]
        script = f"(set -- {shlex.join(words)}\n{SNAPSHOT})"
        demand_packed(await self._session.bash(script, seconds=LIMITS.seconds))

    async def _keep(self, folder: Path) -> None:
        """Put the new objects into the mirror; there may be none."""
        if await asyncio.to_thread(_has_objects, folder):
            await add_pack(self._workspaces.mirrors, self._workspace.repo, folder)

    def _rest(self) -> None:
        """End the sandbox if the next snapshot is long in coming."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.create_task(self._end_when_idle())

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        async with self._turn:
            await shielded(self._end_session())

    async def _end_session(self) -> None:
        self._session = None
        await self._session_exit.aclose()

    async def _forget(self) -> None:
        await self._end_session()
        self._folder, self._tree = None, None
        await self._folder_exit.aclose()


def _has_objects(folder: Path) -> bool:
    with open_file(folder, "pack") as file:
        return os.fstat(file.fileno()).st_size > 0


@asynccontextmanager
async def snapshots_of(workspace: Workspace, workspaces: Workspaces) -> AsyncIterator[Snapshots]:
    """Snapshots of a workspace; nothing of them but the trees remains when the context ends."""
    snapshots = Snapshots(workspace, workspaces)
    try:
        yield snapshots
    finally:
        await shielded(snapshots.end())
