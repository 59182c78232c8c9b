"""Every text that people read on GitHub, one function each. Pure.

Whatever came from the model, the repository or the issue goes through `sanitize` on its way in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from app.domain import labels, sanitize
from app.domain.admission import Waiting
from app.domain.command import CommandSpec
from app.domain.run import Outcome, Phase, RunInput
from app.domain.setup import Tried
from app.domain.trigger import Trigger
from app.domain.values import RepoName, RunId, Value, short
from app.domain.verdict import Change, Checks, Counts, Verdict, VerifierResult

COMMENT_LIMIT = 65_536
SUMMARY_LIMIT = 65_535
TITLE_LIMIT = 256

CHECK_TESTS = "honk / tests"


class LabelLook(Value):
    """`color` is six hexadecimal digits without `#`; `description` at most 100 characters."""

    color: str
    description: str


LABELS = {
    labels.TRIGGER: LabelLook(color="e7b416", description="Honk works on this issue"),
    labels.QUEUED: LabelLook(color="cfd8dc", description="Honk has heard and waits for a slot"),
    labels.RUNNING: LabelLook(color="1f6feb", description="Honk is at work"),
    labels.NEEDS_YOU: LabelLook(color="d29922", description="Honk needs a person"),
    labels.DONE: LabelLook(color="2da44e", description="Honk has opened a pull request"),
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
_HEADLINES = {
    Outcome.DONE: "Done",
    Outcome.NOT_READY: "Not ready",
    Outcome.QUESTION: "A question for you",
    Outcome.ANSWERED: "Answered",
    Outcome.NOTHING: "No change made",
    Outcome.BUDGET: "The budget is spent",
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

    ending: Literal["done", "question", "budget", "stopped", "refused"]
    text: str = ""  # the summary, the question, or what the model said when it refused
    not_done: str = ""
    how_to_check: str = ""
    spent: str = ""  # which part of the budget is spent: money, time or turns


class Publication(Value):
    """Where the change stands on GitHub."""

    branch: str
    pull_number: int
    pull_url: str
    draft: bool
    titled_not_ready: bool = False  # drafts are refused by the plan, so the title says it
    check_url: str = ""


class Report(Value):
    """How a run ended, with all that the last words are made of."""

    outcome: Outcome
    work: Work | None = None
    verdict: Verdict | None = None
    publication: Publication | None = None
    head_sha: str | None = None
    problem: str = ""
    next_step: str = ""
    kept_at: str = ""  # the branch or hidden ref that keeps the work when no pull request does
    stopped_by: str = ""
    mode: Literal["work", "plan", "ask"] = "work"


def marker(run: RunId) -> str:
    """The line by which the status comment of a run is found again."""
    return f"<!-- honk:run={run} -->"


def last_words_marker(run: RunId, attempt: int) -> str:
    """The line by which the last comment of an attempt is found again."""
    return f"<!-- honk:end={run}.{attempt} -->"


def refusal_marker(run: RunId) -> str:
    """The line by which a refusal is found again."""
    return f"<!-- honk:refused={run} -->"


def status_waiting(run: RunId, requester: str, waiting: Waiting) -> str:
    """The first words: heard, where it stands in the queue, and why it waits."""
    return _status(run, requester, f"**Heard.** {_place(waiting)}", [], None)


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


def status_working(
    run: RunId,
    requester: str,
    phase: Phase,
    plan: list[PlanItem],
    usage: Usage,
    tried: Sequence[Tried] = (),
) -> str:
    """What the run is doing now, with the agent's own checklist."""
    return _status(run, requester, f"**{_PHASES[phase]} …**", plan, usage, tried)


def status_settled(
    run: RunId,
    requester: str,
    report: Report,
    plan: list[PlanItem],
    usage: Usage,
    tried: Sequence[Tried] = (),
) -> str:
    """How it ended; this comment is not edited again."""
    headline = f"**{_HEADLINES[report.outcome]}.** {_result_line(report)}"
    return _status(run, requester, headline.strip(), plan, usage, tried)


def last_words(run: RunId, attempt: int, requester: str, report: Report) -> str:
    """One short new comment at the end, since edits do not notify a phone."""
    return _fit_comment(
        f"@{requester} {_last_sentence(report)}\n\n{last_words_marker(run, attempt)}\n"
    )


def refused(run: RunId, requester: str, problem: str, next_step: str) -> str:
    """Nothing was started, why, and what to do."""
    told = f"@{requester} Nothing was started. {problem} {next_step}".strip()
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


def not_built_yet(command: str) -> tuple[str, str]:
    """Why a command that is named and not built does nothing."""
    return f"`/honk {command}` is not built yet.", "`/honk help` lists what can be asked."


def no_run_yet() -> str:
    """The answer to `status` where nothing was ever asked."""
    return "Nothing was asked of Honk here yet. Put the label `honk` on, or comment `/honk`."


def how_it_stands(
    run: RunId,
    phase: Phase,
    outcome: Outcome | None,
    plan: list[PlanItem],
    usage: Usage,
    *,
    waiting: Waiting,
) -> str:
    """The answer to `status`."""
    if outcome is not None:
        state = f"{_HEADLINES[outcome]}; the run has ended."
    elif phase is Phase.QUEUED:
        state = f"Waiting for a free slot. {_place(waiting)}"
    else:
        state = f"{_PHASES[phase]}."
    parts = [state, _checklist(plan), f"<sub>{_usage_line(usage)} · run `{run}`</sub>"]
    return "\n\n".join(part for part in parts if part)


SETUP_OUTPUT = 4_000
_TRIED_SHOWN = 10


def set_up_failed(
    line: str, how: str, output: str, tried: Sequence[Tried], allowed: Sequence[str]
) -> tuple[str, str]:
    """Problem and next step when a set-up command does not do."""
    told = [
        f"The set-up command {sanitize.code(line, limit=200)} {how}:",
        sanitize.fence(output, limit=SETUP_OUTPUT),
    ]
    if tried:
        told.append(_tried(tried))
    network = (
        "What it may reach is listed there under `network.allow`."
        if allowed
        else "Set-up has no network unless `network.allow` there lists hosts."
    )
    return "\n\n".join(told), f"Mend `setup` in `.github/honk.yml`. {network}"


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
        "Review it, or comment `/honk retry` for a new try from the base branch.",
    )


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


def only_issues() -> tuple[str, str]:
    """Problem and next step for a command on a pull request."""
    return (
        "Honk takes its work from issues, and this is a pull request.",
        "Open an issue that says what you want and put the label `honk` on it.",
    )


def pull_request_title(trigger: Trigger) -> str:
    """The issue's title: the request is what the change is about."""
    title = sanitize.plain(trigger.title, limit=TITLE_LIMIT - 20)
    return title or f"Work on issue {trigger.number}"


def pull_request_body(run: RunInput, work: Work, verdict: Verdict, sha: str, usage: Usage) -> str:
    """What was asked, what was done, what the tests say, and what it cost."""
    trigger = run.trigger
    parts = [
        f"Closes #{trigger.number}",
        "## What was asked",
        _asked(trigger, run.request),
        "## What was done",
        sanitize.markdown(work.text, limit=15_000) or "The agent left no description.",
    ]
    if work.not_done.strip():
        parts += ["## What was not done", sanitize.markdown(work.not_done, limit=5_000)]
    if work.how_to_check.strip():
        parts += ["## How to check it", sanitize.markdown(work.how_to_check, limit=5_000)]
    parts += [
        "## What the tests say",
        f"**{verdict.title}** on {short(sha)}, from a clean checkout of that commit.",
        *_reasons(verdict),
        verdict_table(verdict),
        f"<sub>{_usage_line(usage)} · run `{run.id}` · asked by {_login(trigger.actor.login)}. "
        "The description is the agent's own; the test results are not.</sub>",
        f"<!-- honk:pull={run.id} -->",
    ]
    return _fit_comment("\n\n".join(part for part in parts if part))


def not_ready_title(title: str) -> str:
    """The title of an ordinary pull request where drafts are refused."""
    return f"Not ready: {title}"[:TITLE_LIMIT]


def commit_message(run: RunId, trigger: Trigger, work: Work, *, signer: str | None) -> str:
    """Subject, body and trailers; the trailers are ours and nothing in the text can forge one."""
    title = (
        sanitize.plain(trigger.title, limit=100).lstrip("#") or f"Work on issue {trigger.number}"
    )
    subject = sanitize.fit(title, 72)
    body = _indented_trailers(sanitize.markdown(work.text, limit=4_000))
    trailers = [
        f"Honk-Run: {run}",
        f"Co-authored-by: {_address(trigger.actor.login, trigger.actor.id)}",
    ]
    if signer:
        trailers.append(f"Signed-off-by: {signer}")
    return "\n\n".join(part for part in (subject, body, "\n".join(trailers)) if part) + "\n"


def check_waiting() -> tuple[str, str]:
    """Title and summary of a check run that is queued or in progress."""
    return ("Waiting for the tests", "The commit is checked out clean and its tests are run.")


def check_summary(verdict: Verdict, ran: tuple[str, ...]) -> str:
    """The check run's page below its title: why, then the table, then what was run."""
    parts = [*_reasons(verdict), verdict_table(verdict), *ran]
    return sanitize.fit("\n\n".join(part for part in parts if part), SUMMARY_LIMIT)


def what_ran(result: VerifierResult) -> str:
    """One command, how it ended, and the end of its output in a fold."""
    ended = "did not end in time" if result.timed_out else f"ended with {result.exit_code}"
    folder = result.verifier.partition(":")[2]
    where = f" in {sanitize.code(folder, limit=200)}" if folder else ""
    lines = [
        f"{sanitize.code(result.command, limit=300)}{where} {ended} "
        f"after {_duration(result.seconds)}."
    ]
    if result.from_exit_code_only:
        lines.append("It writes no report that Honk reads, so only its exit code is known.")
    for remark in (result.problem, result.note):
        if remark:
            lines.append(sanitize.plain(remark, limit=500))
    if result.output_tail.strip():
        tail = sanitize.fence(result.output_tail, limit=20_000)
        lines.append(f"<details><summary>The end of its output</summary>\n\n{tail}\n\n</details>")
    return "\n\n".join(lines)


def verdict_table(verdict: Verdict) -> str:
    """Tests before and after, counted."""
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
    lines = ["| tests | count | |", "|---|---|---|"]
    for name, tests in rows:
        if tests:
            shown = ", ".join(sanitize.code(test.id, limit=120) for test in tests[:5])
            more = f" and {len(tests) - 5:,} more" if len(tests) > 5 else ""
            lines.append(f"| {name} | {len(tests):,} | {shown}{more} |")
    before = verdict.counts_before
    lines.append(f"| Before | | {_counts(before) if before else 'not known'} |")
    lines.append(f"| After | | {_counts(verdict.counts_after)} |")
    lines += _check_rows(verdict.checks)
    return "\n".join(lines)


def _check_rows(checks: Checks) -> list[str]:
    rows = [
        ("Checks: new failures", checks.new_failures),
        ("Checks: failing, unknown before", checks.failing_unknown),
        ("Checks: fixed", checks.fixed),
        ("Checks: failing before and after", checks.still_failing),
        ("Checks: not run", checks.not_run),
    ]
    lines = []
    for name, found in rows:
        if found:
            shown = ", ".join(
                sanitize.code(f"{each.verifier}: {each.id}", limit=120) for each in found[:5]
            )
            more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
            lines.append(f"| {name} | {len(found):,} | {shown}{more} |")
    if checks.passed:
        lines.append(f"| Checks: passed | {checks.passed:,} | |")
    return lines


def check_annotation(change: Change) -> tuple[str, str]:
    """Title and message of the annotation on a failing line."""
    title = sanitize.fit(sanitize.visible(change.id), 250)
    message = sanitize.visible(change.details or change.message) or "This test fails."
    return title, sanitize.fit_middle(message, 8_000)


def feedback(verdict: Verdict, evidence: str) -> str:
    """What goes back to the agent when the commit's tests say no."""
    return (
        "Your change was committed and its tests were run from a clean checkout of that commit. "
        f"The verdict is: {verdict.title}.\n"
        + "\n".join(f"- {reason}" for reason in verdict.reasons)
        + f"\n\n{evidence}\n\nMend the change, or finish and say honestly what is not done."
    )


def our_bug(reference: str) -> tuple[str, str]:
    """Problem and next step when Honk itself failed."""
    return (
        f"Honk itself failed ({reference}); this is not your repository's fault.",
        "The operator finds more in the worker's log. Put the label `honk` on again to retry.",
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


def _status(
    run: RunId,
    requester: str,
    headline: str,
    plan: list[PlanItem],
    usage: Usage | None,
    tried: Sequence[Tried] = (),
) -> str:
    lines = [marker(run), headline]
    if plan:
        lines.append(_checklist(plan))
    if tried:
        lines.append(_tried(tried))
    used = f"{_usage_line(usage)} · " if usage else ""
    lines.append(f"<sub>{used}run `{run}` · asked by {_login(requester)}</sub>")
    return _fit_comment("\n\n".join(lines) + "\n")


def _checklist(plan: list[PlanItem]) -> str:
    return "\n".join(
        f"- [{'x' if item.done else ' '}] {sanitize.plain(item.text, limit=200)}"
        for item in plan[:20]
    )


def _result_line(report: Report) -> str:
    """The settled status in one or two sentences."""
    words = []
    if report.publication:
        kind = "Draft pull request" if report.publication.draft else "Pull request"
        words.append(f"{kind} #{report.publication.pull_number}.")
    if report.verdict:
        words.append(f"Tests: {_linked(report.verdict.title, report.publication)}.")
    if report.outcome is Outcome.BUDGET and report.work:
        words.append(f"The run's {report.work.spent} is used up; the work so far is kept.")
    shown = (Outcome.QUESTION, Outcome.NOTHING, Outcome.ANSWERED)
    if report.outcome in shown and report.work:
        words.append(sanitize.markdown(report.work.text, limit=6_000))
    if report.problem:
        words.append(sanitize.markdown(report.problem, limit=6_000))
    if report.next_step:
        words.append(sanitize.markdown(report.next_step, limit=1_000))
    if report.kept_at:
        words.append(f"What was done so far is kept at `{report.kept_at}`.")
    return " ".join(words)


def _linked(title: str, publication: Publication | None) -> str:
    url = publication.check_url if publication else ""
    return f"[{title}]({url})" if url else title


def _last_sentence(report: Report) -> str:
    pull = f"#{report.publication.pull_number}" if report.publication else ""
    tests = f" Tests: {report.verdict.title}." if report.verdict else ""
    match report.outcome:
        case Outcome.DONE:
            return f"{pull} is ready for your review.{tests}"
        case Outcome.NOT_READY:
            why = " ".join(report.verdict.reasons) if report.verdict else ""
            return f"{pull} is not ready to merge.{tests} {sanitize.plain(why, limit=600)}".strip()
        case Outcome.BUDGET:
            where = f" {pull} holds the work so far." if pull else ""
            return f"The budget of this run is spent.{where}{tests} `/honk continue` goes on."
        case Outcome.QUESTION:
            asked = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return f"{asked}\n\nYour next comment here is the answer."
        case Outcome.ANSWERED:
            if report.mode == "plan":
                return "The plan is in the comment above. `/honk go` carries it out."
            return sanitize.markdown(report.work.text, limit=30_000) if report.work else ""
        case Outcome.NOTHING:
            said = sanitize.markdown(report.work.text, limit=3_000) if report.work else ""
            return f"No file was changed. {said}".strip()
        case Outcome.STOPPED:
            kept = f" Its work is kept on `{report.kept_at}`." if report.kept_at else ""
            return f"Stopped.{kept} `/honk continue` goes on from there."
        case Outcome.ERROR:
            problem = sanitize.markdown(report.problem, limit=3_000)
            kept = f" What was done so far is kept at `{report.kept_at}`." if report.kept_at else ""
            return f"This did not work. {problem} {report.next_step}".strip() + kept


def _asked(trigger: Trigger, request: str) -> str:
    asked = sanitize.markdown(request or trigger.body, limit=8_000)
    title = sanitize.plain(trigger.title, limit=TITLE_LIMIT)
    quoted = "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *asked.split("\n")])
    return quoted.rstrip("\n> ")


def _reasons(verdict: Verdict) -> list[str]:
    if not verdict.reasons:
        return []
    return ["\n".join(f"- {sanitize.plain(reason, limit=500)}" for reason in verdict.reasons)]


def _usage_line(usage: Usage) -> str:
    return (
        f"${usage.cost_usd:.2f} · {_count(usage.model_turns, 'turn')} · {_duration(usage.seconds)}"
    )


def _counts(counts: Counts) -> str:
    failed = counts.failed + counts.errors
    return f"{counts.passed:,} passed, {failed:,} failed, {counts.skipped:,} skipped"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
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


def _indented_trailers(text: str) -> str:
    """Lines that git would read as trailers are set in, so that only ours are trailers."""
    lines = []
    for line in text.split("\n"):
        head, colon, _rest = line.partition(":")
        looks_like_one = colon and head and " " not in head.strip() and head.strip().isprintable()
        lines.append(f"  {line}" if looks_like_one else line)
    return "\n".join(lines).strip("\n")


def _fit_comment(text: str) -> str:
    return sanitize.fit_middle(text, COMMENT_LIMIT)
