"""Test every security property of the sandbox on this machine, for `honk doctor`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import UserError
from app.sandbox.spec import (
    MIB,
    Completed,
    ResourceLimits,
    Sandbox,
    SandboxSpec,
)
from app.sandbox.untrusted_files import NotReadableError, read_file

_SECONDS = 30.0
_AFTER_ITS_END_SECONDS = 0.7
_OURS = frozenset({"PATH", "HOME", "LANG", "USER", "TMPDIR", "PWD", "SHLVL", "_", "LC_CTYPE"})
"""Environment variables that a sandbox sets itself."""

_TRIED = {
    "user": "it is unprivileged: not root, no capabilities, no way to gain them",
    "files": "it cannot see this machine's files",
    "places": "it can write only to its workspace and scratch space",
    "processes": "it cannot see this machine's processes",
    "environment": "it does not get the worker's environment",
    "network": "it has no network, not even this machine's loopback",
    "calls": "dangerous system calls are refused",
}


@dataclass(frozen=True)
class SandboxProperty:
    """One promise, whether it held, and what happened if it did not.

    `holds` is None if it does not apply on this machine; `told` then says why.
    """

    promise: str
    holds: bool | None
    told: str = ""


async def prove(sandbox: Sandbox) -> list[SandboxProperty]:
    """Test everything. If no sandbox can be made, return one failed property."""
    with tempfile.TemporaryDirectory(prefix="honk-doctor-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        try:
            return [*await _reach(sandbox, root), *await _bounds(sandbox, root)]
        except UserError as problem:
            return [SandboxProperty("a sandbox can be created", False, problem.message)]


async def _reach(sandbox: Sandbox, root: Path) -> list[SandboxProperty]:
    spec = _spec(sandbox, root, "reach")
    secret = root / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    code = Path(__file__).with_name("probes.py").read_text()
    with _surroundings() as given:
        given |= {"secret": str(secret), "names": sorted(set(os.environ) - _OURS)}
        stdin = json.dumps(given).encode()
        done = await sandbox.run(spec, ["/usr/bin/python3", "-I", "-c", code], stdin=stdin)
    answers = _answer(done)
    return [
        SandboxProperty(promise, not answers.get(name, "no answer"), answers.get(name, "no answer"))
        for name, promise in _TRIED.items()
    ] + [_own_users(sandbox, root, spec), _reading(spec.workspace)]


def _answer(done: Completed) -> dict[str, str]:
    try:
        return dict(json.loads(done.text.strip().split("\n")[-1]))
    except ValueError:
        words = done.text.strip()[-200:] or f"exit code {done.exit_code}"
        return dict.fromkeys(_TRIED, words)


@contextlib.contextmanager
def _surroundings() -> Iterator[dict[str, object]]:
    """Targets to reach on this machine: a port, an abstract socket, a process."""
    word = f"honk-doctor-{secrets.token_hex(8)}"
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen([word, "60"], executable="/bin/sleep", env={}) as process,
    ):
        try:
            abstract.bind(f"\0{word}")
            abstract.listen()
            yield {"port": port.getsockname()[1], "name": word, "word": word}
        finally:
            process.kill()


def _own_users(sandbox: Sandbox, root: Path, spec: SandboxSpec) -> SandboxProperty:
    promise = "each workspace has its own user"
    if os.geteuid() != 0:
        return SandboxProperty(
            promise, None, "only a worker that runs as root can use several users"
        )
    other = _spec(sandbox, root, "other")
    users = {0, spec.workspace.stat().st_uid, other.workspace.stat().st_uid}
    return SandboxProperty(promise, len(users) == 3, "two workspaces share a user, or it is root")


def _reading(workspace: Path) -> SandboxProperty:
    promise = "its files are read without following links"
    (workspace / "link").symlink_to("/etc/hostname")
    try:
        read_file(workspace, "link", 1000)
    except NotReadableError:
        return SandboxProperty(promise, True)
    return SandboxProperty(promise, False, "a link was followed")


@dataclass(frozen=True)
class _LimitCheck:
    promise: str
    script: str
    limits: ResourceLimits
    holds_if: str
    """The expected outcome: a limit (`memory`, `processes`, `time`) or a part of the output."""


_BOUNDS = (
    _LimitCheck(
        "memory is limited",
        "for i in 1 2 3; do "
        "python3 -c 'import time; x = b\"1\" * (60 << 20); time.sleep(5)' & done; wait",
        ResourceLimits(seconds=_SECONDS, memory_bytes=100 * MIB),
        "memory",
    ),
    _LimitCheck(
        "the number of processes is limited",
        "for i in $(seq 60); do sleep 5 & done; wait",
        ResourceLimits(seconds=_SECONDS, processes=30),
        "processes",
    ),
    _LimitCheck(
        "the workspace's size is limited",
        # As with memory, a busy machine has some seconds to notice.
        "for i in $(seq 40); do head -c 1000000 /dev/urandom > f$i; sleep 0.05; done;"
        " sleep 5; echo REACHED",
        ResourceLimits(seconds=_SECONDS, disk_bytes=8 * MIB),
        "disk",
    ),
    _LimitCheck("time is limited", "trap '' TERM; sleep 5", ResourceLimits(seconds=0.5), "time"),
    _LimitCheck(
        "file sizes and scratch space are limited",
        "head -c 4000000 /dev/zero > big; head -c 4000000 /dev/zero > /tmp/big;"
        " [ $(stat -c %s big) -le 2000000 ] && [ $(stat -c %s /tmp/big) -le 2000000 ] && echo KEPT",
        ResourceLimits(seconds=_SECONDS, file_bytes=2_000_000, tmp_bytes=1 << 20),
        "KEPT",
    ),
)


async def _bounds(sandbox: Sandbox, root: Path) -> list[SandboxProperty]:
    spec = _spec(sandbox, root, "bounds")
    found = []
    for bound in _BOUNDS:
        done = await sandbox.run(
            replace(spec, limits=bound.limits), ["/bin/bash", "-c", bound.script]
        )
        ending = "time" if done.timed_out else done.killed or done.text
        found.append(SandboxProperty(bound.promise, bound.holds_if in ending, _last(done)))
    return [
        *found,
        await _numbers(sandbox, spec),
        await _output(sandbox, spec),
        await _end(sandbox, spec),
        _memory(sandbox),
    ]


async def _numbers(sandbox: Sandbox, spec: SandboxSpec) -> SandboxProperty:
    promise = "the numbers of scratch files and terminals are limited"
    code = (
        "import os\nfiles = terminals = 0\n"
        "try:\n  while files < 500: open(f'/tmp/{files}', 'w').close(); files += 1\n"
        "except OSError: pass\n"
        "try:\n  while terminals < 200: os.openpty(); terminals += 1\n"
        "except OSError: pass\n"
        "print(files, terminals)"
    )
    few = replace(spec, limits=ResourceLimits(seconds=_SECONDS, tmp_files=200, open_files=1000))
    done = await sandbox.run(few, ["/usr/bin/python3", "-I", "-c", code])
    files, _, terminals = done.text.strip().rpartition(" ")
    kept = files.isdigit() and int(files) <= 200 and int(terminals) < 200
    why = getattr(sandbox, "unfinished", "") or "another kind of sandbox"
    text = f"the helper may not mount on this machine ({why}): docs/operations.md, Bounds"
    return SandboxProperty(promise, True if kept else None, text)


def _memory(sandbox: Sandbox) -> SandboxProperty:
    """How memory is limited here, and where to find a better option."""
    grouped = getattr(sandbox, "groups", None) is not None
    text = "memory is only monitored; for kernel limits, see docs/operations.md, Bounds"
    return SandboxProperty("memory is limited by the kernel", grouped or None, text)


async def _output(sandbox: Sandbox, spec: SandboxSpec) -> SandboxProperty:
    small = replace(spec, limits=ResourceLimits(seconds=_SECONDS, output_bytes=10_000))
    done = await sandbox.run(small, ["/bin/bash", "-c", "yes | head -c 1000000"])
    kept = len(done.output)
    return SandboxProperty("output is limited", kept < 20_000, f"{kept:,} bytes were kept")


async def _end(sandbox: Sandbox, spec: SandboxSpec) -> SandboxProperty:
    left = "(setsid bash -c 'sleep 0.4; touch later' > /dev/null 2>&1 &); true"
    await sandbox.run(spec, ["/bin/bash", "-c", left])
    await asyncio.sleep(_AFTER_ITS_END_SECONDS)
    later = (spec.workspace / "later").exists()
    return SandboxProperty(
        "no process survives it", not later, "a process was still running after the end"
    )


def _spec(sandbox: Sandbox, root: Path, name: str) -> SandboxSpec:
    workspace = root / name
    workspace.mkdir()
    sandbox.claim(workspace)
    return SandboxSpec(workspace, limits=ResourceLimits(seconds=_SECONDS))


def _last(done: Completed) -> str:
    return (done.text.strip().split("\n")[-1] or f"exit code {done.exit_code}")[-200:]


def broken(properties: Sequence[SandboxProperty]) -> bool:
    """Whether any property failed."""
    return any(each.holds is False for each in properties)
