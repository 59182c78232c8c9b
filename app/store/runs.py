"""The `runs` table: one row per run, written by the run and read by everything else."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.domain import fair_queue
from app.domain.fair_queue import (
    ConcurrencyLimits,
    FairQueue,
    QueuedRun,
    QueuePosition,
    Served,
)
from app.domain.run import Outcome, Phase, RunInput, subject_of
from app.domain.values import RunId, Value
from app.store import totals
from app.store.database import Database, now
from app.store.schema import runs, workers

_STALLED_SECONDS = 300.0
_IS_QUEUED = sa.and_(runs.c.finished_at.is_(None), runs.c.admitted_at.is_(None))
_ANY_QUEUED = sa.select(runs.c.id).where(_IS_QUEUED).limit(1)


def start_of_today() -> float:
    """When the day of daily limits began (UTC), in seconds since 1970."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


class RunRow(Value):
    """The current state of a run."""

    id: RunId
    trigger_id: str
    subject: str
    repository: str
    number: int
    installation_id: int
    actor: str
    input: RunInput
    attempt: int
    phase: Phase
    outcome: Outcome | None
    base_sha: str | None
    start_tree: str | None
    start_seq: int | None
    head_sha: str | None
    head_key: str | None
    branch: str | None
    published_sha: str | None
    pull_number: int | None
    pull_url: str | None
    status_comment_id: int | None
    status_node_id: str | None
    run_check_id: int | None
    kept_here: str | None
    told_attempt: int | None
    phases: list[tuple[str, float]] | None
    stop_asked_by: str | None
    stop_asked_at: float | None
    stop_why: str | None
    plan: list[dict[str, Any]] | None
    setup_outcome: dict[str, Any] | None
    setup_choices: dict[str, Any] | None
    model_turns: int
    cost_usd: float
    api_calls: int
    status_edits: int
    token_requests: int
    asked_at: float
    admitted_at: float | None
    created_at: float
    updated_at: float
    finished_at: float | None


class RunLine(Value):
    """One run in a list of runs."""

    id: RunId
    repository: str
    repository_id: int
    number: int
    title: str
    actor: str
    mode: str
    phase: Phase
    outcome: Outcome | None
    pull_number: int | None
    pull_url: str | None
    cost_usd: float
    created_at: float
    finished_at: float | None


class Runs:
    """Reads and writes rows of `runs`. Every method is one transaction."""

    def __init__(self, database: Database, limits: ConcurrencyLimits | None = None) -> None:
        self._database = database
        self._limits = limits or ConcurrencyLimits()

    async def open(self, run: RunInput) -> tuple[RunRow, bool]:
        """The run's row, and whether this call created it."""
        moment = now()
        row = {
            "id": run.id,
            "trigger_id": run.trigger.id,
            "subject": subject_of(run.trigger),
            "repository": str(run.trigger.repository),
            "number": run.trigger.number,
            "installation_id": run.trigger.installation_id,
            "actor": run.trigger.actor.login,
            "input": run.model_dump(mode="json"),
            "phase": Phase.QUEUED.value,
            "asked_at": moment,
            "phases": [[Phase.QUEUED.value, moment]],
            "created_at": moment,
            "updated_at": moment,
        }

        def insert(connection: sa.Connection) -> bool:
            new = self._database.insert(runs).values(**row).on_conflict_do_nothing()
            return connection.execute(new.returning(runs.c.id)).first() is not None

        created = await self._database.run(insert)
        return await self.get(run.id), created

    async def get(self, run: RunId) -> RunRow:
        """Raises KeyError when there is no such run."""
        found = await self.find(run)
        if found is None:
            raise KeyError(run)
        return found

    async def find(self, run: str) -> RunRow | None:
        rows = await self._select(sa.select(runs).where(runs.c.id == run))
        return rows[0] if rows else None

    async def alive_on(self, subject: str) -> list[RunRow]:
        """Unfinished runs of this subject, oldest first."""
        return await self._select(
            sa.select(runs)
            .where(runs.c.subject == subject, runs.c.finished_at.is_(None))
            .order_by(runs.c.created_at)
        )

    async def alive_by_id(self, repository_id: int, number: int) -> list[RunRow]:
        """Unfinished runs of an issue or pull request, even if its repository was renamed."""
        alive = await self._select(
            sa.select(runs).where(runs.c.number == number, runs.c.finished_at.is_(None))
        )
        return [row for row in alive if row.input.trigger.repository_id == repository_id]

    async def of_subject(self, subject: str) -> list[RunRow]:
        """Every run of this subject, newest first."""
        return await self._select(
            sa.select(runs).where(runs.c.subject == subject).order_by(runs.c.created_at.desc())
        )

    async def alive(self) -> list[RunRow]:
        """Every unfinished run, oldest first."""
        # Sort in Python: with ORDER BY, SQLite would scan the whole history by its time index.
        rows = await self._select(sa.select(runs).where(runs.c.finished_at.is_(None)))
        return sorted(rows, key=lambda row: row.created_at)

    async def subjects_alive(self) -> frozenset[str]:
        """The subjects of unfinished runs."""
        query = sa.select(runs.c.subject).where(runs.c.finished_at.is_(None))
        found = await self._database.run(
            lambda connection: connection.execute(query).scalars().all()
        )
        return frozenset(found)

    async def are_any_alive(self) -> bool:
        """Whether there is an unfinished run."""
        query = sa.select(runs.c.id).where(runs.c.finished_at.is_(None)).limit(1)
        found = await self._database.run(lambda connection: connection.execute(query).first())
        return found is not None

    async def created_since(self, moment: float) -> list[RunRow]:
        """The runs that were created after that Unix time."""
        return await self._select(sa.select(runs).where(runs.c.created_at > moment))

    async def ids_in(self, repository: str) -> frozenset[str]:
        """The ids of a repository's runs; the name is compared case-insensitively."""
        query = sa.select(runs.c.id).where(sa.func.lower(runs.c.repository) == repository.lower())
        found = await self._database.run(
            lambda connection: connection.execute(query).scalars().all()
        )
        return frozenset(found)

    async def queued(self, limit: int) -> list[RunRow]:
        """Queued runs with a status comment, oldest request first."""
        return await self._select(
            sa.select(runs)
            .where(_IS_QUEUED, runs.c.status_comment_id.is_not(None))
            .order_by(runs.c.asked_at)
            .limit(limit)
        )

    async def to_stop(self) -> frozenset[str]:
        """The ids of live runs that somebody asked to stop."""
        query = sa.select(runs.c.id).where(
            runs.c.finished_at.is_(None), runs.c.stop_asked_by.is_not(None)
        )
        found = await self._database.run(
            lambda connection: connection.execute(query).scalars().all()
        )
        return frozenset(found)

    async def ask_to_stop(self, run: RunId, by: str, why: str | None = None) -> RunRow:
        """Ask a live run to stop, and record who asked last, when and why."""
        reason = {} if why is None else {"stop_why": why}
        return await self.update(run, stop_asked_by=by, stop_asked_at=now(), **reason)

    async def reopen(self, run: RunId, attempt: int, change: RunInput) -> RunRow:
        """Reopen a finished run for another attempt; calling it twice has no further effect."""
        reopened = (
            sa.update(runs)
            .where(runs.c.id == run, runs.c.attempt < attempt)
            .values(
                attempt=attempt,
                input=change.model_dump(mode="json"),
                outcome=None,
                stop_asked_by=None,
                stop_asked_at=None,
                stop_why=None,
                finished_at=None,
                asked_at=now(),
                admitted_at=None,
                updated_at=now(),
            )
        )
        await self._database.run(lambda connection: connection.execute(reopened))
        row, _ = await self.enter(run, Phase.QUEUED)
        return row

    async def latest(self, limit: int) -> list[RunRow]:
        """The newest runs, newest first."""
        return await self._select(sa.select(runs).order_by(runs.c.created_at.desc()).limit(limit))

    async def waiting(self, row: RunRow) -> QueuePosition:
        """A run's position in the queue, and why it waits."""
        run = QueuedRun(
            id=row.id,
            subject=row.subject,
            repository=row.repository,
            installation_id=row.installation_id,
            asked_at=row.asked_at,
            admitted=row.admitted_at is not None,
            background=row.input.background,
        )
        if run.admitted or row.finished_at is not None:
            return QueuePosition(ahead=0, why=None)

        def find_position(connection: sa.Connection) -> QueuePosition:
            live, served = _live(connection), _served(connection)
            slots = _slots(connection)
            return fair_queue.position_of(run, live, self._limits, served, slots=slots)

        return await self._database.run(find_position)

    async def is_stalled(self, row: RunRow) -> bool:
        """Whether the run has waited for five minutes though a slot is free: no worker runs."""
        if row.admitted_at is not None or row.finished_at is not None:
            return False
        if now() - row.asked_at < _STALLED_SECONDS:
            return False
        if not await self._database.run(_slots):
            return True
        return (await self.waiting(row)).why is None

    async def next_to_admit(self, *, leave_out: Collection[str]) -> list[tuple[RunId, int]]:
        """Runs that free slots go to, in order, each with its attempt number.

        Runs whose ids are in `leave_out` are ignored.
        """

        def choose(connection: sa.Connection) -> list[tuple[RunId, int]]:
            # Asked several times a second, mostly by idle workers: one statement, made once.
            if connection.execute(_ANY_QUEUED).first() is None:
                return []
            free = _free_slots(connection)
            if free <= 0:
                return []
            live = _live(connection)
            candidates = [run for run in live if run.admitted or run.id not in leave_out]
            queue = FairQueue(candidates, self._limits, _served(connection))
            chosen = [run.id for run in itertools.islice(queue.admit(), free)]
            rows = connection.execute(
                sa.select(runs.c.id, runs.c.attempt).where(runs.c.id.in_(chosen))
            )
            attempts: dict[str, int] = {row.id: row.attempt for row in rows}
            return [(RunId(each), attempts[each]) for each in chosen]

        return await self._database.run(choose)

    async def admitted(self, run: RunId, attempt: int) -> None:
        """Record that the run has a slot, which it keeps until it finishes."""
        change = (
            sa.update(runs)
            .where(runs.c.id == run, runs.c.attempt == attempt, runs.c.admitted_at.is_(None))
            .values(admitted_at=now())
        )
        await self._database.run(lambda connection: connection.execute(change))

    async def of_commit(self, repository: str, sha: str) -> list[RunRow]:
        """The runs that published this commit, newest first."""
        return await self._select(
            sa.select(runs)
            .where(runs.c.repository == repository, runs.c.published_sha == sha)
            .order_by(runs.c.created_at.desc())
        )

    async def last_published(self, repository: str) -> RunRow | None:
        """The repository's newest run with a published commit."""
        rows = await self._select(
            sa.select(runs)
            .where(runs.c.repository == repository, runs.c.published_sha.is_not(None))
            .order_by(runs.c.created_at.desc())
            .limit(1)
        )
        return rows[0] if rows else None

    async def of_pull(self, repository: str, number: int) -> list[RunRow]:
        """The runs that published to this pull request, newest first."""
        return await self._select(
            sa.select(runs)
            .where(runs.c.repository == repository, runs.c.pull_number == number)
            .order_by(runs.c.created_at.desc())
        )

    async def requests_on_pull(self, repository_id: int, number: int) -> list[RunRow]:
        """The runs that published to this pull request, even if its repository was renamed."""
        of_repository = runs.c.input["trigger"]["repository_id"].as_string()
        return await self._select(
            sa.select(runs)
            .where(
                runs.c.pull_number == number,
                sa.cast(of_repository, sa.BigInteger) == repository_id,
            )
            .order_by(runs.c.created_at)
        )

    async def of_repository(self, repository_id: int, since: float) -> list[RunRow]:
        """The runs of a repository created since then, newest first, whatever its name was."""
        of_repository = runs.c.input["trigger"]["repository_id"].as_string()
        return await self._select(
            sa.select(runs)
            .where(
                runs.c.created_at >= since,
                sa.cast(of_repository, sa.BigInteger) == repository_id,
            )
            .order_by(runs.c.created_at.desc())
        )

    async def enter(
        self, run: RunId, phase: Phase, *, plan: list[dict[str, Any]] | None = None
    ) -> tuple[RunRow, bool]:
        """Record the run's phase, and its plan if there is one: in one transaction, since a run
        does so after each turn.

        Returns the row, and whether the phase is new; entering the current one again has no effect.
        """

        def change(connection: sa.Connection) -> tuple[RunRow, bool]:
            query = sa.select(runs.c.phases, runs.c.phase).where(runs.c.id == run)
            known, current = connection.execute(query).one()
            values: dict[str, Any] = {"phase": phase.value, "updated_at": now()}
            if current != phase.value or not known:
                values["phases"] = [*(known or []), [phase.value, now()]]
            if plan is not None:
                values["plan"] = plan
            connection.execute(sa.update(runs).where(runs.c.id == run).values(**values))
            row = connection.execute(sa.select(runs).where(runs.c.id == run)).mappings().one()
            return RunRow.recorded(dict(row)), current != phase.value

        return await self._database.run(change)

    async def spent_since(
        self, moment: float, *, repository: str | None = None, installation: int | None = None
    ) -> float:
        """US dollars spent by runs created since then: per repository, installation or in total."""
        query = sa.select(sa.func.coalesce(sa.func.sum(runs.c.cost_usd), 0.0)).where(
            runs.c.created_at >= moment
        )
        if repository is not None:
            query = query.where(runs.c.repository == repository)
        if installation is not None:
            query = query.where(runs.c.installation_id == installation)
        return float(
            await self._database.run(lambda connection: connection.execute(query).scalar_one())
        )

    async def checking_seconds_since(
        self, moment: float, *, repository: str, leave_out: RunId
    ) -> float:
        """Seconds for which runs created since then have had a slot to verify heads without being
        asked.
        """
        trigger = runs.c.input["trigger"]
        query = sa.select(runs.c.admitted_at, runs.c.finished_at).where(
            runs.c.repository == repository,
            runs.c.admitted_at >= moment,
            runs.c.id != leave_out,
            trigger["kind"].as_string() == "check",
            trigger["command"]["name"].as_string().is_(None),
            trigger["merge_group"]["head_sha"].as_string().is_(None),
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return sum(float((row.finished_at or now()) - row.admitted_at) for row in rows)

    async def of_checked_commit(self, repository: str, sha: str) -> list[RunRow]:
        """The runs that verify this head of anyone's pull request, newest first."""
        return await self._select(
            sa.select(runs)
            .where(
                runs.c.repository == repository,
                runs.c.input["trigger"]["head_sha"].as_string() == sha,
            )
            .order_by(runs.c.created_at.desc())
        )

    async def add_cost(self, run: RunId, usd: float) -> None:
        """Add a cost besides that of the agent's turns, in US dollars."""
        change = sa.update(runs).where(runs.c.id == run).values(cost_usd=runs.c.cost_usd + usd)

        def spend(connection: sa.Connection) -> None:
            connection.execute(change)
            totals.add(connection, {(totals.MONEY, ""): usd})

        await self._database.run(spend)

    async def update(self, run: RunId, **values: Any) -> RunRow:
        """Set columns by name and return the row."""
        change = sa.update(runs).where(runs.c.id == run).values(updated_at=now(), **values)
        await self._database.run(lambda connection: connection.execute(change))
        return await self.get(run)

    async def note_review(self, repository: str, number: int) -> None:
        """Record that a person reviewed the pull request, for the runs that published to it."""
        await self._note_once(repository, number, "reviewed_at")

    async def note_merge(self, repository: str, number: int) -> None:
        """Record that the pull request was merged, for the runs that published to it."""
        await self._note_once(repository, number, "merged_at")

    async def _note_once(self, repository: str, number: int, column: str) -> None:
        change = sa.update(runs).where(
            runs.c.repository == repository,
            runs.c.pull_number == number,
            runs.c[column].is_(None),
        )
        change = change.values({column: now()})
        await self._database.run(lambda connection: connection.execute(change))

    async def record_setup(self, run: RunId, outcome: Mapping[str, Any]) -> None:
        """Record how the run's checkout was set up; nothing for a run that is not stored."""
        change = sa.update(runs).where(runs.c.id == run)
        change = change.values(updated_at=now(), setup_outcome=outcome)
        await self._database.run(lambda connection: connection.execute(change))

    async def finish(self, run: RunId, outcome: Outcome) -> RunRow:
        """Finish the run. A second call keeps the first time but takes the last outcome."""
        moment = now()
        mine = runs.c.id == run
        change = sa.update(runs).values(
            phase=Phase.FINISHED.value, outcome=outcome.value, updated_at=moment
        )

        def end(connection: sa.Connection) -> None:
            live = sa.select(runs.c.phases, runs.c.asked_at).with_for_update()
            row = connection.execute(live.where(mine, runs.c.finished_at.is_(None))).first()
            if row is None:
                connection.execute(change.where(mine))
                return
            connection.execute(change.where(mine).values(finished_at=moment))
            ended = totals.of_phases(row.phases or [], since=row.asked_at, end=moment)
            totals.add(connection, {(totals.RUNS, outcome.value): 1, **ended})

        await self._database.run(end)
        return await self.get(run)

    async def count_calls(self, run: RunId, counted: Mapping[str, int]) -> None:
        """Add to `api_calls`, `status_edits` and `token_requests`, by the column's name."""
        values = {column: runs.c[column] + number for column, number in counted.items()}
        change = sa.update(runs).where(runs.c.id == run).values(**values)
        more = {(totals.CALLS, column): float(number) for column, number in counted.items()}

        def count(connection: sa.Connection) -> None:
            connection.execute(change)
            totals.add(connection, more)

        await self._database.run(count)

    async def _select(self, query: sa.Select[Any]) -> list[RunRow]:
        # Parse on the thread as well: parsing hundreds of rows would block the event loop.
        return await self._database.run(
            lambda connection: [
                RunRow.recorded(dict(row)) for row in connection.execute(query).mappings()
            ]
        )


def _live(connection: sa.Connection) -> list[QueuedRun]:
    rows = connection.execute(
        sa.select(
            runs.c.id,
            runs.c.subject,
            runs.c.repository,
            runs.c.installation_id,
            runs.c.asked_at,
            runs.c.admitted_at.is_not(None).label("admitted"),
            sa.func.coalesce(runs.c.input["background"].as_boolean(), sa.false()).label(
                "background"
            ),
        ).where(runs.c.finished_at.is_(None))
    )
    return [QueuedRun.model_validate(dict(row)) for row in rows.mappings()]


def _slots(connection: sa.Connection) -> int:
    total = sa.select(sa.func.coalesce(sa.func.sum(workers.c.slots), 0))
    return int(connection.execute(total).scalar_one())


def _free_slots(connection: sa.Connection) -> int:
    running = sa.select(sa.func.count()).where(
        runs.c.finished_at.is_(None), runs.c.admitted_at.is_not(None)
    )
    return _slots(connection) - int(connection.execute(running).scalar_one())


def _served(connection: sa.Connection) -> Served:
    """When each queued run's repository and installation last got a slot, by index lookups.

    Some are looked up more than once: with DISTINCT, SQLite would scan the whole history.
    """
    found: dict[int | str, float] = {}
    for column in (runs.c.repository, runs.c.installation_id):
        before = runs.alias()
        latest = (
            sa.select(sa.func.max(before.c.admitted_at))
            .where(before.c[column.name] == column)
            .scalar_subquery()
        )
        rows = connection.execute(sa.select(column, latest.label("at")).where(_IS_QUEUED))
        found |= {row[0]: row[1] for row in rows if row[1] is not None}
    return found
