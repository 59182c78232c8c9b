"""Bubblewrap's command line: what a sandbox sees of this machine.

Sources: bwrap(1), https://github.com/containers/bubblewrap.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.errors import UserError
from app.sandbox.services import hosts
from app.sandbox.spec import (
    HOME,
    HOSTNAME,
    MIB,
    WORKSPACE,
    Mount,
    SandboxSpec,
)

BWRAP = "/usr/bin/bwrap"
PYTHON = "/usr/bin/python3"
HELPER = "/run/honk/inside.pyc"

_ID = "1000"
_ETC = {
    "/etc/passwd": f"honk:x:{_ID}:{_ID}:Honk:{HOME}:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": f"honk:x:{_ID}:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/resolv.conf": "",
}
_FROM_ETC = (
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls/certs",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/mime.types",
)
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

# If the worker is root, its files may be below a directory that other users cannot enter. Then, in
# a separate mount namespace, bind what the sandbox needs to a reachable path before dropping root.
# All in one call of mount: each call takes a twentieth of a sandbox's start time.
_STAGE = """
set -e
uid=$1 stage=$2 table=$3; shift 3
/usr/bin/mount -t tmpfs -o mode=755,size=64k honk "$stage"
printf %s "$table" > "$stage/fstab"
while [ "$1" != -- ]; do : > "$1"; shift; done
shift
/usr/bin/mount --all --fstab "$stage/fstab"
exec /usr/bin/setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all "$@"
"""
_STAGES = ("/mnt", "/media", "/srv", "/opt")


@dataclass(frozen=True)
class Stage:
    """A command prefix that starts bubblewrap, and the new paths of sources that it bound
    elsewhere.
    """

    prefix: Sequence[str] = ()
    places: Mapping[Path, Path] = field(default_factory=dict)

    def moved(self, spec: SandboxSpec) -> SandboxSpec:
        mounts = tuple(
            replace(mount, source=self.places.get(mount.source, mount.source))
            for mount in spec.mounts
        )
        workspace = self.places.get(spec.workspace, spec.workspace)
        return replace(spec, workspace=workspace, mounts=mounts)


def staged(sources: Sequence[Path], uid: int | None) -> Stage:
    """How `uid` can reach the sources. None means the worker's own user, which can already."""
    hidden = [path for path in sources if uid is not None and not _reachable(path, uid)]
    if not hidden:
        return Stage()
    real = {path: path.resolve() for path in hidden}
    stage = next(
        name
        for name in _STAGES
        if Path(name).is_dir() and not any(path.is_relative_to(name) for path in real.values())
    )
    places = {path: Path(stage, str(number)) for number, path in enumerate(real, 1)}
    table = "".join(
        f"{_in_fstab(real[path])} {place} none bind,X-mount.mkdir 0 0\n"
        for path, place in places.items()
    )
    files = [str(place) for path, place in places.items() if not real[path].is_dir()]
    prefix = ["/usr/bin/unshare", "--mount", "--propagation", "private", "--"]
    prefix += ["/bin/sh", "-c", _STAGE, "stage", str(uid), stage, table, *files, "--"]
    return Stage(prefix, places)


def _in_fstab(path: Path) -> str:
    """A path of any bytes in fstab(5): each byte that is not plain in octal."""
    plain = re.compile(rb"[^\w./-]", re.ASCII)
    return plain.sub(lambda found: b"\\%03o" % found[0][0], os.fsencode(path)).decode("ascii")


def _reachable(path: Path, uid: int) -> bool:
    """Whether a user can enter every folder above it, even if one of them is a symlink."""
    above = dict.fromkeys([*path.absolute().parents, *path.resolve().parents])
    return all(
        status.st_mode & stat.S_IXOTH or (status.st_uid == uid and status.st_mode & stat.S_IXUSR)
        for status in (parent.stat() for parent in above)
    )


def data_fd(name: str, data: bytes) -> int:
    """A descriptor to read the data from: an unnamed file, without a pipe's size limit."""
    fd = os.memfd_create(name)
    written = 0
    while written < len(data):
        written += os.write(fd, data[written:])
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@functools.cache
def compiled_helper() -> bytes:
    """The helper, compiled once by the system's Python instead of at each sandbox's start."""
    source = Path(__file__).with_name("inside.py")
    script = "import py_compile, sys; py_compile.compile(*sys.argv[1:], doraise=True)"
    with tempfile.TemporaryDirectory(prefix="honk-") as folder:
        target = Path(folder, "inside.pyc")
        words = [PYTHON, "-I", "-c", script, str(source), str(target), HELPER]
        try:
            subprocess.run(words, env={}, check=True, capture_output=True, timeout=60)
            return target.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(
                f"The sandbox helper could not be prepared with {PYTHON}: {error}.",
                next_step="Run `honk doctor`.",
            ) from error


def bubblewrap_flags(
    spec: SandboxSpec, filter_program: bytes, info_fd: int
) -> tuple[list[int], list[str]]:
    """The descriptors to pass on and the flags that name them. The helper completes the setup."""
    return _flags(spec, _HALF_WAY, b"", info_fd)


def bubblewrap_alone(
    spec: SandboxSpec, filter_program: bytes, info_fd: int
) -> tuple[list[int], list[str]]:
    """Like `bubblewrap_flags`, for machines where the helper cannot: fewer limits apply."""
    return _flags(spec, _ALONE, filter_program, info_fd)


def inner_walls(spec: SandboxSpec, filter_program: bytes) -> dict[str, Any]:
    """What the helper does before anything else runs (`inside.Walls`)."""
    limits = spec.limits
    scratch = [
        _tmpfs("/tmp", "1777", limits.tmp_bytes, limits.tmp_files),  # noqa: S108 - its own
        _tmpfs(HOME, "0700", limits.tmp_bytes, limits.tmp_files),
        _tmpfs("/dev/shm", "1777", min(limits.tmp_bytes, 256 * MIB), _SHARED_FILES),  # noqa: S108
    ]
    for each in bounded(spec):
        most, files = each.bounds or (0, 0)
        scratch.append(_tmpfs(each.target, "0700", most, files, kept=True))
    return {
        "scratch": scratch,
        "terminals": _TERMINALS,
        "sysctl": dict(_SYSCTL),
        "namespaces": 1,
        "id": int(_ID),
        "filter": filter_program.hex(),
    }


def bounded(spec: SandboxSpec) -> list[Mount]:
    """Writable mounts with their own size limit."""
    return [each for each in spec.mounts if each.writable and each.bounds]


def _tmpfs(
    target: str, mode: str, most: int, files: int, *, kept: bool = False
) -> dict[str, object]:
    return {"target": target, "mode": mode, "bytes": most, "files": files, "kept": kept}


def _flags(
    spec: SandboxSpec, walls: Sequence[str], filter_program: bytes, info_fd: int
) -> tuple[list[int], list[str]]:
    files: list[int] = []

    def given(target: str, data: bytes, mode: str = "0444") -> list[str]:
        files.append(data_fd(Path(target).name, data))
        return ["--perms", mode, "--file", str(files[-1]), target]

    flags = [*_NAMESPACES, *walls, *_system(), *_scratch(spec.limits.tmp_bytes)]
    for path, text in {**_ETC, "/etc/hosts": hosts(spec.services)}.items():
        flags += given(path, text.encode())
    flags += given(HELPER, compiled_helper())
    flags += _workspace(spec)
    # Devices stay usable; the directory around them becomes read-only, as its size is unlimited.
    flags += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if filter_program:
        files.append(data_fd("seccomp", filter_program))
        flags += ["--seccomp", str(files[-1])]
    flags += ["--info-fd", str(info_fd), "--chdir", WORKSPACE]
    return files, flags


_NAMESPACES = (
    *(f"--unshare-{kind}" for kind in ("user", "pid", "net", "ipc", "uts", "cgroup")),
    *("--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"),
    *("--hostname", HOSTNAME, "--cap-drop", "ALL"),
)
_ALONE = ("--disable-userns", "--uid", _ID, "--gid", _ID)
_HALF_WAY = (
    *("--uid", "0", "--gid", "0"),
    # To mount, to set the namespaces' limits, and to map another user in a nested namespace.
    *("--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SYS_RESOURCE", "--cap-add", "CAP_SETFCAP"),
)

_TERMINALS = 64
_SHARED_FILES = 20_000
_SYSCTL = {
    "kernel/shmall": str(64 * MIB // 4096),
    "kernel/shmmni": "256",
    "kernel/msgmni": "64",
    "kernel/sem": "250 32000 500 128",
}
"""Limits of the sandbox's own IPC namespace: segments, queues and semaphores."""


def _system() -> list[str]:
    flags = ["--perms", "0755", "--dir", "/etc", "--ro-bind", "/usr", "/usr"]
    for name in _LINKS:
        path = Path("/", name)
        if path.is_symlink():
            flags += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            flags += ["--ro-bind", str(path), str(path)]
    for name in _FROM_ETC:
        flags += ["--ro-bind-try", name, name]
    return [*flags, "--proc", "/proc", "--dev", "/dev"]


def _scratch(size: int) -> list[str]:
    def tmpfs(target: str, mode: str, most: int) -> list[str]:
        return ["--perms", mode, "--size", str(most), "--tmpfs", target]

    return [
        *tmpfs("/tmp", "1777", size),  # noqa: S108 - the sandbox's own
        *("--perms", "0755", "--dir", "/home"),
        *tmpfs(HOME, "0700", size),
        *tmpfs("/dev/shm", "1777", min(size, 256 * MIB)),  # noqa: S108
        *("--dir", "/var", "--symlink", "/tmp", "/var/tmp"),  # noqa: S108
    ]


def _workspace(spec: SandboxSpec) -> list[str]:
    kind = "--bind" if spec.workspace_writable else "--ro-bind"
    flags = [kind, str(spec.workspace), WORKSPACE]
    for mount in spec.mounts:
        flags += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    return flags
