"""What a run's page shows, read from the database and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app import messages
from app.domain.report import PlanItem, Report
from app.domain.run import RESUMABLE, Outcome, Phase
from app.domain.trigger import Trigger
from app.domain.values import CommitSha, short
from app.domain.verdict import Verdict
from app.messages.verdict import ACCEPTABLE
from app.store.database import now
from app.store.runs import RunRow

GOOD = frozenset({Outcome.DONE, Outcome.ANSWERED})
BAD = frozenset({Outcome.ERROR, Outcome.NOT_READY})
_CELLS = 50
_CENT = 0.005


@dataclass(frozen=True)
class Button:
    """A command that a person can give with one click; with a `warning`, after reading that."""

    command: str
    label: str
    is_primary: bool = False
    warning: str = ""


def buttons(row: RunRow, report: Report | None, *, is_newest: bool) -> list[Button]:
    """The commands that make sense now, the most likely first. `is_newest`: no later run of the
    same issue or pull request exists."""
    if row.finished_at is None:
        # The check of a head is not stopped by a command.
        return [] if row.input.trigger.kind == "check" else [Button("stop", "Stop")]
    if row.input.trigger.kind == "check":
        return [Button("retry", "Run the tests again"), *_merge(row)]
    if not is_newest:
        return []
    verdict = report.verdict if report else None
    found = []
    if row.input.mode == "plan" and row.outcome is Outcome.ANSWERED:
        found.append(Button("go", "Carry out the plan", is_primary=True))
    if verdict is not None and verdict.kind in ACCEPTABLE and not verdict.ready:
        found.append(Button("accept", "Accept the changed tests", is_primary=True))
    if row.outcome in RESUMABLE and row.outcome is not Outcome.QUESTION:
        found.append(Button("continue", "Continue", is_primary=True))
    found.append(Button("retry", "Retry"))
    found += _merge(row)
    if row.published_sha:
        warning = "Reverts what this run pushed, in one new commit."
        found.append(Button("undo", "Undo", warning=warning))
    return found


def commit_to_merge(row: RunRow) -> CommitSha | None:
    """The commit of a pull request that the run has verified and the page shows."""
    trigger = row.input.trigger
    if row.outcome is not Outcome.DONE or row.input.policy.merge == "never":
        return None
    if trigger.kind == "check":
        return trigger.head_sha if trigger.is_pull_request and row.number else None
    return CommitSha(row.published_sha) if row.published_sha and row.pull_number else None


def _merge(row: RunRow) -> list[Button]:
    sha = commit_to_merge(row)
    if sha is None:
        return []
    number = row.pull_number or row.number
    warning = (
        f"Merges pull request #{number} if its head is still {short(sha)}. If something is missing,"
        " Honk says on GitHub what it is and who can give it."
    )
    return [Button("merge", "Merge", warning=warning)]


def what_a_message_does(row: RunRow, *, is_newest: bool) -> tuple[str, str]:
    """The label of the message box and what sending does; empty where no message is possible."""
    if row.input.trigger.kind == "check" or not is_newest:
        return "", ""
    if row.finished_at is None:
        return "Message to Honk", "Honk reads it before its next step."
    if row.outcome is Outcome.QUESTION:
        return "Your answer", "Honk resumes its work with it."
    if row.pull_number is not None:
        return "Ask for a change", f"Honk works on pull request #{row.pull_number}."
    return "New instructions", "Honk starts a new run with them."


def facts(
    row: RunRow,
    report: Report | None,
    *,
    newest: str,
    is_stalled: bool,
    work_usd: float,
    server_url: str,
) -> dict[str, Any]:
    """The values of the templates in `templates/run/`.

    `newest` is the id of the last run of the same issue or pull request, `work_usd` what the
    agent's turns cost.
    """
    is_newest = newest == row.id
    run, trigger = row.input, row.input.trigger
    kind = "pull" if trigger.is_pull_request else "issues"
    home = f"{server_url}/{trigger.repository}"
    end = row.finished_at or now()
    phases = [(Phase(name), at) for name, at in row.phases or []]
    label, hint = what_a_message_does(row, is_newest=is_newest)
    return {
        "row": row,
        "title": trigger.title,
        "asked": run.request or trigger.body,
        "requester": "" if is_automatic(trigger) else trigger.actor.login,
        "state": messages.formatting.state(row.phase, row.outcome, run.mode),
        "is_stopping": row.stop_asked_at is not None and row.finished_at is None,
        "tone": tone(row.outcome),
        "live": row.finished_at is None,
        "budget_usd": run.policy.budget.usd,
        "phases": _phases(phases, end),
        "spent": _spent(phases, end, row.cost_usd, work_usd),
        "seconds": max(0.0, end - row.created_at),
        "plan": [PlanItem.model_validate(item) for item in row.plan or []],
        "manifest": run.manifest,
        "report": report,
        "verdict": verdict_values(report.verdict) if report and report.verdict else None,
        "subject_url": f"{home}/{kind}/{trigger.number}",
        "pull_url": f"{home}/pull/{row.pull_number}" if row.pull_number else "",
        "check_url": _on(server_url, _check_url(report)),
        "commit_url": f"{home}/commit/{row.published_sha}" if row.published_sha else "",
        "is_newest": is_newest,
        "newest": newest,
        "stalled": is_stalled,
        "buttons": buttons(row, report, is_newest=is_newest),
        "message_label": label,
        "message_hint": hint,
    }


def tone(outcome: Outcome | None) -> str:
    """The CSS class of an outcome."""
    if outcome is None:
        return "busy"
    return "good" if outcome in GOOD else "bad" if outcome in BAD else "wait"


def is_automatic(trigger: Trigger) -> bool:
    """Whether no person asked for the run."""
    return trigger.kind == "unasked" or (trigger.kind == "check" and trigger.command is None)


def verdict_values(verdict: Verdict) -> dict[str, Any]:
    """A verdict's evidence for a template."""
    return {
        "label": messages.verdict.label(verdict),
        "evidence": messages.verdict.evidence(verdict),
        "notes": messages.verdict.notes(verdict),
        "rows": messages.verdict.rows(verdict),
        "accepted_by": verdict.accepted_by,
        "counts": _counts(verdict),
        "cells": verdict.rows[:_CELLS],
    }


def _counts(verdict: Verdict) -> dict[str, Any] | None:
    """How many tests passed and failed before and after; None without any."""
    names = ("passed", "failed", "errors", "skipped")
    both = (("Before", verdict.counts_before), ("After", verdict.counts_after))
    numbers = {name: counts.model_dump() for name, counts in both if counts is not None}
    shown = [name for name in names if any(each[name] for each in numbers.values())]
    rows = [(name, [each[column] for column in shown]) for name, each in numbers.items()]
    return {"names": shown, "rows": rows} if shown else None


def _phases(phases: list[tuple[Phase, float]], end: float) -> list[dict[str, Any]]:
    """The phases in order, for the time line: name, seconds, and place in percent of the whole."""
    shown = [(phase, at) for phase, at in phases if phase is not Phase.FINISHED]
    ends = [*(at for _, at in phases[1:]), end]
    whole = max(1e-9, end - shown[0][1]) if shown else 1.0
    found = []
    for number, (phase, began) in enumerate(shown):
        seconds = max(0.0, ends[number] - began)
        share = 100 * seconds / whole
        found.append(
            {
                "phase": phase.value,
                "did": messages.formatting.TIMED[phase],
                "seconds": seconds,
                "left": f"{100 * (began - shown[0][1]) / whole:.2f}",
                "width": f"{max(0.4, share):.2f}",
            }
        )
    return found


def _spent(
    phases: list[tuple[Phase, float]], end: float, cost_usd: float, work_usd: float
) -> list[dict[str, Any]]:
    """Time and money by phase, over all attempts. Money is spent by the agent, and by the judge
    after the tests."""
    seconds: dict[Phase, float] = {}
    ends = [*(at for _, at in phases[1:]), end]
    for (phase, began), ended in zip(phases, ends, strict=True):
        seconds[phase] = seconds.get(phase, 0.0) + max(0.0, ended - began)
    judged = cost_usd - work_usd
    money = {Phase.WORKING: work_usd, Phase.VERIFYING: judged if judged >= _CENT else None}
    return [
        {
            "phase": phase.value,
            "did": did,
            "seconds": seconds[phase],
            "cost_usd": money.get(phase),
        }
        for phase, did in messages.formatting.TIMED.items()
        if round(seconds.get(phase, 0.0)) > 0
    ]


def _check_url(report: Report | None) -> str:
    if report is None:
        return ""
    return report.publication.check_url if report.publication else report.check_url


def _on(server_url: str, url: str) -> str:
    """The URL if it points to GitHub, else nothing."""
    return url if url.startswith(f"{server_url}/") else ""
