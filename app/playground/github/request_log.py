"""What the simulated GitHub records of each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass
class RequestRecord:
    """One request and its answer, as the log keeps them. `path` is as the client wrote it."""

    method: str
    template: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    answer: Any
    token_kind: str
    who: str
    at: datetime
    is_json: bool = True
    """Off for answers of another media type, whose `answer` is None."""
    fault: bool = False
    """An order in `faults` made this answer."""
