"""A run's state as an image, for texts on GitHub that stay as they are while no worker runs.

Anyone who knows a run's id can see its state, but nothing else: GitHub fetches images without
signing in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import messages
from app.store.runs import Runs

PATH = "/state/{run}.svg"

_RUN_ID = re.compile(r"[a-z2-7]{1,32}")
_CHARACTER_PIXELS = 7.5


@dataclass(frozen=True)
class StateImages:
    """Draws the states of runs."""

    runs: Runs

    def route(self) -> Route:
        return Route(PATH, self._image)

    async def _image(self, request: Request) -> Response:
        run = request.path_params["run"]
        row = await self.runs.find(run) if _RUN_ID.fullmatch(run) else None
        if row is None:
            return PlainTextResponse("There is no such run.\n", 404)
        if await self.runs.is_stalled(row):
            text = messages.check_run.no_worker()
        else:
            text = messages.formatting.state(row.phase, row.outcome, row.input.mode)
        # GitHub's image proxy asks again for every view of an image that may not be stored.
        return Response(_drawn(text), media_type="image/svg+xml")


def _drawn(text: str) -> str:
    width = round(len(text) * _CHARACTER_PIXELS) + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="24" role="img"'
        f' aria-label="{escape(text)}"><rect width="{width}" height="24" rx="4" fill="#57606a"/>'
        f'<text x="10" y="16" fill="#fff" font-family="sans-serif" font-size="12">'
        f"{escape(text)}</text></svg>"
    )
