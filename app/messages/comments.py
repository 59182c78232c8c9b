"""Every other comment: the final one, refusals and answers."""

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
from app.messages.formatting import (
    branch_code,
    fit_comment,
    flow,
    sentence,
)


def final_comment_marker(run: RunId, attempt: int) -> str:
    """The line by which the last comment of an attempt is found again."""
    return f"<!-- honk:end={run}.{attempt} -->"


def refusal_marker(run: RunId) -> str:
    """The line by which a refusal is found again."""
    return f"<!-- honk:refused={run} -->"


def final_comment(run: RunId, attempt: int, requester: str, report: Report) -> str:
    """One short new comment at the end, since edits do not notify a phone."""
    return fit_comment(
        f"{flow(f'@{requester}', _final_sentence(report))}\n\n"
        f"{final_comment_marker(run, attempt)}\n"
    )


def refused(run: RunId, requester: str, problem: str, next_step: str) -> str:
    """Nothing was started, why, and what to do."""
    told = flow(f"@{requester} Nothing was started.", problem, next_step)
    return fit_comment(f"{told}\n\n{refusal_marker(run)}\n")


def answer_marker(run: RunId) -> str:
    """The line by which an answer to `status` or `help` is found again."""
    return f"<!-- honk:answer={run} -->"


def answer(run: RunId, text: str) -> str:
    """An answer about Honk itself."""
    return fit_comment(f"{text}\n\n{answer_marker(run)}\n")


def help_text(commands: Iterable[CommandSpec]) -> str:
    """What can be asked for."""
    lines = ["Comment on the issue with one of these, from an account with write access:", ""]
    lines += [f"- `{command.example}`: {command.description}" for command in commands]
    return "\n".join(lines)


def undo_answer(sha: str, branch: str, run: str) -> str:
    """The answer to an undo."""
    return f"The commits of run `{run}` are taken back by {short(sha)} on {branch_code(branch)}."


def undo_message(run: str, subject: str) -> str:
    """The message of the one commit that takes a run back."""
    title = sanitize.title(f'Revert "{subject}"', limit=72)
    return f"{title}\n\nThis takes back what run {run} has published.\n\nHonk-Run: {run}\n"


def made_ready(number: int) -> str:
    """The answer to `ready`."""
    return f"#{number} asks for review now. What its tests say has not changed."


def up_to_date() -> Work:
    """What a rebase says that had nothing to do."""
    return Work(ending="done", text="The branch has everything that its base branch has.")


def rebased(base: str, *, merged: bool) -> Work:
    """What a rebase says that went without the agent."""
    how = "The base branch is merged in" if merged else "The commits stand anew"
    return Work(ending="done", text=f"{how}, on top of {short(base)}.")


def _final_sentence(report: Report) -> str:
    pull = f"#{report.publication.pull_number}" if report.publication else ""
    tests = f" Tests: {report.verdict.title}." if report.verdict else ""
    match report.outcome:
        case Outcome.DONE if report.publication is None:
            return f"{_at_head(report)}: the tests are good.{tests}"
        case Outcome.DONE if report.publication is not None and not report.publication.own:
            return f"{_at_head(report)} is on {branch_code(report.publication.branch)}.{tests}"
        case Outcome.DONE:
            return f"{pull} is ready for your review.{tests}"
        case Outcome.NOT_READY:
            why = " ".join(report.verdict.reasons) if report.verdict else ""
            what = pull or _at_head(report)
            return f"{what} is not ready to merge.{tests} {sanitize.plain(why, limit=600)}".strip()
        case Outcome.SHOWN:
            return (
                "The work is in the comment above, as a patch: this pull request comes from a "
                f"fork.{tests}"
            )
        case Outcome.BUDGET:
            where = f" {pull} holds the work so far." if pull else ""
            return f"The budget of this run is spent.{where}{tests} `/honk continue` goes on."
        case Outcome.STUCK:
            why = report.work.text if report.work else ""
            where = f" {pull} holds the work so far." if pull else ""
            return f"{why} Honk stopped it.{where}{tests} `/honk continue` lets it try again."
        case Outcome.QUESTION:
            asked = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return f"{asked}\n\nYour next comment here is the answer."
        case Outcome.ANSWERED:
            if report.mode == "plan":
                return "The plan is in the comment above. `/honk go` carries it out."
            return sanitize.markdown(report.work.text, limit=30_000) if report.work else ""
        case Outcome.NOTHING if report.problem:
            return f"{report.problem} {report.next_step}".strip()
        case Outcome.NOTHING:
            said = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return flow("No file was changed.", said)
        case Outcome.STOPPED:
            kept = f" Its work is kept on {branch_code(report.kept_at)}." if report.kept_at else ""
            why = f" {report.problem}" if report.problem else ""
            return f"Stopped.{why}{kept} `/honk continue` goes on from there."
        case Outcome.ERROR if report.details:
            step = report.next_step[:1].lower() + report.next_step[1:]
            return f"{report.problem.rstrip('.')}; {step}"
        case Outcome.ERROR:
            problem = sentence(sanitize.markdown(report.problem, limit=3_000))
            at = branch_code(report.kept_at)
            kept = f" What was done so far is kept at {at}." if report.kept_at else ""
            return flow("This did not work.", problem, report.next_step + kept)


def _at_head(report: Report) -> str:
    return short(report.head_sha) if report.head_sha else "The head"
