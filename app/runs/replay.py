"""Verdicts on pull requests that are already merged. Nothing is written to GitHub."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from app import __version__
from app.domain.evidence import judge
from app.domain.policy import Policy
from app.domain.pull_report import ReportedPull
from app.domain.run import Ground
from app.domain.values import CommitSha, RunId, Value
from app.errors import UserError
from app.git.command import GitError
from app.github.pulls import ListedPull
from app.runs import pull_report
from app.runs.probe import policy_at
from app.runs.pull_report import ReportTarget
from app.runs.requestless import requestless_run
from app.runs.services import Services
from app.runs.steps import cells, verify
from app.store.database import Database
from app.store.results import ResultStore

Progress = Callable[[int, int, int, str], None]
"""Called with the number of finished ones, their total, the last one's number, and its result."""


class Replayed(Value):
    """A verdict's title, or why there is none."""

    verdict: str = ""
    problem: str = ""
    seconds: float = 0.0


async def replay(
    services: Services,
    found: ReportTarget,
    chosen: Sequence[ListedPull],
    database: Database,
    progress: Progress,
) -> dict[int, Replayed]:
    """The verdict on each pull request, by number: stored, or measured now in sandboxes.

    Each new one is stored, so an interrupted replay resumes. Raises RetryableError when GitHub is
    unavailable, and UserError when no sandbox can be made.
    """
    store = ResultStore(database)
    verdicts: dict[int, Replayed] = {}
    for done, pull in enumerate(chosen, 1):
        key = _key(services, pull)
        known = _recorded(await store.get(found.repo, pull.head_sha, key))
        verdict = known or await _measured(services, found, pull)
        if known is None and verdict.verdict:
            value = verdict.model_dump(mode="json")
            await store.put(found.repo, pull.head_sha, key, value)
        verdicts[pull.number] = verdict
        progress(done, len(chosen), pull.number, verdict.verdict or verdict.problem)
    return verdicts


def with_verdicts(
    pulls: Sequence[ReportedPull], verdicts: dict[int, Replayed]
) -> list[ReportedPull]:
    """The pull requests, with replayed verdicts instead of the recorded ones."""
    return [
        pull.model_copy(
            update={
                "verdict": verdicts[pull.number].verdict,
                "problem": verdicts[pull.number].problem,
                "machine_seconds": verdicts[pull.number].seconds,
            }
        )
        for pull in pulls
    ]


def _key(services: Services, pull: ListedPull) -> str:
    """What a stored verdict depends on besides the head."""
    parts = [__version__, services.sandbox_kind, services.image, pull.merge_commit, "replay"]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _recorded(value: dict[str, object] | None) -> Replayed | None:
    try:
        return None if value is None else Replayed.recorded(value)
    except ValidationError:
        return None


async def _measured(services: Services, found: ReportTarget, pull: ListedPull) -> Replayed:
    """Measure the four cells between the base at the time and the pull request's head."""
    began = time.monotonic()
    try:
        base = await base_before_merge(services, found, pull)
        policy = await policy_at(services, found.repo, base)
        _check_runs_here(policy, pull)
        run = requestless_run(
            RunId(f"replay-{pull.number}"),
            found.repo,
            policy,
            installation_id=found.installation,
            repository_id=found.repository_id,
            default_branch=found.branch,
        )
        on_branch = await services.mirrors.is_ancestor(found.repo, base, found.tip)
        ground = Ground(commit=base, branch=found.branch if on_branch else "")
        tree = await services.mirrors.tree_of(found.repo, pull.head_sha)
        evidence = await cells.measure(services, run, ground, pull.head_sha, tree)
    except (UserError, GitError) as problem:
        return Replayed(problem=str(problem))
    verdict = judge(evidence, verify.rules(run))
    return Replayed(verdict=verdict.title, seconds=round(time.monotonic() - began, 1))


def _check_runs_here(policy: Policy, pull: ListedPull) -> None:
    """Raises UserError for tests that only the repository's own CI can run."""
    if policy.ci is not None:
        raise UserError(
            f"The tests of #{pull.number} run only in the repository's own CI "
            f"({policy.ci.file}), which is not started again."
        )


async def base_before_merge(services: Services, found: ReportTarget, pull: ListedPull) -> CommitSha:
    """The merge base of the pull request and its base branch, as of its merge. Raises UserError."""
    if not await pull_report.fetch_head(services, found, pull):
        raise UserError(f"GitHub no longer has the head of #{pull.number}.")
    if pull.merge_commit is None:
        raise UserError(f"#{pull.number} is not merged.")
    if await services.mirrors.fetch(found.repo, found.remote, pull.merge_commit) is None:
        raise UserError(f"GitHub no longer has the merge of #{pull.number}.")
    before = await pull_report.base_of(services, found, pull)
    base = await services.mirrors.merge_base(found.repo, before, pull.head_sha) if before else None
    if base is None or base == pull.head_sha:
        raise UserError(f"Git does not show where #{pull.number} left its base branch.")
    return base
