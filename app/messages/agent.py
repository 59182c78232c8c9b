"""Messages for the agent, besides its assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.domain import sanitize
from app.domain.flag import Flag
from app.domain.run import Outcome
from app.domain.setup_outcome import SetupOutcome
from app.domain.verdict import Meaning, Verdict, VerdictKind
from app.messages import verdict as verdicts
from app.messages.formatting import (
    FLAGS_SHOWN,
    SETUP_OUTPUT,
)

OVERVIEW = "an overview of the repository"
TRACED = "the code around the lines that a stack trace names, where the repository has them"
"""Its name in the first message and the context list."""


def earlier_run(created_at: float, asked: str, outcome: Outcome, pull_url: str | None) -> str:
    """One earlier run of the same subject. `created_at` is a Unix time."""
    day = datetime.fromtimestamp(created_at, UTC).date().isoformat()
    request = sanitize.fit(" ".join(asked.split()), 200)
    pull = f", {pull_url}" if pull_url else ""
    return f"- {day}: {request!r} ended as {outcome.value}{pull}"


def setup_succeeded(output: str) -> str:
    """The setup commands succeeded."""
    return f"The setup commands ran. Output of the last one:\n{output[-SETUP_OUTPUT:]}"


def no_setup() -> str:
    """The policy has no setup commands."""
    return "This repository's `.github/honk.yml` has no setup commands."


def setup_state(outcome: SetupOutcome) -> str:
    """What is missing in automatic setup; empty if nothing."""
    lines = [f"- failed: {each.line} ({each.how})" for each in outcome.failed[:10]]
    lines += [f"- missing: {each.what}: {each.why}" for each in outcome.missing[:10]]
    if not lines:
        return ""
    places = sorted({f"{each.ecosystem} in {each.folder or '.'}" for each in outcome.plan.recipes})
    lines.append(f"The setup tool takes choices for: {', '.join(places[:20])}.")
    return sanitize.visible("\n".join(lines))


def choices_are_for_plans() -> str:
    """The policy has the commands, so there is nothing to choose."""
    return (
        "This repository's `.github/honk.yml` names its setup commands, so setup takes no choices."
    )


def choice_refused(why: str) -> str:
    """A choice outside the vocabulary. Nothing ran."""
    return f"Nothing was run. {why}"


def no_more_choices(most: int) -> str:
    """The run's proposals are used up."""
    return (
        f"Nothing was run: a run may try {most} sets of choices. Go on with what is there, and say "
        "in not_done what could not be tested."
    )


def choices_work(outcome: SetupOutcome, variables: Mapping[str, str]) -> str:
    """The choices worked and apply to the rest of the run."""
    ran = "\n".join(f"- {each.line}" for each in outcome.ran[:20])
    found = "" if outcome.collected is None else f" {outcome.collected:,} tests collected."
    exports = "\n".join(f"export {name}={value}" for name, value in variables.items())
    own = f"\nYour shell needs this as well:\n{exports}" if exports else ""
    return f"The setup works with these choices; tests will use it.{found}\n{ran}{own}"


def nothing_to_set_up() -> str:
    """Honk found nothing to install."""
    return "Honk found nothing to set up: no manifest here names dependencies."


def continue_work() -> str:
    """A person asked the agent to continue."""
    return (
        "A person asked you to continue. The work tree has your work so far. Any comments written "
        "since then follow. End with finish again."
    )


def carry_out_plan() -> str:
    """A person accepted the plan."""
    return (
        "The plan was accepted: implement it now. From here on your changes count. Call verify "
        "before finish, and describe in finish what you did."
    )


def conflicts(files: Sequence[str]) -> str:
    """The branch changed upstream, with merge conflicts."""
    shown = "\n".join(f"- {sanitize.visible(name)}" for name in files[:50])
    return (
        "Others pushed to the branch, and their changes conflict with yours in these files, which "
        "now contain conflict markers (<<<<<<< ======= >>>>>>>):\n"
        f"{shown}\n\nThe work tree is based on their change. Resolve the conflicts so that both "
        "their intent and your task are met, remove all markers, call verify, then finish again."
    )


def fix_request(names: Sequence[str]) -> str:
    """The request of `/honk fix` without a task."""
    shown = ", ".join(sanitize.title(name, limit=80) for name in names[:5])
    return f"Make the failing checks of this pull request pass: {shown}"


def address_review() -> str:
    """The request of a command without a task in a review."""
    return "Address the review"


def fetched_into_checkout(what: Sequence[str]) -> str:
    """External content that was fetched and is read-only for the work."""
    lines = [f"- {each}: available to read and use." for each in what]
    rest = "Changes to them are not committed: leave them as they are."
    return "\n".join([*lines, rest])


def absent_from_checkout(missing: Sequence[tuple[str, str]]) -> str:
    """External content that could not be fetched."""
    lines = [f"- {what}: {why}." for what, why in missing]
    rest = "Leave them as they are. Tests that need them fail here, with or without your change."
    return "\n".join([*lines, rest])


def flags(refused: Sequence[Flag], blocking: Sequence[Flag]) -> str | None:
    """The flags that block the change."""
    parts = []
    if refused:
        shown = "\n".join(f"- {flag.file}: {flag.reason}" for flag in refused[:FLAGS_SHOWN])
        parts.append(f"The repository's policy forbids this. Revert it:\n{shown}")
    if blocking:
        shown = "\n".join(
            f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in blocking[:FLAGS_SHOWN]
        )
        parts.append(
            "Your change weakens the tests, so for now it can only be a draft:\n"
            f"{shown}\nRestore the tests, or explain in finish why they had to go."
        )
    return "\n\n".join(parts) or None


def secrets(found: Sequence[Flag]) -> str:
    """The work contains a secret."""
    shown = "\n".join(f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in found[:20])
    return (
        "Your work contains what looks like a secret, and nothing is pushed until it is gone:\n"
        f"{shown}\nRemove it (read it from the environment or a setting instead), then finish "
        "again."
    )


def push_refused(paths: Sequence[str], rule: str) -> str:
    """GitHub rejected the push because of a repository rule."""
    named = "".join(f"- {sanitize.visible(path)}\n" for path in paths[:20])
    return (
        "GitHub rejected your work because of a rule of this repository:\n"
        f"{sanitize.visible(rule[:2_000])}\n{named}"
        "Do the task without breaking that rule, then finish again. If that is not possible, say "
        "so in not_done."
    )


def verdict_for_the_judge(verdict: Verdict) -> str:
    """Test results for the model that judges the change."""
    return "\n".join([verdict.title, *verdict.reasons])


def feedback(verdict: Verdict, evidence: str) -> str:
    """The test results that send the agent back to work, and what it can do about them."""
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    parts = [
        "Your change was committed and tested in a clean checkout of that commit. "
        f"The verdict: {verdict.title}.",
        reasons,
        _tests_in_question(verdict),
        evidence,
        what_to_do(verdict),
    ]
    return "\n\n".join(part for part in parts if part)


def what_to_do(verdict: Verdict) -> str:
    """What the agent can do about a verdict; this never asks it to weaken a test."""
    if not verdicts.label(verdict):
        return "Fix the change, or finish and say honestly what is not done."
    match verdict.kind:
        case VerdictKind.NO_RESULT:
            return (
                "The tests could not start, so nothing is known about your change. If your change "
                "caused that, fix it. If it is the same without your change, say so in finish; "
                "leave the tests, their configuration and their dependencies as they are."
            )
        case VerdictKind.REGRESSION:
            return (
                "Fix your change so that these tests pass. Change a test only if the task asks "
                "for other behavior; then say in finish which one and why. If you cannot fix it, "
                "finish and say honestly what is not done."
            )
        case VerdictKind.WEAKENED:
            return (
                "Your change makes tests check less than before: they pass only because tests, "
                "their helpers or their configuration changed. Restore what they checked, and "
                "change the source until they pass. If the task cannot be done that way, finish "
                "and say why."
            )
        case VerdictKind.REMOVED:
            return (
                "Tests that still pass are gone. Restore them unless the task asks to remove "
                "them. If it does, say in finish which ones and why: a person decides, and reads "
                "your explanation."
            )
        case VerdictKind.CONFIRM:
            return (
                "Tests that passed before expect something else now. Keep what they expected "
                "unless the task asks for the new behavior. If it does, say in finish which "
                "expectations changed and where the task says so: a person decides."
            )
        case VerdictKind.NOT_PROVEN | VerdictKind.UNCHANGED:
            return no_proof()
        case _:
            return "Fix the change, or finish and say honestly what is not done."


def no_proof() -> str:
    """The one request for a test that fails without the change."""
    return (
        "No test fails without your change, so nothing shows that it works. Add or extend a test "
        "that fails on the code before your change, for the reason that the task describes, and "
        "passes with it. Assert behavior, not how it is implemented. If such a test is not "
        "possible here, finish and say why; you are asked only once."
    )


def verdict_so_far(verdict: Verdict, results: str) -> str:
    """The result of the agent's own verification: the verdict, then the tests."""
    return f"Verdict so far: {sanitize.printable(verdict.title)}\n\n{results}"


_TESTS_SHOWN = 20


def _tests_in_question(verdict: Verdict) -> str:
    """The tests that the verdict is about, each with its meaning."""
    lines = [
        f"- {row.id}{f' ({row.file}:{row.line})' if row.file and row.line else ''}: "
        f"{verdicts.MEANINGS[row.meaning]}."
        for row in verdict.rows
        if row.meaning in _FOR_THE_AGENT
    ]
    more = len(lines) - _TESTS_SHOWN
    rest = [f"- and {more:,} more"] if more > 0 else []
    return sanitize.visible("\n".join([*lines[:_TESTS_SHOWN], *rest]))


_FOR_THE_AGENT = frozenset(
    {
        Meaning.REGRESSION,
        Meaning.FAILURE,
        Meaning.WEAKENED,
        Meaning.REMOVED_BROKEN,
        Meaning.REMOVED,
        Meaning.DISABLED,
        Meaning.LOOSENED,
        Meaning.CONFIRM,
        Meaning.GUARD_UNFINISHED,
        Meaning.STARTS_NOW,
        Meaning.UNPROVEN,
    }
)
