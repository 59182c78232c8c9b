"""One task on the user's own repository, without GitHub: `honk try`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.report import Report
from app.domain.transcript import RecordedTurn
from app.local import checkout as checkouts
from app.local.checkout import UserCheckout
from app.local.instance import Glimpse, LocalHonk, LocalIssue, local_honk, repository_name
from app.playground.model import ModelScript
from app.store.runs import RunRow

_TITLE = 120


@dataclass(frozen=True)
class TryResult:
    """How a try ended. `patch` is the diff from the checkout's head to the work; empty if nothing
    changed. `commit` is the work's commit on the simulated GitHub, if there is any.
    """

    row: RunRow
    report: Report | None
    turns: tuple[RecordedTurn, ...]
    patch: bytes
    commit: str | None

    @property
    def is_ready(self) -> bool:
        """Whether Honk would request a review: a pull request that is not a draft."""
        publication = self.report.publication if self.report else None
        return publication is not None and not publication.draft


@dataclass(frozen=True)
class FinishedTry:
    """A try whose simulated GitHub still exists, so that the work can be applied."""

    result: TryResult
    _checkout: UserCheckout
    _source: Path

    async def apply(self) -> str:
        """Put the work on a new branch of the user's repository; gives its name.

        Raises UserError.
        """
        assert self.result.commit is not None
        return await checkouts.apply_as_branch(
            self._checkout,
            self._source,
            self.result.commit,
            name=self.result.row.branch or f"honk/{self.result.row.id}",
            message=_message(self.result),
        )


@asynccontextmanager
async def attempt(
    checkout: UserCheckout,
    task: str,
    script: ModelScript | None,
    watch: Callable[[Glimpse], None],
) -> AsyncIterator[FinishedTry]:
    """Let Honk work on a task at the checkout's head; `watch` is called during the run.

    Raises UserError when Honk does not start or refuses the task.
    """
    name = repository_name(checkout.path.name)
    folder = Path(tempfile.mkdtemp(prefix="honk-try-"))
    try:
        source, branch = await checkouts.copy_of(checkout, folder / "source.git")
        scripts = None if script is None else {name: script}
        async with local_honk(scripts) as honk:
            title, body = split_task(task)
            issue = await honk.start(name, source, title, body, branch=branch)
            turns: list[RecordedTurn] = []
            async for glimpse in honk.follow(issue):
                turns += glimpse.turns
                watch(glimpse)
            result = await _result(honk, issue, glimpse.row, tuple(turns), checkout.head)
            yield FinishedTry(result, checkout, honk.git_folder(issue))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _result(
    honk: LocalHonk, issue: LocalIssue, row: RunRow, turns: tuple[RecordedTurn, ...], head: str
) -> TryResult:
    """The run's result: its published commit, or the work that was saved at the hidden ref."""
    source = honk.git_folder(issue)
    commit = await honk.work_commit(issue, row)
    patch = await checkouts.diff(source, head, commit) if commit else b""
    report = await honk.report(row)
    return TryResult(row, report, turns, patch, commit if patch else None)


def split_task(task: str) -> tuple[str, str]:
    """Title and text of an issue: the first line, cut if it is long, and everything."""
    lines = task.strip().splitlines()
    first = " ".join(lines[0].lstrip("# ").split()) if lines else ""
    title = first if len(first) <= _TITLE else f"{first[: _TITLE - 1].rstrip()}…"
    rest = "\n".join(lines[1:]).strip() if title == first else task.strip()
    return title or "Work to do", rest


def _message(result: TryResult) -> str:
    """The commit's message: the task, and the agent's summary."""
    title = result.row.input.trigger.title
    work = result.report.work if result.report else None
    said = work.text if work and work.ending == "done" else "The work is not finished."
    return f"{title}\n\n{said}\n\nHonk-Run: {result.row.id}\n"
