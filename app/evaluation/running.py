"""An evaluation: each task through the real product, then graded. It resumes where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app import __version__
from app.domain.evaluation import (
    EvalReport,
    EvalTask,
    TaskResult,
)
from app.domain.report import Report
from app.domain.run import Outcome
from app.errors import HonkError, UserError
from app.evaluation import sources
from app.evaluation.grading import Graded, Grader
from app.local import checkout as checkouts
from app.local.checkout import run_git
from app.local.instance import LocalHonk, LocalIssue, local_honk, repository_name
from app.local.trying import split_task
from app.playground.model import ModelScript, Responder
from app.settings import Settings
from app.store.runs import RunRow
from app.worker import services_for_once

GOLD = "the known solutions"
"""The name in reports when the tasks' own solutions are graded, to check the tasks."""

_SAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NO_TEST = "no test of the task was reported"


@dataclass(frozen=True)
class EvalOptions:
    """How to evaluate. `out` is the folder for results; `clones` has clones of repositories that
    are named `owner/name`. `scripted`: use each task's script instead of a model. `gold`: grade the
    tasks' own solutions, without an agent. `again`: ignore existing results."""

    out: Path
    jobs: int = 1
    clones: Path | None = None
    scripted: bool = False
    gold: bool = False
    again: bool = False
    by: str = ""


@dataclass(frozen=True)
class _Prepared:
    """A task with its repository `place` and the commit `base` in it. `fingerprint` identifies
    results of the same task, code and worker.
    """

    task: EvalTask
    place: Path
    base: str
    fingerprint: str


@dataclass
class Evaluation:
    """The tasks of one file and their results so far."""

    name: str
    tasks: Sequence[EvalTask]
    settings: Settings
    options: EvalOptions
    results: dict[str, TaskResult] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """The name in reports of who works on the tasks."""
        if self.options.by:
            return self.options.by
        if self.options.gold:
            return GOLD
        if self.options.scripted:
            return "the tasks' scripts"
        return f"{self.settings.model} ({self.settings.engine})"

    def report(self) -> EvalReport:
        """The results so far, in the order of the tasks."""
        known = [self.results[each.id] for each in self.tasks if each.id in self.results]
        return EvalReport(
            name=self.name,
            by=self.by,
            honk=__version__,
            total=len(self.tasks),
            results=tuple(known),
        )

    async def run(self, watch: Callable[[TaskResult], None]) -> EvalReport:
        """Run and grade all tasks without a result; `watch` gets each result.

        Raises UserError when Honk or a sandbox cannot be started, or a script is missing.
        """
        without = [each.id for each in self.tasks if self.options.scripted and not each.script]
        if without:
            raise UserError(
                f"{without[0]} has no `script`.", next_step="Leave out --scripted for a real model."
            )
        self.options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="honk-eval-") as scratch:
            places = _places(self.tasks, Path(scratch))
            prepared = [
                each
                for task in self.tasks
                if (each := await self._prepared(task, places[task.id], watch)) is not None
            ]
            left = [each for each in prepared if not self._is_known(each, watch)]
            if left:
                async with services_for_once(self.settings) as services:
                    await self._work(left, Grader(services), watch)
        return self.report()

    async def _prepared(
        self, task: EvalTask, place: Path, watch: Callable[[TaskResult], None]
    ) -> _Prepared | None:
        """The task with its repository; None if that is missing, which the result says."""
        clones, cache = self.options.clones, self.options.out / "repositories"
        url = self.settings.github_server_url
        try:
            base = await sources.prepare(task, place, clones, cache, url)
            script = Path(task.script).read_text("utf-8") if self.options.scripted else ""
        except (HonkError, OSError) as problem:
            self._conclude(_failure(task, problem), watch)
            return None
        return _Prepared(task, place, base, task.fingerprint(self._key(base, script)))

    def _is_known(self, prepared: _Prepared, watch: Callable[[TaskResult], None]) -> bool:
        """Whether an earlier call has a result; infrastructure failures are retried."""
        if self.options.again:
            return False
        try:
            text = self._file(prepared.task.id).read_text("utf-8")
            result = TaskResult.model_validate_json(text)
        except (OSError, ValueError):
            return False
        if result.fingerprint != prepared.fingerprint or result.status == "infra_failure":
            return False
        self.results[result.id] = result
        watch(result)
        return True

    async def _work(
        self, left: Sequence[_Prepared], grader: Grader, watch: Callable[[TaskResult], None]
    ) -> None:
        async with contextlib.AsyncExitStack() as stack:
            honk = None
            if not self.options.gold:
                scripts = self._scripts(left)
                jobs = self.options.jobs
                honk = await stack.enter_async_context(local_honk(scripts, concurrency=jobs))
            slots = asyncio.Semaphore(self.options.jobs)

            async def one(prepared: _Prepared) -> None:
                async with slots:
                    self._conclude(await _result(prepared, honk, grader), watch)

            async with asyncio.TaskGroup() as group:
                for each in left:
                    group.create_task(one(each))

    def _scripts(self, left: Sequence[_Prepared]) -> dict[str, Responder] | None:
        if not self.options.scripted:
            return None
        return {each.place.stem: ModelScript.load(Path(each.task.script)) for each in left}

    def _key(self, base: str, script: str) -> str:
        """A digest of the worker, the task's code and Honk's version, which results depend on."""
        names = ("HONK_MODEL", "HONK_ENGINE", "ANTHROPIC_BASE_URL")
        chosen = [os.environ.get(name, "") for name in names]
        return json.dumps([self.by, __version__, self.settings.model, base, script, *chosen])

    def _conclude(self, result: TaskResult, watch: Callable[[TaskResult], None]) -> None:
        """Store a result, so that another call does not run the task again."""
        self.results[result.id] = result
        path = self._file(result.id)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(result.model_dump_json(indent=2), "utf-8")
        partial.replace(path)
        watch(result)

    def _file(self, task: str) -> Path:
        return self.options.out / "results" / f"{_SAFE.sub('-', task)}.json"


async def _result(prepared: _Prepared, honk: LocalHonk | None, grader: Grader) -> TaskResult:
    """Run one task and grade it. An error on the way is an infrastructure failure."""
    task, place, base = prepared.task, prepared.place, prepared.base
    try:
        if honk is None:
            attempt = await _gold(task, place, base)
        else:
            attempt = await _attempt(task, place, base, honk)
        result = await _graded(task, place, base, attempt, grader)
    except (HonkError, OSError) as problem:
        result = _failure(task, problem)
    return result.model_copy(update={"fingerprint": prepared.fingerprint})


def _failure(task: EvalTask, problem: Exception) -> TaskResult:
    return TaskResult(id=task.id, status="infra_failure", reason=str(problem)[:1000])


def _places(tasks: Sequence[EvalTask], scratch: Path) -> dict[str, Path]:
    """A bare repository's path for each task. Its name is also used on the simulated GitHub, and
    does not reveal the task.
    """
    names: list[str] = []
    for task in tasks:
        names.append(repository_name(Path(task.repository).name, names))
    return {task.id: scratch / f"{name}.git" for task, name in zip(tasks, names, strict=True)}


@dataclass(frozen=True)
class _Attempt:
    """The result of a task: its commit in the task's repository, if anything changed."""

    commit: str | None
    row: RunRow | None = None
    report: Report | None = None


async def _gold(task: EvalTask, place: Path, base: str) -> _Attempt:
    if not task.gold:
        raise UserError("The task has no known solution (`patch`).")
    return _Attempt(await sources.with_gold(task, place, base))


async def _attempt(task: EvalTask, place: Path, base: str, honk: LocalHonk) -> _Attempt:
    """Let Honk work on the task, and fetch the result. Raises UserError when Honk fails."""
    title, body = (task.title, task.problem) if task.title else split_task(task.problem)
    issue = await honk.start(place.stem, place, title, body, branch=sources.BRANCH)
    async for glimpse in honk.follow(issue):
        row = glimpse.row
    report = await honk.report(row)
    is_refusal = report is not None and report.work is not None
    if row.outcome is Outcome.ERROR and not is_refusal:
        raise UserError(report.problem if report and report.problem else "Honk's run failed.")
    return _Attempt(await _fetched(honk, issue, row, place, base), row, report)


async def _fetched(
    honk: LocalHonk, issue: LocalIssue, row: RunRow, place: Path, base: str
) -> str | None:
    """The work's commit, now in the task's repository; None if it changes nothing."""
    commit = await honk.work_commit(issue, row)
    if commit is None:
        return None
    options = ("--quiet", "--no-tags", "--no-write-fetch-head")
    source = str(honk.git_folder(issue))
    await run_git(place, "fetch", *options, source, commit, check=True)
    return commit if await checkouts.diff(place, base, commit) else None


async def _graded(
    task: EvalTask, place: Path, base: str, attempt: _Attempt, grader: Grader
) -> TaskResult:
    facts = _facts(task, attempt)
    if attempt.commit is None:
        return facts.model_copy(update={"status": "empty_patch", "reason": _why_empty(attempt)})
    graded = await grader.grade(task, place, base, attempt.commit)
    patch = (await checkouts.diff(place, base, attempt.commit)).decode("utf-8", "replace")
    files = await _changed(place, base, attempt.commit)
    change: dict[str, object] = {"grade": graded.grade, "patch": patch, "files": files}
    if task.gold:
        gold = await sources.with_gold(task, place, base)
        known = {*(await _changed(place, base, gold)), *task.tests}
        change["files_beyond_gold"] = tuple(each for each in files if each not in known)
    change |= await _status(task, place, base, attempt.commit, graded, grader)
    return facts.model_copy(update=change)


async def _status(
    task: EvalTask, place: Path, base: str, work: str, graded: Graded, grader: Grader
) -> dict[str, object]:
    """The status and the reason. If no test was reported, the known solution shows what is at
    fault.
    """
    if graded.grade.is_full:
        return {"status": "resolved"}
    if graded.reported:
        failed, broken = len(graded.grade.not_fixed), len(graded.grade.broken)
        parts = [f"{failed} not fixed"] if failed else []
        parts += [f"{broken} broken"] if broken else []
        return {"status": "unresolved", "reason": ", ".join(parts)}
    why = f"{_NO_TEST}: {graded.problem}" if graded.problem else _NO_TEST
    if graded.others:
        why += f"; names here are like {graded.others[0]!r}"
    if not task.gold:
        return {"status": "ambiguous_failure", "reason": why}
    solution = await sources.with_gold(task, place, base)
    # If the work is the known solution itself, it has just been tested.
    if solution != work and (await grader.grade(task, place, base, solution)).grade.is_full:
        return {"status": "unresolved", "reason": why}
    return {"status": "infra_failure", "reason": f"{why}; the known solution fails here, too"}


def _facts(task: EvalTask, attempt: _Attempt) -> TaskResult:
    row, report = attempt.row, attempt.report
    if row is None:
        return TaskResult(id=task.id, status="unresolved")
    publication = report.publication if report else None
    return TaskResult(
        id=task.id,
        status="unresolved",
        outcome=row.outcome.value if row.outcome else "",
        verdict=report.verdict.title if report and report.verdict else "",
        flags=report.flags if report else (),
        ready=publication is not None and not publication.draft,
        cost_usd=row.cost_usd,
        turns=row.model_turns,
        seconds=round((row.finished_at or row.updated_at) - row.created_at, 1),
    )


def _why_empty(attempt: _Attempt) -> str:
    work = attempt.report.work if attempt.report else None
    if work is not None and work.ending == "question":
        return "it asked a question"
    return f"it ended with: {work.ending}" if work is not None else "nothing was changed"


async def _changed(place: Path, base: str, commit: str) -> tuple[str, ...]:
    found = await run_git(
        place, "diff", "--name-only", "-z", "--no-renames", base, commit, check=True
    )
    return tuple(os.fsdecode(each) for each in found.output.split(b"\0") if each)
