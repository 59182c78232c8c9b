"""What `honk report` prints."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.author_kind import AuthorKind
from app.domain.pull_report import (
    FOLLOWED_DAYS,
    REWORKED_SHARE,
    KindSummary,
    ReportedPull,
    summarize,
)

_KINDS = {
    AuthorKind.PERSON: "People",
    AuthorKind.HONK: "Honk",
    AuthorKind.OTHER_AGENT: "Other agents",
}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""The characters with which spreadsheets begin a formula.
https://owasp.org/www-community/attacks/CSV_Injection"""

_COLUMNS = (
    "number",
    "title",
    "author",
    "kind",
    "state",
    "created_at",
    "merged_at",
    "head",
    "verdict",
    "problem",
    "reverted",
    "reworked",
    "lines_added",
    "lines_gone",
    "hours_until_review",
    "machine_minutes",
)


def as_markdown(repository: str, what: str, pulls: Sequence[ReportedPull], *, each: bool) -> str:
    """A table by kind of author, and with `each` a row for every pull request."""
    summaries = summarize(pulls)
    parts = [f"# Pull requests of {_plain(repository)}: {what}", _table(summaries)]
    if each and pulls:
        parts.append(_each(pulls))
    parts.append(_notes())
    return "\n\n".join(parts)


def as_json(repository: str, what: str, pulls: Sequence[ReportedPull]) -> str:
    """The same for programs, with every pull request."""
    return json.dumps(
        {
            "repository": repository,
            "selection": what,
            "by_kind": [each.model_dump(mode="json") for each in summarize(pulls)],
            "pull_requests": [
                {**each.model_dump(mode="json"), "reworked": each.reworked} for each in pulls
            ],
        },
        indent=2,
    )


def as_csv(pulls: Sequence[ReportedPull]) -> str:
    """One row for each pull request; no cell is a formula."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for pull in pulls:
        rows.writerow([cell(value) for value in _values(pull)])
    return text.getvalue().rstrip("\n")


def cell(value: object) -> str:
    """A value as the text of a cell: a leading quote keeps spreadsheets from computing it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = sanitize.printable(str(value))
    is_number = isinstance(value, int | float)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not is_number else text


def since(days: float) -> str:
    """Which pull requests are in the report, when chosen by time."""
    return f"opened in the last {days:g} day{'' if days == 1 else 's'}"


def last(number: int) -> str:
    """Which pull requests are in the report, when chosen by number."""
    return f"the last {number:,} merged"


def progress(done: int, of: int, number: int, note: str = "") -> str:
    """One line of progress."""
    return f"[{done}/{of}] #{number}{f': {_plain(note)}' if note else ''}"


def _values(pull: ReportedPull) -> list[object]:
    review = None if pull.review_seconds is None else round(pull.review_seconds / 3600, 2)
    return [
        pull.number,
        pull.title,
        pull.author,
        pull.kind.value,
        pull.state,
        pull.created_at.isoformat(),
        pull.merged_at.isoformat() if pull.merged_at else None,
        pull.head,
        pull.verdict,
        pull.problem,
        pull.reverted,
        pull.reworked,
        pull.lines.added if pull.lines else None,
        pull.lines.gone if pull.lines else None,
        review,
        round(pull.machine_seconds / 60, 1),
    ]


def _table(summaries: Sequence[KindSummary]) -> str:
    rows = [
        ["", *(_KINDS[each.kind] for each in summaries)],
        ["---", *("--:" for _ in summaries)],
        ["Opened", *(f"{each.opened:,}" for each in summaries)],
        ["Merged", *(f"{each.merged:,}" for each in summaries)],
    ]
    for name in dict.fromkeys(name for each in summaries for name in each.verdicts):
        counts = (f"{each.verdicts.get(name, 0):,}" for each in summaries)
        rows.append([f"Verdict: {name}", *counts])
    rows += [
        ["No verdict", *(f"{each.opened - sum(each.verdicts.values()):,}" for each in summaries)],
        [
            f"Reverted within {FOLLOWED_DAYS} days",
            *(_share(each.reverted, each.reverted_known) for each in summaries),
        ],
        [
            f"Reworked within {FOLLOWED_DAYS} days",
            *(_share(each.reworked, each.reworked_known) for each in summaries),
        ],
        ["Lines gone", *(_share(each.lines_gone, each.lines_added) for each in summaries)],
        ["Reviewed by a person", *(_share(each.reviewed, each.opened) for each in summaries)],
        ["Time to review, median", *(_hours(each.median_review_seconds) for each in summaries)],
        ["Machine minutes", *(f"{each.machine_seconds / 60:,.0f}" for each in summaries)],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _each(pulls: Sequence[ReportedPull]) -> str:
    rows = ["| Pull request | Author | Verdict |", "|---|---|---|"]
    rows += [
        f"| #{pull.number} {_plain(pull.title)} | {_plain(pull.author)} | "
        f"{_plain(pull.verdict or pull.problem or 'none')} |"
        for pull in pulls
    ]
    return "\n".join(rows)


def _notes() -> str:
    return (
        f"A change counts as reworked when at least {REWORKED_SHARE:.0%} of the lines that it "
        f"added were deleted or rewritten within {FOLLOWED_DAYS} days of its merge; changes merged "
        "later than that are followed until today. Shares are out of the merged changes that could "
        "be followed on the default branch. Machine minutes and verdicts of runs come from this "
        "Honk's database, other verdicts from the check `honk / tests`."
    )


def _share(part: int, of: int) -> str:
    return f"{part:,} of {of:,} ({part / of:.0%})" if of else "-"


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _plain(text: str) -> str:
    return sanitize.plain(text, limit=200).replace("|", "\\|")
