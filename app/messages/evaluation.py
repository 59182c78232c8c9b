"""What `honk eval` prints and writes: reports and comparisons, in Markdown."""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.domain import paired, sanitize
from app.domain.evaluation import STATUSES, EvalReport, TaskResult, median
from app.messages import runs
from app.messages.formatting import count, duration

_NAMES = {
    "resolved": "resolved",
    "unresolved": "not resolved",
    "empty_patch": "nothing changed",
    "infra_failure": "infrastructure failure",
    "ambiguous_failure": "unclear",
}


def progress(done: int, of: int, result: TaskResult) -> str:
    """One line when a task is done."""
    why = f" ({sanitize.printable(result.reason)})" if result.reason else ""
    cost = runs.money(result.cost_usd)
    return f"{done}/{of}  {result.id}: {_NAMES[result.status]}{why}, {cost}"


def looked_at(done: int, of: int, number: int, why_not: str, is_task: bool) -> str:
    """One line about a merged pull request: a task, or why there is none."""
    said = "a task" if is_task else f"no task: {sanitize.printable(why_not)}"
    return f"[{done}/{of}] #{number}: {said}"


def from_history(made: int, of: int, path: str) -> str:
    """The number of tasks made from a repository's history."""
    if not made:
        return f"None of {count(of, 'merged pull request')} became a task."
    return (
        f"{made} of {count(of, 'merged pull request')} became tasks. "
        f"To work on them: honk eval {path}"
    )


def as_markdown(report: EvalReport) -> str:
    """The whole report."""
    parts = [
        f"# {sanitize.plain(report.name, limit=200)}",
        f"By {sanitize.plain(report.by, limit=200)}, Honk {report.honk}.",
        _summary(report),
        _table(report),
        _false_claims(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: EvalReport) -> str:
    done, solved = len(report.completed), len(report.of("resolved"))
    rows = [("Tasks", f"{report.total:,}")]
    rate = f" ({solved / done:.0%} of {done} completed)" if done else ""
    rows += [("Resolved", f"{solved}{rate}")]
    rows += [
        (_NAMES[status].capitalize(), str(len(report.of(status))))
        for status in STATUSES
        if status != "resolved" and report.of(status)
    ]
    flags = Counter(kind for each in report.results for kind in each.flags)
    listed = ", ".join(f"{kind} {count}" for kind, count in flags.most_common())
    rows += [("Flags", listed)] if flags else []
    left = report.total - len(report.results)
    rows += [("Not run", str(left))] if left else []
    rows += [("Cost", f"{runs.money(report.cost_usd)}{_per_solved(report)}")]
    rows += [("Model turns", f"{sum(each.turns for each in report.results):,}")]
    rows += [("Time of the runs", duration(sum(each.seconds for each in report.results)))]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _per_solved(report: EvalReport) -> str:
    per, middle = report.usd_per_solved, report.median_cost_usd
    parts = [f"{runs.money(per)} per resolved task"] if per is not None else []
    parts += [f"median {runs.money(middle)}"] if middle is not None else []
    return f" ({', '.join(parts)})" if parts else ""


def _table(report: EvalReport) -> str:
    lines = [
        "| Task | Result | Fixed | Kept | Honk's verdict | Cost | Turns | Time | Why not |",
        "|---|---|--:|--:|---|--:|--:|--:|---|",
    ]
    return "\n".join([*lines, *map(_row, report.results)])


def _row(result: TaskResult) -> str:
    grade = result.grade
    fixed = f"{len(grade.fixed)}/{len(grade.fixed) + len(grade.not_fixed)}" if grade else ""
    kept = f"{len(grade.kept)}/{len(grade.kept) + len(grade.broken)}" if grade else ""
    verdict = result.verdict or result.outcome
    if result.flags:
        verdict += f" ({', '.join(result.flags)})"
    cells = [
        sanitize.plain(result.id, limit=100),
        _NAMES[result.status],
        fixed,
        kept,
        sanitize.plain(verdict, limit=200),
        runs.money(result.cost_usd),
        str(result.turns),
        duration(result.seconds),
        sanitize.plain(result.reason, limit=200),
    ]
    return f"| {' | '.join(cells)} |"


def _false_claims(report: EvalReport) -> str:
    """Tasks for which Honk requested review although the hidden tests fail."""
    found = [each for each in report.results if each.ready and each.status == "unresolved"]
    if not found:
        return ""
    names = ", ".join(sanitize.plain(each.id, limit=100) for each in found)
    return f"Ready for review and not resolved: {names}."


def as_json(report: EvalReport) -> dict[str, Any]:
    """The report as JSON data, with counts and ids in the format of SWE-bench's reports."""
    done = report.completed
    counts: dict[str, Any] = {
        "schema_version": 2,
        "total_instances": report.total,
        "submitted_instances": len(report.results),
        "completed_instances": len(done),
        "completed_ids": sorted(each.id for each in done),
    }
    for status in STATUSES:
        ids = sorted(each.id for each in report.of(status))
        counts |= {f"{status}_instances": len(ids), f"{status}_ids": ids}
    reasons = {each.id: each.reason for each in report.results if each.reason}
    totals = {
        "cost_usd": report.cost_usd,
        "usd_per_resolved": report.usd_per_solved,
        "median_cost_usd": report.median_cost_usd,
        "solve_rate": report.solve_rate,
    }
    return {
        **counts,
        "failure_reasons": reasons,
        **totals,
        "report": report.model_dump(mode="json"),
    }


def compared(first: EvalReport, second: EvalReport) -> str:
    """Two reports on the same tasks, with the significance of their difference."""
    found = comparison(first, second)
    if not found["tasks"]:
        return "The two reports have no completed task in common.\n"
    low, high = found["interval"]
    lines = [
        f"# {_name(first)} (A) and {_name(second)} (B)",
        "",
        f"{count(found['tasks'], 'task')} completed by both.",
        "",
        "| | A | B |",
        "|---|--:|--:|",
        f"| Resolved | {found['resolved'][0]} | {found['resolved'][1]} |",
        f"| Only this one | {found['only'][0]} | {found['only'][1]} |",
        f"| Cost | {runs.money(found['cost'][0])} | {runs.money(found['cost'][1])} |",
        f"| For each resolved task | {_usd(found['per'][0])} | {_usd(found['per'][1])} |",
        f"| Median cost | {_usd(found['median'][0])} | {_usd(found['median'][1])} |",
        "",
        f"B resolves {_points(found['difference'])} more than A "
        f"(95 % interval {_points(low)} to {_points(high)}, paired bootstrap over tasks).",
        f"McNemar's exact test: p = {found['p']:.3g}. {_meaning(found)}",
    ]
    lines += [
        "",
        f"Only A: {_ids(found['only_ids'][0])}.",
        f"Only B: {_ids(found['only_ids'][1])}.",
    ]
    if found["left_out"]:
        lines.append(f"Left out, because only one of them completed it: {_ids(found['left_out'])}.")
    return "\n".join(lines) + "\n"


def comparison(first: EvalReport, second: EvalReport) -> dict[str, Any]:
    """The same for programs: `difference` is B's solve rate minus A's."""
    sides = [{each.id: each for each in report.completed} for report in (first, second)]
    both = sorted(sides[0].keys() & sides[1].keys())
    everything = {each.id for report in (first, second) for each in report.results}
    solved = [{name for name in both if side[name].status == "resolved"} for side in sides]
    only = (sorted(solved[0] - solved[1]), sorted(solved[1] - solved[0]))
    costs = [[side[name].cost_usd for name in both] for side in sides]
    differences = [float(name in solved[1]) - float(name in solved[0]) for name in both]
    return {
        "a": first.by,
        "b": second.by,
        "tasks": len(both),
        "left_out": sorted(everything - set(both)),
        "resolved": [len(each) for each in solved],
        "only": [len(each) for each in only],
        "only_ids": [list(each) for each in only],
        "p": paired.mcnemar_exact(len(only[0]), len(only[1])),
        "difference": sum(differences) / len(both) if both else 0.0,
        "interval": list(paired.bootstrap_interval(differences)) if both else [0.0, 0.0],
        "smallest_visible": paired.smallest_visible(len(both), len(only[0]) + len(only[1])),
        "cost": [sum(each) for each in costs],
        "per": [sum(c) / len(s) if s else None for c, s in zip(costs, solved, strict=True)],
        "median": [median(each) for each in costs],
    }


def _meaning(found: dict[str, Any]) -> str:
    smallest = found["smallest_visible"]
    if found["p"] < paired.ALPHA:
        return "That is unlikely to be chance."
    if smallest is None:
        return f"{count(found['tasks'], 'task')} cannot show any difference: six is the fewest."
    return (
        "That may be chance. The smallest difference that these tasks could have shown is "
        f"{_points(smallest)}."
    )


def _points(rate: float) -> str:
    return f"{100 * rate:.1f} percentage points"


def _usd(value: float | None) -> str:
    return "none" if value is None else runs.money(value)


def _ids(names: list[str]) -> str:
    return ", ".join(sanitize.plain(name, limit=100) for name in names) or "none"


def _name(report: EvalReport) -> str:
    return sanitize.plain(report.by, limit=100)
