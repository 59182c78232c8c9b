"""The documents name what the code knows: every command, argument and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.domain.command import COMMANDS, CommandSpec
from app.domain.policy import NOT_BUILT_YET, Policy
from app.domain.values import Value

_DOCS = Path(__file__).parents[3] / "docs"
_SPECS = [pytest.param(spec, id=spec.name) for spec in COMMANDS.values()]


@pytest.mark.parametrize("spec", _SPECS)
def test_commands_and_their_arguments(spec: CommandSpec) -> None:
    address = "/honk" if spec.name == "work" else f"/honk {spec.name}"
    rows = (_DOCS / "commands.md").read_text("utf-8").splitlines()
    row = next(row for row in rows if re.match(rf"\| `{address}(?: <\w+>)?`", row))
    arguments = row.split("|")[3]
    assert re.findall(r"`(\w+)=`", arguments) == list(spec.arguments)


def test_keys_of_the_policy() -> None:
    text = (_DOCS / "policy.md").read_text("utf-8")
    documented = re.findall(r"^\| `([\w.]+)` \|", text, re.M)
    assert sorted(documented) == sorted(_keys(Policy))


def _keys(model: type[Value], above: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Value):
            keys += _keys(inner, f"{name}.")
        elif name not in NOT_BUILT_YET:
            keys.append(above + name)
    return keys
