"""`python -m tests.faults.dying worker`: the product, which kills itself at a given point.

The engine's own recording of steps is wrapped, and no code of Honk. Where to die is read from
files, so that a process can serve several points:

    FAULTS_DIR/point    a `Point` as JSON, and how often; without the file, nothing dies
    FAULTS_DIR/killed   one line for each death FAULTS_DIR/steps    one line for each step that
    began, to find out which points there are
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dbos import DBOS

from app.cli import main

FOLDER = "FAULTS_DIR"
WHENS = ("before", "during", "after")
"""During: the step's effect has happened, but is not recorded yet."""


def install(folder: Path) -> None:
    """Look before and after every step whether this is the point."""
    original = DBOS.run_step_async
    counts: Counter[tuple[str, str]] = Counter()

    async def run_step(options: Any, function: Callable[[], Awaitable[Any]]) -> Any:
        workflow, name = str(DBOS.workflow_id), str(options["name"])
        counts[workflow, name] += 1
        step = [_kind(workflow), name, counts[workflow, name]]
        _append(folder / "steps", json.dumps(step))

        async def done() -> Any:
            result = await function()
            _die_if(folder, [*step, "during"])
            return result

        _die_if(folder, [*step, "before"])
        answer = await original(options, done)
        _die_if(folder, [*step, "after"])
        return answer

    DBOS.run_step_async = run_step  # type: ignore[method-assign, assignment]


def _kind(workflow: str) -> str:
    return "intake" if workflow.startswith("intake:") else "attempt"


def _die_if(folder: Path, here: list[Any]) -> None:
    try:
        told = json.loads((folder / "point").read_text())
    except FileNotFoundError:
        return
    if told["point"] != here:
        return
    with (folder / "killed").open("a+") as deaths:
        fcntl.flock(deaths, fcntl.LOCK_EX)
        deaths.seek(0)
        if len(deaths.readlines()) >= told["times"]:
            return
        deaths.write(f"{os.getpid()}\n")
        deaths.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    install(Path(os.environ[FOLDER]))
    main()
