"""The whole story as a person sees it in a browser, on a phone and on a desktop."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.harness import FINISH, FIX, Harness, Subject, script

from .chromium import DESK, PHONE, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {"walter": "write", "trudy": "triage", "rita": "read"}


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_label_on_the_page_becomes_a_pull_request(
    harness: Harness, tab: Browser, size: tuple[int, int]
) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]), permissions=PEOPLE)
    await asyncio.to_thread(_watch_it_happen, tab, size, _issue_page(subject))
    await subject.settled()

    assert subject.pull.comments[-1].author.login == "olivia"
    assert subject.pull.comments[-1].body == "Thank you.\nWell done."


def _watch_it_happen(tab: Browser, size: tuple[int, int], page: str) -> None:
    tab.size(size)
    tab.open(page)
    tab.run("window.neverLeft = true")
    tab.write("#body", "half a thought")
    tab.press("#add-label summary")
    tab.press("#add-label button", "honk")

    tab.find(".reaction[aria-label^='eyes']")
    tab.find(".by-bot", "Done.")
    tab.find(".by-bot", "is ready for your review")
    tab.find("#labels", "honk:done")
    assert tab.run("return window.neverLeft"), "the page was reloaded"
    assert tab.find("#body").get_attribute("value") == "half a thought"
    _fits(tab)

    tab.press(".by-bot a.reference")
    tab.find(".check", "success · Proven: 1 test fails without this change")
    _fits(tab)
    tab.run("window.neverLeft = true")
    tab.write("#body", "Thank you.\nWell done.")
    tab.press(".composer button.primary", "Comment")
    tab.find(".said:not(.by-bot)", "Well done.")
    assert tab.run("return window.neverLeft"), "a comment reloaded the page"
    assert tab.find("#body").get_attribute("value") == ""

    tab.press(".tabs a", "Checks")
    tab.find(".check-card", "honk / tests")
    _fits(tab)
    tab.press(".tabs a", "Files")
    assert tab.find(".diff .add .code").text.strip() == "return a + b"
    assert tab.find(".diff .del .code").text.strip() == "return a - b"
    _fits(tab)
    assert tab.complaints() == []


async def test_a_reader_sees_what_github_refuses(harness: Harness, tab: Browser) -> None:
    subject = await harness.subject(permissions=PEOPLE)

    def try_as_rita() -> str:
        tab.size(PHONE)
        tab.open(_issue_page(subject))
        tab.choose("#act-as", "rita · reader")
        tab.find("#act-as option:checked", "rita")
        tab.find("label[for=body]", "rita")
        tab.press("#add-label summary")
        tab.press("#add-label button", "honk")
        return tab.find("#refusal p").text

    words = await asyncio.to_thread(try_as_rita)
    assert words == "Refused. Must have more rights to Repository. (403)"
    assert subject.issue.labels == []


async def test_what_is_open_and_typed_survives_what_others_do(
    harness: Harness, tab: Browser
) -> None:
    subject = await harness.subject(permissions=PEOPLE)
    body = "<details><summary>More</summary>\n\nhidden words\n\n</details>"
    await subject.comment(body, by="walter")

    def prepare() -> None:
        tab.size(PHONE)
        tab.open(_issue_page(subject))
        tab.press(".markdown summary", "More")
        tab.find(".markdown details", "hidden words")
        tab.write("#body", "still writing")

    await asyncio.to_thread(prepare)
    await subject.label("urgent", by="trudy")
    await subject.comment("Another thought.", by="walter")

    def look() -> None:
        tab.find(".said", "Another thought.")
        tab.find("#labels", "urgent")
        tab.find(".markdown details", "hidden words")
        assert tab.find("#body").get_attribute("value") == "still writing"
        assert tab.run("return document.activeElement.id") == "body"

    await asyncio.to_thread(look)


async def test_thumbs_find_what_they_press(harness: Harness, tab: Browser) -> None:
    subject = await harness.subject(permissions=PEOPLE)
    await subject.label("urgent", by="trudy")
    await subject.comment("A word.", by="walter")

    def small_targets() -> list[str]:
        tab.size(PHONE)
        tab.open(_issue_page(subject))
        tab.press("#add-label summary")
        found = tab.run(
            "return [...document.querySelectorAll('button, select, textarea, summary, .bell')]"
            ".filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 44)"
            ".map((one) => one.outerHTML)"
        )
        return [str(one) for one in found]

    assert await asyncio.to_thread(small_targets) == []


def _issue_page(subject: Subject) -> str:
    return f"{subject.harness.github.url}/{subject.repository}/issues/{subject.number}"


def _fits(tab: Browser) -> None:
    """Nothing overflows horizontally."""
    width, room = tab.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room
