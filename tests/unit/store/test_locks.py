"""A lock whose server is restarted while it is held or asked for ends no worker."""

from __future__ import annotations

import pytest

from app.errors import RetryableError
from app.store.database import Database
from tests.support.postgres import Postgres


def test_a_lock_that_was_lost_with_its_server_needs_no_giving_back(postgres: Postgres) -> None:
    database = Database(postgres.database())
    with database.exclusively("settle") as ours:
        assert ours
        postgres.restart()
    with database.exclusively("settle") as ours:
        assert ours
    database.close()


def test_a_lock_that_cannot_be_asked_for_is_asked_for_later(postgres: Postgres) -> None:
    database = Database(postgres.database())
    with database.exclusively("settle"):
        pass
    postgres.stop()
    try:
        with pytest.raises(RetryableError), database.exclusively("settle"):
            raise AssertionError("nobody gave the lock")
    finally:
        postgres.start()
    with database.exclusively("settle") as ours:
        assert ours
    database.close()
