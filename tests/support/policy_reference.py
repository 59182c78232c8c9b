"""Writes docs/policy-reference.md from the policy's JSON Schema: `make schema`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.domain.policy import NOT_BUILT_YET, json_schema

PATH = Path(__file__).parents[2] / "docs" / "policy-reference.md"
_HEAD = """# Policy reference

All keys of `.github/honk.yml`, generated from its [JSON Schema](honk.schema.json) by `make schema`.
[The policy](policy.md) explains them with examples.
"""


def text() -> str:
    """The whole page."""
    schema = json.loads(json_schema())
    plain = [*_rows(schema, schema["$defs"], "")]
    return "\n".join([_HEAD, "| key | type | default | meaning |", "|---|---|---|---|", *plain, ""])


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, given in schema["properties"].items():
        if not prefix and name in NOT_BUILT_YET:
            continue
        spec = _resolved(given, definitions)
        meaning = " ".join(str(given.get("description") or spec.get("description") or "").split())
        shown = _shown_type(given, definitions)
        yield (
            f"| `{prefix}{name}` | {_cell(shown)} | {_cell(_default(given))} | {_cell(meaning)} |"
        )
        for option in _options(given, definitions):
            if "properties" in option:
                yield from _rows(option, definitions, f"{prefix}{name}.")
            for value in option.get("patternProperties", {}).values():
                if "properties" in (named := _resolved(value, definitions)):
                    yield from _rows(named, definitions, f"{prefix}{name}.NAME.")


def _resolved(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = given.get("$ref")
    return definitions[reference.rpartition("/")[2]] if reference else given


def _options(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of a value that may be of several kinds, without null."""
    alternatives = given.get("anyOf") or given.get("oneOf") or [given]
    options = [_resolved(each, definitions) for each in alternatives]
    return [each for each in options if each.get("type") != "null"]


def _shown_type(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    return " or ".join(
        dict.fromkeys(_kind(each, definitions) for each in _options(given, definitions))
    )


def _kind(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "enum" in spec:
        return ", ".join(f"`{each}`" for each in spec["enum"])
    if "const" in spec:
        return f"`{spec['const']}`"
    if spec.get("type") == "array":
        items = _shown_type(spec["items"], definitions) if "items" in spec else "values"
        return f"list of {items}"
    if spec.get("type") == "object" or "properties" in spec:
        return "keys"
    kind = {"integer": "whole number", "boolean": "`true`, `false`", "string": "text"}
    return f"{kind.get(spec.get('type', ''), 'number')}{_limits(spec)}"


def _limits(spec: Mapping[str, Any]) -> str:
    above, least = spec.get("exclusiveMinimum"), spec.get("minimum")
    most = spec.get("maximum")
    parts = [f"more than {above:,}"] if above is not None else []
    parts += [f"at least {least:,}"] if least is not None else []
    parts += [f"at most {most:,}"] if most is not None else []
    return f", {', '.join(parts)}" if parts else ""


def _default(given: Mapping[str, Any]) -> str:
    """The default as YAML; empty for none, and for a value with more keys."""
    value = given.get("default")
    if value in (None, "") or isinstance(value, dict):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(shown: str) -> str:
    return shown.replace("|", "\\|")


if __name__ == "__main__":
    PATH.write_text(text())
