"""Nothing that leaves Honk contains more than it should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.domain import sanitize


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("thanks @octocat", "@octocat"),
        ("Fixes #12", "Fixes #12"),
        ("closes octo/repo#3", "closes octo/repo#3"),
        ("resolves https://github.com/o/r/issues/1", "resolves https"),
        ("/honk do more", "\n/honk"),
        ("a <!-- honk:run=x --> b", "<!--"),
        ("a <!-- never closed", "<!--"),
        ("<img src=x onerror=y>", "<img"),
        ("![x](https://evil.invalid/?q=1)", "!["),
        ("!![x](https://evil.invalid/?q=1)", "!["),
        ("!\u200b!!\u2060[x](https://evil.invalid/?q=1)", "!["),
        ("zero\u200bwidth", "\u200b"),
        ("right\u202eto left", "\u202e"),
        ("tag \U000e0041 characters", "\U000e0041"),
        ("bell \x07 and escape \x1b[31m", "\x1b"),
    ],
)
def test_text_loses_its_effect(text: str, forbidden: str) -> None:
    assert forbidden not in "\n" + sanitize.markdown(text, limit=1000)


def test_ordinary_text_stays() -> None:
    text = "`weighted_shares` dropped *the remainder*; 3 < 4.\n\n* one\n* two"
    assert sanitize.markdown(text, limit=1000) == text


def test_an_open_fence_is_closed() -> None:
    assert sanitize.markdown("```py\nx = 1", limit=1000).endswith("\n```")


@given(st.text(max_size=300))
def test_a_fence_cannot_be_broken_out_of(text: str) -> None:
    fenced = sanitize.fence(text, limit=1000)
    marks = fenced.split("\n", 1)[0]
    assert len(marks) >= 3
    assert marks not in fenced[len(marks) : -len(marks)]


@given(st.text(max_size=300))
def test_inline_code_cannot_be_broken_out_of(text: str) -> None:
    shown = sanitize.code(text, limit=100)
    assert "\n" not in shown
    tokens = MarkdownIt("commonmark").parseInline(f"a {shown} b")[0].children or []
    assert [token.type for token in tokens if token.content.strip(" ab")] in ([], ["code_inline"])


@given(st.text(max_size=500), st.integers(min_value=0, max_value=300))
def test_nothing_is_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(sanitize.fit(text, limit)) <= limit
    assert len(sanitize.markdown(text, limit=limit)) <= limit
    assert len(sanitize.plain(text, limit=limit)) <= limit


def test_what_is_cut_is_reported() -> None:
    assert "more characters" in sanitize.fit("x" * 500, 100)
    assert "characters left out" in sanitize.fit_middle("x" * 500, 100)


@pytest.mark.parametrize(
    "secret",
    [
        "ghs_" + "a1B2" * 9,
        "ghs_" + "eyJhbGciOi.J9-x_" * 30,
        "github_pat_" + "A1" * 20,
        "sk-ant-api03-" + "x" * 40,
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_go_by_their_shape(secret: str) -> None:
    assert secret not in sanitize.redact(f"before {secret} after", ())


def test_secrets_go_by_their_value() -> None:
    assert sanitize.redact("the word is hunter2hunter2", {"hunter2hunter2"}) == (
        "the word is [redacted]"
    )


@pytest.mark.parametrize("before", ["\u2028", "\u3000", "\xa0", "\u2028> ", "> \u2003", "\n\xa0"])
def test_no_blank_of_any_kind_lets_a_command_through(before: str) -> None:
    shown = sanitize.markdown(f"{before}/honk stop", limit=100)
    assert "`/honk` stop" in shown


@pytest.mark.parametrize("command", ["/deploy", "/deploy:prod", "/deploy(prod)", "/deploy.prod"])
def test_a_command_in_plain_text_does_not_work(command: str) -> None:
    assert not sanitize.title(command, limit=100).startswith("/deploy")
    assert sanitize.title("/usr/bin/env is missing", limit=100) == "/usr/bin/env is missing"
