"""Publishing the branch, the pull request and the check run with the test results."""

from __future__ import annotations

import structlog

from app import log_events, messages
from app.domain.report import (
    Publication,
    Work,
)
from app.domain.run import Phase, Preparation, RunInput, branch_names, hidden_ref
from app.domain.values import Value
from app.errors import HonkError, UserError
from app.git.mirror import PushRefusedError
from app.github import checks, commits, pulls
from app.github.checks import Output
from app.github.client import RepositoryClient
from app.github.commits import RefMoved
from app.github.pulls import PullRequest
from app.integrity import readiness
from app.runs import reply, review_check
from app.runs.attempt import Attempt
from app.runs.services import PUBLISH, READ_CODE, WRITE_CODE, Services
from app.runs.steps import (
    complete_check,
    handoff,
    pull_template,
    sync_upstream,
)
from app.runs.steps.commit import CommitResult
from app.runs.steps.commit_title import commit_title
from app.runs.steps.progress import announce, usage_of
from app.runs.steps.verify import VerifyResult
from app.verify.judge import allows

log = structlog.get_logger()


class KeepResult(Value):
    """The branch with the work of a stopped run."""

    branch: str


class PublishResult(Value):
    """The publication; None if someone moved the branch or the base at that moment."""

    publication: Publication | None = None


async def publish(
    attempt: Attempt,
    preparation: Preparation,
    sealed: CommitResult,
    work: Work,
    verified: VerifyResult,
) -> PublishResult:
    """Point a branch at exactly the verified commit, and open or update its pull request."""
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.PUBLISHING)
    client = await services.client(run, PUBLISH)
    target = preparation.target
    if await sync_upstream.is_overtaken(services, run, preparation, sealed.tree):
        log.info(log_events.BASE_HAS_SAME_CHANGE)
        return PublishResult()
    try:
        branch = await _branch(services, client, run, preparation, sealed)
    except RefMoved as moved:
        log.info(log_events.BRANCH_MOVED_DURING_VERIFY, why=str(moved))
        return PublishResult()
    if target.pull is not None and run.trusted is None:
        pull = await _update_subject_pull(
            services, client, run, preparation, sealed, work, verified
        )
    else:
        pull = await _pull_request(
            services, client, run, branch, preparation, sealed, work, verified
        )
    requested = False
    if is_ready(run, work, verified) and not pull.draft and pull.created:
        requested = await _request_review(client, run, pull.number)
    if not pull.created and not is_ready(run, work, verified):
        # Someone enabled auto-merge for an earlier commit; it must not merge this one.
        await pulls.disable_auto_merge(client, pull.node_id)
    cut_short = work.ending in ("budget", "stuck")
    await complete_check.complete_check(
        attempt, sealed, verified, cut_short=cut_short, held_by=_held_by(run, work, verified)
    )
    checked = review_check.after_publishing(services, run, pull)
    await reply.decorate("the check of approvals", checked)
    return PublishResult(
        publication=Publication(
            branch=branch,
            pull_number=pull.number,
            pull_url=pull.url,
            draft=pull.draft,
            titled_not_ready=pull.draft_refused,
            check_url=sealed.check_url,
            own=pull.created or target.pull is None or run.trusted is not None,
            review_requested=requested,
        )
    )


async def _request_review(client: RepositoryClient, run: RunInput, number: int) -> bool:
    """Whether GitHub accepted the request, and so notifies the requester."""
    try:
        return await pulls.request_review(client, number, run.trigger.actor.login)
    except HonkError as problem:
        what = "the request for a review"
        log.warning(log_events.DECORATION_FAILED, what=what, why=str(problem))
        return False


async def keep(attempt: Attempt, preparation: Preparation, sealed: CommitResult) -> KeepResult:
    """Push a stopped run's unfinished work to its branch, without a verdict."""
    services, run = attempt.services, attempt.run
    client = await services.client(run, PUBLISH)
    try:
        branch = await _branch(services, client, run, preparation, sealed)
    except RefMoved:
        # The work is at the hidden ref; the next attempt merges it.
        branch = hidden_ref(run.id)
    assert sealed.check_run is not None
    title, summary = messages.check_run.stopped()
    await checks.complete_check_run(
        client,
        sealed.check_run,
        conclusion="cancelled",
        output=Output(title=title, summary=summary),
    )
    return KeepResult(branch=branch)


def is_ready(run: RunInput, work: Work, verified: VerifyResult) -> bool:
    """Whether the change is ready for review: by the policy, by the judge, and because the agent
    finished."""
    good = readiness.is_ready(run.policy, verified.verdict, verified.flags)
    return allows(good, verified.judgement) and work.ending == "done"


def _held_by(run: RunInput, work: Work, verified: VerifyResult) -> str:
    """Why the pull request is a draft regardless of its tests and acceptances, or empty."""
    if work.ending != "done":
        return messages.pull_request.unfinished(run.trigger.number)
    if not allows(True, verified.judgement):
        return messages.pull_request.judge_objects()
    return messages.pull_request.draft_requested() if _wants_draft(run) else ""


def _why_draft(run: RunInput, work: Work, verified: VerifyResult) -> str:
    """Why the pull request is a draft, besides its verdict, or empty."""
    blocking = readiness.in_the_way(run.policy, verified.flags)
    flagged = messages.pull_request.flags_to_review() if blocking else ""
    return " ".join(part for part in (flagged, _held_by(run, work, verified)) if part)


async def _branch(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
) -> str:
    """Move the target branch from where it was, or create one with the pattern's first free name.

    Raises RefMoved when people have pushed in the meantime.
    """
    target = preparation.target
    if preparation.forced:
        await _force_push(services, run, preparation, sealed)
        name = target.branch
    elif target.branch and target.at:
        ref = f"refs/heads/{target.branch}"
        await commits.ensure_ref(client, ref, sealed.sha, expected=target.at)
        name = target.branch
    else:
        name = await _new_branch(client, run, sealed)
    await services.runs.update(run.id, branch=name, published_sha=sealed.sha)
    return name


async def _force_push(
    services: Services, run: RunInput, preparation: Preparation, sealed: CommitResult
) -> None:
    """Force-push our own branch with a lease on its last known head."""
    target, repo = preparation.target, run.trigger.repository
    await handoff.fetch_commits(services, run, sealed.sha)
    remote = await services.remote(run, WRITE_CODE)
    ref = f"refs/heads/{target.branch}"
    try:
        await services.mirrors.push(repo, remote, sealed.sha, ref, expected=target.at)
    except PushRefusedError as refusal:
        if not refusal.moved:
            raise
        at = await services.mirrors.fetch(repo, await services.remote(run, READ_CODE), ref)
        if at != sealed.sha:
            raise RefMoved(ref, target.at, at) from None


async def _new_branch(client: RepositoryClient, run: RunInput, sealed: CommitResult) -> str:
    """Create a branch with the pattern's first free name, or reuse one already at this commit."""
    names = branch_names(run)
    for name in names:
        try:
            await commits.ensure_ref(client, f"refs/heads/{name}", sealed.sha, expected=None)
        except RefMoved:
            continue
        return name
    raise UserError(
        f"Twenty branches like `{names[0]}` already exist.",
        next_step="Delete branches of earlier runs, then comment `/honk continue`.",
    )


async def _update_subject_pull(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    work: Work,
    verified: VerifyResult,
) -> PullRequest:
    """Update the pull request that the run is about, if it is ours."""
    number = preparation.target.pull
    assert number is not None
    pull = await pulls.pull_request(client, number)
    await services.runs.update(run.id, pull_number=pull.number, pull_url=pull.url)
    if not preparation.target.ours:
        return pull
    draft = run.policy.draft or not is_ready(run, work, verified)
    row = await services.runs.get(run.id)
    verdict, body = verified.verdict, pull.body
    block = messages.pull_request.verdict_block(
        run.id,
        verdict,
        sealed.sha,
        verified.flags,
        _why_draft(run, work, verified),
        verified.attestation,
    )
    body = messages.preview.with_previews(body, "")  # of the commit before
    known = messages.pull_request.has_verdict(body)
    section = messages.pull_request.follow_up(
        run, work, verdict, sealed.sha, usage_of(row), "" if known else block
    )
    body = messages.pull_request.with_verdict(body, block) if known else body
    body = messages.pull_request.with_follow_up(body, run.id, section)
    return await _update_pull(client, pull, pull.title, body, draft)


async def _pull_request(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    branch: str,
    preparation: Preparation,
    sealed: CommitResult,
    work: Work,
    verified: VerifyResult,
) -> PullRequest:
    """Open or update the branch's pull request."""
    row = await services.runs.get(run.id)
    plain = messages.pull_request.plain_title(run)
    styled = await commit_title(services, run, plain, preparation.base, sealed.tree)
    title = messages.pull_request.title(run, styled.text)
    body = messages.pull_request.body(
        run,
        work,
        verified.verdict,
        sealed.sha,
        usage_of(row),
        verified.flags,
        await pull_template.read(services, run, preparation),
        _why_draft(run, work, verified),
        verified.attestation,
    )
    draft = _wants_draft(run) or not is_ready(run, work, verified)
    base = preparation.target.base_branch
    pull = await pulls.ensure_pull_request(client, branch, base, title, body, draft)
    if not pull.created:
        pull = await _update_pull(client, pull, title, body, draft)
    await services.runs.update(run.id, pull_number=pull.number, pull_url=pull.url)
    return pull


def _wants_draft(run: RunInput) -> bool:
    """Whether a draft was requested; the person's argument overrides the policy."""
    said = run.trigger.command.arguments.draft if run.trigger.command else None
    return run.policy.draft if said is None else said


async def _update_pull(
    client: RepositoryClient, pull: PullRequest, title: str, body: str, draft: bool
) -> PullRequest:
    """Update an earlier attempt's pull request, including its draft state, for the new commit."""
    is_draft = pull.draft
    if is_draft and not draft:
        await pulls.ready_for_review(client, pull.node_id)
        is_draft = False
    elif draft and not is_draft:
        is_draft = await pulls.convert_to_draft(client, pull.node_id)
    shown = title if is_draft or not draft else messages.pull_request.not_ready_title(title)
    changed = await pulls.update_pull_request(client, pull.number, title=shown, body=body)
    return changed.model_copy(update={"draft": is_draft, "draft_refused": draft and not is_draft})
