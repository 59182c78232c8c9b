"""Real projects in real sandboxes, with packages that their package managers fetched.

The managers run on this machine with its configuration, and their downloads stay in
`.cache/verify`. A sandbox sees only that folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.values import CommitSha
from app.domain.verdict import VerifierResult
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import Mount, ResourceLimits, SandboxSpec
from app.sandbox.toolchains import CACHES, installed, rustup_home
from app.verify.runner import VerifySite, verify
from app.verify.verifier import DirectoryTree, Verifier
from app.verify.verifiers import choose
from tests.support.toolchains import needs

CACHE = Path(__file__).parents[2] / ".cache" / "verify"
_PATIENCE = (120.0, 240.0)
"""Seconds for the first and the second try: a package manager may hang on a lost connection."""
_TEST_SECONDS = 480
SHA = CommitSha("a" * 40)

MakeProject = Callable[..., VerifySite]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs a package waits until it is fetched."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """A checkout of the given files. `mounts`: folders of this machine, visible at
    `/opt/<name>`.
    """
    root = tmp_path / "work"
    root.mkdir()
    sandbox = Bubblewrap.create(root)

    def make(
        files: Mapping[str, str | Path],
        *,
        mounts: Mapping[str, Path] | None = None,
        limits: ResourceLimits | None = None,
        **environment: str,
    ) -> VerifySite:
        workspace = root / f"checkout-{len(list(root.iterdir()))}"
        workspace.mkdir()
        sandbox.claim(workspace)
        for name, content in files.items():
            path = workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copytree(content, path, dirs_exist_ok=True, symlinks=True)
            else:
                path.write_text(content)
        belongs_to(workspace, workspace)
        own = installed()
        spec = SandboxSpec(
            workspace,
            mounts=(
                *own.mounts,
                *(Mount(path, f"/opt/{name}") for name, path in (mounts or {}).items()),
            ),
            environment={**own.environment(sandbox, workspace), **environment},
            limits=limits or ResourceLimits(seconds=120),
        )
        return VerifySite(sandbox, spec, tmp_path / "scratch")

    return make


def belongs_to(path: Path, like: Path) -> None:
    """Everything below belongs to the workspace's user."""
    owner = like.stat()
    for each in [path, *path.rglob("*")]:
        os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def with_cache(site: VerifySite, name: str, variable: str) -> VerifySite:
    """A folder that is kept between test runs, for anything that only takes time to make again."""
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    belongs_to(folder, site.spec.workspace)
    mount = Mount(folder, f"/opt/{name}", writable=True)
    return replace(
        site,
        spec=replace(
            site.spec,
            mounts=(*site.spec.mounts, mount),
            environment={**site.spec.environment, variable: mount.target},
        ),
    )


def found(site: VerifySite, *policy: str) -> tuple[Verifier, ...]:
    """The verifiers that the checkout gets, detected or from a policy."""
    return choose(policy, DirectoryTree(site.spec.workspace)).verifiers


async def run(site: VerifySite, *policy: str) -> VerifierResult:
    """The one result of the checkout."""
    (result,) = (await verify(site, found(site, *policy), SHA)).verifiers
    return result


def outcomes(result: VerifierResult) -> dict[str, str]:
    return {test.id: test.outcome.value for test in result.tests}


def fetched(name: str, words: Sequence[str], **environment: str) -> Path:
    """A folder that a package manager fills, once; `@`, or `@/` in an argument, is that folder."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / name
    environment = {key: str(folder / value) for key, value in environment.items()}
    environment |= rustup_home(shutil.which("cargo") or "cargo")
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".whole").exists():
            return folder
        for seconds in _PATIENCE:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            missing = _fetch(folder, words, {**os.environ, **environment}, seconds)
            if not missing:
                break
        else:
            pytest.fail(f"{words[0]} could not fetch what the test needs: {missing}")
        (folder / ".whole").touch()
    return folder


def _fetch(folder: Path, words: Sequence[str], environment: dict[str, str], seconds: float) -> str:
    """Why it is missing; empty if it is not."""
    try:
        done = subprocess.run(
            [str(folder) if word == "@" else word.replace("@/", f"{folder}/") for word in words],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {seconds:.0f} s"
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr[-2000:]}"


PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@pytest.fixture(scope="session")
def wheels() -> Path:
    """A folder that serves as a package index."""
    return fetched("wheels", [*PIP, "download", "-d", "@", "pytest", "iniconfig", "setuptools"])


@pytest.fixture(scope="session")
def tox_and_nox() -> Path:
    """Both, and what they need, as a folder of site-packages."""
    return fetched("tools", [*PIP, "install", "--target", "@", "tox", "nox"])


__all__ = ["CACHES", "needs"]
