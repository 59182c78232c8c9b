"""GitHub's published GraphQL schema (npm `@octokit/graphql-schema`)."""

from __future__ import annotations

import functools
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from tests.support.schemas import Json, Problems, installed


def graphql_problems(query: str, variables: Json, answer: Json | None = None) -> Problems:
    """Schema violations of a document with its variables, and of the answer to it."""
    try:
        document = parse(query)
    except GraphQLSyntaxError as problem:
        return [f"GraphQL: {problem.message}: {query[:200]}"]
    found = [problem.message for problem in validate(_schema(), document)]
    if not found and answer is not None:
        found = _answer_problems(document, variables, answer)
    return [f"GraphQL: {one}: {query[:200]}" for one in found]


@functools.cache
def _schema() -> GraphQLSchema:
    source, _ = installed("graphql-schema", "schema.graphql")
    return build_schema(source.read_text(), assume_valid=True)


def _answer_problems(document: DocumentNode, variables: Json, answer: Json) -> Problems:
    """Execute the document over its own answer: anything that the schema cannot read there is
    wrong.
    """
    wrong = [one for one in answer.get("errors") or [] if not isinstance(one.get("message"), str)]
    if wrong:
        return [f"an error without a message: {wrong[0]}"]
    data = answer.get("data")
    if data is None:
        return [] if answer.get("errors") else ["neither data nor errors"]
    result = execute_sync(
        _schema(),
        document,
        data,
        variable_values=variables,
        field_resolver=_said,
        type_resolver=_type_of,
    )
    if result.errors:
        return [f"the answer: {error.message} at {error.path}" for error in result.errors]
    return [] if result.data == data else [f"the answer has more than was asked for: {data}"]


def _said(source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    return source[info.path.key]


def _type_of(value: Any, info: GraphQLResolveInfo[Any], abstract: Any) -> str:
    """The type that an answer names; else the one whose fragment was asked for."""
    if "__typename" in value:
        return str(value["__typename"])
    possible = {one.name for one in info.schema.get_possible_types(abstract)}
    for node in info.field_nodes:
        for one in node.selection_set.selections if node.selection_set else ():
            if isinstance(one, InlineFragmentNode) and one.type_condition:
                name = one.type_condition.name.value
                keys = {
                    (inner.alias or inner.name).value
                    for inner in one.selection_set.selections
                    if isinstance(inner, FieldNode)
                }
                if name in possible and keys <= value.keys():
                    return name
    return sorted(possible)[0]
