"""Untrusted texts as GitHub shows them."""

from __future__ import annotations

import re
import time

import pytest

from app.playground.pages.markdown import Place, mentions, plain, possible_commits, render

SHA = "0123abc" + "0" * 33
PLACE = Place(
    url="http://127.0.0.1:8080",
    repository="octo/sample",
    logins={"olivia", "rita"},
    issues={"octo/sample": {7}, "octo/other": {3}},
    commits={"0123abc": SHA, SHA: SHA},
)


def shown(text: str) -> str:
    return render(text, PLACE)


def boxes(html: str) -> list[dict[str, str]]:
    """The attributes of each box to tick, which come in any order."""
    found = re.findall(r"<input ([^>]*)>", html)
    return [dict(re.findall(r'(\w+)="(\w*)"', attributes)) for attributes in found]


def test_what_is_there_becomes_a_link() -> None:
    html = shown(f"@olivia see #7, octo/other#3, 0123abc and {SHA}.")
    assert '<a href="/olivia" class="mention"' in html
    assert '<a href="/octo/sample/issues/7" class="reference"' in html
    assert '<a href="/octo/other/issues/3" class="reference"' in html
    assert html.count(f'<a href="/octo/sample/commit/{SHA}" class="commit"') == 2
    assert html.count(">0123abc</a>") == 2


@pytest.mark.parametrize(
    "text",
    [
        "@nobody",
        "mail@olivia.example",
        "#8",
        "#0",
        "abc#7",
        "octo/secret#1",
        "fffffff",
        "`@olivia #7 0123abc`",
        "```\n@olivia #7\n```",
        "money.py",
        "@\u200bolivia",
    ],
)
def test_what_is_not_there_stays_text(text: str) -> None:
    assert "<a" not in shown(text)


def test_a_link_holds_no_other_link() -> None:
    assert shown("[@olivia and #7](https://example.com)").count("<a") == 1


def test_only_prose_mentions_people() -> None:
    text = "@Olivia\n\n`@rita`\n\n```\n@walter\n```\n\n<!-- @trudy -->\n\n> @stan\n"
    assert mentions(text) == {"olivia", "stan"}


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<details ontoggle=alert(1) open>x</details>",
        "<svg><script>alert(1)</script></svg>",
        "<iframe src='https://example.com'></iframe>",
        "<style>body{display:none}</style>",
        "<form action=/act-as><input name=login value=rita><button>x</button></form>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table>",
        "<div id=main class=top style='position:fixed'>x</div>",
        "<base href='https://example.com'>",
        "<a href='//example.com' target=_top id=refusal>x</a>",
    ],
)
def test_nothing_in_it_runs_or_takes_part_in_the_page(text: str) -> None:
    html = shown(text).lower()
    for evil in ("<script", "onerror", "ontoggle", "<svg", "<iframe", "<style", "<form", "<base"):
        assert evil not in html
    for evil in ('href="javascript', 'href="data', "alert(1)>", " id=", " style=", " target="):
        assert evil not in html
    assert 'class="top"' not in html
    assert "<button" not in html
    assert " name=" not in html


def test_a_form_field_becomes_a_disabled_check_box() -> None:
    html = shown("x <input type=password name=q autofocus>")
    assert boxes(html) == [{"type": "checkbox", "disabled": ""}]


def test_pictures_of_other_hosts_are_not_loaded() -> None:
    html = shown("![a *chart*](https://example.com/pixel.png?who=me) <img src=//example.com/y>")
    assert "src=" not in html
    assert '<a href="https://example.com/pixel.png?who=me"' in html
    assert ">a chart</a>" in html


def test_pictures_of_the_place_itself_are_shown() -> None:
    assert '<img src="/assets/mark.svg" alt="the mark">' in shown("![the mark](/assets/mark.svg)")
    assert '<img src="http://127.0.0.1:8080/x.png"' in shown("![x](http://127.0.0.1:8080/x.png)")


def test_tables_scroll_in_a_box_of_their_own() -> None:
    html = shown("| a | b |\n|:-:|--:|\n| 1 | `2` |\n")
    assert html.startswith('<div class="scroll"><table>')
    assert '<th class="center">a</th>' in html
    assert '<td class="right"><code>2</code></td>' in html


def test_what_honk_writes_looks_as_on_github() -> None:
    html = shown(
        "<!-- honk:run=abc -->\n\n- [x] read\n- [ ] write\n\n"
        "<details><summary>The end</summary>\n\n```\n<b>raw</b>\n```\n\n</details>\n\n"
        "<sub>$0.10 · run `abc`</sub>\n\n~~old~~ one\ntwo https://example.com/x\n"
    )
    assert "honk:run" not in html
    done, todo = boxes(html)
    assert done == {"type": "checkbox", "disabled": "", "checked": "checked"}
    assert todo == {"type": "checkbox", "disabled": ""}
    assert "<details><summary>The end</summary>" in html
    assert "&lt;b&gt;raw&lt;/b&gt;" in html
    assert "<sub>$0.10 · run <code>abc</code></sub>" in html
    assert "<s>old</s> one<br>" in html
    assert 'href="https://example.com/x"' in html


def test_plain_text_has_no_marks() -> None:
    text = "<!-- x -->\n**Done.** [One](https://example.com) `two`\n\n<sub>three</sub>\n"
    assert plain(text) == "Done. One two three"


def test_words_that_may_be_commits() -> None:
    assert possible_commits("0123abc, `deadbeef` x1234567 1234567890 #1234567") == {
        "0123abc",
        "1234567890",
    } | {"deadbeef"}


@pytest.mark.parametrize(
    "bomb",
    ["@olivia ", "@", "#7", "octo/", "`", "<!-- ", "[", ">", "*a ", "0123abc ", "<b>", "![](", "|"],
)
def test_bombs_take_no_time(bomb: str) -> None:
    text = (bomb * 20_000)[:20_000]
    started = time.process_time()
    shown(text)
    assert time.process_time() - started < 3
