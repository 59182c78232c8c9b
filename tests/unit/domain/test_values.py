"""Values that cross a step or the database."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.domain.run import Outcome
from app.domain.values import Value
from app.domain.words import Publication, Report


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
