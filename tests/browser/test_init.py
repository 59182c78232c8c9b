"""The README's installation in a browser: from an empty home to the first pull request."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.playground.github import GitHub, serve
from app.playground.model import ScriptedModel
from app.playground.pages import github_with_pages
from app.playground.run import environment, registration
from app.playground.serving import serve_app
from tests.support.harness import FINISH, FIX, PROJECT, script

from .chromium import PHONE, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPO = "olivia/calc"
KEY = "sk-ant-api03-of-the-test"
MOST_CLICKS, MOST_FIELDS = 5, 3
SECONDS = 240.0


@dataclass
class Person:
    """A person with a browser, and their actions on Honk's pages."""

    tab: Browser
    ours: str
    clicks: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def press(self, css: str, text: str = "") -> None:
        self.tab.find(css, text)  # one of our pages may still be leading to another
        if self.is_ours():
            self.clicks.append(text or css)
        self.tab.press(css, text)

    def write(self, css: str, text: str) -> None:
        if self.is_ours():
            self.fields.append(css)
        self.tab.write(css, text)

    def is_ours(self) -> bool:
        url: str = self.tab.driver.current_url
        return url.startswith(self.ours)

    @contextmanager
    def new_tab(self) -> Iterator[None]:
        """The tab that a link opened; closed at the end."""
        driver = self.tab.driver
        before = driver.current_window_handle
        (opened,) = set(driver.window_handles) - {before}
        driver.switch_to.window(opened)
        self.tab.size(PHONE)
        try:
            yield
        finally:
            driver.close()
            driver.switch_to.window(before)


@dataclass
class Machine:
    """A machine with an empty home, on which commands run in one folder."""

    folder: Path
    settings: dict[str, str]

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        with (self.folder.parent / f"{words[0]}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app", *words),
                cwd=self.folder,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await process.wait()

    async def link(self, process: asyncio.subprocess.Process) -> str:
        """The link that `honk init` prints."""
        assert process.stdout is not None
        async for line in process.stdout:
            if found := re.search(rb"http://127\.0\.0\.1:\d+/start/\S+", line):
                return found[0].decode()
        raise AssertionError("honk init printed no link")


@pytest.mark.slow
async def test_from_an_empty_home_to_the_first_pull_request(tab: Browser, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "machine"
    for each in (tmp_path, home, folder):
        each.mkdir(exist_ok=True)
        each.chmod(0o711)
    github = github_with_pages(tmp_path / "github", registration(tmp_path))
    github.add_user("olivia")
    await github.add_repository(REPO, files=PROJECT, installed=False)
    github.world.installations.clear()
    model = ScriptedModel(default=script([FIX], [FINISH]), api_key=KEY)
    async with serve(github) as github_url, serve_app(model.app) as model_url:
        settings = {
            "HOME": str(home),
            "HONK_HOME": str(home / "honk"),
            "HONK_WORKSPACE_DISK": "watched",
            "ANTHROPIC_BASE_URL": model_url,
            "PORT": "0",
        }
        machine = Machine(folder, settings)
        async with machine.running("init") as init:
            link = await machine.link(init)
            person = Person(tab, link.partition("/start/")[0])
            await asyncio.to_thread(_install, person, link, github_url)
            async with machine.running("serve"):
                await asyncio.to_thread(_ask, person)
                await _pull_request(github)
    assert len(person.clicks) <= MOST_CLICKS, person.clicks
    assert len(person.fields) <= MOST_FIELDS, person.fields
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in folder.iterdir()] == [".env"]
    assert all(each.status_code == 502 for each in github.deliveries), "a webhook was needed"


def _install(person: Person, link: str, github_url: str) -> None:
    tab = person.tab
    tab.size(PHONE)
    tab.open(link)
    _fits(tab)
    person.press("#server-more summary")
    person.write("#server", github_url)
    person.press("button", "Continue to GitHub")
    # The page in between submits itself.
    person.press("button", "Create GitHub App as olivia")
    tab.find("#create.done a")
    assert "code=" not in tab.driver.current_url
    person.press("#install a", "Install on GitHub")
    with person.new_tab():
        person.press("button", "Install on olivia")
        tab.find("h1", "The App is installed")
    person.write("#key", KEY)
    person.press("#model button", "Check and save")
    tab.find("#model.done")
    tab.find("#deliveries", "Honk can read 1 repository")
    tab.find("#doctor summary", "Model")
    _fits(tab)
    assert not [each for each in tab.complaints() if each.startswith(person.ours)]


def _ask(person: Person) -> None:
    person.press("#try a", f"Open a first issue on {REPO}")
    with person.new_tab():
        assert person.tab.find("#title").get_attribute("value")
        person.press("button", "Create issue")
        person.write("#body", "/honk")
        person.press("button", "Comment")
        person.tab.find(".by-bot")


async def _pull_request(github: GitHub) -> None:
    async with asyncio.timeout(SECONDS):
        while not github.pulls(REPO) or not github.pulls(REPO)[0].comments:
            await asyncio.sleep(0.2)
            if any("honk:end=" in each.body for each in github.issue(REPO, 1).comments):
                break
    assert github.pulls(REPO), [each.body for each in github.issue(REPO, 1).comments]


def _fits(tab: Browser) -> None:
    """Nothing overflows horizontally, and buttons are large enough for thumbs."""
    width, room = tab.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room
    small = tab.run(
        "return [...document.querySelectorAll('button, summary, .button, select, .choice, input')]"
        ".filter((one) => one.type !== 'radio' && one.checkVisibility())"
        ".filter((one) => one.getBoundingClientRect().height < 43)"
        ".map((one) => one.outerHTML)"
    )
    assert small == []
