"""Values that cross a step or the database."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from app.domain.report import (
    Publication,
    Report,
)
from app.domain.run import Outcome
from app.domain.values import Value, printable_name


def test_what_a_newer_version_has_recorded_is_read_without_what_is_new() -> None:
    publication = Publication(branch="honk/1", pull_number=2, pull_url="", draft=False)
    report = Report(outcome=Outcome.DONE, publication=publication)
    newer = report.model_dump(mode="json")
    newer["weather"] = "fine"
    newer["publication"]["weather"] = "fine"
    assert Report.recorded(newer) == report
    with pytest.raises(ValidationError):
        Report.model_validate(newer)


def test_what_is_recorded_and_makes_no_sense_is_refused() -> None:
    class Pair(Value):
        one: int

    with pytest.raises(ValidationError):
        Pair.recorded({"two": 2})


class _Recorded(Value):
    name: str
    more: tuple[str, ...] = ()
    by_name: dict[str, str] | None = None
    inner: _Recorded | None = None


def test_names_that_are_not_utf_8_are_printable_in_whatever_is_recorded() -> None:
    name = os.fsdecode(b"caf\xe9/\xff.py")
    inner = _Recorded(name=name)
    value = _Recorded(name=name, more=("é", name), by_name={name: name}, inner=inner)
    shown = r"caf\xe9/\xff.py"
    assert value.model_dump(mode="json") == {
        "name": shown,
        "more": ["é", shown],
        "by_name": {shown: shown},
        "inner": {"name": shown, "more": [], "by_name": None, "inner": None},
    }
    assert _Recorded.recorded(value.model_dump(mode="json")) == value
    assert _Recorded.model_validate({"name": "\ud83d"}).name == "\ufffd"
    assert printable_name(b"caf\xe9") == printable_name(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert printable_name("é🙂") == "é🙂"


def test_what_is_wrong_besides_is_still_refused() -> None:
    with pytest.raises(ValidationError):
        _Recorded.model_validate({"name": "\udce9", "other": 1})
    with pytest.raises(ValidationError):
        _Recorded.model_validate({"name": 1})
