"""Build outputs that are the same for every project, made once per worker and toolchain.

    <root>/<toolchain>-<key>/    the contents of its build cache, owned by the worker

Go compiles its standard library into the cache of each project, which takes longer than most
suites. Honk compiles it once, from the toolchain alone: in a sandbox with an empty workspace and no
network, so that no repository's code takes part. Sandboxes see the result through a read-only
mount, and a checkout's own cache starts with links to its files. So a checkout can add to its cache
but cannot change what another one sees.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from app import log_events
from app.ecosystems import ECOSYSTEMS, ToolchainSpec
from app.errors import UserError
from app.private_files import open_for_sandboxes
from app.sandbox.removal import older, removed
from app.sandbox.spec import Mount, ResourceLimits, Sandbox, SandboxSpec
from app.sandbox.toolchains import CACHES, Toolchain, Toolchains

log = structlog.get_logger()

_LIMITS = ResourceLimits(seconds=900)
_DAY = 24 * 3600.0
_LOOK_SECONDS = 0.5
_KEEP_SECONDS = 7 * _DAY
"""How long outputs of a replaced toolchain stay: a checkout may still hold links to them."""


@dataclass(frozen=True)
class BuildOutput:
    """One toolchain's outputs: where a sandbox sees them, and the checkout's cache folder that
    starts with links to them, relative to the work tree."""

    mount: Mount
    cache: str


class BuildOutputs:
    """All build outputs of one worker. `making` is a folder of workspaces, on the same disk."""

    def __init__(self, root: Path, making: Path, sandbox: Sandbox, toolchains: Toolchains) -> None:
        self._root = root
        self._making = making
        self._sandbox = sandbox
        self._toolchains = toolchains
        self._turn = asyncio.Lock()
        self._failed: set[Path] = set()

    async def needed(self, paths: Iterable[str]) -> tuple[BuildOutput, ...]:
        """The outputs that a tree with these files uses, made now if they are missing.

        Leaves out those that cannot be made, and all of them if sandboxes have no mounts.
        """
        names = {path.rpartition("/")[2] for path in paths}
        wanted = [
            (each, spec)
            for ecosystem in ECOSYSTEMS
            if names.intersection(ecosystem.manifests)
            for spec in ecosystem.toolchains
            if spec.build_outputs is not None
            for each in self._toolchains.found
            if each.name == spec.name
        ]
        return tuple([output for each in wanted if (output := await self._ready(*each))])

    async def _ready(self, toolchain: Toolchain, spec: ToolchainSpec) -> BuildOutput | None:
        assert spec.build_outputs is not None
        variable, script = spec.build_outputs
        key = await asyncio.to_thread(self._key, toolchain, script)
        folder = self._root / f"{toolchain.name}-{key}"
        cache = spec.caches[variable].replace("@", CACHES)
        mount = Mount(folder, f"/opt/honk-{toolchain.name}-outputs")
        if self._sandbox.seen(mount) != mount.target:
            return None  # without a mount, a project could change the files themselves
        async with self._turn:
            if not folder.is_dir() and folder not in self._failed:
                async with self._only_worker():
                    if not folder.is_dir():
                        await self._make(folder, cache, script)
            if not folder.is_dir():
                self._failed.add(folder)
                return None
            await asyncio.to_thread(_keep_young, folder)
        return BuildOutput(mount, cache)

    def _key(self, toolchain: Toolchain, script: str) -> str:
        """What the outputs depend on: the toolchain, its settings, and the script."""
        parts = [
            str(toolchain.home),
            (toolchain.home / toolchain.bin).stat().st_mtime_ns,
            self._toolchains.versions.get(toolchain.name, ""),
            dict(toolchain.set),
            script,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @asynccontextmanager
    async def _only_worker(self) -> AsyncIterator[None]:
        """Wait for other workers with the same home, instead of compiling the same concurrently."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._root / ".lock").open("a") as lock:
            while not _locked(lock):  # noqa: ASYNC110 - a process holds it
                await asyncio.sleep(_LOOK_SECONDS)
            yield

    async def _make(self, target: Path, cache: str, script: str) -> None:
        """Fill an empty cache in a fresh sandbox and keep it at `target`. Failures are logged."""
        began = time.monotonic()
        try:
            self._making.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="toolchain-", dir=self._making))
        except OSError as error:
            log.warning(log_events.BUILD_OUTPUTS_NOT_MADE, name=target.name, why=str(error))
            return
        try:
            workspace = folder / "tree"
            workspace.mkdir(mode=0o700)
            self._sandbox.claim(workspace)
            spec = SandboxSpec(
                workspace,
                mounts=self._toolchains.mounts,
                environment=self._toolchains.environment(self._sandbox, workspace),
                limits=_LIMITS,
            )
            done = await self._sandbox.run(spec, ["/bin/sh", "-c", script])
            if not done.ok:
                why = done.how_it_ended or done.text.strip()[-500:]
                log.warning(log_events.BUILD_OUTPUTS_NOT_MADE, name=target.name, why=why)
                return
            await asyncio.to_thread(_keep, workspace / cache, target)
            seconds = round(time.monotonic() - began, 1)
            log.info(log_events.BUILD_OUTPUTS_MADE, name=target.name, seconds=seconds)
        except (OSError, UserError) as error:
            log.warning(log_events.BUILD_OUTPUTS_NOT_MADE, name=target.name, why=str(error))
        finally:
            await asyncio.to_thread(removed, [folder])


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep(made: Path, target: Path) -> None:
    """Copy plain files to the worker's own folder; rename it into place when it is complete."""
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        for folder in sorted(each for each in made.iterdir() if _is(stat.S_ISDIR, each)):
            own = making / folder.name
            own.mkdir()
            for file in (each for each in folder.iterdir() if _is(stat.S_ISREG, each)):
                shutil.copyfile(file, own / file.name, follow_symlinks=False)
                open_for_sandboxes(own / file.name)
            open_for_sandboxes(own)
        open_for_sandboxes(making)
        making.rename(target)
    except OSError:
        # Another worker made the same folder first.
        if not target.is_dir():
            raise
    finally:
        others = target.parent.glob(f"{target.name.rpartition('-')[0]}-*")
        old = older((each for each in others if each != target), time.time() - _KEEP_SECONDS)
        removed([making, *old])


def _is(kind: Callable[[int], bool], path: Path) -> bool:
    return kind(path.lstat().st_mode)


def _keep_young(folder: Path) -> None:
    """Refresh the times of use, once a day: Go deletes what was not used for five days."""
    if folder.stat().st_mtime > time.time() - _DAY:
        return
    for file in folder.glob("*/*"):
        os.utime(file)
    os.utime(folder)
