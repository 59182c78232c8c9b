"""Serves the simulated Slack on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.playground.serving import serve_app

from .simulator import Slack


@asynccontextmanager
async def serve(slack: Slack, port: int = 0) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 in the running loop; gives the address, without a slash at its end.

    Port 0 takes a free one. Raises OSError when the port is taken.
    """
    async with serve_app(slack.asgi, port, websockets=True) as url:
        slack.url = url
        try:
            yield url
        finally:
            await slack.close()
