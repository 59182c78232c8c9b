"""Running a task's hidden tests over a change, in the sandbox and with Honk's own verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.domain.evaluation import EvalTask, Grade, grade
from app.domain.setup_outcome import SetupOutcome
from app.domain.values import RepoName, RunId, Value, commit_sha
from app.domain.verdict import Results, TestOutcome
from app.errors import UserError
from app.evaluation import sources
from app.git.mirror import Remote
from app.runs.probe import ProbeTarget, policy_at, run_tests
from app.runs.requestless import requestless_run
from app.runs.services import Services

_EXAMPLES = 3
_WORST = (TestOutcome.ERROR, TestOutcome.FAILED, TestOutcome.SKIPPED, TestOutcome.PASSED)


class Graded(Value):
    """The results of the hidden tests. `reported`: whether any of the task's tests was reported;
    `others` has some reported names. `problem`: what was wrong with the run as a whole.
    """

    grade: Grade
    reported: bool
    others: tuple[str, ...] = ()
    problem: str = ""


class Grader:
    """Grades changes to tasks on this machine, several at once."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def grade(self, task: EvalTask, folder: Path, base: str, work: str) -> Graded:
        """Grade the commit `work` of the bare repository `folder`, by the policy of `base`.

        Raises UserError when the hidden tests cannot be copied over it or no sandbox can be made.
        """
        outcome, results = await self._tested(task, folder, base, work, _files(task))
        outcomes = _outcomes(results)
        named = {*task.fail_to_pass, *task.pass_to_pass}
        failed = f"Setup failed: {outcome.failed[0].line}" if outcome.failed else ""
        problems = [each.problem for each in results.verifiers if each.problem]
        none = "" if results.verifiers else "no test command was found"
        return Graded(
            grade=grade(task, outcomes),
            reported=bool(named & outcomes.keys()),
            others=tuple(sorted(outcomes)[:_EXAMPLES]),
            problem=failed or next(iter(problems), none),
        )

    async def outcomes(
        self, task: EvalTask, folder: Path, base: str, work: str, files: Sequence[str]
    ) -> dict[str, TestOutcome]:
        """The outcome of each test in these files, or of all tests if files cannot be selected.

        Raises as `grade`.
        """
        _, results = await self._tested(task, folder, base, work, files)
        return _outcomes(results)

    async def _tested(
        self, task: EvalTask, folder: Path, base: str, work: str, files: Sequence[str] | None
    ) -> tuple[SetupOutcome, Results]:
        commit = await sources.with_tests(task, folder, base, work)
        repo = RepoName(owner="eval", name=_plain(folder.stem))
        remote = Remote(url=folder.resolve().as_uri())
        for each in (base, commit):
            if await self._services.mirrors.fetch(repo, remote, each) is None:
                raise UserError(f"{folder} does not have its own commit {each}.")
        policy = await policy_at(self._services, repo, commit_sha(base))
        run = requestless_run(RunId(_plain(f"eval-{folder.stem}")), repo, policy)
        target = ProbeTarget(task.id, run, commit_sha(commit))
        return await run_tests(self._services, target, files=files)


def _plain(name: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in name)[:80].strip("-") or "task"


def _files(task: EvalTask) -> Sequence[str] | None:
    """The files of the task's tests; None (all) unless each name begins with its file."""
    names = (*task.fail_to_pass, *task.pass_to_pass)
    files = [name.partition("::")[0] for name in names if "::" in name]
    is_known = len(files) == len(names) and all(file.endswith(".py") for file in files)
    return sorted(set(files)) if is_known else None


def _outcomes(results: Results) -> dict[str, TestOutcome]:
    """Each test's outcome by name; the worst one if several commands report the same name."""
    found: dict[str, TestOutcome] = {}
    for verifier in results.verifiers:
        for test in verifier.tests:
            if test.whole_run or test.could_not_run:
                continue
            both = (found.get(test.id, test.outcome), test.outcome)
            found[test.id] = min(both, key=_WORST.index)
    return found
