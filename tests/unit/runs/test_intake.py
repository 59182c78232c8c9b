from __future__ import annotations

from app.runs.durable import Nothing
from app.runs.intake import Heard


def test_what_another_version_recorded_of_hearing_is_read() -> None:
    assert Heard.recorded(Nothing().model_dump(mode="json")) == Heard(ended=None)
    assert Nothing.recorded(Heard(ended=2).model_dump(mode="json")) == Nothing()
