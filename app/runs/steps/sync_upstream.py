"""Before the commit: merge the work with what others have pushed in the meantime."""

from __future__ import annotations

import re

from app import messages
from app.domain.run import Preparation, RunInput
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.runs.attempt import Attempt
from app.runs.services import READ_CODE, Services
from app.runs.steps import checkpoint, handoff
from app.runs.steps.checkpoint import CheckpointResult
from app.runs.steps.prepare import compared_with, move

_READ_BYTES = 10_000_000
_MARKER = re.compile(rb"^<{7} ", re.MULTILINE)


class SyncResult(Value):
    """The work on top of the current upstream state.

    With `preparation.conflicts` the tree has conflict markers for the agent to resolve. `same_as`
    is the branch that already has exactly this tree, because someone made the same change.
    """

    preparation: Preparation
    packed: CheckpointResult
    same_as: str = ""


async def sync_upstream(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult
) -> SyncResult:
    """Merge the work with new pushes to its branch or base, so that nothing is published
    unmerged."""
    services, run = attempt.services, attempt.run
    target = preparation.target
    parents = (preparation.base, preparation.parent)
    await handoff.fetch_commits(services, run, *parents, packed.commit)
    left = await _unresolved(services, run, preparation, packed)
    preparation = preparation.model_copy(update={"conflicts": left})
    same = SyncResult(preparation=preparation, packed=packed)
    if left:
        return same
    if target.fork or run.trusted is not None:
        return same
    if target.branch:
        head = await _fetch(services, run, target.branch)
        if head is not None and head != target.at:
            return await _onto_push(services, run, preparation, packed, head)
    if target.pull is not None:
        return same
    base = await _new_base(services, run, preparation)
    if base is None:
        return same
    return await _onto_base(services, run, preparation, packed, base)


async def is_overtaken(
    services: Services, run: RunInput, preparation: Preparation, tree: TreeSha
) -> bool:
    """Whether the base already has the same change, so that a pull request would be empty."""
    target = preparation.target
    if target.fork or target.pull is not None or run.trusted is not None:
        return False
    base = await _new_base(services, run, preparation)
    return base is not None and await services.mirrors.tree_of(run.trigger.repository, base) == tree


async def _new_base(
    services: Services, run: RunInput, preparation: Preparation
) -> CommitSha | None:
    """The base branch's head; None when the work already includes it.

    Raises UserError when the branch was renamed or deleted.
    """
    branch = preparation.target.base_branch
    base = await _fetch(services, run, branch)
    if base is None:
        problem, next_step = messages.refusals.base_is_gone(
            branch, in_policy=run.policy.base == branch
        )
        raise UserError(problem, next_step=next_step)
    if base == preparation.base or await _contains(services, run, preparation, base):
        return None
    return base


async def _unresolved(
    services: Services, run: RunInput, preparation: Preparation, packed: CheckpointResult
) -> tuple[str, ...]:
    """The conflicted files that still have conflict markers."""
    left = []
    for path in preparation.conflicts:
        text = await services.mirrors.read_blob(
            run.trigger.repository, packed.commit, path, _READ_BYTES
        )
        if text is not None and _MARKER.search(text):
            left.append(path)
    return tuple(left)


async def _onto_push(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    head: CommitSha,
) -> SyncResult:
    """People have pushed to the branch: keep their commits and put ours on top."""
    work = await _commit_work(services, run, packed.tree, preparation.parent)
    merged = await services.mirrors.merge(run.trigger.repository, work, head)
    await move(services, run, head, merged)
    moved = preparation.model_copy(
        update={
            "base": head,
            "held_by": "",
            "compared": await compared_with(services, run, preparation.target, head),
            "parent": head,
            "target": preparation.target.model_copy(update={"at": head}),
            "conflicts": merged.conflicts,
        }
    )
    return await _merged_result(
        services, run, moved, packed, merged.tree, preparation.target.branch
    )


async def _onto_base(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    base: CommitSha,
) -> SyncResult:
    """The base branch has moved: unpublished work restarts there, published work gets it merged
    in."""
    is_new = preparation.target.at is None
    work = await _commit_work(services, run, packed.tree, preparation.parent)
    merged = await services.mirrors.merge(run.trigger.repository, work, base)
    await move(services, run, base, merged)
    moved = preparation.model_copy(
        update={
            "base": base,
            "held_by": preparation.target.base_branch,
            "compared": base,
            "parent": base if is_new else preparation.parent,
            "merged": None if is_new else base,
            "conflicts": merged.conflicts,
        }
    )
    branch = preparation.target.base_branch
    return await _merged_result(services, run, moved, packed, merged.tree, branch)


async def _merged_result(
    services: Services,
    run: RunInput,
    moved: Preparation,
    packed: CheckpointResult,
    tree: TreeSha,
    branch: str,
) -> SyncResult:
    """Push the merged work and build the result; `branch` is the branch that moved."""
    commit = await _commit_work(services, run, tree, moved.base)
    await checkpoint.push(services, run, commit)
    empty = tree == await services.mirrors.tree_of(run.trigger.repository, moved.base)
    change = {"tree": tree, "commit": commit, "empty": empty}
    packed = packed.model_copy(update=change)
    return SyncResult(preparation=moved, packed=packed, same_as=branch if empty else "")


async def _commit_work(
    services: Services, run: RunInput, tree: TreeSha, parent: CommitSha
) -> CommitSha:
    message = f"Work of run {run.id}\n"
    return await services.mirrors.commit_tree(run.trigger.repository, tree, [parent], message)


async def _fetch(services: Services, run: RunInput, branch: str) -> CommitSha | None:
    remote = await services.remote(run, READ_CODE)
    return await services.mirrors.fetch(run.trigger.repository, remote, f"refs/heads/{branch}")


async def _contains(
    services: Services, run: RunInput, preparation: Preparation, base: CommitSha
) -> bool:
    parent = preparation.merged or preparation.parent
    return await services.mirrors.is_ancestor(run.trigger.repository, base, parent)
