"""What the pages of all simulated sites share."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates() -> Environment:
    """The templates; a site adds its own helper functions."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["hue"] = _hue
    return environment


def acting_cookie(url: str) -> str:
    """The name of the cookie with the acting person of the site at this URL.

    Cookies ignore ports; with the port in the name, each site has a separate cookie.
    """
    return f"acting-{urlsplit(url).port or 80}"


def _hue(name: str) -> int:
    """A color for a name, always the same: one of twelve."""
    return sha256(name.encode()).digest()[0] % 12
