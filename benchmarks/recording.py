"""`python -m benchmarks.recording serve`: the product, with what it asks of its database counted.

RECORDING names a file that holds, as JSON and up to date within a moment, for each statement: how
often it was asked, for how many seconds, how many steps SQLite's machine made for it (in hundreds;
0 on Postgres), and the parameters that it had last.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from app.cli import main

STEPS = 100
_WRITE_SECONDS = 0.2


class Recording:
    """The statements so far."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def asked(self, statement: str, parameters: Any, seconds: float) -> None:
        with self._lock:
            seen = self._seen(statement)
            seen["count"] += 1
            seen["seconds"] += seconds
            seen["parameters"] = parameters

    def stepped(self, statement: str) -> None:
        with self._lock:
            self._seen(statement)["steps"] += 1

    def keep_writing(self, path: Path) -> None:
        """For as long as the process lives."""
        while True:
            with self._lock:
                text = json.dumps(self._asked, default=_plain)
            new = path.with_suffix(".new")
            new.write_text(text)
            new.rename(path)
            time.sleep(_WRITE_SECONDS)

    def _seen(self, statement: str) -> dict[str, Any]:
        fresh = {"count": 0, "seconds": 0.0, "steps": 0, "parameters": None}
        return self._asked.setdefault(statement, fresh)


def _plain(value: Any) -> str:
    """Values that JSON cannot represent: Postgres's driver wraps values of JSON columns."""
    return json.dumps(value.obj) if hasattr(value, "obj") else str(value)


def install(recording: Recording) -> None:
    """Listen to every engine of this process."""

    def connected(connection: Any, record: Any) -> None:
        now: dict[str, Any] = {"statement": "", "began": 0.0}
        record.info["now"] = now
        if hasattr(connection, "set_progress_handler"):
            connection.set_progress_handler(lambda: recording.stepped(now["statement"]), STEPS)

    def before(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        connection.info["now"].update(statement=statement, began=time.perf_counter())

    def after(connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seconds = time.perf_counter() - connection.info["now"]["began"]
        recording.asked(statement, parameters, seconds)

    event.listen(sa.pool.Pool, "connect", connected)
    event.listen(sa.Engine, "before_cursor_execute", before)
    event.listen(sa.Engine, "after_cursor_execute", after)


if __name__ == "__main__":
    kept = Recording()
    install(kept)
    path = Path(os.environ["RECORDING"])
    threading.Thread(target=kept.keep_writing, args=(path,), daemon=True).start()
    main()
