"""What the inbox holds of a request."""

from __future__ import annotations

from app.domain.slack import SlackRequest
from app.domain.values import Value


class StoredRequest(Value):
    """A request in the inbox. `repository`: what the person chose from the menu, or empty."""

    request: SlackRequest
    repository: str = ""
