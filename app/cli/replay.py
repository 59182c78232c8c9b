"""`honk replay`: whether a recorded run comes out the same again."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from app import settings
from app.cli.common import needs_playground, reports_errors, say
from app.cli.live import errors_console, live_progress
from app.cli.runs import found_run


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A clone that has the run's base commit. Default: the worker's own copy in HONK_HOME.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def replay(run_id: str, repo: Path | None, as_json: bool) -> None:
    """Play a run's recorded turns again, and compare the files after each turn and the verdict.

    No model is called and nothing is published: tools, setup and tests run again on this machine,
    on a simulated GitHub.

    Exits with 0 if the replay matches, and with 1 at the first difference, which it shows.
    """
    with needs_playground():
        sys.exit(asyncio.run(_replay(run_id, repo, as_json=as_json)))


async def _replay(run_id: str, repo: Path | None, *, as_json: bool) -> int:
    from app.git.mirror import Mirrors
    from app.local import replaying
    from app.messages import replay as texts

    database, row = await asyncio.to_thread(found_run, run_id)
    mirrors = Mirrors(settings.load().home_path / "mirrors")
    source = repo or mirrors.path(row.input.trigger.repository)
    with live_progress(errors_console()) as progress:
        found = await replaying.replay(database, row, source, progress.watch)
    if as_json:
        say(json.dumps(texts.as_json(found, row.id), indent=2, ensure_ascii=False))
    else:
        say(texts.compared(found, row.id))
    return 0 if found.difference is None else 1
