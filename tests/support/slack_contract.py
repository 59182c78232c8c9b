"""Checks traffic with Slack against the types of Slack's own packages.

The npm packages `@slack/types` and `@slack/web-api` (tests/contract/package.json) are turned into
JSON Schema, which is kept below `.cache/`. They say nothing of lengths: those the simulated Slack
enforces, with the numbers of `slackblocks` (tests/contract/test_slack.py).

    with slack_contract(slack) as seen:        # all traffic in this block
        ...
    print(seen.totals)
"""

from __future__ import annotations

import functools
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from jsonschema import Draft7Validator

from app.playground.slack import Slack, SlackDelivery, SlackRecord
from app.playground.slack.app import METHODS
from tests.support.openapi import ContractError, Seen
from tests.support.schemas import ROOT, Json, Problems, kept
from tests.support.schemas import problems as problems_of
from tests.support.toolchains import use_fetched

SLACK_SESSION = Seen()
"""What every `slack_contract` of this process checked."""

INVALID = ("invalid_arguments", "invalid_blocks", "msg_blocks_too_long", "msg_too_long", "no_text")
"""Slack's refusals of what an App should never send."""
EXEMPT: Mapping[str, str] = {
    "'visible_to_user_ids' was unexpected": "in slack-sdk 3.48, not yet in @slack/types 3.2",
}
"""What is allowed in requests although the types lack it, each with its reason."""
_SAMPLES = "the types of answers are made from samples, which lack it"
EXEMPT_ANSWERS: Mapping[str, str] = {
    "'client_msg_id' was unexpected": _SAMPLES,
    "'values' was unexpected": _SAMPLES,
    "'private' was unexpected": _SAMPLES,
    "'revoked' was unexpected": _SAMPLES,
    "'source_team', 'user_team' were unexpected": _SAMPLES,
    "/blocks/": "blocks are checked on their own; the samples lack rich text",
    ": None is not of type": "Slack gives null where there is nothing",
}
"""The same for answers."""

_CONTRACT = ROOT / "tests/contract"
_PACKAGES = _CONTRACT / "node_modules/@slack"
_FORMAT = 1
"""Part of the name of what is kept: raise it when `slack_schemas.cjs` changes."""
_SECONDS = 120
_NAMES = {"openid.connect.token": "OpenIDConnectToken"}
_NAMES |= {"openid.connect.userInfo": "OpenIDConnectUserInfo"}
_TYPES = ("KnownBlock", "ModalView", "HomeView", "SlackEvent", "AppsManifestCreateArguments")
_SHOWN = 20


def type_of(method: str) -> str:
    """The name that Slack's package gives to the types of a method."""
    return _NAMES.get(method) or "".join(part[0].upper() + part[1:] for part in method.split("."))


class SlackTypes:
    """The types as schemas, read one by one."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index

    @classmethod
    @functools.cache
    def load(cls) -> SlackTypes:
        """The types that are installed. Raises FileNotFoundError, saying how to install them."""
        versions = []
        for package in ("types", "web-api"):
            path = _PACKAGES / package / "package.json"
            if not path.exists():
                raise FileNotFoundError(f"{path} is missing: run `npm ci --prefix tests/contract`.")
            versions.append(json.loads(path.read_text())["version"])
        return cls(kept(f"slack-{'-'.join(versions)}-{_FORMAT}", _write))

    @functools.cache  # noqa: B019 - there is one set of types in a process
    def schema(self, name: str) -> dict[str, Json]:
        """The schema of a type. Raises KeyError."""
        row = self._index.execute("SELECT schema FROM types WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(name)
        found: dict[str, Json] = json.loads(row[0])
        return found

    @functools.cache  # noqa: B019 - there is one set of types in a process
    def validator(self, name: str) -> Draft7Validator:
        """A validator of a type. Raises KeyError."""
        schema = self.schema(name)
        return Draft7Validator(_open(schema) if name == "SlackEvent" else schema)

    def problems(self, name: str, value: Json, where: str) -> Problems:
        """What is wrong with a value of a type."""
        return problems_of(where, self.validator(name), value)

    def fields(self, name: str) -> dict[str, list[Json]]:
        """The fields of a type, each with the schemas that it has in any of the alternatives."""
        whole = self.schema(name)
        found: dict[str, list[Json]] = {}

        def look(schema: Json) -> None:
            if "$ref" in schema:
                # References are written as in a URL, the definitions are not.
                name = unquote(schema["$ref"].removeprefix("#/definitions/"))
                return look(whole["definitions"][name])
            for word in ("anyOf", "allOf"):
                for each in schema.get(word, []):
                    look(each)
            for field, each in schema.get("properties", {}).items():
                found.setdefault(field, []).append(each)
            return None

        look({"$ref": whole["$ref"]})
        return found


def _open(schema: Json) -> Json:
    """The schema of an event, which may have more than the types say.

    The types want of an edited message what only the event around it has, so it is left out.
    """
    if isinstance(schema, list):
        return [_open(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {key: _open(value) for key, value in schema.items() if key != "additionalProperties"}
    if "previous_message" in more.get("properties", {}):
        more["properties"] |= {"message": {}, "previous_message": {}}
    return more


def _without(exempt: Mapping[str, str], problems: Problems) -> Problems:
    return [one for one in problems if not any(known in one for known in exempt)]


def _write(connection: sqlite3.Connection) -> None:
    names = [f"{type_of(name)}{kind}" for name in METHODS for kind in ("Arguments", "Response")]
    use_fetched()
    command = ["node", str(_CONTRACT / "slack_schemas.cjs"), *names, *_TYPES]
    done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])
    connection.execute("CREATE TABLE types (name PRIMARY KEY, schema)")
    for name, schema in json.loads(done.stdout).items():
        connection.execute("INSERT INTO types VALUES (?, ?)", (name, json.dumps(schema)))


# -- checking


def request_problems(record: SlackRecord, seen: Seen) -> None:
    """Check a call of the App, and the blocks and views in it."""
    types = SlackTypes.load()
    arguments = record.arguments
    if record.method != "response_url":
        arguments = _decoded(types, f"{type_of(record.method)}Arguments", arguments)
        name = f"{type_of(record.method)}Arguments"
        problems = _without(EXEMPT, types.problems(name, arguments, record.method))
        if not record.fault and record.answer.get("error") in INVALID:
            problems.append(f"{record.method}: refused: {record.answer}")
        seen.add("requests", problems)
    blocks = arguments.get("blocks") or []
    view = arguments.get("view")
    if view is not None:
        kind = "HomeView" if view.get("type") == "home" else "ModalView"
        problems = types.problems(kind, view, f"{record.method}: view")
        seen.add("views", _without(EXEMPT, problems))
        blocks = view.get("blocks", [])
    for number, block in enumerate(blocks):
        where = f"{record.method}: block {number}"
        seen.add("blocks", _without(EXEMPT, types.problems("KnownBlock", block, where)))


def _decoded(types: SlackTypes, name: str, arguments: dict[str, Json]) -> dict[str, Json]:
    """Arguments as JSON: a form has everything as text."""
    fields = types.fields(name)
    hidden = ("_basic",)
    return {
        key: _value(value, fields.get(key, []))
        for key, value in arguments.items()
        if key not in hidden
    }


def _value(value: Json, schemas: list[Json]) -> Json:
    if not isinstance(value, str) or any(_takes_text(each) for each in schemas):
        return value
    if any(each.get("type") == "boolean" for each in schemas) and value in ("0", "1"):
        return value == "1"
    try:
        return json.loads(value)
    except ValueError:
        return value


def _takes_text(schema: Json) -> bool:
    kinds = schema.get("type", [])
    return "string" in ([kinds] if isinstance(kinds, str) else kinds) or any(
        _takes_text(each) for each in schema.get("anyOf", [])
    )


def answer_problems(record: SlackRecord, seen: Seen) -> None:
    """Check an answer of the simulated Slack."""
    if record.fault or record.method == "response_url":
        return
    types = SlackTypes.load()
    answer = {key: value for key, value in record.answer.items() if key != "req_method"}
    problems = types.problems(f"{type_of(record.method)}Response", answer, record.method)
    seen.add("answers", _without(EXEMPT_ANSWERS, problems))


def delivery_problems(delivery: SlackDelivery, seen: Seen) -> None:
    """Check an event of the simulated Slack; there are no types of interactions."""
    if delivery.kind == "events_api":
        event = delivery.payload["event"]
        where = f"event {event['type']} {event.get('subtype', '')}".strip()
        seen.add("events", SlackTypes.load().problems("SlackEvent", event, where))


@contextmanager
def slack_contract(slack: Slack, *, requests: bool = True) -> Iterator[Seen]:
    """Check all traffic with a Slack in this block; raises ContractError at its end.

    `requests` off leaves out what the App sends, for tests that send nonsense.
    """
    seen = Seen()

    def look(record: SlackRecord) -> None:
        if record.method != "response_url" and record.method not in METHODS:
            if requests:
                seen.add("requests", [f"{record.method}: no such method"])
            return
        if requests:
            request_problems(record, seen)
        answer_problems(record, seen)

    def hear(delivery: SlackDelivery) -> None:
        delivery_problems(delivery, seen)

    slack.observers.append(look)
    slack.delivery_observers.append(hear)
    try:
        yield seen
    finally:
        slack.observers.remove(look)
        slack.delivery_observers.remove(hear)
        SLACK_SESSION.totals.update(seen.totals)
        SLACK_SESSION.problems += seen.problems
    if seen.problems:
        raise ContractError("\n".join(seen.problems[:_SHOWN]))
