"""Lists of runs for people: filtered, in windows that a large history does not slow down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from app.domain.run import Outcome
from app.domain.values import Value
from app.store.database import Database
from app.store.runs import RunLine
from app.store.schema import runs

SCANNED = 2_000
"""Runs that one window looks through for those that match a search or a label."""

LABELS_SHOWN = 20


class RunFilter(Value):
    """What a list is narrowed to; empty fields don't narrow it."""

    repository: str = ""
    actor: str = ""
    outcome: Outcome | None = None
    label: str = ""
    text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it narrows nothing."""
        return self == RunFilter()


class RunWindow(Value):
    """Runs, newest first. `older`: where the next window begins, in seconds since 1970; None at
    the end of the history."""

    lines: tuple[RunLine, ...]
    older: float | None


State = Literal["running", "queued", "finished"]
_STATES: dict[State, sa.ColumnElement[bool]] = {
    "running": sa.and_(runs.c.finished_at.is_(None), runs.c.admitted_at.is_not(None)),
    "queued": sa.and_(runs.c.finished_at.is_(None), runs.c.admitted_at.is_(None)),
    "finished": runs.c.finished_at.is_not(None),
}
_TRIGGER = runs.c.input["trigger"]


class RunLists:
    """Every method is one transaction. Raises RetryableError when unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def live(self, state: State, given: RunFilter, limit: int) -> list[RunLine]:
        """Unfinished runs, oldest request first."""
        given = await self._spelled(given)
        query = _lines().where(_STATES[state], *_indexed(given), *_others(given)).limit(limit)
        found = await self._read(query)
        return sorted(found, key=lambda line: line.created_at)

    async def finished(
        self, given: RunFilter, limit: int, *, before: float | None = None
    ) -> RunWindow:
        """The newest finished runs that were created before `before`."""
        given = await self._spelled(given)
        indexed, others = _indexed(given), _others(given)
        scanned = sa.select(runs.c.id, runs.c.created_at).where(*indexed)
        if before is not None:
            scanned = scanned.where(runs.c.created_at < before)
        most = SCANNED if others else limit
        window = scanned.order_by(runs.c.created_at.desc()).limit(most).subquery()
        query = (
            _lines()
            .join(window, window.c.id == runs.c.id)
            .where(_STATES["finished"], *others)
            .order_by(runs.c.created_at.desc())
            .limit(limit)
        )
        last = sa.select(sa.func.min(window.c.created_at), sa.func.count()).select_from(window)

        def read(connection: sa.Connection) -> RunWindow:
            rows = connection.execute(query).mappings().all()
            lines = tuple(RunLine.model_validate(dict(row)) for row in rows)
            at, seen = connection.execute(last).one()
            if len(lines) == limit:
                return RunWindow(lines=lines, older=lines[-1].created_at)
            return RunWindow(lines=lines, older=at if seen == most else None)

        return await self._database.run(read)

    async def ended_since(
        self, moment: float, outcomes: Sequence[Outcome], limit: int, *, actor: str = ""
    ) -> list[tuple[str, str]]:
        """The newest requested runs that ended so, as pairs of id and subject."""
        query = sa.select(runs.c.id, runs.c.subject).where(
            runs.c.created_at >= moment,
            runs.c.outcome.in_([each.value for each in outcomes]),
            runs.c.status_comment_id.is_not(None),
        )
        if actor:
            query = query.where(runs.c.actor == actor)
        query = query.order_by(runs.c.created_at.desc()).limit(limit)
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [(row.id, row.subject) for row in rows]

    async def newest_of(self, subjects: Sequence[str]) -> dict[str, str]:
        """The id of the latest requested run of each subject."""
        query = (
            sa.select(runs.c.id, runs.c.subject)
            .where(runs.c.subject.in_(list(subjects)), runs.c.status_comment_id.is_not(None))
            .order_by(runs.c.asked_at)
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return {row.subject: row.id for row in rows}

    async def _spelled(self, given: RunFilter) -> RunFilter:
        """The filter with repository and person as GitHub spells them, which indexes need."""

        def spell(connection: sa.Connection) -> RunFilter:
            change = {}
            for name in ("repository", "actor"):
                wanted, column = getattr(given, name), runs.c[name]
                if (
                    not wanted
                    or connection.execute(
                        sa.select(column).where(column == wanted).limit(1)
                    ).first()
                ):
                    continue
                alike = sa.select(column).where(sa.func.lower(column) == wanted.lower()).limit(1)
                change[name] = connection.execute(alike).scalar() or wanted
            return given.model_copy(update=change)

        return await self._database.run(spell)

    async def _read(self, query: sa.Select[Any]) -> list[RunLine]:
        return await self._database.run(
            lambda connection: [
                RunLine.model_validate(dict(row)) for row in connection.execute(query).mappings()
            ]
        )


def _lines() -> sa.Select[Any]:
    return sa.select(
        *(runs.c[name] for name in RunLine.model_fields if name in runs.c),
        sa.cast(_TRIGGER["repository_id"].as_string(), sa.BigInteger).label("repository_id"),
        _TRIGGER["title"].as_string().label("title"),
        runs.c.input["mode"].as_string().label("mode"),
    )


def _equal(given: RunFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions that an index serves, the narrowest first."""
    outcome = given.outcome.value if given.outcome is not None else ""
    wanted = ((runs.c.repository, given.repository), (runs.c.actor, given.actor))
    return [column == value for column, value in (*wanted, (runs.c.outcome, outcome)) if value]


def _indexed(given: RunFilter) -> list[sa.ColumnElement[bool]]:
    """The one condition that narrows what is scanned, if there is one."""
    return _equal(given)[:1]


def _others(given: RunFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions that are tested on each scanned run."""
    found = _equal(given)[1:]
    if given.label:
        written = json.dumps(given.label)
        found.append(_TRIGGER["labels"].as_string().contains(written, autoescape=True))
    if given.text:
        number = given.text.removeprefix("#")
        title = sa.func.lower(_TRIGGER["title"].as_string())
        matches = title.contains(given.text.lower(), autoescape=True)
        if number.isascii() and number.isdigit() and len(number) < 10:
            matches = sa.or_(matches, runs.c.number == int(number))
        found.append(matches)
    return found
