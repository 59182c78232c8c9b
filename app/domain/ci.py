"""Which run of the repository's own workflow counts as a cell's results. Pure.

A run counts for a commit only if GitHub says that it belongs to this repository, to this workflow
file and to exactly this commit, and only if its event runs the commit's own files. Only the newest
attempt of a run counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from app.domain.values import CommitSha, Value

VERIFIER = "ci"
"""The name of the repository's CI among the verifiers of a result."""

OF_THE_COMMIT = frozenset({"push", "workflow_dispatch", "merge_group", "schedule"})
"""Events whose runs check out the commit itself, with its own workflow file.

Others run the default branch's workflow on anyone's data (`workflow_run`, `issue_comment`,
`pull_request_target`), so their results say nothing about the commit that they name.
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

OF_A_PULL_REQUEST = "pull_request"
"""The event of a run that names the head commit and tests its merge with the base branch."""

TEMPORARY = "honk/tmp-"
"""The prefix of the branches that Honk creates for one run of a workflow."""

State = Literal["done", "waiting", "approval"]


class CiRun(Value):
    """The workflow run that a cell's results come from.

    `workflow` is the file's path. `merged`: it tested the commit merged with the base branch.
    `fork`: it ran with a fork's own workflow file. `started`: Honk started it.
    """

    workflow: str
    id: int
    attempt: int
    event: str
    url: str
    merged: bool = False
    fork: bool = False
    started: bool = False


class WorkflowRun(Value):
    """One workflow run, in its newest attempt, as GitHub describes it.

    `status` and `conclusion` are GitHub's values; the conclusion is empty until it is completed.
    `path` may end in `@` and a ref. The ids are of repositories; a fork that is gone has none.
    `actor` is the login of the account that started it.
    """

    id: int
    attempt: int
    path: str
    event: str
    status: str
    conclusion: str
    head_sha: str
    repository_id: int
    head_repository_id: int | None
    url: str
    branch: str = ""
    actor: str = ""

    @property
    def is_of_the_repository(self) -> bool:
        """Whether its commit comes from the repository itself and not from a fork."""
        return self.head_repository_id == self.repository_id

    @property
    def state(self) -> State:
        """Whether it has ended, or waits for a person: to start, or for a deployment environment.

        https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow
        """
        if "action_required" in (self.status, self.conclusion) or self.status == "waiting":
            return "approval"
        return "done" if self.status == "completed" else "waiting"


class Wanted(Value):
    """The commit that a run must be for. `fork_id` is the repository of a fork's pull request, if
    the commit is its head; `is_head`: runs of the pull request itself count, too.
    """

    repository_id: int
    workflow: str
    sha: CommitSha
    is_head: bool = False
    fork_id: int | None = None


def select(runs: Iterable[WorkflowRun], wanted: Wanted) -> WorkflowRun | None:
    """The run that counts for the commit; None if there is none.

    A run that tests the commit itself comes before one that tests its merge with the base branch.
    Of several, the newest counts.
    """
    found = [run for run in runs if counts(run, wanted)]
    return max(found, key=lambda run: (run.event in OF_THE_COMMIT, run.id), default=None)


def counts(run: WorkflowRun, wanted: Wanted) -> bool:
    """Whether the run's results count as the commit's."""
    if (run.repository_id, run.head_sha) != (wanted.repository_id, wanted.sha):
        return False
    if run.path.partition("@")[0] != wanted.workflow:
        return False
    if run.is_of_the_repository:
        return run.event in OF_THE_COMMIT or (wanted.is_head and run.event == OF_A_PULL_REQUEST)
    # A fork decides what its runs upload: they count for that fork's own head and for nothing else.
    its_own = wanted.fork_id is not None and run.head_repository_id == wanted.fork_id
    return wanted.is_head and its_own and run.event == OF_A_PULL_REQUEST


def ci_run(run: WorkflowRun, wanted: Wanted) -> CiRun:
    """What is recorded of the run that counts."""
    return CiRun(
        workflow=wanted.workflow,
        id=run.id,
        attempt=run.attempt,
        event=run.event,
        url=run.url,
        merged=run.event == OF_A_PULL_REQUEST,
        fork=not run.is_of_the_repository,
        started=run.is_of_the_repository and run.branch.startswith(TEMPORARY),
    )


def temporary_branch(run: str, cell: str) -> str:
    """The branch that Honk creates for one run of the workflow."""
    return f"{TEMPORARY}{run}-{cell}"


def run_of_temporary_branch(branch: str) -> str:
    """The id of the run of Honk's that a temporary branch belongs to; empty for other branches."""
    found = _TEMPORARY.fullmatch(branch)
    return found[1] if found else ""


_TEMPORARY = re.compile(re.escape(TEMPORARY) + r"([a-z2-7]{10})-[a-z]+")

_USES = re.compile(r"^\s*(?:-\s+)?uses:\s*[\"']?\./([^\s\"'#]+)", re.MULTILINE)


def used_files(workflow: str) -> tuple[str, ...]:
    """The paths in the repository of the actions and workflows that a workflow's text uses."""
    return tuple(dict.fromkeys(each.rstrip("/") for each in _USES.findall(workflow)))


def defining(changed: Sequence[str], workflow: str, uses: Sequence[str]) -> str:
    """A changed path that defines what the workflow runs, or nothing.

    `uses` are the paths of `used_files`: a workflow file, or the folder of an action.
    """
    if workflow in changed:
        return workflow
    below = (".github/actions/", *(f"{path}/" for path in uses))
    of_it = (path for path in changed if path in uses or path.startswith(below))
    return next(of_it, "")
