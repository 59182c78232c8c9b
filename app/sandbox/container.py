"""Sandboxes as containers: `podman run` of an image pinned by digest.

The same helper is the first process and uses the same channel, so limits, output and termination
work as in `bubblewrap.py`; only the isolation is Podman's. Source: podman-run(1). Docker cannot
pass descriptors into a container (`--preserve-fds`), so it has to be Podman; rootless if the worker
is an ordinary user.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from app.errors import UserError
from app.private_files import open_for_sandboxes
from app.sandbox import seccomp
from app.sandbox.bubblewrap import BaseSandbox
from app.sandbox.process import Launch, PlainProcess
from app.sandbox.services import hosts
from app.sandbox.spec import (
    HOME,
    HOSTNAME,
    MIB,
    WORKSPACE,
    Completed,
    Mount,
    SandboxReport,
    SandboxSpec,
)
from app.sandbox.uid_pool import UidPool, uid_pool_below

PODMAN = "podman"
_HELPER = "/run/honk/inside.py"
_PYTHON = "/usr/bin/python3"
_ID = 1000
_BY_DIGEST = re.compile(r"[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}")
_KEPT = (
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
)
"""Environment variables that Podman itself needs; none of them reaches the container."""

# Podman passes a contiguous range of descriptors, starting at 3, under unchanged numbers.
_LAUNCH = """
import fcntl, os, sys
for fd in range(3, int(sys.argv[1]) + 1):
    try: fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        if null != fd: os.dup2(null, fd); os.close(null)
    os.set_inheritable(fd, True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def by_digest(image: str) -> str:
    """Check that the image is pinned by digest. Raises UserError for a tag."""
    if not _BY_DIGEST.fullmatch(image):
        raise UserError(
            f"{image[:200]!r} does not name an image by its digest.",
            next_step="Use name@sha256:...; `podman images --digests` lists digests.",
        )
    return image


def run_words(
    spec: SandboxSpec,
    *,
    image: str,
    name: str,
    user: int | None,
    profile: Path,
    helper: Path,
    hosts: Path,
    descriptors: int,
    channel: int,
) -> list[str]:
    """Podman's command line. `user` is a user id of the host; None is the worker's own."""
    tmp, shm = spec.limits.tmp_bytes, min(spec.limits.tmp_bytes, 256 * MIB)
    who = ["--user", f"{user}:{user}"]
    if user is None:
        who = ["--userns", f"keep-id:uid={_ID},gid={_ID}", "--user", f"{_ID}:{_ID}"]
    most = str(max(spec.limits.open_files, 1024))
    return [
        *(PODMAN, "run", "--rm", "--name", name, "--pull", "never", "--log-driver", "none"),
        *("--network", "none", "--no-hosts", "--hostname", HOSTNAME, "--http-proxy=false"),
        *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
        *("--security-opt", "label=disable", "--security-opt", f"seccomp={profile}"),
        *("--read-only", "--read-only-tmpfs=false", "--systemd=false", "--image-volume", "ignore"),
        *("--ipc", "private", "--uts", "private", "--pid", "private", *who),
        *("--ulimit", f"nofile={most}:{most}", "--ulimit", "core=0:0"),
        *("--ulimit", f"nproc={spec.limits.processes + 64}:{spec.limits.processes + 64}"),
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,mode=1777,size={tmp}"),  # noqa: S108 - its own
        *("--tmpfs", f"{HOME}:rw,nosuid,nodev,mode=1777,size={tmp}", "--shm-size", str(shm)),
        *_bind(spec.workspace, WORKSPACE, writable=spec.workspace_writable),
        *_bind(helper, _HELPER, writable=False),
        *_bind(hosts, "/etc/hosts", writable=False),
        *(word for mount in spec.mounts for word in _mounted(mount)),
        *("--workdir", WORKSPACE, "--unsetenv-all", f"--preserve-fds={descriptors}"),
        *("--entrypoint", json.dumps([_PYTHON, "-I", "-S", _HELPER, str(channel)]), image),
    ]


def _mounted(mount: Mount) -> list[str]:
    return _bind(mount.source, mount.target, writable=mount.writable)


def _bind(source: Path, target: str, *, writable: bool) -> list[str]:
    # The option is a CSV record, so a comma in a path would start a new field.
    if any(mark in f"{source}{target}" for mark in ',"\n'):
        raise UserError(
            f"{source} cannot be mounted in a container: its name contains a comma or a quote."
        )
    kind = "" if writable else ",ro"
    return ["--mount", f"type=bind,source={source},destination={target}{kind}"]


class Container(BaseSandbox):
    """Sandboxes of one image. If the worker is root, each workspace has its own user id."""

    isolated = True
    takes_images = True

    def __init__(self, slots: UidPool | None, image: str, folder: Path) -> None:
        """`folder` holds the files that Podman reads: the helper, its seccomp profile, hosts."""
        self._slots = slots
        self._image = by_digest(image)
        folder.mkdir(parents=True, exist_ok=True)
        self._profile = folder / "seccomp.json"
        self._profile.write_text(json.dumps(seccomp.profile()))
        self._helper = folder / "inside.py"
        shutil.copyfile(Path(__file__).with_name("inside.py"), self._helper)
        open_for_sandboxes(self._helper)
        self._folder = folder

    @classmethod
    def create(cls, root: Path, image: str) -> Container:
        """`root` contains all workspaces. Raises UserError for an image without a digest."""
        return cls(uid_pool_below(root), image, root.parent / "container")

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
        name = f"honk-{secrets.token_hex(8)}"
        last = max(channel, *extra, 3)
        words = run_words(
            spec,
            image=self._image if spec.image is None else by_digest(spec.image),
            name=name,
            user=self._slots.owner(spec.workspace) if self._slots is not None else None,
            profile=self._profile,
            helper=self._helper,
            hosts=self._hosts(spec),
            descriptors=last - 2,
            channel=channel,
        )
        return Launch(
            argv=[sys.executable, "-I", "-S", "-c", _LAUNCH, str(last), *words],
            environment={key: os.environ[key] for key in _KEPT if key in os.environ},
            uid=None,
            inherited=list(extra),
            info_fd=None,
            name=name,
        )

    def _hosts(self, spec: SandboxSpec) -> Path:
        """The file for the names of these services; made once for each set of names."""
        text = hosts(spec.services)
        path = self._folder / f"hosts-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if not path.exists():
            made = path.with_suffix(f".{secrets.token_hex(8)}")
            made.write_text(text)
            open_for_sandboxes(made)
            made.rename(path)
        return path

    def _kind(self) -> type[ContainerProcess]:
        return ContainerProcess


class ContainerProcess(PlainProcess):
    """Ends when the channel closes: its first process exits, and with it all others."""

    async def kill(self) -> None:
        try:
            await super().kill()
        finally:
            if self.name:
                await _force_remove(self.name)


async def _force_remove(name: str) -> None:
    """Remove a container that did not end by itself; usually there is nothing to remove."""
    words = [PODMAN, "rm", "--force", "--ignore", "--time", "0", name]
    await asyncio.to_thread(subprocess.run, words, capture_output=True, timeout=60, check=False)


async def probe_container(image: str) -> SandboxReport:
    """Test whether a container of this image works here by making one."""
    if shutil.which(PODMAN) is None:
        return SandboxReport(
            False, "Podman is not installed.", "Install it: `apt-get install podman`."
        )
    with tempfile.TemporaryDirectory(prefix="honk-probe-") as folder:
        root = Path(folder, "workspaces")
        workspace = root / "one"
        try:
            sandbox = Container.create(root, image)
            workspace.mkdir()
            sandbox.claim(workspace)
            done: Completed = await sandbox.run(SandboxSpec(workspace), ["git", "--version"])
        except UserError as error:
            return SandboxReport(False, error.message, error.next_step)
    if done.ok:
        return SandboxReport(True)
    return SandboxReport(
        False,
        f"A first command did not run in a container of {image}: {done.text.strip()[-300:]}.",
        "The image needs /usr/bin/python3 (3.8 or newer), bash and git.",
    )
