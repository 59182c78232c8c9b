"""Actions of people on conversations, pull requests and rules, one method each.

Everything is done through requests, and raises RefusedError if GitHub refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from . import moderation
from .accounts import ApiCaller
from .api import Call
from .commits import git_person, write_commit
from .forks import may_push
from .git import ZERO
from .heads import move_ref
from .refusals import Refusal, not_found
from .rules import check_move
from .shapes import node_id
from .world import (
    Json,
    Protection,
    Repository,
    RequiredCheck,
    ReviewComment,
    ReviewThread,
    Ruleset,
    SimulatedComment,
    SimulatedIssue,
    SimulatedReview,
    World,
)


class RefusedError(Exception):
    """GitHub refused a person's action; `status` and `answer` are its response."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"{status}: {answer}")
        self.status = status
        self.answer = answer


class PlaygroundPeople:
    """The part of the simulator that acts as people do on issues, pull requests and rules."""

    world: World

    async def act(self, login: str, method: str, path: str, body: Any = None) -> Any:
        """Do what a person does with one request of the API."""
        raise NotImplementedError

    async def graphql(self, login: str, query: str, variables: dict[str, Any]) -> Any:
        """Do what a person does with one GraphQL document."""
        raise NotImplementedError

    def _call(self, repo: str, login: str) -> Call:
        call = Call(self.world, ApiCaller("person", self.world.user(login)), "POST", "")
        call.found = self.world.repository(repo)
        return call

    def _pull(self, repo: str, number: int) -> SimulatedIssue:
        issue = self.world.repository(repo).issue(number)
        if issue.pull is None:
            raise not_found()
        return issue

    # -- repositories and branches

    async def fork(self, repo: str, login: str, name: str = "") -> Repository:
        """A person forks a repository."""
        self.world.add_user(login)
        made = await self.act(login, "POST", f"/repos/{repo}/forks", {"name": name} if name else {})
        return self.world.repository(made["full_name"])

    async def push_files(
        self,
        repo: str,
        branch: str,
        files: Mapping[str, bytes | None],
        actor: str,
        message: str = "Change",
    ) -> str:
        """A person pushes one commit with these files (None deletes) to a branch; gives its SHA.

        The branch is made from the default branch where it is missing. The rules of the
        repository hold, and maintainers may push to a fork that a pull request opens to them.
        """
        call = self._call(repo, actor)
        repository = call.repository
        if repository.archived or not may_push(self.world, call.user, repository, branch):
            words = f"Permission to {repository.full_name}.git denied to {actor}."
            raise RefusedError(403, Refusal(403, words).body())
        ref = f"refs/heads/{branch}"
        old = await repository.git.ref(ref)
        parent = old or await repository.git.ref(f"refs/heads/{repository.default_branch}")
        sha = await _commit(call, parent, files, message)
        try:
            await check_move(call, ref, old or ZERO, sha)
            await move_ref(self.world, repository, call.user, ref, old or ZERO, sha)
        except Refusal as refusal:
            raise RefusedError(refusal.status, refusal.body()) from None
        await self.world.settle()
        return sha

    async def force_push(self, repo: str, branch: str, sha: str, actor: str) -> None:
        """A person force-pushes a commit to a branch."""
        path = f"/repos/{repo}/git/refs/heads/{quote(branch)}"
        await self.act(actor, "PATCH", path, {"sha": sha, "force": True})

    async def delete_branch(self, repo: str, branch: str, actor: str) -> None:
        """A person deletes a branch."""
        await self.act(actor, "DELETE", f"/repos/{repo}/git/refs/heads/{quote(branch)}")

    async def archive(self, repo: str, actor: str) -> None:
        """A person archives a repository, which makes it read-only."""
        await self.act(actor, "PATCH", f"/repos/{repo}", {"archived": True})

    async def rename(self, repo: str, name: str, actor: str) -> str:
        """A person renames a repository; gives the new `owner/name`. The old one redirects."""
        made = await self.act(actor, "PATCH", f"/repos/{repo}", {"name": name})
        return str(made["full_name"])

    async def transfer_repository(self, repo: str, owner: str, actor: str) -> str:
        """A person gives a repository to another account; gives the new `owner/name`."""
        await self.act(actor, "POST", f"/repos/{repo}/transfer", {"new_owner": owner})
        return f"{owner}/{repo.partition('/')[2]}"

    async def delete_repository(self, repo: str, actor: str) -> None:
        """A person deletes a repository; pull requests from it lose their head."""
        await self.act(actor, "DELETE", f"/repos/{repo}")

    def protect(
        self,
        repo: str,
        branch: str = "main",
        *,
        checks: Sequence[str | RequiredCheck] = (),
        pushers: Sequence[str] | None = None,
        **rules: Any,
    ) -> Protection:
        """Protect a branch, or all that fit a pattern; `rules` are fields of Protection."""
        required = [RequiredCheck(one) if isinstance(one, str) else one for one in checks]
        names = None if pushers is None else frozenset(name.lower() for name in pushers)
        one = Protection(checks=tuple(required), pushers=names, **rules)
        self.world.repository(repo).protections[branch] = one
        return one

    def add_ruleset(
        self,
        repo: str,
        *rules: Json,
        target: Literal["branch", "tag", "push"] = "branch",
        include: Sequence[str] = ("~ALL",),
        exclude: Sequence[str] = (),
        bypass: Sequence[Json] = (),
        name: str = "",
    ) -> Ruleset:
        """Put a ruleset in force; each rule as the API writes it, such as `{"type": "update"}`."""
        repository = self.world.repository(repo)
        number = self.world.new_id()
        one = Ruleset(
            number, name or f"Rules {number}", target, list(rules), self.world.clock.now()
        )
        one.include, one.exclude, one.bypass = tuple(include), tuple(exclude), list(bypass)
        repository.rulesets.append(one)
        return one

    # -- pull requests

    async def open_pull_request(
        self, repo: str, actor: str, head: str, base: str = "", *, title: str = "", **more: Any
    ) -> SimulatedIssue:
        """A person proposes a branch, `owner:branch` for one of a fork.

        `more` is what else the API takes: body, draft, maintainer_can_modify.
        """
        base = base or self.world.repository(repo).default_branch
        body = {"title": title or head, "head": head, "base": base} | more
        made = await self.act(actor, "POST", f"/repos/{repo}/pulls", body)
        return self._pull(repo, made["number"])

    async def review(
        self,
        repo: str,
        number: int,
        actor: str,
        body: str = "",
        event: str = "COMMENT",
        comments: Sequence[Json] = (),
    ) -> SimulatedReview:
        """A person reviews a pull request: APPROVE, REQUEST_CHANGES or COMMENT.

        Each of `comments` has path, line and body, and side or start_line where they matter.
        """
        path = f"/repos/{repo}/pulls/{number}/reviews"
        wanted = {"body": body, "event": event, "comments": list(comments)}
        made = await self.act(actor, "POST", path, wanted)
        reviews = [one for _, pull in self.world.repository(repo).pulls() for one in pull.reviews]
        return next(one for one in reviews if one.id == made["id"])

    async def dismiss_review(
        self, repo: str, number: int, review_id: int, actor: str, message: str = "No more"
    ) -> None:
        """A person dismisses a review."""
        path = f"/repos/{repo}/pulls/{number}/reviews/{review_id}/dismissals"
        await self.act(actor, "PUT", path, {"message": message})

    async def review_comment(
        self, repo: str, number: int, actor: str, path: str, line: int, body: str, **more: Any
    ) -> ReviewComment:
        """A person comments on a line of the diff; `more` may have side, start_line, commit_id."""
        pull = self._pull(repo, number).pull
        commit = pull.head_sha if pull else ""
        wanted = {"path": path, "line": line, "body": body, "commit_id": commit} | more
        made = await self.act(actor, "POST", f"/repos/{repo}/pulls/{number}/comments", wanted)
        return self.thread_of(repo, made["id"])[1]

    async def reply(
        self, repo: str, number: int, comment_id: int, actor: str, body: str
    ) -> ReviewComment:
        """A person answers in the thread of a review comment, whichever of it that is."""
        first = self.thread_of(repo, comment_id)[0].comments[0].id
        path = f"/repos/{repo}/pulls/{number}/comments/{first}/replies"
        made = await self.act(actor, "POST", path, {"body": body})
        return self.thread_of(repo, made["id"])[1]

    def thread_of(self, repo: str, comment_id: int) -> tuple[ReviewThread, ReviewComment]:
        """A review comment with its thread."""
        for _, pull in self.world.repository(repo).pulls():
            for thread, comment in pull.review_comments:
                if comment.id == comment_id:
                    return thread, comment
        raise not_found()

    async def resolve_thread(
        self, repo: str, comment_id: int, actor: str, *, resolved: bool = True
    ) -> None:
        """A person resolves or unresolves the thread of a review comment."""
        thread, _ = self.thread_of(repo, comment_id)
        name = "resolveReviewThread" if resolved else "unresolveReviewThread"
        await self._mutate(actor, name, {"threadId": node_id("PRRT", thread.id)})

    async def enable_auto_merge(
        self, repo: str, number: int, actor: str, method: str = "merge"
    ) -> None:
        """A person enables auto-merge."""
        wanted = {"pullRequestId": self._node(repo, number), "mergeMethod": method.upper()}
        await self._mutate(actor, "enablePullRequestAutoMerge", wanted)

    async def disable_auto_merge(self, repo: str, number: int, actor: str) -> None:
        """A person disables auto-merge."""
        wanted = {"pullRequestId": self._node(repo, number)}
        await self._mutate(actor, "disablePullRequestAutoMerge", wanted)

    async def enqueue(self, repo: str, number: int, actor: str) -> None:
        """A person puts a pull request into the merge queue."""
        wanted = {"pullRequestId": self._node(repo, number)}
        await self._mutate(actor, "enqueuePullRequest", wanted)

    async def dequeue(self, repo: str, number: int, actor: str) -> None:
        """A person removes a pull request from the merge queue."""
        await self._mutate(actor, "dequeuePullRequest", {"id": self._node(repo, number)})

    async def set_draft(self, repo: str, number: int, actor: str, *, draft: bool) -> None:
        """A person converts a pull request to a draft, or marks it as ready for review."""
        name = "convertPullRequestToDraft" if draft else "markPullRequestReadyForReview"
        await self._mutate(actor, name, {"pullRequestId": self._node(repo, number)})

    async def update_branch(self, repo: str, number: int, actor: str) -> None:
        """A person updates the head branch from the base."""
        await self.act(actor, "PUT", f"/repos/{repo}/pulls/{number}/update-branch", {})

    # -- conversations

    async def edit(self, repo: str, number: int, actor: str, **changes: Any) -> None:
        """A person edits title or body of an issue or pull request."""
        await self.act(actor, "PATCH", f"/repos/{repo}/issues/{number}", changes)

    async def reopen(self, repo: str, number: int, actor: str) -> None:
        """A person opens an issue or pull request again."""
        await self.edit(repo, number, actor, state="open")

    async def lock(self, repo: str, number: int, actor: str, reason: str | None = None) -> None:
        """A person locks a conversation: off-topic, too heated, resolved or spam."""
        body = {"lock_reason": reason} if reason else None
        await self.act(actor, "PUT", f"/repos/{repo}/issues/{number}/lock", body)

    async def unlock(self, repo: str, number: int, actor: str) -> None:
        """A person unlocks a conversation."""
        await self.act(actor, "DELETE", f"/repos/{repo}/issues/{number}/lock")

    async def transfer(self, repo: str, number: int, target: str, actor: str) -> SimulatedIssue:
        """A person moves an issue to another repository, where it is another issue."""
        wanted = {"issueId": self._node(repo, number)}
        wanted["repositoryId"] = node_id("R", self.world.repository(target).id)
        await self._mutate(actor, "transferIssue", wanted)
        place = self.world.repository(repo).gone[number]
        if place is None:
            raise not_found()
        return place[0].issue(place[1])

    async def delete_issue(self, repo: str, number: int, actor: str) -> None:
        """A person deletes an issue for good."""
        await self._mutate(actor, "deleteIssue", {"issueId": self._node(repo, number)})

    async def convert_to_discussion(self, repo: str, number: int, actor: str) -> None:
        """A person turns an issue into a discussion, for which there is no API."""
        call = self._call(repo, actor)
        if not call.can("triage"):
            words = "Must have triage rights to Repository."
            raise RefusedError(403, Refusal(403, words).body())
        moderation.convert_to_discussion(call, call.repository.issue(number))

    async def minimise(
        self, thing: SimulatedComment | SimulatedReview, actor: str, reason: str | None = "OUTDATED"
    ) -> None:
        """A person hides a comment or review; with no reason, shows it again."""
        prefix = "PRRC" if isinstance(thing, ReviewComment) else "IC"
        subject = node_id("PRR" if isinstance(thing, SimulatedReview) else prefix, thing.id)
        if reason is None:
            await self._mutate(actor, "unminimizeComment", {"subjectId": subject})
        else:
            wanted = {"subjectId": subject, "classifier": reason}
            await self._mutate(actor, "minimizeComment", wanted)

    def _node(self, repo: str, number: int) -> str:
        issue = self.world.repository(repo).issue(number)
        return node_id("PR" if issue.pull else "I", issue.id)

    async def _mutate(self, actor: str, name: str, given: Json) -> None:
        kind = name[0].upper() + name[1:] + "Input"
        query = f"mutation($input: {kind}!) {{ {name}(input: $input) {{ clientMutationId }} }}"
        await self.graphql(actor, query, {"input": given})


async def _commit(
    call: Call, parent: str | None, files: Mapping[str, bytes | None], message: str
) -> str:
    git = call.repository.git
    async with git.index() as env:
        if parent is not None:
            await git.run("read-tree", parent, env=env)
        for path, content in files.items():
            blob = ZERO if content is None else await git.write_blob(content)
            mode = "0" if content is None else "100644"
            line = f"{mode} {blob}\t{path}\0".encode()
            await git.run("update-index", "-z", "--index-info", data=line, env=env)
        tree = (await git.run("write-tree", env=env)).text()
    person = git_person(call.world, call.user)
    return await write_commit(
        call.repository,
        tree=tree,
        parents=(parent,) if parent else (),
        message=message,
        author=person,
        committer=person,
        signed=False,
    )
