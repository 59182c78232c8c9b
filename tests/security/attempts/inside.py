"""A sandbox as the product makes it, each of its parts a field that a control can replace."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.sandbox import seccomp
from app.sandbox.bubblewrap import Bubblewrap as Walls
from app.sandbox.bubblewrap import MakeFlags, MakeInner, Unsandboxed
from app.sandbox.bubblewrap_flags import bubblewrap_alone, bubblewrap_flags, inner_walls
from app.sandbox.spec import (
    Completed,
    Mount,
    ResourceLimits,
    Sandbox,
    SandboxSpec,
)
from app.sandbox.uid_pool import uid_pool_below
from tests.security.harness import Attempt, Needs, Outcome, got, nothing, stopped

THROUGH = "GOT THROUGH"
"""What a script prints when it has what it wanted."""


@dataclass(frozen=True)
class Parts:
    """`walls` False is no sandbox at all: `HONK_SANDBOX=none`."""

    walls: bool = True
    flags: MakeFlags = bubblewrap_flags
    filter_program: Callable[[], bytes] = seccomp.program
    inner: MakeInner | None = inner_walls
    own_users: bool = True
    limits: ResourceLimits = field(default_factory=lambda: ResourceLimits(seconds=20, processes=64))
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def sandbox(self, root: Path) -> Sandbox:
        if not self.walls:
            return Unsandboxed()
        slots = uid_pool_below(root) if self.own_users else None
        return Walls(slots, flags=self.flags, filter_program=self.filter_program, inner=self.inner)

    def without(self, **parts: Any) -> Parts:
        return replace(self, **parts)

    def made(self, folder: Path) -> tuple[Sandbox, SandboxSpec]:
        """A sandbox and what is asked of it, on a new workspace in the folder."""
        sandbox = self.sandbox(folder)
        workspace = folder / "workspace"
        workspace.mkdir()
        sandbox.claim(workspace)
        spec = SandboxSpec(
            workspace, mounts=self.mounts, environment=self.environment, limits=self.limits
        )
        return sandbox, spec


def without_flags(*gone: str) -> MakeFlags:
    """Bubblewrap without some of its flags that take no value."""

    def make(spec: SandboxSpec, program: bytes, info: int) -> tuple[list[int], list[str]]:
        files, flags = bubblewrap_flags(spec, program, info)
        assert set(gone) <= set(flags)
        return files, [flag for flag in flags if flag not in gone]

    return make


def with_flags(*more: str, instead_of: tuple[str, ...] = ()) -> MakeFlags:
    """Bubblewrap with flags first of all, or in the place of others."""

    def make(spec: SandboxSpec, program: bytes, info: int) -> tuple[list[int], list[str]]:
        files, flags = bubblewrap_flags(spec, program, info)
        at = 0
        if instead_of:
            size = len(instead_of)
            at = next(n for n in range(len(flags)) if tuple(flags[n : n + size]) == instead_of)
            del flags[at : at + size]
        return files, [*flags[:at], *more, *flags[at:]]

    return make


def without_pid_namespace(
    spec: SandboxSpec, program: bytes, info: int
) -> tuple[list[int], list[str]]:
    """The processes of the whole machine, as seen without a pid namespace."""
    files, flags = bubblewrap_alone(spec, program, info)
    at = flags.index("--proc")
    flags[at : at + 2] = ["--ro-bind", "/proc", "/proc"]
    return files, [flag for flag in flags if flag not in ("--unshare-pid", "--as-pid-1")]


def inner(**changed: Any) -> MakeInner:
    """What the helper does, with other values."""

    def make(spec: SandboxSpec, program: bytes) -> dict[str, Any]:
        return {**inner_walls(spec, program), **changed}

    return make


@functools.cache
def open_filter() -> bytes:
    """A system-call filter that lets everything through."""
    import pyseccomp

    return seccomp.exported(pyseccomp.SyscallFilter(pyseccomp.ALLOW))


def judged(done: Completed) -> Outcome:
    """The result according to a script's output. A script that did not start proves nothing."""
    assert "honk: cannot run" not in done.text, done.text
    if THROUGH in done.text:
        return got(
            "; ".join(done.text.replace(THROUGH, "").split("\n")).strip("; ") or "as it said"
        )
    if done.killed or done.timed_out:
        return stopped(f"ended: {done.killed or 'time limit'}")
    return stopped(done.text.strip().split("\n")[-1] or f"exit code {done.exit_code}")


def script(
    name: str,
    code: str,
    defense: str,
    null: Parts,
    *,
    parts: Parts | None = None,
    needs: Needs = nothing,
) -> Attempt:
    """A Python script in a sandbox, that says itself whether it got through."""

    async def run(parts: Parts, folder: Path) -> Outcome:
        sandbox, spec = parts.made(folder)
        return judged(await sandbox.run(spec, ["python3", "-c", f"{_HELP}\n{code}"]))

    product = parts or Parts()
    return Attempt(
        name,
        defense,
        functools.partial(run, product),
        functools.partial(run, null),
        needs,
    )


_HELP = f"""
import contextlib, ctypes, errno, os, resource, signal, socket, subprocess, sys, time
def through(*what): print({THROUGH!r}, *what, flush=True)
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[
        ctypes.c_long(word) if isinstance(word, int) else word for word in words])
    if result < 0:
        code = ctypes.get_errno()
        print(errno.errorcode.get(code, code), os.strerror(code))
    return result
sys.excepthook = lambda kind, problem, trace: print(f"{{kind.__name__}}: {{problem}}")
"""
