"""All other comments: the final one, refusals and answers."""

from __future__ import annotations

from collections.abc import Iterable

from app.domain import sanitize
from app.domain.command import CommandSpec
from app.domain.report import (
    Report,
    Work,
)
from app.domain.run import Outcome
from app.domain.values import RunId, short
from app.messages import verdict as verdicts
from app.messages.formatting import (
    branch_code,
    fit_comment,
    flow,
    sentence,
)


def final_comment_marker(run: RunId, attempt: int) -> str:
    """The marker line of an attempt's final comment."""
    return f"<!-- honk:end={run}.{attempt} -->"


def refusal_marker(run: RunId) -> str:
    """The marker line of a refusal."""
    return f"<!-- honk:refused={run} -->"


def final_comment(run: RunId, attempt: int, requester: str, report: Report) -> str:
    """One short new comment at the end, because edits do not notify anyone."""
    return fit_comment(
        f"{flow(f'@{requester}', _final_sentence(report))}\n\n"
        f"{final_comment_marker(run, attempt)}\n"
    )


def refused(run: RunId, requester: str, problem: str, next_step: str) -> str:
    """Why nothing was started, and what to do."""
    text = flow(f"@{requester}", problem, next_step)
    return fit_comment(f"{text}\n\n{refusal_marker(run)}\n")


def answer_marker(run: RunId) -> str:
    """The marker line of an answer to `status` or `help`."""
    return f"<!-- honk:answer={run} -->"


def answer(run: RunId, text: str) -> str:
    """An answer about Honk itself."""
    return fit_comment(f"{text}\n\n{answer_marker(run)}\n")


def help_text(commands: Iterable[CommandSpec]) -> str:
    """The answer to `help`."""
    lines = ["Comment one of these from an account with write access:", ""]
    lines += [f"- `{command.example}`: {command.description}" for command in commands]
    return "\n".join(lines)


def undo_answer(sha: str, branch: str, run: str) -> str:
    """The answer to an undo."""
    return f"Reverted run `{run}` in {short(sha)} on {branch_code(branch)}."


def undo_message(run: str, subject: str) -> str:
    """The message of the commit that reverts a run."""
    title = sanitize.title(f'Revert "{subject}"', limit=72)
    return f"{title}\n\nThis reverts what run {run} published.\n\nHonk-Run: {run}\n"


def made_ready(number: int) -> str:
    """The answer to `ready`."""
    return f"#{number} is ready for review. Test results are unchanged."


def up_to_date() -> Work:
    """The result of a rebase that had nothing to do."""
    return Work(ending="done", text="The branch is already up to date with its base branch.")


def rebased(base: str, *, merged: bool) -> Work:
    """The result of a rebase that did not need the agent."""
    text = f"Merged the base branch at {short(base)}." if merged else f"Rebased onto {short(base)}."
    return Work(ending="done", text=text)


def _final_sentence(report: Report) -> str:
    pull = f"#{report.publication.pull_number}" if report.publication else ""
    tests = f" {verdicts.line(report.verdict)}" if report.verdict else ""
    match report.outcome:
        case Outcome.DONE if report.publication is None:
            return f"Tested {_at_head(report)}.{tests}"
        case Outcome.DONE if report.publication is not None and not report.publication.own:
            branch = branch_code(report.publication.branch)
            return f"Pushed {_at_head(report)} to {branch}.{tests}"
        case Outcome.DONE:
            return f"{pull} is ready for your review.{tests}"
        case Outcome.NOT_READY:
            what = pull or _at_head(report)
            return f"{what} is not ready to merge.{tests} {_why_not_ready(report)}".strip()
        case Outcome.SHOWN:
            return (
                "This pull request comes from a fork, so the change is a patch in the comment "
                f"above.{tests}"
            )
        case Outcome.BUDGET:
            where = f" {pull} has the work so far." if pull else ""
            return f"This run's budget is spent.{where}{tests} To go on, comment `/honk continue`."
        case Outcome.STUCK:
            why = report.work.text if report.work else ""
            where = f" {pull} has the work so far." if pull else ""
            return f"{why} Honk stopped it.{where}{tests} To try again, comment `/honk continue`."
        case Outcome.QUESTION:
            asked = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return f"{asked}\n\nReply here to answer."
        case Outcome.ANSWERED:
            if report.mode == "plan":
                return "The plan is in the comment above. Comment `/honk go` to start."
            return sanitize.markdown(report.work.text, limit=30_000) if report.work else ""
        case Outcome.NOTHING if report.problem:
            return f"{report.problem} {report.next_step}".strip()
        case Outcome.NOTHING:
            said = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return flow("No files changed.", said)
        case Outcome.STOPPED:
            kept = f" Its work is saved on {branch_code(report.kept_at)}." if report.kept_at else ""
            why = f" {report.problem}" if report.problem else ""
            return f"Stopped.{why}{kept} To resume, comment `/honk continue`."
        case Outcome.ERROR if report.details:
            step = report.next_step[:1].lower() + report.next_step[1:]
            return f"{report.problem.rstrip('.')}; {step}"
        case Outcome.ERROR:
            problem = sentence(sanitize.markdown(report.problem, limit=3_000))
            at = branch_code(report.kept_at)
            kept = f" The work so far is saved at {at}." if report.kept_at else ""
            return flow("Failed:", problem, report.next_step + kept)


def _why_not_ready(report: Report) -> str:
    """What to do next; where that does not follow from the verdict, the reasons."""
    if report.verdict is None:
        return ""
    step = verdicts.next_step(report.verdict, report.head_sha or "")
    return step or sanitize.plain(" ".join(report.verdict.reasons), limit=600)


def _at_head(report: Report) -> str:
    return short(report.head_sha) if report.head_sha else "the head commit"
