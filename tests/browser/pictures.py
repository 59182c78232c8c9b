"""`make pictures`: the story as pictures for the documents, taken from the running product.

python -m tests.browser.pictures
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.playground.samples import load
from tests.support.harness import Harness, Subject, open_harness

from .chromium import DESK, PHONE, Browser, browser

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES = 150_000
_IN_THE_MIDDLE = {
    "phone-status": "at(0).scrollIntoView({block: 'center'})",
    "phone-final": "at(-1).scrollIntoView({block: 'center'})",
}
PEOPLE = {"walter": "write", "trudy": "triage", "rita": "read"}


async def main() -> None:
    """Take them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with open_harness() as harness:
        subject = await _sample(harness)
        with browser() as tab:
            await asyncio.to_thread(_put_the_label_on, tab, subject)
            await subject.settled()
            await asyncio.to_thread(_take_the_rest, tab, subject)
    for path in sorted(FOLDER.glob("*.png")):
        size = path.stat().st_size
        assert size <= MOST_BYTES, f"{path.name} has {size} bytes"
        print(f"{size:8} {path.relative_to(FOLDER.parents[1])}")


async def _sample(harness: Harness) -> Subject:
    """The first sample with its issues, and what the scripted model does on the first."""
    sample = load()[0]
    first, *others = sample.issues
    subject = await harness.subject(
        name=sample.name,
        files=sample.files,
        title=first.title,
        body=first.body,
        plays=first.script,
        permissions=PEOPLE,
    )
    for issue in others:
        await harness.github.open_issue(subject.repository, "walter", issue.title, issue.body)
    return subject


def _put_the_label_on(tab: Browser, subject: Subject) -> None:
    tab.size(PHONE)
    tab.scheme("light")
    tab.open(_page(subject, "issues", subject.number))
    tab.press("#add-label summary")
    tab.find("#add-label button", "honk")
    tab.picture(FOLDER / "phone-label.png")
    tab.press("#add-label button", "honk")
    tab.find("#labels", "honk:running")
    tab.find(".by-bot", "Working")
    tab.run("document.querySelector('.by-bot').scrollIntoView({block: 'center'})")
    tab.picture(FOLDER / "phone-at-work.png")


def _take_the_rest(tab: Browser, subject: Subject) -> None:
    pull = subject.pull.number
    issue, conversation = _page(subject, "issues", subject.number), _page(subject, "pull", pull)
    looks = (
        ("phone-issue", PHONE, "light", issue, ".by-bot"),
        ("phone-status", PHONE, "light", issue, ".by-bot"),
        ("phone-final", PHONE, "light", issue, ".by-bot"),
        ("phone-pull", PHONE, "light", conversation, "#thread"),
        ("phone-files", PHONE, "light", f"{conversation}/files", ".diff"),
        ("phone-checks", PHONE, "light", f"{conversation}/checks", ".check-card"),
        ("phone-feed", PHONE, "dark", f"{subject.harness.github.url}/notifications", ".notice"),
        ("desk-issue", DESK, "light", issue, ".by-bot"),
        ("desk-pull", DESK, "dark", conversation, "#thread"),
        ("desk-files", DESK, "light", f"{conversation}/files", ".diff"),
    )
    for name, size, scheme, page, wanted in looks:
        tab.size(size)
        tab.scheme(scheme)
        tab.open(page)
        tab.find(wanted)
        if name in _IN_THE_MIDDLE:
            tab.run(f"[...document.querySelectorAll('.by-bot')].{_IN_THE_MIDDLE[name]}")
        tab.picture(FOLDER / f"{name}.png")


def _page(subject: Subject, kind: str, number: int) -> str:
    return f"{subject.harness.github.url}/{subject.repository}/{kind}/{number}"


if __name__ == "__main__":
    asyncio.run(main())
