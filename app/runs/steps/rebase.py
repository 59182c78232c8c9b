"""`/honk rebase`: bring a branch up to date with its base.

If all commits are ours, they are recreated on top of the base and the branch is force-pushed with a
lease. If people's commits are on the branch, nothing is rewritten: the base is merged in.
"""

from __future__ import annotations

from app import messages
from app.domain.run import Phase, Preparation, RunInput
from app.domain.sanitize import let_ci_run
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.git.mirror import CommitInfo, MergeResult
from app.github import commits
from app.runs.attempt import Attempt
from app.runs.services import READ_CODE, WRITE_COMMITS, Services
from app.runs.steps import checkpoint, commit
from app.runs.steps.commit import CommitResult
from app.runs.steps.prepare import move
from app.runs.steps.progress import announce

MOST = 50
"""The most commits that are recreated one by one; a longer branch is updated by a merge."""


class RebaseResult(Value):
    """The branch's new commit; None when the agent must resolve merge conflicts first."""

    preparation: Preparation
    sealed: CommitResult | None = None
    up_to_date: bool = False


class _Replayed(Value):
    """One commit's change, applied on top of another commit."""

    tree: TreeSha
    message: str


async def rebase(attempt: Attempt, preparation: Preparation) -> RebaseResult:
    """Rebase the pull request's branch onto its base, or merge the base into it."""
    services, run = attempt.services, attempt.run
    target, repo = preparation.target, run.trigger.repository
    assert target.at is not None
    head = target.at
    remote = await services.remote(run, READ_CODE)
    base = await services.mirrors.fetch(repo, remote, f"refs/heads/{target.base_branch}")
    if base is None:
        problem, next_step = messages.refusals.no_commits(repo, target.base_branch)
        raise UserError(problem, next_step=next_step)
    if await services.mirrors.is_ancestor(repo, base, head):
        return RebaseResult(preparation=preparation, up_to_date=True)
    branch = await services.mirrors.commits(repo, base, head, MOST)
    if target.ours and await _all_ours(services, branch):
        replayed = await _replay(services, run, base, branch)
        moved = preparation.model_copy(
            update={
                "base": base,
                "held_by": target.base_branch,
                "compared": base,
                "parent": base,
                "forced": True,
            }
        )
        if replayed is not None:
            return await _recreate_commits(services, run, moved, replayed)
        return await _merge_for_agent(services, run, moved, base, head)
    change = {"base": base, "held_by": target.base_branch, "compared": base, "merged": base}
    moved = preparation.model_copy(update=change)
    return await _merge_for_agent(services, run, moved, base, head)


async def _all_ours(services: Services, branch: tuple[CommitInfo, ...]) -> bool:
    login = await services.bot_login()
    ours = all(each.parents == 1 and each.author == login for each in branch)
    return ours and 0 < len(branch) < MOST


async def _replay(
    services: Services, run: RunInput, base: CommitSha, branch: tuple[CommitInfo, ...]
) -> list[_Replayed] | None:
    """Apply each commit's change in turn; None on the first merge conflict."""
    repo, mirrors = run.trigger.repository, services.mirrors
    done: list[_Replayed] = []
    tree = await mirrors.tree_of(repo, base)
    for each in branch:
        # Relative to the commit's parent, the new base is one side and the commit the other.
        onto = await mirrors.commit_tree(repo, tree, [each.parent], "Base\n")
        merged = await mirrors.merge(repo, onto, each.sha)
        if merged.conflicts:
            return None
        tree = merged.tree
        done.append(_Replayed(tree=tree, message=let_ci_run(each.message)))
    return done


async def _recreate_commits(
    services: Services, run: RunInput, moved: Preparation, replayed: list[_Replayed]
) -> RebaseResult:
    """Have GitHub recreate and sign each commit; each tree must be pushed before."""
    await announce(services, run, Phase.SEALING)
    repo = run.trigger.repository
    client = await services.client(run, WRITE_COMMITS)
    parent = moved.base
    for each in replayed:
        local = await services.mirrors.commit_tree(repo, each.tree, [parent], each.message)
        await checkpoint.push(services, run, local)
        made = await commits.create_signed_commit(client, each.tree, [parent], each.message)
        parent = made.sha
    sealed = await commit.keep(services, client, run, parent, replayed[-1].tree)
    return RebaseResult(preparation=moved, sealed=sealed)


async def _merge_for_agent(
    services: Services, run: RunInput, moved: Preparation, base: CommitSha, head: CommitSha
) -> RebaseResult:
    """Merge both sides into one commit; the agent resolves any conflicts."""
    merged: MergeResult = await services.mirrors.merge(run.trigger.repository, head, base)
    await move(services, run, base, merged)
    message = f"Work of run {run.id}\n"
    repo = run.trigger.repository
    local = await services.mirrors.commit_tree(repo, merged.tree, [head, base], message)
    await checkpoint.push(services, run, local)
    return RebaseResult(preparation=moved.model_copy(update={"conflicts": merged.conflicts}))
