"""`/honk merge [squash|rebase|merge] [SHA]`: merge exactly the commit that the person has seen."""

from __future__ import annotations

from app import messages
from app.domain import labels
from app.domain.mergeability import (
    WAITING,
    BaseRules,
    Lack,
    Mergeable,
    MissingForMerge,
    PullState,
    chosen_method,
    decide,
)
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, Value
from app.github import checks, conversation, merging, pulls, reviews
from app.github.client import RepositoryClient
from app.github.refusals import (
    GitHubRefusedError,
    MissingPermissionError,
    NotFoundError,
    NoTokenError,
)
from app.runs import after_merge, durable, intake, starting
from app.runs.durable import NoResult
from app.runs.services import MERGE, MERGE_DEPLOYED, MERGE_QUEUE, Services
from app.store.merges import MergeRequestState

_ROUNDS = 3
"""How often GitHub is asked again when it refuses what its own data allows: that may be older."""


class MergeCommandResult(Value):
    """The answer, or why nothing was merged; neither if another request is being answered."""

    answer: str = ""
    problem: str = ""
    next_step: str = ""


class _NotMergedError(Exception):
    """Nothing is merged. Has the problem and the next step."""

    def __init__(self, refusal: tuple[str, str]) -> None:
        super().__init__(refusal[0])
        self.refusal = refusal


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Merge, turn auto-merge on, add to the merge queue, or say what is missing."""
    done = await durable.step(
        "merge", MergeCommandResult, lambda: _handle(services, trigger, policy)
    )
    if done.problem:
        await starting.refuse(services, trigger, (done.problem, done.next_step))
    elif done.answer:
        await durable.step(
            "answer", NoResult, lambda: intake.answer(services, trigger, done.answer)
        )
    else:
        await durable.step("react", NoResult, lambda: intake.react_with_eyes(services, trigger))


async def _handle(services: Services, trigger: Trigger, policy: Policy) -> MergeCommandResult:
    try:
        return MergeCommandResult(answer=await _merge(services, trigger, policy))
    except _NotMergedError as refused:
        problem, next_step = refused.refusal
        return MergeCommandResult(problem=problem, next_step=next_step)


async def _merge(services: Services, trigger: Trigger, policy: Policy) -> str:
    """The answer; empty if another request has it. Raises _NotMergedError."""
    number = trigger.number
    _check_request(trigger, policy)
    request = await _Request.read(services, trigger, policy)
    if request.state.state == "open":
        await request.check_commit()
        await request.check_hold()
    claim = await services.merges.claim(trigger, number, request.state.head_sha)
    if claim == "taken":
        return ""
    try:
        outcome, answer = await request.carry_out(again=claim == "again")
    except _NotMergedError:
        await services.merges.release(trigger, number)
        raise
    if outcome == "merged" and request.commit is not None:
        await after_merge.start(services, trigger, policy, number, request.commit)
    if outcome is None:
        await services.merges.release(trigger, number)
    else:
        await services.merges.note(trigger, number, outcome)
    return answer


def _check_request(trigger: Trigger, policy: Policy) -> None:
    if not trigger.is_pull_request:
        raise _NotMergedError(messages.refusals.only_on_pulls("merge"))
    if policy.merge == "never":
        raise _NotMergedError(messages.merge.never())
    if trigger.actor.type != "User":
        raise _NotMergedError(messages.merge.only_people(trigger.number))


class _Request:
    """A request to merge, with what GitHub said about the pull request when it was read."""

    def __init__(
        self,
        services: Services,
        trigger: Trigger,
        policy: Policy,
        client: RepositoryClient,
        rules: BaseRules,
        state: PullState,
    ) -> None:
        self._services = services
        self._trigger = trigger
        self._policy = policy
        self._client = client
        self._rules = rules
        self._method = trigger.command.method if trigger.command is not None else None
        self._login = trigger.actor.login
        self._number = trigger.number
        self.commit: CommitSha | None = None
        self.state = state

    @classmethod
    async def read(cls, services: Services, trigger: Trigger, policy: Policy) -> _Request:
        """Read the pull request and the rules of its base."""
        installation, repo = trigger.installation_id, trigger.repository
        reader = await services.github.repository(installation, repo, MERGE)
        base = (await pulls.pull_request(reader, trigger.number)).base_ref
        rules = await merging.rules_of(reader, base)
        permissions = MERGE_DEPLOYED if rules.environments else MERGE
        client = await services.github.repository(installation, repo, permissions)
        state = await merging.state_of(client, trigger.number, rules)
        return cls(services, trigger, policy, client, rules, state)

    async def check_commit(self) -> None:
        """Refuse unless the head is the commit that the person has seen. Raises _NotMergedError.

        A command with a SHA names it. A bare one means the newest verdict that Honk had posted
        before the comment. Both times are GitHub's, in whole seconds.
        """
        said, comment, head = self._trigger.command, self._trigger.comment, self.state.head_sha
        if said is not None and said.problem:
            raise _NotMergedError(messages.merge.invalid(self._number, said.problem, head))
        if comment is not None and await self._current_body() != comment.body:
            raise _NotMergedError(messages.merge.edited(self._number, head))
        if said is not None and said.sha:
            if said.sha != head:
                raise _NotMergedError(messages.merge.head_moved(self._number, head, said.sha))
            await self._check_verdicts()
            return
        await self._check_seen_verdict()

    async def _current_body(self) -> str | None:
        """The comment's text now; None if it was deleted."""
        comment = self._trigger.comment
        assert comment is not None
        match comment.on:
            case "conversation":
                body = await conversation.comment_body(self._client, comment.id)
            case "line":
                line = await reviews.comment(self._client, comment.id)
                body = line.body if line is not None else None
            case "review":
                body = (await reviews.review(self._client, self._number, comment.id)).body
        return None if body is None else body.replace("\0", "")

    async def _check_verdicts(self) -> None:
        """Refuse when Honk has tested other commits of the pull request, and not this one."""
        found = await self._services.acceptances.posted(self._trigger.repository, self._number)
        head = self.state.head_sha
        if found and all(each.sha != head for each in found):
            raise _NotMergedError(
                messages.merge.verdict_elsewhere(self._number, head, found[0].sha)
            )

    async def _check_seen_verdict(self) -> None:
        """Refuse unless the newest verdict before the comment is about the head."""
        head, comment = self.state.head_sha, self._trigger.comment
        found = await self._services.acceptances.posted(self._trigger.repository, self._number)
        for verdict in found:
            try:
                page = await checks.check_run_page(self._client, verdict.check_run)
            except NotFoundError:
                continue  # GitHub deletes old check runs
            seen = page.completed_at is not None and (
                comment is None or page.completed_at < comment.created_at
            )
            if seen and verdict.sha == head:
                return
            if seen:
                raise _NotMergedError(messages.merge.head_moved(self._number, head, verdict.sha))
            if verdict.sha == head:
                raise _NotMergedError(messages.merge.newer_verdict(self._number, head))
        raise _NotMergedError(messages.merge.no_verdict(self._number, head))

    async def check_hold(self) -> None:
        """Refuse while the pull request, or the issue it is for, is on hold."""
        repository = str(self._trigger.repository)
        rows = await self._services.runs.of_pull(repository, self._number)
        for number in sorted({self._number, *(row.number for row in rows)}):
            issue = await conversation.issue(self._client, number)
            if labels.HOLD in map(labels.plain, issue.labels):
                raise _NotMergedError(messages.merge.on_hold(number))

    async def carry_out(self, *, again: bool) -> tuple[MergeRequestState | None, str]:
        """Merge in the way that fits; the outcome with the answer. Raises _NotMergedError.

        `again`: this request was interrupted, so what it finds done may be its own doing. Without
        an outcome, nothing was changed.
        """
        sha, reason = self.state.head_sha, ""
        for attempt in range(_ROUNDS):
            if attempt:
                self.state = await merging.state_of(self._client, self._number, self._rules)
            self._check_head(sha)
            found, is_own = self._decide(), again or attempt > 0
            if isinstance(found, Mergeable):
                reason = await (self._enqueue() if found.queue else self._merge_now(found))
                if not reason:
                    return self._done(found)
            elif found.lack in (Lack.MERGED, Lack.IN_QUEUE):
                return self._was_done(found, is_own=is_own)
            elif not self._can_wait(found):
                raise _NotMergedError(self._missing(found))
            elif self.state.auto_merge and not is_own:
                return None, messages.merge.already_auto(self._number, found)
            else:
                reason = await self._turn_on_auto_merge()
                if not reason:
                    return "auto", messages.merge.auto_merge(self._number, sha, found, self._login)
        raise _NotMergedError(messages.merge.refused(self._number, sha, reason))

    def _check_head(self, sha: CommitSha) -> None:
        if self.state.head_sha != sha:
            raise _NotMergedError(messages.merge.head_moved(self._number, self.state.head_sha, sha))

    def _decide(self) -> Mergeable | MissingForMerge:
        return decide(
            self.state,
            self._rules,
            method=self._method,
            honk_app_id=self._client.github.app_id,
            needs_honk_review=self._policy.approvals is not None,
        )

    async def _merge_now(self, found: Mergeable) -> str:
        """Merge; return why GitHub refuses, or nothing."""
        try:
            result = await merging.merge(
                self._client, self._number, self.state.head_sha, found.method
            )
        except (MissingPermissionError, NoTokenError):
            raise
        except GitHubRefusedError as refusal:
            # For example, Apps without `workflows` may not merge changes to workflows.
            if refusal.status != 403:
                raise
            return refusal.reason
        self.commit = result.sha
        return result.reason

    async def _enqueue(self) -> str:
        """Add it to the merge queue; return why GitHub refuses, or nothing."""
        client = await self._services.github.repository(
            self._trigger.installation_id, self._trigger.repository, MERGE_QUEUE
        )
        return await merging.enqueue(client, self.state)

    def _done(self, found: Mergeable) -> tuple[MergeRequestState, str]:
        state = self.state
        if found.queue:
            answer = messages.merge.queued(
                self._number, state.head_sha, state.base_ref, self._login
            )
            return "queued", answer
        answer = messages.merge.merged(
            self._number,
            state.base_ref,
            state.head_sha,
            self.commit or "",
            found.method,
            self._login,
            found.failing,
        )
        return "merged", answer

    def _was_done(
        self, found: MissingForMerge, *, is_own: bool
    ) -> tuple[MergeRequestState | None, str]:
        """It was merged or queued before, by this request if `is_own`."""
        state = self.state
        if is_own:
            self.commit = state.merge_commit
            method = chosen_method(state, self._rules, self._method)
            return self._done(Mergeable(method=method, queue=found.lack is Lack.IN_QUEUE))
        if found.lack is Lack.MERGED:
            return None, messages.merge.already_merged(self._number, state.merge_commit or "")
        return None, messages.merge.already_queued(self._number, state.base_ref)

    def _can_wait(self, found: MissingForMerge) -> bool:
        """Whether GitHub's auto-merge can wait for what is missing, and Honk can turn it off.

        Raises _NotMergedError where Honk would see a push too late.
        """
        possible = self.state.allows_auto_merge or self.state.auto_merge
        if found.lack not in WAITING or not possible:
            return False
        if self._services.intake == "poll":
            raise _NotMergedError(messages.merge.without_deliveries(self._number, found))
        return True

    async def _turn_on_auto_merge(self) -> str:
        """Turn auto-merge on; return why it is not on, or nothing.

        Where there is a queue, GitHub never adds a pull request that was complete before auto-merge
        was turned on, so look again.
        """
        before, number = self.state, self._number
        # First, so that a push from now on turns it off.
        await self._services.merges.note(self._trigger, number, "auto")
        method = chosen_method(before, self._rules, self._method)
        if not before.auto_merge:
            queue = before.has_queue or self._rules.has_queue
            reason = await merging.enable_auto_merge(
                self._client, before, None if queue else method
            )
            if reason:
                return reason
        self.state = await merging.state_of(self._client, number, self._rules)
        moved = self.state.head_sha != before.head_sha
        if not self.state.auto_merge or self.state.queue_entry:
            return "" if not moved else _MOVED
        if moved or isinstance(self._decide(), Mergeable):
            await pulls.disable_auto_merge(self._client, self.state.node_id)
            return _MOVED if moved else _COMPLETE
        return ""

    def _missing(self, found: MissingForMerge) -> tuple[str, str]:
        state = self.state
        return messages.merge.missing(
            self._number, state.base_ref, state.head_sha, found, self._method
        )


_MOVED = "The head has moved."
_COMPLETE = "Everything required is there."
