"""The user's own repository: read at its last commit, with a new branch on request.

Git runs here as the user would run it, with their configuration, but without hooks. The work tree,
the index and the current branch are never changed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain import policy as policies
from app.errors import UserError

_NO_SURPRISES = (
    "--no-optional-locks",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "protocol.file.allow=always"),
    *("-c", "transfer.fsckObjects=true"),
    *("-c", "advice.diverging=false"),
)
_BRANCHES_TRIED = 100


@dataclass(frozen=True)
class UserCheckout:
    """A checkout at the commit `head`. `branch` is what is checked out, "" if nothing is.

    `uncommitted` counts changed and untracked files, which Honk does not see.
    """

    path: Path
    head: str
    branch: str
    uncommitted: int


async def read_checkout(path: Path) -> UserCheckout:
    """Raises UserError if it is not a git repository, or if its history is incomplete."""
    path = path.resolve()
    inside = await _try(path, "rev-parse", "--show-toplevel")
    if inside is None:
        raise UserError(
            f"{path} is not a checkout of a git repository.", next_step="Run git init in it."
        )
    path = Path(inside)
    head = await _try(path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        raise UserError(f"{path} has no commit.", next_step="Commit its files first.")
    if await _git(path, "rev-parse", "--is-shallow-repository") == "true":
        raise UserError(
            f"{path} is a shallow clone.", next_step="Run git fetch --unshallow in it first."
        )
    if await _try(path, "config", "--get-regexp", r"^remote\..*\.promisor$"):
        raise UserError(
            f"{path} is a partial clone, so some of its files may be missing.",
            next_step="Try it in a full clone.",
        )
    branch = await _try(path, "symbolic-ref", "--quiet", "--short", "HEAD") or ""
    changed = await _git(path, "status", "--porcelain", "-z", "--no-renames")
    return UserCheckout(path, head, branch, changed.count("\0"))


async def copy_of(checkout: UserCheckout, folder: Path) -> tuple[Path, str]:
    """A bare repository in `folder` with the checkout's history and nothing later, and the name of
    its only branch: the policy's base if it names one.

    It shares the user's objects instead of copying them. Raises UserError for a broken policy.
    """
    branch = await _base_of_policy(checkout) or checkout.branch or "main"
    await make_bare(checkout.path, folder, checkout.head, branch)
    return folder, branch


async def make_bare(source: Path, folder: Path, commit: str, branch: str) -> None:
    """A bare repository with the history of one commit, and the tags in it, as branch `branch`."""
    objects = await _git(source, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    await _git(source, "init", "--quiet", "--bare", "--template=", str(folder))
    (folder / "objects" / "info").mkdir(exist_ok=True)
    (folder / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    tags = await _git(
        source, "for-each-ref", f"--merged={commit}", "--format=%(refname) %(objectname)",
        "refs/tags",
    )  # fmt: skip
    for line in tags.splitlines():
        name, _, sha = line.rpartition(" ")
        await _git(folder, "update-ref", name, sha)
    await _git(folder, "update-ref", f"refs/heads/{branch}", commit)
    await _git(folder, "symbolic-ref", "HEAD", f"refs/heads/{branch}")


async def _base_of_policy(checkout: UserCheckout) -> str | None:
    texts = [
        await _show(checkout.path, f"{checkout.head}:{name}")
        for name in (policies.POLICY_PATH, policies.OTHER_POLICY_PATH)
    ]
    return policies.read(*policies.choose(*texts)).base


async def _show(path: Path, what: str) -> bytes | None:
    done = await run_git(path, "cat-file", "blob", what)
    most = policies.POLICY_MAX_BYTES + 1
    return done.output[:most] if done.code == 0 else None


async def diff(folder: Path, base: str, head: str) -> bytes:
    """The diff of two commits as a patch for `git apply`."""
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary")
    return (await run_git(folder, "diff", *options, base, head, check=True)).output


async def resolve(folder: Path, name: str) -> str | None:
    """The commit that a name refers to."""
    return await _try(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


async def apply_as_branch(
    checkout: UserCheckout, source: Path, commit: str, *, name: str, message: str
) -> str:
    """Make a new branch with one commit of the user's: the tree of `commit`, on top of the head.

    `source` is the repository that has `commit`. Gives the branch's name, which is `name` or has
    a number after it. Raises UserError.
    """
    path = checkout.path
    await _git(
        path,
        "fetch",
        *("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
        *("--no-auto-maintenance", "--no-show-forced-updates", str(source), commit),
    )
    made = await _git(path, "commit-tree", f"{commit}^{{tree}}", "-p", checkout.head, "-m", message)
    for number in range(1, _BRANCHES_TRIED):
        branch = name if number == 1 else f"{name}-{number}"
        ref = f"refs/heads/{branch}"
        # With the empty old value, git refuses if the branch already exists.
        done = await run_git(path, "update-ref", "-m", "honk try", ref, made, "")
        if done.code == 0:
            return branch
        if await resolve(path, ref) is None:
            raise UserError(f"The branch {branch} cannot be made: {done.problem}")
    raise UserError(f"There are {_BRANCHES_TRIED} branches like {name} already.")


@dataclass(frozen=True)
class GitResult:
    """How a git command ended."""

    code: int
    output: bytes
    problem: str


async def _git(path: Path, *arguments: str) -> str:
    return os.fsdecode((await run_git(path, *arguments, check=True)).output).rstrip("\n")


async def _try(path: Path, *arguments: str) -> str | None:
    done = await run_git(path, *arguments)
    return os.fsdecode(done.output).rstrip("\n") if done.code == 0 else None


async def run_git(
    path: Path,
    *arguments: str,
    check: bool = False,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> GitResult:
    """Run git in a folder, with something on stdin. With `check`, raises UserError if it fails."""
    ours = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    process = await asyncio.create_subprocess_exec(
        "git",
        *_NO_SURPRISES,
        *arguments,
        cwd=path if path.is_dir() else path.parent,
        env={**ours, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(given)
    done = GitResult(process.returncode or 0, output, errors.decode("utf-8", "replace").strip())
    if check and done.code != 0:
        command = next(each for each in arguments if not each.startswith("-"))
        raise UserError(f"git {command} failed in {path}: {done.problem[-500:]}")
    return done


_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"})
"""Variables that would direct git to another repository, as inside a hook."""
