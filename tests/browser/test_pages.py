"""A run's page in a browser: signed in through GitHub's page, updated while the run is live."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.playground.run import let_sign_in, sign_in_settings
from tests.support.harness import FINISH, FIX, Harness, open_harness, script

from .chromium import PHONE, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAN = {"plan": {"items": [{"text": "Turn minus into plus", "done": False}]}}
DONE = {"plan": {"items": [{"text": "Turn minus into plus", "done": True}]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _house() -> AsyncIterator[Harness]:
    async with open_harness(**sign_in_settings()) as harness:
        let_sign_in(harness.github, harness.url)
        yield harness


@pytest.mark.slow
async def test_a_phone_follows_a_run_to_its_end(harness: Harness, tab: Browser) -> None:
    pause = {"bash": {"command": "sleep 6"}}
    subject = await harness.subject(plays=script([PLAN], [pause], [DONE, FIX], [FINISH]))
    await subject.label()
    await harness.until(
        lambda: any("honk:run=" in c.body for c in subject.ours), "there is no status comment"
    )
    found = re.search(r"honk:run=(\w+)", subject.status)
    assert found
    await asyncio.to_thread(_follow, tab, f"{harness.url}/runs/{found[1]}")


def _follow(tab: Browser, page: str) -> None:
    tab.size(PHONE)
    tab.open(page)
    tab.press(".button", "Sign in with GitHub")
    tab.press("button", "olivia")
    tab.find("#plan .open", "Turn minus into plus")
    tab.complaints()  # those about GitHub's page are not ours
    tab.run("window.neverLeft = true")
    tab.find(".state.good", "Done")
    tab.find("#plan .done", "Turn minus into plus")
    tab.find("#tests", "Fixed, its test unchanged: 1")
    tab.find(".links a", "Pull request #")
    assert tab.run("return window.neverLeft"), "the page was reloaded"
    width, room = tab.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room
    small = tab.run(
        "return [...document.querySelectorAll('button, summary, .links a, .brand')]"
        ".filter((one) => one.getBoundingClientRect().height < 43)"
        ".map((one) => one.outerHTML)"
    )
    assert small == []
    assert tab.complaints() == []
    tab.press(".brand", "Honk")
    tab.find(".inbox .evidence", "Proven: 1 test fails without this change")
    tab.press("header nav a", "Runs")
    tab.find(".runs .title", "add() subtracts")
    tab.press("header button", "Sign out")
    tab.find(".button", "Sign in with GitHub")
    assert tab.complaints() == []
