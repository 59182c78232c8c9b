"""Debian's Chromium, headless, for tests and screenshots."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

PHONE = (390, 844)
DESK = (1280, 900)
PATIENCE_SECONDS = 60.0

_QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """A browser with one tab. Every method blocks: call it from a thread outside the event loop."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def size(self, size: tuple[int, int]) -> None:
        """Set the window size in CSS pixels; a phone's has a touch screen."""
        width, height = size
        is_phone = width < 600
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=is_phone,
        )

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark` colors."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self._tell("Emulation.setEmulatedMedia", features=[feature])

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def forget(self) -> None:
        """Delete all cookies and console entries, as before a first visit."""
        self.driver.delete_all_cookies()
        self.complaints()

    def find(self, css: str, text: str = "") -> WebElement:
        """Wait for a visible element whose text contains these words."""

        def look(driver: Chrome) -> WebElement | None:
            for found in driver.find_elements(By.CSS_SELECTOR, css):
                if found.is_displayed() and text in found.text:
                    return found
            return None

        wait = WebDriverWait(
            self.driver,
            PATIENCE_SECONDS,
            poll_frequency=0.05,
            ignored_exceptions=[StaleElementReferenceException],
        )
        found = wait.until(look, f"{css} {text!r}")
        assert isinstance(found, WebElement)
        return found

    def press(self, css: str, text: str = "") -> None:
        """Click on it when it appears."""
        found = self.find(css, text)
        self.run("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def choose(self, css: str, text: str) -> None:
        """Choose an option of a list."""
        Select(self.find(css)).select_by_visible_text(text)

    def write(self, css: str, text: str) -> None:
        """Type into a field."""
        self.find(css).send_keys(text)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script on the page; return its result."""
        return self.driver.execute_script(script, *arguments)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Take a screenshot of the visible part, or of the whole page."""
        answer = self._tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """The errors in the browser's console since the last call."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def _tell(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)


@contextmanager
def browser() -> Iterator[Browser]:
    """A fresh browser with an empty profile, which is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="honk-browser-", ignore_cleanup_errors=True) as home:
        options = ChromeOptions()
        for argument in (*_QUIET, f"--user-data-dir={home}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.binary_location = _path("chromium")
        service = ChromeService(_path("chromedriver"), env=os.environ | {"HOME": home})
        driver = Chrome(options=options, service=service)
        try:
            yield Browser(driver)
        finally:
            driver.quit()


def _path(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install chromium chromium-driver"
    return found
