"""The story in Slack as pictures for docs/slack.md, taken at the end of the playground's story.

python -m tests.browser.slack_pictures
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.playground.commute import play_in_slack
from app.playground.run import Scene

from .chromium import PHONE, browser

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"


async def main() -> None:
    """Take them."""

    async def look(channel: str, thread: str) -> None:
        await asyncio.to_thread(_take, channel, thread)

    assert await play_in_slack(Scene.of(None, None, None), port=0, once=True, before_merge=look)


def _take(channel: str, thread: str) -> None:
    with browser() as tab:
        tab.size(PHONE)
        tab.scheme("light")
        tab.open(channel)
        tab.find(".message", "replies")
        tab.picture(FOLDER / "slack-channel.png")
        tab.open(thread)
        tab.find(".buttons", "Merge")
        tab.run("window.scrollTo(0, document.body.scrollHeight)")
        tab.picture(FOLDER / "slack-thread.png")


if __name__ == "__main__":
    asyncio.run(main())
