"""How an attempt ends without a pull request of its own: one `Report` for each reason. Pure."""

from __future__ import annotations

from app import messages
from app.domain.flag import kinds
from app.domain.report import Report, Work
from app.domain.run import Outcome, Preparation, RunInput, hidden_ref
from app.runs.steps.checkpoint import CheckpointResult, PushRefusal
from app.runs.steps.sync_upstream import SyncResult
from app.runs.steps.verify import VerifyResult

WITHOUT_A_RESULT = {
    "question": Outcome.QUESTION,
    "stopped": Outcome.STOPPED,
    "budget": Outcome.BUDGET,
    "stuck": Outcome.STUCK,
}
"""The outcome for each ending of the agent's work that is not "done" or "refused"."""


def forbidden_by_policy(run: RunInput, work: Work, verified: VerifyResult) -> Report:
    """The policy forbids the change, so it is not published even if its tests pass."""
    problem, next_step = messages.refusals.forbidden_by_policy(verified.refused)
    return Report(
        outcome=Outcome.ERROR,
        work=work,
        verdict=verified.verdict,
        problem=problem,
        next_step=next_step,
        kept_at=hidden_ref(run.id),
        flags=kinds(verified.flags),
    )


def refused_by_github(work: Work, refused: PushRefusal) -> Report:
    """A rule of the repository rejects the push."""
    problem, next_step = messages.refusals.push_refused(refused.paths, refused.rule)
    return Report(outcome=Outcome.ERROR, work=work, problem=problem, next_step=next_step)


def contains_secret(work: Work, packed: CheckpointResult) -> Report:
    """The work contains a secret. It stays on this machine, because pushing would publish it."""
    problem, next_step = messages.refusals.holds_a_secret(packed.secrets)
    outcome = Outcome.STOPPED if work.ending == "stopped" else Outcome.ERROR
    return Report(outcome=outcome, work=work, problem=problem, next_step=next_step)


def merge_conflict(run: RunInput, work: Work, preparation: Preparation) -> Report:
    """Others changed the same lines again; the next attempt will resolve the conflict."""
    problem, next_step = messages.refusals.merge_conflict(preparation.conflicts)
    return Report(
        outcome=Outcome.ERROR,
        work=work,
        problem=problem,
        next_step=next_step,
        kept_at=hidden_ref(run.id),
    )


def overtaken(work: Work, synced: SyncResult) -> Report:
    """Someone else pushed the same change, so a pull request would be empty."""
    preparation = synced.preparation
    problem, next_step = messages.refusals.overtaken(
        synced.same_as, preparation.base, preparation.target
    )
    return Report(outcome=Outcome.NOTHING, work=work, problem=problem, next_step=next_step)


def no_change(run: RunInput, work: Work, packed: CheckpointResult) -> Report:
    """The agent ended without a change to publish."""
    kept_at = "" if packed.empty or packed.refused else hidden_ref(run.id)
    if work.ending == "refused":
        return declined(run, work, kept_at)
    return Report(
        outcome=WITHOUT_A_RESULT.get(work.ending, Outcome.NOTHING), work=work, kept_at=kept_at
    )


def declined(run: RunInput, work: Work, kept_at: str = "") -> Report:
    """The model refused to go on. The task is not done, and any partial work is kept."""
    problem, next_step = messages.refusals.declined(work.text)
    return Report(
        outcome=Outcome.ERROR,
        work=work,
        problem=problem,
        next_step=next_step,
        kept_at=kept_at,
        mode=run.mode,
    )
