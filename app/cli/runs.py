"""`honk runs`: what Honk has done and is doing, and the buttons of a run in the terminal."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from app.cli.common import open_database, reports_errors, say, show
from app.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from app.domain.report import Report
    from app.domain.transcript import RecordedTurn
    from app.store.database import Database
    from app.store.runs import RunRow

_POLL_SECONDS = 0.5

_STYLES = {"thinking": "dim italic", "text": "", "call": "cyan", "output": "dim", "error": "red"}


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """List, inspect and steer runs: list, show, log, stop, continue, retry."""
    if context.invoked_subcommand is None:
        context.invoke(list_runs)


@runs.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def list_runs(limit: int, as_json: bool) -> None:
    """List the latest runs."""
    from app.store.runs import Runs

    database = open_database()
    rows = [] if database is None else asyncio.run(Runs(database).latest(limit))
    if as_json:
        say(json.dumps([_facts_of(row) for row in rows], indent=2, ensure_ascii=False))
    elif rows:
        show(_list_table(rows))
    else:
        click.echo("No runs yet.")


def _list_table(rows: list[RunRow]) -> RenderableType:
    from rich.table import Table

    from app.messages import runs as texts

    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(
            row.id,
            texts.when(row.created_at)[:-3],
            row.outcome or row.phase,
            texts.money(row.cost_usd),
            row.subject,
        )
    return table


@runs.command("show")
@click.argument("run_id")
@click.option("-f", "--follow", is_flag=True, help="Update until the run ends.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; one line each with -f.")
@reports_errors
def show_run(run_id: str, follow: bool, as_json: bool) -> None:
    """Show one run: request, phases with times, cost, verdict."""
    asyncio.run(_show(*found_run(run_id), follow=follow, as_json=as_json))


async def _show(database: Database, row: RunRow, *, follow: bool, as_json: bool) -> None:
    from app.store.reports import Reports

    reports = Reports(database)
    async for now in _changes(database, row, follow=follow):
        report = await reports.of(now.id, now.attempt) if now.finished_at else None
        if as_json:
            said = report.model_dump(mode="json") if report else None
            facts = {**_facts_of(now), "report": said}
            say(json.dumps(facts, indent=None if follow else 2, ensure_ascii=False))
        elif now.finished_at is None and follow and not sys.stdout.isatty():
            say(_progress_line(now))
        else:
            if follow and sys.stdout.isatty():
                click.clear()
            show(*_shown(now, report))


async def _changes(database: Database, row: RunRow, *, follow: bool) -> AsyncIterator[RunRow]:
    """The run now and, with `follow`, after each change until it has ended."""
    from app.store.runs import Runs

    yield row
    while follow and row.finished_at is None:
        await asyncio.sleep(_POLL_SECONDS)
        now = await Runs(database).get(row.id)
        if now.updated_at != row.updated_at or now.model_turns != row.model_turns:
            row = now
            yield row


def _progress_line(row: RunRow) -> str:
    from app.messages import runs as texts

    turns = f"{row.model_turns} turns, {texts.money(row.cost_usd)}"
    return f"{texts.when(row.updated_at)}  {row.phase:<10}  {turns}"


def _facts_of(row: RunRow) -> dict[str, Any]:
    """A run as JSON data: everything recorded, with the request but without its context."""
    context = {"input": {"context", "manifest"}}
    return row.model_dump(mode="json", exclude=context)


def _shown(row: RunRow, report: Report | None) -> list[RenderableType]:
    from app.domain.run import Phase
    from app.messages import runs as texts
    from app.messages.formatting import duration

    end = row.finished_at or time.time()
    facts = [
        ("run", f"{row.id}, attempt {row.attempt}"),
        ("state", texts.status(row.phase, row.outcome, row.input.mode)),
        *texts.request(row.input),
        ("requested at", f"{texts.when(row.created_at)} UTC"),
        ("took" if row.finished_at else "so far", duration(max(0.0, end - row.created_at))),
        ("cost", f"{texts.money(row.cost_usd)}, {row.model_turns} model turns"),
        ("base commit", texts.commit(row.base_sha)),
        ("branch", row.branch or ""),
        ("commit", texts.commit(row.published_sha)),
        ("pull request", row.pull_url or ""),
    ]
    if report is not None:
        facts += texts.ending(report)
    phases = [(Phase(name), at) for name, at in row.phases or []]
    parts = [_grid([each for each in facts if each[1]])]
    if phases:
        parts += ["", _grid(texts.phase_rows(phases, end), heads=("phase", "began (UTC)", "took"))]
    if row.plan:
        marks = [("done" if item.get("done") else "open", str(item["text"])) for item in row.plan]
        parts += ["", _grid(marks, heads=("plan", ""))]
    return parts


def _grid(rows: list[Any], heads: tuple[str, ...] = ()) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from app.domain.sanitize import printable

    table = Table.grid(padding=(0, 2))
    for _ in heads or rows[:1]:
        table.add_column(overflow="fold")
    if heads:
        table.add_row(*(Text(head, style="bold") for head in heads))
    for first, *others in rows:
        table.add_row(Text(first, style="dim"), *(Text(printable(each)) for each in others))
    return table


@runs.command("log")
@click.argument("run_id")
@click.option("-f", "--follow", is_flag=True, help="Print new turns until the run ends.")
@click.option("--full", is_flag=True, help="Print long outputs in full.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON record per line.")
@reports_errors
def log_run(run_id: str, follow: bool, full: bool, as_json: bool) -> None:
    """Print what the model and its tools said and did."""
    database = open_database()
    if database is None or not asyncio.run(
        _log(database, run_id, follow=follow, full=full, as_json=as_json)
    ):
        raise _no_such_run(run_id)


async def _log(database: Database, run_id: str, *, follow: bool, full: bool, as_json: bool) -> bool:
    """Print the transcript; False where there is neither a turn nor a live run."""
    from app.domain.transcript import read_turn
    from app.domain.values import RunId
    from app.store.runs import Runs
    from app.store.turns import Turns

    turns, last, any_turn = Turns(database, RunId(run_id)), -1, False
    while True:
        row = await Runs(database).find(run_id)
        is_live = row is not None and row.finished_at is None
        for record, at in await turns.stored(after=last):
            any_turn, last = True, int(record["seq"])
            if as_json:
                say(json.dumps({**record, "at": at}, ensure_ascii=False))
            else:
                _print_turn(read_turn(record, at), whole=full)
        if not (follow and is_live):
            return any_turn or row is not None
        await asyncio.sleep(_POLL_SECONDS)


def _print_turn(turn: RecordedTurn, *, whole: bool) -> None:
    from rich.text import Text

    from app.messages import runs as texts

    lines = [Text(texts.turn_head(turn), style="bold")]
    lines += [Text(line, style=_STYLES[kind]) for kind, line in texts.turn_lines(turn, whole=whole)]
    show(*lines, "")


@runs.command("stop")
@click.argument("run_id")
@reports_errors
def stop_run(run_id: str) -> None:
    """End a live run. Its work so far is saved."""
    asyncio.run(_ask(*found_run(run_id), "stop"))


@runs.command("continue")
@click.argument("run_id")
@reports_errors
def continue_run(run_id: str) -> None:
    """Resume a run where it ended, as `/honk continue` does.

    A worker does it on behalf of the person who asked for the run, whose permission is checked
    again.
    """
    asyncio.run(_ask(*found_run(run_id), "continue"))


@runs.command("retry")
@click.argument("run_id")
@reports_errors
def retry_run(run_id: str) -> None:
    """Start a new run of the same request, as `/honk retry` does.

    A worker does it on behalf of the person who asked for the run, whose permission is checked
    again.
    """
    asyncio.run(_ask(*found_run(run_id), "retry"))


async def _ask(database: Database, row: RunRow, action: str) -> None:
    """Pass a request about a run to the workers. Raises UserError if it is impossible now."""
    from app.messages import runs as texts
    from app.runs import steering

    await steering.ask(database, row, action)
    say(texts.asked(action, row.id))


def found_run(run_id: str) -> tuple[Database, RunRow]:
    """Raises UserError without such a run."""
    from app.store.runs import Runs

    database = open_database()
    row = None if database is None else asyncio.run(Runs(database).find(run_id))
    if database is None or row is None:
        raise _no_such_run(run_id)
    return database, row


def _no_such_run(run_id: str) -> UserError:
    return UserError(f"There is no run {run_id!r}.", next_step="`honk runs` lists them.")
