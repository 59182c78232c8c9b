"""Somebody else's Markdown is one closed block that only reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from app.domain import markdown, sanitize
from app.playground.github.heads import closing_numbers
from app.playground.pages import markdown as pages

_OURS = "Honk measured this."
_COMMAND = re.compile(r"^\s*(?:/[a-z][\w-]*(?=\s|\Z)|bors[ \t]+\S|@\w+ \w)", re.I | re.M)
_FORM = re.compile(r"(?<![A-Za-z0-9])@[A-Za-z0-9]|#[0-9]|(?<![A-Za-z0-9])GH-[0-9]", re.I)

_PIECES = (
    *("@olivia", "@org/team", "fixes #1", "Closes: GH-3", "resolves https://x/y/z/issues/1", "#12"),
    *("Fix\u00a0#1", "o/r#7", "&commat;x", "&#x40;x", "&num;1", "&amp;commat;x", "5107c78", "<b>"),
    *("```", "````", "~~~", "``", "`", "\n", "\n\n", "\n    ", "- ", "1. ", "3) ", "> ", "# "),
    *("\n===\n", "\n---\n", "* ", "**", "*", "_", "__", "~~", " ", "a", "b c", "[", "](", ")", "!"),
    *("[^1]", "[^1]: ", "[x]: y", "![x](http://evil/?q=1)", '[a](https://b.c "t")', "<details>"),
    *("<!--", "-->", "<!-- honk:run=abc -->", "<img src=x>", "\\", "|", "| a | b |\n|---|---|\n"),
    *("$", "$$", "/deploy", "bors r+", "/honk stop", "- [ ] x", "[!NOTE]", "```mermaid\n", "\t"),
    *("www.x.y/_a_", "https://x.y/_a*b", "ada@example.com", "é", "€", ":+1:", "\u2028", "\u200b"),
)
_MARKDOWN = st.lists(st.sampled_from(_PIECES) | st.text(max_size=4), max_size=16).map("".join)


def _github() -> MarkdownIt:
    """All that GitHub reads and Honk does not write."""
    parser = MarkdownIt("gfm-like").use(footnote_plugin)
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    return parser


_GITHUB = _github()


def _flat(tokens: list[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *_flat(token.children or []))]


def _prose(text: str) -> str:
    return " ".join(token.content for token in _flat(_GITHUB.parse(text)) if token.type == "text")


def _code(text: str) -> list[str]:
    kinds = ("fence", "code_inline", "code_block")
    return [token.content for token in _flat(_GITHUB.parse(text)) if token.type in kinds]


@settings(max_examples=400)
@given(_MARKDOWN)
@example("- a\n  ```\n  b")
@example("````` x`y\nz")
@example("text[^1]\n\n[^1]: below")
@example("a\n===\n\nb\n---\n")
def test_what_comes_out_is_one_closed_block(text: str) -> None:
    shown = sanitize.markdown(text, limit=60_000)
    tokens = _GITHUB.parse(f"{_OURS}\n\n{shown}\n\n{_OURS}\n")
    ours = [at for at, token in enumerate(tokens) if token.content == _OURS]
    assert [tokens[at].level for at in ours] == [1, 1]
    assert ours == [1, len(tokens) - 2]
    kinds = {token.type for token in _flat(tokens)}
    assert not kinds & {"html_block", "html_inline", "image", "footnote_ref", "footnote_block_open"}
    assert all(token.tag in ("h4", "h5", "h6") for token in tokens if token.type == "heading_open")
    assert not [token for token in tokens if token.type == "fence" and "mermaid" in token.info]


@settings(max_examples=400)
@given(_MARKDOWN)
@example("@*olivia*")
@example("#<b></b>1")
@example("foo*@octo*bar")
@example("```\n/deploy\n```")
def test_nothing_that_github_or_a_bot_acts_on_survives(text: str) -> None:
    shown = sanitize.markdown(text, limit=60_000)
    assert not _FORM.search(_prose(shown))
    assert not _COMMAND.search(shown)
    assert "<!-- honk" not in shown
    # The playground's own reading.
    assert not pages.mentions(shown)
    assert not closing_numbers(shown)
    assert not closing_numbers(sanitize.message(text, limit=60_000))
    line = sanitize.plain(text, limit=5_000)
    assert not _FORM.search(_prose(f"- {line}"))
    assert not _COMMAND.search(line)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs"]), min_size=1))
@example("a`b``c")
@example("` `")
@example("/deploy")
@example("@property")
def test_code_stays_as_it_is(text: str) -> None:
    text = sanitize.printable(text)
    if not text.strip() or "honk" in text.lower():
        return
    tail = text if text.endswith("\n") else f"{text}\n"
    assert _code(f"a {markdown.code_span(text)} b") == [text.replace("\n", " ")]
    assert _code(sanitize.fence(text, limit=100_000)) == [tail]
    marks = "`" * 200
    rendered = sanitize.markdown(f"{marks}\n{text}\n{marks}", limit=200_000)
    assert _code(rendered) == [f"{text}\n"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Tests\n\n### More", "#### Tests\n\n###### More"),
        ("Tests\n===", "#### Tests"),
        ("- one\n- two\n\n1. a\n2. b", "* one\n* two\n\n1. a\n2. b"),
        ("- [x] done\n- [ ] open", "* [x] done\n* [ ] open"),
        ("| a | b |\n|:--|--:|\n| `x\\|y` | z |", "| a | b |\n| :-- | --: |\n| `x\\|y` | z |"),
        ("**bold**, *thin*, ~~gone~~, `code`", "**bold**, *thin*, ~~gone~~, `code`"),
        ("***both***", "_**both**_"),
        ('[a](https://b.c/d_e "hidden")', "[a](https://b.c/d_e)"),
        ("see https://x.y/z", "see <https://x.y/z>"),
        ("![chart](https://x.y/z.png)", "[chart](https://x.y/z.png)"),
        ("[a](javascript:x)", "\\[a\\](javascript:x)"),
        ("List<int> and a < b", "List&lt;int> and a < b"),
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```mermaid\ngraph TD\n```", "```\ngraph TD\n```"),
        ("```suggestion\nx\n```", "```\nx\n```"),
        ("$`x`$ and $$y$$", "`$` `x` `$` and `$$y$$`"),
        ("> [!NOTE]\n> read this", "> `[!NOTE]`\n> read this"),
        ("a <!-- hidden --> b", "a  b"),
        ("<details>\n<summary>More</summary>\n\n- x\n\n</details>", "More\n\n* x"),
        ("fixes #7 and o/r#8, GH-9", "fixes `#7` and `o/r#8`, `GH-9`"),
        ("see https://github.com/o/r/pull/2", "see `https://github.com/o/r/pull/2`"),
        ("[it](https://github.com/o/r/issues/2)", "it `https://github.com/o/r/issues/2`"),
        ("at 5107c78", "at `5107c78`"),
        ("/deploy now", "`/deploy` now"),
        ("- /lgtm", "* `/lgtm`"),
        ("bors r+", "`bors r+`"),
        ("bors **r+** `x`", "`bors` **r+** `x`"),
        ("bors `r+`", "`bors` `r+`"),
        ("Jenkins builds fail", "Jenkins builds fail"),
        ("&commat;octo", "@\u200bocto"),
        ("write to ada@example.com", "write to ada@example.com"),
        ("text[^1]\n\n[^1]: note", "text\\[^1\\]\n\n\\[^1\\]: note"),
    ],
)
def test_what_it_looks_like(text: str, shown: str) -> None:
    assert sanitize.markdown(text, limit=1_000) == shown


def test_a_command_in_code_is_quoted_and_stays_whole() -> None:
    shown = sanitize.markdown("```sh\n/deploy prod\n```", limit=1_000)
    assert shown == "> ```sh\n> /deploy prod\n> ```"


def test_a_text_that_is_too_long_is_closed_where_it_is_cut() -> None:
    shown = sanitize.markdown("```\n" + "x = 1\n" * 1_000, limit=500)
    assert len(shown) <= 500
    assert "more characters" in shown.rpartition("```\n\n")[2]
    assert markdown.is_closed(shown)


def test_what_is_too_deep_is_shown_as_code() -> None:
    text = "> " * 200 + "deep"
    assert _code(sanitize.markdown(text, limit=5_000)) == [f"{text}\n"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("List<int> & `code` *stay*", "List<int> & `code` *stay*"),
        ("Round [skip ci]", "Round (skip ci)"),
        ("Round [CI Skip] [no ci]", "Round (CI Skip) (no ci)"),
        ("[skip actions][actions skip]", "(skip actions)(actions skip)"),
        ("[skip-ci] [skip netlify] ***NO_CI***", "(skip-ci) (skip netlify) NO_CI"),
        ("[skip\u200b ci]", "(skip ci)"),
        ("skip-checks: true", "skip checks: true"),
        ("Skip-Checks:true", "Skip Checks:true"),
        ("Fixes #7", "Fixes #\u200b7"),
        ("ask @octo", "ask @\u200bocto"),
        ("mail ada@example.com", "mail ada@example.com"),
        ("Closes: https://x/y/z/issues/1", "Closes: \u200bhttps://x/y/z/issues/1"),
        ("two\nlines", "two lines"),
        ("list[int] and [ci] and [skip]", "list[int] and [ci] and [skip]"),
    ],
)
def test_titles_are_plain_text_without_power(text: str, shown: str) -> None:
    assert sanitize.title(text, limit=200) == shown


def test_a_title_that_is_too_long_ends_in_an_ellipsis() -> None:
    assert sanitize.title("word " * 40, limit=20) == "word word word word…"


@given(st.text(max_size=300), st.integers(0, 80))
def test_plain_text_keeps_its_limit(text: str, limit: int) -> None:
    assert len(sanitize.title(text, limit=limit)) <= limit
    assert len(sanitize.message(text, limit=limit)) <= limit


@pytest.mark.parametrize("text", ["https://x.y/\udcff", "`\udcff`", "[a](https://x.y/\ud800)"])
def test_half_a_character_can_be_sent(text: str) -> None:
    for write in (sanitize.markdown, sanitize.plain, sanitize.code, sanitize.fence):
        assert write(text, limit=100).encode()
    assert sanitize.title(text, limit=100).encode()
    assert sanitize.message(text, limit=100).encode()


def test_only_trailers_are_set_in() -> None:
    text = "https://x.y\nReviewed-by: somebody\nand so: on"
    assert sanitize.message(text, limit=100) == "https://x.y\n  Reviewed-by: somebody\nand so: on"
