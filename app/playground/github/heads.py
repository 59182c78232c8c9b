"""The effects of moving branches and tags: events, check suites, pull requests."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from . import actions, auto_merge, checks, rules, threads
from .accounts import User
from .commits import push_commit_shape
from .conversation import add_event, announce, close
from .git import ZERO
from .refusals import Refusal
from .shapes import html_url
from .webhooks import emit
from .world import Json, Repository, SimulatedIssue, SimulatedPullRequest, Size, World

_MOST_COMMITS = 20
"""Commits that one push event tells of here (GitHub: 2048)."""

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d+)\b", re.IGNORECASE)

Move = tuple[str, str, str]
"""A full ref name, its old and its new object; ZERO for none."""


async def move_ref(
    world: World, repository: Repository, actor: User, ref: str, old: str, new: str
) -> None:
    """Move a ref through the API. Refuses with 409 when another update was faster."""
    async with repository.lock:
        if not await repository.git.update_ref(ref, new, old):
            raise Refusal(409, "Reference cannot be updated")
        await moved(world, repository, actor, [(ref, old, new)])


async def moved(
    world: World, repository: Repository, actor: User, moves: list[Move], *, closes: bool = True
) -> None:
    """Update everything that depends on a ref. Refs other than branches and tags have no effect.

    `closes` is off if the pusher cannot close issues with keywords in commits.
    """
    for ref, old, new in moves:
        if ref.startswith(("refs/heads/", "refs/tags/")):
            messages = await _announce_push(world, repository, actor, ref, old, new)
            if closes and ref == f"refs/heads/{repository.default_branch}":
                _close_named(world, repository, actor, "\n".join(messages))
        if ref.startswith("refs/heads/"):
            branch = ref.removeprefix("refs/heads/")
            repository.pushers[branch] = actor
            if new != ZERO:
                await checks.request_suite(world, repository, actor, new, branch, old)
            await _follow_heads(world, repository, actor, branch, old, new)
            await _follow_bases(world, repository, actor, branch, new)
            if new != ZERO:
                await actions.start_ci(world, repository, actor, new, branch)


async def _announce_push(
    world: World, repository: Repository, actor: User, ref: str, old: str, new: str
) -> list[str]:
    """Send `push`; gives the messages of the commits that it brought."""
    repository.pushed_at = world.clock.now()
    git = repository.git
    created, deleted = old == ZERO, new == ZERO
    forced = not created and not deleted and not await git.is_ancestor(old, new)
    shas: list[str] = []
    if not deleted and await git.kind(new) == "commit":
        base = f"refs/heads/{repository.default_branch}" if created else old
        known = await git.verify(f"{base}^{{commit}}")
        shas = await git.range(known, new, _MOST_COMMITS) if known else [new]
        shas = shas or [new]
    commits = [await push_commit_shape(world, repository, sha) for sha in shas]
    page = html_url(world, repository, "compare")
    payload: Json = {
        "ref": ref,
        "before": old,
        "after": new,
        "created": created,
        "deleted": deleted,
        "forced": forced,
        "base_ref": None,
        "compare": f"{page}/{old[:12]}...{new[:12]}",
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        "pusher": {"name": actor.login, "email": actor.email},
    }
    emit(world, repository, "push", None, actor, payload)
    return [] if created else [str(commit["message"]) for commit in commits]


async def _follow_heads(
    world: World, repository: Repository, actor: User, branch: str, old: str, new: str
) -> None:
    for base, issue in world.pulls_from(repository, branch):
        pull = issue.pull
        if pull is None:
            continue
        if new == ZERO:
            add_event(world, issue, "head_ref_deleted", actor)
            close(world, base, issue, actor)
            continue
        pull.head_sha = new
        await measure(base, issue, pull)
        await threads.follow_push(base.git, pull)
        world.touch(issue)
        if not await base.git.is_ancestor(old, new):
            add_event(world, issue, "head_ref_force_pushed", actor)
        announce(world, base, issue, "synchronize", actor, before=old, after=new)
        await actions.start_pull_ci(world, base, pull, actor)
        _end_promises(world, base, issue, pull, actor)


def _end_promises(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    actor: User,
) -> None:
    """Withdraw what applied to an older head: stale approvals, auto-merge after a stranger's
    push.
    """
    if actor.type == "User" and not repository.allows(actor, "write"):
        reason = "Head branch was pushed to by a user without write access"
        auto_merge.disable(world, repository, issue, pull, actor, reason)
    protection = rules.protection_of(repository, pull.base)
    stale = (protection is not None and protection.dismiss_stale) or any(
        (rule.get("parameters") or {}).get("dismiss_stale_reviews_on_push")
        for _, rule in rules.branch_rules(world, repository, pull.base)
    )
    for review in pull.reviews if stale else ():
        if review.state == "APPROVED":
            words = "The approval is of an older head"
            threads.dismiss(world, repository, issue, review, actor, words)


async def _follow_bases(
    world: World, repository: Repository, actor: User, branch: str, new: str
) -> None:
    """A pull request whose commits reach its base in another way counts as merged."""
    for issue, pull in repository.pulls():
        if issue.state != "open" or pull.base != branch:
            continue
        if new == ZERO:
            add_event(world, issue, "base_ref_deleted", actor)
            close(world, repository, issue, actor)
        elif await repository.git.is_ancestor(pull.head_sha, new):
            finish_merge(world, repository, issue, pull, actor, new)


async def measure(
    repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> None:
    """Read a pull request's changes from git, and update `refs/pull/<n>/head`."""
    git, source = repository.git, pull.head_repository
    if source is not None and source is not repository:
        await git.fetch(source.git.path, pull.head_sha)
    base = await git.ref(f"refs/heads/{pull.base}") or pull.base_sha
    pull.base_sha = base
    start = await git.merge_base(base, pull.head_sha) or base
    lines = await git.counts(start, pull.head_sha)
    pull.size = Size(
        commits=await git.count(base, pull.head_sha),
        additions=sum(added or 0 for added, _ in lines.values()),
        deletions=sum(removed or 0 for _, removed in lines.values()),
        changed_files=len(lines),
    )
    await git.run("update-ref", f"refs/pull/{issue.number}/head", pull.head_sha)


def finish_merge(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    actor: User,
    commit: str,
    *,
    closes: bool = True,
) -> None:
    """Note that a pull request was merged, and close the issues that it says it closes."""
    pull.merged_at, pull.merged_by, pull.merge_commit_sha = world.clock.now(), actor, commit
    add_event(world, issue, "merged", actor)
    close(world, repository, issue, actor)
    if pull.base == repository.default_branch and closes:
        _close_named(world, repository, actor, issue.body or "")


def _close_named(world: World, repository: Repository, actor: User, text: str) -> None:
    for number in closing_numbers(text):
        other = repository.issues.get(number)
        if other is not None and other.state == "open" and other.pull is None:
            close(world, repository, other, actor)


def closing_numbers(text: str) -> list[int]:
    """The issues that a Markdown text closes; keywords count outside of code."""
    blocks = (
        "".join(token.content if token.type == "text" else "\n" for token in block.children or ())
        for block in _PARSER.parse(text)
    )
    return [int(found) for found in _CLOSING.findall("\n".join(blocks))]
