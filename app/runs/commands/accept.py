"""`/honk accept [SHA]`: a person accepts the removed tests or changed expectations of a commit."""

from __future__ import annotations

import asyncio

from app import messages
from app.domain import labels
from app.domain.policy import Policy
from app.domain.report import Report
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.github import checks, conversation, pulls
from app.github.checks import Output
from app.github.client import RepositoryClient
from app.github.pulls import NOT_READY, PullRequest
from app.github.refusals import NotFoundError
from app.runs import durable, intake, reply, starting
from app.runs.attestations import record_acceptance
from app.runs.durable import NoResult
from app.runs.services import PUBLISH, READ_SUBJECT, WRITE_CHECKS, WRITE_COMMENTS, Services
from app.runs.shared_commit import shared_with
from app.runs.steps.progress import status_context
from app.store.acceptances import Acceptance, PostedVerdict
from app.store.runs import RunRow

_END_POLLS = 60


class AcceptResult(Value):
    """The accepted verdict and who accepted it first, or why nothing was accepted."""

    verdict: PostedVerdict | None = None
    acceptance: Acceptance | None = None
    problem: str = ""
    next_step: str = ""


class AcceptanceShown(Value):
    """The answer to the person, after GitHub shows the acceptance."""

    answer: str


class _RefusedError(Exception):
    """Nothing is accepted. Has the problem and the next step."""

    def __init__(self, refusal: tuple[str, str]) -> None:
        super().__init__(refusal[0])
        self.refusal = refusal


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Accept the verdict on exactly the commit that the person has seen, and show that."""
    done = await durable.step("accept", AcceptResult, lambda: _accept(services, trigger))
    verdict, acceptance = done.verdict, done.acceptance
    if verdict is None or acceptance is None:
        await starting.refuse(services, trigger, (done.problem, done.next_step))
        return
    shown = await durable.step(
        "show the acceptance",
        AcceptanceShown,
        lambda: _show(services, trigger, verdict, acceptance),
    )
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, shown.answer))


async def _accept(services: Services, trigger: Trigger) -> AcceptResult:
    try:
        verdict = await _acceptable_verdict(services, trigger)
    except _RefusedError as refused:
        return AcceptResult(problem=refused.refusal[0], next_step=refused.refusal[1])
    acceptance = await services.acceptances.accept(
        trigger.repository,
        Acceptance(
            number=verdict.number,
            sha=verdict.sha,
            tree=verdict.tree,
            base_tree=verdict.base_tree,
            login=trigger.actor.login,
            account_id=trigger.actor.id,
        ),
    )
    return AcceptResult(verdict=verdict, acceptance=acceptance)


async def _acceptable_verdict(services: Services, trigger: Trigger) -> PostedVerdict:
    """The verdict that this request accepts. Raises _RefusedError."""
    number = await _pull_number(services, trigger)
    if number is None:
        raise _RefusedError(messages.refusals.only_on_pulls("accept"))
    if trigger.actor.type != "User":
        raise _RefusedError(messages.acceptance.only_people(number))
    client = await _client(services, trigger)
    pull = await pulls.pull_request(client, number)
    if pull.state != "open":
        raise _RefusedError(messages.acceptance.pull_is_closed(number))
    verdict = await _verdict_on_head(services, trigger, pull)
    await _check_what_was_seen(client, trigger, verdict)
    if verdict.kind not in messages.verdict.ACCEPTABLE:
        raise _RefusedError(
            messages.acceptance.nothing_to_accept(number, verdict.kind, verdict.title, verdict.sha)
        )
    if verdict.unfinished:
        row = await services.runs.find(verdict.run)
        raise _RefusedError(messages.acceptance.unfinished(number, row.number if row else number))
    place = await shared_with(services, trigger.model_copy(update={"number": number}), verdict.sha)
    if place:
        raise _RefusedError(messages.check_run.shared(place))
    return verdict


async def _pull_number(services: Services, trigger: Trigger) -> int | None:
    """The pull request: the subject itself, or the one that the issue's last run opened."""
    if trigger.is_pull_request:
        return trigger.number
    row = await intake.last_run(services, trigger)
    return row.pull_number if row else None


async def _verdict_on_head(
    services: Services, trigger: Trigger, pull: PullRequest
) -> PostedVerdict:
    """The verdict on the pull request's head. Raises _RefusedError."""
    store, repo = services.acceptances, trigger.repository
    verdict = await store.of_commit(repo, pull.number, pull.head_sha)
    if verdict is not None:
        return verdict
    earlier = await store.newest(repo, pull.number)
    if earlier is None:
        raise _RefusedError(messages.acceptance.no_verdict(pull.number))
    raise _RefusedError(messages.acceptance.head_moved(pull.number, pull.head_sha, earlier.sha))


async def _check_what_was_seen(
    client: RepositoryClient, trigger: Trigger, verdict: PostedVerdict
) -> None:
    """Refuse a request that is not about this verdict.

    A request that names the commit is. A bare comment is about the verdict that the person saw, so
    not about one that was posted after the comment. Both times are GitHub's, in whole seconds.
    """
    said, number, sha = trigger.command, verdict.number, verdict.sha
    if said is not None and (said.problem or (said.sha and said.sha != sha)):
        raise _RefusedError(messages.acceptance.another_commit(number, sha, said.problem))
    comment = trigger.comment
    if comment is None:
        return
    if comment.on == "conversation":
        body = await conversation.comment_body(client, comment.id)
        if body is None or body.replace("\0", "") != comment.body:
            raise _RefusedError(messages.acceptance.edited(number, sha))
    if said is not None and not said.sha:
        page = await checks.check_run_page(client, verdict.check_run)
        if page.completed_at is None or page.completed_at >= comment.created_at:
            raise _RefusedError(messages.acceptance.newer_verdict(number, sha))


async def _show(
    services: Services, trigger: Trigger, verdict: PostedVerdict, acceptance: Acceptance
) -> AcceptanceShown:
    """Update the check run, the pull request, the status comment and the label.

    An App that only verifies has the check run alone.
    """
    row = await _wait_for_report(services, verdict)
    client = await _client(services, trigger)
    await _update_check(client, verdict, acceptance)
    if not await services.may_comment():
        return AcceptanceShown(answer="")
    is_ready = await _update_pull(services, client, trigger, verdict, acceptance)
    if row is not None and row.finished_at is not None and row.attempt == verdict.attempt:
        await _update_report(services, client, row, acceptance, is_ready=is_ready)
    if acceptance.account_id != trigger.actor.id:
        answer = messages.acceptance.already_accepted(verdict.number, verdict.sha, acceptance.login)
        return AcceptanceShown(answer=answer)
    answer = messages.acceptance.done(
        verdict.number, verdict.sha, acceptance.login, ready=is_ready, held_by=verdict.held_by
    )
    return AcceptanceShown(answer=answer)


async def _client(services: Services, trigger: Trigger) -> RepositoryClient:
    """A client for everything that shows an acceptance, within the App's permissions."""
    permissions = {**READ_SUBJECT, **WRITE_CHECKS}
    if await services.may_comment():
        permissions = {**WRITE_COMMENTS, **PUBLISH}
    return await services.github.repository(
        trigger.installation_id, trigger.repository, permissions
    )


async def _wait_for_report(services: Services, verdict: PostedVerdict) -> RunRow | None:
    """The verdict's run, once it has ended: a report written later would overwrite the
    acceptance.
    """
    row = await services.runs.find(verdict.run)
    for _ in range(_END_POLLS):
        if row is None or row.finished_at is not None or row.attempt != verdict.attempt:
            break
        async with durable.released():
            await asyncio.sleep(1.0)
        row = await services.runs.find(verdict.run)
    return row


async def _update_check(
    client: RepositoryClient, verdict: PostedVerdict, acceptance: Acceptance
) -> None:
    try:
        page = await checks.check_run_page(client, verdict.check_run)
    except NotFoundError:
        return  # GitHub deletes old check runs
    title, summary = messages.check_run.accepted(
        page.title, page.summary, verdict.kind, acceptance.login, verdict.sha
    )
    await checks.update_check_run(
        client,
        verdict.check_run,
        conclusion="success",
        output=Output(title=title, summary=summary),
        actions=(),
    )


async def _update_pull(
    services: Services,
    client: RepositoryClient,
    trigger: Trigger,
    verdict: PostedVerdict,
    acceptance: Acceptance,
) -> bool:
    """Show the acceptance on our own pull request; return whether it is ready for review.

    A person's pull request is left as it is.
    """
    pull = await pulls.pull_request(client, verdict.number)
    if pull.author.login != await services.bot_login():
        return False
    title, body = (
        pull.title,
        messages.pull_request.with_acceptance(
            pull.body, verdict.kind, acceptance.login, verdict.sha
        ),
    )
    is_ready = not verdict.held_by and pull.head_sha == verdict.sha
    if is_ready:
        title = title.removeprefix(NOT_READY)
        if pull.draft:
            await pulls.ready_for_review(client, pull.node_id)
    if (title, body) != (pull.title, pull.body):
        await pulls.update_pull_request(client, verdict.number, title=title, body=body)
    if is_ready:
        asked = pulls.request_review(client, verdict.number, trigger.actor.login)
        await reply.decorate("the request for a review", asked)
    return is_ready


async def _update_report(
    services: Services,
    client: RepositoryClient,
    row: RunRow,
    acceptance: Acceptance,
    *,
    is_ready: bool,
) -> None:
    """Show the acceptance in the run's report, its status comment and its label."""
    before = await services.reports.of(row.id, row.attempt)
    if before is None or before.verdict is None:
        return
    report = _accepted(before, acceptance, is_ready=is_ready)
    await services.reports.put(row.id, row.attempt, report)
    if report.verdict is not None:
        await record_acceptance(
            services, row.input.trigger.repository, acceptance.sha, report.verdict
        )
    row = await services.runs.finish(row.id, report.outcome)
    if row.status_comment_id is not None:
        text = messages.status_comment.finished(status_context(services, row), report, row.attempt)
        edit = conversation.edit_comment(client, row.status_comment_id, text)
        await reply.decorate("the status comment", edit)
    if report.outcome is Outcome.DONE:
        done = conversation.set_state_label(client, row.number, labels.DONE, messages.labels.LABELS)
        await reply.decorate("the label", done)


def _accepted(report: Report, acceptance: Acceptance, *, is_ready: bool) -> Report:
    verdict, publication = report.verdict, report.publication
    assert verdict is not None
    change: dict[str, object] = {"verdict": messages.verdict.accept(verdict, acceptance.login)}
    if publication is not None and is_ready:
        state = {"draft": False, "titled_not_ready": False}
        change |= {"publication": publication.model_copy(update=state)}
    settled = is_ready or publication is None or not publication.own
    if report.outcome is Outcome.NOT_READY and settled:
        change |= {"outcome": Outcome.DONE}
    return report.model_copy(update=change)
