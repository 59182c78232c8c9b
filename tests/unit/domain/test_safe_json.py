"""Untrusted JSON: one kind of error, and no values that a file or database would reject."""

from __future__ import annotations

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.flag import Kind
from app.domain.safe_json import json_value
from app.integrity import examine


def test_a_value_is_read() -> None:
    assert json_value(b'{"a": ["\\ud83e\\udd86", 1]}') == {"a": ["\N{DUCK}", 1]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '"\\ud800"',
        '{"\\uDFFF": 1}',
        b"\xff",
        b'"\xed\xa0\x80"',
        "9" * 5_000,
        *("1e999", "[-1e999]", "NaN", "Infinity", "-Infinity"),
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        json_value(text)


@pytest.mark.parametrize("value", ["!!timestamp x", "!!bool maybe", "!!int ''", "{[a]: b}"])
def test_invalid_yaml_is_flagged_as_not_examined(value: str) -> None:
    diff = Diff((FileDiff.of(".github/workflows/ci.yml", "on: push\n", f"on: {value}\n"),))
    assert Kind.NOT_EXAMINED in {flag.kind for flag in examine(diff)}
