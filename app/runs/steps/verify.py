"""Verification: test results of a commit and its base, from clean checkouts in fresh sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import messages
from app.domain.flag import Flag
from app.domain.run import Ground, Phase, Preparation, RunInput
from app.domain.values import CommitSha, TreeSha, Value
from app.domain.verdict import (
    Results,
    TestOutcome,
    TestResult,
    Verdict,
    VerifierResult,
    compare,
)
from app.errors import UserError
from app.git import tags as tag_list
from app.git.checkout import Workspace
from app.git.packing import pack
from app.github import checks
from app.github.checks import Output
from app.runs.attempt import Attempt
from app.runs.checkouts import check_out, fetch_external_content
from app.runs.services import WRITE_COMMITS, Services
from app.runs.steps import handoff
from app.runs.steps.commit import CommitResult
from app.runs.steps.progress import announce
from app.runs.steps.set_up import SetupError, machine, set_up
from app.verify import runner
from app.verify.affected import affected
from app.verify.judge import Judgement
from app.verify.reports import for_agent
from app.verify.runner import VerifySite
from app.verify.verifier import DirectoryTree, as_typed
from app.verify.verifiers import Choice, choose


class VerifyResult(Value):
    """The verdict on a commit, and its evidence as text for the agent."""

    verdict: Verdict
    evidence: str
    ran: tuple[str, ...] = ()
    stopped: bool = False  # the run was stopped, so the verdict is incomplete
    flags: tuple[Flag, ...] = ()  # what a reviewer should look at first
    blocking: tuple[Flag, ...] = ()  # the flags that keep the pull request a draft
    refused: tuple[Flag, ...] = ()  # the flags for changes that the policy forbids
    judgement: Judgement | None = None


async def verify(attempt: Attempt, preparation: Preparation, sealed: CommitResult) -> VerifyResult:
    """Verify the commit and compare it with the base."""
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.VERIFYING)
    await handoff.fetch_commits(services, run, preparation.base, sealed.sha)
    if sealed.check_run is not None:
        await _check_in_progress(services, run, sealed.check_run)
    before = await baseline(services, run, preparation.ground)
    after = await _results(
        services,
        run,
        sealed.sha,
        sealed.tree,
        name=f"{run.id}-verify",
        against=before,
        base=preparation.ground,
    )
    verdict = compare(before, after, no_tests=run.policy.no_tests)
    return VerifyResult(
        verdict=verdict,
        evidence=for_agent(after, before),
        ran=tuple(messages.check_run.what_ran(result) for result in after.verifiers),
        stopped=services.stops.of(run.id).is_set(),
    )


async def baseline(services: Services, run: RunInput, ground: Ground) -> Results | None:
    """The base commit's results, from the store or verified now in a separate checkout.

    None when the base cannot be verified, or when the run was stopped while waiting for another run
    that verifies it; the verdict says so.
    """
    repo, base = run.trigger.repository, ground.commit
    # Results without the commit's external content say nothing about those with it.
    supplies = (await fetch_external_content(services, run, base)).digest
    # The same goes for tags, from which a build may derive its version.
    tags = tag_list.digest(await services.mirrors.tags(repo, base))
    # The same commit may first be a fork's head, and after the merge on the base branch.
    apart = "-apart" if run.policy.setup and not ground.branch else ""
    key = f"{environment(services, run)}{supplies}{tags}{apart}"
    stop = services.stops.of(run.id)
    async with services.locks.only_one(f"{repo}@{base}:{key}", stop) as ours:
        if not ours:
            return None
        known = await services.results.get(repo, base, key)
        if known is not None:
            return Results.recorded(known)
        try:
            name = f"{run.id}-base"
            results = await _run_verifiers(
                services, run, base, None, name, None, ground, is_base=True
            )
        except UserError:
            return None
        if stop.is_set():
            return results
        await services.results.put(repo, base, key, results.model_dump(mode="json"))
        return results


async def for_the_agent(
    services: Services, run: RunInput, ground: Ground, workspace: Workspace
) -> str:
    """The agent's tool: pack its work tree and verify it like a commit."""
    packed = await pack(workspace, services.workspaces)
    repo = run.trigger.repository
    parents = [ground.commit]
    commit = await services.mirrors.commit_tree(repo, packed.tree, parents, "Work in progress\n")
    before, after = await asyncio.gather(
        baseline(services, run, ground),
        _results(services, run, commit, packed.tree, name=f"{run.id}-trial", base=ground),
    )
    return for_agent(after, before)


def verifiers(run: RunInput, workspace: Workspace, base: Results | None = None) -> Choice:
    """The verifiers named in the policy, or those detected from the checkout's files."""
    base_results = base.verifiers if base is not None else ()
    before = {(result.verifier, result.command) for result in base_results}
    return choose(run.policy.verify, DirectoryTree(workspace.path), before=before)


def test_commands(run: RunInput, workspace: Workspace) -> tuple[str, ...]:
    """The test commands, as the agent may type them."""
    return tuple(as_typed(verifier) for verifier in verifiers(run, workspace).verifiers)


def feedback(verified: VerifyResult) -> str | None:
    """The feedback to the agent; None when a person can take over.

    Only problems the agent can fix go back: failing or missing tests, not a missing test suite.
    """
    verdict = verified.verdict
    fixable = (
        verdict.new_failures
        or verdict.failing_unknown
        or verdict.not_run
        or verdict.removed
        or verdict.newly_skipped
        or verdict.checks.new_failures
        or verdict.checks.failing_unknown
        or verdict.checks.not_run
    )
    return messages.agent.feedback(verdict, verified.evidence) if fixable else None


def environment(services: Services, run: RunInput) -> str:
    """A digest of everything besides the commit that results depend on."""
    policy = run.policy
    network = policy.network.model_dump(mode="json")
    parts = [policy.setup, policy.verify, network, policy.image, machine(services)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


async def _results(
    services: Services,
    run: RunInput,
    commit: CommitSha,
    tree: TreeSha | None,
    *,
    name: str,
    base: Ground,
    against: Results | None = None,
) -> Results:
    """Verify one commit in a separate checkout; rerun what differs from `against`.

    Skips verifiers that the difference to the base cannot affect. A failing setup is a result.
    """
    try:
        return await _run_verifiers(services, run, commit, tree, name, against, base)
    except SetupError as problem:
        # The change broke the setup, so the agent has to fix it.
        return _setup_failure(commit, tree, problem, environment(services, run))


def _setup_failure(
    commit: CommitSha, tree: TreeSha | None, problem: SetupError, environment: str
) -> Results:
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
        verifier="setup",
        command=problem.line,
        tests=(test,),
        complete=False,
        problem="a setup command failed",
        output_tail=problem.output[-messages.formatting.SETUP_OUTPUT :],
    )
    return Results(commit=commit, tree=tree, verifiers=(result,), environment=environment)


async def _run_verifiers(
    services: Services,
    run: RunInput,
    commit: CommitSha,
    tree: TreeSha | None,
    name: str,
    against: Results | None,
    base: Ground,
    *,
    is_base: bool = False,
) -> Results:
    """Run the verifiers. With `is_base`, skip nothing, and rerun once what fails as a whole.

    Raises SetupError.
    """
    async with _clean_checkout(services, run, commit, name, base) as workspace:
        spec = services.workspaces.spec(workspace, image=run.policy.image)
        stop = services.stops.of(run.id)
        site = VerifySite(services.sandbox, spec, services.scratch, stop)
        since = None if is_base else base.commit
        choice = await _choice(services, run, workspace, commit, since, against)
        chosen = choice.verifiers
        results = await runner.verify(
            site, chosen, commit, tree, environment=environment(services, run)
        )
        results = results.model_copy(update={"beyond": choice.beyond, "left_out": choice.left_out})
        if against is None:
            return await runner.confirm(site, chosen, results) if is_base else results
        return await runner.rerun(site, chosen, against, results)


async def _choice(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    commit: CommitSha,
    base: CommitSha | None,
    against: Results | None,
) -> Choice:
    choice = await asyncio.to_thread(verifiers, run, workspace, against)
    if base is None or run.policy.verify:
        return choice
    changes = await services.mirrors.changes(run.trigger.repository, base, commit)
    paths = {change.path for change in changes}
    return await asyncio.to_thread(affected, choice, paths, DirectoryTree(workspace.path))


@asynccontextmanager
async def _clean_checkout(
    services: Services, run: RunInput, commit: CommitSha, name: str, base: Ground
) -> AsyncIterator[Workspace]:
    repo = run.trigger.repository
    workspace = await check_out(services, run, commit, name)
    try:
        tree = await services.mirrors.tree_of(repo, commit)
        await set_up(services, run, workspace, base, tree)
        yield workspace
    finally:
        await services.workspaces.discard(workspace)


async def _check_in_progress(services: Services, run: RunInput, check_run: int) -> None:
    client = await services.client(run, WRITE_COMMITS)
    title, summary = messages.check_run.waiting()
    await checks.update_check_run(
        client,
        check_run,
        status="in_progress",
        output=Output(title=title, summary=summary),
    )
