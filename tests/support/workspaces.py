"""Real repositories, mirrors, sandboxes and workspaces for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.values import CommitSha, RepoName, commit_sha
from app.git.checkout import Workspace, Workspaces
from app.git.mirror import Mirrors, Remote
from app.git.packing import PackedTree, pack
from app.sandbox.bubblewrap import Bubblewrap, Sandbox

REPO = RepoName(owner="octo", name="Sample.Repo")

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def run_git(cwd: Path, *args: str | bytes, stdin: bytes | None = None) -> str:
    """The test's own git, as a person would use it."""
    done = subprocess.run(
        ["git", *args], cwd=cwd, env=_ENVIRONMENT, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def make_old(objects: Path) -> None:
    """Older than anything that a mirror lets go of because nothing holds it."""
    for path in (each for each in objects.rglob("*") if each.is_file()):
        os.utime(path, (1, 1))


class Origin:
    """A remote repository, with a person's clone of it."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "origin.git"
        self.clone = folder / "clone"
        self.bare.mkdir(parents=True)
        run_git(self.bare, "init", "-q", "--bare", "--initial-branch=main")
        run_git(folder, "clone", "-q", str(self.bare), str(self.clone))
        run_git(self.clone, "symbolic-ref", "HEAD", "refs/heads/main")

    @property
    def remote(self) -> Remote:
        return Remote(url=f"file://{self.bare}", token="secret-token")

    def commit(self, message: str = "Change", branch: str = "main") -> CommitSha:
        """Commit everything in the clone and push it."""
        run_git(self.clone, "add", "-A", "-f", ".")
        run_git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        run_git(self.clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return commit_sha(run_git(self.clone, "rev-parse", "HEAD"))

    def at(self, ref: str) -> str:
        """Where a ref of the remote is."""
        return run_git(self.bare, "rev-parse", "--verify", ref)

    def write(self, path: str, content: str | bytes, *, executable: bool = False) -> None:
        file = self.clone / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o755 if executable else 0o644)


@contextmanager
def unmounted(home: Path) -> Iterator[None]:
    """Unmounts at the end what a failed test left mounted at its workspaces."""
    try:
        yield
    finally:
        for folder in (home / "workspaces").glob("*"):
            if folder.is_mount():
                subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass
class World:
    """One worker's home and one remote repository."""

    origin: Origin
    mirrors: Mirrors
    sandbox: Sandbox
    workspaces: Workspaces

    @classmethod
    def make(cls, folder: Path) -> World:
        root = folder / "workspaces"
        root.mkdir()
        mirrors = Mirrors(folder / "mirrors")
        sandbox = Bubblewrap.create(root)
        return cls(
            Origin(folder / "elsewhere"), mirrors, sandbox, Workspaces(root, mirrors, sandbox)
        )

    async def fetched(self, ref: str = "main") -> CommitSha:
        sha = await self.mirrors.fetch(REPO, self.origin.remote, ref)
        assert sha is not None
        return sha

    async def workspace(self, name: str = "run-1") -> Workspace:
        return await self.workspaces.create(REPO, await self.fetched(), name)

    async def inside(self, workspace: Workspace, script: str) -> str:
        """A script that the agent might run; it must succeed."""
        done = await self.sandbox.run(self.workspaces.spec(workspace), ["bash", "-euc", script])
        assert done.ok, done
        return done.text

    async def packed(self, workspace: Workspace) -> PackedTree:
        return await pack(workspace, self.workspaces)

    async def listed(self, tree: str) -> str:
        """`git ls-tree -r` of a tree in the mirror, quoted as git does."""
        return run_git(self.mirrors.path(REPO), "ls-tree", "-r", tree)
