"""The few GraphQL mutations that REST has no word for: a draft becomes a proposal, and back.

Outside contract: https://docs.github.com/graphql/reference/mutations
"""

from __future__ import annotations

import json
import re

from .api import Answer, Call, has_permission, sees
from .pulls import set_draft
from .refusals import Refusal
from .shapes import node_id
from .world import Issue, Json, PullRequest, Repository

_MUTATION = re.compile(r"\b(markPullRequestReadyForReview|convertPullRequestToDraft)\b")


async def run(call: Call) -> Answer:
    """Answer one GraphQL request; errors come with status 200, as GraphQL has it."""
    if call.actor.kind not in ("person", "installation"):
        return Answer(401, Refusal(401, "This endpoint requires you to be authenticated.").body())
    query = call.required("query", str)
    found = _MUTATION.search(query)
    if found is None:
        return _error("UNPROCESSABLE", "The playground does not know this query.")
    target = _target(call, query)
    if target is None:
        return _error("NOT_FOUND", "Could not resolve to a node with the global id given.")
    call.found, issue, pull = target
    if not _allowed(call):
        return _error("FORBIDDEN", "Resource not accessible by integration")
    draft = found[1] == "convertPullRequestToDraft"
    set_draft(call, issue, pull, draft=draft)
    shape: Json = {"id": node_id("PR", issue.id), "number": issue.number, "isDraft": draft}
    return Answer(200, {"data": {found[1]: {"pullRequest": shape}}})


def _target(call: Call, query: str) -> tuple[Repository, Issue, PullRequest] | None:
    text = query + json.dumps(call.value("variables", dict, {}))
    for repository in call.world.repositories.values():
        if not sees(call.world, call.actor, repository):
            continue
        for issue, pull in repository.pulls():
            if node_id("PR", issue.id) in _words(text):
                return repository, issue, pull
    return None


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text))


def _allowed(call: Call) -> bool:
    if call.actor.kind == "person":
        return call.can("write")
    # Leaving the draft state needs contents too, which the documentation does not say.
    needs = ("pull_requests:write", "contents:write")
    return all(has_permission(call.actor, need) for need in needs)


def _error(kind: str, message: str) -> Answer:
    return Answer(200, {"data": None, "errors": [{"type": kind, "message": message}]})
