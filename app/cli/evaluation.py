"""`honk eval`: tasks with hidden tests, and comparing two evaluations."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app import logs, settings
from app.cli.common import needs_playground, readable_repository, reports_errors, say
from app.errors import UserError

if TYPE_CHECKING:
    from app.domain.evaluation import EvalReport, TaskResult

_REPORT = "report.json"


class _FileOrCommand(click.Group):
    """`honk eval FILE` is `honk eval run FILE`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group("eval", cls=_FileOrCommand)
def evaluate() -> None:
    """Measure Honk on tasks with hidden tests: eval FILE, compare A B, from-history OWNER/REPO."""


@evaluate.command("run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="Default: FILE.eval."
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=1, help="Number of concurrent tasks."
)
@click.option(
    "--repos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with clones of the repositories that tasks name as OWNER/NAME.",
)
@click.option("--only", help="Only tasks with this in their id.")
@click.option("--scripted", is_flag=True, help="Use each task's script instead of a model.")
@click.option("--gold", is_flag=True, help="Grade the tasks' own solutions, without an agent.")
@click.option("--again", is_flag=True, help="Ignore earlier results.")
@click.option("--name", default="", help="The name in the report. Default: model and engine.")
@reports_errors
def run_tasks(
    file: Path,
    out: Path | None,
    jobs: int,
    repos: Path | None,
    only: str | None,
    scripted: bool,
    gold: bool,
    again: bool,
    name: str,
) -> None:
    """Run the tasks of FILE through the real product, and grade them.

    FILE is SWE-bench's JSON or JSON lines, or a short YAML (docs/evaluation.md). GitHub is
    simulated; the hidden tests run in the sandbox afterwards. An interrupted evaluation resumes.

    Exits with 0 when every task has a result, and with 1 when some could not be graded.
    """
    if scripted and gold:
        raise click.UsageError("--scripted and --gold cannot be used together.")
    with needs_playground():
        from app.evaluation.running import EvalOptions, Evaluation
        from app.evaluation.tasks import read_tasks

        found = settings.load()
        logs.configure(level="warning", form=found.log_format, secrets=found.secrets)
        tasks = [each for each in read_tasks(file) if not only or only in each.id]
        if not tasks:
            raise UserError(f"No task of {file} has {only} in its id.")
        options = EvalOptions(
            out=out or file.with_name(f"{file.name}.eval"),
            jobs=jobs,
            clones=repos or _beside(file),
            scripted=scripted,
            gold=gold,
            again=again,
            by=name,
        )
        evaluation = Evaluation(file.name, tasks, found, options)
        with _progress(len(tasks)) as watch:
            try:
                report = asyncio.run(evaluation.run(watch))
            finally:
                if evaluation.results:
                    _write(options.out, evaluation.report())
    from app.messages import evaluation as texts

    say(texts.as_markdown(report))
    say(f"Written to {options.out}.", err=True)
    sys.exit(0 if len(report.completed) == report.total else 1)


def _beside(file: Path) -> Path | None:
    """The commits that `from-history` stores next to its tasks."""
    folder = file.parent / "repositories"
    return folder if folder.is_dir() else None


def _write(out: Path, report: EvalReport) -> None:
    """The report as JSON and Markdown, and the patches in SWE-bench's form of predictions."""
    from app.messages import evaluation as texts

    facts = json.dumps(texts.as_json(report), indent=2, ensure_ascii=False)
    (out / _REPORT).write_text(facts + "\n", "utf-8")
    (out / "report.md").write_text(texts.as_markdown(report), "utf-8")
    lines = [
        json.dumps(
            {
                "instance_id": each.id,
                "model_name_or_path": report.by,
                "model_patch": each.patch,
            },
            ensure_ascii=False,
        )
        for each in report.results
    ]
    (out / "predictions.jsonl").write_text("\n".join([*lines, ""]), "utf-8")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[TaskResult], None]]:
    """A bar on a terminal, and a line for each result."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from app.messages import evaluation as texts

    console = Console(stderr=True, markup=False, highlight=False)
    done = 0
    bar: Any = Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
    )
    with bar:
        task = bar.add_task("", total=total)

        def watch(result: TaskResult) -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            bar.console.print(texts.progress(done, total, result), soft_wrap=True)

        yield watch


@evaluate.command("compare")
@click.argument("first", metavar="A", type=click.Path(exists=True, path_type=Path))
@click.argument("second", metavar="B", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def compare(first: Path, second: Path, as_json: bool) -> None:
    """Compare two evaluations of the same tasks: is the difference significant?

    A and B are folders of evaluations, or their report.json.
    """
    from app.messages import evaluation as texts

    reports = [_read(each) for each in (first, second)]
    if as_json:
        say(json.dumps(texts.comparison(*reports), indent=2, ensure_ascii=False))
    else:
        say(texts.compared(*reports))


def _read(path: Path) -> EvalReport:
    """Raises UserError if it is not a report of this version."""
    from app.domain.evaluation import EvalReport

    file = path / _REPORT if path.is_dir() else path
    try:
        return EvalReport.model_validate(json.loads(file.read_text("utf-8"))["report"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{file} is not the report of an evaluation.",
            next_step="Give the folder that `honk eval` wrote, or the report.json in it.",
        ) from None


@evaluate.command("from-history")
@click.argument("repository", metavar="OWNER/REPO")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Look at the last N merged pull requests.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Default: OWNER-REPO.history.",
)
@reports_errors
def from_history(repository: str, last: int, out: Path | None) -> None:
    """Make tasks from a repository's own merged pull requests.

    The problem is the issue that a pull request closed, as it was when that was opened; its tests
    are hidden, and its change is the known solution, which is tested three times. GitHub is only
    read. An interrupted start resumes.

    Exits with 0 if there is a task, with 1 if not.
    """
    with needs_playground():
        sys.exit(asyncio.run(_from_history(repository, last, out)))


async def _from_history(repository: str, last: int, out: Path | None) -> int:
    from app.evaluation import history
    from app.messages import evaluation as texts
    from app.runs import pull_report as collecting
    from app.worker import services_for_once

    found = settings.load()
    logs.configure(level="warning", form=found.log_format, secrets=found.secrets)
    repo = readable_repository(repository, found)
    folder = out or Path(f"{repo.owner}-{repo.name}.history")
    async with services_for_once(found) as services:
        target = await collecting.target(services, repo)
        chosen = await collecting.select(target, collecting.Selection(None, last))
        done = 0

        def watch(result: history.FromHistory) -> None:
            nonlocal done
            done += 1
            is_task = result.task is not None
            line = texts.looked_at(done, len(chosen), result.number, result.why_not, is_task)
            say(line, err=True)

        results = await history.from_history(services, target, chosen, folder, watch)
    made = sum(each.task is not None for each in results)
    say(texts.from_history(made, len(results), str(folder / "tasks.jsonl")))
    return 0 if made else 1
