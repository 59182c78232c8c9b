"""The commit that will be published: made by GitHub over the packed tree, and signed by it."""

from __future__ import annotations

import structlog

from app.domain import words
from app.domain.run import Phase, Preparation, RunInput, hidden_ref
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.github import checks, commits
from app.runs.services import READ_CODE, SEAL, Services
from app.runs.steps.announce import announce
from app.runs.steps.checkpoint import Packed

log = structlog.get_logger()


class Sealed(Value):
    """The very commit that is verified and published."""

    sha: CommitSha
    tree: TreeSha
    signed: bool
    check_run: int
    check_url: str


async def seal(
    services: Services, run: RunInput, preparation: Preparation, packed: Packed, work: words.Work
) -> Sealed:
    """Let GitHub make and sign the commit, keep it at the hidden ref, and queue its check run."""
    await announce(services, run, Phase.SEALING)
    client = await services.client(run, SEAL)
    bot = await _bot(services)
    made = await commits.create_signed_commit(
        client,
        packed.tree,
        [preparation.base],
        words.commit_message(run.id, run.trigger, work, sign_off=run.policy.sign_off, bot=bot),
    )
    if not made.verified:
        log.warning("GitHub did not sign the commit", run=run.id, sha=made.sha, why=made.reason)
    await commits.ensure_ref(
        client, hidden_ref(run.id), made.sha, expected=packed.commit, force=True
    )
    await _fetch(services, run, made.sha)
    check = await checks.ensure_check_run(client, words.CHECK_TESTS, made.sha, run.id)
    await services.runs.update(run.id, head_sha=made.sha)
    return Sealed(
        sha=made.sha,
        tree=packed.tree,
        signed=made.verified,
        check_run=check.id,
        check_url=check.url,
    )


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
