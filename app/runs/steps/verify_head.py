"""`/honk test` and the check on every pull request: verify a head like Honk's own commits."""

from __future__ import annotations

from app import messages
from app.agent import engines
from app.domain import policy as policies
from app.domain.run import Preparation
from app.domain.values import CommitSha
from app.errors import UserError
from app.github import checks
from app.github.checks import Action, Conclusion, Output
from app.github.client import RepositoryClient
from app.integrity import scope
from app.runs import buttons
from app.runs.attempt import Attempt
from app.runs.shared_commit import shared_with
from app.runs.steps.commit import CommitResult
from app.store.runs import start_of_today

_MOST_BYTES = 2**20


async def verify_head(attempt: Attempt, preparation: Preparation) -> CommitResult:
    """The head commit, with a check run on it; that is complete if the head is not verified."""
    services, run = attempt.services, attempt.run
    head = preparation.parent
    repo = run.trigger.repository
    await services.mirrors.pin(repo, f"{run.id}-sealed", head)
    client = await services.checks_client(run)
    # Recorded first: a run that ends early completes the check runs of this commit.
    await services.runs.update(run.id, head_sha=head)
    check = await checks.ensure_check_run(client, messages.check_run.TESTS_CHECK, head, run.id)
    tree = await services.mirrors.tree_of(repo, head)
    done = CommitResult(sha=head, tree=tree, check_run=check.id, check_url=check.url)
    error = await _policy_error(attempt, preparation, head)
    if error is not None:
        if run.trigger.kind != "check":
            raise error
        message = messages.check_run.breaks_policy(error.message)
        await _complete(client, check.id, "action_required", message)
        return done.model_copy(update={"skipped": True})
    if run.trigger.kind != "check" or run.trigger.command is not None:
        return done
    if await _skips(attempt, preparation, head):
        place = await shared_with(services, run.trigger, head)
        skipped = messages.check_run.skipped_paths(run.policy.check.skip)
        message = messages.check_run.shared(place) if place else skipped
        conclusion: Conclusion = "action_required" if place else "skipped"
        await _complete(client, check.id, conclusion, message, (buttons.TEST,) if place else ())
    elif not run.trigger.is_requested and await _minutes_left(attempt) <= 0:
        message = messages.check_run.minutes_spent(run.policy.check.minutes_per_day)
        await _complete(client, check.id, "action_required", message, (buttons.TEST,))
    else:
        return done
    return done.model_copy(update={"skipped": True})


async def _complete(
    client: RepositoryClient,
    check_run: int,
    conclusion: Conclusion,
    message: tuple[str, str],
    actions: tuple[Action, ...] = (),
) -> None:
    """Complete the check run of a head that is not verified, with this title and summary."""
    output = Output(title=message[0], summary=message[1])
    await checks.complete_check_run(
        client, check_run, conclusion=conclusion, output=output, actions=actions
    )


async def _policy_error(
    attempt: Attempt, preparation: Preparation, head: CommitSha
) -> UserError | None:
    """What would be wrong with the default branch's policy file after this change.

    From then on every check would show that error, also that of the change that fixes it.
    """
    if preparation.target.base_branch != attempt.run.trigger.default_branch:
        return None
    after = await _policy_files(attempt, head)
    base = preparation.comparison.commit
    if after == (None, None) or after == await _policy_files(attempt, base):
        return None
    try:
        policies.read(*policies.choose(*after), engines=engines.NAMES)
    except UserError as problem:
        return problem
    return None


async def _policy_files(attempt: Attempt, commit: CommitSha) -> tuple[bytes | None, bytes | None]:
    """The policy file's content in a commit, under each of its two names."""
    repo, mirrors = attempt.run.trigger.repository, attempt.services.mirrors
    yml = await mirrors.read_blob(repo, commit, policies.POLICY_PATH, _MOST_BYTES)
    yaml = await mirrors.read_blob(repo, commit, policies.OTHER_POLICY_PATH, _MOST_BYTES)
    return yml, yaml


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
    """Minutes left today (UTC) for heads that no one asked to verify."""
    run = attempt.run
    used = await attempt.services.runs.checking_seconds_since(
        start_of_today(), repository=str(run.trigger.repository), leave_out=run.id
    )
    return run.policy.check.minutes_per_day - used / 60
