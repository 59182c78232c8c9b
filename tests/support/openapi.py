"""Checks traffic with GitHub against GitHub's own descriptions.

The description of the API is the npm package `@octokit/openapi` (tests/contract/package.json),
which is large: what is needed of it is kept below `.cache/`, and read piece by piece.

    api = OpenApi.load()
    api.request_problems("POST", "/repos/o/r/issues", {}, {"title": 1})
    with contract(github) as seen:        # all traffic in this block
        ...
    print(seen.totals)
"""

from __future__ import annotations

import functools
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jsonschema import Draft202012Validator

from app.playground.github import GitHub, RequestRecord
from app.playground.github.deliveries import SimulatedDelivery
from tests.support.graphql_schema import graphql_problems
from tests.support.schemas import (
    COMBINED,
    FORMATS,
    Json,
    Problems,
    installed,
    kept,
    modern,
    registry,
    write_schemas,
)
from tests.support.schemas import problems as problems_of
from tests.support.webhook_schemas import webhook_problems

EXEMPT: Mapping[tuple[str, str], str] = {
    ("GET", "/repos/{owner}/{repo}/contents"): "GitHub reads this as the root's `/contents/`",
}
"""Operations that are not checked, each with its reason."""
EXEMPT_ANSWERS: Mapping[tuple[str, str], str] = {
    ("GET", "/app/installations"): "its schema wants an account to be user and enterprise at once",
}
"""Operations whose answers are not checked, each with its reason."""

_OUTDATED = "GitHub gives null for a review comment whose line a push changed, or on a whole file"
EXEMPT_VALUES: Mapping[str, str] = {
    "position: None is not of type 'integer'": _OUTDATED,
    "line: None is not of type 'integer'": _OUTDATED,
    "head/repo: None is not of type 'object'": "GitHub gives null when the fork was deleted",
}
"""What is allowed although the description lacks it, each with its reason."""

_FORMAT = 4
"""Part of the name of what is kept: raise it when `_write` changes."""
_SHOWN = 30
"""Problems that are shown; more would hide them."""
_REFUSED = 400
_NOT_MODIFIED = 304
_REDIRECTED = (301, 307)
"""Any operation may be redirected, which the description says of few of them."""
_ERROR = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}


class ContractError(AssertionError):
    """A message violates GitHub's description."""


@dataclass(frozen=True)
class Operation:
    """One operation of the description; `pattern` matches paths as they are written in a URL."""

    method: str
    template: str
    pattern: re.Pattern[str]
    rank: tuple[int, int]


class OpenApi:
    """The description, read from what is kept of it."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        rows = self._index.execute("SELECT method, template, multi FROM operations")
        operations = [_operation(*row) for row in rows]
        self._operations = sorted(operations, key=lambda one: one.rank, reverse=True)
        self._registry = registry(index, _strict)
        self._validators: dict[tuple[str, ...], Draft202012Validator | None] = {}
        self._found: dict[tuple[str, str], Operation | None] = {}

    @classmethod
    @functools.cache
    def load(cls) -> OpenApi:
        """The description that is installed. Raises FileNotFoundError, saying how to install it."""
        source, version = installed("openapi", "generated/api.github.com.json")
        return cls(kept(f"openapi-{version}-{_FORMAT}", functools.partial(_write, source)))

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a path belongs to; the most literal one where several fit."""
        # A redirection names the repository by its id.
        path = re.sub(r"^/repositories/\d+", "/repos/o/r", path)
        key = (method, path)
        if key not in self._found:
            fits = (o for o in self._operations if o.method == method and o.pattern.fullmatch(path))
            self._found[key] = next(fits, None)
        return self._found[key]

    def request_problems(
        self, method: str, path: str, query: Mapping[str, str], body: Json
    ) -> Problems:
        """Violations of GitHub's description in a request; `path` is below the API's root."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        where = f"{method} {operation.template}"
        problems = [f"{where}: {text}" for text in self._query_problems(operation, query)]
        validator = self._validator(operation, "request")
        if validator is None:
            extra = body not in (None, {})
            return problems + ([f"{where}: a body, where none is documented"] if extra else [])
        if body is None:
            needed = self._described(operation)["request"]["required"]
            return problems + ([f"{where}: no body"] if needed else [])
        return problems + problems_of(where, validator, body)

    def answer_problems(self, method: str, path: str, status: int, body: Json) -> Problems:
        """Violations of GitHub's description in an answer."""
        operation = self.operation(method, path)
        if operation is None:
            return [] if status == 404 else [f"{method} {path}: no such operation"]
        where = f"{method} {operation.template} -> {status}"
        described = self._described(operation)["answers"]
        if status >= _REFUSED and described.get(str(status)) is None:
            # Not every refusal is written down (401 hardly ever), but all have one shape.
            return problems_of(where, Draft202012Validator(_ERROR), body)
        if status in _REDIRECTED:
            return problems_of(where, Draft202012Validator(_ERROR), body)
        if str(status) not in described:
            return [f"{where}: this status is not documented"]
        validator = self._validator(operation, str(status))
        if validator is None:
            return [] if body in (None, "", {}) else [f"{where}: a body, where none is documented"]
        found = problems_of(where, validator, body)
        return [one for one in found if not any(known in one for known in EXEMPT_VALUES)]

    def _query_problems(self, operation: Operation, query: Mapping[str, str]) -> Iterator[str]:
        known = self._described(operation)["query"]
        for name in query.keys() - known.keys():
            yield f"the query parameter {name!r} is not documented"
        for name, parameter in known.items():
            if name in query:
                yield from _parameter_problems(name, parameter["schema"], query[name])
            elif parameter["required"]:
                yield f"the query parameter {name!r} is missing"

    @functools.cache  # noqa: B019 - there is one description in a process
    def _described(self, operation: Operation) -> dict[str, Json]:
        sql = "SELECT described FROM operations WHERE method = ? AND template = ?"
        row = self._index.execute(sql, (operation.method, operation.template)).fetchone()
        described: dict[str, Json] = json.loads(row[0])
        return described

    def _validator(self, operation: Operation, what: str) -> Draft202012Validator | None:
        key = (operation.method, operation.template, what)
        if key not in self._validators:
            described = self._described(operation)
            schema = described["answers"].get(what)
            if what == "request":
                request = described["request"]
                schema = request and _strict(request["schema"])
            self._validators[key] = schema and Draft202012Validator(
                schema, registry=self._registry, format_checker=FORMATS
            )
        return self._validators[key]


# -- checking


def _parameter_problems(name: str, schema: dict[str, Json], text: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "integer" and not re.fullmatch(r"-?\d+", text):
        yield f"the query parameter {name!r} is no integer: {text!r}"
    if kind == "boolean" and text not in ("true", "false"):
        yield f"the query parameter {name!r} is no boolean: {text!r}"
    if "enum" in schema and text not in {str(value) for value in schema["enum"]}:
        yield f"the query parameter {name!r} is not one of {schema['enum']}: {text!r}"


def _strict(schema: Json, *, closed: bool = True) -> Json:
    """The schema of a request, in which a property that is not documented is wrong.

    `closed` is off for an alternative beside `properties`, which adds to them.
    """
    if not isinstance(schema, dict):
        return schema
    strict = dict(schema)
    if "$ref" in strict:
        strict["$ref"] = strict["$ref"].replace("plain:", "strict:")
    beside = "properties" in strict
    if beside:
        strict["properties"] = {k: _strict(v) for k, v in strict["properties"].items()}
    if isinstance(strict.get("items"), dict):
        strict["items"] = _strict(strict["items"])
    for word in COMBINED:
        if word in strict:
            inner = closed and not beside
            strict[word] = [_strict(part, closed=inner) for part in strict[word]]
    if strict.get("additionalProperties") is True:
        del strict["additionalProperties"]
    if closed and beside and "additionalProperties" not in strict:
        strict["unevaluatedProperties"] = False
    return strict


# -- what is kept


def _operation(method: str, template: str, multi: str) -> Operation:
    long = set(multi.split())

    def part(match: re.Match[str]) -> str:
        # The contents of the root are at `/contents/`.
        return (".*" if match[1] == "path" else ".+") if match[1] in long else "[^/]+"

    pattern = re.sub(r"\\\{(\w+)\\\}", part, re.escape(template))
    literal = len([piece for piece in template.split("/") if "{" not in piece])
    return Operation(method, template, re.compile(pattern), (literal, -len(long)))


def _write(source: Path, connection: sqlite3.Connection) -> None:
    description = json.loads(source.read_text())
    connection.execute("CREATE TABLE operations (method, template, multi, described)")
    write_schemas(connection, description)
    for template, methods in description["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                row = (method.upper(), template, *_described(description, operation))
                connection.execute("INSERT INTO operations VALUES (?, ?, ?, ?)", row)


def _described(description: Json, operation: Json) -> tuple[str, str]:
    resolve = functools.partial(_resolve, description)
    parameters = [resolve(one) for one in operation.get("parameters", [])]
    query = {
        one["name"]: {
            "schema": modern(resolve(one["schema"])),
            "required": one.get("required", False),
        }
        for one in parameters
        if one["in"] == "query"
    }
    body = operation.get("requestBody")
    request = body and {
        "required": body.get("required", False),
        "schema": _json_schema(body),
    }
    answers = {
        status: _json_schema(resolve(answer)) for status, answer in operation["responses"].items()
    }
    multi = " ".join(one["name"] for one in parameters if one.get("x-multi-segment"))
    return multi, json.dumps({"query": query, "request": request, "answers": answers})


def _resolve(description: Json, thing: Json) -> Json:
    while "$ref" in thing:
        _, _, kind, name = thing["$ref"].split("/")
        thing = description["components"][kind][name]
    return thing


def _json_schema(holder: Json) -> Json:
    content = holder.get("content", {}).get("application/json")
    return content and modern(content["schema"])


# -- listening to a simulated GitHub


@dataclass
class Seen:
    """What was checked: the number of each kind, and the problems."""

    totals: Counter[str] = field(default_factory=Counter)
    problems: Problems = field(default_factory=list)

    def add(self, kind: str, problems: Problems) -> None:
        """One more of this kind (`requests`, `answers`, `webhooks`, `GraphQL documents`)."""
        self.totals[kind] += 1
        self.problems += problems


SESSION = Seen()
"""What every `contract` of this process checked."""


def check_record(
    record: RequestRecord, *, requests: bool = True, seen: Seen | None = None
) -> Problems:
    """Violations in one exchange.

    No description covers git, and injected answers are not checked.
    """
    seen = seen or Seen()
    if record.template.startswith("/{owner}") or (record.method, record.template) in EXEMPT:
        return seen.problems
    if record.path == "/graphql":
        if requests or record.status < _REFUSED:
            seen.add("GraphQL documents", _graphql_problems(record))
        return seen.problems
    api = OpenApi.load()
    if requests:
        asked = (record.method, record.path, record.query, record.body)
        seen.add("requests", api.request_problems(*asked))
    exempt = (record.method, record.template) in EXEMPT_ANSWERS
    if not record.fault and record.is_json and not exempt and record.status != _NOT_MODIFIED:
        answer = (record.status, record.answer)
        seen.add("answers", api.answer_problems(record.method, record.path, *answer))
    return seen.problems


def _graphql_problems(record: RequestRecord) -> Problems:
    body = record.body if isinstance(record.body, dict) else {}
    answer = None if record.fault or record.status >= _REFUSED else record.answer
    return graphql_problems(str(body.get("query")), body.get("variables") or {}, answer)


def _first(problems: Problems) -> str:
    """The first problems, each once."""
    different = list(dict.fromkeys(problems))
    more = [f"... and {len(different) - _SHOWN} more"] if len(different) > _SHOWN else []
    return "\n".join(different[:_SHOWN] + more)


@contextmanager
def contract(
    github: GitHub,
    *,
    requests: bool = True,
    of: Callable[[RequestRecord], bool] = lambda record: True,
) -> Iterator[Seen]:
    """Check all traffic with this GitHub in the block: every request, response and GraphQL
    document, and every webhook that it sends.

    `requests` off looks at what GitHub says only, for tests that send what is refused. `of`
    chooses the exchanges. Raises ContractError at the end, with the first that was found.
    """
    seen = Seen()

    def listen(record: RequestRecord) -> None:
        if of(record):
            check_record(record, requests=requests, seen=seen)

    def overhear(delivery: SimulatedDelivery) -> None:
        seen.add("webhooks", webhook_problems(delivery.event, delivery.payload))

    github.observers.append(listen)
    github.webhook_observers.append(overhear)
    try:
        yield seen
    finally:
        github.observers.remove(listen)
        github.webhook_observers.remove(overhear)
        SESSION.totals.update(seen.totals)
        SESSION.problems += seen.problems
    if seen.problems:
        raise ContractError(_first(seen.problems))
