"""How a run ended, in a few words and in a few sentences."""

from __future__ import annotations

from app.domain import sanitize
from app.domain.report import Report
from app.domain.run import Outcome, Phase
from app.domain.values import short
from app.messages import verdict as verdicts
from app.messages.formatting import branch_code, flow, sentence, state


def outcome_headline(report: Report) -> str:
    """The outcome in a few words."""
    return state(Phase.FINISHED, report.outcome, report.mode)


def result_line(report: Report) -> str:
    """The final status in one or two sentences."""
    words = []
    if report.publication and report.review_requested:
        words.append(f"#{report.publication.pull_number} is ready for your review.")
    elif report.publication and report.publication.own:
        kind = "Draft pull request" if report.publication.draft else "Pull request"
        words.append(f"{kind} #{report.publication.pull_number}.")
    elif report.publication and report.head_sha:
        words.append(f"{short(report.head_sha)} is on {branch_code(report.publication.branch)}.")
    if report.verdict:
        words.append(verdicts.line(report.verdict, _check_url(report)))
    if report.outcome is Outcome.BUDGET and report.work:
        verb = "are" if report.work.spent == "turns" else "is"
        words.append(f"The run's {report.work.spent} {verb} used up; the work so far is saved.")
    if report.outcome is Outcome.STUCK and report.work:
        words.append(f"{report.work.text} The work so far is saved.")
    shown = (Outcome.QUESTION, Outcome.NOTHING, Outcome.ANSWERED, Outcome.SHOWN)
    if report.outcome in shown and report.work and not report.problem:
        words.append(sanitize.markdown(report.work.text, limit=6_000))
    if report.problem:
        words.append(sentence(sanitize.markdown(report.problem, limit=6_000)))
    if report.next_step:
        words.append(sanitize.markdown(report.next_step, limit=1_000))
    if report.kept_at:
        words.append(f"The work so far is saved at {branch_code(report.kept_at)}.")
    return flow(*words)


def _check_url(report: Report) -> str:
    return report.publication.check_url if report.publication else report.check_url
