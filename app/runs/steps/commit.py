"""The commit that will be published: created by GitHub over the packed tree, and signed by it."""

from __future__ import annotations

import hashlib

import structlog

from app import log_events, messages
from app.domain.report import Work
from app.domain.run import Phase, Preparation, RunInput, hidden_ref
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.github import checks, commits
from app.github.client import RepositoryClient
from app.runs.attempt import Attempt
from app.runs.services import READ_CODE, WRITE_COMMITS, Services
from app.runs.steps.checkpoint import CheckpointResult
from app.runs.steps.commit_title import commit_title
from app.runs.steps.progress import announce

log = structlog.get_logger()


class CommitResult(Value):
    """The commit that is verified and published. Without a check run it is only shown as a
    patch. `skipped`: it is not verified, and its check run says why."""

    sha: CommitSha
    tree: TreeSha
    check_run: int | None
    check_url: str = ""
    skipped: bool = False


async def create_commit(
    attempt: Attempt,
    preparation: Preparation,
    packed: CheckpointResult,
    work: Work,
) -> CommitResult:
    """Have GitHub create and sign the commit, point the hidden ref at it, and queue its check
    run."""
    services, run = attempt.services, attempt.run
    await announce(services, run, Phase.SEALING)
    client = await services.client(run, WRITE_COMMITS)
    row = await services.runs.get(run.id)
    if await _is_published(services, run, preparation, packed):
        return await keep(services, client, run, preparation.parent, packed.tree)
    signer = await _bot(services) if run.policy.sign_off else None
    plain = messages.pull_request.commit_title(run)
    title = await commit_title(services, run, plain, preparation.base, packed.tree)
    message = messages.pull_request.commit_message(
        run, work, title.text, length=title.length, signer=signer, issue=title.issue
    )
    parents = [preparation.parent, *([preparation.merged] if preparation.merged else [])]
    key = hashlib.sha256(f"{parents}\n{packed.tree}\n{message}".encode()).hexdigest()
    known = CommitSha(row.head_sha) if row.head_sha and row.head_key == key else None
    sha = known or await _make(services, client, run, parents, packed.tree, message, key)
    return await keep(services, client, run, sha, packed.tree, fresh=known is None)


async def keep(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    sha: CommitSha,
    tree: TreeSha,
    *,
    fresh: bool = False,
) -> CommitResult:
    """Point the hidden ref at the commit, fetch it into the mirror, and queue its check run."""
    await commits.move_ref(client, hidden_ref(run.id), sha)
    await _fetch(services, run, sha)
    check = await checks.ensure_check_run(
        client, messages.check_run.TESTS_CHECK, sha, run.id, fresh=fresh
    )
    return CommitResult(sha=sha, tree=tree, check_run=check.id, check_url=check.url)


async def _is_published(
    services: Services, run: RunInput, preparation: Preparation, packed: CheckpointResult
) -> bool:
    """Whether the work equals the run's published commit, so that no new commit is needed."""
    row = await services.runs.get(run.id)
    if preparation.merged or preparation.parent != row.published_sha:
        return False
    parent = await services.mirrors.tree_of(run.trigger.repository, preparation.parent)
    return parent == packed.tree


async def _make(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    parents: list[CommitSha],
    tree: TreeSha,
    message: str,
    key: str,
) -> CommitSha:
    """Create and record the commit; a rerun of the step finds it instead of creating another."""
    made = await commits.create_signed_commit(client, tree, parents, message)
    if not made.verified:
        log.warning(log_events.COMMIT_NOT_SIGNED, run=run.id, sha=made.sha, why=made.reason)
    await services.runs.update(run.id, head_sha=made.sha, head_key=key)
    return made.sha


async def _fetch(services: Services, run: RunInput, sha: CommitSha) -> None:
    """Fetch the commit into the mirror, from which verification checks it out."""
    remote = await services.remote(run, READ_CODE)
    fetched = await services.mirrors.fetch(run.trigger.repository, remote, hidden_ref(run.id))
    if fetched != sha:
        raise UserError(
            f"{hidden_ref(run.id)} was moved by someone else during the run.",
            next_step="Add the label `honk` again.",
        )
    await services.mirrors.pin(run.trigger.repository, f"{run.id}-sealed", sha)


async def _bot(services: Services) -> str:
    login = await services.bot_login()
    return f"{login} <{login}@users.noreply.github.com>"
