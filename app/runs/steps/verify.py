"""Verification: the verdict on a commit, from clean checkouts in fresh sandboxes."""

from __future__ import annotations

from app import messages
from app.domain.bug import is_bug
from app.domain.evidence import Evidence, Rules, judge
from app.domain.flag import Flag
from app.domain.run import Ground, Phase, Preparation, RunInput
from app.domain.setup_outcome import SetupOutcome
from app.domain.values import CommitSha, TreeSha, Value
from app.domain.verdict import Results, Verdict, VerdictKind, executed
from app.git.checkout import Workspace
from app.git.command import GitError
from app.git.packing import pack
from app.github import checks
from app.github.checks import Output
from app.recipes.interesting import has_manifest, untested_manifests
from app.runs.attempt import Attempt
from app.runs.attestations import attest
from app.runs.services import Services
from app.runs.steps import cells, ci_cells, handoff
from app.runs.steps.commit import CommitResult
from app.runs.steps.progress import announce
from app.verify.judge import Judgement
from app.verify.reports import for_agent


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
    base_tree: str = ""  # what the commit was compared with
    attestation: str = ""  # the URL of the signed evidence, where there are pages
    cells: str = ""  # which cells the repository's CI ran, in Markdown


async def verify(attempt: Attempt, preparation: Preparation, sealed: CommitResult) -> VerifyResult:
    """Verify the commit: its tests and the base's, on its source and on the base's."""
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.VERIFYING)
    await services.setup_choices.load(services.runs, run.id)
    comparison = preparation.comparison
    await handoff.fetch_commits(services, run, comparison.commit, sealed.sha)
    if sealed.check_run is not None:
        await _check_in_progress(services, run, sealed.check_run)
    evidence = await _measure(services, run, preparation, sealed)
    by = await _accepted_by(services, run, preparation, comparison, sealed)
    said = rules(run, accepted_by=by)
    verdict = judge(evidence, said)
    stopped = services.stops.of(run.id).is_set()
    attestation = ""
    if not stopped:
        attestation = await attest(
            services,
            run,
            base=comparison,
            head=sealed.sha,
            evidence=evidence,
            rules=said,
            verdict=verdict,
        )
    verdict = await _with_setup(services, run, sealed.tree, evidence, verdict)
    return VerifyResult(
        verdict=verdict,
        evidence=for_agent(_head_of(evidence), evidence.base.results),
        ran=tuple(messages.check_run.what_ran(result) for result in _head_of(evidence).verifiers),
        stopped=stopped,
        base_tree=await services.mirrors.tree_of(run.trigger.repository, comparison.commit),
        attestation=attestation,
        cells=messages.ci.cells(evidence),
    )


async def _measure(
    services: Services, run: RunInput, preparation: Preparation, sealed: CommitResult
) -> Evidence:
    """The evidence, from sandboxes here or from the CI that the policy names."""
    ground = preparation.comparison
    if run.policy.ci is None:
        fork = preparation.target.fork
        return await cells.measure(services, run, ground, sealed.sha, sealed.tree, fork=fork)
    return await ci_cells.measure(
        services,
        run,
        ground,
        sealed.sha,
        sealed.tree,
        fork=preparation.target.fork,
        check_run=sealed.check_run,
    )


async def _with_setup(
    services: Services, run: RunInput, tree: TreeSha, evidence: Evidence, verdict: Verdict
) -> Verdict:
    """If no test ran, add to the verdict what the setup lacked and the lines that would help.

    This comes after the attestation, because the measurements stay the same.
    """
    policy = run.policy
    if verdict.kind is not VerdictKind.NO_RESULT or policy.setup is not None or policy.ci:
        return verdict
    recorded = (await services.runs.get(run.id)).setup_outcome
    outcome = SetupOutcome.recorded(recorded) if recorded else SetupOutcome()
    base = evidence.base.results
    same = base is not None and not any(executed(each.tests) for each in base.verifiers)
    reasons = messages.setup.reasons(outcome, same_before=same)
    lines = messages.setup.lines_to_add(outcome)
    if not reasons and not _head_of(evidence).verifiers:
        files = await services.mirrors.files(run.trigger.repository, tree)
        unknown = untested_manifests(files)
        if unknown or not has_manifest(files):
            reasons = (messages.setup.unknown_ecosystem(unknown),)
            lines = messages.setup.EXAMPLE_VERIFY
    change = {"reasons": (*reasons, *verdict.reasons), "lines_to_add": lines}
    return verdict.model_copy(update=change)


async def _accepted_by(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    comparison: Ground,
    sealed: CommitResult,
) -> str:
    """Who accepted exactly this change; a rebase that changes no file keeps the acceptance."""
    if run.trigger.merge_group is not None:
        return await _accepted_in_queue(services, run, comparison, sealed)
    number = preparation.target.pull or (await services.runs.get(run.id)).pull_number
    if number is None:
        return ""
    repo = run.trigger.repository
    found = await services.acceptances.find(
        repo,
        number,
        sha=sealed.sha,
        tree=sealed.tree,
        base_tree=await services.mirrors.tree_of(repo, comparison.commit),
    )
    return found.login if found else ""


async def _accepted_in_queue(
    services: Services, run: RunInput, comparison: Ground, sealed: CommitResult
) -> str:
    """Who accepted the change that a merge queue's entry makes to its files.

    The queue puts it on top of other changes. The acceptance holds if every file changes from and
    to the same content as in the accepted commit.
    """
    repo, mirrors = run.trigger.repository, services.mirrors
    accepted = await services.acceptances.of_pull(repo, run.trigger.number)
    if not accepted:
        return ""
    change = await mirrors.changes(repo, comparison.commit, sealed.sha)
    for each in accepted:
        try:
            same = await mirrors.changes(repo, each.base_tree, each.tree) == change
        except GitError:
            continue  # the mirror was recreated since, so nothing shows that it is the same
        if same:
            return each.login
    return ""


def rules(run: RunInput, *, accepted_by: str = "") -> Rules:
    """How the repository's policy and people affect the verdict."""
    policy = run.policy
    return Rules(
        no_tests=policy.no_tests,
        expectations=policy.expectations,
        proof=policy.proof,
        bug=is_bug(run.trigger, policy),
        accepted_by=accepted_by,
    )


def _head_of(evidence: Evidence) -> Results:
    """The head's results. Only CI can have none: if a head's setup fails, its results say so."""
    if evidence.head.results is None:
        return Results(commit=CommitSha(""))
    return evidence.head.results


async def for_the_agent(
    services: Services, run: RunInput, ground: Ground, workspace: Workspace
) -> str:
    """The agent's tool: pack its work tree and verify it like a commit, without repeating tests."""
    if run.policy.ci is not None:
        return messages.ci.tests_run_in_ci(run.policy.ci.file)
    packed = await pack(workspace, services.workspaces)
    repo = run.trigger.repository
    parents = [ground.commit]
    commit = await services.mirrors.commit_tree(repo, packed.tree, parents, "Work in progress\n")
    evidence = await cells.measure(services, run, ground, commit, packed.tree, final=False)
    verdict = judge(evidence, rules(run))
    results = for_agent(_head_of(evidence), evidence.base.results)
    return messages.agent.verdict_so_far(verdict, results)


_FIXABLE = frozenset({VerdictKind.REGRESSION, VerdictKind.WEAKENED})
_ASKED_ONCE = frozenset({VerdictKind.REMOVED, VerdictKind.NOT_PROVEN})


def feedback(run: RunInput, verified: VerifyResult, *, asked_before: bool) -> str | None:
    """The feedback to the agent; None when a person can take over.

    Only what the agent can fix goes back: failing or weakened tests, not a missing test suite. A
    removed test and a missing proof may be right, so the agent is asked about them once.
    """
    verdict = verified.verdict
    fails = verdict.new_failures or verdict.failing_unknown or verdict.not_run
    lacks_proof = verdict.kind is VerdictKind.UNCHANGED and rules(run).bug
    again = verdict.kind in _FIXABLE or (verdict.kind is VerdictKind.NO_RESULT and fails)
    once = verdict.kind in _ASKED_ONCE or lacks_proof
    if again or (once and not asked_before):
        return messages.agent.feedback(verdict, verified.evidence)
    return None


async def _check_in_progress(services: Services, run: RunInput, check_run: int) -> None:
    client = await services.checks_client(run)
    title, summary = messages.check_run.waiting()
    await checks.update_check_run(
        client,
        check_run,
        status="in_progress",
        output=Output(title=title, summary=summary),
    )
