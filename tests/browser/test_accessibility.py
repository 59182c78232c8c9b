"""Every page in both color schemes and sizes: axe-core finds nothing serious, and all of it fits.

https://github.com/dequelabs/axe-core/blob/develop/doc/API.md
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.playground.run import let_sign_in, sign_in_settings
from tests.support.harness import FINISH, FIX, Harness, open_harness, script

from .chromium import DESK, PHONE, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE = Path(__file__).parents[1] / "contract" / "node_modules" / "axe-core" / "axe.min.js"
PLAN = {"plan": {"items": [{"text": "Turn minus into plus", "done": True}]}}
LOOK = {"bash": {"command": "cat calc.py; no-such-command"}}
ASK = {"ask": {"question": "# Round\n\n- [ ] **up**\n- [x] down ![](https://evil.test/x.png)"}}
FIRST_LOAD_BYTES = 60 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _house() -> AsyncIterator[Harness]:
    async with open_harness(**sign_in_settings()) as harness:
        let_sign_in(harness.github, harness.url)
        yield harness


async def test_pages_are_for_everybody(harness: Harness, tab: Browser) -> None:
    done = await harness.subject(plays=script([PLAN, LOOK], [FIX], [FINISH]))
    asks = await harness.subject(plays=script([ASK]))
    live = await harness.subject(plays=script([PLAN, LOOK], [LOOK], [FINISH]))
    for subject in (done, asks):
        await subject.label()
        await subject.settled()
    async with live.thinking():
        await live.label()
        await live.at_work()
        runs = [_run(subject.status) for subject in (done, asks, live)]
        await asyncio.to_thread(_visit_all, tab, harness.url, done.repository, runs)


def _run(status: str) -> str:
    found = re.search(r"honk:run=(\w+)", status)
    assert found
    return found[1]


def _visit_all(tab: Browser, url: str, repository: str, runs: list[str]) -> None:
    tab.size(PHONE)
    tab.open(f"{url}/login")
    _check(tab, "/login")
    tab.press(".button", "Sign in with GitHub")
    tab.press("button", "olivia")
    tab.find("header .brand")
    tab.complaints()
    pages = [
        *("/", "/?of=everyone", "/runs", "/runs?q=nothing&outcome=done", "/usage"),
        *(f"/repos/{repository}", f"/runs?repo={repository}"),
        *(f"/runs/{run}" for run in runs),
        *(f"/runs/{runs[0]}/steps/1", f"/runs/{runs[0]}/diff", "/runs/aaaaaaaaaa"),
    ]
    for page in pages:
        for size, scheme in ((PHONE, "light"), (DESK, "dark")):
            tab.size(size)
            tab.scheme(scheme)
            tab.open(url + page)
            tab.find("main h1")
            tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            _check(tab, f"{page} {scheme}")
    assert [each for each in tab.complaints() if "404" not in each] == []


def _check(tab: Browser, page: str) -> None:
    tab.run(AXE.read_text())
    found: list[dict[str, Any]] = tab.run(
        "return axe.run().then((all) => all.violations.map("
        "({id, impact, nodes}) => ({id, impact, where: nodes.map((each) => each.html)})))"
    )
    assert [each for each in found if each["impact"] in ("serious", "critical")] == [], page
    width, room = tab.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room, page
    hosts = tab.run(
        "return performance.getEntries().filter((each) => /^http/.test(each.name))"
        ".map((each) => new URL(each.name).host)"
    )
    assert set(hosts) <= {tab.run("return location.host")}, page
    size = tab.run(
        "return performance.getEntries().reduce((sum, each) => sum + (each.transferSize || 0), 0)"
    )
    assert size <= FIRST_LOAD_BYTES, page
