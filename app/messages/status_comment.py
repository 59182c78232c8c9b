"""The status comment of a run, and the answer to `/honk status`."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.budget import BudgetWarning
from app.domain.fair_queue import QueuePosition
from app.domain.report import (
    PlanItem,
    Report,
    StatusContext,
)
from app.domain.run import ContextItem, Outcome, Phase
from app.domain.values import RunId
from app.messages import setup
from app.messages.comments import final_comment_marker
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
    planned,
    shown_login,
    usage_line,
)
from app.messages.outcome import outcome_headline, result_line
from app.messages.refusals import (
    what_trust_means,
)

_MANIFEST_LINES = 60
_LACKED = 3_000


def marker(run: RunId) -> str:
    """The marker line of a run's status comment."""
    return f"<!-- honk:run={run} -->"


def waiting(context: StatusContext, waiting: QueuePosition) -> str:
    """The first status: acknowledged, with its position in the queue."""
    return _status(context, f"**Queued.** {_position_line(waiting)}", live=True)


def working(context: StatusContext, phase: Phase) -> str:
    """The current phase, with the agent's checklist."""
    return _status(context, f"**{PHASES[phase]} …**", live=True)


def finished(context: StatusContext, report: Report, attempt: int) -> str:
    """The outcome of an attempt; this comment is not edited again.

    Where no final comment follows, it has that comment's marker.
    """
    headline = flow(f"**{outcome_headline(report)}.**", result_line(report))
    left_out = ""
    if report.work and report.work.left_out:
        left_out = f"Left out of the commit:\n\n{omitted_files(report.work)}"
    lacked = _lacked(report.work.lacked) if report.work else ""
    told_more = "\n\n".join(part for part in (report.details, left_out, lacked) if part)
    if report.review_requested:
        ended = final_comment_marker(context.run, attempt)
        told_more = f"{told_more}\n\n{ended}" if told_more else ended
    without = _status(context, headline, live=False, extra=told_more)
    patch = _patch(report, COMMENT_LIMIT - len(without) - ROOM_BESIDE)
    if not patch:
        return without
    extra = "\n\n".join(part for part in (patch, told_more) if part)
    return _status(context, headline, live=False, extra=extra)


def no_run_yet() -> str:
    """The answer to `status` before the first run."""
    return "Honk has not run here yet. Add the label `honk`, or comment `/honk`."


def status_answer(
    context: StatusContext, phase: Phase, outcome: Outcome | None, waiting: QueuePosition
) -> str:
    """The answer to `status`."""
    if outcome is not None:
        state = f"The last run has ended: {HEADLINES[outcome]}."
    elif phase is Phase.QUEUED:
        state = f"Queued. {_position_line(waiting)}"
    else:
        state = f"{PHASES[phase]}."
    parts = [
        state,
        _checklist(context.plan),
        _timeline(context),
        _footer(context, live=outcome is None),
    ]
    return "\n\n".join(part for part in parts if part)


def pointers_not_fetched(paths: Sequence[str], why: str) -> tuple[str, str]:
    """The Git LFS files that were not fetched, and why."""
    return _some("Git LFS file", paths), f"only pointers, contents not fetched: {why}"


def submodules_not_fetched(paths: Sequence[str], why: str) -> tuple[str, str]:
    """The submodules that were not fetched, and why."""
    return _some("submodule", paths), f"not fetched, so empty here: {why}"


def pointers_fetched(paths: Sequence[str]) -> str:
    """The Git LFS files that were fetched."""
    return _some("Git LFS file", paths)


def submodules_fetched(paths: Sequence[str]) -> str:
    """The submodules that were fetched."""
    return _some("submodule", paths)


def _some(noun: str, paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:NAMES_SHOWN])
    more = len(paths) - NAMES_SHOWN
    return f"{count(len(paths), noun)} ({shown}{f' and {more:,} more' if more > 0 else ''})"


def kept_here(paths: Sequence[str], rule: str) -> str:
    """Where the work is when GitHub rejects the push; for the status comment."""
    return (
        f"GitHub rejects the work so far{because_of(paths)}:\n\n"
        f"{sanitize.fence(rule, limit=1_500)}\n\nThe run continues; until GitHub accepts it, the "
        "work is saved only on the machine that runs Honk."
    )


def _status(context: StatusContext, headline: str, *, live: bool, extra: str = "") -> str:
    parts = [
        marker(context.run),
        _request_line(context),
        headline,
        extra,
        _budget_warnings(context.nearly) if live else "",
        context.kept_here if live else "",
        planned(context.planned, limit=20_000),
        _checklist(context.plan),
        _timeline(context),
        setup.section(context.setup, context.policy_file),
        blocked_hosts(context.tried) if context.tried else "",
        _context_list(
            (*context.manifest, *setup.sources(context.setup)), is_on_page=bool(context.page)
        ),
        _footer(context, live=live),
    ]
    return fit_comment("\n\n".join(part for part in parts if part) + "\n")


def _request_line(context: StatusContext) -> str:
    """One quoted line; the full request is just above in the conversation."""
    asked = sanitize.plain(context.asked, limit=140)
    return f"> {asked}" if asked else ""


def _position_line(waiting: QueuePosition) -> str:
    match waiting.why:
        case None:
            return "Starting now."
        case "subject":
            return "Starts when the earlier run here ends."
        case "repository":
            why = "This repository is at its limit of concurrent runs"
        case "installation":
            why = "This installation is at its limit of concurrent runs"
        case "slots":
            why = "All workers are busy"
    if waiting.ahead == 0:
        return f"{why}; this run is next."
    return f"{why}; {count(waiting.ahead, 'run')} ahead in the queue."


def timeline(phases: Sequence[tuple[Phase, float]], now: float) -> list[tuple[str, str]]:
    """How long each phase took, summed over all attempts; the current one up to `now`.

    `phases` are the phases so far with their start times; all times are Unix seconds. Phases
    shorter than half a second are left out.
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


def _timeline(context: StatusContext) -> str:
    shown = [f"{did} {how_long}" for did, how_long in timeline(context.phases, context.now)]
    return f"<sub>{' · '.join(shown)}</sub>" if shown else ""


def _context_list(items: tuple[ContextItem, ...], *, is_on_page: bool) -> str:
    """The context that was read and left out, folded; only the latter if the page has the rest."""
    read = [item for item in items if not item.why_not and not is_on_page]
    out = [item for item in items if item.why_not]
    if not read and not out:
        return ""
    title = f"Context: {count(len(read), 'item')}" if read else "Context"
    title += f" · {len(out)} left out" if out else ""
    lines = [f"- {_item(item)}" for item in (*read, *out)]
    body = "\n".join(lines[:_MANIFEST_LINES])
    more = len(lines) - _MANIFEST_LINES
    if more > 0:
        body += f"\n- and {more:,} more"
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _lacked(text: str) -> str:
    """What the agent missed in the request or the guidance, folded."""
    if not text.strip():
        return ""
    title = "What the request or the guidance did not mention"
    body = sanitize.markdown(text, limit=_LACKED)
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
    """The warning, while someone can still react."""
    if not nearly:
        return ""
    parts = ", ".join(_share(each) for each in nearly)
    return (
        f"**The budget is almost used up:** {parts}. When it runs out, the work so far is "
        "committed and pushed; to go on, comment `/honk continue budget=2`."
    )


def _share(nearly: BudgetWarning) -> str:
    match nearly.which:
        case "money":
            return f"${nearly.used:.2f} of ${nearly.of:.2f}"
        case "time":
            return f"{nearly.used:.0f} of {nearly.of:.0f} minutes"
        case "turns":
            return f"{nearly.used:.0f} of {nearly.of:.0f} turns"


def _footer(context: StatusContext, *, live: bool) -> str:
    used = f"{usage_line(context.usage)} · " if context.usage else ""
    stop = " · stop with `/honk stop`" if live else ""
    who = f"requested by {shown_login(context.requester)}" if context.requester else "automatic"
    run = f"[run `{context.run}`]({context.page})" if context.page else f"run `{context.run}`"
    return f"<sub>{used}{run} · {who}{stop}</sub>"


def _patch(report: Report, room: int) -> str:
    """The patch, if it cannot be pushed, and what `/honk trust` would mean."""
    if not report.patch:
        return ""
    shown = sanitize.fence(report.patch, limit=min(45_000, room), language="diff")
    parts = [f"<details><summary>Patch</summary>\n\n{shown}\n\n</details>"]
    if report.trust:
        parts.append(what_trust_means(report.trust))
    return "\n\n".join(parts)


def _checklist(plan: Sequence[PlanItem]) -> str:
    return "\n".join(
        f"- [{'x' if item.done else ' '}] {sanitize.plain(item.text, limit=200)}"
        for item in plan[:20]
    )
