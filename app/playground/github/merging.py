"""Merging: manually, by auto-merge, and the base branch into the head.

Outside contract: https://docs.github.com/rest/pulls/pulls#merge-a-pull-request
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from . import merge_queue
from .accounts import User
from .api import Answer, ApiEndpoint, Call, has_permission
from .commits import git_person, web_flow_person, write_commit
from .conversation import add_event, announce
from .forks import may_push
from .git import ZERO, SimulatedCommit
from .heads import finish_merge, move_ref, moved
from .pulls import find_pull
from .refusals import Refusal, no_permission, not_found
from .rules import check_landing, is_behind, is_protected, merged_tree, needs_of, refuse, unmet
from .shapes import html_url
from .world import (
    AutoMerge,
    Json,
    MergeJob,
    Repository,
    SimulatedIssue,
    SimulatedPullRequest,
    World,
)

METHODS = ("merge", "squash", "rebase")
_NOT_ALLOWED = {
    "merge": "Merge commits are not allowed on this repository.",
    "squash": "Squash merges are not allowed on this repository.",
    "rebase": "Rebase merges are not allowed on this repository.",
}


@dataclass(frozen=True)
class Landing:
    """One pull request on its way into its base; None is GitHub's own title or message."""

    world: World
    repository: Repository
    issue: SimulatedIssue
    pull: SimulatedPullRequest
    user: User
    method: str = "merge"
    title: str | None = None
    message: str | None = None
    closes: bool = True
    """Whether issues are closed with it, which a token without that right cannot do."""

    async def run(self) -> str:
        """Merge; return the commit on the base. Refuses with 405 or 409."""
        if self.method not in self.repository.merge_methods:
            raise Refusal(405, _NOT_ALLOWED[self.method])
        async with self.repository.lock:
            if self.issue.state != "open":
                raise Refusal(405, "Pull Request is not mergeable")
            sha = await self._commit()
            await self._land(sha)
        await self._clean_up()
        return sha

    async def _commit(self) -> str:
        git, pull = self.repository.git, self.pull
        base = await git.ref(f"refs/heads/{pull.base}")
        tree = await merged_tree(self.repository, pull)
        if base is None or tree is None:
            raise Refusal(405, "Pull Request is not mergeable")
        if self.method == "rebase":
            return await self._rebase(base)
        return await write_commit(
            self.repository,
            tree=tree,
            parents=(base, pull.head_sha) if self.method == "merge" else (base,),
            message=self._message(),
            author=git_person(self.world, self.user),
            committer=web_flow_person(self.world),
            signed=True,
        )

    def _message(self) -> str:
        owner = self.pull.head_owner.login if self.pull.head_owner else "unknown"
        title = f"Merge pull request #{self.issue.number} from {owner}/{self.pull.head}"
        text = self.issue.title
        if self.method == "squash":
            title, text = f"{self.issue.title} (#{self.issue.number})", ""
        title = title if self.title is None else self.title
        text = text if self.message is None else self.message
        return f"{title}\n\n{text}".strip()

    async def _rebase(self, base: str) -> str:
        """Recreate each commit on top of the base; GitHub does not sign these."""
        git, tip = self.repository.git, base
        for sha in await git.range(base, self.pull.head_sha):
            commit = await git.commit(sha)
            tree = await self._picked_tree(tip, commit)
            if tree is None:
                raise Refusal(405, "This branch can't be rebased")
            tip = await write_commit(
                self.repository,
                tree=tree,
                parents=(tip,),
                message=commit.message,
                author=commit.author,
                committer=git_person(self.world, self.user),
                signed=False,
            )
        return tip

    async def _picked_tree(self, tip: str, commit: SimulatedCommit) -> str | None:
        """The tree of `tip` with one commit's change on it; None where they conflict.

        Before git 2.40, merge-tree has no option for the merge base: a temporary commit with the
        tree of `tip` and the commit's own parent provides one.
        """
        git = self.repository.git
        person = git_person(self.world, self.user)
        stand_in = await write_commit(
            self.repository,
            tree=(await git.commit(tip)).tree,
            parents=commit.parents[:1],
            message="",
            author=person,
            committer=person,
            signed=False,
        )
        return await git.merged_tree(stand_in, commit.sha)

    async def _land(self, sha: str) -> None:
        world, repository, ref = self.world, self.repository, f"refs/heads/{self.pull.base}"
        base = await repository.git.ref(ref) or ""
        check_landing(world, repository, self.user, ref, base, sha)
        if not await repository.git.update_ref(ref, sha, base):
            raise Refusal(409, "Base branch was modified. Review and try the merge again.")
        self.pull.merged_onto = base
        finish_merge(world, repository, self.issue, self.pull, self.user, sha, closes=self.closes)
        await moved(world, repository, self.user, [(ref, base, sha)], closes=self.closes)

    async def _clean_up(self) -> None:
        """Delete the head branch if the repository is set up so; pull requests based on it are
        retargeted.
        """
        repository, pull = self.repository, self.pull
        head = f"refs/heads/{pull.head}"
        mine = repository.delete_branch_on_merge and pull.head_repository is repository
        sha = await repository.git.ref(head)
        if not mine or not sha or pull.head == repository.default_branch:
            return
        if is_protected(repository, pull.head):
            return
        for issue, other in repository.pulls():
            if issue.state == "open" and other.base == pull.head:
                changes = {"base": {"ref": {"from": other.base}, "sha": {"from": other.base_sha}}}
                other.base = pull.base
                add_event(self.world, issue, "automatic_base_change_succeeded", self.user)
                announce(self.world, repository, issue, "edited", self.user, changes=changes)
        await move_ref(self.world, repository, self.user, head, sha, ZERO)
        add_event(self.world, self.issue, "head_ref_deleted", self.user)


# -- auto-merge


async def settle(world: World) -> None:
    """Merge or queue pull requests with auto-merge that may be merged now."""
    for repository in list(world.repositories.values()):
        for issue, pull in repository.pulls():
            await _run_jobs(world, repository, issue, pull)
            order = pull.auto_merge
            if order is None or issue.state != "open" or pull.queued or pull.draft:
                continue
            if await _is_ready(world, repository, pull, order):
                if merge_queue.rule_of(world, repository, pull) is not None:
                    await merge_queue.enqueue(world, repository, issue, pull, order.enabled_by)
                    continue
                await _try(world, repository, issue, pull, order)
        await merge_queue.advance(world, repository)


async def _is_ready(
    world: World, repository: Repository, pull: SimulatedPullRequest, order: AutoMerge
) -> bool:
    if await merged_tree(repository, pull) is None:
        return False
    missing = await unmet(world, repository, pull, None, order.method)
    if any(one.text != merge_queue.WORDS for one in missing):
        return False
    strict = any(needs.strict for needs in needs_of(world, repository, pull.base, None))
    return not (strict and await is_behind(repository, pull))


async def _try(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    order: AutoMerge,
) -> None:
    who, method = order.enabled_by, order.method
    try:
        await Landing(world, repository, issue, pull, who, method, order.title, order.message).run()
    except Refusal:
        # The base moved or the pull request was merged in between: the next change retries.
        return


# -- endpoints


async def is_merged(call: Call) -> Answer:
    if find_pull(call)[1].merged_at is None:
        raise not_found()
    return Answer(204)


async def merge(call: Call) -> Answer:
    issue, pull = find_pull(call)
    expected = call.optional("sha", str)
    method = call.choice("merge_method", METHODS) or "merge"
    await _check_requirements(call.world, call.repository, issue, pull, call.user, method, expected)
    landing = Landing(
        call.world,
        call.repository,
        issue,
        pull,
        call.user,
        method,
        call.optional("commit_title", str),
        call.optional("commit_message", str),
        _may_close(call),
    )
    sha = await landing.run()
    body = {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}
    return Answer(200, body)


def _may_close(call: Call) -> bool:
    return call.actor.kind != "installation" or has_permission(call.actor, "issues:write")


async def _check_requirements(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    user: User,
    method: str,
    expected: str | None,
) -> None:
    if expected is not None and expected != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if issue.state != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if pull.draft:
        raise Refusal(405, "Pull Request is still a draft")
    if await merged_tree(repository, pull) is None:
        raise Refusal(405, "Pull Request is not mergeable")
    refuse(await unmet(world, repository, pull, user, method), 405)
    needs = needs_of(world, repository, pull.base, user)
    if any(one.strict for one in needs) and await is_behind(repository, pull):
        raise Refusal(405, "Head branch is out of date. Update it and try the merge again.")


_ACTIONS = ("default", "direct_merge", "merge_queue")


async def merge_async(call: Call) -> Answer:
    """Accept a merge, which runs a little later: only then are the rules looked at."""
    issue, pull = find_pull(call)
    method = call.choice("merge_method", METHODS) or "merge"
    action = call.choice("merge_action", _ACTIONS) or "default"
    if pull.merged_at is not None:
        details = {"message": "Pull request is already merged.", "sha": pull.merge_commit_sha}
        return Answer(200, {"status": "merged", "details": details})
    if pull.queued is not None:
        words = "Pull request is already in the merge queue."
        return Answer(200, {"status": "enqueued", "details": {"message": words}})
    if issue.state != "open":
        return Answer(400, _failed("Pull request is closed."))
    waiting = next((one for one in pull.merge_jobs.values() if one.result is None), None)
    if waiting is not None:
        words = "A merge request already exists for this pull request."
        return Answer(409, _pending(waiting, words))
    job = MergeJob(
        str(uuid.uuid4()),
        call.user,
        method,
        action,
        call.optional("sha", str) or pull.head_sha,
        call.optional("commit_title", str),
        call.optional("commit_message", str),
        _may_close(call),
    )
    pull.merge_jobs[job.uuid] = job
    return Answer(202, _pending(job, "Merge request enqueued."))


async def merge_result(call: Call) -> Answer:
    _, pull = find_pull(call)
    job = pull.merge_jobs.get(call.params["uuid"])
    if job is None:
        raise not_found()
    return Answer(200, job.result or _pending(job, "Merge request is in progress."))


def _pending(job: MergeJob, words: str) -> Json:
    details = {
        "message": words,
        "uuid": job.uuid,
        "merge_method": job.method,
        "merge_action": job.action,
        "expected_head_sha": job.sha,
    }
    return {"status": "pending", "details": details}


def _failed(words: str) -> Json:
    return {"status": "failed", "details": {"message": words}}


async def _run_jobs(
    world: World, repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> None:
    for job in [one for one in pull.merge_jobs.values() if one.result is None]:
        try:
            job.result = await _run_job(world, repository, issue, pull, job)
        except Refusal as refusal:
            job.result = _failed(refusal.message)


async def _run_job(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    job: MergeJob,
) -> Json:
    queue = merge_queue.rule_of(world, repository, pull)
    if job.action == "merge_queue" or (job.action == "default" and queue is not None):
        await merge_queue.enqueue(world, repository, issue, pull, job.user)
        return {"status": "enqueued", "details": {"message": "Pull request is in the merge queue."}}
    await _check_requirements(world, repository, issue, pull, job.user, job.method, job.sha)
    sha = await Landing(
        world, repository, issue, pull, job.user, job.method, job.title, job.message, job.closes
    ).run()
    words = "Pull request was merged."
    return {"status": "merged", "details": {"message": words, "sha": sha}}


async def update_branch(call: Call) -> Answer:
    """Merge the base into the head, at once; GitHub does it a little later."""
    issue, pull = find_pull(call)
    expected = call.optional("expected_head_sha", str)
    source = pull.head_repository
    if expected is not None and expected != pull.head_sha:
        raise Refusal(422, "expected head sha didn’t match current head ref.")
    if issue.state != "open" or source is None:
        raise Refusal(422, "Validation Failed", ["Pull request is closed or its head is gone"])
    _may_update(call, source, pull)
    base = await call.repository.git.ref(f"refs/heads/{pull.base}")
    if base is None or not await is_behind(call.repository, pull):
        raise Refusal(422, "There are no new commits on the base branch.")
    await _merge_base(call, source, pull, base)
    page = html_url(call.world, call.repository, "pull", issue.number)
    return Answer(202, {"message": "Updating pull request branch.", "url": page})


def _may_update(call: Call, source: Repository, pull: SimulatedPullRequest) -> None:
    if call.actor.kind == "installation":
        if source is not call.repository or not has_permission(call.actor, "contents:write"):
            raise no_permission()
    elif not may_push(call.world, call.user, source, pull.head):
        raise Refusal(403, "Must have write access to the head repository.")


async def _merge_base(
    call: Call, source: Repository, pull: SimulatedPullRequest, base: str
) -> None:
    head = pull.head_sha
    tree = await call.repository.git.merged_tree(head, base)
    if tree is None:
        raise Refusal(422, "merge conflict between base and head")
    sha = await write_commit(
        call.repository,
        tree=tree,
        parents=(head, base),
        message=f"Merge branch '{pull.base}' into {pull.head}",
        author=git_person(call.world, call.user),
        committer=web_flow_person(call.world),
        signed=True,
    )
    if source is not call.repository:
        await source.git.fetch(call.repository.git.path, sha)
    await move_ref(call.world, source, call.user, f"refs/heads/{pull.head}", head, sha)


_PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_PULL}/merge", is_merged, "pull_requests:read"),
    ApiEndpoint("PUT", f"{_PULL}/merge", merge, "contents:write", "write"),
    ApiEndpoint("PUT", f"{_PULL}/merge-async", merge_async, "contents:write", "write"),
    ApiEndpoint("GET", f"{_PULL}/merge-async/{{uuid}}", merge_result, "contents:read"),
    ApiEndpoint("PUT", f"{_PULL}/update-branch", update_branch, "pull_requests:write"),
]
