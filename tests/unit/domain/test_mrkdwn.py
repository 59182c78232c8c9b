"""Text to and from Slack's markup."""

from __future__ import annotations

import re

import pytest

from app.domain import mrkdwn

HOSTILE = [
    "<!channel> hi",
    "<!here|here>",
    "<@U123>",
    "<!subteam^S1>",
    "<https://evil.test|https://github.com/octo/site>",
    "&lt;!channel&gt;",
    "@channel @here @everyone",
    "*bold* _it_ ~no~ `code`",
    "https://evil.test/login",
    "mailto:x@evil.test",
    "\u202ehttps://x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_text_mentions_no_one_and_links_nowhere(text: str) -> None:
    shown = mrkdwn.escaped(text, limit=500)
    assert "<" not in shown
    assert ">" not in shown
    assert not re.search(r"&(?!amp;|lt;|gt;)", shown)
    assert not re.search(r"https?:/|mailto:x", shown)
    assert not re.search(r"@(channel|here|everyone)", shown)
    assert not re.search(r"(?<!\u200b)[*_~`]", shown)


def test_lengths_count_after_escaping() -> None:
    for limit in (1, 5, 30, 300):
        assert len(mrkdwn.escaped("<&>" * 5000, limit=limit)) <= limit
        assert len(mrkdwn.plain("x" * 5000, limit=limit)) <= limit


def test_a_link_is_only_to_a_url() -> None:
    assert mrkdwn.link("https://github.test/a?b=1&c=2", "a|b>") == (
        "<https://github.test/a?b=1&amp;c=2|a¦b&gt;>"
    )
    assert mrkdwn.link("javascript:alert(1)", "x") == "x"
    assert mrkdwn.link("https://x.test/|y>", "x") == "x"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("<https://x.test/a|x.test/a>", "https://x.test/a"),
        ("<https://x.test|docs>", "docs (https://x.test)"),
        ("<@U1> and <@U2|olivia>", "@U1 and @olivia"),
        ("<#C1|general> <!here>", "#general @here"),
        ("<mailto:o@x.test|o@x.test>", "o@x.test"),
        ("a < b", "a < b"),
    ],
)
def test_what_people_typed(typed: str, read: str) -> None:
    assert mrkdwn.read(typed) == read
