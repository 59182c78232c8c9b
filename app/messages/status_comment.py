"""The status comment of a run, and the answer to `/honk status`."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.budget import CALLS, BudgetWarning
from app.domain.fair_queue import QueuePosition
from app.domain.report import (
    PlanItem,
    Report,
    Told,
)
from app.domain.run import ContextItem, Outcome, Phase
from app.domain.values import RunId
from app.messages.formatting import (
    COMMENT_LIMIT,
    HEADLINES,
    NAMES_SHOWN,
    PHASES,
    ROOM_BESIDE,
    TIMED,
    because_of,
    blocked_hosts,
    count,
    duration,
    fit_comment,
    flow,
    omitted_files,
    outcome_headline,
    planned,
    result_line,
    shown_login,
    usage_line,
)
from app.messages.refusals import (
    what_trust_means,
)

_MANIFEST_LINES = 60


def marker(run: RunId) -> str:
    """The line by which the status comment of a run is found again."""
    return f"<!-- honk:run={run} -->"


def waiting(told: Told, waiting: QueuePosition) -> str:
    """The first words: heard, and where it stands in the queue."""
    return _status(told, f"**Heard.** {_position_line(waiting)}", live=True)


def working(told: Told, phase: Phase) -> str:
    """What the run is doing now, with the agent's own checklist."""
    return _status(told, f"**{PHASES[phase]} …**", live=True)


def finished(told: Told, report: Report) -> str:
    """How it ended; this comment is not edited again."""
    headline = flow(f"**{outcome_headline(report)}.**", result_line(report))
    left_out = ""
    if report.work and report.work.left_out:
        left_out = f"The commit leaves out:\n\n{omitted_files(report.work)}"
    told_more = "\n\n".join(part for part in (report.details, left_out) if part)
    without = _status(told, headline, live=False, extra=told_more)
    patch = _patch(report, COMMENT_LIMIT - len(without) - ROOM_BESIDE)
    if not patch:
        return without
    extra = "\n\n".join(part for part in (patch, told_more) if part)
    return _status(told, headline, live=False, extra=extra)


def no_run_yet() -> str:
    """The answer to `status` where nothing was ever asked."""
    return "Nothing was asked of Honk here yet. Put the label `honk` on, or comment `/honk`."


def status_answer(told: Told, phase: Phase, outcome: Outcome | None, waiting: QueuePosition) -> str:
    """The answer to `status`."""
    if outcome is not None:
        state = f"{HEADLINES[outcome]}; the run has ended."
    elif phase is Phase.QUEUED:
        state = f"Waiting. {_position_line(waiting)}"
    else:
        state = f"{PHASES[phase]}."
    parts = [state, _checklist(told.plan), _timeline(told), _footer(told, live=outcome is None)]
    return "\n\n".join(part for part in parts if part)


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


def _some(noun: str, paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:NAMES_SHOWN])
    more = len(paths) - NAMES_SHOWN
    return f"{count(len(paths), noun)} ({shown}{f' and {more:,} more' if more > 0 else ''})"


def kept_here(paths: Sequence[str], rule: str) -> str:
    """Where the work is that GitHub does not take; for the status comment."""
    return (
        f"GitHub does not take the work so far{because_of(paths)}:\n\n"
        f"{sanitize.fence(rule, limit=1_500)}\n\nUntil it does, the work is kept on the machine "
        "that Honk runs on, and the run goes on."
    )


def _status(told: Told, headline: str, *, live: bool, extra: str = "") -> str:
    parts = [
        marker(told.run),
        _request_line(told),
        headline,
        extra,
        _budget_warnings(told.nearly) if live else "",
        told.kept_here if live else "",
        planned(told.planned, limit=20_000),
        _checklist(told.plan),
        _timeline(told),
        blocked_hosts(told.tried) if told.tried else "",
        _context_list(told.manifest),
        _footer(told, live=live),
    ]
    return fit_comment("\n\n".join(part for part in parts if part) + "\n")


def _request_line(told: Told) -> str:
    """One quoted line; who wants more finds the request a little above."""
    asked = sanitize.plain(told.asked, limit=140)
    return f"> {asked}" if asked else ""


def _position_line(waiting: QueuePosition) -> str:
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
    return f"{why}; {count(waiting.ahead, 'run')} ahead of it in the queue."


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
        (TIMED[phase], duration(spent[phase]))
        for phase in TIMED
        if round(spent.get(phase, 0.0)) > 0
    ]


def _timeline(told: Told) -> str:
    shown = [f"{did} {how_long}" for did, how_long in timeline(told.phases, told.now)]
    return f"<sub>{' · '.join(shown)}</sub>" if shown else ""


def _context_list(items: tuple[ContextItem, ...]) -> str:
    """What was read and what was left out, in a fold: it has to be there, and not in the way."""
    if not items:
        return ""
    read = [item for item in items if not item.why_not]
    out = [item for item in items if item.why_not]
    title = f"Read: {count(len(read), 'item')}" + (f" · left out: {len(out)}" if out else "")
    lines = [f"- {_item(item)}" for item in (*read, *out)]
    body = "\n".join(lines[:_MANIFEST_LINES])
    more = len(lines) - _MANIFEST_LINES
    if more > 0:
        body += f"\n- and {more:,} more"
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _item(item: ContextItem) -> str:
    by = f" by {shown_login(item.author)}" if item.author else ""
    at = f", {item.at}" if item.at else ""
    what = sanitize.plain(item.what, limit=160)
    if item.why_not:
        return f"**left out:** {what}{by}{at}: {sanitize.plain(item.why_not, limit=160)}"
    note = f" ({sanitize.plain(item.note, limit=160)})" if item.note else ""
    return f"{what}{by}{at}{note}"


def _budget_warnings(nearly: Sequence[BudgetWarning]) -> str:
    """The warning, while something can still be done about it."""
    if not nearly:
        return ""
    parts = ", ".join(_share(each) for each in nearly)
    return (
        f"**The budget is nearly used up:** {parts}. At its end the work so far is committed and "
        "pushed; `/honk continue budget=2` then goes on."
    )


def _share(nearly: BudgetWarning) -> str:
    match nearly.which:
        case "money":
            return f"${nearly.used:.2f} of ${nearly.of:.2f}"
        case "time":
            return f"{nearly.used:.0f} of {nearly.of:.0f} minutes"
        case "turns":
            return f"{nearly.used:.0f} of {nearly.of:.0f} turns"


def _footer(told: Told, *, live: bool) -> str:
    used = f"{usage_line(told.usage)} · " if told.usage else ""
    used += f"{told.calls} of {CALLS} GitHub calls · " if told.calls else ""
    stop = " · stop with `/honk stop`" if live else ""
    who = f"asked by {shown_login(told.requester)}" if told.requester else "unasked"
    run = f"[run `{told.run}`]({told.page})" if told.page else f"run `{told.run}`"
    return f"<sub>{used}{run} · {who}{stop}</sub>"


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
