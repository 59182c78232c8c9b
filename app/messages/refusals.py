"""Problem and next step of everything that Honk refuses or that fails."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import log_lines, sanitize
from app.domain.flag import Flag
from app.domain.run import Target
from app.domain.setup import BlockedHost
from app.domain.trigger import Trigger
from app.domain.values import RepoName, RunId, short
from app.messages.check_run import (
    flag_line,
)
from app.messages.formatting import (
    ASKED_HEADING,
    SETUP_OUTPUT,
    because_of,
    blocked_hosts,
    branch_code,
    fit_comment,
    pull_marker,
)


def pending_marker(run: RunId) -> str:
    """The line by which it is found again that a request waits."""
    return f"<!-- honk:pending={run} -->"


def kept_pending(run: RunId, requester: str, problem: str) -> str:
    """It was heard, and starts later by itself."""
    told = f"@{requester} Honk cannot start yet. {problem} It keeps trying and starts by itself."
    return fit_comment(f"{told}\n\n{pending_marker(run)}\n")


_WHOLE_OUTPUT = 20_000


_COMMAND_SHOWN = 60


def setup_failed(line: str, how: str) -> tuple[str, str]:
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


def set_up_failed_again(line: str, how: str, output: str, tried: Sequence[BlockedHost]) -> str:
    """The same for the agent, whose own changes may have broken it."""
    parts = [f"The set-up command {sanitize.code(line, limit=400)} {how}:", output[-SETUP_OUTPUT:]]
    return "\n\n".join([*parts, blocked_hosts(tried)] if tried else parts)


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _COMMAND_SHOWN else f"{line[: _COMMAND_SHOWN - 1]}…"


def no_plan(number: int) -> tuple[str, str]:
    """Problem and next step of a go without a plan."""
    return (f"There is no plan for #{number} to carry out.", "Comment `/honk plan` for one.")


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


def stop_first(number: int) -> tuple[str, str]:
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


def subject_is_closed(number: int) -> tuple[str, str]:
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


def daily_budget_spent(of: str) -> tuple[str, str]:
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
        f"Commits were pushed to {branch_code(branch)} on top of the run's {short(sha)}.",
        f"Take it back by hand: `git revert` of the commits with the trailer `Honk-Run: {run}`.",
    )


def undone_part(run: str) -> str:
    """What the description of a pull request says of a run that was taken back."""
    return f"_What run `{run}` did here was taken back with `/honk undo`._"


def is_opened_by(body: str, run: RunId) -> bool:
    """Whether a description is that of the pull request that this run opened."""
    return pull_marker(run) in body


def undone_body(body: str, run: RunId, trigger: Trigger) -> str:
    """The description of a pull request whose run was taken back: it closes nothing any more.

    What was measured goes, for it was measured on what is not there now; the rest is folded.
    """
    notice = (
        f"**Taken back.** What run `{run}` did for #{trigger.number} was taken back with "
        "`/honk undo`. Nothing here is ready to merge.\n\nTo try again, comment `/honk retry` on "
        f"#{trigger.number}."
    )
    before, found, after = body.partition(ASKED_HEADING)
    rest = f"{found}{after}" if found else before
    rest = _CLOSES.sub("", rest).replace(pull_marker(run), "").strip()
    title = "What the run had done"
    fold = f"<details><summary>{title}</summary>\n\n{rest}\n\n</details>" if rest else ""
    return fit_comment("\n\n".join(p for p in (notice, fold, pull_marker(run)) if p))


_CLOSES = re.compile(r"^Closes #\d+[ \t]*$", re.MULTILINE)


def not_our_pull(number: int) -> tuple[str, str]:
    """Problem and next step of a ready on a person's pull request."""
    return (f"#{number} was not opened by Honk.", "Its author can say that it is ready.")


def merge_conflict(files: Sequence[str]) -> tuple[str, str]:
    """Problem and next step when two sides met once more."""
    shown = ", ".join(sanitize.code(name, limit=100) for name in files[:5])
    return (
        f"Others have changed the same lines meanwhile ({shown}), and nothing was overwritten.",
        "`/honk continue` brings both together.",
    )


def branch_moved() -> tuple[str, str]:
    """Problem and next step when somebody pushed while a branch was rewritten."""
    return (
        "Somebody pushed to the branch while it was brought up to date; it was left alone.",
        "Comment `/honk rebase` again.",
    )


def subject_closed(number: int, action: str) -> tuple[str, str]:
    """Why a run ended whose subject went away."""
    how = {"transferred": "moved to another repository"}.get(action, action)
    return (f"#{number} was {how} while Honk worked.", "The work is kept.")


def holds_a_secret(found: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step when the work still holds a secret."""
    shown = "; ".join(flag_line(flag) for flag in found[:5])
    return (
        f"The work holds what looks like a secret, so nothing of it was pushed: {shown}.",
        "`/honk continue` with words on what to do about it.",
    )


def push_refused(paths: Sequence[str], rule: str) -> tuple[str, str]:
    """Problem and next step when a rule still forbids the work."""
    said = sanitize.code(rule, limit=600)
    return (
        f"A rule of this repository does not let the work be pushed{because_of(paths)}: {said}.",
        "It is kept on the machine that Honk runs on. Let Honk bypass that rule, or say how to do "
        "without it, with `/honk continue`.",
    )


def forbidden_by_policy(refused: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step of a change that the policy forbids."""
    shown = "; ".join(flag_line(flag) for flag in refused[:5])
    return (
        f"The policy does not let this change through: {shown}.",
        "Change `paths` in `.github/honk.yml`, or say in words what to do instead.",
    )


def flag_annotation(flag: Flag) -> str:
    """The message of the annotation on a flag's line: plain text, unlike the summary."""
    return sanitize.fit(sanitize.printable(flag.reason), 4_000)


def repeated(tool: str, times: int) -> str:
    """What an agent did that got nowhere."""
    called = sanitize.code(tool, limit=60)
    return f"The agent called {called} {times} times in a row with the same input and result."


def internal_error(reference: str) -> tuple[str, str]:
    """Problem and next step when Honk itself failed."""
    return (
        f"Honk itself failed ({reference}); this is not your repository's fault.",
        "The operator finds more in the worker's log. Put the label `honk` on again to retry.",
    )


def upgraded() -> tuple[str, str]:
    """Problem and next step of a run that an incompatible version of Honk began."""
    return (
        "Honk was updated while this run was in progress, and the new version can't resume it.",
        "Comment `/honk continue` to go on from the saved work.",
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
        f"The base branch {branch_code(branch)} is gone: it was renamed or deleted.",
        "To start again from another branch, comment `/honk retry base=<branch>`; to use the work "
        f"below, restore the branch and comment `/honk continue`.{setting if in_policy else ''}",
    )


def overtaken(branch: str, sha: str, target: Target) -> tuple[str, str]:
    """Problem and next step where somebody pushed the same change while a run worked."""
    if branch == target.branch:
        return (
            f"Somebody pushed the same change: {branch_code(branch)} has it since {short(sha)}, so "
            "there is nothing left to commit.",
            "",
        )
    if target.branch:
        return (
            f"{branch_code(branch)} has the same change since {short(sha)}, "
            f"so the pull request from "
            f"{branch_code(target.branch)} adds nothing any more.",
            "Close it, or say what is missing: `/honk <what is missing>`.",
        )
    problem = (
        f"{branch_code(branch)} has the same change since {short(sha)}, so a pull request would be "
        "empty and none was opened."
    )
    return problem, "If something is missing, say what: `/honk <what is missing>`."
