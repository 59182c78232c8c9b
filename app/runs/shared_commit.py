"""One head commit in several places: a check run belongs to the commit and counts in all of them.

What Honk measured for one pull request would also satisfy the required check of another one with
the same head, which may change other things, since it has another base branch. Anyone can open
such a pull request, from a fork too.
"""

from __future__ import annotations

from app.domain.trigger import Trigger
from app.domain.values import CommitSha
from app.github import pulls
from app.runs.services import READ_PULLS, Services


async def shared_with(
    services: Services, trigger: Trigger, sha: CommitSha, *, measured: bool = True
) -> str:
    """Where else a passing check of the trigger's pull request would count: the end of a sentence,
    empty if nowhere.

    `measured`: the tests were compared with the base branch, so another pull request into the same
    branch has the same result. An entry of a merge queue has a commit of its own.
    """
    if trigger.merge_group is not None:
        return ""
    client = await services.github.repository(
        trigger.installation_id, trigger.repository, READ_PULLS
    )
    found = await pulls.open_at(client, sha)
    ours = {each.base_ref for each in found if each.number == trigger.number}
    others = [each for each in found if each.number != trigger.number]
    for each in others:
        if not (measured and each.base_ref in ours):
            return f"#{each.number}"
    rows = await services.runs.of_checked_commit(str(trigger.repository), sha)
    queued = any(row.input.trigger.merge_group is not None for row in rows)
    return "an entry of the merge queue" if queued else ""
