"""Recording the verdicts that are posted on pull requests."""

from __future__ import annotations

from app.runs.attempt import Attempt
from app.runs.steps.commit import CommitResult
from app.runs.steps.verify import VerifyResult
from app.store.acceptances import PostedVerdict


async def record_verdict(
    attempt: Attempt,
    sealed: CommitResult,
    verified: VerifyResult,
    *,
    held_by: str,
    unfinished: bool,
) -> None:
    """Record the verdict on a pull request's commit, so that a person can accept it."""
    services, run = attempt.services, attempt.run
    number = (await services.runs.get(run.id)).pull_number
    if number is None and run.trigger.is_pull_request:
        number = run.trigger.number
    if number is None or sealed.check_run is None:
        return
    verdict = PostedVerdict(
        number=number,
        sha=sealed.sha,
        tree=sealed.tree,
        base_tree=verified.base_tree,
        run=run.id,
        attempt=attempt.number,
        check_run=sealed.check_run,
        kind=verified.verdict.kind,
        title=verified.verdict.title,
        held_by=held_by,
        unfinished=unfinished,
    )
    await services.acceptances.post(run.trigger.repository, verdict)
