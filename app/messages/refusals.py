"""Problem and next step of every refusal and failure."""

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
    SETUP_OUTPUT,
    because_of,
    blocked_hosts,
    branch_code,
    fit_comment,
    pull_marker,
)
from app.messages.pull_request import outside_verdict


def pending_marker(run: RunId) -> str:
    """The marker line of the comment that says a request is pending."""
    return f"<!-- honk:pending={run} -->"


def ignored(reason: str) -> str:
    """A request in a chat that is ignored, as one on GitHub would be."""
    return f"Nothing was started: {sanitize.plain(reason, limit=300)}."


def kept_pending(run: RunId, requester: str, problem: str) -> str:
    """The request is accepted and starts later automatically."""
    text = f"@{requester} Honk can't start yet. {problem} It will retry and start automatically."
    return fit_comment(f"{text}\n\n{pending_marker(run)}\n")


_WHOLE_OUTPUT = 20_000


_COMMAND_SHOWN = 60


def setup_failed(line: str, how: str) -> tuple[str, str]:
    """Problem and next step when a setup command fails."""
    return (
        f"Setup failed: {sanitize.code(_shortened(line), limit=100)} {how}.",
        "Fix `setup` in `.github/honk.yml`, then comment `/honk retry`.",
    )


def setup_network(*, has_network: bool, switched_off: bool) -> str:
    """What the commands of a policy may reach. `switched_off`: the operator allows no network."""
    if switched_off:
        return (
            "This worker gives setup no network (`HONK_SETUP_NETWORK=none`), whatever "
            "`network.allow` lists."
        )
    if has_network:
        return "Setup may reach the hosts under `network.allow` in `.github/honk.yml`."
    return "Setup has no network unless `network.allow` in `.github/honk.yml` lists hosts."


def set_up_output(output: str, network: str) -> str:
    """Output of a failed setup command: the relevant lines, then all of it in a fold.

    `network` says what it could reach.
    """
    if not output.strip():
        return f"It printed no output. {network}"
    telling = log_lines.that_matter(output)
    parts = [sanitize.fence(telling, limit=SETUP_OUTPUT)]
    if telling != output.strip():
        whole = sanitize.fence(output, limit=_WHOLE_OUTPUT)
        parts.append(f"<details><summary>Full output</summary>\n\n{whole}\n\n</details>")
    return "\n\n".join([*parts, network])


def set_up_failed_again(line: str, how: str, output: str, tried: Sequence[BlockedHost]) -> str:
    """The same for the agent, whose changes may have broken setup."""
    parts = [f"The setup command {sanitize.code(line, limit=400)} {how}:", output[-SETUP_OUTPUT:]]
    return "\n\n".join([*parts, blocked_hosts(tried)] if tried else parts)


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _COMMAND_SHOWN else f"{line[: _COMMAND_SHOWN - 1]}…"


def no_plan(number: int) -> tuple[str, str]:
    """Problem and next step of a go without a plan."""
    return (f"There is no plan for #{number} yet.", "Comment `/honk plan` to get one.")


def already_working(number: int) -> tuple[str, str]:
    """Problem and next step when the subject has a live run."""
    return (
        f"Honk is already working on #{number}.",
        "Comment `/honk <instructions>` to steer it, or `/honk stop`.",
    )


def already_open(pull: int) -> tuple[str, str]:
    """Problem and next step when the subject has an open pull request by Honk."""
    return (
        f"#{pull} is already open for this issue.",
        "To change it, comment `/honk <what to change>`. To start over from the base branch, "
        "comment `/honk retry`.",
    )


def open_elsewhere(pull: int) -> tuple[str, str]:
    """Problem and next step when another person's pull request is open for the subject."""
    return (
        f"#{pull} is already open for this issue.",
        f"To change it, comment `/honk <what to change>` on #{pull}. To start over from the base "
        "branch, comment `/honk retry`.",
    )


def on_the_pull(pull: int) -> str:
    """The answer to a task on an issue whose pull request is open."""
    return f"#{pull} is already open for this issue, so Honk continues there."


def stop_first(number: int) -> tuple[str, str]:
    """Problem and next step of a retry while a run is live."""
    return (f"Honk is still working on #{number}.", "Comment `/honk stop` first, then retry.")


def nothing_to_stop(number: int) -> tuple[str, str]:
    """Problem and next step of a stop without a live run."""
    return (
        f"Nothing to stop: Honk isn't running on #{number}.",
        "Comment `/honk status` to see how the last run ended.",
    )


def nothing_to_continue(number: int) -> tuple[str, str]:
    """Problem and next step of a continue without a run to resume."""
    return (
        f"There is no unfinished run on #{number}.",
        "Comment `/honk <task>`, or `/honk retry`.",
    )


def on_hold() -> tuple[str, str]:
    """Problem and next step while the label `honk:hold` is set."""
    return ("The label `honk:hold` prevents Honk from starting.", "Remove it and ask again.")


def subject_is_closed(number: int) -> tuple[str, str]:
    """Problem and next step for work requested on a closed subject."""
    return (f"#{number} is closed.", "Reopen it, then ask again.")


def pull_is_closed(number: int, *, merged: bool) -> tuple[str, str]:
    """Problem and next step when the pull request was closed or merged during the run."""
    how = "merged" if merged else "closed"
    return (f"#{number} was {how} while Honk was working.", "Nothing was pushed to it.")


def only_on_pulls(name: str) -> tuple[str, str]:
    """Problem and next step of a command that needs a pull request, on an issue."""
    return (
        f"`/honk {name}` works only on pull requests.",
        "Comment it on the pull request.",
    )


def only_on_issues(name: str) -> tuple[str, str]:
    """Problem and next step of a command that is about the default branch, on a pull request."""
    return (f"`/honk {name}` works only on issues.", "Comment it on an issue.")


def did_you_mean(near: str) -> tuple[str, str]:
    """Problem and next step of a near miss of a command."""
    return (
        f"Did you mean `/honk {near}`? If so, comment it again.",
        "Otherwise, describe the task in more than one word.",
    )


def one_at_a_time(names: Sequence[str]) -> tuple[str, str]:
    """Problem and next step of a comment with several commands."""
    shown = ", ".join(f"`/honk {name}`" for name in names)
    return (f"This comment has several commands: {shown}.", "Comment one at a time.")


def only_stopped(names: Sequence[str]) -> tuple[str, str]:
    """Problem and next step of a stop among other commands."""
    shown = ", ".join(f"`/honk {name}`" for name in names if name != "stop")
    return (
        "Only `/honk stop` was executed.",
        f"Comment each of the others separately: {shown}." if shown else "",
    )


def only_verifies() -> tuple[str, str]:
    """Problem and next step of a request that needs more permissions than the App asks for."""
    return (
        "Honk can only verify here: it may read code and write checks.",
        "`/honk test` and `/honk accept` work. For the rest, the owner of the App has to give it "
        "the permissions in Honk's `manifest.yml`.",
    )


def no_model(why: str) -> tuple[str, str]:
    """Problem and next step of a request for the agent when the operator gave no model key."""
    return (
        f"No agent is available here: {why}",
        "`/honk test` and the check on every pull request work without one. For the rest, Honk's "
        "operator has to set the key.",
    )


def daily_budget_spent(of: str) -> tuple[str, str]:
    """Problem and next step when a daily spending limit is reached."""
    if of == "operator":
        return (
            "Honk has reached its operator's daily spending limit.",
            "Ask again tomorrow (UTC), or ask the operator to raise `HONK_MAX_USD_PER_DAY`.",
        )
    if of == "installation":
        return (
            "This account has reached the operator's daily spending limit.",
            "Ask again tomorrow (UTC), or ask the operator to raise "
            "`HONK_MAX_USD_PER_DAY_INSTALLATION`.",
        )
    return (
        "This repository has reached its daily spending limit.",
        "Ask again tomorrow (UTC), or raise `budget.per_day_usd` in `.github/honk.yml`.",
    )


def unknown_model(name: str, normal: str, stronger: str) -> tuple[str, str]:
    """Problem and next step of a model that the operator does not offer."""
    return (
        f"The model {sanitize.code(name, limit=80)} is not available here.",
        f"Use `model={normal}` or `model={stronger}`; `model=max` is short for the second.",
    )


def nothing_fails(sha: str) -> tuple[str, str]:
    """Problem and next step of a fix without failing checks."""
    return (
        f"No failing checks on {short(sha)}.",
        "Describe the problem: `/honk <what is wrong>`.",
    )


def not_a_fork(number: int) -> tuple[str, str]:
    """Problem and next step of a trust that is not needed."""
    return (f"#{number} isn't from a fork, so it needs no trust.", "")


def nothing_to_trust(number: int) -> tuple[str, str]:
    """Problem and next step of a trust before there is any work."""
    return (
        f"Honk has no work on #{number} to push.",
        "Comment `/honk <task>` first to get a patch to review.",
    )


def trust_which(sha: str) -> tuple[str, str]:
    """Problem and next step of a trust without the commit, or with another one."""
    return (
        "`/honk trust` needs the full SHA of the commit that you reviewed.",
        what_trust_means(sha),
    )


def what_trust_means(sha: str) -> str:
    """The warning shown before anyone trusts a fork's code."""
    return (
        f"`/honk trust {sha}` pushes the fork's commits up to that one, plus Honk's work, to a "
        "branch of this repository and opens a pull request. **This repository's CI then runs "
        "that code, with access to its secrets.** Review the code first."
    )


def nothing_to_undo(number: int) -> tuple[str, str]:
    """Problem and next step of an undo without published work."""
    return (f"Nothing to undo: no run has published anything on #{number}.", "")


def undo_merged(pull: int) -> tuple[str, str]:
    """Problem and next step of an undo after the merge."""
    return (
        f"#{pull} is already merged.",
        f"Use GitHub's **Revert** button on #{pull} instead.",
    )


def undo_pushed_on_top(branch: str, sha: str, run: str) -> tuple[str, str]:
    """Problem and next step of an undo when other commits follow the run's."""
    return (
        f"Commits were pushed to {branch_code(branch)} on top of the run's {short(sha)}.",
        f"Revert by hand: `git revert` the commits with the trailer `Honk-Run: {run}`.",
    )


def undone_part(run: str) -> str:
    """The note in a pull request's description about a reverted run."""
    return f"_Run `{run}` was reverted with `/honk undo`._"


def is_opened_by(body: str, run: RunId) -> bool:
    """Whether this run opened the pull request with this description."""
    return pull_marker(run) in body


def undone_body(body: str, run: RunId, trigger: Trigger) -> str:
    """The description of a pull request whose run was reverted; it no longer closes the issue.

    The test results are dropped because their commit is gone; the rest is folded.
    """
    notice = (
        f"**Reverted.** Run `{run}` for #{trigger.number} was reverted with `/honk undo`. There is "
        "nothing to merge here.\n\nTo try again, comment `/honk retry` on "
        f"#{trigger.number}."
    )
    rest = _CLOSES.sub("", outside_verdict(body)).replace(pull_marker(run), "").strip()
    title = "What the run did"
    fold = f"<details><summary>{title}</summary>\n\n{rest}\n\n</details>" if rest else ""
    return fit_comment("\n\n".join(p for p in (notice, fold, pull_marker(run)) if p))


_CLOSES = re.compile(r"^Closes #\d+[ \t]*$", re.MULTILINE)


def not_our_pull(number: int) -> tuple[str, str]:
    """Problem and next step of a ready on a person's pull request."""
    return (f"#{number} was not opened by Honk.", "Its author can mark it ready for review.")


def merge_conflict(files: Sequence[str]) -> tuple[str, str]:
    """Problem and next step of a merge conflict that the agent did not resolve."""
    shown = ", ".join(sanitize.code(name, limit=100) for name in files[:5])
    return (
        f"Merge conflict with newer commits in {shown}. Nothing was overwritten.",
        "To have Honk resolve it, comment `/honk continue`.",
    )


def branch_moved() -> tuple[str, str]:
    """Problem and next step when someone pushed during a rebase."""
    return (
        "Someone pushed to the branch during the rebase, so it was left as it is.",
        "Comment `/honk rebase` again.",
    )


def subject_closed(number: int, action: str) -> tuple[str, str]:
    """Why a run ended when its subject was closed, deleted or transferred."""
    how = {"transferred": "transferred to another repository"}.get(action, action)
    return (f"#{number} was {how} while Honk was working.", "The work is saved.")


def holds_a_secret(found: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step when the work still contains a secret."""
    shown = "; ".join(flag_line(flag) for flag in found[:5])
    return (
        f"Nothing was pushed because the work contains what looks like a secret: {shown}.",
        "Comment `/honk continue <what to do about it>`.",
    )


def push_refused(paths: Sequence[str], rule: str) -> tuple[str, str]:
    """Problem and next step when a rule still forbids the work."""
    said = sanitize.code(rule, limit=600)
    return (
        f"A repository rule rejected the push{because_of(paths)}: {said}.",
        "The work is saved on the machine that runs Honk. Let Honk bypass that rule and comment "
        "`/honk continue`, or comment `/honk continue <how to avoid it>`.",
    )


def forbidden_by_policy(refused: Sequence[Flag]) -> tuple[str, str]:
    """Problem and next step of a change that the policy forbids."""
    shown = "; ".join(flag_line(flag) for flag in refused[:5])
    return (
        f"The policy does not allow this change: {shown}.",
        "Change `paths` in `.github/honk.yml`, or comment what to do instead.",
    )


def flag_annotation(flag: Flag) -> str:
    """The message of the annotation on a flag's line: plain text, unlike the summary."""
    return sanitize.fit(sanitize.printable(flag.reason), 4_000)


def repeated(tool: str, times: int) -> str:
    """The repeated tool call that made no progress."""
    called = sanitize.code(tool, limit=60)
    return f"The agent called {called} {times} times in a row with the same input and result."


def internal_error(reference: str) -> tuple[str, str]:
    """Problem and next step when Honk itself failed."""
    return (
        f"Internal error in Honk ({reference}); your repository is not at fault.",
        "Details are in the worker's log. To retry, add the label `honk` again.",
    )


def upgraded() -> tuple[str, str]:
    """Problem and next step of a run that an incompatible version of Honk began."""
    return (
        "Honk was updated while this run was in progress, and the new version can't resume it.",
        "Comment `/honk continue` to go on from the saved work.",
    )


def disk_is_full() -> tuple[str, str]:
    """Problem and next step when the worker's disk is full."""
    return (
        "The disk is full on the machine that runs Honk; your repository is not at fault.",
        "The operator must free disk space. Then comment `/honk continue` to resume.",
    )


def declined(why: str) -> tuple[str, str]:
    """Problem and next step when the model refuses; `why` quotes the model."""
    return (
        f"The model declined to continue: {why}" if why else "The model declined to continue.",
        "Comment `/honk continue` to resume, or rephrase the task with `/honk <task>`.",
    )


def never_queued() -> tuple[str, str]:
    """Problem and next step of a run that was acknowledged but never queued."""
    return (
        "Honk acknowledged this request but failed to start it.",
        "Details are in the worker's log. To retry, add the label `honk` again.",
    )


def attempt_died() -> tuple[str, str]:
    """Problem and next step when the worker died repeatedly during an attempt."""
    return (
        "The worker crashed more than once during this run.",
        "Details are in the worker's log. To retry, add the label `honk` again.",
    )


def no_commits(repo: RepoName, branch: str) -> tuple[str, str]:
    """Problem and next step for an empty repository or an unknown base branch."""
    return (
        f"{repo} has no commits on the branch `{branch}`.",
        "Push a first commit, or set another branch as `base:` in `.github/honk.yml`.",
    )


def base_is_gone(branch: str, *, in_policy: bool) -> tuple[str, str]:
    """Problem and next step for a base branch that was renamed or deleted while a run worked."""
    setting = " Also change `base` in `.github/honk.yml`, which names it."
    return (
        f"The base branch {branch_code(branch)} no longer exists: it was renamed or deleted.",
        "To start again from another branch, comment `/honk retry base=<branch>`; to use the work "
        f"below, restore the branch and comment `/honk continue`.{setting if in_policy else ''}",
    )


def overtaken(branch: str, sha: str, target: Target) -> tuple[str, str]:
    """Problem and next step when someone pushed the same change during a run."""
    if branch == target.branch:
        return (
            f"Someone pushed the same change to {branch_code(branch)} in {short(sha)}, so there is "
            "nothing left to commit.",
            "",
        )
    if target.branch:
        return (
            f"{branch_code(branch)} has had the same change since {short(sha)}, so the pull "
            f"request from {branch_code(target.branch)} no longer changes anything.",
            "Close it, or comment what is missing: `/honk <what is missing>`.",
        )
    problem = (
        f"{branch_code(branch)} has had the same change since {short(sha)}, so no pull request was "
        "opened."
    )
    return problem, "If something is missing, comment `/honk <what is missing>`."
