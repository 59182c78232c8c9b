"""A build's page on a phone, and that nothing of a build runs on Honk's origin."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.playground.run import sign_in_settings
from tests.support.apps import PREVIEW, ci_that_builds, ipa, signed_in
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

from .chromium import PHONE, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "a-session-secret-that-is-long-enough-for-all"
HOSTILE = b"<html><script>document.title = 'ran'; fetch('/runs')</script>hello"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 'ran'</script></svg>"
PUBLIC = "https://honk.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _harness() -> AsyncIterator[Harness]:
    settings = sign_in_settings() | {"HONK_PUBLIC_URL": PUBLIC, "HONK_SESSION_SECRET": SECRET}
    async with open_harness(**settings) as harness:
        yield harness


async def _built(harness: Harness, files: dict[str, bytes]) -> tuple[Subject, str]:
    """A pull request whose workflow built these files, and the path of their page."""
    subject = await harness.subject(files=PREVIEW, plays=script([FIX], [FINISH]), private=True)
    harness.github.use_ci(subject.repository, ci_that_builds(files, conclusion="success"))
    await subject.label()
    await subject.settled()
    await harness.until(lambda: "/builds/" in subject.status, "there is no build")
    found = re.search(r"https://honk\.example(/builds/[a-z2-7]+)", subject.status)
    assert found
    return subject, found[1]


def _sign_in(tab: Browser, harness: Harness, login: str) -> None:
    name, _, value = signed_in(harness, login, SECRET, is_secure=True).partition("=")
    tab.open(f"{harness.url}/login")
    cookie = {"name": name, "value": value, "path": "/", "secure": True, "httpOnly": True}
    tab.driver.execute_cdp_cmd("Network.setCookie", cookie | {"url": harness.url})


@pytest.mark.slow
async def test_an_install_page_on_a_phone(harness: Harness, tab: Browser) -> None:
    _, page = await _built(
        harness, {"Shop.ipa": ipa(), "shop-debug.apk": b"PK\x03\x04" + b"a" * 99}
    )

    def look() -> None:
        tab.size(PHONE)
        _sign_in(tab, harness, "olivia")
        tab.open(harness.url + page)
        install = tab.find("a.button", "Install on this iPhone or iPad")
        address = install.get_attribute("href") or ""
        assert address.startswith("itms-services://?action=download-manifest&url=https%3A%2F%2F")
        tab.find("dd", "com.example.shop")
        tab.find("dd", "shop-debug.apk")
        assert len(tab.driver.find_elements("css selector", "a[download]")) == 2
        width, room = tab.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert width <= room
        small = tab.run(
            "return [...document.querySelectorAll('main .button')]"
            ".filter((one) => one.getBoundingClientRect().height < 43).length"
        )
        assert small == 0
        assert tab.complaints() == []

    await asyncio.to_thread(look)


@pytest.mark.slow
async def test_no_file_of_a_preview_runs_in_our_origin(harness: Harness, tab: Browser) -> None:
    files = {"index.html": HOSTILE, "a.svg": SVG, "b.png": HOSTILE}
    _, page = await _built(harness, files)

    def look() -> None:
        _sign_in(tab, harness, "olivia")
        for number in range(len(files)):
            for end in ("", "?inline=1"):
                tab.open(f"{harness.url}{page}")
                title = tab.driver.title
                assert "Build of" in title
                # A download leaves the browser where it is.
                tab.run(f"location.href = '{page}/files/{number}{end}'")
                tab.run("return new Promise((done) => setTimeout(done, 300))")
                assert tab.driver.title == title
                assert tab.driver.current_url == f"{harness.url}{page}"

    await asyncio.to_thread(look)


@pytest.mark.slow
async def test_a_stranger_sees_nothing_of_a_preview(harness: Harness, tab: Browser) -> None:
    _, page = await _built(harness, {"a.apk": b"PK\x03\x04" + b"secret"})

    def look() -> None:
        tab.open(harness.url + page)
        tab.find(".button", "Sign in with GitHub")
        _sign_in(tab, harness, "rita")
        for path in (page, f"{page}/files/0"):
            tab.open(harness.url + path)
            tab.find("h1", "Not found")
            assert "secret" not in tab.driver.page_source

    await asyncio.to_thread(look)
