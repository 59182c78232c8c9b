"""The clock of a simulated service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time, moved forward by `advance`."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass at once: tokens expire, limits are renewed."""
        self._offset += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time in UTC, in whole seconds."""
        return (datetime.now(UTC) + self._offset).replace(microsecond=0)

    def timestamp(self) -> float:
        """Seconds since 1970, with fractions."""
        return (datetime.now(UTC) + self._offset).timestamp()
