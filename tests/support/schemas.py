"""JSON Schema as GitHub's descriptions use it: loaded, converted, and validated against."""

from __future__ import annotations

import functools
import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import FormatChecker, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from referencing import Registry, Resource, Specification

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "tests/contract/node_modules/@octokit"

COMBINED = ("anyOf", "oneOf", "allOf")
_DROPPED = {"example", "examples", "description", "discriminator", "externalDocs", "title"}

Json = Any
Problems = list[str]


def installed(package: str, file: str) -> tuple[Path, str]:
    """A file of a package and the package's version.

    Raises FileNotFoundError, saying how to install it.
    """
    folder = PACKAGES / package
    if not (folder / file).exists():
        raise FileNotFoundError(
            f"{folder / file} is missing: run `npm ci --prefix tests/contract`."
        )
    version: str = json.loads((folder / "package.json").read_text())["version"]
    return folder / file, version


def kept(name: str, write: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """What is kept of a description below `.cache/`, which `write` makes when it is not there."""
    index = ROOT / ".cache" / f"{name}.sqlite"
    if not index.exists():
        index.parent.mkdir(exist_ok=True)
        # Put in place at once, for several tests may come here.
        draft = index.with_name(f"{index.name}.{os.getpid()}")
        with closing(sqlite3.connect(draft)) as connection, connection:
            write(connection)
        draft.replace(index)
    return sqlite3.connect(f"file:{index}?mode=ro", uri=True, check_same_thread=False)


def write_schemas(connection: sqlite3.Connection, description: Json) -> None:
    """Keep the named schemas of a description."""
    connection.execute("CREATE TABLE schemas (name PRIMARY KEY, schema)")
    for name, schema in description["components"]["schemas"].items():
        row = (name, json.dumps(modern(schema)))
        connection.execute("INSERT INTO schemas VALUES (?, ?)", row)


def registry(
    connection: sqlite3.Connection, strict: Callable[[Json], Json] = lambda schema: schema
) -> Registry[Json]:
    """Finds the named schemas that are kept: `plain:<name>`, and `strict:<name>` made stricter."""

    @functools.cache
    def retrieve(uri: str) -> Resource[Json]:
        kind, _, name = uri.partition(":")
        sql = "SELECT schema FROM schemas WHERE name = ?"
        schema = json.loads(connection.execute(sql, (name,)).fetchone()[0])
        # None of them has an id or an anchor, for which each lookup would search it again.
        return Specification.OPAQUE.create_resource(strict(schema) if kind == "strict" else schema)

    return Registry(retrieve=retrieve)  # type: ignore[call-arg]


FORMATS = FormatChecker(formats=[])


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    pattern = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?(Z|UTC|[+-]\d\d:?\d\d)"
    return not isinstance(value, str) or re.fullmatch(pattern, value) is not None


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    # GitHub gives "" where there is no address.
    return not isinstance(value, str) or value == "" or bool(urlsplit(value).scheme)


def problems(where: str, validator: Validator, body: Json) -> Problems:
    """What is wrong with a body, each in a line that begins with `where`."""
    found = []
    for error in validator.iter_errors(body):
        path = "/".join(str(part) for part in error.absolute_path)
        found.append(f"{where}: {path or 'the body'}: {_words(error)}")
    return found


def _words(error: ValidationError) -> str:
    """The problems; of alternatives, those of the closest one."""
    nearest = best_match(error.context) if error.context else None
    more = f" (nearest: {nearest.json_path}: {nearest.message[:200]})" if nearest else ""
    return error.message[:200] + more


def modern(schema: Json) -> Json:
    """A schema of OpenAPI 3.0 in plain JSON Schema."""
    if isinstance(schema, list):
        return [modern(one) for one in schema]
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
            new[key] = {name: modern(one) for name, one in value.items()}
        elif key == "oneOf":
            # The alternatives overlap in this description: matching two of them is not an error.
            new["anyOf"] = new.get("anyOf", []) + modern(value)
        else:
            new[key] = value if key in ("enum", "required", "default") else modern(value)
    return _or_null(new) if schema.get("nullable") else new


def _or_null(schema: dict[str, Json]) -> Json:
    if "type" not in schema or any(word in schema for word in COMBINED):
        return {"anyOf": [schema, {"type": "null"}]}
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable
