"""GitHub's own description of its webhooks (npm `@octokit/openapi-webhooks`)."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.support.schemas import (
    FORMATS,
    Json,
    Problems,
    installed,
    kept,
    modern,
    problems,
    registry,
    write_schemas,
)

EXEMPT_VALUES: Mapping[str, str] = {
    "'merge_group' is not one of": "the list of an App's events is older than merge queues",
    "'pull_request_review_thread' is not one of": "that list is older than this event, too",
    "pull_request/head/repo: None is not": "GitHub gives null when the fork was deleted",
}
"""What is allowed although the description lacks it, each with its reason."""

_FORMAT = 1
"""Part of the name of what is kept: raise it when `_write` changes."""


def webhook_problems(event: str, payload: Json) -> Problems:
    """Violations of the description in a payload of this event."""
    action = payload.get("action")
    name = "-".join(filter(None, [event, action])).replace("_", "-")
    validator = _validator(name)
    if validator is None:
        return [f"webhook {name}: there is none of this name"]
    found = problems(f"webhook {name}", validator, payload)
    return [one for one in found if not any(known in one for known in EXEMPT_VALUES)]


@functools.cache
def _validator(name: str) -> Draft202012Validator | None:
    index = _index()
    row = index.execute("SELECT schema FROM webhooks WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    return Draft202012Validator(json.loads(row[0]), registry=_named(), format_checker=FORMATS)


@functools.cache
def _named() -> Json:
    return registry(_index())


@functools.cache
def _index() -> sqlite3.Connection:
    source, version = installed("openapi-webhooks", "generated/api.github.com.json")
    return kept(f"webhooks-{version}-{_FORMAT}", functools.partial(_write, source))


def _write(source: Path, connection: sqlite3.Connection) -> None:
    description = json.loads(source.read_text())
    write_schemas(connection, description)
    connection.execute("CREATE TABLE webhooks (name PRIMARY KEY, schema)")
    for name, methods in description["webhooks"].items():
        schema = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        row = (name, json.dumps(modern(schema)))
        connection.execute("INSERT INTO webhooks VALUES (?, ?)", row)
