"""GraphQL resolvers: the types and helpers for the tables that `graphql` joins.

A table maps the name of a field to a function of the request and the field's arguments. It gives
null, a plain value, or an object: a dict of fields by their names in the schema, with its type as
`__typename`. A field that takes arguments or costs something is a function of its arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .api import Call, has_permission, sees
from .refusals import Refusal
from .shapes import node_id
from .world import Json, Repository, SimulatedIssue, SimulatedPullRequest

Resolver = Callable[[Call, Json], Awaitable[Any]]
"""Answers a field of Query or Mutation. A mutation's argument is `input`."""

NodeLoader = Callable[[Call, str], Awaitable[Json | None]]
"""Gives the object behind a global id, None where the caller sees none."""


class GraphQlError(Exception):
    """Ends one field; `kind` is GitHub's word for it, such as NOT_FOUND or FORBIDDEN."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def unresolved(wanted: str) -> GraphQlError:
    """For an id that belongs to nothing the caller may see."""
    words = f"Could not resolve to a node with the global id of '{wanted}'"
    return GraphQlError("NOT_FOUND", words)


def find_pull(call: Call, wanted: str) -> tuple[SimulatedIssue, SimulatedPullRequest]:
    """The pull request with this id; its repository becomes that of the call."""
    for repository, issue in _issues(call):
        if issue.pull is not None and node_id("PR", issue.id) == wanted:
            call.found = repository
            return issue, issue.pull
    raise unresolved(wanted)


def find_issue(call: Call, wanted: str) -> SimulatedIssue:
    """The issue or pull request with this id; its repository becomes that of the call."""
    for repository, issue in _issues(call):
        if node_id("PR" if issue.pull else "I", issue.id) == wanted:
            call.found = repository
            return issue
    raise unresolved(wanted)


def need(call: Call, *permissions: str, role: str = "write") -> None:
    """Refuse where an installation lacks a permission, or a person the role."""
    if call.actor.kind == "person":
        if not call.can(role):
            words = f"{call.user.login} does not have permission to do this."
            raise GraphQlError("FORBIDDEN", words)
    elif not all(has_permission(call.actor, one) for one in permissions):
        raise GraphQlError("FORBIDDEN", "Resource not accessible by integration")


def in_graphql(refusal: Refusal) -> GraphQlError:
    """A refusal of the REST API in GraphQL's words."""
    kinds = {403: "FORBIDDEN", 404: "NOT_FOUND"}
    return GraphQlError(kinds.get(refusal.status, "UNPROCESSABLE"), refusal.message)


def _issues(call: Call) -> list[tuple[Repository, SimulatedIssue]]:
    return [
        (repository, issue)
        for repository in call.world.repositories.values()
        if sees(call.world, call.actor, repository)
        for issue in repository.issues.values()
    ]
