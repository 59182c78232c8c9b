from __future__ import annotations

from app.runs.durable import NoResult
from app.runs.intake import DeliveredMessage


def test_what_another_version_recorded_of_hearing_is_read() -> None:
    assert DeliveredMessage.recorded(NoResult().model_dump(mode="json")) == DeliveredMessage(
        ended=None
    )
    assert NoResult.recorded(DeliveredMessage(ended=2).model_dump(mode="json")) == NoResult()
