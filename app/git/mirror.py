"""One bare repository per GitHub repository: a cache of its objects, never the source of truth.

Workspaces read its objects; only the worker writes them. It never has a work tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import hashlib
import os
import re
import tempfile
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import structlog

from app import log_events
from app.domain.values import CommitSha, RepoName, TreeSha, commit_sha, tree_sha
from app.errors import RetryableError, UserError
from app.git import tags as tag_list
from app.git.command import (
    MAX_OUTPUT_BYTES,
    GitError,
    GitLockedError,
    GitMovedError,
    GitUnknownTokenError,
    check_ref,
    git,
)
from app.git.tags import Tag
from app.integrity.composing import CommitSide, Override
from app.outgoing import DIRECT, Outgoing
from app.private_files import open_for_sandboxes, sandboxes_are_others
from app.sandbox.removal import GRAVES, older, removed

log = structlog.get_logger()

_MOST_BLOBS = 256_000_000
_MOST_COMPOSED = 64_000_000
_LOCK_PAUSE_SECONDS = 0.05
_PACKS_BEFORE_REPACK = 40
_STALE_LOCK_SECONDS = 60.0
_MOST_LOCKS = 10
_MAX_CACHED = 256
_MAX_CACHED_BYTES = 16_000_000
_PINS = "honk-pins"
"""A folder with one file per pin. There may be thousands, and as refs they would slow down every
fetch and push."""
_TEMPORARY_REFS = "refs/honk-held/"
"""Temporary refs to the pinned objects, so that `git gc` keeps them."""
_REFS_AT_ONCE = 2000
_PRUNED_AFTER = "7.days.ago"
_GC_SECONDS = 3600.0
_TAGS = "honk-tags"
"""A file with the tags whose commits are here. They are not refs, so no tag's name can shadow
anything in the mirror."""
_PUSHED = f"{_TEMPORARY_REFS}pushed-"
"""Objects being pushed, each under a unique name."""
_LOCK = "honk.lock"
"""Locked while a mirror changes; its mtime is the last use."""
_AUTHOR = "Honk <honk@localhost.invalid>"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NO_SUCH_REF = re.compile(
    r"couldn't find remote ref|not our ref|unadvertised object", re.IGNORECASE
)
_REF_MOVED = re.compile(
    r"non-fast-forward|stale info|fetch first|reference already exists|failed to update ref"
    r"|cannot lock ref|incorrect old value",
    re.IGNORECASE,
)
_NAMED_PATH = re.compile(
    r"(?:workflow|[Ff]ile|path)s? [`'\"]?((?:[\w.@+-]+/)*[\w.@+-]+\.?[\w-]*)[`'\"]?", re.ASCII
)

_PATH_ALONE = re.compile(
    r"^\s*(?:[-*] )?((?:[\w.@+-]+/)*[\w@+-][\w.@+-]*)\s*$", re.ASCII | re.MULTILINE
)


def _named_paths(rule: str) -> tuple[str, ...]:
    """Paths in the remote's message: after a word like `file`, or alone on a line."""
    named = [*_NAMED_PATH.findall(rule), *_PATH_ALONE.findall(rule)]
    return tuple(dict.fromkeys(path for path in named if "/" in path or "." in path))


class PushMode(enum.Enum):
    """How a push may move a ref, other than by expecting it at a given commit."""

    FAST_FORWARD = "fast-forward"
    ANY = "any"
    """From any commit (--force); only for refs that nothing but Honk writes."""


@dataclass(frozen=True)
class Remote:
    """Where a repository is fetched from and pushed to. `token` is never logged or written.

    `outdated` is called when the repository has moved or the token is not recognized; the next
    `Remote` for the same repository should then have the new URL or a new token.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    outdated: Callable[[], None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class FileChange:
    """One path that differs between two commits or trees.

    `status` is git's letter: A added, M modified, D deleted, T type changed. Modes are git's
    (`100644`, `100755`, `120000`, `160000`; `000000` if missing). Sizes are in bytes (0 if
    missing). Bytes of the path that are not UTF-8 become surrogates, as with `os.fsdecode`.
    """

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_sha: str
    new_sha: str
    old_size: int
    new_size: int


@dataclass(frozen=True)
class MergeResult:
    """A merge of two commits. Files in `conflicts` contain conflict markers."""

    tree: TreeSha
    conflicts: tuple[str, ...]


@dataclass(frozen=True)
class CommitInfo:
    """A commit: its first parent, number of parents, author's name and raw message."""

    sha: CommitSha
    parent: CommitSha
    parents: int
    author: str
    message: str


class PushRefusedError(UserError):
    """The remote rejected the push: a repository rule applies, or the ref has moved.

    `rule` is the remote's text, `paths` the files it names; `moved` is set if another push moved
    the ref.
    """

    def __init__(self, ref: str, rule: str, *, moved: bool) -> None:
        self.ref = ref
        self.rule = rule
        self.moved = moved
        self.paths = _named_paths(rule) if not moved else ()
        if moved:
            super().__init__(f"`{ref}` was moved by somebody else during the run.")
        else:
            named = f" because of {', '.join(f'`{path}`' for path in self.paths)}"
            super().__init__(
                f"GitHub refused the push to `{ref}`{named if self.paths else ''}: {rule}"
            )


PushRefused = PushRefusedError


class Mirrors:
    """All mirrors of one worker. Several workers may share the directory."""

    def __init__(self, root: Path, *, outgoing: Outgoing = DIRECT, with_tags: bool = True) -> None:
        """`outgoing` is the route for fetch and push.

        Without `with_tags` no tags are fetched: for repositories never checked out with a `.git`.
        """
        self._root = root
        self._outgoing = outgoing
        self._with_tags = with_tags
        self._locks: dict[Path, asyncio.Lock] = {}
        self._listings: OrderedDict[tuple[Path, str], bytes] = OrderedDict()
        self._queued_fetches: dict[tuple[Path, str], asyncio.Task[CommitSha | None]] = {}

    def path(self, repo: RepoName) -> Path:
        """The bare repository's path. GitHub's names are case-insensitive."""
        return self._root / repo.owner.lower() / f"{repo.name.lower()}.git"

    def objects(self, repo: RepoName) -> Path:
        """The object directory that workspaces use as an alternate."""
        return self.path(repo) / "objects"

    async def fetch(self, repo: RepoName, remote: Remote, ref: str) -> CommitSha | None:
        """Fetch a branch, a full ref or a full SHA and return its commit.

        None if the remote does not have it (an empty repository has no branch). Concurrent calls
        share a fetch that is still waiting for the lock, but not one that has started, as that may
        have read the ref before it moved. Raises GitError, RetryableError, and ValueError for an
        invalid ref.
        """
        name = ref if _SHA.fullmatch(ref) else _full_ref(ref)
        if _SHA.fullmatch(name) and await self.has_commit(repo, name):
            return commit_sha(name)
        key = (self.path(repo), name)
        task = self._queued_fetches.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch_locked(repo, remote, name))
            # Retrieve the exception, as every caller may have been cancelled.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._queued_fetches[key] = task
        return await asyncio.shield(task)

    async def _fetch_locked(self, repo: RepoName, remote: Remote, name: str) -> CommitSha | None:
        key = (self.path(repo), name)
        try:
            async with self._locked(repo):
                self._queued_fetches.pop(key, None)
                return await self._fetch(repo, remote, name)
        finally:
            if self._queued_fetches.get(key) is asyncio.current_task():
                del self._queued_fetches[key]

    async def _fetch(self, repo: RepoName, remote: Remote, name: str) -> CommitSha | None:
        kept = _tracking_ref(name)
        options = ["--no-tags", "--no-auto-maintenance", "--force"]
        arguments = ["fetch", "--quiet", *options, "--", remote.url]
        arguments.append(name if kept is None else f"+{name}:{kept}")
        try:
            await self._remote_git(repo, remote, arguments)
        except GitError as error:
            if _NO_SUCH_REF.search(error.words):
                return None
            raise
        fetched = await asyncio.to_thread((self.path(repo) / "FETCH_HEAD").read_bytes)
        sha = _fetched_sha(fetched, name)
        if sha is None:
            return None
        if self._with_tags and _has_tags(name):
            await self._fetch_tags(repo, remote)
        await self._repack_if_needed(repo)
        found = await self._git(repo, ["rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}"])
        return commit_sha(found.decode().strip())

    async def _fetch_tags(self, repo: RepoName, remote: Remote) -> None:
        """Store the remote's tags whose commits are here, and fetch annotated tag objects.

        Tags that cannot be fetched are skipped: a build may want one, but no run depends on it.
        """
        output = await self._remote_git(repo, remote, ["ls-remote", "--tags", "--", remote.url])
        known = tag_list.listed(output)
        kinds = await self._kinds(repo, [sha for tag in known for sha in (tag.sha, tag.commit)])
        tags = [tag for tag in known if kinds.get(tag.commit) == "commit"]
        missing = [tag for tag in tags if tag.sha not in kinds]
        if missing:
            options = ["--no-tags", "--no-auto-maintenance", "--no-write-fetch-head", "--stdin"]
            wanted = "".join(f"{tag.sha}\n" for tag in missing).encode()
            arguments = ["fetch", "--quiet", *options, "--", remote.url]
            try:
                await self._remote_git(repo, remote, arguments, wanted)
            except GitError as problem:
                log.warning(
                    log_events.ANNOTATED_TAGS_NOT_FETCHED, repo=str(repo), why=problem.words
                )
                tags = [tag for tag in tags if tag not in missing]
        _write(self.path(repo) / _TAGS, tag_list.as_text(tags))

    async def tags(self, repo: RepoName, commit: CommitSha) -> tuple[Tag, ...]:
        """The tags in a commit's history, as of the last fetch."""
        known = self._tags(repo)
        if not known:
            return ()
        asked = [*dict.fromkeys(tag.commit for tag in known), f"^{commit_sha(commit)}"]
        options = ["--stdin", "--ignore-missing"]
        beyond = await self._git(repo, ["rev-list", *options], "\n".join(asked).encode() + b"\n")
        outside = set(beyond.decode().split())
        return tuple(tag for tag in known if tag.commit not in outside)

    def _tags(self, repo: RepoName) -> tuple[Tag, ...]:
        try:
            return tag_list.listed((self.path(repo) / _TAGS).read_bytes())
        except FileNotFoundError:
            return ()

    async def _repack_if_needed(self, repo: RepoName) -> None:
        """Repack if there are many packs. Prunes nothing: active runs use the objects."""
        packs = list((self.objects(repo) / "pack").glob("*.pack"))
        if len(packs) > _PACKS_BEFORE_REPACK:
            await self._git(repo, ["repack", "--geometric=2", "-d", "--quiet"])

    async def pin(self, repo: RepoName, name: str, sha: str) -> None:
        """Keep an object, and all it references, under this name until `unpin`."""
        await self._ensure(repo)
        await asyncio.to_thread(_write, self._pin(repo, name), sha.encode("ascii"))

    async def unpin(self, repo: RepoName, name: str) -> None:
        """Remove a pin, if it exists."""
        self._pin(repo, name).unlink(missing_ok=True)

    def pinned(self, repo: RepoName, name: str) -> str | None:
        """The object pinned under this name, or None."""
        with contextlib.suppress(FileNotFoundError):
            return self._pin(repo, name).read_text("ascii")
        return None

    def _pin(self, repo: RepoName, name: str) -> Path:
        return self.path(repo) / _PINS / quote(check_ref(name), safe="")

    def _pinned(self, repo: RepoName) -> dict[str, str]:
        """All pinned objects by pin name."""
        files = (self.path(repo) / _PINS).glob("[!.]*")
        return {unquote(file.name): file.read_text("ascii") for file in files}

    async def push(
        self,
        repo: RepoName,
        remote: Remote,
        sha: CommitSha,
        ref: str,
        *,
        expected: CommitSha | PushMode | None = PushMode.FAST_FORWARD,
    ) -> None:
        """Create or move a ref of the remote.

        Fast-forward only, unless `expected` is the commit it is at now (None: it must not exist).
        Raises PushRefusedError with the remote's text, GitError, RetryableError.
        """
        full = _full_ref(ref)
        # A pattern's target is used literally; for a plain name git might resolve to a tag that
        # is named `refs/heads/main`.
        own = f"{_PUSHED}{uuid.uuid4().hex}/"
        name = f"{own}{full.removeprefix('refs/')}"
        await self._git(repo, ["update-ref", name, commit_sha(sha)])
        try:
            await self._push(repo, remote, f"{own}*:refs/*", full, expected)
        finally:
            await self._git(repo, ["update-ref", "-d", name])

    async def delete_remote_ref(
        self, repo: RepoName, remote: Remote, ref: str, *, expected: CommitSha | None = None
    ) -> None:
        """Delete a ref of the remote; with `expected`, only if it is at that commit.

        Does nothing if the ref is already gone. Raises like `push`.
        """
        full = _full_ref(ref)
        lease: CommitSha | PushMode = expected if expected is not None else PushMode.FAST_FORWARD
        if await self._remote_ref(repo, remote, full) is not None:
            await self._push(repo, remote, f":{full}", full, lease)

    async def _remote_ref(self, repo: RepoName, remote: Remote, full: str) -> CommitSha | None:
        found = await self._remote_git(repo, remote, ["ls-remote", "--", remote.url, full])
        for line in found.decode("utf-8", "surrogateescape").splitlines():
            sha, _, name = line.partition("\t")
            if name == full:
                return commit_sha(sha)
        return None

    async def _push(
        self,
        repo: RepoName,
        remote: Remote,
        refspec: str,
        full: str,
        expected: CommitSha | PushMode | None,
    ) -> None:
        lease = []
        if expected is PushMode.ANY:
            lease = ["--force"]
        elif not isinstance(expected, PushMode):
            lease = [f"--force-with-lease={full}:{expected or ''}"]
        arguments = ["push", "--porcelain", "--no-verify", *lease, "--", remote.url, refspec]
        try:
            await self._remote_git(repo, remote, arguments)
        except GitError as error:
            if type(error) is not GitError or not _is_rejected(error.words):
                raise
            moved = bool(_REF_MOVED.search(error.words))
            if moved and expected is PushMode.ANY:
                # Only Honk writes it: an earlier push that timed out is still running at GitHub.
                raise RetryableError(f"Another push to `{full}` is under way.") from error
            raise PushRefusedError(full, _rejection_text(error.words), moved=moved) from error

    async def commit_tree(
        self, repo: RepoName, tree: TreeSha, parents: Sequence[CommitSha], message: str
    ) -> CommitSha:
        """A new local commit. Author and date are fixed, so equal arguments give the same SHA."""
        lines = [f"tree {tree_sha(tree)}", *(f"parent {commit_sha(one)}" for one in parents)]
        lines += [f"author {_AUTHOR} 0 +0000", f"committer {_AUTHOR} 0 +0000", "", message]
        text = "\n".join(lines).encode("utf-8", "replace") + b"\n"
        made = await self._git(repo, ["hash-object", "-t", "commit", "-w", "--stdin"], text)
        return commit_sha(made.decode().strip())

    async def has_commit(self, repo: RepoName, sha: str) -> bool:
        """Whether the mirror has the commit; does not ask the remote."""
        if not self.path(repo).is_dir():
            return False
        try:
            await self._git(repo, ["cat-file", "-e", f"{commit_sha(sha)}^{{commit}}"])
        except GitError:
            return False
        return True

    async def tree_of(self, repo: RepoName, commit: str) -> TreeSha:
        """The tree of a commit (or of a tree: itself). Raises GitError if it is missing."""
        found = await self._git(repo, ["rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}"])
        return tree_sha(found.decode().strip())

    async def read_blob(
        self, repo: RepoName, commit: str, path: bytes | str, max_bytes: int
    ) -> bytes | None:
        """A regular file's content in a commit or tree.

        None for anything else (missing, link, submodule), or if it is longer than `max_bytes`.
        """
        name = os.fsencode(path)
        listed = await self._git(
            repo, ["--literal-pathspecs", "ls-tree", "-z", "-l", commit, "--", os.fsdecode(name)]
        )
        for row in listed.split(b"\0"):
            described, _, found = row.partition(b"\t")
            mode, _, sha, size = (*described.split(), b"", b"", b"", b"")[:4]
            if found == name and mode in (b"100644", b"100755") and int(size) <= max_bytes:
                return await self._git(repo, ["cat-file", "blob", sha.decode()], most=max_bytes + 1)
        return None

    async def is_ancestor(self, repo: RepoName, old: str, new: str) -> bool:
        """Whether `old` is an ancestor of `new`, or the same commit."""
        try:
            await self._git(repo, ["merge-base", "--is-ancestor", old, new])
        except GitError as error:
            if error.code == 1:
                return False
            raise
        return True

    async def merge_base(self, repo: RepoName, one: str, other: str) -> CommitSha | None:
        """The best common ancestor; None for unrelated histories."""
        try:
            found = await self._git(repo, ["merge-base", one, other])
        except GitError as error:
            if error.code == 1:
                return None
            raise
        return commit_sha(found.decode().split()[0])

    async def merge(self, repo: RepoName, ours: CommitSha, theirs: CommitSha) -> MergeResult:
        """Merge two commits without a work tree.

        No merge driver of the repository runs: the mirror does not read its attributes.
        """
        options = [
            "--write-tree",
            "-z",
            "--name-only",
            "--no-messages",
            "--allow-unrelated-histories",
        ]
        arguments = ["merge-tree", *options, commit_sha(ours), commit_sha(theirs)]
        output = await self._git(repo, arguments, ok_codes=(1,))
        names = [os.fsdecode(name) for name in output.split(b"\0") if name]
        return MergeResult(tree_sha(names[0]), tuple(names[1:]))

    async def commits(
        self, repo: RepoName, old: CommitSha, new: CommitSha, most: int
    ) -> tuple[CommitInfo, ...]:
        """The commits in `new` but not in `old`, oldest first, along first parents."""
        return await self._log(repo, [f"{commit_sha(old)}..{commit_sha(new)}"], most)

    async def history(self, repo: RepoName, head: CommitSha, most: int) -> tuple[CommitInfo, ...]:
        """The last `most` commits up to `head`, oldest first, along first parents."""
        return await self._log(repo, [commit_sha(head)], most)

    async def _log(
        self, repo: RepoName, revisions: Sequence[str], most: int
    ) -> tuple[CommitInfo, ...]:
        options = ["--first-parent", "--reverse", "--topo-order", f"--max-count={most}"]
        arguments = ["log", *options, "--format=%H %P%n%an%n%B%x00", *revisions]
        shown = await self._git(repo, arguments)
        texts = shown.decode("utf-8", "replace").split("\0")
        return tuple(_parse_commit(text.lstrip("\n")) for text in texts if text.strip())

    async def changes(
        self, repo: RepoName, base: str, head: str, *, with_sizes: bool = True
    ) -> tuple[FileChange, ...]:
        """The differences between two commits or trees by path; a rename is two changes.

        Without sizes they are all 0.
        """
        raw = await self._git(
            repo, ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, head]
        )
        words = raw.split(b"\0")[:-1]
        rows = [
            (words[at].decode().lstrip(":").split(" "), os.fsdecode(words[at + 1]))
            for at in range(0, len(words), 2)
        ]
        shas = [sha for row, _ in rows for sha in row[2:4]] if with_sizes else []
        sizes = await self.sizes(repo, shas)
        return tuple(
            FileChange(
                status=row[4][:1],
                path=path,
                old_mode=row[0],
                new_mode=row[1],
                old_sha=row[2],
                new_sha=row[3],
                old_size=sizes.get(row[2], 0),
                new_size=sizes.get(row[3], 0),
            )
            for row, path in rows
        )

    async def blobs(self, repo: RepoName, shas: Sequence[str]) -> dict[str, bytes]:
        """Contents of blobs by SHA; the caller limits their total size."""
        if not shas:
            return {}
        output = await self._git(
            repo, ["cat-file", "--batch"], "\n".join(shas).encode() + b"\n", most=_MOST_BLOBS
        )
        found: dict[str, bytes] = {}
        at = 0
        while at < len(output):
            end = output.index(b"\n", at)
            sha, *kind = output[at:end].decode().split(" ")
            at = end + 1
            if len(kind) == 2:
                size = int(kind[1])
                found[sha] = output[at : at + size]
                at += size + 1
        return found

    async def renames(self, repo: RepoName, base: str, head: str) -> dict[str, str]:
        """Renamed files as git detects them: old path by new path."""
        options = ["-r", "-z", "--name-status", "--find-renames", "--diff-filter=R"]
        raw = await self._git(repo, ["diff-tree", *options, base, head])
        words = raw.split(b"\0")[:-1]
        return {
            os.fsdecode(words[at + 2]): os.fsdecode(words[at + 1])
            for at in range(0, len(words) - 2, 3)
        }

    async def sizes(self, repo: RepoName, shas: Sequence[str]) -> dict[str, int]:
        """Sizes in bytes by SHA, without missing objects."""
        if not shas:
            return {}
        wanted = "\n".join(dict.fromkeys(shas)).encode() + b"\n"
        found = await self._git(
            repo, ["cat-file", "--batch-check=%(objectname) %(objectsize)"], wanted
        )
        rows = (line.split(" ") for line in found.decode().splitlines())
        return {row[0]: int(row[1]) for row in rows if row[1].isdigit()}

    async def _kinds(self, repo: RepoName, shas: Sequence[str]) -> dict[str, str]:
        """`commit`, `tree`, `blob` or `tag` by SHA, without missing objects."""
        if not shas:
            return {}
        wanted = "\n".join(dict.fromkeys(shas)).encode() + b"\n"
        asked = ["cat-file", "--batch-check=%(objectname) %(objecttype)"]
        found = await self._git(repo, asked, wanted)
        rows = [line.split(" ") for line in found.decode().splitlines()]
        return {row[0]: row[1] for row in rows if row[1] != "missing"}

    async def diff(self, repo: RepoName, base: str, head: str, max_bytes: int) -> str:
        """A patch for reading, truncated with a note at `max_bytes`."""
        options = ["--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"]
        whole = await self._git(
            repo, ["diff-tree", "-r", "-p", *options, base, head], cut=max_bytes
        )
        text = whole[:max_bytes].decode("utf-8", "replace")
        return text if len(whole) <= max_bytes else f"{text}\n[... the rest is left out ...]\n"

    async def add_pack(self, repo: RepoName, pack: BinaryIO, max_bytes: int) -> None:
        """Add the objects of a pack from a sandbox. Raises GitError if it is invalid."""
        limit = f"--max-input-size={max_bytes}"
        await self._git(repo, ["index-pack", "--stdin", "--fix-thin", "--strict", limit], pack)

    async def tree_with(
        self, repo: RepoName, tree: TreeSha, entries: Sequence[tuple[str, str, str]]
    ) -> TreeSha:
        """The tree with some paths set: (mode, SHA, path). Mode `0` removes a path."""
        rows = [f"{mode} {sha}\t{path}" for mode, sha, path in entries]
        text = b"".join(os.fsencode(row) + b"\0" for row in rows)
        with tempfile.TemporaryDirectory(dir=self.path(repo), prefix="index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            await self._git(repo, ["read-tree", tree], environment=index)
            await self._git(
                repo, ["update-index", "-z", "--replace", "--index-info"], text, environment=index
            )
            made = await self._git(repo, ["write-tree"], environment=index)
        return tree_sha(made.decode().strip())

    async def compose_tree(
        self,
        repo: RepoName,
        start: str,
        overrides: Mapping[str, Override],
        *,
        base: str,
        head: str,
    ) -> TreeSha:
        """The tree of `start` with each path of `overrides` set as it says.

        `start`, `base` and `head` are commits or trees. Objects are only added, so calls may run
        at the same time. Raises ValueError when a path cannot be set: the commit that it should
        come from does not have it, it is a file where a folder remains (or the reverse), its mode
        is not a regular file's, or the contents are larger than 64 MB. Raises GitError.
        """
        sources = {
            CommitSide.BASE: await self._rows(repo, base),
            CommitSide.HEAD: await self._rows(repo, head),
        }
        composed = {path: each for path, each in overrides.items() if isinstance(each, tuple)}
        with tempfile.TemporaryDirectory(dir=self.path(repo), prefix="index-") as folder:
            rows = await self._composed_rows(repo, composed, Path(folder))
            for path, override in overrides.items():
                if isinstance(override, CommitSide):
                    if os.fsencode(path) not in sources[override]:
                        raise ValueError(f"{path!r} is not in the {override} commit")
                    rows[os.fsencode(path)] = sources[override][os.fsencode(path)]
            dropped = [os.fsencode(path) for path, each in overrides.items() if each is None]
            remaining = set(await self._rows(repo, start)).difference(dropped) | rows.keys()
            _check_folders(rows.keys(), remaining)
            # Removals come first, as a new file may take the place of a folder.
            text = b"".join(b"0 %s\t%s\0" % (b"0" * 40, path) for path in dropped)
            text += b"".join(b"%s\t%s\0" % (row, path) for path, row in rows.items())
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            await self._git(repo, ["read-tree", f"{start}^{{tree}}"], environment=index)
            await self._git(repo, ["update-index", "-z", "--index-info"], text, environment=index)
            made = await self._git(repo, ["write-tree"], environment=index)
        return tree_sha(made.decode().strip())

    async def _rows(self, repo: RepoName, tree: str) -> dict[bytes, bytes]:
        """Mode and SHA by path, as `update-index --index-info` reads them."""
        listing = await self._listing(repo, tree)
        parted = (row.partition(b"\t") for row in listing.split(b"\0") if row)
        return {path: b"%s %s" % (head.split()[0], head.split()[2]) for head, _, path in parted}

    async def _composed_rows(
        self, repo: RepoName, composed: Mapping[str, tuple[str, bytes]], folder: Path
    ) -> dict[bytes, bytes]:
        """Store the contents as blobs, with one git command for all of them."""
        if not composed:
            return {}
        if sum(len(content) for _, content in composed.values()) > _MOST_COMPOSED:
            raise ValueError(f"the composed files are larger than {_MOST_COMPOSED:,} bytes")
        for path, (mode, _) in composed.items():
            if mode not in ("100644", "100755"):
                raise ValueError(f"{path!r} cannot be composed with the mode {mode!r}")
        files = [folder / str(number) for number in range(len(composed))]
        await asyncio.to_thread(_write_all, files, [each for _, each in composed.values()])
        asked = "".join(f"{file}\n" for file in files).encode()
        options = ["-w", "--no-filters", "--stdin-paths"]
        made = (await self._git(repo, ["hash-object", *options], asked)).decode().split()
        pairs = zip(composed.items(), made, strict=True)
        return {os.fsencode(path): f"{mode} {sha}".encode() for (path, (mode, _)), sha in pairs}

    async def files(self, repo: RepoName, tree: str) -> dict[str, str]:
        """All files of a commit or tree, links included: blob SHA by path."""
        return await self._entries(repo, tree, lambda head: b" blob " in head)

    async def links(self, repo: RepoName, tree: str) -> dict[str, str]:
        """The symbolic links of a commit or tree: blob SHA by path."""
        return await self._entries(repo, tree, lambda head: head.startswith(b"120000 "))

    async def gitlinks(self, repo: RepoName, tree: str) -> dict[str, str]:
        """The submodules of a commit or tree: commit SHA by path."""
        return await self._entries(repo, tree, lambda head: head.startswith(b"160000 "))

    async def _entries(
        self, repo: RepoName, tree: str, is_wanted: Callable[[bytes], bool]
    ) -> dict[str, str]:
        """SHA by path of the entries whose mode and type match."""
        listing = await self._listing(repo, tree)
        rows = [row.partition(b"\t") for row in listing.split(b"\0") if is_wanted(row[:13])]
        return {os.fsdecode(path): head.split()[2].decode() for head, _, path in rows}

    async def _listing(self, repo: RepoName, tree: str) -> bytes:
        """Cached by SHA: a run lists its base commit a dozen times."""
        key = (self.path(repo), tree)
        if key in self._listings:
            self._listings.move_to_end(key)
            return self._listings[key]
        listing = await self._git(repo, ["ls-tree", "-r", "-z", "--full-tree", tree])
        if _SHA.fullmatch(tree) and len(listing) <= _MAX_CACHED_BYTES:
            self._listings[key] = listing
            while len(self._listings) > _MAX_CACHED or self._cached_bytes() > _MAX_CACHED_BYTES:
                self._listings.popitem(last=False)
        return listing

    def _cached_bytes(self) -> int:
        return sum(map(len, self._listings.values()))

    async def submodule_urls(self, repo: RepoName, tree: str) -> dict[str, str]:
        """Submodule URLs from `.gitmodules` by path; empty if it is unreadable."""
        asked = ["-z", "--no-includes", "--get-regexp", r"^submodule\..*\.(path|url)$"]
        output = await self._git(
            repo, ["config", f"--blob={tree}:.gitmodules", *asked], ok_codes=(1, 128)
        )
        named: dict[str, dict[str, str]] = {}
        for row in output.split(b"\0"):
            key, _, value = os.fsdecode(row).partition("\n")
            name, _, what = key.rpartition(".")
            named.setdefault(name, {})[what] = value
        return {each["path"]: each["url"] for each in named.values() if {"path", "url"} <= {*each}}

    async def link_target(self, repo: RepoName, sha: str) -> bytes:
        """The target of a symbolic link, from its blob."""
        return await self.blob_start(repo, sha, 4096)

    async def blob_start(self, repo: RepoName, sha: str, most: int) -> bytes:
        """The first `most` bytes of a blob."""
        return (await self._git(repo, ["cat-file", "blob", sha], cut=most))[:most]

    async def bundle(self, repo: RepoName, base: CommitSha, head: CommitSha, path: Path) -> None:
        """Write the commits in `head` but not in `base` to a git bundle.

        https://git-scm.com/docs/git-bundle
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Two may run at once: the periodic one while the agent works, and the final one.
        mine = uuid.uuid4().hex
        name, making = f"refs/honk-bundles/{path.stem}-{mine}", path.with_name(f".{mine}")
        await self._git(repo, ["update-ref", check_ref(name), commit_sha(head)])
        try:
            given = ["--quiet", str(making), name, f"^{commit_sha(base)}"]
            await self._git(repo, ["bundle", "create", *given])
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)
            await self._git(repo, ["update-ref", "-d", name])

    async def unbundle(self, repo: RepoName, path: Path) -> bool:
        """Add the objects of a bundle; False if it is missing or does not apply.

        Its prerequisite commit must be here.
        """
        if not path.is_file():
            return False
        try:
            await self._git(repo, ["bundle", "unbundle", str(path)])
        except GitError:
            return False
        return True

    def known(self) -> list[tuple[RepoName, float]]:
        """Every mirror with its time of last use (as of time())."""
        found = []
        for lock in self._root.glob(f"*/*.git/{_LOCK}"):
            name = f"{lock.parent.parent.name}/{lock.parent.name.removesuffix('.git')}"
            with contextlib.suppress(ValueError, FileNotFoundError):
                found.append((RepoName.parse(name), lock.stat().st_mtime))
        return found

    async def drop(self, repo: RepoName) -> None:
        """Delete a mirror that no run uses; the next use creates it again."""
        path = self.path(repo)
        async with self._locked(repo):
            grave = Path(tempfile.mkdtemp(dir=path.parent, prefix=".grave-"))
            path.rename(grave / "0")
            for key in [each for each in self._listings if each[0] == path]:
                del self._listings[key]
        await asyncio.to_thread(removed, [grave])

    def clear(self, *, before: float) -> None:
        """Delete the remains of removals that were interrupted before `before`."""
        removed(older(self._root.glob(f"*/{GRAVES}"), before))

    async def collect_garbage(self, repo: RepoName, is_wanted: Callable[[str], bool]) -> None:
        """Delete unwanted pins and prune old unreachable objects.

        No run may be using the mirror, since workspaces borrow its objects.
        """
        used = (self.path(repo) / _LOCK).stat().st_mtime
        async with self._locked(repo):
            pinned = await asyncio.to_thread(self._pinned, repo)
            for name in [name for name in pinned if not is_wanted(name)]:
                await self.unpin(repo, name)
                del pinned[name]
            tags = [tag.sha for tag in self._tags(repo)]
            async with self._temporary_refs(repo, [*pinned.values(), *tags]):
                command = ["gc", "--quiet", f"--prune={_PRUNED_AFTER}"]
                await self._run(repo, command, timeout=_GC_SECONDS)
            # Maintenance does not count as a use.
            os.utime(self.path(repo) / _LOCK, (used, used))

    @asynccontextmanager
    async def _temporary_refs(self, repo: RepoName, shas: Sequence[str]) -> AsyncIterator[None]:
        """Create refs to these objects (as far as they exist) while the context is open."""
        await self._delete_temporary_refs(repo)
        here = await self.sizes(repo, shas)
        await self._update_refs(repo, [f"create {_TEMPORARY_REFS}{sha} {sha}" for sha in here])
        try:
            yield
        finally:
            await self._delete_temporary_refs(repo)

    async def _delete_temporary_refs(self, repo: RepoName) -> None:
        """Delete the temporary refs, also those left behind by a killed process."""
        listed = await self._git(
            repo, ["for-each-ref", "--format=delete %(refname)", _TEMPORARY_REFS]
        )
        await self._update_refs(repo, listed.decode().splitlines())

    async def _update_refs(self, repo: RepoName, commands: Sequence[str]) -> None:
        for at in range(0, len(commands), _REFS_AT_ONCE):
            text = "".join(f"{command}\n" for command in commands[at : at + _REFS_AT_ONCE])
            await self._git(repo, ["update-ref", "--stdin"], text.encode())

    async def _git(
        self,
        repo: RepoName,
        args: Sequence[str],
        stdin: bytes | BinaryIO = b"",
        *,
        most: int | None = None,
        cut: int | None = None,
        environment: Mapping[str, str] | None = None,
        ok_codes: tuple[int, ...] = (),
    ) -> bytes:
        return await self._run(
            repo,
            args,
            stdin=stdin,
            max_output=MAX_OUTPUT_BYTES if most is None else most,
            cut=cut,
            environment=environment,
            ok_codes=ok_codes,
        )

    async def _remote_git(
        self, repo: RepoName, remote: Remote, args: Sequence[str], stdin: bytes = b""
    ) -> bytes:
        try:
            return await self._run(
                repo,
                args,
                stdin=stdin,
                url=remote.url,
                token=remote.token,
                environment=self._outgoing.git_environment(remote.url),
            )
        except (GitMovedError, GitUnknownTokenError) as problem:
            if remote.outdated is None:
                raise
            remote.outdated()
            moved = isinstance(problem, GitMovedError)
            why = "was renamed during the run" if moved else "does not know GitHub's token"
            raise RetryableError(f"The repository {why}.") from problem

    async def _run(self, repo: RepoName, args: Sequence[str], **options: Any) -> bytes:
        await self._ensure(repo)
        path = self.path(repo)
        for _ in range(_MOST_LOCKS):
            try:
                return await git(args, cwd=path, **options)
            except GitLockedError as problem:
                if not _remove_stale_lock(problem.lock, path):
                    raise
        return await git(args, cwd=path, **options)

    async def _ensure(self, repo: RepoName) -> None:
        """Create the bare repository atomically."""
        path = self.path(repo)
        if path.is_dir():
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as folder:
            made = Path(folder, "bare")
            # Sandboxes read the objects, whatever the worker's umask; everything else is private.
            mode = "0644" if sandboxes_are_others() else "0600"
            options = ["--bare", "--quiet", "--template=", "--initial-branch=main"]
            await git(["init", f"--shared={mode}", *options, str(made)])
            made.chmod(0o700)
            for part in (made / "objects", made / "objects" / "pack"):
                part.mkdir(exist_ok=True)
                open_for_sandboxes(part)
            with contextlib.suppress(OSError):
                made.rename(path)  # another process may have been first

    @asynccontextmanager
    async def _locked(self, repo: RepoName) -> AsyncIterator[None]:
        """Hold the repository's lock, exclusive among tasks and processes."""
        await self._ensure(repo)
        path = self.path(repo)
        lock = self._locks.setdefault(path, asyncio.Lock())
        async with lock:
            while True:
                await self._ensure(repo)
                with (path / _LOCK).open("a") as file:
                    while not _try_lock(file.fileno()):  # noqa: ASYNC110 - another process has it
                        await asyncio.sleep(_LOCK_PAUSE_SECONDS)
                    if not _is_same_file(path / _LOCK, file.fileno()):
                        continue  # the mirror was deleted while this one waited
                    os.utime(file.fileno())
                    yield
                    return


def _remove_stale_lock(lock: Path, mirror: Path) -> bool:
    """Delete a stale ref lock, older than any git command needs; True if it is gone.

    Checks age and unlinks without awaiting in between; otherwise a second cleaner could delete a
    fresh lock.
    """
    if not _is_ref_lock(lock, mirror):
        return False
    try:
        # Use the file system's clock, which may differ from this machine's.
        with tempfile.NamedTemporaryFile(dir=mirror, prefix="now-") as now:
            age = os.fstat(now.fileno()).st_mtime - lock.lstat().st_mtime
        if age <= _STALE_LOCK_SECONDS:
            return False
        lock.unlink()
    except FileNotFoundError:
        return True
    log.warning(log_events.STALE_GIT_LOCK_REMOVED, lock=str(lock))
    return True


def _is_ref_lock(lock: Path, mirror: Path) -> bool:
    """Whether this is a ref's lock in this mirror. The path is from stderr and not trusted."""
    if ".." in lock.parts or not lock.is_relative_to(mirror):
        return False
    within = lock.relative_to(mirror)
    return within.parts[0] == "refs" or within == Path("packed-refs.lock")


def _is_same_file(path: Path, fd: int) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _parse_commit(text: str) -> CommitInfo:
    """Parse one `git log` record. A root commit's parent is the commit itself."""
    names, author, message = (*text.split("\n", 2), "", "")[:3]
    sha, *parents = names.split()
    return CommitInfo(
        sha=commit_sha(sha),
        parent=commit_sha(parents[0] if parents else sha),
        parents=len(parents),
        author=author,
        message=message,
    )


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tracking_ref(name: str) -> str | None:
    """The local ref that remembers a fetched branch, so the next fetch is incremental.

    None for refs of one run or pull request. There are at most 256, so branches may share one: that
    makes a fetch slightly slower, and nothing else reads these refs.
    """
    if not name.startswith("refs/heads/"):
        return None
    return f"refs/honk-fetched/{hashlib.sha256(os.fsencode(name)).hexdigest()[:2]}"


def _has_tags(name: str) -> bool:
    """Fetch tags with branches, pull requests and commits, not with Honk's own refs."""
    return name.startswith(("refs/heads/", "refs/pull/")) or not name.startswith("refs/")


def _fetched_sha(fetch_head: bytes, name: str) -> str | None:
    """The SHA fetched for exactly this name, from FETCH_HEAD.

    If the remote lacks the ref, git matches others by suffix: for a deleted branch it may fetch a
    tag named `refs/heads/main`.
    """
    sha, _, note = fetch_head.split(b"\n")[0].split(b"\t", 2)
    branch = name.removeprefix("refs/heads/")
    seen_as = f"branch '{branch}' of " if branch != name else f"'{name}' of "
    return sha.decode() if note.startswith(seen_as.encode()) else None


def _write(path: Path, content: bytes) -> None:
    """Write the file atomically."""
    path.parent.mkdir(exist_ok=True)
    making = path.with_name(f".{uuid.uuid4().hex}")
    try:
        making.write_bytes(content)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _write_all(files: Sequence[Path], contents: Sequence[bytes]) -> None:
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)


def _check_folders(paths: Iterable[bytes], remaining: Collection[bytes]) -> None:
    """Raise ValueError if one of the paths is a file and a folder at once."""
    folders = {
        path[:at] for path in remaining for at in range(len(path)) if path[at : at + 1] == b"/"
    }
    for path in paths:
        parents = (path[:at] for at in range(len(path)) if path[at : at + 1] == b"/")
        if path in folders or any(parent in remaining for parent in parents):
            raise ValueError(f"{os.fsdecode(path)!r} would be a file and a folder at once")


def _full_ref(ref: str) -> str:
    """A short name means a branch; one that starts with `refs/` is already full."""
    return check_ref(ref) if ref.startswith("refs/") else f"refs/heads/{check_ref(ref)}"


def _is_rejected(words: str) -> bool:
    return "[rejected]" in words or "[remote rejected]" in words


def _rejection_text(words: str) -> str:
    """The remote's own lines, or git's reason in parentheses if there are none."""
    lines = [line[len("remote:") :].strip() for line in words.splitlines() if "remote:" in line[:7]]
    said = "\n".join(line for line in lines if line)
    reason = re.search(r"\[(?:remote )?rejected\] \((.*)\)", words)
    parts = [said, reason.group(1) if reason and reason.group(1) not in said else ""]
    return "\n".join(part for part in parts if part)[:4000]
