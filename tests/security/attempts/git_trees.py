"""What a work tree and its `.git` try when the worker takes the work, and refs and packs."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.errors import HonkError
from app.git.checkout import Workspace
from app.git.command import GIT, GitError
from app.git.packing import pack
from app.git.snapshots import snapshots_of
from tests.security.harness import Attempt, Outcome, got, outcome, stopped
from tests.support.malformed import commit_by, tree_of
from tests.support.workspaces import REPO, World, run_git

CANARY = "canary-92b4e0"

_NAIVE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0"}
_WHO = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "safe.directory=*")

Take = Callable[[World, Workspace], Awaitable[str]]
"""Makes a tree of the work and tells what is in it, as `git ls-tree -r` with contents."""


def _git(cwd: Path, *words: str, objects: Path | None = None) -> str:
    """A naive way to run git: in the work tree, with the configuration that it finds there."""
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects)} if objects else {}
    done = subprocess.run(
        [GIT, *_WHO, *words], cwd=cwd, env={**_NAIVE, **borrowed}, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8", "replace")


def _packed_by_hand(cwd: Path, *words: str, revisions: str = "", into: bytes = b"") -> bytes:
    given = revisions.encode() or into
    done = subprocess.run(
        [GIT, *words], cwd=cwd, env=_NAIVE, input=given, capture_output=True, check=True
    )
    return done.stdout


async def packed(world: World, workspace: Workspace) -> str:
    """The product's ways, which have to agree: at the end of the work, and twice during it."""
    found = await pack(workspace, world.workspaces)
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        assert [await snapshots.take() for _ in range(2)] == [found.tree] * 2
    mirror = world.mirrors.path(REPO)
    listed = run_git(mirror, "ls-tree", "-r", found.tree)
    shown = [
        run_git(mirror, "cat-file", "-p", line.split()[2])
        for line in listed.splitlines()
        if " blob " in line
    ]
    return "\n".join([listed, *shown])


async def in_place(world: World, workspace: Workspace) -> str:
    """No defense: the agent's own repository, outside of any sandbox."""
    git = functools.partial(_git, workspace.path, objects=world.mirrors.objects(workspace.repo))
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "Work")
    listed = git("ls-tree", "-r", git("write-tree").strip())
    blobs = [line.split()[2] for line in listed.splitlines() if " blob " in line]
    return "\n".join([listed, *(git("cat-file", "-p", blob) for blob in blobs)])


_EVIL = """
printf '#!/bin/sh\\ntouch %s/ran\\ncat\\n' "$OUTSIDE" > /workspace/evil; chmod 755 /workspace/evil
evil=/workspace/evil
"""
# A naive worker finds the program by the path that this machine knows.
_HERE = 'evil="$REAL/evil"\n'


async def _executes(script: str, take: Take, folder: Path) -> Outcome:
    """Whether something that the agent left runs outside: it would leave a file there."""
    outside = folder / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (folder / "worlds").mkdir()
    world = World.make(folder / "worlds")
    world.origin.write("file", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    head = f"OUTSIDE={outside}\nREAL={workspace.path}\n{_EVIL}{_HERE}"
    await world.inside(workspace, head + script)
    told = await take(world, workspace)
    ran = (outside / "ran").exists()
    return outcome(ran, "it ran outside", f"{len(told.splitlines())} lines taken, nothing ran")


async def _contains(script: str, wanted: str, take: Take, folder: Path) -> Outcome:
    """Whether something gets into the tree that does not belong there."""
    private = folder / "private"
    private.mkdir()
    private.chmod(0o755)
    (private / "secret").write_text(CANARY)
    run_git(private, "init", "-q")
    run_git(private, "add", "-A")
    run_git(private, "commit", "-q", "-m", "x")
    blob = run_git(private, "rev-parse", "HEAD:secret")
    (folder / "worlds").mkdir()
    world = World.make(folder / "worlds")
    world.origin.write("file", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    head = f"PRIVATE={private}\nBLOB={blob}\nREAL={workspace.path}\n"
    await world.inside(workspace, head + script)
    told = await take(world, workspace)
    return outcome(wanted in told, f"{wanted} is in the tree", "it is not in the tree")


def _runs(name: str, script: str) -> Attempt:
    run = functools.partial(_executes, script)
    return Attempt(
        name,
        "packed in a second sandbox with a separate Git directory",
        functools.partial(run, packed),
        functools.partial(run, in_place),
    )


def _brings(name: str, script: str, wanted: str, defense: str) -> Attempt:
    run = functools.partial(_contains, script, wanted)
    return Attempt(name, defense, functools.partial(run, packed), functools.partial(run, in_place))


# Refs, fetches and packs.


async def naive_fetch(world: World, ref: str) -> None:
    """No defense: a ref's name is put into the command line as it is."""
    clone = world.origin.clone
    _git(clone, "fetch", ref, str(world.origin.bare))


async def checked_fetch(world: World, ref: str) -> None:
    await world.mirrors.fetch(REPO, world.origin.remote, ref)


async def _ref(ref: str, fetch: Callable[[World, str], Awaitable[None]], folder: Path) -> Outcome:
    world = World.make(folder)
    world.origin.write("file", "1\n")
    world.origin.commit()
    mark = folder / "ran"
    try:
        await fetch(world, ref.replace("MARK", str(mark)))
    except (ValueError, HonkError) as refused:
        return outcome(mark.exists(), "it ran", str(refused))
    return outcome(mark.exists(), "it ran", "nothing ran")


async def _big_pack(most: int, folder: Path) -> Outcome:
    world = World.make(folder)
    world.origin.write("file", "1\n")
    world.origin.commit()
    await world.fetched()
    world.origin.write("big", os.urandom(3 << 20))
    world.origin.commit("Big")
    words = ("pack-objects", "--revs", "--stdout", "-q")
    made = _packed_by_hand(world.origin.clone, *words, revisions="HEAD\n")
    file = folder / "pack"
    file.write_bytes(made)
    try:
        with file.open("rb") as pack_file:
            await world.mirrors.add_pack(REPO, pack_file, most)
    except GitError as refused:
        return stopped(refused.words.splitlines()[0])
    return got(f"{len(made):,} bytes taken in")


async def strict(world: World, made: bytes, folder: Path) -> None:
    file = folder / "pack"
    file.write_bytes(made)
    with file.open("rb") as pack_file:
        await world.mirrors.add_pack(REPO, pack_file, 1 << 30)


async def lenient(world: World, made: bytes, folder: Path) -> None:
    """No defense: a pack is taken in as it comes."""
    words = ("index-pack", "--stdin", "--fix-thin")
    _packed_by_hand(world.mirrors.path(REPO), *words, into=made)


Receive = Callable[[World, bytes, Path], Awaitable[None]]


async def _evil_tree(name: str, receive: Receive, folder: Path) -> Outcome:
    """A tree with an entry that a checkout would write into `.git`."""
    world = World.make(folder)
    world.origin.write("file", "1\n")
    world.origin.commit()
    await world.fetched()
    clone = world.origin.clone
    blob = run_git(clone, "rev-parse", "HEAD:file")
    entry = f"100644 {name}".encode() + b"\0" + bytes.fromhex(blob)
    tree = run_git(clone, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entry)
    words = ("pack-objects", "--stdout", "-q")
    made = _packed_by_hand(clone, *words, revisions=f"{tree}\n{blob}\n")
    try:
        await receive(world, made, folder)
    except GitError as refused:
        return stopped(refused.words.splitlines()[-1])
    held = run_git(world.mirrors.path(REPO), "cat-file", "-t", tree)
    return got(f"a {held} with {name}")


async def naive_mirror(world: World, ref: str) -> str:
    """No defense: what git makes of a name, and of whatever it leads to."""
    clone = world.origin.clone
    _git(clone, "fetch", str(world.origin.bare), ref)
    return _git(clone, "rev-parse", "FETCH_HEAD").strip()


async def mirrored(world: World, ref: str) -> str:
    return await world.mirrors.fetch(REPO, world.origin.remote, ref) or ""


Mirror = Callable[[World, str], Awaitable[str]]


async def _old_tree(entry: bytes, mirror: Mirror, folder: Path) -> Outcome:
    """A commit deep in the history has a tree that would harm a checkout."""
    world = World.make(folder)
    world.origin.write("file", "1\n")
    base = world.origin.commit()
    bare = world.origin.bare
    mode, name = entry.split(b" ", 1)
    blob = run_git(bare, "rev-parse", "main:file")
    evil = commit_by(bare, base, tree=tree_of(bare, (mode, name, blob)))
    tip = commit_by(bare, evil, tree=run_git(bare, "rev-parse", f"{base}^{{tree}}"))
    run_git(bare, "update-ref", "refs/heads/main", tip)
    try:
        found = await mirror(world, "refs/heads/main")
    except HonkError as refused:
        return stopped(str(refused))
    return outcome(found == tip, "the history is here", "the history is not here")


async def _namesake(kind: str, mirror: Mirror, folder: Path) -> Outcome:
    """The branch was deleted, and another ref has its full name."""
    world = World.make(folder)
    sha = world.origin.commit()
    run_git(world.origin.bare, "update-ref", f"refs/{kind}/refs/heads/gone", sha)
    found = await mirror(world, "refs/heads/gone")
    return outcome(found == sha, "another ref was taken for the branch", "there is no such branch")


_OURS = "only the work tree counts, with a Git directory of our own"

ATTEMPTS = (
    _runs(
        "a hook in .git/hooks",
        "for hook in pre-commit post-index-change; do cp evil .git/hooks/$hook 2>/dev/null || "
        "{ mkdir -p .git/hooks; cp evil .git/hooks/$hook; }; done",
    ),
    _runs(
        "core.hooksPath", "mkdir hooks; cp evil hooks/pre-commit; git config core.hooksPath hooks"
    ),
    _runs("core.fsmonitor", 'git config core.fsmonitor "$evil"'),
    _runs(
        "a filter driver (clean)",
        'git config filter.x.clean "$evil"; echo "* filter=x" > .gitattributes; '
        "rm .git/info/attributes; echo 2 > file",
    ),
    _runs(
        "a filter driver that is a process",
        'git config filter.x.process "$evil"; git config filter.x.required false; '
        'echo "* filter=x" > .gitattributes; rm .git/info/attributes; echo 2 > file',
    ),
    _runs(
        "a signing program",
        'git config commit.gpgSign true; git config gpg.program "$evil"',
    ),
    _runs(
        "a nested repository with a filter",
        "mkdir nested; cd nested; git init -q; git -c user.name=x -c user.email=x commit -q "
        '--allow-empty -m x; cd ..; git add nested; git -C nested config core.fsmonitor "$evil"',
    ),
    _runs(
        "a .git file that points elsewhere",
        'git config core.fsmonitor "$evil"; mv .git elsewhere; echo "gitdir: elsewhere" > .git',
    ),
    _runs(
        "a .git symlink",
        'git config core.fsmonitor "$evil"; mv .git elsewhere; ln -s elsewhere .git',
    ),
    _runs(
        "an included configuration",
        'printf "[core]\\n\\tfsmonitor = %s\\n" "$evil" > more; git config include.path ../more',
    ),
    _brings(
        "a core.worktree that points outside",
        "git config core.worktree $PRIVATE",
        CANARY,
        _OURS,
    ),
    _brings(
        "alternates and an index that name another repository's object",
        "echo $PRIVATE/.git/objects >> .git/objects/info/alternates\n"
        "rm .git/index; git read-tree HEAD\n"
        "git update-index --add --info-only --cacheinfo 100644,$BLOB,stolen\n"
        "git update-index --skip-worktree stolen || true",
        CANARY,
        _OURS,
    ),
    _brings(
        "a symlink that points outside",
        "ln -s /etc/passwd link",
        "120000",
        "symlinks that point outside are left out",
    ),
    _brings(
        "a crafted submodule URL",
        "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = ext::sh -c evil\\n' > .gitmodules",
        ".gitmodules",
        ".gitmodules is kept as it was",
    ),
    _brings(
        "a nested repository as a submodule",
        "mkdir nested; cd nested; git init -q; git -c user.name=x -c user.email=x commit -q "
        "--allow-empty -m x",
        "160000",
        "nested repositories are left out",
    ),
    Attempt(
        "a ref that is an option (--upload-pack)",
        "strict ref format",
        functools.partial(_ref, "--upload-pack=touch MARK;git-upload-pack", checked_fetch),
        functools.partial(_ref, "--upload-pack=touch MARK;git-upload-pack", naive_fetch),
    ),
    Attempt(
        "an endless pack",
        "pack size limit",
        functools.partial(_big_pack, 1 << 20),
        functools.partial(_big_pack, 1 << 30),
    ),
    *(
        Attempt(
            f"a tree with an entry called {name}",
            "packs are checked strictly",
            functools.partial(_evil_tree, name, strict),
            functools.partial(_evil_tree, name, lenient),
        )
        for name in (".git", "..", ".GIT")
    ),
    *(
        Attempt(
            f"a history with {entry.decode()} in an old tree",
            "checks that a fetch enforces (app/git/fsck.py)",
            functools.partial(_old_tree, entry, mirrored),
            functools.partial(_old_tree, entry, naive_mirror),
        )
        for entry in (b"100644 .git", b"100644 ..", b"120000 .gitmodules", b"100644 a/b")
    ),
    *(
        Attempt(
            f"a {what} named like a deleted branch",
            "the fetched ref must have exactly that name",
            functools.partial(_namesake, kind, mirrored),
            functools.partial(_namesake, kind, naive_mirror),
        )
        for kind, what in (("tags", "tag"), ("heads", "branch"))
    ),
)
