"""Sandboxes: all code from a repository or a model runs in one.

`Bubblewrap` is the real one; `Unsandboxed` has the same interface without isolation. Both start
`inside.py` as the first process and send it requests; they differ in how they start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from app import log_events, metrics, tracing
from app.errors import UserError
from app.sandbox import seccomp
from app.sandbox.bubblewrap_flags import (
    BWRAP,
    HELPER,
    PYTHON,
    bounded,
    bubblewrap_alone,
    bubblewrap_flags,
    data_fd,
    inner_walls,
    staged,
)
from app.sandbox.cgroups import Group, Groups
from app.sandbox.pipes import Bounded, FileSink, OutputReader
from app.sandbox.process import (
    Launch,
    PlainProcess,
    SandboxGoneError,
    SandboxProcess,
    UnfinishedError,
)
from app.sandbox.program import RunningProgram
from app.sandbox.services import SERVICE_SECONDS, in_background, with_services
from app.sandbox.spec import (
    DISK_BYTES,
    HOME,
    PATH,
    WORKSPACE,
    Completed,
    EditResult,
    Mount,
    Program,
    ResourceLimits,
    Sandbox,
    SandboxReport,
    SandboxSession,
    SandboxSpec,
)
from app.sandbox.uid_pool import UidPool, uid_pool_below
from app.sandbox.untrusted_files import NotReadableError, iter_files, read_file
from app.shielded import shielded

__all__ = [
    "Bubblewrap",
    "Completed",
    "EditResult",
    "Mount",
    "ResourceLimits",
    "Sandbox",
    "SandboxReport",
    "SandboxSession",
    "SandboxSpec",
    "Unsandboxed",
    "probe",
]

MakeFlags = Callable[[SandboxSpec, bytes, int], tuple[list[int], list[str]]]
MakeInner = Callable[[SandboxSpec, bytes], dict[str, Any]]

_TRIED: dict[MakeFlags, str] = {}
"""Why the helper cannot finish the setup of sandboxes with these flags; empty if it can."""

log = structlog.get_logger()

_STARTS_PER_CORE = 3
READS_AT_ONCE = 8
"""Requests to a sandbox that are answered together; each may return an image."""
ANSWER_GRACE_SECONDS = 20.0
"""How long the helper may take to reply after the command's own time limit."""


class BaseSandbox(ABC):
    """Common to all kinds: run one command, or a session."""

    isolated: bool
    takes_images = False
    disk_bytes = DISK_BYTES
    """The operator's limit for a workspace, where a sandbox has no other."""

    @functools.cached_property
    def _starting(self) -> asyncio.Semaphore:
        """Limits concurrent starts: with hundreds at once, each would exceed its start timeout."""
        return asyncio.Semaphore(_STARTS_PER_CORE * (os.cpu_count() or 1))

    @abstractmethod
    def _launch(self, spec: SandboxSpec, channel: int, extra: Sequence[int]) -> Launch: ...

    @abstractmethod
    def _workspace(self, spec: SandboxSpec) -> str: ...

    def _check_spec(self, spec: SandboxSpec) -> None:
        if spec.worker_port is not None and not self.isolated:
            raise UserError(
                "The agent engine works only in a sandbox with its own network.",
                next_step="Run the worker with HONK_SANDBOX=bubblewrap or container, or set "
                "HONK_ENGINE=anthropic.",
            )
        if spec.image is not None and not self.takes_images:
            raise UserError(
                "`image` in `.github/honk.yml` requires container sandboxes.",
                next_step="Remove it, or run the worker with HONK_SANDBOX=container.",
            )

    def _kind(self) -> type[SandboxProcess]:
        """The class that holds and kills the process."""
        return SandboxProcess if self.isolated else PlainProcess

    def _config(self, spec: SandboxSpec) -> dict[str, object]:
        return {
            "workspace": self._workspace(spec),
            "environment": {
                "PATH": PATH,
                "HOME": HOME if self.isolated else self._workspace(spec),
                "LANG": "C.UTF-8",
                "USER": "honk",
                "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
                **spec.environment,
            },
            "limits": {"disk_bytes": self.disk_bytes} | _given(spec.limits),
            "isolated": self.isolated,
            "walls": self._inner(spec),
            "written": [self.seen(each) for each in self._disk_mounts(spec)],
            "own_disk": spec.own_disk,
            "worker_port": spec.worker_port,
        }

    def _inner(self, spec: SandboxSpec) -> dict[str, Any] | None:
        """What the helper sets up before anything else runs."""
        return None

    def _disk_mounts(self, spec: SandboxSpec) -> list[Mount]:
        """Writable mounts on this machine's disk, besides the workspace."""
        return [each for each in spec.mounts if each.writable]

    @abstractmethod
    def seen(self, mount: Mount) -> str:
        """See `Sandbox.seen`."""

    async def start(self, spec: SandboxSpec, extra: Sequence[int] = ()) -> SandboxProcess:
        """Start a sandbox that accepts requests. Passes in `extra` descriptors and closes them
        here.
        """

        def launch(channel: int) -> Launch:
            try:
                self._check_spec(spec)
                return self._launch(spec, channel, extra)
            except BaseException:
                _close(extra)
                raise

        try:
            await self._starting.acquire()
        except BaseException:
            _close(extra)
            raise
        try:
            return await self._kind().start(launch, self._config(spec))
        finally:
            self._starting.release()

    async def run(
        self,
        spec: SandboxSpec,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        stdout_to: Path | BinaryIO | None = None,
        stop: asyncio.Event | None = None,
    ) -> Completed:
        """See `Sandbox.run`."""
        began = time.monotonic()
        kept = Bounded(spec.limits.output_bytes)
        file = FileSink(stdout_to, spec.limits.file_bytes) if stdout_to is not None else None
        closing = contextlib.closing(file) if file else contextlib.nullcontext()
        with closing, tracing.span("sandbox run"):
            ended = await self._run(spec, argv, stdin, kept, file, stop)
        if file is not None and file.dropped and ended.killed is None:
            ended = replace(ended, exit_code=None, killed="output")
        return _count_kill(
            replace(
                ended,
                output=kept.value(),
                dropped_bytes=kept.dropped,
                seconds=time.monotonic() - began,
            )
        )

    async def _run(
        self,
        spec: SandboxSpec,
        argv: Sequence[str],
        stdin: bytes,
        kept: Bounded,
        file: FileSink | None,
        stop: asyncio.Event | None,
    ) -> Completed:
        given = data_fd("stdin", stdin)
        pipes = [os.pipe()] if file is None else [os.pipe(), os.pipe()]
        writers = [pipe[1] for pipe in pipes]
        drains = [OutputReader(pipes[-1][0], kept)]
        if file is not None:
            drains.append(OutputReader(pipes[0][0], file))
        try:
            process = await self.start(spec, [given, *writers])
            folders = process.folders()
            try:
                words = with_services(spec.services, spec.environment, argv)
                request = {"op": "run", "argv": words, "fds": [given, writers[0], writers[-1]]}
                ended = await _until(process.ask(request), spec.limits.seconds, stop)
            finally:
                try:
                    await shielded(process.kill())
                    mounts = bounded(spec) if folders else []
                    await asyncio.to_thread(_copy_back, dict(zip(folders, mounts, strict=True)))
                finally:
                    _close(folders)
            return _explain_end(ended, process)
        finally:
            for drain in drains:
                drain.finish()

    @asynccontextmanager
    async def program(self, spec: SandboxSpec, argv: Sequence[str]) -> AsyncIterator[Program]:
        """See `Sandbox.program`."""
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        ours_errors, theirs_errors = os.pipe()
        theirs = (theirs_in, theirs_out, theirs_errors)
        try:
            process = await self.start(spec, theirs)
        except BaseException:
            _close((ours_in, ours_out, ours_errors))
            raise
        words = with_services(spec.services, spec.environment, argv)
        program = RunningProgram(process, ours_in, ours_out, ours_errors)
        try:
            await program.begin({"op": "run", "argv": words, "fds": list(theirs)})
            yield program
        finally:
            await shielded(program.end())

    @asynccontextmanager
    async def session(self, spec: SandboxSpec) -> AsyncIterator[SandboxSession]:
        """See `Sandbox.session`."""
        session = _Session(self, spec)
        try:
            await session.begin()
            yield session
        finally:
            await shielded(session.end())


def _given(limits: ResourceLimits) -> dict[str, object]:
    return {name: value for name, value in asdict(limits).items() if value is not None}


def _explain_end(ended: Completed, process: SandboxProcess) -> Completed:
    """Report "memory" if the cgroup's OOM killer ended the sandbox."""
    gone = ended.killed == "sandbox" and process.ran_out
    return replace(ended, killed="memory") if gone else ended


def _copy_back(folders: Mapping[int, Mount]) -> None:
    """Copy regular files out of an ended sandbox's in-memory folders."""
    for fd, mount in folders.items():
        assert mount.bounds is not None
        room, most = mount.bounds
        inside = Path(f"/proc/self/fd/{fd}")
        for name in iter_files(inside, max_files=most):
            # Skip files whose path is too long here, and those that no longer fit on the disk.
            with contextlib.suppress(OSError, NotReadableError):
                data = read_file(inside, name, room)
                room -= len(data)
                target = mount.source / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)


async def _until(answer: Any, seconds: float, stop: asyncio.Event | None) -> Completed:
    """Wait for the command, its time limit or the caller's stop, whichever comes first."""
    asked = asyncio.ensure_future(answer)
    stopped = asyncio.ensure_future(stop.wait()) if stop is not None else None
    waiting = {asked} if stopped is None else {asked, stopped}
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            header, _ = asked.result()
            return _ended(header.get("exit"), killed=header.get("killed"))
        if stopped is not None and stopped.done():
            return _ended(None, killed="stopped")
        return _ended(None, timed_out=True)
    except SandboxGoneError:
        return _ended(None, killed="sandbox")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _count_kill(done: Completed) -> Completed:
    """Count kills, except those that the caller requested."""
    why = "time" if done.timed_out else done.killed
    if why is not None and why != "stopped":
        metrics.SANDBOX_KILLS.labels(why).inc()
    return done


def _ended(code: int | None, *, killed: str | None = None, timed_out: bool = False) -> Completed:
    return Completed(code, b"", 0, timed_out, killed, 0.0)


class _Session:
    """Restarts its sandbox when that goes away; only the workspace persists."""

    def __init__(self, sandboxes: BaseSandbox, spec: SandboxSpec) -> None:
        self._sandboxes = sandboxes
        self._spec = spec
        self._process: SandboxProcess | None = None
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        self._process = await self._sandboxes.start(self._spec)
        await self._start_services()

    async def _start_services(self) -> None:
        """Start them in the background of the shell; a command notices if one failed."""
        if self._process is not None and self._spec.services:
            line = in_background(self._spec.services, self._spec.environment)
            request = {"op": "bash", "seconds": SERVICE_SECONDS}
            async with asyncio.timeout(SERVICE_SECONDS + ANSWER_GRACE_SECONDS):
                await self._process.ask(request, line.encode())

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def bash(self, command: str, *, seconds: float) -> Completed:
        request = {"op": "bash", "seconds": seconds}
        with tracing.span("sandbox bash"):
            done = await self._ask(request, command.encode("utf-8", "surrogateescape"), seconds)
        if done.timed_out or done.killed is not None:
            # Everything in the sandbox was killed, including services.
            async with self._turn:
                await self._start_services()
        return done

    async def restart_bash(self) -> None:
        await self._ask({"op": "restart"}, b"", 0)
        async with self._turn:
            await self._start_services()

    async def edit_file(self, request: Mapping[str, object]) -> EditResult:
        answer, done = await self._exchange({"op": "edit"}, json.dumps(dict(request)).encode(), 30)
        return _edit_result(answer, done.output)

    async def read_many(self, requests: Sequence[Mapping[str, object]]) -> list[EditResult]:
        results: list[EditResult] = []
        for start in range(0, len(requests), READS_AT_ONCE):
            some = [dict(each) for each in requests[start : start + READS_AT_ONCE]]
            answer, done = await self._exchange({"op": "read"}, json.dumps(some).encode(), 30)
            rest = done.output
            for part in answer.get("parts", [{"exit": 1, "size": len(rest)}] * len(some)):
                results.append(_edit_result(part, rest[: part["size"]]))
                rest = rest[part["size"] :] if "parts" in answer else rest
        return results

    async def background(self, request: Mapping[str, object]) -> Completed:
        return await self._ask({"op": "background"}, json.dumps(dict(request)).encode(), 30)

    async def search(self, pattern: str, path: str) -> Completed:
        return await self._ask({"op": "search"}, json.dumps([pattern, path]).encode(), 30)

    async def _ask(self, header: dict[str, Any], data: bytes, seconds: float) -> Completed:
        return (await self._exchange(header, data, seconds))[1]

    async def _exchange(
        self, header: dict[str, Any], data: bytes, seconds: float
    ) -> tuple[dict[str, Any], Completed]:
        """The answer's header, empty if the sandbox went away, and its text."""
        async with self._turn:
            began = time.monotonic()
            if self._process is None:
                await self.begin()
            assert self._process is not None
            try:
                async with asyncio.timeout(seconds + ANSWER_GRACE_SECONDS):
                    answer, output = await self._process.ask(header, data)
            except (SandboxGoneError, TimeoutError):
                process = self._process
                await shielded(self.end())
                words = b"\n[The sandbox went away and is started again; only the workspace lasts.]"
                gone = _explain_end(_ended(None, killed="sandbox"), process)
                seconds = time.monotonic() - began
                return {}, _count_kill(replace(gone, output=words, seconds=seconds))
            except BaseException:
                # After a partial exchange the channel cannot be reused.
                await shielded(self.end())
                raise
            return answer, _count_kill(
                Completed(
                    exit_code=answer.get("exit"),
                    output=output,
                    dropped_bytes=int(answer.get("dropped", 0)),
                    timed_out=bool(answer.get("timed_out", False)),
                    killed=answer.get("killed"),
                    seconds=time.monotonic() - began,
                )
            )


def _edit_result(answer: Mapping[str, Any], output: bytes) -> EditResult:
    if media := answer.get("media"):
        return EditResult("", is_error=False, media=str(media), data=output)
    return EditResult(output.decode("utf-8", "replace"), is_error=answer.get("exit") != 0)


class Bubblewrap(BaseSandbox):
    """Sandboxes made by bubblewrap (https://github.com/containers/bubblewrap, 0.8 or newer).

    If the worker is root, each workspace has its own unprivileged user id (`claim`), and its
    sandboxes run as that id; otherwise they all run as the worker's user.
    """

    isolated = True

    def __init__(
        self,
        slots: UidPool | None,
        *,
        flags: MakeFlags = bubblewrap_flags,
        filter_program: Callable[[], bytes] = seccomp.program,
        inner: MakeInner | None = inner_walls,
        groups: Groups | None = None,
    ) -> None:
        """`flags` and `filter_program` produce bubblewrap's arguments and the seccomp filter.

        `inner` produces what the helper adds. Without it, or if this machine does not allow it
        (`unfinished` says why), `flags` must be `bubblewrap_alone`.
        """
        self._slots = slots
        self._flags = flags
        self._filter_program = filter_program
        self._make_inner = inner
        self.groups = groups
        self.unfinished = ""

    async def start(self, spec: SandboxSpec, extra: Sequence[int] = ()) -> SandboxProcess:
        """See `BaseSandbox.start`. A process's first start tests what the helper may do here."""
        if self._make_inner is not None:
            if self._flags not in _TRIED:
                _TRIED[self._flags] = await self._try_inner(spec)
            self.unfinished = _TRIED[self._flags]
            if self.unfinished and self._flags is bubblewrap_flags:
                self._make_inner, self._flags = None, bubblewrap_alone
        return await super().start(spec, extra)

    async def _try_inner(self, spec: SandboxSpec) -> str:
        try:
            process = await super().start(spec)
        except UnfinishedError as problem:
            log.warning(log_events.SANDBOX_MOUNTS_UNAVAILABLE, why=str(problem))
            return str(problem)
        await shielded(process.kill())
        return ""

    def _inner(self, spec: SandboxSpec) -> dict[str, Any] | None:
        return self._make_inner and self._make_inner(spec, self._filter_program())

    def _disk_mounts(self, spec: SandboxSpec) -> list[Mount]:
        written = super()._disk_mounts(spec)
        return [each for each in written if self._make_inner is None or not each.bounds]

    @classmethod
    def create(cls, root: Path, groups: Groups | None = None) -> Bubblewrap:
        """`root` is the directory that contains all workspaces, at any depth."""
        return cls(uid_pool_below(root), groups=groups)

    def claim(self, path: Path, *, like: Path | None = None) -> None:
        """See `Sandbox.claim`."""
        if self._slots is not None:
            self._slots.claim(path, like)

    def seen(self, mount: Mount) -> str:
        """See `Sandbox.seen`."""
        return mount.target

    def _workspace(self, spec: SandboxSpec) -> str:
        return WORKSPACE

    def _launch(self, spec: SandboxSpec, channel: int, extra: Sequence[int]) -> Launch:
        uid = self._slots.owner(spec.workspace) if self._slots is not None else None
        filter_program = self._filter_program()
        sources = [spec.workspace, *(mount.source for mount in spec.mounts)]
        stage = staged(sources, uid)
        read_info, write_info = os.pipe()
        files, flags = self._flags(stage.moved(spec), filter_program, write_info)
        args = data_fd("args", b"\0".join(os.fsencode(flag) for flag in flags) + b"\0")
        helper = [PYTHON, "-I", "-S", HELPER, str(channel)]
        return Launch(
            argv=[*stage.prefix, BWRAP, "--args", str(args), "--", *helper],
            environment={},
            uid=None if stage.prefix else uid,
            inherited=[args, write_info, *files, *extra],
            info_fd=read_info,
            group=self._group(spec),
        )

    def _group(self, spec: SandboxSpec) -> Group | None:
        """A cgroup whose memory limit covers processes and in-memory file systems."""
        if self.groups is None:
            return None
        limits = spec.limits
        scratch = 3 * limits.tmp_bytes + sum((each.bounds or (0, 0))[0] for each in bounded(spec))
        try:
            return self.groups.make(limits.memory_bytes + scratch, limits.processes)
        except OSError as problem:
            log.warning(log_events.SANDBOX_WITHOUT_CGROUP, why=str(problem))
            return None


class Unsandboxed(BaseSandbox):
    """The same interface without isolation (`HONK_SANDBOX=none`).

    Only limits, bounded output and the killing of descendants apply. Nothing is mounted; `seen`
    returns a mount's source.
    """

    isolated = False

    def claim(self, path: Path, *, like: Path | None = None) -> None:
        """Does nothing: everything runs as the worker's user."""

    def seen(self, mount: Mount) -> str:
        """See `Sandbox.seen`."""
        return str(mount.source)

    def _workspace(self, spec: SandboxSpec) -> str:
        return str(spec.workspace)

    def _launch(self, spec: SandboxSpec, channel: int, extra: Sequence[int]) -> Launch:
        helper = Path(__file__).with_name("inside.py")
        return Launch(
            argv=[sys.executable, "-I", "-S", str(helper), str(channel)],
            environment={"PATH": PATH},
            uid=None,
            inherited=list(extra),
            info_fd=None,
        )


async def probe() -> SandboxReport:
    """Test whether sandboxes work here by making one."""
    if shutil.which(BWRAP) is None:
        return SandboxReport(
            False, "bubblewrap is not installed.", "Install it: `apt-get install bubblewrap`."
        )
    if not Path(PYTHON).exists():
        return SandboxReport(
            False, f"There is no {PYTHON}.", "Install it: `apt-get install python3`."
        )
    try:
        seccomp.program()
    except (RuntimeError, OSError) as error:
        return SandboxReport(
            False,
            f"The system-call filter cannot be built: {error}.",
            "Install libseccomp: `apt-get install libseccomp2`.",
        )
    return await _try_one()


async def _try_one() -> SandboxReport:
    with tempfile.TemporaryDirectory(prefix="honk-probe-") as folder:
        workspace = Path(folder, "workspace")
        workspace.mkdir()
        sandbox = Bubblewrap.create(Path(folder))
        try:
            sandbox.claim(workspace)
        except UserError as error:
            return SandboxReport(False, error.message, error.next_step)
        try:
            done = await sandbox.run(SandboxSpec(workspace), ["true"])
        except UserError as error:
            return SandboxReport(False, error.message, _how_to_enable())
    if done.ok:
        return SandboxReport(True)
    return SandboxReport(False, f"A first command did not run: {done}.", _how_to_enable())


def _how_to_enable() -> str:
    """How to enable unprivileged user namespaces, based on this machine's settings."""
    if _reads("/proc/sys/user/max_user_namespaces") == "0":
        return "User namespaces are closed: `sysctl -w user.max_user_namespaces=15000`."
    if _reads("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "User namespaces are closed: `sysctl -w kernel.unprivileged_userns_clone=1`."
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor closes user namespaces: give /usr/bin/bwrap a profile with `userns,`, or "
            "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`."
        )
    return (
        "In a container its seccomp profile has to allow user namespaces "
        "(`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`); "
        "bubblewrap has to be 0.8 or newer."
    )


def _reads(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip()
    return ""
