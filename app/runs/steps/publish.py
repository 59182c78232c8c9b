"""Branch, pull request and check run: what people see of the change, and what its tests say."""

from __future__ import annotations

from app.domain import words
from app.domain.run import Phase, RunInput, branch_name
from app.domain.words import Publication, Work
from app.errors import UserError
from app.github import commits, pulls
from app.github.commits import RefMoved
from app.runs.services import PUBLISH, Services
from app.runs.steps import verify
from app.runs.steps.announce import announce, usage_of
from app.runs.steps.seal import Sealed
from app.runs.steps.verify import Verified

_BRANCHES_TRIED = 20


async def publish(
    services: Services, run: RunInput, sealed: Sealed, work: Work, verified: Verified
) -> Publication:
    """Move a branch to exactly the verified commit and open the pull request on it."""
    await announce(services, run, Phase.PUBLISHING)
    client = await services.client(run, PUBLISH)
    branch = await _branch(services, run, sealed)
    ready = is_ready(work, verified)
    row = await services.runs.get(run.id)
    pull = await pulls.ensure_pull_request(
        client,
        branch,
        run.base_branch,
        words.pull_request_title(run.trigger),
        words.pull_request_body(
            run.id, run.trigger, work, verified.verdict, sealed.sha, usage_of(row)
        ),
        draft=run.policy.draft or not ready,
    )
    await services.runs.update(run.id, branch=branch, pull_number=pull.number, pull_url=pull.url)
    if ready:
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


def is_ready(work: Work, verified: Verified) -> bool:
    """The tests are good, none went away, and the agent came to its own end."""
    verdict = verified.verdict
    good = verdict.conclusion in ("success", "neutral") and not verdict.blocking_removed
    return good and work.ending == "done"


async def _branch(services: Services, run: RunInput, sealed: Sealed) -> str:
    """The first name of the pattern that is free, or already ours at this very commit."""
    client = await services.client(run, PUBLISH)
    for nth in range(1, _BRANCHES_TRIED + 1):
        name = branch_name(run.policy, run.trigger.number, run.trigger.title, nth=nth)
        try:
            await commits.ensure_ref(client, f"refs/heads/{name}", sealed.sha, expected=None)
        except RefMoved:
            continue
        return name
    raise UserError(
        f"Twenty branches like `{name}` are already there.",
        next_step="Delete those of earlier runs and put the label `honk` on again.",
    )
