"""From every schema that was ever released to this one, with what people had in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.domain.values import RunId
from app.errors import UserError
from app.store.database import Database
from app.store.messages import Messages
from app.store.runs import Runs
from app.store.schema import metadata, runs
from app.store.turns import Turns
from tests.support.postgres import Postgres

pytestmark = pytest.mark.slow

RELEASED = Path(__file__).parent / "released"
"""What a released version made, as text: it stays as it is, whatever the code becomes."""


@pytest.fixture(name="database", params=["sqlite", "postgres"])
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        database = Database(postgres.database())
    yield database
    database.close()


def _as_released(database: Database, version: str) -> None:
    kind = "sqlite" if database.is_sqlite else "postgres"
    with database.engine.begin() as connection:
        for name in (f"{version}-{kind}.sql", f"{version}-rows.sql"):
            text = (RELEASED / name).read_text("utf-8")
            for statement in text.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement.replace("%", "%%"))


def _everything(database: Database) -> dict[str, list[dict[str, object]]]:
    """All rows of the tables that the first release had, as this version's columns read them."""
    with database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        there = [table.name for table in metadata.sorted_tables if inspector.has_table(table.name)]
        return {name: _rows(connection, name) for name in there}


def _rows(connection: sa.Connection, table: str) -> list[dict[str, object]]:
    found = connection.execute(sa.text(f"SELECT * FROM {table}"))  # noqa: S608
    return [dict(row) for row in found.mappings()]


async def test_the_first_release_moves_up_with_all_that_is_in_it(database: Database) -> None:
    _as_released(database, "0001")
    before = _everything(database)
    assert len(before["runs"]) == 2
    assert len(before["turns"]) == 4

    database.migrate()
    database.check_migrated()

    after = _everything(database)
    for table, rows in before.items():
        assert len(after[table]) == len(rows)
        for old, new in zip(rows, after[table], strict=True):
            assert {name: new[name] for name in old} == old
    await _is_read_by_this_version(database)


async def _is_read_by_this_version(database: Database) -> None:
    store = Runs(database)
    live = await store.get(RunId("s" * 10))
    assert live.finished_at is None
    assert live.input.trigger.title == "add() subtracts; it's wrong"
    assert [run.id for run in await store.alive()] == [live.id]
    turns = Turns(database, live.id)
    assert [record["role"] for record in await turns.load()] == ["user", "assistant"]
    assert await turns.last_snapshot() == "c" * 40
    (said,) = await Messages(database).of(live.id)
    assert said.text == "And double() too, please."


def test_a_moved_up_database_is_what_a_new_one_is(database: Database) -> None:
    _as_released(database, "0001")
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, metadata)
    assert differences == []


def test_moving_up_twice_changes_nothing(database: Database) -> None:
    database.migrate()
    before = _everything(database)
    database.migrate()
    assert _everything(database) == before


def test_a_newer_schema_is_refused_by_name(database: Database) -> None:
    database.migrate()
    _set_schema(database, "9999")
    for start in (database.migrate, database.check_migrated):
        with pytest.raises(UserError, match="9999, which is newer than this Honk"):
            start()
    # Processes that run during a rollout continue.
    database.check_old_enough()


def test_an_older_schema_is_not_good_enough_to_receive(database: Database) -> None:
    _as_released(database, "0001")
    with pytest.raises(UserError, match="honk migrate"):
        database.check_migrated()
    with pytest.raises(UserError):
        database.check_old_enough()


def test_a_migration_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    _as_released(database, "0001")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE totals (something INTEGER)")
    before = _everything(database)["runs"]
    with pytest.raises(sa.exc.DBAPIError):
        database.migrate()
    with database.engine.connect() as connection:
        columns = {each["name"] for each in sa.inspect(connection).get_columns(runs.name)}
        assert MigrationContext.configure(connection).get_current_revision() == "0001"
    assert "kept_here" not in columns
    assert _everything(database)["runs"] == before


def test_a_migration_does_not_hold_everybody_up_behind_a_dump(postgres: Postgres) -> None:
    database = Database(postgres.database())
    _as_released(database, "0001")
    with database.engine.begin() as dump:
        dump.exec_driver_sql("LOCK TABLE runs IN ACCESS SHARE MODE")
        with pytest.raises(UserError, match="holds locks on them"):
            database.migrate()
    database.migrate()
    database.check_migrated()
    database.close()


def _set_schema(database: Database, version: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version}
        )
