"""Workspaces: a private checkout for each run that borrows its objects from the mirror.

    <root>/<name>/tree            the work tree with its own `.git`; the sandbox owns it
    <root>/<name>/index           git's index at checkout; the worker owns it
    <root>/<name>/made            exclude file for what setup created: never committed
    <root>/<name>/contents        Git LFS files that were filled in: never committed
    <root>/<name>/outputs         the toolchains' build outputs that its caches link to
    <root>/<name>/workspace.json  the workspace's description

Git on a work tree always runs inside a sandbox: a repository can bring hooks, filters and nested
repositories whose configuration git obeys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import ValidationError

from app import log_events
from app.domain.generated import patterns
from app.domain.setup_outcome import Prepared
from app.domain.values import CommitSha, RepoName, TreeSha, Value, commit_sha
from app.errors import HonkError, UserError
from app.git.command import inside_environment
from app.git.mirror import Mirrors
from app.git.tags import as_packed_refs
from app.private_files import open_for_sandboxes
from app.sandbox.build_outputs import BuildOutputs
from app.sandbox.removal import older, remove_tree, removed
from app.sandbox.spec import (
    Mount,
    ResourceLimits,
    Sandbox,
    SandboxSpec,
)
from app.sandbox.toolchains import Toolchains
from app.sandbox.untrusted_files import open_file
from app.sandbox.workspace_disks import WorkspaceDisks

OBJECTS = "/run/honk/objects"
"""Where a sandbox sees the mirror's objects."""

CONTENTS = "/run/honk/contents"
"""Where a sandbox sees the Git LFS contents while they are copied in or compared."""

_SCRATCH = "/run/honk/scratch"
_SUBMODULES = "/run/honk/submodules"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|lock$|$)){0,99}")
_CHECKOUT_LIMITS = ResourceLimits(seconds=900, memory_bytes=4 << 30, file_bytes=8 << 30)

PLAIN_ATTRIBUTES = "* -text -eol -filter -ident -working-tree-encoding -crlf"
"""`info/attributes` overrides the repository's own attributes, so nothing is converted."""

_CHECKOUT = f"""
set -eu
commit=$1 tree=$2 objects=$3 saved=$4 contents=$5
shift 5
cat > "$saved/contents"
git init -q --template= --initial-branch=work .
mkdir -p .git/info .git/objects/info
printf '%s\\n' "$objects" > .git/objects/info/alternates
printf '%s\\n' '{PLAIN_ATTRIBUTES}' > .git/info/attributes
cat >> .git/config << 'END'
[user]
	name = Honk
	email = honk@localhost.invalid
[gc]
	auto = 0
[core]
	autocrlf = false
END
git update-ref refs/heads/work "$commit"
git read-tree --reset -u "$tree"
xargs -0 -r -n 2 sh -euc '
  cat "$1/$3" > "./$4"
  touch -r "$1/$3" "./$4"
  printf "%s\\0" "$4" >> "$2/paths"
' fill "$contents" "$saved" < "$saved/contents"
leave() {{
  [ ! -e "$saved/paths" ] || git update-index -z --assume-unchanged --stdin < "$saved/paths"
}}
leave
cp -p .git/index "$saved/index"
git reset -q
leave 2> /dev/null || :
while [ $# -gt 0 ]; do
  other=$saved/submodule
  git --git-dir="$other" --work-tree="./$1" init -q --template=
  printf '%s\\n' "$3" > "$other/objects/info/alternates"
  mkdir -p "$other/info"
  printf '%s\\n' '{PLAIN_ATTRIBUTES}' > "$other/info/attributes"
  git --git-dir="$other" --work-tree="./$1" read-tree --reset -u "$2"
  rm -rf "$other"
  shift 3
done
while read -r made cache; do
  mkdir -p "${{cache%/*}}"
  cp -rs "$made" "$cache" || rm -rf "$cache"
done < "$saved/outputs"
cp "$saved/generated" .git/info/exclude
[ ! -e "$saved/tags" ] || cp "$saved/tags" .git/packed-refs
"""
"""Git LFS files are marked assume-unchanged in the index: whatever happens to one in the work tree,
a commit contains the original pointer. A submodule's files come without a `.git`. Where `cp` cannot
make the links of a cache, the cache starts empty. Tags are written last, so that no command here
can resolve a tag that is named like a commit or branch."""

log = structlog.get_logger()

_NO_TOOLCHAINS = Toolchains()


class _Description(Value):
    """`workspace.json`."""

    repo: RepoName
    base: CommitSha
    lfs: Path | None = None


@dataclass(frozen=True)
class FromLfs:
    """A file in Git LFS. `oid` is its content's name in the folder of LFS contents."""

    path: str
    oid: str


@dataclass(frozen=True)
class FromRepository:
    """A submodule: its commit, and the folder of git objects that contains it."""

    path: str
    objects: Path
    commit: CommitSha


@dataclass(frozen=True)
class Fetched:
    """External content of a tree that this machine has fetched and copies into a checkout.

    `contents` is the folder with LFS contents, or None if there are none.
    """

    contents: Path | None = None
    files: tuple[FromLfs, ...] = ()
    submodules: tuple[FromRepository, ...] = ()


NOTHING_FETCHED = Fetched()
NOTHING_PREPARED = Prepared()


@dataclass(frozen=True)
class Workspace:
    """One run's checkout. Its work tree is untrusted and used only inside a sandbox.

    `lfs` is the folder that LFS contents were copied from, or None. `prepared` is what its setup
    adds to every sandbox; `open` does not know it.
    """

    name: str
    folder: Path
    repo: RepoName
    base: CommitSha
    lfs: Path | None = None
    prepared: Prepared = NOTHING_PREPARED

    @property
    def path(self) -> Path:
        """The work tree's path on this machine."""
        return self.folder / "tree"

    @property
    def own_disk(self) -> bool:
        """Whether its folder is a separate file system (`WorkspaceDisks`)."""
        return self.folder.is_mount()

    @property
    def index(self) -> Path:
        """Git's index at the time of checkout."""
        return self.folder / "index"

    @property
    def made(self) -> Path:
        """What setup created in the work tree, as a git exclude file."""
        return self.folder / "made"

    @property
    def contents(self) -> Path:
        """The LFS files that were copied in: oid and path, each followed by a NUL."""
        return self.folder / "contents"

    @property
    def outputs(self) -> Path:
        """The build outputs that its caches link to: source and target of each mount."""
        return self.folder / "outputs"

    def pin(self, what: str) -> str:
        """The pin name in the mirror for an object of this workspace."""
        return f"workspaces/{self.name}/{what}"


class Workspaces:
    """All workspaces of one worker. `Bubblewrap.create` gets the same `root` or a parent of it."""

    def __init__(
        self,
        root: Path,
        mirrors: Mirrors,
        sandbox: Sandbox,
        toolchains: Toolchains = _NO_TOOLCHAINS,
        disks: WorkspaceDisks | None = None,
        outputs: BuildOutputs | None = None,
    ) -> None:
        self._root = root
        self.mirrors = mirrors
        self.sandbox = sandbox
        self.toolchains = toolchains
        self._disks = disks
        self._outputs = outputs
        self._going: set[asyncio.Task[None]] = set()

    async def create(
        self,
        repo: RepoName,
        commit: CommitSha,
        name: str,
        *,
        tree: TreeSha | None = None,
        fetched: Fetched = NOTHING_FETCHED,
    ) -> Workspace:
        """Check out a commit that the mirror has; with `tree`, that tree on top of the commit.

        Copies in what was `fetched` for the tree; changes to it are never committed. An existing
        workspace with this name is removed first. Raises ValueError for a bad name, UserError when
        the checkout fails and RetryableError when the sandbox went away; a failure leaves nothing
        behind.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a workspace")
        workspace = Workspace(name, self._root / name, repo, commit_sha(commit), fetched.contents)
        tree = tree or await self.mirrors.tree_of(repo, commit)
        # The pins of an earlier workspace with this name stay until the new ones replace them.
        await asyncio.to_thread(self._delete, workspace.folder)
        try:
            await self.mirrors.pin(repo, workspace.pin("base"), workspace.base)
            await self.mirrors.pin(repo, workspace.pin("tree"), tree)
            await asyncio.to_thread(self._lay_out, workspace)
            await self._check_out(workspace, tree, fetched)
        except BaseException:
            await self.remove(workspace)
            raise
        return workspace

    async def open(self, name: str) -> Workspace | None:
        """An existing workspace, or None."""
        folder = self._root / name
        try:
            text = (folder / "workspace.json").read_bytes()
            described = _Description.model_validate_json(text)
        except (OSError, ValidationError):
            return None
        if not (folder / "tree").is_dir() or not (folder / "index").is_file():
            return None
        return Workspace(name, folder, described.repo, described.base, described.lfs)

    async def remove(self, workspace: Workspace) -> None:
        """Delete it, no matter what the code in it did to its files, and unpin its objects.

        Its sandboxes must be dead. Objects that are still needed must have another pin.
        """
        await asyncio.to_thread(self._delete, workspace.folder)
        for what in ("base", "tree"):
            await self.mirrors.unpin(workspace.repo, workspace.pin(what))

    def _delete(self, folder: Path) -> None:
        self._detach(folder)
        removed([folder])

    def _detach(self, folder: Path) -> None:
        """Discard the workspace's file system. Failures are logged."""
        if self._disks is None:
            return
        try:
            self._disks.detach(folder)
        except OSError as problem:
            why = str(problem)
            log.warning(log_events.WORKSPACE_REMOVAL_FAILED, name=folder.name, why=why)

    async def clear(self, is_wanted: Callable[[str], bool], *, before: float) -> int:
        """Delete unneeded workspaces last changed before `before`; return how many.

        A killed worker leaves such workspaces behind.
        """
        folders = (each for each in self._root.glob("*") if each.is_dir())
        left = [each for each in older(folders, before) if not is_wanted(each.name)]
        return sum([await self._cleared(folder) for folder in left])

    async def _cleared(self, folder: Path) -> bool:
        """Delete one; a failure is logged and does not stop the others."""
        try:
            workspace = await self.open(folder.name)
            if workspace is not None:
                await self.remove(workspace)
            else:
                await asyncio.to_thread(self._detach, folder)
                await asyncio.to_thread(remove_tree, folder)
        except (HonkError, OSError) as problem:
            log.warning(log_events.WORKSPACE_REMOVAL_FAILED, name=folder.name, why=str(problem))
            return False
        return True

    async def discard(self, workspace: Workspace) -> None:
        """Like `remove`, but moves the files aside and deletes them in the background."""
        # Without its file system the folder is empty, and a mount point cannot be moved.
        await asyncio.to_thread(self._detach, workspace.folder)
        aside = Path(tempfile.mkdtemp(dir=self._root, prefix=".grave-"))
        with contextlib.suppress(FileNotFoundError):
            workspace.folder.rename(aside / "0")
        for what in ("base", "tree"):
            await self.mirrors.unpin(workspace.repo, workspace.pin(what))
        going = asyncio.create_task(asyncio.to_thread(remove_tree, aside))
        self._going.add(going)
        going.add_done_callback(self._gone)

    def _gone(self, going: asyncio.Task[None]) -> None:
        self._going.discard(going)
        if not going.cancelled() and (problem := going.exception()) is not None:
            log.warning(log_events.CHECKOUT_REMOVAL_FAILED, why=str(problem))

    def spec(
        self,
        workspace: Workspace,
        *,
        limits: ResourceLimits | None = None,
        writable: bool = True,
        environment: Mapping[str, str] | None = None,
        mounts: tuple[Mount, ...] = (),
        image: str | None = None,
        with_services: bool = False,
    ) -> SandboxSpec:
        """A sandbox for the workspace, with the mirror's objects where its `.git` expects them.

        Besides the toolchains in /usr it sees those that this machine provides. `with_services`
        starts the databases that the checkout's tests expect.
        """
        own = self.toolchains.environment(self.sandbox, workspace.path)
        own = self.toolchains.prepared(self.sandbox, workspace.path, own, workspace.prepared)
        return SandboxSpec(
            workspace=workspace.path,
            workspace_writable=writable,
            mounts=(
                self._objects(workspace),
                *self.toolchains.mounts,
                *_build_outputs(workspace),
                *mounts,
            ),
            environment={**own, **(environment or {})},
            limits=limits or ResourceLimits(),
            image=image,
            own_disk=workspace.own_disk,
            services=workspace.prepared.services if with_services else (),
        )

    def objects_inside(self, workspace: Workspace) -> str:
        """The path of the mirror's objects inside a sandbox."""
        return self.sandbox.seen(self._objects(workspace))

    @asynccontextmanager
    async def scratch(self, workspace: Workspace) -> AsyncIterator[Mount]:
        """A temporary directory that one sandbox writes and the worker reads."""
        folder = Path(tempfile.mkdtemp(dir=workspace.folder, prefix="scratch-"))
        try:
            self.sandbox.claim(folder, like=workspace.path)
            yield Mount(folder, _SCRATCH, writable=True)
        finally:
            await asyncio.to_thread(removed, [folder])

    def _objects(self, workspace: Workspace) -> Mount:
        return Mount(self.mirrors.objects(workspace.repo), OBJECTS)

    def _lay_out(self, workspace: Workspace) -> None:
        workspace.folder.mkdir(parents=True)
        workspace.folder.chmod(0o700)
        if self._disks is not None:
            self._disks.attach(workspace.folder)
        workspace.made.write_bytes(b"")
        workspace.contents.write_bytes(b"")
        for file in (workspace.made, workspace.contents):
            open_for_sandboxes(file)
        workspace.path.mkdir(mode=0o700)
        self.sandbox.claim(workspace.path)

    async def _check_out(self, workspace: Workspace, tree: TreeSha, fetched: Fetched) -> None:
        workspace.contents.write_bytes(
            b"".join(os.fsencode(f"{each.oid}\0{each.path}\0") for each in fetched.files)
        )
        contents = contents_of(workspace)
        submodules = [
            (each, Mount(each.objects, f"{_SUBMODULES}/{at}"))
            for at, each in enumerate(fetched.submodules)
        ]
        seen = self.sandbox.seen
        files = await self.mirrors.files(workspace.repo, workspace.base)
        generated = patterns(files)
        tags = as_packed_refs(await self.mirrors.tags(workspace.repo, workspace.base))
        outputs = await self._outputs.needed(files) if self._outputs is not None else ()
        mounted = [(str(each.mount.source), each.mount.target) for each in outputs]
        workspace.outputs.write_text(json.dumps(mounted))
        async with self.scratch(workspace) as scratch:
            write_readable(scratch.source / "generated", as_exclude_file(generated))
            links = (f"{each.mount.target} {each.cache}\n" for each in outputs)
            write_readable(scratch.source / "outputs", "".join(links).encode())
            if tags:
                write_readable(scratch.source / "tags", tags)
            spec = self.spec(
                workspace,
                limits=_CHECKOUT_LIMITS,
                environment=inside_environment(),
                mounts=(scratch, *([contents] if contents else []), *(m for _, m in submodules)),
            )
            words = [workspace.base, tree, self.objects_inside(workspace), seen(scratch)]
            words.append(seen(contents) if contents else "")
            for each, mount in submodules:
                words += [each.path, each.commit, seen(mount)]
            done = await self.sandbox.run(
                spec,
                ["/bin/sh", "-c", _CHECKOUT, "checkout", *words],
                stdin=workspace.contents.read_bytes(),
            )
            done.demand_a_sandbox()
            if not done.ok:
                raise UserError(
                    f"{workspace.repo} could not be checked out at {workspace.base}: "
                    f"{done.text.strip()[-500:] or done.how_it_ended}."
                )
            await asyncio.to_thread(_keep_index, scratch.source, workspace.index)
        described = _Description(repo=workspace.repo, base=workspace.base, lfs=workspace.lfs)
        (workspace.folder / "workspace.json").write_text(described.model_dump_json())


def _build_outputs(workspace: Workspace) -> list[Mount]:
    """The read-only mounts that the workspace's caches link to, as far as they still exist."""
    try:
        mounted = json.loads(workspace.outputs.read_bytes())
    except FileNotFoundError:
        return []
    folders = ((Path(source), target) for source, target in mounted)
    return [Mount(source, target) for source, target in folders if source.is_dir()]


def as_exclude_file(lines: Sequence[str]) -> bytes:
    """Patterns in the format of git's exclude files (gitignore(5))."""
    return b"".join(os.fsencode(line) + b"\n" for line in lines)


def write_readable(path: Path, content: bytes) -> None:
    """Write a file that a sandbox's user can read, whatever the worker's umask."""
    path.write_bytes(content)
    path.chmod(0o644)


def contents_of(workspace: Workspace) -> Mount | None:
    """The mount of the repository's LFS contents, if there are any."""
    return Mount(workspace.lfs, CONTENTS) if workspace.lfs and workspace.lfs.is_dir() else None


def _keep_index(source: Path, target: Path) -> None:
    """Copy the index with its mtime, which git compares to detect files changed since."""
    with open_file(source, "index") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
        status = os.fstat(file.fileno())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    open_for_sandboxes(target)
