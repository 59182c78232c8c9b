"""Reviewing a verified change: flags on its tests and scope, and the judge's verdict.

Nothing here turns a failing result into a pass. What the policy blocks goes back to the agent; if
it remains, the pull request stays a draft or is not published.
"""

from __future__ import annotations

import asyncio
import secrets

from app import integrity, messages
from app.domain.diff import Diff
from app.domain.flag import Flag
from app.domain.run import Preparation, RunInput
from app.domain.verdict import Verdict
from app.git.load_diff import load_diff
from app.integrity import scope
from app.runs.attempt import Attempt
from app.runs.run_model import RunModel
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.commit import CommitResult
from app.runs.steps.verify import VerifyResult
from app.verify import judge
from app.verify.judge import Judgement

_DIFF_BYTES = 200_000


async def review(
    attempt: Attempt,
    preparation: Preparation,
    sealed: CommitResult,
    verified: VerifyResult,
) -> VerifyResult:
    """Add flags and the judge's verdict to the result."""
    services, run = attempt.services, attempt.run
    repo = run.trigger.repository
    await handoff.fetch_commits(services, run, preparation.base, sealed.sha)
    diff = await load_diff(services.mirrors, repo, preparation.base, sealed.sha)
    failing = _failing_before(verified.verdict)
    flags = await asyncio.to_thread(_flags, run, diff, failing)
    judgement = await _judge(services, run, preparation, sealed, verified)
    return verified.model_copy(
        update={
            "flags": flags,
            "blocking": integrity.blocking(flags, run.policy.integrity.block),
            "refused": scope.refused(flags),
            "judgement": judgement,
        }
    )


def feedback(verified: VerifyResult) -> str | None:
    """The feedback to the agent besides failing tests; None when there is nothing to fix."""
    parts = [
        messages.agent.flags(verified.refused, verified.blocking),
        judge.feedback(verified.judgement) if verified.judgement else None,
    ]
    text = "\n\n".join(part for part in parts if part)
    return text or None


def _flags(run: RunInput, diff: Diff, failing: frozenset[str]) -> tuple[Flag, ...]:
    return (
        *scope.examine(diff, run.policy.paths, run.policy.scope),
        *integrity.examine(diff, failing),
    )


def _failing_before(verdict: Verdict) -> frozenset[str]:
    """Tests that failed on the base; changing their expectations is legitimate."""
    return frozenset(change.id for change in (*verdict.fixed, *verdict.still_failing))


async def _judge(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    verified: VerifyResult,
) -> Judgement | None:
    """The judge's verdict, if the policy wants one and the tests don't fail."""
    if not run.policy.judge or verified.verdict.conclusion == "failure":
        return None
    repo = run.trigger.repository
    patch = await services.mirrors.diff(repo, preparation.base, sealed.sha, _DIFF_BYTES)
    text = messages.agent.verdict_for_the_judge(verified.verdict)
    return await judge.judge(
        RunModel(services, run), run.request_text, patch, text, boundary=secrets.token_hex(16)
    )
