"""The commit that will be published: made by GitHub over the packed tree, and signed by it."""

from __future__ import annotations

import hashlib

import structlog

from app.domain import words
from app.domain.run import Phase, Preparation, RunInput, hidden_ref
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.github import checks, commits
from app.github.client import RepositoryClient
from app.runs.services import READ_CODE, SEAL, Services
from app.runs.steps.announce import announce
from app.runs.steps.checkpoint import Packed

log = structlog.get_logger()


class Sealed(Value):
    """The very commit that is verified and published."""

    sha: CommitSha
    tree: TreeSha
    check_run: int
    check_url: str


async def seal(
    services: Services, run: RunInput, preparation: Preparation, packed: Packed, work: words.Work
) -> Sealed:
    """Let GitHub make and sign the commit, keep it at the hidden ref, and queue its check run."""
    await announce(services, run, Phase.SEALING)
    client = await services.client(run, SEAL)
    signer = await _bot(services) if run.policy.sign_off else None
    message = words.commit_message(run.id, run.trigger, work, signer=signer)
    key = hashlib.sha256(f"{preparation.parent}\n{packed.tree}\n{message}".encode()).hexdigest()
    row = await services.runs.get(run.id)
    known = CommitSha(row.head_sha) if row.head_sha and row.head_key == key else None
    sha = known or await _make(services, client, run, preparation, packed.tree, message, key)
    await commits.move_ref(client, hidden_ref(run.id), sha)
    await _fetch(services, run, sha)
    check = await checks.ensure_check_run(
        client, words.CHECK_TESTS, sha, run.id, fresh=known is None
    )
    return Sealed(sha=sha, tree=packed.tree, check_run=check.id, check_url=check.url)


async def _make(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    preparation: Preparation,
    tree: TreeSha,
    message: str,
    key: str,
) -> CommitSha:
    """Make the commit and write it down: done again, the step finds it instead of a second one."""
    made = await commits.create_signed_commit(client, tree, [preparation.parent], message)
    if not made.verified:
        log.warning("GitHub did not sign the commit", run=run.id, sha=made.sha, why=made.reason)
    await services.runs.update(run.id, head_sha=made.sha, head_key=key)
    return made.sha


async def _fetch(services: Services, run: RunInput, sha: CommitSha) -> None:
    """Bring the commit into the mirror, from where it is checked out to be verified."""
    remote = await services.remote(run, READ_CODE)
    fetched = await services.mirrors.fetch(run.trigger.repository, remote, hidden_ref(run.id))
    if fetched != sha:
        raise UserError(
            f"{hidden_ref(run.id)} was moved by somebody else while Honk worked.",
            next_step="Put the label `honk` on again.",
        )
    await services.mirrors.pin(run.trigger.repository, f"{run.id}-sealed", sha)


async def _bot(services: Services) -> str:
    login = f"{await services.github.slug()}[bot]"
    return f"{login} <{login}@users.noreply.github.com>"
