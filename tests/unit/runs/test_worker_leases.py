"""A worker whose event loop hangs looks alive from outside: it ends itself, and is taken over."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.runs.worker_leases import EXIT_CUT_OFF
from app.store.database import Database
from tests.support import postgres

pytestmark = pytest.mark.slow


@pytest.fixture(name="url", scope="module")
def _url() -> Iterator[str]:
    with postgres.running() as server:
        url = server.database()
        database = Database(url)
        database.migrate()
        database.close()
        yield url


_ON_DUTY = """
import asyncio, sys, time
from app.runs.worker_leases import registered_worker
from app.store.database import Database
async def main():
    database = Database(sys.argv[1])
    async with registered_worker(database, slots=1, lease_seconds=1, stuck_seconds=1) as duty:
        await asyncio.sleep(2)
        duty.check()
        HANG
    print("went off duty")
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("hang", "code", "told"),
    [
        ("time.sleep(60)", EXIT_CUT_OFF, "its event loop hangs"),
        ("await asyncio.sleep(6)", 0, "went off duty"),
    ],
)
def test_a_worker_whose_event_loop_hangs_ends_itself(
    url: str, hang: str, code: int, told: str
) -> None:
    program = _ON_DUTY.replace("HANG", hang)
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr
