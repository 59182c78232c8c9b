"""GitHub's own description of its API, asked whether a request or an answer fits it.

The description is the npm package `@octokit/openapi` (tests/contract/package.json), which is large:
what is needed of it is kept below `.cache/`, and read piece by piece.

    api = OpenApi.load()
    api.request_problems("POST", "/repos/o/r/issues", {}, {"title": 1})
    with contract(github):        # everything that is said meanwhile
        ...
"""

from __future__ import annotations

import functools
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from app.playground.github import GitHub, RequestRecord

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests/contract/node_modules/@octokit/openapi"
EXEMPT: Mapping[tuple[str, str], str] = {
    ("POST", "/graphql"): "GraphQL has a schema of its own, which this description does not hold",
}
"""Operations that are not checked, each with its reason."""
EXEMPT_ANSWERS: Mapping[tuple[str, str], str] = {
    ("GET", "/app/installations"): "its schema wants an account to be user and enterprise at once",
}
"""Operations whose answers are not checked, each with its reason."""

_FORMAT = 3
"""Part of the name of what is kept: raise it when `_write_index` changes."""
_DROPPED = {"example", "examples", "description", "discriminator", "externalDocs", "title"}
_COMBINED = ("anyOf", "oneOf", "allOf")
_REFUSED = 400
_ERROR = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}

Json = Any
Problems = list[str]


class ContractError(AssertionError):
    """Something was said that GitHub's description does not allow."""


@dataclass(frozen=True)
class Operation:
    """One operation of the description; `pattern` matches paths as they are written in a URL."""

    method: str
    template: str
    pattern: re.Pattern[str]
    rank: tuple[int, int]


class OpenApi:
    """The description, read from what is kept of it."""

    def __init__(self, index: Path) -> None:
        self._index = sqlite3.connect(f"file:{index}?mode=ro", uri=True, check_same_thread=False)
        rows = self._index.execute("SELECT method, template, multi FROM operations")
        operations = [_operation(*row) for row in rows]
        self._operations = sorted(operations, key=lambda one: one.rank, reverse=True)
        self._registry: Registry[Json] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]
        self._validators: dict[tuple[str, ...], Draft202012Validator | None] = {}
        self._found: dict[tuple[str, str], Operation | None] = {}

    @classmethod
    @functools.cache
    def load(cls) -> OpenApi:
        """The description that is installed. Raises FileNotFoundError, saying how to install it."""
        source = PACKAGE / "generated/api.github.com.json"
        if not source.exists():
            raise FileNotFoundError(f"{source} is missing: run `npm ci --prefix tests/contract`.")
        version = json.loads((PACKAGE / "package.json").read_text())["version"]
        index = ROOT / ".cache" / f"openapi-{version}-{_FORMAT}.sqlite"
        if not index.exists():
            _write_index(source, index)
        return cls(index)

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a path belongs to; the most literal one where several fit."""
        key = (method, path)
        if key not in self._found:
            fits = (o for o in self._operations if o.method == method and o.pattern.fullmatch(path))
            self._found[key] = next(fits, None)
        return self._found[key]

    def request_problems(
        self, method: str, path: str, query: Mapping[str, str], body: Json
    ) -> Problems:
        """What GitHub's description has against a request; `path` is below the API's root."""
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
        return problems + _problems(where, validator, body)

    def answer_problems(self, method: str, path: str, status: int, body: Json) -> Problems:
        """What GitHub's description has against an answer."""
        operation = self.operation(method, path)
        if operation is None:
            return [] if status == 404 else [f"{method} {path}: no such operation"]
        where = f"{method} {operation.template} -> {status}"
        described = self._described(operation)["answers"]
        if status >= _REFUSED and described.get(str(status)) is None:
            # Not every refusal is written down (401 hardly ever), but all have one shape.
            return _problems(where, Draft202012Validator(_ERROR), body)
        if str(status) not in described:
            return [f"{where}: this status is not documented"]
        validator = self._validator(operation, str(status))
        if validator is None:
            return [] if body in (None, "", {}) else [f"{where}: a body, where none is documented"]
        return _problems(where, validator, body)

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
                schema, registry=self._registry, format_checker=_FORMATS
            )
        return self._validators[key]

    @functools.cache  # noqa: B019 - there is one description in a process
    def _retrieve(self, uri: str) -> Resource[Json]:
        kind, _, name = uri.partition(":")
        sql = "SELECT schema FROM schemas WHERE name = ?"
        schema = json.loads(self._index.execute(sql, (name,)).fetchone()[0])
        return DRAFT202012.create_resource(_strict(schema) if kind == "strict" else schema)


# -- checking


_FORMATS = FormatChecker(formats=[])


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    pattern = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?(Z|UTC|[+-]\d\d:?\d\d)"
    return not isinstance(value, str) or re.fullmatch(pattern, value) is not None


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    # GitHub gives "" where there is no address.
    return not isinstance(value, str) or value == "" or bool(urlsplit(value).scheme)


def _problems(where: str, validator: Draft202012Validator, body: Json) -> Problems:
    found = []
    for error in validator.iter_errors(body):
        path = "/".join(str(part) for part in error.absolute_path)
        found.append(f"{where}: {path or 'the body'}: {_words(error)}")
    return found


def _words(error: ValidationError) -> str:
    """What is wrong; of alternatives, what the one that comes nearest misses."""
    nearest = best_match(error.context) if error.context else None
    more = f" (nearest: {nearest.json_path}: {nearest.message[:200]})" if nearest else ""
    return error.message[:200] + more


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
    for word in _COMBINED:
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


def _write_index(source: Path, index: Path) -> None:
    """Keep operations and schemas; put in place at once, for several tests may come here."""
    description = json.loads(source.read_text())
    index.parent.mkdir(exist_ok=True)
    draft = index.with_name(f"{index.name}.{id(description)}")
    with closing(sqlite3.connect(draft)) as kept, kept:
        kept.execute("CREATE TABLE operations (method, template, multi, described)")
        kept.execute("CREATE TABLE schemas (name PRIMARY KEY, schema)")
        for name, schema in description["components"]["schemas"].items():
            row = (name, json.dumps(_modern(schema)))
            kept.execute("INSERT INTO schemas VALUES (?, ?)", row)
        for template, methods in description["paths"].items():
            for method, operation in methods.items():
                if isinstance(operation, dict) and "responses" in operation:
                    values = _described(description, operation)
                    row4 = (method.upper(), template, *values)
                    kept.execute("INSERT INTO operations VALUES (?, ?, ?, ?)", row4)
    draft.replace(index)


def _described(description: Json, operation: Json) -> tuple[str, str]:
    resolve = functools.partial(_resolve, description)
    parameters = [resolve(one) for one in operation.get("parameters", [])]
    query = {
        one["name"]: {
            "schema": _modern(resolve(one["schema"])),
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
    return content and _modern(content["schema"])


def _modern(schema: Json) -> Json:
    """A schema of OpenAPI 3.0 in plain JSON Schema."""
    if isinstance(schema, list):
        return [_modern(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return {"$ref": f"plain:{name}"}
    new: dict[str, Json] = {}
    for key, value in schema.items():
        if key in _DROPPED or key.startswith("x-") or key in ("nullable", "readOnly"):
            continue
        if key == "properties":
            new[key] = {name: _modern(one) for name, one in value.items()}
        elif key == "oneOf":
            # The alternatives overlap in this description: what fits two of them is no fault.
            new["anyOf"] = new.get("anyOf", []) + _modern(value)
        else:
            new[key] = value if key in ("enum", "required", "default") else _modern(value)
    return _or_null(new) if schema.get("nullable") else new


def _or_null(schema: dict[str, Json]) -> Json:
    if "type" not in schema or any(word in schema for word in _COMBINED):
        return {"anyOf": [schema, {"type": "null"}]}
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


# -- listening to a simulated GitHub


def check_record(record: RequestRecord, *, requests: bool = True) -> Problems:
    """What the description has against one exchange; answers made on order are not looked at."""
    if (record.method, record.template) in EXEMPT or record.template.startswith("/{owner}"):
        return []
    api = OpenApi.load()
    problems: Problems = []
    if requests:
        problems += api.request_problems(record.method, record.path, record.query, record.body)
    exempt = (record.method, record.template) in EXEMPT_ANSWERS
    if not record.fault and record.is_json and not exempt:
        answer = (record.status, record.answer)
        problems += api.answer_problems(record.method, record.path, *answer)
    return problems


@contextmanager
def contract(
    github: GitHub,
    *,
    requests: bool = True,
    of: Callable[[RequestRecord], bool] = lambda record: True,
) -> Iterator[Problems]:
    """Check everything that is said to this GitHub meanwhile, and every answer.

    `requests` off looks at the answers only, for tests that send what is refused. `of` chooses
    the exchanges. Raises ContractError at the end, with all that was found.
    """
    problems: Problems = []

    def listen(record: RequestRecord) -> None:
        if of(record):
            problems.extend(check_record(record, requests=requests))

    github.observers.append(listen)
    try:
        yield problems
    finally:
        github.observers.remove(listen)
    if problems:
        raise ContractError("\n".join(dict.fromkeys(problems)))
