"""What a change does besides passing: flags on its tests and its scope, and the judge's word.

Nothing here turns a red result green. What the policy does not let through goes back to the agent,
and in the end keeps the pull request a draft, or unpublished.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from app import integrity, messages
from app.agent import pricing
from app.agent.model import ModelRequest
from app.domain.diff import Diff
from app.domain.flag import Flag
from app.domain.run import Preparation, RunInput
from app.domain.verdict import Verdict
from app.git.load_diff import load_diff
from app.integrity import scope
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.commit import CommitResult
from app.runs.steps.verify import VerifyResult
from app.verify import judge
from app.verify.judge import Block, Judgement, JudgeReply

_DIFF_BYTES = 200_000


async def review(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    verified: VerifyResult,
) -> VerifyResult:
    """The verdict with what a person should look at first."""
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
    """What goes back to the agent besides failing tests; None when there is nothing to mend."""
    parts = [
        messages.agent.flags(verified.refused, verified.blocking),
        judge.feedback(verified.judgement) if verified.judgement else None,
    ]
    told = "\n\n".join(part for part in parts if part)
    return told or None


def _flags(run: RunInput, diff: Diff, failing: frozenset[str]) -> tuple[Flag, ...]:
    return (
        *scope.examine(diff, run.policy.paths, run.policy.scope),
        *integrity.examine(diff, failing),
    )


def _failing_before(verdict: Verdict) -> frozenset[str]:
    """What these tests expect may change with the code: they were red already."""
    return frozenset(change.id for change in (*verdict.fixed, *verdict.still_failing))


async def _judge(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    verified: VerifyResult,
) -> Judgement | None:
    """Asked only where the policy wants it, and only about a change whose tests are good."""
    if not run.policy.judge or verified.verdict.conclusion == "failure":
        return None
    repo = run.trigger.repository
    patch = await services.mirrors.diff(repo, preparation.base, sealed.sha, _DIFF_BYTES)
    trigger = run.trigger
    request = "\n\n".join(part for part in (trigger.title, trigger.body, run.request) if part)
    told = messages.agent.verdict_for_the_judge(verified.verdict)
    found = await judge.judge(
        _Asks(services, run), request, patch, told, boundary=secrets.token_hex(16)
    )
    await _pay(services, run, found)
    return found


async def _pay(services: Services, run: RunInput, found: Judgement) -> None:
    """The judge's turns cost the run like the agent's."""
    spent = sum(pricing.cost(run.model, dict(each)).usd for each in found.usage)
    await services.runs.add_cost(run.id, spent)


class _Asks:
    """The run's own model, in a conversation of its own."""

    def __init__(self, services: Services, run: RunInput) -> None:
        self._services = services
        self._run = run

    async def ask(self, system: str, messages: Sequence[Block], tool: Block) -> JudgeReply:
        request = ModelRequest(
            model=self._run.model,
            system=system,
            tools=(dict(tool),),
            messages=tuple(dict(message) for message in messages),
        )
        turn = await self._services.model.turn(request)
        return JudgeReply(content=tuple(turn.content), usage=(turn.usage, *turn.discarded))
