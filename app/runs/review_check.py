"""The check run `honk / review`: whether independent people approved an agent's pull request.

It is computed from GitHub's current state each time, so the same event twice is one check run, and
concurrent events end with the same one. When something cannot be read, the check does not succeed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from app import log_events, messages
from app.domain.approvals import Account, Involved, NotCounted, Standing, Why, sort_out
from app.domain.policy import ApprovalsPolicy
from app.domain.run import RunInput
from app.domain.trigger import REVIEW_CHECK_ID, Signal
from app.domain.values import CommitSha, Value
from app.errors import HonkError, RetryableError, UserError
from app.github import checks, commits, pulls, repositories, reviews
from app.github.checks import Conclusion, Output
from app.github.client import RepositoryClient
from app.github.pulls import PullRequest
from app.github.repositories import Permission
from app.runs import current_policy
from app.runs.services import REVIEW_CHECK, Services

log = structlog.get_logger()

_NAME = messages.review_check.REVIEW_CHECK
_ROUNDS = 5
"""How many times the state is reread until it matches what the check shows."""
_MOST_CANDIDATES = 100
"""Approvals whose permission is looked up: in a public repository, anyone can approve."""


class Shown(Value):
    """What the check run shows after an update."""

    conclusion: Conclusion
    title: str
    summary: str


async def on_signal(services: Services, signal: Signal) -> None:
    """Update the check after an event.

    Raises RetryableError when GitHub is unavailable or does not show the event yet, and UserError
    when it refuses.
    """
    services.github.know(signal.repository, signal.repository_id)
    client = await services.github.repository(
        signal.installation_id, signal.repository, REVIEW_CHECK
    )
    sha, targets = signal.head_sha, {signal.head_sha}
    try:
        policy = await current_policy.load(client, signal.default_branch)
        if policy.approvals is None:
            return
        pull = await pulls.pull_request(client, signal.number) if signal.number else None
        if pull is not None:
            sha = pull.head_sha
            entries = await _queue_entries(client, pull)
            entry = {signal.head_sha} if signal.merge_group else set()
            targets = {sha, *entries, *entry}
        assert sha is not None
        is_listed = await _is_review_listed(client, signal)
        update = _Update(services, client, policy.approvals, signal.repository_id, sha, pull)
        await update.run(sorted(filter(None, targets)))
    except HonkError as problem:
        for target in filter(None, targets):
            await _withhold(client, target, problem)
        raise
    if not is_listed:
        raise RetryableError("GitHub does not list the review yet.")


async def after_publishing(services: Services, run: RunInput, pull: PullRequest) -> None:
    """Update the check of a pull request that a run has published to, if the policy asks for it.

    Raises HonkError as `on_signal`.
    """
    if run.policy.approvals is None:
        return
    client = await services.client(run, REVIEW_CHECK)
    head = await pulls.pull_request(client, pull.number)
    repository_id = run.trigger.repository_id
    update = _Update(services, client, run.policy.approvals, repository_id, head.head_sha, head)
    await update.run([head.head_sha])


async def _queue_entries(client: RepositoryClient, pull: PullRequest) -> tuple[CommitSha, ...]:
    """The merge queue's commits for a pull request: a required check has to be on them, too.

    A branch can be named like an entry, and lead to the head of a pull request without approvals.
    """
    prefix = f"refs/heads/gh-readonly-queue/{pull.base_ref}/pr-{pull.number}-"
    found = (await commits.refs_below(client, prefix)).values()
    return tuple([sha for sha in found if not await pulls.open_at(client, sha)])


async def _is_review_listed(client: RepositoryClient, signal: Signal) -> bool:
    """Whether GitHub's list of reviews contains the event's, if it is about one.

    Raises RetryableError while the list lacks a review that withdraws an approval. A stranger's
    review withdraws none, and GitHub may never list it.
    """
    if not signal.number or not signal.review:
        return True
    found = {each.id: each.state for each in await reviews.submitted(client, signal.number)}
    state = found.get(signal.review)
    stale = signal.action == "dismissed" and state in ("APPROVED", "CHANGES_REQUESTED")
    if state is None and signal.action in ("changes_requested", "dismissed"):
        who = signal.actor
        permission = await repositories.permission_by_account(client, who.login, who.id)
        stale = permission.at_least(Permission.WRITE)
    if stale:
        raise RetryableError("GitHub does not list the review yet.")
    return state is not None


async def _withhold(client: RepositoryClient, sha: CommitSha, problem: HonkError) -> None:
    """Withdraw an earlier success on the commit, because it may no longer be justified."""
    next_step = problem.next_step if isinstance(problem, UserError) else ""
    title, summary = messages.review_check.unknown(str(problem), next_step)
    shown = Shown(conclusion="action_required", title=title, summary=summary)
    try:
        for check in await checks.ours_named(client, _NAME, sha):
            await _show(client, check, shown)
    except HonkError as other:
        log.warning(log_events.REVIEW_CHECK_NOT_WITHHELD, sha=sha, why=str(other))


async def _show(client: RepositoryClient, check: int, shown: Shown) -> None:
    await checks.update_check_run(
        client,
        check,
        conclusion=shown.conclusion,
        output=Output(title=shown.title, summary=shown.summary),
    )


class _Update:
    """One update of the check run of one commit `sha`, the head of pull requests."""

    def __init__(
        self,
        services: Services,
        client: RepositoryClient,
        policy: ApprovalsPolicy,
        repository_id: int,
        sha: CommitSha,
        known: PullRequest | None,
    ) -> None:
        self._services = services
        self._client = client
        self._policy = policy
        self._repository_id = repository_id
        self._sha = sha
        self._known = known

    async def run(self, targets: Sequence[CommitSha]) -> None:
        """Show the current state on these commits: the head, and its entries in a merge queue.

        Then read it again: another worker may have shown an older one. The last writer always
        reads what it wrote before it leaves.
        """
        key = f"review check {self._repository_id} {self._sha}"
        async with self._services.locks.only_one(key, asyncio.Event()):
            written: Shown | None = None
            for _ in range(_ROUNDS):
                current = await self._current()
                if current is None or current == written:
                    return
                for target in targets:
                    await self._write(target, current)
                written = current
        raise RetryableError("The reviews change faster than Honk reads them.")

    async def _current(self) -> Shown | None:
        """What the check must show now; None when no open pull request has this head."""
        found = {each.number: each for each in await pulls.open_at(self._client, self._sha)}
        if self._known is not None:
            again = await pulls.pull_request(self._client, self._known.number)
            found.pop(again.number, None)
            if again.state == "open" and again.head_sha == self._sha:
                found[again.number] = again
        if not found:
            return None
        each = [await self._standing(found[number]) for number in sorted(found)]
        return _shown(self._sha, [standing for standing in each if standing is not None])

    async def _standing(self, pull: PullRequest) -> Standing | None:
        """The state of a pull request's approvals; None if no agent was involved in it."""
        honk = await self._services.bot_login()
        history = await pulls.history_of(self._client, pull.number)
        rows = await self._services.runs.requests_on_pull(self._repository_id, pull.number)
        actors = [actor for row in rows for actor in row.input.requesters]
        said = [each for row in rows for each in await self._services.messages.of(row.id)]
        involved = Involved(
            author=Account(login=pull.author.login, id=pull.author.id),
            author_type=pull.author.type,
            requesters=tuple(Account(login=each.login, id=each.id) for each in actors),
            instructors=tuple(sorted({each.author for each in said})),
            commits=history.commits,
            all_commits=history.is_complete,
            base_changed_at=history.base_changed_at,
        )
        if not involved.is_agents(honk) and history.is_complete:
            return None
        given = await reviews.submitted(self._client, pull.number)
        counts = self._policy.requester_counts
        candidates, others = sort_out(given, self._sha, involved, honk, requester_counts=counts)
        approved, powerless = await self._with_write_access(candidates)
        return Standing(
            number=pull.number,
            needed=self._policy.human,
            approved=approved,
            not_counted=(*others, *powerless),
            doubts=involved.doubts(honk),
        )

    async def _with_write_access(
        self, candidates: Sequence[Account]
    ) -> tuple[tuple[Account, ...], tuple[NotCounted, ...]]:
        approved: list[Account] = []
        powerless: list[NotCounted] = []
        for person in candidates[:_MOST_CANDIDATES]:
            permission = await repositories.permission_by_account(
                self._client, person.login, person.id
            )
            if permission.at_least(Permission.WRITE):
                approved.append(person)
            else:
                powerless.append(NotCounted(login=person.login, why=Why.NO_WRITE_ACCESS))
            if len(approved) == self._policy.human:
                break
        return tuple(approved), tuple(powerless)

    async def _write(self, target: CommitSha, shown: Shown) -> None:
        """Write to every check run of this name, because two workers may have created one each."""
        found = await checks.ours_named(self._client, _NAME, target)
        if not found:
            made = await checks.ensure_check_run(
                self._client, _NAME, target, REVIEW_CHECK_ID, status="in_progress"
            )
            found = [made.id]
        for check in found:
            await _show(self._client, check, shown)


def _shown(sha: CommitSha, standings: Sequence[Standing]) -> Shown:
    if not standings:
        title, summary = messages.review_check.not_needed(sha)
        return Shown(conclusion="skipped", title=title, summary=summary)
    if all(each.satisfied for each in standings):
        title, summary = messages.review_check.approved(sha, standings)
        return Shown(conclusion="success", title=title, summary=summary)
    title, summary = messages.review_check.waiting(sha, standings)
    return Shown(conclusion="action_required", title=title, summary=summary)
