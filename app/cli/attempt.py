"""`honk try`: a task on the user's own repository, without GitHub."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.common import known_secrets, needs_playground, reports_errors
from app.cli.live import errors_console, live_progress, print_line
from app.domain.sanitize import printable, redact

if TYPE_CHECKING:
    from rich.console import Console

    from app.local.trying import TryResult

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", "d": "bold", "i": "dim"}
_DIFF_LINES = 2_000


@click.command("try")
@click.argument("task")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The checkout to work on. Honk uses its last commit.",
)
@click.option("--apply", is_flag=True, help="Put the work on a new branch of the checkout.")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A script for a scripted model. Default: the real model.",
)
@reports_errors
def try_task(task: str, repo: Path, apply: bool, script: Path | None) -> None:
    """Work on TASK in a local repository: no GitHub, no database to set up.

    TASK is what an issue would say; - reads it from stdin. The work tree is never changed.
    Progress and the result go to stderr, and the patch to stdout.

    Exits with 0 if the work is ready for review, with 1 if not.
    """
    with needs_playground():
        text = sys.stdin.read() if task == "-" else task
        if not text.strip():
            raise click.UsageError("TASK is empty.")
        sys.exit(asyncio.run(_try(text, repo, script, apply=apply)))


async def _try(task: str, repo: Path, script: Path | None, *, apply: bool) -> int:
    from app.local import checkout as checkouts
    from app.local import trying
    from app.messages import local as texts
    from app.playground.model import ModelScript

    played = ModelScript.load(script) if script else None
    checkout = await checkouts.read_checkout(repo)
    errors = errors_console()
    print_line(errors, texts.begins(str(checkout.path), checkout.head, checkout.uncommitted))
    with live_progress(errors) as progress:
        async with trying.attempt(checkout, task, played, progress.watch) as finished:
            progress.end()
            result = finished.result
            _show_patch(result.patch)
            _print_result(errors, result)
            branch = None
            if result.commit and (apply or _wants_it()):
                branch = await finished.apply()
            print_line(
                errors, texts.applied(branch, checkout, has_changes=result.commit is not None)
            )
    return 0 if result.is_ready else 1


def _wants_it() -> bool:
    """Ask people at a terminal; in a pipe nothing is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return click.confirm("Put it on a new branch?", default=False, err=True)
    except click.Abort:
        return False


def _show_patch(patch: bytes) -> None:
    """Print the exact patch to a pipe or a file, and a colored one to a terminal."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(patch)
        sys.stdout.buffer.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(markup=False, highlight=False)
    lines = patch.decode("utf-8", "replace").splitlines()
    for line in lines[:_DIFF_LINES]:
        style = _DIFF_STYLES.get(line[:1], "")
        console.print(Text(printable(line).replace("\n", " "), style=style), soft_wrap=True)
    if len(lines) > _DIFF_LINES:
        console.print(f"… {len(lines) - _DIFF_LINES:,} more lines")


def _print_result(console: Console, result: TryResult) -> None:
    from rich.table import Table
    from rich.text import Text

    from app.messages import local as texts

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    row, report = result.row, result.report
    seconds = (row.finished_at or time.time()) - row.created_at
    for name, value in texts.result(
        row.outcome, report, cost_usd=row.cost_usd, turns=row.model_turns, seconds=seconds
    ):
        table.add_row(Text(name, style="bold"), Text(redact(value, known_secrets())))
    console.print(table)
