"""Auto-merge, which GraphQL enables: merge a pull request once its requirements are met.

Outside contract: https://docs.github.com/graphql/reference/mutations#enablepullrequestautomerge
"""

from __future__ import annotations

from .accounts import User
from .conversation import add_event, announce
from .refusals import Refusal
from .rules import mergeable_state
from .world import AutoMerge, Repository, SimulatedIssue, SimulatedPullRequest, World


async def enable(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    order: AutoMerge,
) -> None:
    """Enable it. Refuses with 422 if the pull request can be merged immediately."""
    if not repository.allow_auto_merge:
        raise Refusal(422, "Pull request Auto merge is not allowed for this repository")
    if issue.state != "open":
        raise Refusal(422, "Pull request Pull request is closed")
    if order.method not in repository.merge_methods:
        raise Refusal(422, f"Merge method {order.method} is not allowed for this repository")
    state = await mergeable_state(world, repository, issue, pull)
    if state in ("clean", "unstable", "dirty"):
        raise Refusal(422, f"Pull request Pull request is in {state} status")
    pull.auto_merge = order
    event = {"merge": "auto_merge_enabled", "squash": "auto_squash_enabled"}
    name = event.get(order.method, "auto_rebase_enabled")
    add_event(world, issue, name, order.enabled_by)
    announce(world, repository, issue, "auto_merge_enabled", order.enabled_by)


def disable(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    who: User,
    reason: str,
) -> None:
    """Disable it, with a reason for the event."""
    if pull.auto_merge is None:
        return
    pull.auto_merge = None
    add_event(world, issue, "auto_merge_disabled", who)
    announce(world, repository, issue, "auto_merge_disabled", who, reason=reason)
