"""Git plumbing over the bare repositories of the playground; no work trees."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ZERO = "0" * 40
"""Stands for "no object" where git and GitHub speak of a ref that appears or goes."""

_HOOK = Path(__file__).with_name("push_hook.py")
_CONFIG = {
    # A fetch of any reachable SHA and partial clones work on GitHub.
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "http.receivepack": "true",
    "receive.procReceiveRefs": "refs",
    "receive.fsckObjects": "true",
    "receive.autogc": "false",
    "receive.hideRefs": "refs/pull",
    "receive.denyDeleteCurrent": "ignore",
    "gc.auto": "0",
}


class GitCommandError(Exception):
    """A git command ended badly; the message holds its arguments and what it said."""


@dataclass(frozen=True)
class Person:
    """An author or a committer as git writes it. `stamp` is `<seconds> <zone>`."""

    name: str
    email: str
    stamp: str

    def line(self) -> str:
        """The value of an author or committer header."""
        return f"{self.name} <{self.email}> {self.stamp}"

    @classmethod
    def read(cls, line: str) -> Person:
        """Read the value of an author or committer header."""
        match = re.fullmatch(r"(.*?) ?<(.*?)> (\d+ [+-]\d{4})", line)
        if match is None:
            return cls(line, "", "0 +0000")
        return cls(*match.groups())


@dataclass(frozen=True)
class SimulatedCommit:
    """A commit object, read."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str
    signature: str | None = None
    payload: str | None = None
    """What the signature signs: the object without its signature."""


@dataclass(frozen=True)
class Entry:
    """One line of a tree."""

    mode: str
    type: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True)
class ChangedPath:
    """One file of a diff; `status` is git's letter."""

    status: str
    path: str
    previous: str | None
    sha: str
    additions: int
    deletions: int
    patch: str | None


@dataclass(frozen=True)
class Result:
    """How a git command ended."""

    code: int
    out: bytes
    err: bytes

    def text(self) -> str:
        """The output without its last newline."""
        return self.out.decode(errors="surrogateescape").removesuffix("\n")


@dataclass
class Git:
    """One bare repository. Every method is a few git processes."""

    path: Path
    home: Path
    merges: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Git's complete environment: no user or system configuration is read."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8",
        }

    async def run(
        self,
        *arguments: str,
        data: bytes = b"",
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run one git command. Raises GitError when it fails, unless `check` is off."""
        process = await asyncio.create_subprocess_exec(
            "git",
            f"--git-dir={self.path}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment() | dict(env or {}),
        )
        out, err = await process.communicate(data)
        code = process.returncode or 0
        if check and code:
            raise GitCommandError(
                f"git {' '.join(arguments)}: {err.decode(errors='replace').strip()}"
            )
        return Result(code, out, err)

    # -- making repositories

    async def create(self, default_branch: str) -> None:
        """Make the repository, empty."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        (self.home / "gitconfig").write_text(
            "[safe]\n\tdirectory = *\n[core]\n\tquotePath = false\n"
        )
        await self.run("init", "--quiet", "--bare", "--template=", str(self.path))
        await self.run("symbolic-ref", "HEAD", f"refs/heads/{default_branch}")
        await self._configure()

    async def copy_from(self, source: Path, default_branch: str) -> None:
        """Take the branches and tags of a repository; its HEAD becomes the default branch."""
        fetch = ("fetch", "--quiet", "--no-write-fetch-head", str(source))
        await self.run(*fetch, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        await self.run(*fetch, f"+HEAD:refs/heads/{default_branch}")

    async def fetch(self, source: Path, sha: str) -> None:
        """Take a commit of another repository with everything below it."""
        await self.run("fetch", "--quiet", "--no-write-fetch-head", "--no-tags", str(source), sha)

    async def write_first_commit(self, branch: str, files: Mapping[str, bytes], when: int) -> None:
        """Put these files into one commit on a branch."""
        stream = [f"commit refs/heads/{branch}\n".encode()]
        stream.append(f"committer GitHub <noreply@github.com> {when} +0000\n".encode())
        stream.append(_data(b"Initial commit\n"))
        for path, content in files.items():
            stream.append(b"M 100644 inline " + _quoted(path) + b"\n" + _data(content))
        await self.run("fast-import", "--quiet", data=b"".join(stream))

    async def _configure(self) -> None:
        lines = []
        for name, value in _CONFIG.items():
            section, _, key = name.partition(".")
            lines.append(f"[{section}]\n\t{key} = {value}\n")
        with (self.path / "config").open("a") as config:
            config.write("".join(lines))
        hook = self.path / "hooks" / "proc-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{_HOOK}"\n')
        hook.chmod(0o755)

    # -- refs

    async def refs(self, *prefixes: str) -> dict[str, str]:
        """All refs below these prefixes (whole path components), by full name."""
        out = (await self.run("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)).out
        rows = [line.split(" ", 1) for line in out.decode().splitlines()]
        return {name: sha for sha, name in rows}

    async def ref(self, name: str) -> str | None:
        """The object that a full ref name points at."""
        if not name.startswith("refs/") or "\n" in name or "\0" in name:
            return None
        # A name that git does not allow is one that it does not find.
        result = await self.run("show-ref", "--verify", "--hash", name, check=False)
        return result.text() if result.code == 0 else None

    async def good_name(self, name: str) -> bool:
        """Whether git allows this full ref name."""
        if not name.startswith("refs/") or "\n" in name or "\0" in name:
            return False
        return (await self.run("check-ref-format", name, check=False)).code == 0

    async def update_ref(self, name: str, new: str, old: str) -> bool:
        """Move a ref if it still points at `old`; ZERO makes or deletes it."""
        line = f"update {name}\0{new}\0{old}\0"
        result = await self.run("update-ref", "-z", "--stdin", data=line.encode(), check=False)
        return result.code == 0

    async def commit_of(self, name: str) -> str | None:
        """The commit that a branch, tag, ref or SHA names."""
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}", name):
            sha = await self.verify(f"{candidate}^{{commit}}")
            if sha:
                return sha
        return None

    async def verify(self, expression: str) -> str | None:
        """The object that an expression of git names."""
        if "\0" in expression:
            return None
        result = await self.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", expression, check=False
        )
        return result.text().splitlines()[-1] if result.code == 0 and result.out else None

    async def is_empty(self) -> bool:
        """Whether nothing was ever pushed to a branch."""
        return not (await self.run("for-each-ref", "--count=1", "refs/heads")).out

    # -- objects

    async def kind(self, sha: str) -> str | None:
        """commit, tree, blob or tag; None for what is not there."""
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            return None
        result = await self.run("cat-file", "-t", sha, check=False)
        return result.text() if result.code == 0 else None

    async def blob(self, sha: str) -> bytes:
        """The content of a blob."""
        return (await self.run("cat-file", "blob", sha)).out

    async def write_blob(self, content: bytes) -> str:
        """Store a blob."""
        return (await self.run("hash-object", "-w", "--stdin", data=content)).text()

    async def write_commit(self, raw: str) -> str:
        """Store a commit object given whole."""
        data = raw.encode(errors="surrogateescape")
        return (await self.run("hash-object", "-t", "commit", "-w", "--stdin", data=data)).text()

    async def tree(self, sha: str, *, recursive: bool = False) -> list[Entry]:
        """The entries of a tree; with `recursive`, of all below it, the trees themselves too."""
        options = ["-r", "-t"] if recursive else []
        out = (await self.run("ls-tree", "-z", "--long", *options, sha)).out
        return [_entry(line) for line in out.split(b"\0") if line]

    async def entry(self, commit: str, path: str) -> Entry | None:
        """What is at a path of a commit."""
        if not path or path.startswith("/") or "\0" in path:
            return None
        env = {"GIT_LITERAL_PATHSPECS": "1"}
        arguments = ("ls-tree", "-z", "--long", commit, "--", path)
        result = await self.run(*arguments, check=False, env=env)
        return next((_entry(line) for line in result.out.split(b"\0") if line), None)

    @asynccontextmanager
    async def index(self) -> AsyncIterator[dict[str, str]]:
        """A separate index, as environment for `run`."""
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            yield {"GIT_INDEX_FILE": f"{folder}/index"}

    # -- history

    async def commit(self, sha: str) -> SimulatedCommit:
        """Read a commit."""
        raw = (await self.run("cat-file", "commit", sha)).out
        return _commit(sha, raw.decode(errors="surrogateescape"))

    async def range(self, base: str, head: str, limit: int = 250) -> list[str]:
        """The commits of head that base does not have, oldest first."""
        arguments = ("rev-list", "--reverse", "--topo-order", f"--max-count={limit}")
        return (await self.run(*arguments, f"{base}..{head}")).text().split()

    async def count(self, base: str, head: str) -> int:
        """How many commits head has that base has not."""
        return int((await self.run("rev-list", "--count", f"{base}..{head}")).text())

    async def is_ancestor(self, old: str, new: str) -> bool:
        """Whether moving from old to new is a fast-forward."""
        return (await self.run("merge-base", "--is-ancestor", old, new, check=False)).code == 0

    async def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor."""
        result = await self.run("merge-base", one, other, check=False)
        return result.text() if result.code == 0 else None

    async def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of a clean merge, None where there are conflicts."""
        if (base, head) not in self.merges:
            result = await self.run("merge-tree", "--write-tree", base, head, check=False)
            clean = result.code == 0
            self.merges[base, head] = result.text().split("\n")[0] if clean else None
        return self.merges[base, head]

    async def changes(self, base: str, head: str) -> list[ChangedPath]:
        """The files that differ between two commits, with hunks as GitHub shows them."""
        find = ("diff-tree", "-r", "-M", "--no-commit-id")
        raw = (await self.run(*find, "-z", "--raw", "--abbrev=40", base, head)).out
        counts = await self.counts(base, head)
        found = []
        for status, sha, previous, path in _raw(raw):
            additions, deletions = counts.get(path, (None, None))
            patch = None
            if additions is not None:
                patch = await self._patch(base, head, previous, path)
            found.append(
                ChangedPath(status, path, previous, sha, additions or 0, deletions or 0, patch)
            )
        return found

    async def counts(self, base: str, head: str) -> dict[str, tuple[int | None, int | None]]:
        """Lines added and removed by path; None for binary files."""
        find = ("diff-tree", "-r", "-M", "--no-commit-id", "-z", "--numstat")
        return _counts((await self.run(*find, base, head)).out)

    async def changed_names(self, parent: str | None, sha: str) -> list[tuple[str, str]]:
        """Status letter and path of what a commit changed; everything where it has no parent."""
        arguments = ["diff-tree", "-r", "-z", "--name-status", "--no-commit-id", "--root"]
        out = (await self.run(*arguments, *([parent] if parent else []), sha)).out
        fields = out.decode(errors="replace").split("\0")
        return list(zip(fields[0:-1:2], fields[1:-1:2], strict=True))

    async def new_workflow(self, sha: str) -> str | None:
        """A workflow file that commits which no branch has yet create or change."""
        arguments = ("log", "--format=", "--name-only", "-z", "-c", sha, "--not", "--branches")
        result = await self.run(*arguments, "--", ".github/workflows", check=False)
        names = [name.strip() for name in result.out.split(b"\0") if name.strip()]
        return names[0].decode(errors="replace") if names else None

    async def _patch(self, base: str, head: str, previous: str | None, path: str) -> str | None:
        paths = [path] if previous is None else [previous, path]
        env = {"GIT_LITERAL_PATHSPECS": "1"}
        arguments = ("diff-tree", "-r", "-M", "-p", "--no-commit-id", base, head, "--", *paths)
        text = (await self.run(*arguments, env=env)).out.decode(errors="replace")
        hunks = text.find("\n@@")
        return text[hunks + 1 :].removesuffix("\n") if hunks >= 0 else None


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()


def _entry(line: bytes) -> Entry:
    head, _, path = line.partition(b"\t")
    mode, kind, sha, size = head.decode().split()
    length = None if size == "-" else int(size)
    return Entry(mode, kind, sha, length, path.decode(errors="surrogateescape"))


def _commit(sha: str, raw: str) -> SimulatedCommit:
    head, _, message = raw.partition("\n\n")
    lines = re.sub(r"\n ", "\0", head).split("\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        headers.setdefault(name, []).append(value.replace("\0", "\n"))
    signature = headers.get("gpgsig", [None])[0]
    payload = None
    if signature is not None:
        kept = [line.replace("\0", "\n ") for line in lines if not line.startswith("gpgsig ")]
        payload = "\n".join(kept) + "\n\n" + message
    return SimulatedCommit(
        sha=sha,
        tree=headers["tree"][0],
        parents=tuple(headers.get("parent", [])),
        author=Person.read(headers["author"][0]),
        committer=Person.read(headers["committer"][0]),
        message=message.removesuffix("\n"),
        signature=signature,
        payload=payload,
    )


def _raw(out: bytes) -> list[tuple[str, str, str | None, str]]:
    fields = out.decode(errors="surrogateescape").split("\0")
    rows: list[tuple[str, str, str | None, str]] = []
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        _, _, old, new, status = fields[at].split()
        sha = old if status == "D" else new
        if status[0] in "RC":
            rows.append((status[0], sha, fields[at + 1], fields[at + 2]))
            at += 3
        else:
            rows.append((status[0], sha, None, fields[at + 1]))
            at += 2
    return rows


def _counts(out: bytes) -> dict[str, tuple[int | None, int | None]]:
    fields = out.decode(errors="surrogateescape").split("\0")
    counts: dict[str, tuple[int | None, int | None]] = {}
    at = 0
    while at < len(fields) and fields[at]:
        added, removed, path = fields[at].split("\t", 2)
        if path:
            at += 1
        else:
            path = fields[at + 2]
            at += 3
        binary = added == "-"
        counts[path] = (None, None) if binary else (int(added), int(removed))
    return counts
