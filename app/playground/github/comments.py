"""Comments on issues and pull requests, and reactions on both.

Outside contract: https://docs.github.com/rest/issues/comments and
https://docs.github.com/rest/reactions
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call, limited
from .conversation import (
    BODY_LIMIT,
    CONTENTS,
    issue_page,
    issue_shape,
    may_write,
    reactions_shape,
)
from .refusals import Refusal, invalid_request, not_found, validation
from .shapes import (
    association,
    body_texts,
    moment,
    node_id,
    repository_url,
    user_shape,
    via_app,
)
from .webhooks import emit
from .world import Json, Reaction, Repository, SimulatedComment, SimulatedIssue, World


def comment_shape(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    comment: SimulatedComment,
    accept: str = "",
) -> Json:
    """A comment."""
    base = f"{repository_url(world, repository)}/issues"
    url = f"{base}/comments/{comment.id}"
    return {
        "id": comment.id,
        "node_id": node_id("IC", comment.id),
        "url": url,
        "html_url": f"{issue_page(world, repository, issue)}#issuecomment-{comment.id}",
        "issue_url": f"{base}/{issue.number}",
        "user": user_shape(world, comment.author),
        "created_at": moment(comment.created_at),
        "updated_at": moment(comment.updated_at),
        "author_association": association(repository, comment.author),
        "performed_via_github_app": via_app(world, comment.author),
        "reactions": reactions_shape(url, comment.reactions),
    } | body_texts(comment.body, accept)


def _find(call: Call) -> tuple[SimulatedIssue, SimulatedComment]:
    number = call.number("comment_id")
    for issue in call.repository.issues.values():
        for comment in issue.comments:
            if comment.id == number:
                return issue, comment
    raise not_found()


def _announce(
    call: Call, issue: SimulatedIssue, comment: SimulatedComment, action: str, **more: object
) -> None:
    payload: Json = {
        "issue": issue_shape(call.world, call.repository, issue),
        "comment": comment_shape(call.world, call.repository, issue, comment),
    }
    emit(call.world, call.repository, "issue_comment", action, call.user, payload | more)


def _body(call: Call) -> str:
    body = call.required("body", str)
    if not body.strip():
        raise validation("IssueComment", "body", "unprocessable", message="Body can not be blank")
    return limited("IssueComment", "body", body, BODY_LIMIT) or ""


def _may_change(call: Call, comment: SimulatedComment) -> None:
    if comment.author is not call.user and not call.can("write"):
        raise Refusal(403, "Must have admin rights to Repository.")


# -- endpoints


async def list_comments(call: Call) -> Answer:
    issue, since = call.issue(), call.query.get("since", "")
    found = [one for one in issue.comments if (moment(one.updated_at) or "") >= since]
    return call.page(
        found, lambda one: comment_shape(call.world, call.repository, issue, one, call.accept)
    )


async def list_all_comments(call: Call) -> Answer:
    since = call.query.get("since", "")
    found = [
        (issue, comment)
        for issue in call.repository.issues.values()
        for comment in issue.comments
        if (moment(comment.updated_at) or "") >= since
    ]
    order = "updated_at" if call.query.get("sort") == "updated" else "created_at"
    backwards = call.query.get("direction") == "desc"
    found.sort(key=lambda pair: (getattr(pair[1], order), pair[1].id), reverse=backwards)
    return call.page(
        found, lambda pair: comment_shape(call.world, call.repository, *pair, call.accept)
    )


async def create_comment(call: Call) -> Answer:
    issue, body, now = call.issue(), _body(call), call.world.clock.now()
    may_write(call, issue)
    comment = SimulatedComment(call.world.new_id(), call.user, body, now, now)
    issue.comments.append(comment)
    call.world.touch(issue)
    _announce(call, issue, comment, "created")
    return Answer(201, comment_shape(call.world, call.repository, issue, comment, call.accept))


async def get_comment(call: Call) -> Answer:
    issue, comment = _find(call)
    return Answer(200, comment_shape(call.world, call.repository, issue, comment, call.accept))


async def edit_comment(call: Call) -> Answer:
    issue, comment = _find(call)
    _may_change(call, comment)
    before, comment.body = comment.body, _body(call)
    comment.updated_at = call.world.clock.now()
    if before != comment.body:
        call.world.edited(comment, call.user, before, comment.body)
    _announce(call, issue, comment, "edited", changes={"body": {"from": before}})
    return Answer(200, comment_shape(call.world, call.repository, issue, comment, call.accept))


async def delete_comment(call: Call) -> Answer:
    issue, comment = _find(call)
    _may_change(call, comment)
    issue.comments.remove(comment)
    _announce(call, issue, comment, "deleted")
    return Answer(204)


# -- reactions


def _reactions(call: Call) -> list[Reaction]:
    return call.issue().reactions if "issue_number" in call.params else _find(call)[1].reactions


def _reaction_shape(call: Call, reaction: Reaction) -> Json:
    return {
        "id": reaction.id,
        "node_id": node_id("REA", reaction.id),
        "user": user_shape(call.world, reaction.user),
        "content": reaction.content,
        "created_at": moment(reaction.created_at),
    }


async def list_reactions(call: Call) -> Answer:
    return list_of_reactions(call, _reactions(call))


async def react(call: Call) -> Answer:
    return react_in(call, _reactions(call))


async def unreact(call: Call) -> Answer:
    return unreact_in(call, _reactions(call))


def list_of_reactions(call: Call, reactions: list[Reaction]) -> Answer:
    """The reactions to something, of one kind if the query asks for it."""
    wanted = call.query.get("content")
    found = [one for one in reactions if wanted in (None, one.content)]
    return call.page(found, lambda one: _reaction_shape(call, one))


def react_in(call: Call, reactions: list[Reaction]) -> Answer:
    """Add a reaction; 200 if the same person already added it."""
    content = call.choice("content", CONTENTS)
    if content is None:
        raise invalid_request('"content" wasn\'t supplied.')
    reaction, created = add_reaction(call, reactions, content)
    return Answer(201 if created else 200, _reaction_shape(call, reaction))


def add_reaction(call: Call, reactions: list[Reaction], content: str) -> tuple[Reaction, bool]:
    """A person's reaction, and whether it is new: each can be added once."""
    for reaction in reactions:
        if reaction.user is call.user and reaction.content == content:
            return reaction, False
    reaction = Reaction(call.world.new_id(), call.user, content, call.world.clock.now())
    reactions.append(reaction)
    return reaction, True


def unreact_in(call: Call, reactions: list[Reaction]) -> Answer:
    """Remove one's own reaction."""
    number = call.number("reaction_id")
    for reaction in reactions:
        if reaction.id == number:
            if reaction.user is not call.user:
                raise Refusal(403, "You do not have permission to delete this reaction.")
            reactions.remove(reaction)
            return Answer(204)
    raise not_found()


_ISSUES = "/repos/{owner}/{repo}/issues"
_COMMENT = f"{_ISSUES}/comments/{{comment_id}}"
_ISSUE = f"{_ISSUES}/{{issue_number}}"
_READ = "issues:read|pull_requests:read"
_WRITE = "issues:write|pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_ISSUES}/comments", list_all_comments, _READ),
    ApiEndpoint("GET", _COMMENT, get_comment, _READ),
    ApiEndpoint("PATCH", _COMMENT, edit_comment, _WRITE),
    ApiEndpoint("DELETE", _COMMENT, delete_comment, _WRITE),
    ApiEndpoint("GET", f"{_COMMENT}/reactions", list_reactions, _READ),
    ApiEndpoint("POST", f"{_COMMENT}/reactions", react, _WRITE),
    ApiEndpoint("DELETE", f"{_COMMENT}/reactions/{{reaction_id}}", unreact, _WRITE),
    ApiEndpoint("GET", f"{_ISSUE}/comments", list_comments, _READ),
    ApiEndpoint("POST", f"{_ISSUE}/comments", create_comment, _WRITE),
    ApiEndpoint("GET", f"{_ISSUE}/reactions", list_reactions, _READ),
    ApiEndpoint("POST", f"{_ISSUE}/reactions", react, _WRITE),
    ApiEndpoint("DELETE", f"{_ISSUE}/reactions/{{reaction_id}}", unreact, _WRITE),
]
