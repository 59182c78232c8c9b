"""The cells of a verdict from the repository's own CI, for tests that no sandbox here can run.

The base and the head have their own workflow runs. If the App may start workflows, each composed
cell gets one, on a temporary branch that is deleted afterwards. The code runs at GitHub: none of it
is checked out here, and only the uploaded reports are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from app import log_events, messages
from app.domain import ci
from app.domain.ci import Wanted, WorkflowRun
from app.domain.evidence import Cell, CellRun, Evidence, Measurements, Move, TestName
from app.domain.policy import CiPolicy
from app.domain.run import Ground, RunInput
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import Results
from app.errors import UserError
from app.git.mirror import PushMode
from app.github import actions, checks, pulls
from app.github.checks import Output
from app.github.refusals import MissingPermissionError, NotFoundError
from app.integrity import keyed_answers, paths, scope, startup
from app.integrity.composing import CommitSide, Override
from app.integrity.deleted_code import removed_with_code
from app.integrity.moved_tests import moved_tests
from app.runs import ci_artifacts, ci_branches
from app.runs.ci_artifacts import NotMeasuredError
from app.runs.services import READ_PULLS, READ_RUNS, START_RUNS, WRITE_CODE, Services
from app.runs.steps.comparison import (
    ChangeUnderTest,
    any_executed,
    compare,
    present,
    same_as,
    starts,
)
from app.verify.ci_results import results

log = structlog.get_logger()

_MAX_WORKFLOW_BYTES = 200_000
_MAX_USES = 50

_APPEAR_POLLS = 12
"""How many times Honk looks for a run that an event or Honk has just started."""
_WAIT_SECONDS = 60 * 60.0
"""How long one workflow run may take, from when Honk first saw it."""
_FIRST_PAUSE = 2.0
_NO_REF = "No ref found"
_LONGEST_PAUSE = 60.0
_READS = 3
"""How many times reports are read if the workflow run is re-run again and again."""


@dataclass(frozen=True)
class _Commit:
    """A commit whose results are wanted. `name` distinguishes temporary branches.

    `may_start`: Honk may push it to a temporary branch and start the workflow there.
    """

    cell: Cell
    name: str
    commit: CommitSha
    tree: TreeSha
    wanted: Wanted
    may_start: bool


@dataclass
class _CiReader:
    """Reads the results of one comparison from CI. `started` are the temporary branches."""

    services: Services
    run: RunInput
    policy: CiPolicy
    compared: ChangeUnderTest
    fork_id: int | None
    check_run: int | None
    why_not_start: str
    started: set[str] = field(default_factory=set)
    waits_for: dict[str, str] = field(default_factory=dict)

    # -- the commits

    async def base(self) -> _Commit:
        commit = self.compared.ground.commit
        tree = await self.services.mirrors.tree_of(self.run.trigger.repository, commit)
        return _Commit(Cell.BASE, "base", commit, tree, self._wanted(commit), self._may_start)

    def head(self) -> _Commit:
        head = self.compared.head
        wanted = self._wanted(head.commit).model_copy(
            update={"is_head": True, "fork_id": self.fork_id}
        )
        # On a temporary branch, the change's own workflow would run before anyone has seen it.
        may_start = self._may_start and not any(map(paths.is_ci, _changed(self.compared)))
        return _Commit(Cell.HEAD, "head", head.commit, head.tree, wanted, may_start)

    async def composed(self, cell: Cell, name: str, overrides: Mapping[str, Override]) -> _Commit:
        """A composed cell with the base's workflows. Raises NotMeasuredError."""
        if self.why_not_start:
            raise NotMeasuredError(self.why_not_start)
        repo, mirrors = self.run.trigger.repository, self.services.mirrors
        base, head = self.compared.ground.commit, self.compared.head.commit
        source = base if cell is Cell.PROOF else head
        overrides = {**overrides, **_workflows_of_base(self.compared)}
        try:
            tree = await mirrors.compose_tree(repo, source, overrides, base=base, head=head)
        except ValueError as problem:
            why = f"its files could not be put together: {problem}"
            raise NotMeasuredError(why) from None
        # The base as its parent: the push then changes no workflow file, which GitHub would refuse.
        commit = await mirrors.commit_tree(repo, tree, [base], f"The {cell.value} cell\n")
        return _Commit(cell, name, commit, tree, self._wanted(commit), may_start=True)

    def _wanted(self, commit: CommitSha) -> Wanted:
        return Wanted(
            repository_id=self.run.trigger.repository_id,
            workflow=self.policy.path,
            sha=commit,
        )

    @property
    def _may_start(self) -> bool:
        return not self.why_not_start

    # -- their runs

    async def find(self, commit: _Commit) -> WorkflowRun:
        """The run for the commit, started now if there is none. Raises NotMeasuredError."""
        found = await self._newest(commit)
        if found is None and commit.cell is Cell.HEAD and self.run.mode == "test":
            # It may just have been published, and GitHub may be about to start its run.
            found = await self._appearing(commit, _APPEAR_POLLS // 2)
        if found is None and commit.may_start:
            found = await self._start(commit)
        if found is None:
            raise NotMeasuredError(await self._why_none(commit))
        if found.state == "waiting":
            self.waits_for[commit.cell.value] = found.url
        if ci.run_of_temporary_branch(found.branch) == self.run.id:
            self.started.add(found.branch)
        return found

    async def _newest(self, commit: _Commit) -> WorkflowRun | None:
        client = await self.services.client(self.run, READ_RUNS)
        try:
            runs = await actions.runs_of_workflow(client, self.policy.file, commit.commit)
        except NotFoundError:
            return None
        return ci.select(runs, commit.wanted)

    async def _appearing(self, commit: _Commit, polls: int) -> WorkflowRun | None:
        pause = _FIRST_PAUSE
        for _ in range(polls):
            await self._sleep(pause)
            pause = min(pause * 1.5, 10.0)
            found = await self._newest(commit)
            if found is not None:
                return found
        return None

    async def _start(self, commit: _Commit) -> WorkflowRun | None:
        """Push the commit to a temporary branch and start the workflow there."""
        branch = ci.temporary_branch(self.run.id, commit.name)
        remote = await self.services.remote(self.run, WRITE_CODE)
        self.started.add(branch)
        try:
            await self.services.mirrors.push(
                self.run.trigger.repository,
                remote,
                commit.commit,
                f"refs/heads/{branch}",
                expected=PushMode.ANY,
            )
        except UserError as problem:
            raise NotMeasuredError(problem.message) from None
        client = await self.services.client(self.run, START_RUNS)
        refused = await actions.dispatch(client, self.policy.file, branch)
        if refused.startswith(_NO_REF):
            # GitHub may need a moment to see the pushed branch.
            await self._sleep(_FIRST_PAUSE)
            refused = await actions.dispatch(client, self.policy.file, branch)
        if refused:
            why = await self._why_not_usable()
            raise NotMeasuredError(why or messages.ci.not_started(self.policy.file, refused))
        log.info(log_events.CI_STARTED, cell=commit.cell.value, branch=branch)
        return await self._appearing(commit, _APPEAR_POLLS)

    async def _why_none(self, commit: _Commit) -> str:
        """Why the workflow has no run for a commit, as a sentence."""
        if why := await self._why_not_usable():
            return why
        why = "" if commit.may_start else self.why_not_start or messages.ci.changes_ci()
        return messages.ci.no_run(self.policy.file, commit.commit, why)

    async def _why_not_usable(self) -> str:
        """A sentence if the workflow is gone or disabled; empty if it is neither."""
        client = await self.services.client(self.run, READ_RUNS)
        known = {each.path: each.state for each in await actions.workflows(client)}
        state = known.get(self.policy.path)
        if state is None:
            return messages.ci.no_workflow(self.policy.file, sorted(known))
        return "" if state == "active" else messages.ci.disabled(self.policy.file, state)

    async def ended(self, commit: _Commit, run: WorkflowRun) -> WorkflowRun:
        """The run when it has ended. Raises NotMeasuredError when it waits for a person, or too
        long.

        The wait holds no sandbox.
        """
        waited, pause = 0.0, _FIRST_PAUSE
        client = await self.services.client(self.run, READ_RUNS)
        while run.state == "waiting":
            if waited >= _WAIT_SECONDS:
                raise NotMeasuredError(messages.ci.took_too_long(run.url, round(waited / 60)))
            await self._sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LONGEST_PAUSE)
            run = await actions.workflow_run(client, run.id)
        if run.state == "approval":
            raise NotMeasuredError(messages.ci.waits_for_approval(run.url))
        if not ci.counts(run, commit.wanted):
            raise NotMeasuredError(messages.ci.no_run(self.policy.file, commit.commit, ""))
        return run

    async def _sleep(self, seconds: float) -> None:
        """Wait that long. Raises NotMeasuredError when the run is stopped."""
        stop = self.services.stops.of(self.run.id)
        sleeping = asyncio.ensure_future(self.services.github.sleep(seconds))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({sleeping, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopped.cancel()
        if stop.is_set():
            raise NotMeasuredError("The run was stopped.")

    async def show_waiting(self) -> None:
        """Say in the check run which workflow runs the verdict waits for."""
        if self.check_run is None or not self.waits_for:
            return
        title, summary = messages.ci.waiting(self.waits_for)
        client = await self.services.checks_client(self.run)
        await checks.update_check_run(
            client,
            self.check_run,
            status="in_progress",
            output=Output(title=title, summary=summary),
        )

    # -- their reports

    async def read(
        self, commit: _Commit, run: WorkflowRun, expected: Sequence[str] = ()
    ) -> CellRun:
        """The cell from the reports of the run's newest attempt. Raises NotMeasuredError."""
        client = await self.services.client(self.run, READ_RUNS)
        for _ in range(_READS):
            run = await self.ended(commit, run)
            artifacts = await ci_artifacts.read_artifacts(client, self.policy, run)
            again = await actions.workflow_run(client, run.id)
            if (again.attempt, again.status) == (run.attempt, run.status):
                break
            run = again
        else:
            raise NotMeasuredError(messages.ci.started_again(run.url))
        measured = await asyncio.to_thread(
            results, run, artifacts, self.policy, commit.commit, commit.tree, expected=expected
        )
        log.info(log_events.CELL_MEASURED, cell=commit.cell.value, ci=run.id, tree=commit.tree)
        return CellRun(results=measured, ci=ci.ci_run(run, commit.wanted))

    async def delete_branches(self) -> None:
        """Delete the temporary branches of these workflow runs."""
        if self.started:
            client = await self.services.client(self.run, WRITE_CODE)
            await ci_branches.delete_branches(client, self.started)


async def measure(
    services: Services,
    run: RunInput,
    ground: Ground,
    head: CommitSha,
    tree: TreeSha,
    *,
    fork: bool,
    check_run: int | None,
) -> Evidence:
    """The evidence from the workflow that the policy names: two cells, or four.

    `fork`: the head is a fork's, so its code is never started with this repository's secrets.
    Idempotent: a run that was already started is found by its commit.
    """
    assert run.policy.ci is not None
    compared = await compare(services, run, ground, head, tree)
    if not await _is_granted(services, run, READ_RUNS):
        unread = CellRun(why_not=messages.ci.may_not_read())
        return Evidence(
            base=unread, proof=unread, guard=unread, head=unread, sides=compared.plan.sides
        )
    reader = _CiReader(
        services=services,
        run=run,
        policy=run.policy.ci,
        compared=compared,
        fork_id=await _fork_id(services, run) if fork else None,
        check_run=check_run,
        why_not_start=await _why_not_start(services, run, compared, fork=fork),
    )
    cells = await _cells(reader)
    await reader.delete_branches()
    return await _evidence(reader, cells)


async def _cells(reader: _CiReader) -> dict[Cell, CellRun]:
    plan, head = reader.compared.plan, reader.head()
    wanted: dict[Cell, _Commit] = {Cell.BASE: await reader.base(), Cell.HEAD: head}
    why_not: dict[Cell, str] = {}
    for cell, overrides, same, files in (
        (Cell.PROOF, plan.proof, plan.proof_same_as, plan.proof_files),
        (Cell.GUARD, plan.guard, plan.guard_same_as, plan.guard_files),
    ):
        if same is None and files != ():
            with _noted(why_not, cell):
                wanted[cell] = await reader.composed(cell, cell.value, overrides)
    runs: dict[Cell, WorkflowRun] = {}
    for cell, commit in wanted.items():
        with _noted(why_not, cell):
            runs[cell] = await reader.find(commit)
    await reader.show_waiting()
    found: dict[Cell, CellRun] = {}
    # The head first: if another cell has no reports, it lacks the head's commands.
    for cell in (Cell.HEAD, Cell.BASE, Cell.PROOF, Cell.GUARD):
        if cell in runs:
            with _noted(why_not, cell):
                found[cell] = await reader.read(wanted[cell], runs[cell], _commands(found))
    found |= {cell: CellRun(why_not=why) for cell, why in why_not.items()}
    return await _with_collapsed(reader, found)


async def _with_collapsed(reader: _CiReader, found: dict[Cell, CellRun]) -> dict[Cell, CellRun]:
    """All four cells, including those that cannot differ from another one."""
    plan, base, head = reader.compared.plan, found[Cell.BASE].results, found[Cell.HEAD].results
    if head is None:
        unmeasured = CellRun(why_not="The head was not measured.")
        return {cell: found.get(cell, unmeasured) for cell in Cell}
    if Cell.PROOF not in found:
        same = plan.proof_same_as
        found[Cell.PROOF] = (
            same_as(same, base, head)
            if same is not None
            else same_as(Cell.BASE, present(base, head), head)
        )
    elif not starts(found[Cell.PROOF]) and found[Cell.PROOF].results is not None:
        found[Cell.PROOF] = await _proof_with_head_runner(reader, found[Cell.PROOF], head)
    if Cell.GUARD not in found:
        same = plan.guard_same_as
        found[Cell.GUARD] = (
            same_as(same, base, head)
            if same is not None
            else same_as(Cell.HEAD, base, present(head, base) or head)
        )
    return found


async def _proof_with_head_runner(reader: _CiReader, proof: CellRun, head: Results) -> CellRun:
    """The head's tests may need the head's configuration, plugins or dependencies to start."""
    plan = reader.compared.plan
    if not any_executed(head) or plan.proof_head_runner == plan.proof:
        return proof
    try:
        commit = await reader.composed(Cell.PROOF, "proofrunner", plan.proof_head_runner)
        run = await reader.find(commit)
        names = [each.command for each in head.verifiers]
        found = await reader.read(commit, run, names)
    except NotMeasuredError:
        return proof
    return found.model_copy(update={"head_runner": True}) if starts(found) else proof


@contextmanager
def _noted(why_not: dict[Cell, str], cell: Cell) -> Iterator[None]:
    """Note why a cell is not measured instead of raising NotMeasuredError."""
    try:
        yield
    except NotMeasuredError as problem:
        why_not[cell] = str(problem)


def _commands(found: Mapping[Cell, CellRun]) -> Sequence[str]:
    head = found.get(Cell.HEAD, CellRun()).results
    return [each.command for each in head.verifiers] if head else ()


async def _evidence(reader: _CiReader, cells: Mapping[Cell, CellRun]) -> Evidence:
    services, run, compared = reader.services, reader.run, reader.compared
    base, head = cells[Cell.BASE], cells[Cell.HEAD]
    diff, sides = compared.diff, compared.plan.sides
    moved: tuple[Move, ...] = ()
    removed: tuple[TestName, ...] = ()
    if base.results is not None and head.results is not None:
        moved = await asyncio.to_thread(moved_tests, diff, base.results, head.results)
        removed = await asyncio.to_thread(
            removed_with_code, diff, sides, base.results, head.results
        )
    return Evidence(
        base=base,
        proof=cells[Cell.PROOF],
        guard=cells[Cell.GUARD],
        head=head,
        sides=sides,
        measured=Measurements(
            canary_why="The tests run in the repository's own CI.",
            loaded=await asyncio.to_thread(startup.examine, diff, sides, compared.tracked),
            keyed=await asyncio.to_thread(keyed_answers.examine, diff, sides, run.request_text),
        ),
        moved=moved,
        removed_with_code=removed,
        known_flaky=await services.flaky_tests.known(
            run.trigger.repository, but=run.trigger.number
        ),
        redefined=await _redefined(reader),
    )


async def _redefined(reader: _CiReader) -> str:
    """A changed file that defines what CI runs: its workflow, or what that uses from this
    repository.
    """
    compared, path = reader.compared, reader.policy.path
    uses: list[str] = []
    for commit in (compared.ground.commit, compared.head.commit):
        todo = [path]
        while todo and len(uses) < _MAX_USES:
            each = todo.pop()
            name = each if each.endswith((".yml", ".yaml")) else f"{each}/action.yml"
            text = await reader.services.mirrors.read_blob(
                reader.run.trigger.repository, commit, name, _MAX_WORKFLOW_BYTES
            )
            new = ci.used_files((text or b"").decode("utf-8", errors="replace"))
            todo += [used for used in new if used not in uses]
            uses += [used for used in new if used not in uses]
    return ci.defining(_changed(compared), path, uses)


def _changed(compared: ChangeUnderTest) -> list[str]:
    return [each.path for each in compared.diff.files]


def _workflows_of_base(compared: ChangeUnderTest) -> dict[str, Override]:
    """A composed cell's CI files: the base's, so that the change cannot influence them."""
    return {
        each.path: None if each.is_added else CommitSide.BASE
        for each in compared.diff.files
        if paths.is_ci(each.path)
    }


async def _fork_id(services: Services, run: RunInput) -> int | None:
    client = await services.client(run, READ_PULLS)
    pull = await pulls.pull_request(client, run.trigger.number)
    return pull.head_repo_id


async def _why_not_start(
    services: Services, run: RunInput, compared: ChangeUnderTest, *, fork: bool
) -> str:
    """Why Honk may not start a workflow run for this change; empty if it may."""
    if fork:
        return messages.ci.never_for_forks()
    refused = scope.refused(scope.examine(compared.diff, run.policy.paths, run.policy.scope))
    if refused:
        return messages.ci.refused_by_policy(refused[0].file)
    for permissions in (START_RUNS, WRITE_CODE):
        if not await _is_granted(services, run, permissions):
            return messages.ci.may_not_start()
    return ""


async def _is_granted(services: Services, run: RunInput, permissions: Mapping[str, str]) -> bool:
    try:
        await (await services.client(run, permissions)).token()
    except MissingPermissionError:
        return False
    return True
