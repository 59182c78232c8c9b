"""`/usage`: money, tokens, results and reviews by repository, model and engine; never by person.

People see the repositories that they administer: owners administer all of their organization's.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.domain.sanitize import printable
from app.github.people import Access
from app.store.database import Database, now
from app.store.usage import WEEK_SECONDS, UsageRow, usage_since
from app.web.login import AuthMiddleware
from app.web.rendering import HEADERS
from app.web.sessions import WebSession

WEEKS = 12
_MOST_REPOSITORIES = 40
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class UsageGroup:
    """The sum over the rows with one name."""

    name: str
    runs: int
    succeeded: int
    usd: float
    tokens: int
    pulls: int
    merged: int
    reviewed: int
    review_seconds: float

    @classmethod
    def of(cls, name: str, rows: Iterable[UsageRow]) -> UsageGroup:
        """Add the rows up."""
        rows = list(rows)

        def total(field: str) -> Any:
            return sum(getattr(row, field) for row in rows)

        sums = {each.name: total(each.name) for each in fields(cls) if each.name != "name"}
        return cls(name=name, **sums)

    @property
    def success(self) -> str:
        """The share of runs that reached their goal."""
        return _share(self.succeeded, self.runs)

    @property
    def merge_rate(self) -> str:
        """The share of runs with a pull request whose pull request was merged."""
        return _share(self.merged, self.pulls)

    @property
    def first_review(self) -> float | None:
        """The mean time from the end of a run to the first review, in seconds."""
        return self.review_seconds / self.reviewed if self.reviewed else None


class UsagePages:
    """The page and its CSV."""

    def __init__(self, auth: AuthMiddleware, database: Database) -> None:
        self._auth = auth
        self._database = database

    def routes(self) -> list[BaseRoute]:
        guarded = self._auth.guarded
        return [Route("/usage", guarded(self._page)), Route("/usage.csv", guarded(self._csv))]

    async def _page(self, request: Request) -> Response:
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        rows = await self._rows(session)
        weeks = [[row for row in rows if row.week == week] for week in range(WEEKS)]
        return self._auth.renderer.page(
            "usage.html",
            session=session,
            weeks=WEEKS,
            total=UsageGroup.of("Total", rows),
            tables=[
                ("Repository", _grouped(rows, lambda row: row.repository)),
                ("Model", _grouped(rows, lambda row: row.model)),
                ("Engine", _grouped(rows, lambda row: row.engine)),
            ],
            charts=[
                _chart("US dollars per week", [sum(row.usd for row in each) for each in weeks]),
                _chart("Runs per week", [float(sum(r.runs for r in each)) for each in weeks]),
            ],
        )

    async def _csv(self, request: Request) -> Response:
        session = self._auth.session(request)
        if session is None:
            return self._auth.to_login(request)
        names = [name for name in UsageRow.model_fields if name != "repository_id"]
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names)
        for row in await self._rows(session):
            writer.writerow([_cell(getattr(row, name)) for name in names])
        disposition = {"content-disposition": 'attachment; filename="honk-usage.csv"'}
        return Response(text.getvalue(), media_type="text/csv", headers=HEADERS | disposition)

    async def _rows(self, session: WebSession) -> list[UsageRow]:
        """The rows of the repositories that the person administers."""
        rows = await usage_since(self._database, now() - WEEKS * WEEK_SECONDS)
        usd: dict[tuple[str, int], float] = {}
        for row in rows:
            key = (row.repository, row.repository_id)
            usd[key] = usd.get(key, 0.0) + row.usd
        asked = sorted(usd, key=lambda key: -usd[key])[:_MOST_REPOSITORIES]
        levels = await asyncio.gather(
            *(self._auth.access.level(session.token, name, number) for name, number in asked)
        )
        theirs = {key[1] for key, level in zip(asked, levels, strict=True) if level >= Access.ADMIN}
        return [row for row in rows if row.repository_id in theirs]


def _grouped(rows: Iterable[UsageRow], key: Callable[[UsageRow], str]) -> list[UsageGroup]:
    found: dict[str, list[UsageRow]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    groups = [UsageGroup.of(name, each) for name, each in found.items()]
    return sorted(groups, key=lambda group: -group.usd)


def _chart(title: str, values: list[float]) -> dict[str, Any]:
    """A bar chart: the place and size of each bar, in a box of 100 by 40."""
    most = max([*values, 1e-9])
    width = 100 / len(values)
    bars = [
        {
            "x": f"{number * width + 0.6:.2f}",
            "y": f"{40 - 38 * value / most:.2f}",
            "width": f"{width - 1.2:.2f}",
            "height": f"{38 * value / most:.2f}",
        }
        for number, value in enumerate(values)
    ]
    shown = ", ".join(f"{value:,.2f}".rstrip("0").rstrip(".") for value in values)
    return {
        "title": title,
        "bars": bars,
        "values": shown,
        "most": f"{max(values):,.2f}".removesuffix(".00"),
    }


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
