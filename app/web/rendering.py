"""Rendering pages: escaped, redacted, and with their own content security policy."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, JSONResponse, Response

from app import messages
from app.domain.sanitize import redact, visible
from app.web.markdown import as_html

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_MARKDOWN_CHARACTERS = 6_000

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

_UNITS = ((365 * 86_400, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def templates_in(folder: Path, finalize: Callable[[object], object]) -> Environment:
    """A folder's templates; `finalize` gets every value before it is shown, escaped."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=finalize,
    )


def redacted(value: object, secrets: frozenset[str]) -> object:
    """Redact a template value; markup that is already safe is our own."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return redact(visible(value), secrets)
    return value


class Renderer:
    """Renders pages. `secrets`, and anything shaped like a token, are redacted from everything
    shown."""

    def __init__(self, secrets: Collection[str], now: Callable[[], float]) -> None:
        self._secrets = frozenset(secrets)
        self._now = now
        self._environment = templates_in(_HERE / "templates", self._redacted)
        self._environment.filters |= {
            "ago": self._ago,
            "stamp": stamp,
            "duration": messages.formatting.duration,
            "markdown": self._markdown,
        }

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page from a template."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status, HEADERS)

    def fragment(self, template: str, **values: Any) -> Markup:
        """A part of a page; empty instead of blank."""
        text = self._environment.get_template(template).render(values).strip()
        return Markup(text)  # noqa: S704 - the template has escaped it

    @property
    def secrets(self) -> frozenset[str]:
        """What is redacted from everything shown."""
        return self._secrets

    def problem(self, status: int, title: str, text: str, **values: Any) -> Response:
        """An error page."""
        given = {"session": None, "link": None} | values
        return self.page("problem.html", status, title=title, text=text, **given)

    def json(self, value: object, status: int = 200) -> Response:
        """A redacted JSON response."""
        return JSONResponse(self._redacted_deep(value), status, HEADERS)

    def _redacted(self, value: object) -> object:
        return redacted(value, self._secrets)

    def _redacted_deep(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._redacted_deep(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._redacted_deep(each) for each in value]
        return self._redacted(value)

    def _markdown(self, text: str) -> Markup:
        return as_html(text, self._secrets, limit=_MARKDOWN_CHARACTERS)

    def _ago(self, moment: float) -> str:
        seconds = int(self._now() - moment)
        for size, unit in _UNITS:
            if seconds >= size:
                count = seconds // size
                return f"{count} {unit}{'' if count == 1 else 's'} ago"
        return "just now"


def stamp(moment: float) -> str:
    """Seconds since 1970 as ISO 8601."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
