"""Branch, pull request and check run: what people see of the change, and what its tests say."""

from __future__ import annotations

from app.domain import words
from app.domain.run import Phase, RunInput, branch_name
from app.domain.values import CommitSha, Value
from app.domain.words import Publication, Work
from app.errors import UserError
from app.github import checks, commits, pulls
from app.github.checks import Output
from app.github.client import RepositoryClient
from app.github.commits import RefMoved
from app.github.pulls import PullRequest
from app.runs.services import PUBLISH, Services
from app.runs.steps import verify
from app.runs.steps.announce import announce, usage_of
from app.runs.steps.seal import Sealed
from app.runs.steps.verify import Verified

_BRANCHES_TRIED = 20


class Kept(Value):
    """The branch that holds the work of a run that was stopped."""

    branch: str


async def publish(
    services: Services, run: RunInput, sealed: Sealed, work: Work, verified: Verified
) -> Publication:
    """Move a branch to exactly the verified commit and open the pull request on it."""
    await announce(services, run, Phase.PUBLISHING)
    client = await services.client(run, PUBLISH)
    branch = await _branch(services, client, run, sealed)
    pull = await _pull_request(services, client, run, branch, sealed, work, verified)
    if is_ready(work, verified):
        await pulls.request_review(client, pull.number, run.trigger.actor.login)
    await verify.complete_check(services, run, sealed, verified, cut_short=work.ending == "budget")
    return Publication(
        branch=branch,
        pull_number=pull.number,
        pull_url=pull.url,
        draft=pull.draft,
        titled_not_ready=pull.draft_refused,
        check_url=sealed.check_url,
    )


async def keep(services: Services, run: RunInput, sealed: Sealed) -> Kept:
    """Bring unfinished work to its branch; nothing is claimed about it."""
    client = await services.client(run, PUBLISH)
    branch = await _branch(services, client, run, sealed)
    title, summary = words.check_stopped()
    await checks.complete_check_run(
        client,
        sealed.check_run,
        conclusion="cancelled",
        output=Output(title=title, summary=summary),
    )
    return Kept(branch=branch)


def is_ready(work: Work, verified: Verified) -> bool:
    """The tests are good, none went away, and the agent came to its own end."""
    verdict = verified.verdict
    good = verdict.conclusion in ("success", "neutral") and not verdict.blocking_removed
    return good and work.ending == "done"


async def _branch(
    services: Services, client: RepositoryClient, run: RunInput, sealed: Sealed
) -> str:
    """The run's own branch moved forward, or the first name of the pattern that is free.

    Where people have pushed to the run's branch their commits stay, and a new name is taken.
    """
    row = await services.runs.get(run.id)
    names = [
        branch_name(run.policy, run.trigger.number, run.trigger.title, nth=nth)
        for nth in range(1, _BRANCHES_TRIED + 1)
    ]
    tries: list[tuple[str, str | None]] = []
    if row.branch and row.published_sha:
        tries.append((row.branch, row.published_sha))
    tries += [(name, None) for name in names]
    for name, expected in tries:
        at = CommitSha(expected) if expected else None
        try:
            await commits.ensure_ref(client, f"refs/heads/{name}", sealed.sha, expected=at)
        except RefMoved:
            continue
        await services.runs.update(run.id, branch=name, published_sha=sealed.sha)
        return name
    raise UserError(
        f"Twenty branches like `{names[0]}` are already there.",
        next_step="Delete those of earlier runs, then comment `/honk continue`.",
    )


async def _pull_request(
    services: Services,
    client: RepositoryClient,
    run: RunInput,
    branch: str,
    sealed: Sealed,
    work: Work,
    verified: Verified,
) -> PullRequest:
    """The branch's pull request, opened or brought up to date."""
    row = await services.runs.get(run.id)
    title = words.pull_request_title(run.trigger)
    body = words.pull_request_body(run, work, verified.verdict, sealed.sha, usage_of(row))
    draft = run.policy.draft or not is_ready(work, verified)
    pull = await pulls.ensure_pull_request(client, branch, run.base_branch, title, body, draft)
    if not pull.created:
        pull = await _bring_up_to_date(client, pull, title, body, draft)
    await services.runs.update(run.id, pull_number=pull.number, pull_url=pull.url)
    return pull


async def _bring_up_to_date(
    client: RepositoryClient, pull: PullRequest, title: str, body: str, draft: bool
) -> PullRequest:
    """A pull request of an earlier attempt tells of the new commit, and is a draft or not by it."""
    is_draft = pull.draft
    if is_draft and not draft:
        await pulls.ready_for_review(client, pull.node_id)
        is_draft = False
    elif draft and not is_draft:
        is_draft = await pulls.convert_to_draft(client, pull.node_id)
    shown = title if is_draft or not draft else words.not_ready_title(title)
    changed = await pulls.update_pull_request(client, pull.number, title=shown, body=body)
    return changed.model_copy(update={"draft": is_draft, "draft_refused": draft and not is_draft})
