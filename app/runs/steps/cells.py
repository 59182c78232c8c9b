"""The four cells of a verdict: source of the base or the head, with tests of the base or the head.

Each cell is a git tree that Honk composes, checks out clean, and runs in a fresh sandbox. Its
results are stored when it ends, so a replayed step runs only what is missing, and a rebase that
changes no file reuses them. `app/domain/evidence.py` says what the four mean together.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import structlog

from app import log_events, messages
from app.domain.evidence import NO_BASE, Cell, CellRun, Evidence, Finding, Measurements, TestName
from app.domain.run import Ground, RunInput
from app.domain.unstable_ids import Unstable, may_be_unstable, stabilized, unstable_ids
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import (
    Results,
    TestOutcome,
    TestResult,
    VerifierResult,
    is_flaky,
)
from app.errors import UserError
from app.git import tags as tag_list
from app.git.checkout import Workspace
from app.integrity import canary, keyed_answers, startup
from app.integrity.canary import CanaryPlan, plan_canary
from app.integrity.composing import Override
from app.integrity.deleted_code import removed_with_code
from app.integrity.moved_tests import moved_tests
from app.runs.checkouts import check_out, fetch_external_content
from app.runs.services import Services
from app.runs.steps.comparison import (
    CellCode,
    ChangeUnderTest,
    any_executed,
    compare,
    compose,
    hides_tests,
    present,
    same_as,
    starts,
)
from app.runs.steps.set_up import SetupError, machine, set_up
from app.store.flaky_tests import noted_as
from app.verify import runner
from app.verify.affected import affected
from app.verify.runner import VerifySite
from app.verify.verifier import DirectoryTree, as_typed
from app.verify.verifiers import Choice, choose

log = structlog.get_logger()

PROOF_RUNS = 3
"""How many times a test must fail without the change, and pass with it, to count as proof."""

GUARD_RUNS = 2
"""How many times a base test must fail on the head's source before that is reported."""

SETUP = "setup"
"""Takes the place of a verifier in the results of a commit whose setup fails."""

MEASURE_SECONDS = 60.0
"""Time limit of one command besides the cells, such as each of the canary's two runs."""

Key = tuple[str, str]
Wanted = Mapping[Key, Sequence[TestResult]]
_Made = TypeVar("_Made")


async def measure(
    services: Services,
    run: RunInput,
    ground: Ground,
    head: CommitSha,
    tree: TreeSha,
    *,
    final: bool = True,
    fork: bool = False,
) -> Evidence:
    """Run all cells that can differ: the head, the proof, then the guard; the base runs first.

    With `final`, a proof is repeated until it counts. A stop ends it early; the cells that did not
    run say so. `fork`: the head is a fork's, so its flaky tests are not remembered.
    """
    base = await baseline(services, run, ground)
    compared = await compare(
        services, run, ground, head, tree, known=await _surroundings(services, run, head)
    )
    results = await _head(compared, base)
    proof = await _proof(compared, base, results)
    guard = await _guard(compared, base, results)
    unstable: Unstable = frozenset()
    measured = Measurements()
    if final:
        wanted = _wanted(proof, results)
        async with _alongside(_raising_canary(compared, wanted)) as raising:
            proof, results = await _repeat_proof(compared, proof, results)
            guard = await _repeat_guard(compared, base, guard, results)
        unstable = await _unstable(compared, base, results)
        measured = await _measurements(compared, _wanted(proof, results), results, await raising)
        heads = (proof.results, guard.results, results)
        await _note_flaky(compared, base, *heads, fork=fork)
    known = await services.flaky_tests.known(run.trigger.repository, but=run.trigger.number)
    return Evidence(
        base=_stable(CellRun(results=base, why_not="" if base else NO_BASE), unstable),
        proof=_stable(proof, unstable),
        guard=_stable(guard, unstable),
        head=_stable(CellRun(results=results), unstable),
        sides=compared.plan.sides,
        measured=measured,
        moved=await asyncio.to_thread(moved_tests, compared.diff, base, results) if base else (),
        removed_with_code=(
            await asyncio.to_thread(
                removed_with_code, compared.diff, compared.plan.sides, base, results
            )
            if base
            else ()
        ),
        known_flaky=known,
    )


async def baseline(services: Services, run: RunInput, ground: Ground) -> Results | None:
    """The base commit's results, from the store or verified now in a separate checkout.

    None when the base cannot be verified, or when the run was stopped while it waited for another
    run to verify it; the verdict says so.
    """
    repo, base = run.trigger.repository, ground.commit
    # The same commit may first be a fork's head and later, after a merge, on the base branch.
    apart = "-apart" if run.policy.setup != () and not ground.branch else ""
    key = f"{environment(services, run)}{await _surroundings(services, run, base)}{apart}"
    stop = services.stops.of(run.id)
    async with services.locks.only_one(f"{repo}@{base}:{key}", stop) as ours:
        if not ours:
            return None
        known = await services.results.get(repo, base, key)
        if known is not None:
            return Results.recorded(known)
        tree = await services.mirrors.tree_of(repo, base)
        try:
            results = await _run_verifiers(
                services, run, CellCode(Cell.BASE, base, tree), None, ground, is_base=True
            )
        except UserError:
            return None
        if stop.is_set():
            return results
        await services.results.put(repo, base, key, results.model_dump(mode="json"))
        return results


async def _surroundings(services: Services, run: RunInput, commit: CommitSha) -> str:
    """A digest of what a checkout's results depend on besides its tree and the environment."""
    # Results without the commit's external content say nothing about those with it.
    supplies = (await fetch_external_content(services, run, commit)).digest
    # The same goes for tags, from which a build may derive its version.
    tags = await services.mirrors.tags(run.trigger.repository, commit)
    return f"{supplies}{tag_list.digest(tags)}"


async def _head(compared: ChangeUnderTest, base: Results | None) -> Results:
    """The head's results. If the change breaks setup, that is a result: the agent has to fix it."""
    try:
        return await _stored(compared, compared.head, base)
    except SetupError as problem:
        services, run = compared.services, compared.run
        return _setup_failure(compared.head, problem, environment(services, run))


async def _proof(compared: ChangeUnderTest, base: Results | None, head: Results) -> CellRun:
    """The base's source with the head's tests: what fails without the change."""
    cells = compared.plan
    if cells.proof_same_as is not None:
        return same_as(cells.proof_same_as, base, head)
    if cells.proof_files == ():
        # Tests were only removed, so the remaining ones are the base's on the base's source.
        return same_as(Cell.BASE, present(base, head), head)
    proof = await _composed(compared, Cell.PROOF, cells.proof, cells.proof_files, base)
    if starts(proof) or not any_executed(head) or cells.proof_head_runner == cells.proof:
        return proof
    # The head's tests may need the head's configuration, plugins or test dependencies to start.
    with_runner = await _composed(
        compared, Cell.PROOF, cells.proof_head_runner, cells.proof_files, base
    )
    return with_runner.model_copy(update={"head_runner": True}) if starts(with_runner) else proof


async def _guard(compared: ChangeUnderTest, base: Results | None, head: Results) -> CellRun:
    """The head's source with the base's tests: what the old tests say about the new code."""
    cells = compared.plan
    if cells.guard_same_as is not None:
        return same_as(cells.guard_same_as, base, head)
    if cells.guard_files == ():
        # Tests were only added, so the others are the head's on the head's source.
        return same_as(Cell.HEAD, base, present(head, base) or head)
    return await _composed(compared, Cell.GUARD, cells.guard, cells.guard_files, base)


async def _composed(
    compared: ChangeUnderTest,
    cell: Cell,
    overrides: Mapping[str, Override],
    files: tuple[str, ...] | None,
    base: Results | None,
) -> CellRun:
    """Run a composed cell. A cell that cannot be set up is not measured, and says why."""
    if why_not := compared.why_not():
        return CellRun(why_not=why_not)
    try:
        code = await compose(compared, cell, overrides, files)
        results = await _stored(compared, code, base)
    except ValueError as problem:
        return CellRun(why_not=f"its files could not be put together: {problem}")
    except SetupError as problem:
        return CellRun(why_not=f"its setup failed: {problem.line} {problem.how}")
    return CellRun(results=results, only=files or ())


async def _repeat_proof(
    compared: ChangeUnderTest, proof: CellRun, head: Results
) -> tuple[CellRun, Results]:
    """Repeat tests that look like proof on both sources; they count only if their results never
    vary.
    """
    if proof.results is None or compared.why_not():
        return proof, head
    failing = _proving(proof.results, head)
    if not failing:
        return proof, head
    passing = {key: [pair[1] for pair in pairs] for key, pairs in failing.items()}
    code = compared.head
    if proof.same_as is None:
        cells = compared.plan
        overrides = cells.proof_head_runner if proof.head_runner else cells.proof
        code = await compose(compared, Cell.PROOF, overrides, cells.proof_files)
    elif proof.same_as is Cell.BASE:
        base = compared.ground.commit
        tree = await compared.services.mirrors.tree_of(compared.run.trigger.repository, base)
        code = CellCode(Cell.BASE, base, tree, None)
    wanted = {key: [pair[0] for pair in pairs] for key, pairs in failing.items()}
    again = await _repeated(compared, code, proof.results, wanted, PROOF_RUNS)
    if not compared.is_stopped():
        head = await _repeated(compared, compared.head, head, passing, PROOF_RUNS)
    return proof.model_copy(update={"results": again, "runs": PROOF_RUNS}), head


def _proving(
    proof: Results, head: Results
) -> Mapping[Key, Sequence[tuple[TestResult, TestResult]]]:
    """Tests that ran and failed in the proof and pass on the head, as pairs of results."""
    passed = {
        (each.verifier, each.command, test.id): test
        for each in head.verifiers
        for test in each.tests
        if test.outcome is TestOutcome.PASSED
    }
    found: dict[Key, list[tuple[TestResult, TestResult]]] = {}
    for each in proof.verifiers:
        for test in each.tests:
            now = passed.get((each.verifier, each.command, test.id))
            if now is None or is_flaky(now) or is_flaky(test):
                continue
            if test.outcome.bad and not hides_tests(test):
                found.setdefault((each.verifier, each.command), []).append((test, now))
    return found


async def _repeat_guard(
    compared: ChangeUnderTest, base: Results | None, guard: CellRun, head: Results
) -> CellRun:
    """Repeat the guard's failures, so that a flaky test never counts against the change."""
    measured = guard.results is not None and guard.same_as is None
    if not measured or base is None or compared.why_not():
        return guard
    assert guard.results is not None
    held = {
        (each.verifier, each.command, test.id)
        for each in base.verifiers
        for test in each.tests
        if test.outcome is TestOutcome.PASSED
    }
    wanted: dict[Key, list[TestResult]] = {}
    for each in guard.results.verifiers:
        for test in each.tests:
            lost = test.outcome.bad and not hides_tests(test)
            if lost and (each.verifier, each.command, test.id) in held:
                wanted.setdefault((each.verifier, each.command), []).append(test)
    if not wanted:
        return guard
    cells = compared.plan
    code = await compose(compared, Cell.GUARD, cells.guard, cells.guard_files)
    again = await _repeated(compared, code, guard.results, wanted, GUARD_RUNS)
    return guard.model_copy(update={"results": again, "runs": GUARD_RUNS})


async def _unstable(compared: ChangeUnderTest, base: Results | None, head: Results) -> Unstable:
    """The ids whose results differ between two runs of the base, which runs twice only if
    necessary.
    """
    if base is None or compared.why_not() or not may_be_unstable(base, head):
        return frozenset()
    services, run, ground = compared.services, compared.run, compared.ground
    repo = run.trigger.repository
    code = CellCode(Cell.BASE, ground.commit, await services.mirrors.tree_of(repo, ground.commit))
    key = _key(compared, code, "again")
    known = await services.results.get(repo, code.tree, key)
    if known is not None:
        return unstable_ids(base, Results.recorded(known))
    try:
        again = await _run_verifiers(services, run, code, None, ground, is_base=True)
    except UserError:
        return frozenset()
    if compared.is_stopped():
        return frozenset()
    await services.results.put(repo, code.tree, key, again.model_dump(mode="json"))
    return unstable_ids(base, again)


@asynccontextmanager
async def _alongside(work: Coroutine[Any, Any, _Made]) -> AsyncIterator[asyncio.Task[_Made]]:
    """Do the work concurrently with the block. It is awaited at the block's end, or canceled if
    that fails.
    """
    task = asyncio.create_task(work)
    try:
        yield task
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _measurements(
    compared: ChangeUnderTest, wanted: Wanted, head: Results, raising: _RaisingCanary
) -> Measurements:
    """What the cells cannot see: startup files, hard-coded answers, and whether the proof notices
    that the changed functions are broken.
    """
    diff, sides, request = compared.diff, compared.plan.sides, compared.run.request_text
    loaded = await asyncio.to_thread(startup.examine, diff, sides, compared.tracked)
    keyed = await asyncio.to_thread(keyed_answers.examine, diff, sides, request)
    found, why = await _canary(compared, wanted, raising)
    return Measurements(
        canary=found,
        canary_why=why,
        loaded=(*loaded, *await _without_plugins(compared, wanted, head)),
        keyed=keyed,
    )


async def _without_plugins(
    compared: ChangeUnderTest, wanted: Wanted, head: Results
) -> tuple[Finding, ...]:
    """Run the proof once without the plugins that pytest loads by itself, if the change adds
    any."""
    python = {key: tests for key, tests in wanted.items() if key[0].partition(":")[0] == "pytest"}
    if not python or compared.why_not():
        return ()
    if not startup.adds_plugins(compared.diff, compared.plan.sides):
        return ()
    off = await _briefly(compared, compared.head, python, startup.autoload_off({}))
    proving = {(key[0], test.id) for key, tests in python.items() for test in tests}
    return startup.compare_autoload(head, off, proving) if off is not None else ()


def _wanted(proof: CellRun, head: Results) -> Wanted:
    """The tests that look like proof, with their results on the head."""
    proving = _proving(proof.results, head) if proof.results is not None else {}
    return {key: [now for _, now in tests] for key, tests in proving.items()}


@dataclass(frozen=True)
class _RaisingCanary:
    """The proof with the changed functions raising an error; `results` is None if it did not
    run."""

    plan: CanaryPlan
    results: Results | None = None
    why_not: str = ""


async def _raising_canary(compared: ChangeUnderTest, wanted: Wanted) -> _RaisingCanary:
    """Run what looks like proof with the changed functions raising an error.

    This runs while the proof is repeated, so it costs no extra time.
    """
    plan = await asyncio.to_thread(
        plan_canary, compared.diff, compared.plan.sides, secrets.token_hex(8)
    )
    if why_not := compared.why_not():
        return _RaisingCanary(plan, why_not=f"{why_not[:1].upper()}{why_not[1:]}.")
    if not wanted or plan.why_not:
        return _RaisingCanary(plan)
    return _RaisingCanary(plan, await _with_canary(compared, plan.raising, wanted, "raising"))


async def _canary(
    compared: ChangeUnderTest, wanted: Wanted, raising: _RaisingCanary
) -> tuple[Literal["failed", "passed", "not measured"], str]:
    """The canary's result for the remaining proof. If no test fails with the changed functions
    raising an error, they run once more with functions that return nothing.
    """
    if raising.why_not:
        return "not measured", raising.why_not
    proving = {(key[0], test.id) for key, tests in wanted.items() for test in tests}
    verdict = canary.evaluate(raising.plan, proving, raising.results, None)
    if not proving or verdict[0] == "failed" or raising.results is None:
        return verdict
    neutral = await _with_canary(compared, raising.plan.neutral, wanted, "neutral")
    return canary.evaluate(raising.plan, proving, raising.results, neutral)


async def _with_canary(
    compared: ChangeUnderTest, overrides: Mapping[str, Override], wanted: Wanted, name: str
) -> Results | None:
    """The wanted tests on the head with these overrides; None when they could not run."""
    repo, mirrors, head = compared.run.trigger.repository, compared.services.mirrors, compared.head
    if compared.why_not():
        return None
    try:
        tree = await mirrors.compose_tree(
            repo, head.commit, overrides, base=compared.ground.commit, head=head.commit
        )
    except ValueError:
        return None
    commit = await mirrors.commit_tree(repo, tree, [head.commit], "The canary\n")
    return await _briefly(
        compared, CellCode(Cell.HEAD, commit, tree, name=name), wanted, first_failure=True
    )


async def _briefly(
    compared: ChangeUnderTest,
    code: CellCode,
    wanted: Wanted,
    environment: Mapping[str, str] | None = None,
    *,
    first_failure: bool = False,
) -> Results | None:
    """Run the wanted tests in a checkout for a short time; None if it cannot be set up."""
    services, run = compared.services, compared.run
    files = compared.plan.proof_files or None
    try:
        async with _clean_checkout(services, run, code, compared.ground) as workspace:
            site = _site(services, run, workspace)
            spec = replace(
                site.spec,
                limits=replace(site.spec.limits, seconds=MEASURE_SECONDS),
                environment={**site.spec.environment, **(environment or {})},
            )
            chosen = (await _choice(services, run, workspace, code, None, None)).verifiers
            return await runner.run_tests(
                replace(site, spec=spec),
                chosen,
                code.commit,
                wanted,
                files=files,
                first_failure=first_failure,
            )
    except SetupError:
        return None


async def _note_flaky(compared: ChangeUnderTest, *measured: Results | None, fork: bool) -> None:
    """Store tests that both passed and failed in one cell; the first cell is the base."""
    store, run = compared.services.flaky_tests, compared.run
    for at, results in enumerate(measured):
        number = noted_as(
            run.trigger.number,
            is_base=at == 0,
            on_branch=bool(compared.ground.branch),
            fork=fork,
        )
        if results is not None and number is not None:
            seen = {
                TestName(verifier=each.verifier, id=test.id)
                for each in results.verifiers
                for test in each.tests
                if is_flaky(test)
            }
            await store.note(run.trigger.repository, number, results.commit, seen)


def _stable(cell: CellRun, unstable: Unstable) -> CellRun:
    if cell.results is None:
        return cell
    return cell.model_copy(update={"results": stabilized(cell.results, unstable)})


async def _repeated(
    compared: ChangeUnderTest, code: CellCode, results: Results, wanted: Wanted, times: int
) -> Results:
    """The results with further outcomes of the wanted tests, from the store or run now."""
    services, run = compared.services, compared.run
    short = {
        key: tests for key, tests in wanted.items() if any(len(t.also) < times - 1 for t in tests)
    }
    if not short:
        return results
    ids = sorted((*key, test.id) for key, tests in short.items() for test in tests)
    key = _key(compared, code, f"{times} times", ids)
    known = await services.results.get(run.trigger.repository, code.tree, key)
    if known is not None:
        return Results.recorded(known)
    async with _clean_checkout(services, run, code, compared.ground) as workspace:
        site = _site(services, run, workspace)
        chosen = (await _choice(services, run, workspace, code, None, results)).verifiers
        again = await runner.repeat(site, chosen, results, short, times=times, files=code.files)
    if not compared.is_stopped():
        await services.results.put(
            run.trigger.repository, code.tree, key, again.model_dump(mode="json")
        )
    return again


async def _stored(compared: ChangeUnderTest, code: CellCode, base: Results | None) -> Results:
    """The cell's results, from the store or run now. Raises SetupError."""
    services, run = compared.services, compared.run
    repo, key = run.trigger.repository, _key(compared, code, "once", code.files)
    known = await services.results.get(repo, code.tree, key)
    if known is not None:
        return Results.recorded(known).model_copy(update={"commit": code.commit, "tree": code.tree})
    results = await _run_verifiers(services, run, code, base, compared.ground)
    if not compared.is_stopped() and not _cut_short(results):
        await services.results.put(repo, code.tree, key, results.model_dump(mode="json"))
    return results


def _cut_short(results: Results) -> bool:
    """Whether the machine ended a command, so that another try may succeed."""
    return any(each.timed_out or each.killed for each in results.verifiers)


def _key(compared: ChangeUnderTest, code: CellCode, *more: object) -> str:
    """What a cell's stored results depend on, besides its tree.

    It includes the subject, because a pull request's code made them, and the base, which decides
    what runs again. A person who asks for another test run gets one: then it includes the run, too.
    """
    run = compared.run
    asked = run.id if run.mode == "test" else ""
    parts = [
        *(code.cell.value, run.trigger.number, asked, compared.ground.commit, compared.known),
        *(environment(compared.services, run), *more),
    ]
    return "cell-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def verifiers(run: RunInput, workspace: Workspace, base: Results | None = None) -> Choice:
    """The verifiers named in the policy, or those detected from the checkout's files."""
    base_results = base.verifiers if base is not None else ()
    before = {(result.verifier, result.command) for result in base_results}
    return choose(run.policy.commands, DirectoryTree(workspace.path), before=before)


def test_commands(run: RunInput, workspace: Workspace) -> tuple[str, ...]:
    """The test commands, as the agent may type them; none if only the repository's CI has them."""
    if run.policy.ci is not None:
        return ()
    return tuple(as_typed(verifier) for verifier in verifiers(run, workspace).verifiers)


def environment(services: Services, run: RunInput) -> str:
    """A digest of everything besides the commit that results depend on."""
    policy = run.policy
    network = policy.network.model_dump(mode="json")
    parts = [policy.setup, policy.commands, network, policy.image, machine(services)]
    parts += [policy.environment, policy.search_path]
    parts += [{name: each.model_dump(mode="json") for name, each in policy.services.items()}]
    if policy.setup is None:
        chosen = services.setup_choices.of(run.id)
        parts += [services.setup_network, *(each.model_dump(mode="json") for each in chosen)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _setup_failure(code: CellCode, problem: SetupError, environment: str) -> Results:
    """The results of a commit whose setup fails: only that failure."""
    test = TestResult(
        id="setup",
        outcome=TestOutcome.FAILED,
        message=f"{problem.line} {problem.how}",
        details=problem.output[-messages.formatting.SETUP_OUTPUT :],
        whole_run=True,
        could_not_run=True,
    )
    result = VerifierResult(
        verifier=SETUP,
        command=problem.line,
        tests=(test,),
        complete=False,
        problem="a setup command failed",
        output_tail=problem.output[-messages.formatting.SETUP_OUTPUT :],
    )
    return Results(commit=code.commit, tree=code.tree, verifiers=(result,), environment=environment)


async def _run_verifiers(
    services: Services,
    run: RunInput,
    code: CellCode,
    base: Results | None,
    ground: Ground,
    *,
    is_base: bool = False,
) -> Results:
    """Run the cell's verifiers in a clean checkout. Raises SetupError.

    On the base, skip nothing, and rerun once what fails as a whole. On the head, skip what the
    change cannot affect, and rerun what differs from the base. Other cells run tests only.
    """
    async with _clean_checkout(services, run, code, ground) as workspace:
        site = _site(services, run, workspace)
        choice = await _choice(services, run, workspace, code, None if is_base else ground, base)
        results = await runner.verify(
            site,
            choice.verifiers,
            code.commit,
            code.tree,
            environment=environment(services, run),
            files=code.files,
        )
        results = results.model_copy(update={"beyond": choice.beyond, "left_out": choice.left_out})
        log.info(
            log_events.CELL_MEASURED,
            cell=code.cell.value,
            tree=code.tree,
            verifiers=len(results.verifiers),
            seconds=round(sum(each.seconds for each in results.verifiers), 1),
        )
        if is_base:
            return await runner.confirm(site, choice.verifiers, results)
        if code.cell is Cell.HEAD and base is not None:
            return await runner.rerun(site, choice.verifiers, base, results)
        return results


def _site(services: Services, run: RunInput, workspace: Workspace) -> VerifySite:
    spec = services.workspaces.spec(workspace, image=run.policy.image, with_services=True)
    return VerifySite(services.sandbox, spec, services.scratch, services.stops.of(run.id))


async def _choice(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    code: CellCode,
    since: Ground | None,
    base: Results | None,
) -> Choice:
    """The verifiers of a checkout; since a commit, without those that the change cannot affect."""
    choice = await asyncio.to_thread(verifiers, run, workspace, base)
    if since is not None and not run.policy.commands:
        changes = await services.mirrors.changes(run.trigger.repository, since.commit, code.commit)
        paths = {change.path for change in changes}
        choice = await asyncio.to_thread(affected, choice, paths, DirectoryTree(workspace.path))
    if code.cell in (Cell.PROOF, Cell.GUARD):
        tests = tuple(each for each in choice.verifiers if each.kind == "tests")
        return Choice(tests, choice.beyond, choice.left_out)
    return choice


@asynccontextmanager
async def _clean_checkout(
    services: Services, run: RunInput, code: CellCode, base: Ground
) -> AsyncIterator[Workspace]:
    name = f"{run.id}-{code.name or code.cell.value}"
    workspace = await check_out(services, run, code.commit, name)
    try:
        yield await set_up(services, run, workspace, base, code.tree)
    finally:
        await services.workspaces.discard(workspace)
