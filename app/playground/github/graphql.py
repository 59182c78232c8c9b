"""The part of GraphQL that Honk uses: a library parses, tables resolve the fields.

The schema itself is not here: a request for a field that the playground does not know gets GitHub's
`undefinedField`, and the tests check documents and answers against the published schema. Outside
contract: https://docs.github.com/graphql
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)

from . import graphql_pulls
from .api import Answer, Call
from .graphql_objects import payload, pull_object
from .pulls import set_draft
from .refusals import Refusal
from .resolvers import GraphQlError, NodeLoader, Resolver, find_pull, in_graphql, need, unresolved
from .shapes import node_id
from .world import Json

_DEEPEST = 25
"""Levels of selections that are answered."""


async def run(call: Call) -> Answer:
    """Answer one GraphQL request; errors come with status 200, as GraphQL has it."""
    if call.actor.kind not in ("person", "installation"):
        return Answer(401, Refusal(401, "This endpoint requires you to be authenticated.").body())
    query = call.required("query", str)
    try:
        document = parse(query)
    except GraphQLSyntaxError as problem:
        return Answer(200, {"errors": [{"message": problem.message, "locations": []}]})
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    name = call.optional("operationName", str)
    chosen = [one for one in operations if name is None or (one.name and one.name.value == name)]
    if len(chosen) != 1:
        return Answer(200, {"errors": [{"message": "An operation name is required"}]})
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    return await _Execution(call, chosen[0], fragments).run()


class _Execution:
    """One operation on its way."""

    def __init__(
        self,
        call: Call,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
    ) -> None:
        self._call = call
        self._operation = operation
        self._fragments = fragments
        self._variables = _defaults(operation) | call.value("variables", dict, {})
        self._errors: list[Json] = []

    async def run(self) -> Answer:
        kind = self._operation.operation.value
        table = MUTATIONS if kind == "mutation" else QUERIES
        data: Json = {}
        for field in self._fields(self._operation.selection_set, kind.capitalize()):
            key = _key(field)
            data[key] = await self._top(table, field, key)
        if kind == "mutation":
            await self._call.world.settle()
        whole: Json = {"data": data}
        return Answer(200, whole | ({"errors": self._errors} if self._errors else {}))

    async def _top(self, table: dict[str, Resolver], field: FieldNode, key: str) -> Any:
        resolver = table.get(field.name.value)
        try:
            if resolver is None:
                raise _unknown(field.name.value, self._operation.operation.value.capitalize())
            value = await resolver(self._call, self._arguments(field))
            return await self._shown(value, field, 0)
        except GraphQlError as problem:
            self._complain(problem, key)
        except Refusal as refusal:
            self._complain(in_graphql(refusal), key)
        return None

    def _complain(self, problem: GraphQlError, key: str) -> None:
        self._errors.append({"type": problem.kind, "path": [key], "message": problem.message})

    async def _shown(self, value: Any, field: FieldNode, depth: int) -> Any:
        """A value; of an object, only the requested fields."""
        if depth > _DEEPEST:
            raise GraphQlError("MAX_NODE_LIMIT_EXCEEDED", "This query goes too deep.")
        if callable(value):
            value = value(self._arguments(field))
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, list):
            return [await self._shown(one, field, depth) for one in value]
        if not isinstance(value, dict):
            return value
        shown: Json = {}
        for inner in self._fields(field.selection_set, value["__typename"]):
            name = inner.name.value
            if name not in value:
                raise _unknown(name, value["__typename"])
            shown[_key(inner)] = await self._shown(value[name], inner, depth + 1)
        return shown

    def _fields(self, selection: SelectionSetNode | None, kind: str) -> Iterator[FieldNode]:
        """The fields asked of an object of this type, those of fragments that fit it among them."""
        for one in selection.selections if selection else ():
            if isinstance(one, FieldNode):
                yield one
                continue
            if isinstance(one, FragmentSpreadNode):
                fragment: Any = self._fragments[one.name.value]
            else:
                assert isinstance(one, InlineFragmentNode)
                fragment = one
            condition = fragment.type_condition
            wanted = condition.name.value if condition else kind
            if wanted == kind or wanted in INTERFACES.get(kind, ()):
                yield from self._fields(fragment.selection_set, kind)

    def _arguments(self, field: FieldNode) -> Json:
        return {
            one.name.value: value_from_ast_untyped(one.value, self._variables)
            for one in field.arguments or ()
        }


def _defaults(operation: OperationDefinitionNode) -> Json:
    return {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions or ()
        if one.default_value is not None
    }


def _key(field: FieldNode) -> str:
    return field.alias.value if field.alias else field.name.value


def _unknown(name: str, kind: str) -> GraphQlError:
    return GraphQlError("undefinedField", f"Field '{name}' doesn't exist on type '{kind}'")


# -- fields


async def node(call: Call, arguments: Json) -> Json | None:
    """The object with this global id."""
    wanted = str(arguments["id"])
    loader = NODES.get(wanted.partition("_")[0])
    found = await loader(call, wanted) if loader else None
    if found is None:
        raise unresolved(wanted)
    return found


async def viewer(call: Call, _: Json) -> Json:
    """The caller."""
    user = call.user
    url = f"{call.world.url}/{user.login}"
    return {"__typename": "User", "id": node_id("U", user.id), "login": user.login, "url": url}


async def rate_limit(call: Call, _: Json) -> Json:
    """The remaining rate limit."""
    rate, limit = call.world.rates[call.actor.counted_as], call.world.rate_limit
    left = max(limit - rate.used, 0)
    numbers = {"limit": limit, "cost": 1, "remaining": left, "used": rate.used}
    return {"__typename": "RateLimit"} | numbers


async def load_pull(call: Call, wanted: str) -> Json:
    """A pull request as GraphQL shows it."""
    return pull_object(call, *find_pull(call, wanted))


async def mark_ready(call: Call, arguments: Json) -> Json:
    return _draft(call, arguments["input"], draft=False)


async def convert_to_draft(call: Call, arguments: Json) -> Json:
    return _draft(call, arguments["input"], draft=True)


def _draft(call: Call, given: Json, *, draft: bool) -> Json:
    issue, pull = find_pull(call, str(given["pullRequestId"]))
    # Leaving the draft state needs contents too, which the documentation does not say.
    need(call, "pull_requests:write", "contents:write")
    set_draft(call, issue, pull, draft=draft)
    name = "ConvertPullRequestToDraft" if draft else "MarkPullRequestReadyForReview"
    return payload(name, given, pullRequest=pull_object(call, issue, pull))


QUERIES: dict[str, Resolver] = {
    "node": node,
    "viewer": viewer,
    "rateLimit": rate_limit,
    **graphql_pulls.QUERIES,
}
"""The fields of Query. Other areas join theirs here, below."""

MUTATIONS: dict[str, Resolver] = {
    "markPullRequestReadyForReview": mark_ready,
    "convertPullRequestToDraft": convert_to_draft,
    **graphql_pulls.MUTATIONS,
}
"""The fields of Mutation."""

NODES: dict[str, NodeLoader] = {"PR": load_pull, **graphql_pulls.NODES}
"""Objects by the prefix of their global ids (`shapes.node_id`)."""

INTERFACES = graphql_pulls.INTERFACES
