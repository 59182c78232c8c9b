"""Turn a work tree into a tree in the mirror, and take nothing else over.

Only the files count. The agent's own `.git` is used for one thing: which ignored files it added.
Git reads the work tree in a second sandbox with a fresh git directory. The result is a pack, which
the worker treats like one from a stranger: it verifies the objects and then inspects the changes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.domain.generated import patterns
from app.domain.values import RepoName, TreeSha, printable_name, tree_sha
from app.errors import UserError
from app.git.checkout import (
    Workspace,
    Workspaces,
    as_exclude_file,
    contents_of,
    write_readable,
)
from app.git.command import GitError, inside_environment, means_disk_full
from app.git.mirror import FileChange, Mirrors
from app.git.pack_scripts import PACK
from app.sandbox.spec import (
    GIB,
    MIB,
    Completed,
    Mount,
    ResourceLimits,
)
from app.sandbox.untrusted_files import NotReadableError, open_file, read_file

MAX_PACK_BYTES = 2 * GIB
_MAX_WORDS = 50
_MAX_NAMED = 10
SAVED_INDEX = "/run/honk/index"
MADE = "/run/honk/made"
_LAID_IN = "/run/honk/laid-in"
LIMITS = ResourceLimits(seconds=900, file_bytes=MAX_PACK_BYTES, output_bytes=MIB)
_NO_SHA = "0" * 40

_UNREADABLE = re.compile(r"error: open\(\"(.*)\"\): (.*)")
_REFUSED = re.compile(
    r"error: (?:(?:invalid path|unable to index file) )?'(.*?)/?'"
    r"|error: (.*): can only add regular files"
)


@dataclass(frozen=True)
class PackedTree:
    """The work tree as a tree in the mirror, pinned for as long as the workspace exists.

    `changes` is the difference from the workspace's base; each text in `skipped` names something
    that was left out, and why.
    """

    tree: TreeSha
    changes: tuple[FileChange, ...]
    skipped: tuple[str, ...]


async def pack(workspace: Workspace, workspaces: Workspaces) -> PackedTree:
    """Pack the current work tree. Its sandboxes should be dead.

    Leaves out files that the repository's `.gitignore` matches or that tools generated (unless the
    agent added them to its own index), and always those that setup created. Submodules and Git LFS
    files stay as they are in the base. Links that lead outside, new nested repositories and changes
    to `.gitmodules` are left out and reported. Raises UserError when the tree cannot be packed,
    RetryableError when the sandbox went away.
    """
    mirrors, repo = workspaces.mirrors, workspace.repo
    links = await mirrors.gitlinks(repo, workspace.base)
    last = mirrors.pinned(repo, workspace.pin("tree"))
    generated = patterns(await mirrors.files(repo, workspace.base))
    async with workspaces.scratch(workspace) as scratch:
        write_readable(scratch.source / "generated", as_exclude_file(generated))
        await _pack_inside(workspace, workspaces, scratch, last, has_submodules=bool(links))
        packed = await asyncio.to_thread(read_tree_name, scratch.source)
        skipped = await asyncio.to_thread(_describe_skipped, scratch.source, links)
        if packed != last:
            await add_pack(mirrors, repo, scratch.source)
    changes = await mirrors.changes(repo, workspace.base, packed)
    tree, refused = await without_forbidden(mirrors, repo, packed, changes)
    if refused:
        changes = await mirrors.changes(repo, workspace.base, tree)
    if not changes:
        # Git writes old trees with zero-padded modes differently; that is not a change.
        tree = await mirrors.tree_of(repo, workspace.base)
    await mirrors.pin(repo, workspace.pin("tree"), tree)
    return PackedTree(tree, changes, (*skipped, *refused))


async def _pack_inside(
    workspace: Workspace,
    workspaces: Workspaces,
    scratch: Mount,
    last: str | None,
    *,
    has_submodules: bool,
) -> None:
    """Run the pack script. If the tree equals `last`, which the mirror has, no pack is written."""
    saved = Mount(workspace.index, SAVED_INDEX)
    made, laid = Mount(workspace.made, MADE), Mount(workspace.contents, _LAID_IN)
    contents = contents_of(workspace)
    spec = workspaces.spec(
        workspace,
        limits=LIMITS,
        writable=False,
        environment=inside_environment(),
        mounts=(scratch, saved, made, laid, *([contents] if contents else [])),
    )
    seen = workspaces.sandbox.seen
    words = [workspace.base, workspaces.objects_inside(workspace), seen(scratch), seen(saved)]
    words += [seen(made), seen(laid), seen(contents) if contents else ""]
    words += ["yes" if has_submodules else "", last or ""]
    done = await workspaces.sandbox.run(spec, ["/bin/sh", "-c", PACK, "pack", *words])
    demand_packed(done)


def demand_packed(done: Completed) -> None:
    """Raise what a script for packing ended with, if not well: see `pack`; OSError without room."""
    done.demand_a_sandbox()
    if means_disk_full(done.text) and not done.ok:
        raise OSError(errno.ENOSPC, f"packing: {_failure_text(done)}")
    if not done.ok:
        raise UserError(f"The work tree could not be packed: {_failure_text(done)}.")


def _failure_text(done: Completed) -> str:
    return done.how_it_ended or done.text.strip()[-500:] or f"exit code {done.exit_code}"


def read_tree_name(scratch: Path) -> TreeSha:
    """The tree that a script named. Raises UserError if it is not the name of a tree."""
    try:
        return tree_sha(read_file(scratch, "tree", 100).decode("ascii", "replace"))
    except (NotReadableError, ValueError) as error:
        raise UserError(f"The work tree could not be packed: {error}.") from error


async def add_pack(mirrors: Mirrors, repo: RepoName, scratch: Path) -> None:
    """Put what a script packed into the mirror. Raises UserError if it is not valid."""
    try:
        with open_file(scratch, "pack") as file:
            await mirrors.add_pack(repo, file, MAX_PACK_BYTES)
    except (NotReadableError, GitError) as error:
        raise UserError(f"The packed work tree is invalid: {error}.") from error


def _describe_skipped(scratch: Path, links: dict[str, str]) -> tuple[str, ...]:
    """Describe what git did not add: unreadable files, invalid names, nested repositories."""
    output = printable_name(read_file(scratch, "words", 16 * MIB))
    words = [f"`{path}` could not be read: {why}" for path, why in _UNREADABLE.findall(output)]
    unreadable = {path for path, _ in _UNREADABLE.findall(output)}
    words += [
        f"`{path}` could not be taken"
        for path in dict.fromkeys(first or second for first, second in _REFUSED.findall(output))
        if path not in unreadable
    ]
    for row in read_file(scratch, "links", 16 * MIB).split(b"\0")[:-1]:
        described, _, name = row.partition(b"\t")
        path, sha = os.fsdecode(name), described.split()[1].decode()
        if path not in links:
            words.append(f"`{printable_name(name)}` is a repository of its own: it was left out")
        elif links[path] != sha:
            words.append(f"`{printable_name(name)}` is a submodule: it was left as it was")
    altered = read_file(scratch, "altered", 16 * MIB).split(b"\0")[:-1]
    words += [
        f"`{printable_name(path)}` is kept in Git LFS: it was left as it was" for path in altered
    ]
    words += _left_out_by_kind(scratch)
    if len(words) > _MAX_WORDS:
        words[_MAX_WORDS:] = [f"and {len(words) - _MAX_WORDS} more"]
    return tuple(words)


def _left_out_by_kind(scratch: Path) -> list[str]:
    """Describe what was left out, one line per reason: there may be thousands of files."""
    words = []
    if left := _names(scratch, "left"):
        words.append(f"{_summarize_names(left)}: generated by tools. `git add -f` takes a file in")
    if made := _names(scratch, "made-added"):
        words.append(f"{_summarize_names(made)}: made by setup, which no commit takes in")
    return words


def _names(scratch: Path, file: str) -> list[str]:
    return [printable_name(row) for row in read_file(scratch, file, 16 * MIB).split(b"\0") if row]


def _summarize_names(paths: Sequence[str]) -> str:
    """File names with how often each occurs, the most frequent first."""
    counts = Counter(path.rstrip("/").rpartition("/")[2] for path in paths)
    named = [
        f"`{name}`" if count == 1 else f"`{name}` ({count:,} times)"
        for name, count in counts.most_common(_MAX_NAMED)
    ]
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


async def without_forbidden(
    mirrors: Mirrors, repo: RepoName, tree: TreeSha, changes: Sequence[FileChange]
) -> tuple[TreeSha, tuple[str, ...]]:
    """Restore forbidden changes to the base's state; also returns a text for each."""
    entries: list[tuple[str, str, str]] = []
    words: list[str] = []
    for change in changes:
        reason = await _forbidden(mirrors, repo, change)
        if reason:
            kept = change.old_mode != "000000"
            entries.append(
                (change.old_mode, change.old_sha, change.path)
                if kept
                else ("0", _NO_SHA, change.path)
            )
            words.append(f"`{printable_name(change.path)}` {reason}")
    if entries:
        tree = await mirrors.tree_with(repo, tree, entries)
    return tree, tuple(words)


async def _forbidden(mirrors: Mirrors, repo: RepoName, change: FileChange) -> str:
    if "160000" in (change.old_mode, change.new_mode):
        return "is a submodule: it was left as it was"
    if change.path.rpartition("/")[2].lower() == ".gitmodules":
        return "says where submodules come from: it was left as it was"
    if change.new_mode == "120000":
        target = await mirrors.link_target(repo, change.new_sha)
        if leads_outside(change.path, os.fsdecode(target)):
            return "is a link that leads outside of the repository: it was left out"
    return ""


def leads_outside(path: str, target: str) -> bool:
    """Whether a link at `path` (relative to the repository root) leaves the repository.

    `..` is allowed only at the beginning: after a name that is itself a link it could lead
    anywhere.
    """
    if target.startswith("/"):
        return True
    parts: Sequence[str] = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    return climbs > path.count("/") or ".." in parts[climbs:]
