"""The repository of a task: one commit with its history, and nothing later."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.domain.evaluation import EvalTask
from app.errors import UserError
from app.local import checkout as checkouts
from app.local.checkout import run_git

BRANCH = "main"

_REPOSITORY = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9._-]+")
_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Honk"), ("EMAIL", "honk@localhost"), ("DATE", "@0 +0000"))
}


async def prepare(task: EvalTask, folder: Path, clones: Path | None, cache: Path, url: str) -> str:
    """Make the bare repository `folder` with the task's base commit as its only branch.

    A repository named `owner/name` is looked for below `clones` (as owner/name, owner__name or
    name), and else cloned once from the server `url` to `cache`. Returns the base commit. Raises
    UserError when the repository or the commit is unavailable.
    """
    source = await _source(task.repository, clones, cache, url)
    if not await _is_repository(source):
        return await _import(source, folder)
    base = await checkouts.resolve(source, task.base or "HEAD")
    if base is None:
        raise UserError(f"{source} does not have the commit {task.base or 'HEAD'}.")
    await checkouts.make_bare(source, folder, base, BRANCH)
    return base


async def _source(repository: str, clones: Path | None, cache: Path, url: str) -> Path:
    if Path(repository).is_dir():
        return Path(repository)
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository} is neither a folder nor owner/name.")
    owner, _, name = repository.partition("/")
    for candidate in (f"{owner}/{name}", f"{owner}__{name}", name):
        for end in ("", ".git"):
            if clones is not None and (clones / f"{candidate}{end}").is_dir():
                return clones / f"{candidate}{end}"
    return await _cloned(repository, cache / f"{owner}__{name}.git", url)


async def _cloned(repository: str, target: Path, url: str) -> Path:
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as partial:
        copy = Path(partial) / "clone.git"
        done = await run_git(
            target.parent, "clone", "--quiet", "--bare", f"{url}/{repository}.git", str(copy)
        )
        if done.code != 0:
            raise UserError(
                f"{repository} cannot be cloned from {url}: {done.problem[-300:]}",
                next_step="Clone it yourself and name the folder with --repos.",
            )
        copy.rename(target)
    return target


async def _is_repository(path: Path) -> bool:
    """Whether the folder itself is a repository; a folder inside a repository is imported."""
    found = await run_git(path, "rev-parse", "--path-format=absolute", "--git-dir")
    if found.code != 0:
        return False
    return Path(os.fsdecode(found.output).strip()) in (path.resolve(), path.resolve() / ".git")


async def _import(source: Path, folder: Path) -> str:
    """A repository with one commit of the folder's files."""
    await run_git(
        folder.parent, "init", "--quiet", "--bare", "--template=", str(folder), check=True
    )
    with _index() as index:
        at = (f"--git-dir={folder}", f"--work-tree={source.resolve()}")
        await run_git(source, *at, "add", "--all", ".", check=True, environment=index)
        tree = await _text(folder, "write-tree", environment=index)
    commit = await _commit(folder, tree)
    await run_git(folder, "update-ref", f"refs/heads/{BRANCH}", commit, check=True)
    await run_git(folder, "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}", check=True)
    return commit


async def with_gold(task: EvalTask, folder: Path, base: str) -> str:
    """A commit with the task's known solution. Raises UserError when it does not apply."""
    with _index() as index:
        await run_git(folder, "read-tree", base, check=True, environment=index)
        await _apply(folder, task.gold, "patch", index)
        tree = await _text(folder, "write-tree", environment=index)
    return await _commit(folder, tree, base)


async def with_tests(task: EvalTask, folder: Path, base: str, work: str) -> str:
    """A commit with the work and the hidden tests over it, which replace the work's own versions.

    `work` is a commit in `folder`. Raises UserError when the patch of the tests does not apply.
    """
    overlay = await _overlay(task, folder, base)
    with _index() as index:
        await run_git(folder, "read-tree", work, check=True, environment=index)
        options = ("--add", "--replace", "-z", "--index-info")
        done = await run_git(
            folder, "update-index", *options, check=True, given=overlay, environment=index
        )
        if done.problem:
            # git leaves out paths that are invalid in a tree, with only a warning.
            raise UserError(f"The hidden tests cannot be added: {done.problem[-300:]}")
        tree = await _text(folder, "write-tree", environment=index)
    return await _commit(folder, tree, work)


async def _overlay(task: EvalTask, folder: Path, base: str) -> bytes:
    """The hidden tests as lines for `git update-index --index-info`."""
    lines = b""
    if task.test_patch:
        with _index() as index:
            await run_git(folder, "read-tree", base, check=True, environment=index)
            await _apply(folder, task.test_patch, "test_patch", index)
            tree = await _text(folder, "write-tree", environment=index)
        options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev")
        found = await run_git(folder, "diff-tree", *options, base, tree, check=True)
        lines += _changed(found.output)
    for path, text in task.tests.items():
        sha = await _text(folder, "hash-object", "-w", "--stdin", given=text.encode())
        lines += f"100644 {sha}\t{path}\0".encode()
    return lines


def _changed(raw: bytes) -> bytes:
    """`git diff-tree -z --raw` as input of `git update-index -z --index-info`."""
    fields = raw.split(b"\0")[:-1]
    lines = b""
    for head, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, sha, _ = head.lstrip(b":").split(b" ")
        lines += mode.lstrip(b"0").rjust(1, b"0") + b" " + sha + b"\t" + path + b"\0"
    return lines


async def _apply(folder: Path, patch: str, name: str, index: Mapping[str, str]) -> None:
    text = patch if patch.endswith("\n") else f"{patch}\n"
    options = ("--cached", "--whitespace=nowarn")
    done = await run_git(folder, "apply", *options, "-", given=text.encode(), environment=index)
    if done.code != 0:
        raise UserError(f"The task's `{name}` does not apply to its base: {done.problem[-300:]}")


async def _commit(folder: Path, tree: str, parent: str | None = None) -> str:
    """A commit that a ref names, so that it can be fetched."""
    parents = ("-p", parent) if parent else ()
    commit = await _text(
        folder, "commit-tree", tree, *parents, "-m", "Imported", environment=_IDENTITY
    )
    await run_git(folder, "update-ref", f"refs/honk-eval/{commit}", commit, check=True)
    return commit


async def _text(
    folder: Path,
    *arguments: str,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> str:
    done = await run_git(folder, *arguments, check=True, given=given, environment=environment)
    return os.fsdecode(done.output).strip()


@contextmanager
def _index() -> Iterator[dict[str, str]]:
    """The environment of commands that share a separate index."""
    with tempfile.TemporaryDirectory(prefix="honk-index-") as folder:
        yield {"GIT_INDEX_FILE": f"{folder}/index"}
