"""`/honk test` and the check on every pull request: verify a head like a commit of our own."""

from __future__ import annotations

from datetime import UTC, datetime

from app import messages
from app.domain.run import Preparation
from app.domain.values import CommitSha
from app.github import checks
from app.github.checks import Output
from app.integrity import scope
from app.runs import buttons
from app.runs.attempt import Attempt
from app.runs.steps.commit import CommitResult


async def verify_head(attempt: Attempt, preparation: Preparation) -> CommitResult:
    """The head commit, with a check run on it; that is complete if the head is not verified."""
    services, run = attempt.services, attempt.run
    head = preparation.parent
    repo = run.trigger.repository
    await services.mirrors.pin(repo, f"{run.id}-sealed", head)
    client = await services.checks_client(run)
    check = await checks.ensure_check_run(client, messages.check_run.TESTS_CHECK, head, run.id)
    tree = await services.mirrors.tree_of(repo, head)
    done = CommitResult(sha=head, tree=tree, check_run=check.id, check_url=check.url)
    is_automatic = run.trigger.kind == "check" and run.trigger.command is None
    if is_automatic and await _skips(attempt, preparation, head):
        title, summary = messages.check_run.skipped_paths(run.policy.check.skip)
        output = Output(title=title, summary=summary)
        await checks.complete_check_run(client, check.id, conclusion="skipped", output=output)
        return done.model_copy(update={"skipped": True})
    if is_automatic and await _minutes_left(attempt) <= 0:
        minutes = run.policy.check.minutes_per_day
        title, summary = messages.check_run.minutes_spent(minutes)
        await checks.complete_check_run(
            client,
            check.id,
            conclusion="action_required",
            output=Output(title=title, summary=summary),
            actions=(buttons.TEST,),
        )
        return done.model_copy(update={"skipped": True})
    return done


async def _skips(attempt: Attempt, preparation: Preparation, head: CommitSha) -> bool:
    """Whether the change touches only paths that the policy skips."""
    globs = attempt.run.policy.check.skip
    if not globs:
        return False
    base = preparation.comparison.commit
    repo = attempt.run.trigger.repository
    changes = await attempt.services.mirrors.changes(repo, base, head)
    return bool(changes) and all(scope.matches(each.path, globs) for each in changes)


async def _minutes_left(attempt: Attempt) -> float:
    """Minutes left today (UTC) for heads that nobody asked to verify."""
    run = attempt.run
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    used = await attempt.services.runs.checking_seconds_since(
        today, repository=str(run.trigger.repository), leave_out=run.id
    )
    return run.policy.check.minutes_per_day - used / 60
