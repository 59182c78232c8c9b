"""Every text that people read on GitHub, one function each. Pure.

Whatever came from the model, the repository or the issue goes through `sanitize` on its way in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from app.domain import labels, log_lines, markdown, pull_template, sanitize
from app.domain.admission import Waiting
from app.domain.budget import CALLS, Nearly
from app.domain.command import CommandSpec
from app.domain.flag import Flag
from app.domain.run import Item, Mode, Outcome, Phase, RunInput, Target
from app.domain.setup import Tried
from app.domain.trigger import Trigger
from app.domain.values import RepoName, RunId, Value, short
from app.domain.verdict import Change, Checks, Counts, Verdict, VerifierResult

COMMENT_LIMIT = 65_536
_MANIFEST_LINES = 60
_FLAGS_SHOWN = 30
_NAMES_SHOWN = 5
_ROOM_BESIDE = 1_000
SUMMARY_LIMIT = 65_535
TITLE_LIMIT = 256

CHECK_TESTS = "honk / tests"
CHECK_RUN = "honk / run"


class LabelLook(Value):
    """`color` is six hexadecimal digits without `#`; `description` at most 100 characters."""

    color: str
    description: str


LABELS = {
    labels.TRIGGER: LabelLook(color="e7b416", description="Honk works on this issue"),
    labels.QUEUED: LabelLook(color="cfd8dc", description="Honk has heard and waits for a slot"),
    labels.RUNNING: LabelLook(color="1f6feb", description="Honk is at work"),
    labels.NEEDS_YOU: LabelLook(color="d29922", description="Honk needs a person"),
    labels.HOLD: LabelLook(color="6e7781", description="Honk starts nothing here"),
    labels.STRONGER: LabelLook(color="8250df", description="Honk uses its stronger model here"),
    labels.DONE: LabelLook(color="2da44e", description="Honk has done what was asked"),
    labels.FAILED: LabelLook(color="cf222e", description="Honk could not do it; see its comment"),
}

_PHASES = {
    Phase.QUEUED: "Waiting for a free slot",
    Phase.PREPARING: "Getting the code ready",
    Phase.WORKING: "Working",
    Phase.SEALING: "Making the commit",
    Phase.VERIFYING: "Running the tests on the commit",
    Phase.PUBLISHING: "Opening the pull request",
}
_TIMED = {
    Phase.QUEUED: "waited",
    Phase.PREPARING: "prepared",
    Phase.WORKING: "worked",
    Phase.SEALING: "committed",
    Phase.VERIFYING: "tested",
    Phase.PUBLISHING: "published",
}
_HEADLINES = {
    Outcome.DONE: "Done",
    Outcome.NOT_READY: "Not ready",
    Outcome.QUESTION: "A question for you",
    Outcome.ANSWERED: "Answered",
    Outcome.SHOWN: "A patch to read",
    Outcome.NOTHING: "No change made",
    Outcome.BUDGET: "The budget is spent",
    Outcome.STUCK: "The agent got stuck",
    Outcome.STOPPED: "Stopped",
    Outcome.ERROR: "This did not work",
}


class PlanItem(Value):
    """One line of the agent's own plan."""

    text: str
    done: bool


class Usage(Value):
    """What a run has used so far."""

    cost_usd: float
    model_turns: int
    seconds: float


class Work(Value):
    """What the agent says it did, in its own words; never taken for the truth about the tests."""

    ending: Literal["done", "question", "budget", "stuck", "stopped", "refused"]
    text: str = ""  # the summary, the question, what it was stuck at, or why the model refused
    not_done: str = ""
    how_to_check: str = ""
    spent: str = ""  # which part of the budget is spent: money, time or turns
    left_out: tuple[str, ...] = ()  # what no commit takes in of the work, each with the reason


class Publication(Value):
    """Where the change stands on GitHub."""

    branch: str
    pull_number: int
    pull_url: str
    draft: bool
    titled_not_ready: bool = False  # drafts are refused by the plan, so the title says it
    check_url: str = ""
    own: bool = True  # the run opened it; else it was there, and has one commit more


class Report(Value):
    """How a run ended, with all that the last words are made of."""

    outcome: Outcome
    work: Work | None = None
    verdict: Verdict | None = None
    publication: Publication | None = None
    head_sha: str | None = None
    problem: str = ""
    next_step: str = ""
    details: str = ""  # Markdown of Honk's own, for the status comment alone
    kept_at: str = ""  # the branch or hidden ref that keeps the work when no pull request does
    mode: Mode = "work"
    check_url: str = ""
    patch: str = ""  # what the work changes, where it is only shown
    trust: str = ""  # the commit of a fork that a person may vouch for
    tried: tuple[Tried, ...] = ()  # what set-up was not let through to


class Told(Value):
    """What the status comment is made of, besides the moment that it tells of.

    `phases` are the run's phases so far, each with its beginning in seconds since 1970; `now`
    likewise. `page` is where the run can be followed, empty where there is no such place.
    """

    run: RunId
    requester: str
    asked: str = ""
    mode: Mode = "work"
    plan: tuple[PlanItem, ...] = ()
    usage: Usage | None = None
    calls: int = 0  # to GitHub's API
    kept_here: str = ""  # why the work is on Honk's machine alone
    planned: str = ""  # the plan that is carried out
    nearly: tuple[Nearly, ...] = ()  # what of the budget is nearly used up
    phases: tuple[tuple[Phase, float], ...] = ()
    now: float = 0.0
    manifest: tuple[Item, ...] = ()
    tried: tuple[Tried, ...] = ()
    page: str = ""


def marker(run: RunId) -> str:
    """The line by which the status comment of a run is found again."""
    return f"<!-- honk:run={run} -->"


def last_words_marker(run: RunId, attempt: int) -> str:
    """The line by which the last comment of an attempt is found again."""
    return f"<!-- honk:end={run}.{attempt} -->"


def refusal_marker(run: RunId) -> str:
    """The line by which a refusal is found again."""
    return f"<!-- honk:refused={run} -->"


def pending_marker(run: RunId) -> str:
    """The line by which it is found again that a request waits."""
    return f"<!-- honk:pending={run} -->"


def kept_pending(run: RunId, requester: str, problem: str) -> str:
    """It was heard, and starts later by itself."""
    told = f"@{requester} Honk cannot start yet. {problem} It keeps trying and starts by itself."
    return _fit_comment(f"{told}\n\n{pending_marker(run)}\n")


def state(phase: Phase, outcome: Outcome | None, mode: str) -> str:
    """Where a run is, or how it ended, in a few words."""
    if outcome is None:
        return _PHASES.get(phase, "Ending")
    good = mode == "test" and outcome is Outcome.DONE
    return "The tests are good" if good else _HEADLINES[outcome]


def status_waiting(told: Told, waiting: Waiting) -> str:
    """The first words: heard, and where it stands in the queue."""
    return _status(told, f"**Heard.** {_place(waiting)}", live=True)


def status_working(told: Told, phase: Phase) -> str:
    """What the run is doing now, with the agent's own checklist."""
    return _status(told, f"**{_PHASES[phase]} …**", live=True)


def status_settled(told: Told, report: Report) -> str:
    """How it ended; this comment is not edited again."""
    headline = _flow(f"**{_headline(report)}.**", _result_line(report))
    left_out = ""
    if report.work and report.work.left_out:
        left_out = f"The commit leaves out:\n\n{_left_out(report.work)}"
    told_more = "\n\n".join(part for part in (report.details, left_out) if part)
    without = _status(told, headline, live=False, extra=told_more)
    patch = _patch(report, COMMENT_LIMIT - len(without) - _ROOM_BESIDE)
    if not patch:
        return without
    extra = "\n\n".join(part for part in (patch, told_more) if part)
    return _status(told, headline, live=False, extra=extra)


def last_words(run: RunId, attempt: int, requester: str, report: Report) -> str:
    """One short new comment at the end, since edits do not notify a phone."""
    return _fit_comment(
        f"{_flow(f'@{requester}', _last_sentence(report))}\n\n{last_words_marker(run, attempt)}\n"
    )


def refused(run: RunId, requester: str, problem: str, next_step: str) -> str:
    """Nothing was started, why, and what to do."""
    told = _flow(f"@{requester} Nothing was started.", problem, next_step)
    return _fit_comment(f"{told}\n\n{refusal_marker(run)}\n")


def foreign(problem: str, next_step: str) -> tuple[str, str]:
    """Problem and next step that quote the repository, so that they only read."""
    return sanitize.markdown(problem, limit=3000), sanitize.markdown(next_step, limit=1000)


def answer_marker(run: RunId) -> str:
    """The line by which an answer to `status` or `help` is found again."""
    return f"<!-- honk:answer={run} -->"


def answered(run: RunId, text: str) -> str:
    """An answer about Honk itself."""
    return _fit_comment(f"{text}\n\n{answer_marker(run)}\n")


def help_text(commands: Iterable[CommandSpec]) -> str:
    """What can be asked for."""
    lines = ["Comment on the issue with one of these, from an account with write access:", ""]
    lines += [f"- `{command.example}`: {command.description}" for command in commands]
    return "\n".join(lines)


def no_run_yet() -> str:
    """The answer to `status` where nothing was ever asked."""
    return "Nothing was asked of Honk here yet. Put the label `honk` on, or comment `/honk`."


def how_it_stands(told: Told, phase: Phase, outcome: Outcome | None, waiting: Waiting) -> str:
    """The answer to `status`."""
    if outcome is not None:
        state = f"{_HEADLINES[outcome]}; the run has ended."
    elif phase is Phase.QUEUED:
        state = f"Waiting. {_place(waiting)}"
    else:
        state = f"{_PHASES[phase]}."
    parts = [state, _checklist(told.plan), _timeline(told), _foot(told, live=outcome is None)]
    return "\n\n".join(part for part in parts if part)


SETUP_OUTPUT = 4_000
_WHOLE_OUTPUT = 20_000
_COMMAND_SHOWN = 60
_TRIED_SHOWN = 10


def set_up_failed(line: str, how: str) -> tuple[str, str]:
    """Problem and next step when a set-up command does not do."""
    return (
        f"Setup failed: {sanitize.code(_shortened(line), limit=100)} {how}.",
        "Fix `setup` in `.github/honk.yml`, then comment `/honk retry`.",
    )


def set_up_output(output: str, *, has_network: bool) -> str:
    """What a failed set-up command said: the lines that matter, the whole of it in a fold."""
    network = (
        "Setup may reach the hosts under `network.allow` in `.github/honk.yml`."
        if has_network
        else "Setup has no network unless `network.allow` in `.github/honk.yml` lists hosts."
    )
    if not output.strip():
        return f"It printed nothing. {network}"
    telling = log_lines.that_matter(output)
    parts = [sanitize.fence(telling, limit=SETUP_OUTPUT)]
    if telling != output.strip():
        whole = sanitize.fence(output, limit=_WHOLE_OUTPUT)
        parts.append(f"<details><summary>The whole output</summary>\n\n{whole}\n\n</details>")
    return "\n\n".join([*parts, network])


def set_up_failed_again(line: str, how: str, output: str, tried: Sequence[Tried]) -> str:
    """The same for the agent, whose own changes may have broken it."""
    parts = [f"The set-up command {sanitize.code(line, limit=400)} {how}:", output[-SETUP_OUTPUT:]]
    return "\n\n".join([*parts, _tried(tried)] if tried else parts)


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _COMMAND_SHOWN else f"{line[: _COMMAND_SHOWN - 1]}…"


def set_up_again(output: str) -> str:
    """What the agent is told when its set-up did."""
    return f"The set-up commands ran. The last one said:\n{output[-SETUP_OUTPUT:]}"


def no_set_up() -> str:
    """What the agent is told where nothing is to be set up."""
    return "There are no set-up commands in this repository's `.github/honk.yml`."


def _tried(tried: Sequence[Tried]) -> str:
    """What set-up was not let through to."""
    lines = [
        f"- {sanitize.code(each.host or '(nowhere)', limit=120)}: "
        f"{sanitize.plain(each.why, limit=200)}{f' ({each.count} times)' if each.count > 1 else ''}"
        for each in tried[:_TRIED_SHOWN]
    ]
    if len(tried) > _TRIED_SHOWN:
        lines.append(f"- and {len(tried) - _TRIED_SHOWN} more")
    return "\n".join(["Set-up tried to reach what it may not:", "", *lines])


def go_on() -> str:
    """What the agent is told when a person lets it continue."""
    return (
        "A person asked you to go on. The work tree holds what you had done. What people wrote "
        "since then follows, if they wrote anything. End with finish again."
    )


def carry_it_out() -> str:
    """What the agent is told when a person likes its plan."""
    return (
        "The plan was accepted: now carry it out. From here on your changes count. Call verify "
        "before finish, and let finish tell what you did."
    )


def nothing_to_go(number: int) -> tuple[str, str]:
    """Problem and next step of a go without a plan."""
    return (f"There is no plan for #{number} to carry out.", "Comment `/honk plan` for one.")


def check_stopped() -> tuple[str, str]:
    """Title and summary of the check run of a run that was stopped."""
    return ("Stopped", "A person stopped the run. The commit holds its work; no test was judged.")


def already_working(number: int) -> tuple[str, str]:
    """Problem and next step when the subject has a live run."""
    return (
        f"Honk is already at work on #{number}.",
        "Comment `/honk` with words to steer it, or `/honk stop`.",
    )


def already_open(pull: int) -> tuple[str, str]:
    """Problem and next step when the subject has an open pull request of ours."""
    return (
        f"#{pull} is open for this issue.",
        "To change it, say what: `/honk <what to change>`. To start over from the base branch, "
        "comment `/honk retry`.",
    )


def open_elsewhere(pull: int) -> tuple[str, str]:
    """Problem and next step when somebody else's pull request is open for the subject."""
    return (
        f"#{pull} is open for this issue.",
        f"To have Honk change it, comment `/honk <what to change>` on #{pull}. To start over from "
        "the base branch, comment `/honk retry`.",
    )


def on_the_pull(pull: int) -> str:
    """The answer to a task on an issue whose pull request is open."""
    return f"#{pull} is open for this issue, so Honk does that there."


def stop_it_first(number: int) -> tuple[str, str]:
    """Problem and next step of a retry while a run is live."""
    return (f"Honk is still at work on #{number}.", "Comment `/honk stop` first, then retry.")


def nothing_to_stop(number: int) -> tuple[str, str]:
    """Problem and next step of a stop without a live run."""
    return (f"No run is at work on #{number}.", "`/honk status` tells how the last one ended.")


def nothing_to_continue(number: int) -> tuple[str, str]:
    """Problem and next step of a continue without a run that could go on."""
    return (
        f"There is no unfinished run on #{number}.",
        "Comment `/honk` with what you want, or `/honk retry`.",
    )


def on_hold() -> tuple[str, str]:
    """Problem and next step where `honk:hold` is on."""
    return ("The label `honk:hold` keeps Honk from starting here.", "Take it off and ask again.")


def is_closed(number: int) -> tuple[str, str]:
    """Problem and next step for work that is asked for on a closed subject."""
    return (f"#{number} is closed.", "Open it again, then ask once more.")


def pull_is_closed(number: int, *, merged: bool) -> tuple[str, str]:
    """Problem and next step when the pull request was closed or merged meanwhile."""
    how = "merged" if merged else "closed"
    return (f"#{number} was {how} meanwhile.", "Nothing was pushed to it.")


def only_on_pulls(name: str) -> tuple[str, str]:
    """Problem and next step of a command that needs a pull request, on an issue."""
    return (
        f"`/honk {name}` is for pull requests, and this is an issue.",
        "Comment it on the pull request.",
    )


def did_you_mean(near: str) -> tuple[str, str]:
    """Problem and next step of a near miss of a command."""
    return (f"Did you mean `/honk {near}`?", "Comment it again, or say more than one word.")


def one_at_a_time(names: Sequence[str]) -> tuple[str, str]:
    """Problem and next step of a comment with several commands."""
    shown = ", ".join(f"`/honk {name}`" for name in names)
    return (f"This comment holds several commands: {shown}.", "Ask for one of them.")


def only_stopped(names: Sequence[str]) -> tuple[str, str]:
    """Problem and next step of a stop among other commands."""
    shown = ", ".join(f"`/honk {name}`" for name in names if name != "stop")
    return (
        "Of this comment's commands only `/honk stop` was done.",
        f"For the others ({shown}) write a comment each." if shown else "",
    )


def day_is_spent(of: str) -> tuple[str, str]:
    """Problem and next step when the day's money is spent."""
    if of == "operator":
        return (
            "Honk's operator lets it spend no more money today.",
            "Ask again tomorrow (UTC), or ask the operator to raise `HONK_MAX_USD_PER_DAY`.",
        )
    if of == "installation":
        return (
            "Honk's operator lets this account spend no more money today.",
            "Ask again tomorrow (UTC), or ask the operator to raise "
            "`HONK_MAX_USD_PER_DAY_INSTALLATION`.",
        )
    return (
        "This repository lets Honk spend no more money today.",
        "Ask again tomorrow (UTC), or raise `budget.per_day_usd` in `.github/honk.yml`.",
    )


def unknown_model(name: str, normal: str, stronger: str) -> tuple[str, str]:
    """Problem and next step of a model that the operator does not offer."""
    return (
        f"{sanitize.code(name, limit=80)} is not a model that this Honk may use.",
        f"Say `model={normal}` or `model={stronger}`; `model=max` is short for the second.",
    )


def nothing_fails(sha: str) -> tuple[str, str]:
    """Problem and next step of a fix where no check fails."""
    return (
        f"No check of another App fails on {short(sha)}.",
        "Say in words what is wrong: `/honk ` and the words.",
    )


def not_a_fork(number: int) -> tuple[str, str]:
    """Problem and next step of a trust that nothing needs."""
    return (f"#{number} comes from this repository; there is nobody to vouch for.", "")


def nothing_to_trust(number: int) -> tuple[str, str]:
    """Problem and next step of a trust before there is any work."""
    return (
        f"There is no work of Honk's on #{number} that could be pushed.",
        "Comment `/honk` with what you want first: you get a patch to read.",
    )


def trust_which(sha: str) -> tuple[str, str]:
    """Problem and next step of a trust without the commit, or with another one."""
    return (
        "`/honk trust` needs the whole SHA of the commit that you have read.",
        what_trust_means(sha),
    )


def what_trust_means(sha: str) -> str:
    """Said before anybody vouches for a fork's code."""
    return (
        f"`/honk trust {sha}` pushes the fork's commits up to that one, and the work on top, to a "
        "branch of this repository and opens a pull request. **Then this repository's CI runs "
        "that code, and its secrets are within reach of it.** Read the code first."
    )


def nothing_to_undo(number: int) -> tuple[str, str]:
    """Problem and next step of an undo without published work."""
    return (f"No run has published anything on #{number}.", "There is nothing to undo.")


def undo_merged(pull: int) -> tuple[str, str]:
    """Problem and next step of an undo after the merge."""
    return (
        f"#{pull} is merged.",
        "Use the button *Revert* on it: that opens a pull request which takes it back.",
    )


def undo_pushed_on_top(branch: str, sha: str, run: str) -> tuple[str, str]:
    """Problem and next step of an undo where people have gone on."""
    return (
        f"Commits were pushed to {_branch(branch)} on top of the run's {short(sha)}.",
        f"Take it back by hand: `git revert` of the commits with the trailer `Honk-Run: {run}`.",
    )


def undone(sha: str, branch: str, run: str) -> str:
    """The answer to an undo."""
    return f"The commits of run `{run}` are taken back by {short(sha)} on {_branch(branch)}."


def undone_part(run: str) -> str:
    """What the description of a pull request says of a run that was taken back."""
    return f"_What run `{run}` did here was taken back with `/honk undo`._"


def is_opened_by(body: str, run: RunId) -> bool:
    """Whether a description is that of the pull request that this run opened."""
    return _pull_marker(run) in body


def undone_body(body: str, run: RunId, trigger: Trigger) -> str:
    """The description of a pull request whose run was taken back: it closes nothing any more.

    What was measured goes, for it was measured on what is not there now; the rest is folded.
    """
    notice = (
        f"**Taken back.** What run `{run}` did for #{trigger.number} was taken back with "
        "`/honk undo`. Nothing here is ready to merge.\n\nTo try again, comment `/honk retry` on "
        f"#{trigger.number}."
    )
    before, found, after = body.partition(_ASKED_HEADING)
    rest = f"{found}{after}" if found else before
    rest = _CLOSES.sub("", rest).replace(_pull_marker(run), "").strip()
    title = "What the run had done"
    fold = f"<details><summary>{title}</summary>\n\n{rest}\n\n</details>" if rest else ""
    return _fit_comment("\n\n".join(p for p in (notice, fold, _pull_marker(run)) if p))


_ASKED_HEADING = "## What was asked"
_CLOSES = re.compile(r"^Closes #\d+[ \t]*$", re.MULTILINE)


def _pull_marker(run: RunId) -> str:
    return f"<!-- honk:pull={run} -->"


def undo_message(run: str, subject: str) -> str:
    """The message of the one commit that takes a run back."""
    title = sanitize.title(f'Revert "{subject}"', limit=72)
    return f"{title}\n\nThis takes back what run {run} has published.\n\nHonk-Run: {run}\n"


def not_our_pull(number: int) -> tuple[str, str]:
    """Problem and next step of a ready on a person's pull request."""
    return (f"#{number} was not opened by Honk.", "Its author can say that it is ready.")


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


def conflicts(files: Sequence[str]) -> str:
    """What the agent is told when others changed the same lines."""
    shown = "\n".join(f"- {sanitize.visible(name)}" for name in files[:50])
    return (
        "Others have changed the branch meanwhile, and both changes meet in these files, which now "
        "hold both sides between conflict markers (<<<<<<< ======= >>>>>>>):\n"
        f"{shown}\n\nThe work tree is on top of their change. Bring both sides together so that "
        "what they meant and what was asked of you both hold, leave no marker behind, call verify, "
        "then finish again."
    )


def collided(files: Sequence[str]) -> tuple[str, str]:
    """Problem and next step when two sides met once more."""
    shown = ", ".join(sanitize.code(name, limit=100) for name in files[:5])
    return (
        f"Others have changed the same lines meanwhile ({shown}), and nothing was overwritten.",
        "`/honk continue` brings both together.",
    )


def moved_meanwhile() -> tuple[str, str]:
    """Problem and next step when somebody pushed while a branch was rewritten."""
    return (
        "Somebody pushed to the branch while it was brought up to date; it was left alone.",
        "Comment `/honk rebase` again.",
    )


def fixing(names: Sequence[str]) -> str:
    """The request of a fix that comes without words."""
    shown = ", ".join(sanitize.title(name, limit=80) for name in names[:5])
    return f"Make the failing checks of this pull request pass: {shown}"


def do_what_the_review_says() -> str:
    """The request of a command without words in a review."""
    return "Do what the review says"


def check_working() -> tuple[str, str]:
    """Title and summary of `honk / run` while a run works on the pull request."""
    return ("Honk is at work", "The status comment in the conversation tells more.")


def check_worked(report: Report) -> tuple[str, str]:
    """Title and summary of `honk / run` when it has ended."""
    return (_headline(report), _result_line(report) or _headline(report))


def subject_closed(number: int, action: str) -> tuple[str, str]:
    """Why a run ended whose subject went away."""
    how = {"transferred": "moved to another repository"}.get(action, action)
    return (f"#{number} was {how} while Honk worked.", "The work is kept.")


def pointers_not_fetched(paths: Sequence[str], why: str) -> tuple[str, str]:
    """Which files are Git LFS pointers, and what that means for work and tests."""
    return _some("Git LFS file", paths), f"only the pointers are here, not the contents: {why}"


def submodules_not_fetched(paths: Sequence[str], why: str) -> tuple[str, str]:
    """Which folders are submodules, and what that means for work and tests."""
    return _some("submodule", paths), f"not fetched, so empty here: {why}"


def pointers_fetched(paths: Sequence[str]) -> str:
    """Which files of Git LFS are here."""
    return _some("Git LFS file", paths)


def submodules_fetched(paths: Sequence[str]) -> str:
    """Which submodules are here."""
    return _some("submodule", paths)


def fetched_into_checkout(what: Sequence[str]) -> str:
    """The same for the agent."""
    lines = [f"- {each}: here to be read and used." for each in what]
    rest = "What is changed in them does not become part of the work: leave them as they are."
    return "\n".join([*lines, rest])


def absent_from_checkout(told: Sequence[tuple[str, str]]) -> str:
    """The same for the agent."""
    lines = [f"- {what}: {why}." for what, why in told]
    rest = "Leave them as they are. Tests that need them fail here, before your change too."
    return "\n".join([*lines, rest])


def _some(noun: str, paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_NAMES_SHOWN])
    more = len(paths) - _NAMES_SHOWN
    return f"{_count(len(paths), noun)} ({shown}{f' and {more:,} more' if more > 0 else ''})"


def pull_request_title(trigger: Trigger) -> str:
    """The issue's title: the request is what the change is about."""
    title = sanitize.title(trigger.title, limit=TITLE_LIMIT - 20)
    return title or f"Work on issue {trigger.number}"


def pull_request_body(
    run: RunInput,
    work: Work,
    verdict: Verdict,
    sha: str,
    usage: Usage,
    flags: Sequence[Flag] = (),
    template: str = "",
) -> str:
    """What the tests say, what was asked, what was done, and what it cost.

    What was measured stands above what anybody wrote.
    """
    trigger = run.trigger
    about = (
        f"On top of #{trigger.number}" if trigger.is_pull_request else f"Closes #{trigger.number}"
    )
    ours = [
        about,
        "## What the tests say",
        f"**{verdict.title}** on {short(sha)}, from a clean checkout of that commit.",
        *_reasons(verdict),
        verdict_table(verdict),
        flags_section(flags),
    ]
    if work.left_out:
        ours += ["## What the commit leaves out", _left_out(work)]
    foot = [
        f"<sub>{_usage_line(usage)} · run `{run.id}` · asked by {_login(trigger.actor.login)}. "
        "The description was written by the model; the test results were measured.</sub>",
        _pull_marker(run.id),
    ]
    room = COMMENT_LIMIT - len("\n\n".join([*ours, *foot])) - _ROOM_BESIDE
    theirs = [
        _ASKED_HEADING,
        _asked(trigger, run.request, limit=min(8_000, room // 5)),
        _planned(run.planned, limit=min(10_000, room // 5)),
        "## What was done",
        sanitize.markdown(work.text, limit=min(15_000, room // 5))
        or "The agent left no description.",
    ]
    if work.not_done.strip():
        told = sanitize.markdown(work.not_done, limit=min(5_000, room // 5))
        theirs += ["## What was not done", told]
    if work.how_to_check.strip():
        told = sanitize.markdown(work.how_to_check, limit=min(5_000, room // 5))
        theirs += ["## How to check it", told]
    if template and not pull_template.is_followed(template, work.text):
        told = sanitize.markdown(template, limit=min(10_000, room // 5))
        theirs += ["## The repository's template, to be filled in", told] if told else []
    return _fit_comment("\n\n".join(part for part in (*ours, *theirs, *foot) if part))


def follow_up(
    run: RunInput,
    work: Work,
    verdict: Verdict,
    sha: str,
    usage: Usage,
    flags: Sequence[Flag] = (),
) -> str:
    """What one more run on our own pull request did, for the end of its description."""
    parts = [
        f"## {short(sha)}: {sanitize.plain(run.request or run.trigger.title, limit=120)}",
        f"**{verdict.title}** on {short(sha)}, from a clean checkout of that commit.",
        *_reasons(verdict),
        flags_section(flags),
        f"The commit leaves out:\n\n{_left_out(work)}" if work.left_out else "",
        sanitize.markdown(work.text, limit=8_000),
        f"<sub>{_usage_line(usage)} · run `{run.id}` · asked by {_login(run.trigger.actor.login)}"
        "</sub>",
    ]
    return "\n\n".join(part for part in parts if part)


def _left_out(work: Work) -> str:
    return "\n".join(
        f"- {sanitize.plain(each, limit=400)}" for each in work.left_out[:_FLAGS_SHOWN]
    )


def with_follow_up(body: str, run: RunId, told: str) -> str:
    """The description with a run's own part at its end; told again, it is replaced."""
    begin, end = f"<!-- honk:part={run} -->", f"<!-- honk:part-end={run} -->"
    before, found, rest = body.partition(begin)
    after = rest.partition(end)[2] if found else ""
    whole = f"{before.rstrip()}\n\n{begin}\n\n{told}\n\n{end}\n{after.strip()}"
    whole = whole.rstrip() + "\n"
    while len(whole) > COMMENT_LIMIT and (oldest := _PART.search(whole)) and oldest[1] != run:
        # Whole parts go, the oldest first: a cut within one could leave a fence open.
        whole = whole[: oldest.start()] + _LEFT_OUT + whole[oldest.end() :].removeprefix(_LEFT_OUT)
    return _fit_comment(whole)


_PART = re.compile(
    r"(?:^_Left out[^\n]*\n+)?<!-- honk:part=(\w+) -->.*?<!-- honk:part-end=\1 -->\n*", re.S | re.M
)
_LEFT_OUT = "_Left out here, since a description may not be longer: what earlier runs did._\n\n"


def not_ready_title(title: str) -> str:
    """The title of an ordinary pull request where drafts are refused."""
    return sanitize.title(f"Not ready: {title}", limit=TITLE_LIMIT)


def commit_message(run: RunInput, work: Work, *, signer: str | None) -> str:
    """Subject, body and trailers; the trailers are ours and nothing in the text can forge one."""
    trigger = run.trigger
    asked = run.request.strip().split("\n")[0] if trigger.is_pull_request else ""
    title = (asked or trigger.title).strip().lstrip("#")
    subject = sanitize.title(title, limit=72) or f"Work on #{trigger.number}"
    body = sanitize.message(work.text, limit=4_000)
    trailers = [
        f"Honk-Run: {run.id}",
        f"Co-authored-by: {_address(trigger.actor.login, trigger.actor.id)}",
    ]
    if signer:
        trailers.append(f"Signed-off-by: {signer}")
    return "\n\n".join(part for part in (subject, body, "\n".join(trailers)) if part) + "\n"


def check_waiting() -> tuple[str, str]:
    """Title and summary of a check run that is queued or in progress."""
    return ("Waiting for the tests", "The commit is checked out clean and its tests are run.")


def check_title(verdict: Verdict, flags: int) -> str:
    """The verdict in one line, with what a person should look at."""
    return f"{verdict.title}, {flags} to look at" if flags else verdict.title


def check_summary(verdict: Verdict, ran: tuple[str, ...], flags: Sequence[Flag] = ()) -> str:
    """The check run's page below its title: why, what to look at, the table, what was run."""
    parts = [*_reasons(verdict), flags_section(flags), verdict_table(verdict), *ran]
    return sanitize.fit("\n\n".join(part for part in parts if part), SUMMARY_LIMIT)


def flags_section(flags: Sequence[Flag]) -> str:
    """What a person should look at before they trust the change."""
    if not flags:
        return ""
    lines = [f"- {flag_line(flag)}" for flag in flags[:_FLAGS_SHOWN]]
    if len(flags) > _FLAGS_SHOWN:
        lines.append(f"- and {len(flags) - _FLAGS_SHOWN:,} more")
    return "\n".join(["**Look at these first**", "", *lines])


def flag_line(flag: Flag) -> str:
    """One flag: where, and why."""
    line = f":{flag.line}" if flag.line else ""
    where = f"{sanitize.code(f'{flag.file}{line}', limit=200)}: " if flag.file else ""
    return f"{where}{sanitize.plain(flag.reason, limit=400)}"


def flags_feedback(refused: Sequence[Flag], blocking: Sequence[Flag]) -> str | None:
    """What the agent is told of flags that keep its change back."""
    parts = []
    if refused:
        shown = "\n".join(f"- {flag.file}: {flag.reason}" for flag in refused[:_FLAGS_SHOWN])
        parts.append(f"The repository's policy forbids this. Put it back as it was:\n{shown}")
    if blocking:
        shown = "\n".join(
            f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in blocking[:_FLAGS_SHOWN]
        )
        parts.append(
            "Your change makes the tests say less, and as it stands it is only a draft:\n"
            f"{shown}\nBring the tests back, or say in finish why they had to go."
        )
    return "\n\n".join(parts) or None


def secrets_feedback(found: Sequence[Flag]) -> str:
    """What the agent is told when its work holds a secret."""
    shown = "\n".join(f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in found[:20])
    return (
        "Your work holds what looks like a secret, and nothing of it leaves this machine until it "
        f"is gone:\n{shown}\nTake it out (read it from the environment or a setting instead), "
        "then finish again."
    )


def holds_a_secret(found: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step when the work still holds a secret."""
    shown = "; ".join(flag_line(flag) for flag in found[:5])
    return (
        f"The work holds what looks like a secret, so nothing of it was pushed: {shown}.",
        "`/honk continue` with words on what to do about it.",
    )


def kept_here(paths: Sequence[str], rule: str) -> str:
    """Where the work is that GitHub does not take; for the status comment."""
    return (
        f"GitHub does not take the work so far{_because_of(paths)}:\n\n"
        f"{sanitize.fence(rule, limit=1_500)}\n\nUntil it does, the work is kept on the machine "
        "that Honk runs on, and the run goes on."
    )


def push_refused_feedback(paths: Sequence[str], rule: str) -> str:
    """What the agent is told when a rule of the repository forbids what it did."""
    named = "".join(f"- {sanitize.visible(path)}\n" for path in paths[:20])
    return (
        "GitHub does not take your work because of a rule of this repository. It says:\n"
        f"{sanitize.visible(rule[:2_000])}\n{named}"
        "Do what was asked without breaking that rule, then finish again. Where that is not "
        "possible, say so in not_done."
    )


def push_refused(paths: Sequence[str], rule: str) -> tuple[str, str]:
    """Problem and next step when a rule still forbids the work."""
    said = sanitize.code(rule, limit=600)
    return (
        f"A rule of this repository does not let the work be pushed{_because_of(paths)}: {said}.",
        "It is kept on the machine that Honk runs on. Let Honk bypass that rule, or say how to do "
        "without it, with `/honk continue`.",
    )


def _because_of(paths: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(path, limit=200) for path in paths[:5])
    return f" because of {shown}" if shown else ""


def not_let_through(refused: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step of a change that the policy forbids."""
    shown = "; ".join(flag_line(flag) for flag in refused[:5])
    return (
        f"The policy does not let this change through: {shown}.",
        "Change `paths` in `.github/honk.yml`, or say in words what to do instead.",
    )


def verdict_for_the_judge(verdict: Verdict) -> str:
    """What the tests say, for a model that judges the change."""
    return "\n".join([verdict.title, *verdict.reasons])


def what_ran(result: VerifierResult) -> str:
    """One command, how it ended, and the end of its output in a fold."""
    ended = "did not end in time" if result.timed_out else f"ended with {result.exit_code}"
    folder = result.verifier.partition(":")[2]
    where = f" in {sanitize.code(folder, limit=200)}" if folder else ""
    lines = [
        f"{sanitize.code(result.command, limit=300)}{where} {ended} "
        f"after {duration(result.seconds)}."
    ]
    if result.from_exit_code_only:
        lines.append("It writes no report that Honk reads, so only its exit code is known.")
    for remark in (result.problem, result.note):
        if remark:
            told = sanitize.plain(remark, limit=500)
            lines.append(_sentence(told[:1].upper() + told[1:]))
    if result.output_tail.strip():
        tail = sanitize.fence(result.output_tail, limit=20_000)
        lines.append(f"<details><summary>The end of its output</summary>\n\n{tail}\n\n</details>")
    return "\n\n".join(lines)


def verdict_rows(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """What happened to tests and checks, each kind that there is with the names of all of it."""
    rows = [
        ("New failures", verdict.new_failures),
        ("Failing, unknown before", verdict.failing_unknown),
        ("Fixed", verdict.fixed),
        ("Failing before and after", verdict.still_failing),
        ("Flaky", verdict.flaky),
        ("Added", verdict.added),
        ("Removed", verdict.removed),
        ("Newly skipped", verdict.newly_skipped),
        ("No longer skipped", verdict.unskipped),
        ("Not run", verdict.not_run),
    ]
    named = [(name, [test.id for test in tests]) for name, tests in rows if tests]
    named += [
        (name, [f"{each.verifier}: {each.id}" for each in found])
        for name, found in _check_rows(verdict.checks)
        if found
    ]
    return named


def verdict_table(verdict: Verdict) -> str:
    """Tests before and after, counted, in a table narrow enough for a phone; the names below it."""
    named = verdict_rows(verdict)
    before = verdict.counts_before
    lines = ["| tests | |", "|---|---|"]
    lines += [f"| {name} | {len(tests):,} |" for name, tests in named]
    if verdict.checks.passed:
        lines.append(f"| Checks: passed | {verdict.checks.passed:,} |")
    lines.append(f"| Before | {_counts(before) if before else 'not known'} |")
    lines.append(f"| After | {_counts(verdict.counts_after)} |")
    return "\n".join(lines) + "\n\n" + "\n".join(_names(name, tests) for name, tests in named)


def _check_rows(checks: Checks) -> list[tuple[str, tuple[Change, ...]]]:
    return [
        ("Checks: new failures", checks.new_failures),
        ("Checks: failing, unknown before", checks.failing_unknown),
        ("Checks: fixed", checks.fixed),
        ("Checks: failing before and after", checks.still_failing),
        ("Checks: not run", checks.not_run),
    ]


def _names(name: str, tests: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(test, limit=160) for test in tests[:_NAMES_SHOWN])
    more = f" and {len(tests) - _NAMES_SHOWN:,} more" if len(tests) > _NAMES_SHOWN else ""
    return f"- {name}: {shown}{more}"


def check_annotation(change: Change) -> tuple[str, str]:
    """Title and message of the annotation on a failing line."""
    title = sanitize.fit(" ".join(sanitize.printable(change.id).split()), 250)
    message = sanitize.printable(change.details or change.message) or "This test fails."
    return title, sanitize.fit_middle(message, 8_000)


def flag_annotation(flag: Flag) -> str:
    """The message of the annotation on a flag's line: plain text, unlike the summary."""
    return sanitize.fit(sanitize.printable(flag.reason), 4_000)


def feedback(verdict: Verdict, evidence: str) -> str:
    """What goes back to the agent when the commit's tests say no."""
    return (
        "Your change was committed and its tests were run from a clean checkout of that commit. "
        f"The verdict is: {verdict.title}.\n"
        + "\n".join(f"- {reason}" for reason in verdict.reasons)
        + f"\n\n{evidence}\n\nMend the change, or finish and say honestly what is not done."
    )


def repeated(tool: str, times: int) -> str:
    """What an agent did that got nowhere."""
    called = sanitize.code(tool, limit=60)
    return f"The agent called {called} {times} times in a row with the same input and result."


def our_bug(reference: str) -> tuple[str, str]:
    """Problem and next step when Honk itself failed."""
    return (
        f"Honk itself failed ({reference}); this is not your repository's fault.",
        "The operator finds more in the worker's log. Put the label `honk` on again to retry.",
    )


def disk_is_full() -> tuple[str, str]:
    """Problem and next step when the machine that does the work takes nothing more."""
    return (
        "The disk is full on the machine that Honk works on; this is not your repository's fault.",
        "Its operator has to make room. Comment `/honk continue` then to go on from there.",
    )


def declined(why: str) -> tuple[str, str]:
    """Problem and next step when the model itself does not go on; `why` is its own words."""
    return (
        f"The model declined to go on: {why}" if why else "The model declined to go on.",
        "Comment `/honk continue` to go on from there, or `/honk` with other words for it.",
    )


def check_ended_early() -> tuple[str, str]:
    """Title and summary of a check run whose run ended before its tests were judged."""
    return (
        "Not judged",
        "The run ended before the tests of this commit were judged. The issue tells why.",
    )


def never_queued() -> tuple[str, str]:
    """Problem and next step of a run that was announced and never got as far as the queue."""
    return (
        "This was heard, but what should have started it failed.",
        "The operator finds more in the worker's log. Put the label `honk` on again to retry.",
    )


def attempt_died() -> tuple[str, str]:
    """Problem and next step when the worker died under an attempt again and again."""
    return (
        "The worker that did this work ended unexpectedly, more than once.",
        "The operator finds more in the worker's log. Put the label `honk` on again to retry.",
    )


def no_commits(repo: RepoName, branch: str) -> tuple[str, str]:
    """Problem and next step for an empty repository or an unknown base branch."""
    return (
        f"{repo} has no commits on the branch `{branch}`.",
        "Push a first commit, or name another branch with `base:` in `.github/honk.yml`.",
    )


def base_is_gone(branch: str, *, in_policy: bool) -> tuple[str, str]:
    """Problem and next step for a base branch that was renamed or deleted while a run worked."""
    setting = " Also change `base` in `.github/honk.yml`, which names it."
    return (
        f"The base branch {_branch(branch)} is gone: it was renamed or deleted.",
        "To start again from another branch, comment `/honk retry base=<branch>`; to use the work "
        f"below, restore the branch and comment `/honk continue`.{setting if in_policy else ''}",
    )


def overtaken(branch: str, sha: str, target: Target) -> tuple[str, str]:
    """Problem and next step where somebody pushed the same change while a run worked."""
    if branch == target.branch:
        return (
            f"Somebody pushed the same change: {_branch(branch)} has it since {short(sha)}, so "
            "there is nothing left to commit.",
            "",
        )
    if target.branch:
        return (
            f"{_branch(branch)} has the same change since {short(sha)}, so the pull request from "
            f"{_branch(target.branch)} adds nothing any more.",
            "Close it, or say what is missing: `/honk <what is missing>`.",
        )
    problem = (
        f"{_branch(branch)} has the same change since {short(sha)}, so a pull request would be "
        "empty and none was opened."
    )
    return problem, "If something is missing, say what: `/honk <what is missing>`."


def _status(told: Told, headline: str, *, live: bool, extra: str = "") -> str:
    parts = [
        marker(told.run),
        _what_was_asked(told),
        headline,
        extra,
        _nearly_spent(told.nearly) if live else "",
        told.kept_here if live else "",
        _planned(told.planned, limit=20_000),
        _checklist(told.plan),
        _timeline(told),
        _tried(told.tried) if told.tried else "",
        _manifest(told.manifest),
        _foot(told, live=live),
    ]
    return _fit_comment("\n\n".join(part for part in parts if part) + "\n")


def _planned(plan: str, *, limit: int) -> str:
    """The plan that is carried out, folded."""
    shown = sanitize.markdown(plan, limit=limit)
    return f"<details><summary>The plan</summary>\n\n{shown}\n\n</details>" if shown else ""


def _what_was_asked(told: Told) -> str:
    """One quoted line; who wants more finds the request a little above."""
    asked = sanitize.plain(told.asked, limit=140)
    return f"> {asked}" if asked else ""


def _place(waiting: Waiting) -> str:
    match waiting.why:
        case None:
            return "It starts now."
        case "subject":
            return "It starts when the earlier run here is over."
        case "repository":
            why = "This repository has as many runs at work as it may"
        case "installation":
            why = "This installation has as many runs at work as it may"
        case "slots":
            why = "Every slot is busy"
    if waiting.ahead == 0:
        return f"{why}; it is next."
    return f"{why}; {_count(waiting.ahead, 'run')} ahead of it in the queue."


def timeline(phases: Sequence[tuple[Phase, float]], now: float) -> list[tuple[str, str]]:
    """How long each phase took, added up over all attempts; the one under way by its beginning.

    `phases` are those so far, each with its beginning in seconds since 1970; `now` likewise. What
    took less than half a second is left out.
    """
    spent: dict[Phase, float] = {}
    ends = [*(at for _, at in phases[1:]), now]
    for (phase, began), ended in zip(phases, ends, strict=False):
        spent[phase] = spent.get(phase, 0.0) + max(0.0, ended - began)
    return [
        (_TIMED[phase], duration(spent[phase]))
        for phase in _TIMED
        if round(spent.get(phase, 0.0)) > 0
    ]


def _timeline(told: Told) -> str:
    shown = [f"{did} {how_long}" for did, how_long in timeline(told.phases, told.now)]
    return f"<sub>{' · '.join(shown)}</sub>" if shown else ""


def _manifest(items: tuple[Item, ...]) -> str:
    """What was read and what was left out, in a fold: it has to be there, and not in the way."""
    if not items:
        return ""
    read = [item for item in items if not item.why_not]
    out = [item for item in items if item.why_not]
    title = f"Read: {_count(len(read), 'item')}" + (f" · left out: {len(out)}" if out else "")
    lines = [f"- {_item(item)}" for item in (*read, *out)]
    body = "\n".join(lines[:_MANIFEST_LINES])
    more = len(lines) - _MANIFEST_LINES
    if more > 0:
        body += f"\n- and {more:,} more"
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _item(item: Item) -> str:
    by = f" by {_login(item.author)}" if item.author else ""
    at = f", {item.at}" if item.at else ""
    what = sanitize.plain(item.what, limit=160)
    if item.why_not:
        return f"**left out:** {what}{by}{at}: {sanitize.plain(item.why_not, limit=160)}"
    note = f" ({sanitize.plain(item.note, limit=160)})" if item.note else ""
    return f"{what}{by}{at}{note}"


def _nearly_spent(nearly: Sequence[Nearly]) -> str:
    """The warning, while something can still be done about it."""
    if not nearly:
        return ""
    parts = ", ".join(_share(each) for each in nearly)
    return (
        f"**The budget is nearly used up:** {parts}. At its end the work so far is committed and "
        "pushed; `/honk continue budget=2` then goes on."
    )


def _share(nearly: Nearly) -> str:
    match nearly.which:
        case "money":
            return f"${nearly.used:.2f} of ${nearly.of:.2f}"
        case "time":
            return f"{nearly.used:.0f} of {nearly.of:.0f} minutes"
        case "turns":
            return f"{nearly.used:.0f} of {nearly.of:.0f} turns"


def _foot(told: Told, *, live: bool) -> str:
    used = f"{_usage_line(told.usage)} · " if told.usage else ""
    used += f"{told.calls} of {CALLS} GitHub calls · " if told.calls else ""
    stop = " · stop with `/honk stop`" if live else ""
    who = f"asked by {_login(told.requester)}" if told.requester else "unasked"
    run = f"[run `{told.run}`]({told.page})" if told.page else f"run `{told.run}`"
    return f"<sub>{used}{run} · {who}{stop}</sub>"


def _headline(report: Report) -> str:
    return state(Phase.FINISHED, report.outcome, report.mode)


def _patch(report: Report, room: int) -> str:
    """The work where it may not be pushed, and what vouching for it would mean."""
    if not report.patch:
        return ""
    shown = sanitize.fence(report.patch, limit=min(45_000, room), language="diff")
    parts = [f"<details><summary>The patch</summary>\n\n{shown}\n\n</details>"]
    if report.trust:
        parts.append(what_trust_means(report.trust))
    return "\n\n".join(parts)


def _checklist(plan: Sequence[PlanItem]) -> str:
    return "\n".join(
        f"- [{'x' if item.done else ' '}] {sanitize.plain(item.text, limit=200)}"
        for item in plan[:20]
    )


def _result_line(report: Report) -> str:
    """The settled status in one or two sentences."""
    words = []
    if report.publication and report.publication.own:
        kind = "Draft pull request" if report.publication.draft else "Pull request"
        words.append(f"{kind} #{report.publication.pull_number}.")
    elif report.publication and report.head_sha:
        words.append(f"{short(report.head_sha)} is on {_branch(report.publication.branch)}.")
    if report.verdict:
        words.append(f"Tests: {_linked(report.verdict.title, report)}.")
    if report.outcome is Outcome.BUDGET and report.work:
        verb = "are" if report.work.spent == "turns" else "is"
        words.append(f"The run's {report.work.spent} {verb} used up; the work so far is kept.")
    if report.outcome is Outcome.STUCK and report.work:
        words.append(f"{report.work.text} The work so far is kept.")
    shown = (Outcome.QUESTION, Outcome.NOTHING, Outcome.ANSWERED, Outcome.SHOWN)
    if report.outcome in shown and report.work and not report.problem:
        words.append(sanitize.markdown(report.work.text, limit=6_000))
    if report.problem:
        words.append(_sentence(sanitize.markdown(report.problem, limit=6_000)))
    if report.next_step:
        words.append(sanitize.markdown(report.next_step, limit=1_000))
    if report.kept_at:
        words.append(f"What was done so far is kept at {_branch(report.kept_at)}.")
    return _flow(*words)


def _branch(name: str) -> str:
    return sanitize.code(name, limit=250)


def _linked(title: str, report: Report) -> str:
    url = report.publication.check_url if report.publication else report.check_url
    return f"[{title}]({url})" if url else title


def _last_sentence(report: Report) -> str:
    pull = f"#{report.publication.pull_number}" if report.publication else ""
    tests = f" Tests: {report.verdict.title}." if report.verdict else ""
    match report.outcome:
        case Outcome.DONE if report.publication is None:
            return f"{_at_head(report)}: the tests are good.{tests}"
        case Outcome.DONE if report.publication is not None and not report.publication.own:
            return f"{_at_head(report)} is on {_branch(report.publication.branch)}.{tests}"
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
            return _flow("No file was changed.", said)
        case Outcome.STOPPED:
            kept = f" Its work is kept on {_branch(report.kept_at)}." if report.kept_at else ""
            why = f" {report.problem}" if report.problem else ""
            return f"Stopped.{why}{kept} `/honk continue` goes on from there."
        case Outcome.ERROR if report.details:
            step = report.next_step[:1].lower() + report.next_step[1:]
            return f"{report.problem.rstrip('.')}; {step}"
        case Outcome.ERROR:
            problem = _sentence(sanitize.markdown(report.problem, limit=3_000))
            at = _branch(report.kept_at)
            kept = f" What was done so far is kept at {at}." if report.kept_at else ""
            return _flow("This did not work.", problem, report.next_step + kept)


_BLOCK = re.compile(r"#{1,6} |[>|<]|```|~~~|___|[-*+] |[0-9]+[.)] ")


def _flow(*parts: str) -> str:
    """Sentences go on in one line; what is a block of its own stays one."""
    text = ""
    for part in filter(None, parts):
        goes_on = _is_running(text.rpartition("\n\n")[2]) and _is_running(part)
        text += (" " if goes_on else "\n\n") + part
    return text.strip()


def _is_running(text: str) -> bool:
    return "\n" not in text and not _BLOCK.match(text)


def _sentence(text: str) -> str:
    """What GitHub says ends without a full stop as often as not."""
    ends = not _is_running(text) or text[-1:] in ".!?`"
    return text if ends else f"{text}."


def _at_head(report: Report) -> str:
    return short(report.head_sha) if report.head_sha else "The head"


def _asked(trigger: Trigger, request: str, *, limit: int) -> str:
    asked = sanitize.markdown(request or trigger.body, limit=limit)
    title = sanitize.plain(trigger.title, limit=TITLE_LIMIT)
    return markdown.quoted(f"**{title}**\n\n{asked}".strip())


def _reasons(verdict: Verdict) -> list[str]:
    if not verdict.reasons:
        return []
    return ["\n".join(f"- {sanitize.plain(reason, limit=500)}" for reason in verdict.reasons)]


def _usage_line(usage: Usage) -> str:
    return (
        f"${usage.cost_usd:.2f} · {_count(usage.model_turns, 'turn')} · {duration(usage.seconds)}"
    )


def _counts(counts: Counts) -> str:
    failed = counts.failed + counts.errors
    return f"{counts.passed:,} passed, {failed:,} failed, {counts.skipped:,} skipped"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _login(login: str) -> str:
    """A name that is shown and does not notify."""
    return sanitize.code(login, limit=60)


def _address(login: str, account_id: int) -> str:
    """The address that GitHub links to the account.

    https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
    """
    return f"{login} <{account_id}+{login}@users.noreply.github.com>"


def _fit_comment(text: str) -> str:
    return sanitize.fit_middle(text, COMMENT_LIMIT)
