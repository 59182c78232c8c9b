"""Tasks from a repository's own merged pull requests: `honk eval from-history`.

A pull request becomes a task if it says which issue it closes and changes tests and other files.
The problem is the issue as it was when the pull request was opened; later text may contain the
answer. The pull request's own change is the known solution, which must pass each time.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from app.domain.evaluation import EvalTask
from app.domain.values import CommitSha, RepoName, Value
from app.domain.verdict import TestOutcome
from app.errors import UserError
from app.evaluation import sources
from app.evaluation.grading import Grader
from app.git.command import GitError
from app.github import issue_history
from app.github.issue_history import IssueText
from app.github.pulls import ListedPull
from app.integrity import paths
from app.local import checkout as checkouts
from app.local.checkout import run_git
from app.runs import replay
from app.runs.pull_report import ReportTarget
from app.runs.services import READ_SUBJECT, Services

GOLD_RUNS = 3
"""How many times the known solution is tested; a test whose result varies is left out."""

_KEYWORD = r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+"
_PASSED = TestOutcome.PASSED


class FromHistory(Value):
    """The result for one pull request: a task in SWE-bench's format, or why there is none."""

    number: int
    head: str
    task: dict[str, Any] | None = None
    why_not: str = ""


async def from_history(
    services: Services,
    found: ReportTarget,
    chosen: Sequence[ListedPull],
    out: Path,
    watch: Callable[[FromHistory], None],
) -> list[FromHistory]:
    """Make tasks of merged pull requests and write them to `out`, with the commits they need.

    Pull requests that an earlier call has handled are not tested again. Raises UserError when
    GitHub cannot be read or no sandbox can be made.
    """
    out.mkdir(parents=True, exist_ok=True)
    known = _known(out / "history.jsonl")
    results: list[FromHistory] = []
    for pull in chosen:
        result = known.get((pull.number, pull.head_sha))
        if result is None:
            result = await _decided(services, found, pull, out)
            with (out / "history.jsonl").open("a", encoding="utf-8") as file:
                file.write(result.model_dump_json() + "\n")
        results.append(result)
        watch(result)
    lines = [json.dumps(each.task, ensure_ascii=False) for each in results if each.task]
    (out / "tasks.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return results


def _known(path: Path) -> dict[tuple[int, str], FromHistory]:
    found = {}
    if path.is_file():
        for line in path.read_text("utf-8").split("\n"):
            try:
                result = FromHistory.model_validate_json(line)
            except ValueError:
                continue
            found[result.number, result.head] = result
    return found


async def _decided(
    services: Services, found: ReportTarget, pull: ListedPull, out: Path
) -> FromHistory:
    try:
        task = await _task(services, found, pull, out)
    except (UserError, GitError) as problem:
        return FromHistory(number=pull.number, head=pull.head_sha, why_not=str(problem))
    return FromHistory(number=pull.number, head=pull.head_sha, task=task)


async def _task(
    services: Services, found: ReportTarget, pull: ListedPull, out: Path
) -> dict[str, Any]:
    """Raises UserError with the reason when there is none."""
    problem = await _problem(services, found, pull)
    base = await replay.base_before_merge(services, found, pull)
    mirror = services.mirrors.path(found.repo)
    tests, others = await _changed_files(mirror, base, pull.head_sha)
    task = EvalTask(
        id=f"{found.repo.owner}__{found.repo.name}-{pull.number}",
        repository=str(found.repo),
        base=base,
        problem=f"{problem.title}\n\n{problem.body}",
        test_patch=await _patch(mirror, base, pull.head_sha, tests),
        gold=await _patch(mirror, base, pull.head_sha, others),
        fail_to_pass=(),
    )
    task = await _verified(services, task, mirror, base, tests)
    await _keep(mirror, out / "repositories", found.repo, base)
    return _as_instance(task, pull.created_at)


async def _problem(services: Services, found: ReportTarget, pull: ListedPull) -> IssueText:
    number = closed_issue(f"{pull.title}\n{pull.body}", found.repo)
    if number is None:
        raise UserError("it does not say which issue it closes")
    client = await services.github.repository(found.installation, found.repo, READ_SUBJECT)
    text = await issue_history.text_at(client, number, pull.created_at)
    if text is None:
        raise UserError(f"#{number} is no issue, or GitHub does not have its text of that time")
    return text


def closed_issue(text: str, repo: RepoName) -> int | None:
    """The first issue of this repository that a pull request's text says it closes."""
    name = re.escape(str(repo))
    place = rf"(?:#|{name}#|https://[^\s/]+/{name}/issues/)(\d{{1,9}})\b"
    found = re.search(_KEYWORD + place, text, re.IGNORECASE)
    return int(found[1]) if found else None


async def _changed_files(mirror: Path, base: str, head: str) -> tuple[list[str], list[str]]:
    """The test files of a change, and its other files. Raises UserError without either."""
    options = ("--name-only", "-z", "--no-renames")
    done = await run_git(mirror, "diff", *options, base, head, check=True)
    names = [os.fsdecode(each) for each in done.output.split(b"\0") if each]
    tests = [name for name in names if _is_hidden(name)]
    others = [name for name in names if not _is_hidden(name)]
    if not any(paths.is_test(name) for name in tests):
        raise UserError("it changes no test")
    if not others:
        raise UserError("it changes only tests")
    return tests, others


def _is_hidden(name: str) -> bool:
    return paths.is_test(name) or paths.is_test_support(name) or paths.is_test_data(name)


async def _patch(mirror: Path, base: str, head: str, names: Sequence[str]) -> str:
    """Raises UserError for a patch that is not text."""
    options = ("--binary", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
    literal = [f":(top,literal){name}" for name in names]
    done = await run_git(mirror, "diff", *options, base, head, "--", *literal, check=True)
    try:
        return done.output.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError("its change is not UTF-8") from None


async def _verified(
    services: Services, task: EvalTask, mirror: Path, base: CommitSha, tests: Sequence[str]
) -> EvalTask:
    """The task with its two lists of tests. Raises UserError if the tests prove nothing."""
    grader = Grader(services)
    with tempfile.TemporaryDirectory(prefix="honk-history-") as scratch:
        folder = Path(scratch) / f"{task.id}.git"
        await checkouts.make_bare(mirror, folder, base, sources.BRANCH)
        gold = await sources.with_gold(task, folder, base)
        files = [name for name in tests if paths.is_test(name)]
        before = await grader.outcomes(task, folder, base, base, files)
        runs = [await grader.outcomes(task, folder, base, gold, files) for _ in range(GOLD_RUNS)]
    stable = {name for name in runs[0] if all(run.get(name) is _PASSED for run in runs)}
    fixed = sorted(name for name in stable if before.get(name) is not _PASSED)
    kept = sorted(name for name in stable if before.get(name) is _PASSED)
    if not fixed:
        raise UserError("no test fails before it and passes with it each time")
    return task.model_copy(update={"fail_to_pass": tuple(fixed), "pass_to_pass": tuple(kept)})


async def _keep(mirror: Path, folder: Path, repo: RepoName, base: str) -> None:
    """Store the base commit with its history, and nothing later, for the evaluation."""
    clone = folder / f"{repo.owner}__{repo.name}.git"
    if not clone.is_dir():
        clone.parent.mkdir(parents=True, exist_ok=True)
        create = ("init", "--quiet", "--bare", "--template=", str(clone))
        await run_git(folder, *create, check=True)
    options = ("--quiet", "--no-write-fetch-head", "--no-auto-maintenance")
    ref = f"{base}:refs/honk-eval/{base}"
    await run_git(clone, "fetch", *options, str(mirror), ref, check=True)


def _as_instance(task: EvalTask, created_at: datetime) -> dict[str, Any]:
    """The task in SWE-bench's format."""
    return {
        "instance_id": task.id,
        "repo": task.repository,
        "base_commit": task.base,
        "problem_statement": task.problem,
        "patch": task.gold,
        "test_patch": task.test_patch,
        "FAIL_TO_PASS": list(task.fail_to_pass),
        "PASS_TO_PASS": list(task.pass_to_pass),
        "created_at": created_at.isoformat(),
    }
