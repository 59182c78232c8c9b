"""Reverting a merged pull request: a branch with one commit, and its pull request.

Outside contract: https://docs.github.com/graphql/reference/mutations#revertpullrequest
"""

from __future__ import annotations

from .api import Call
from .commits import git_person, web_flow_person, write_commit
from .git import ZERO
from .heads import move_ref
from .pulls import create_pull
from .refusals import Refusal
from .world import Repository, SimulatedIssue, SimulatedPullRequest


async def revert(
    call: Call,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    title: str | None,
    body: str | None,
    *,
    draft: bool,
) -> SimulatedIssue:
    """Open the reverting pull request. Refuses with 422 where later changes conflict."""
    repository = call.repository
    base = await repository.git.ref(f"refs/heads/{pull.base}")
    if pull.merged_at is None or pull.merge_commit_sha is None or base is None:
        raise Refusal(422, "Pull request is not merged")
    tree = await _tree(call, repository, pull, base)
    if tree is None:
        raise Refusal(422, "This pull request could not be reverted automatically.")
    title = title or f'Revert "{issue.title}"'
    branch = f"revert-{issue.number}-{pull.head}"
    sha = await write_commit(
        repository,
        tree=tree,
        parents=(base,),
        message=f"{title}\n\nThis reverts commit {pull.merge_commit_sha}.",
        author=git_person(call.world, call.user),
        committer=web_flow_person(call.world),
        signed=True,
    )
    await move_ref(call.world, repository, call.user, f"refs/heads/{branch}", ZERO, sha)
    wanted = {"title": title, "head": branch, "base": pull.base, "draft": draft}
    inner = Call(call.world, call.actor, "POST", "", body=wanted | {"body": body or ""})
    inner.found = repository
    made = await create_pull(inner)
    return repository.issue(made.body["number"])


async def _tree(
    call: Call, repository: Repository, pull: SimulatedPullRequest, base: str
) -> str | None:
    """The base's tree without the merge; None where they conflict."""
    git, merged = repository.git, pull.merge_commit_sha or ""
    before = pull.merged_onto or (await git.commit(merged)).parents[0]
    person = git_person(call.world, call.user)
    sides = [
        await write_commit(
            repository,
            tree=(await git.commit(side)).tree,
            parents=(merged,),
            message="",
            author=person,
            committer=person,
            signed=False,
        )
        for side in (base, before)
    ]
    return await git.merged_tree(*sides)
