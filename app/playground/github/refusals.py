"""GitHub's error responses, with their status codes and shapes.

Outside contract: https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error in Honk
    """Ends a request with this status; `message` and `errors` are the answer's body."""

    def __init__(
        self, status: int, message: str, errors: list[Any] | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def body(self) -> dict[str, Any]:
        """The JSON body of GitHub's refusal."""
        answer: dict[str, Any] = {"message": self.message}
        if self.errors is not None:
            answer["errors"] = self.errors
        return answer | {"documentation_url": DOCUMENTATION, "status": str(self.status)}


class Moved(Refusal):
    """The resource has moved; `place` is its URL."""

    def __init__(self, place: str, status: int = 301) -> None:
        words = (
            "Moved Permanently" if status == HTTPStatus.MOVED_PERMANENTLY else "Temporary Redirect"
        )
        super().__init__(status, words, Location=place)
        self._place = place

    def body(self) -> dict[str, Any]:
        """The JSON body with the new URL."""
        return {"message": self.message, "url": self._place, "documentation_url": DOCUMENTATION}


def not_found() -> Refusal:
    """404, also for things that the caller may not see."""
    return Refusal(404, "Not Found")


def no_permission() -> Refusal:
    """403 for an installation token that lacks the permission."""
    return Refusal(403, "Resource not accessible by integration")


def invalid_request(detail: str) -> Refusal:
    """422 for a body that does not match the description of the request."""
    return Refusal(422, f"Invalid request.\n\n{detail}")


def validation(resource: str, field: str, code: str, **more: Any) -> Refusal:
    """422 for a value that cannot be stored; `code` is one of GitHub's (invalid, ...)."""
    error = {"resource": resource, "field": field, "code": code} | more
    return Refusal(422, "Validation Failed", [error])


def custom(resource: str, message: str) -> Refusal:
    """422 for a rule, with GitHub's message."""
    error = {"resource": resource, "code": "custom", "message": message}
    return Refusal(422, "Validation Failed", [error])
