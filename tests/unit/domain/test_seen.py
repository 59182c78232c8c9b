"""What people see of a text stays; tests/security tells what goes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.seen import as_seen


@pytest.mark.parametrize(
    "text",
    [
        "Plain *words*, `code with <b title='x'>`, 1 < 2 && 3 > 2; List<String> x",
        "```html\n<a title='kept'>![alt](b \"t\")</a>\n```\n\nand\n\n    indented <a b='kept'>",
        "1. one\n   ```\n   <x y='kept'>\n   ```\n- a\n\n> quoted\n",
        "# Heading\n\nText\n===\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n***\n",
        "See [the page](https://example.com/a_(b)) and ![](https://example.com/c.png).",
        "A claim[^1].\n\n[^1]: its source",
        "❤️ 1️⃣ ü",
        "<details>\n<summary>More</summary>\n\nshown on a click\n\n</details>",
    ],
)
def test_what_people_see_stays(text: str) -> None:
    assert as_seen(text) == text.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ('<a href="https://example.com/x" title="t" onclick="y">x</a>', None),
        ('[x]\n\n[x]: https://example.com "t"', "[x]\n\n[x]: https://example.com"),
    ],
)
def test_what_is_hidden_leaves_the_rest(text: str, seen: str | None) -> None:
    assert as_seen(text) == (seen or '<a href="https://example.com/x">x</a>')


@given(st.text(st.sampled_from("ab <>[]()!`~#*\\\"'\n&;:/^-=|{}$%?"), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    as_seen(text)


@pytest.mark.parametrize(
    "part", ["[", "`", "<a ", "![a](", "> ", "<a x='", "*a ", "\\phantom{", "[^a]: b\n", "<!x"]
)
def test_no_text_takes_long(part: str) -> None:
    began = time.process_time()
    as_seen(part * (65_000 // len(part)))
    assert time.process_time() - began < 5
