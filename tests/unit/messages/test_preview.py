"""The line with previews: where it goes in a text, and that it can be updated."""

from __future__ import annotations

import pytest

from app.domain.preview import Preview
from app.domain.values import CommitSha
from app.messages.formatting import COMMENT_LIMIT
from app.messages.preview import previews_block, with_previews

SHA = CommitSha("a" * 40)
PULL = (
    "<!-- honk:verdict=r -->\n\n**Proven.** 1 new test.\n\n<!-- honk:verdict-end -->\n\n"
    "Closes #1\n\n## Changes\n\n**Bold** words"
)
STATUS = "<!-- honk:run=r -->\n\n> asked **for**\n\n**Done.** See #2.\n\n<sub>foot</sub>\n"


def line(environment: str = "Preview", reporter: str = "vercel[bot]") -> str:
    preview = Preview(
        environment=environment, url="https://a.example/", host="a.example", reporter=reporter
    )
    return previews_block([preview], SHA)


@pytest.mark.parametrize(
    ("text", "above", "below"),
    [
        (PULL, "<!-- honk:verdict-end -->", "Closes #1"),
        (STATUS, "**Done.** See #2.", "<sub>foot</sub>"),
    ],
)
def test_the_line_is_put_below_the_result_replaced_and_removed(
    text: str, above: str, below: str
) -> None:
    once = with_previews(text, line())
    assert f"{above}\n\n{line()}\n\n{below}" in once
    assert with_previews(once, line()) == once
    other = with_previews(once, line("Docs"))
    assert "Docs" in other
    assert "Preview," not in other
    assert with_previews(other, "") == text
    assert with_previews(text, "") == text


def test_a_text_that_people_edited_in_a_browser_gets_it_too() -> None:
    edited = PULL.replace("\n", "\r\n")
    once = with_previews(edited, line())
    assert f"verdict-end -->\n\n{line()}\n\nCloses" in once
    assert with_previews(once.replace("\n", "\r\n"), "") == PULL


def test_without_room_nothing_is_cut() -> None:
    full = PULL + "x" * (COMMENT_LIMIT - len(PULL))
    assert with_previews(full, line()) == full


def test_names_do_nothing_on_the_page() -> None:
    shown = line("[x](https://evil.example) @olivia <img> #1\n\n<!-- honk:preview-end -->", "`@o`")
    assert shown.count("<!-- honk:preview-end -->") == 1
    assert "](https://evil.example)" not in shown
    assert "<img>" not in shown
    assert "@olivia" not in shown
