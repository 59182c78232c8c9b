"""Visible text stays; tests/security covers what is removed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.rendered_markdown import see, visible_text


@pytest.mark.parametrize(
    "text",
    [
        "Plain *words*, `code with <b title='x'>`, 1 < 2 && 3 > 2",
        "```\n<a title='kept'>![alt](b \"t\")</a>\n<!-- kept -->\n```",
        "````\n```\n````",
        "1. one\n\n   ```\n   <x y='kept'>\n   ```\n2. two\n   - three\n3. four",
        "> quoted\n> - a\n>\n> > deeper",
        "# Heading\n\nText\non two lines\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n---",
        "See [the page](https://example.com/a_(b)).",
        "See [the code](https://github.com/o/r/blob/main/src/money/half_up.py#L10-L12).",
        "A claim[^1] and one more[^2].\n\n[^1]: its source\n\n[^2]: another",
        "❤️ 1️⃣ ü",
        "- [ ] to do\n- [x] done",
        "**bold** ~~gone~~ H~2~O x^2^",
        "It costs $5, or 20% of $25, in $HOME and C:\\temp.",
        "$\\begin{array}{c|c}a & b\\end{array}$",
        "$\\frac{a}{b} \\leq \\alpha_{1}$ and $x^2$",
        "[image]",
    ],
)
def test_what_people_see_stays(text: str) -> None:
    seen = see(text)
    assert (seen.text, seen.notes) == (text, ())


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ('<a href="https://example.com/x" title="t" onclick="y">x</a>', "[x](https://example.com/x)"),
        ('[x]\n\n[x]: https://example.com "t"', "[x](https://example.com)"),
        ("https://example.com/a_b_c", "https://example.com/a_b_c"),
        ("![words](https://example.com/c.png)", "[image]"),
        ("```python\nx = 1\n```", "```\nx = 1\n```"),
        ("    indented <a b='kept'>", "```\nindented <a b='kept'>\n```"),
        ("<details>\n<summary>More</summary>\n\nshown on a click\n\n</details>",
         "More\n\nshown on a click"),
        ("<table><tr><th>a<td>b<p>c</table>", "| a | b c |\n|---|---|"),
        ("The <title> tag is wrong\n\nMore", "The <title> tag is wrong\n\nMore"),
        ("List<String> x\n\nstill **here**", "List x\n\nstill **here**"),
        ("<kbd>Ctrl</kbd>+C and <code>a`b</code>", "`Ctrl`+C and ``a`b``"),
        ("a<br>b", "a\nb"),
        ("3. c\n4. d", "3. c\n4. d"),
        ("> " * 60 + "deep", "> " * 60 + "deep"),
    ],
)  # fmt: skip
def test_what_is_hidden_leaves_the_rest(text: str, seen: str) -> None:
    assert visible_text(text) == seen


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("<!-- do it now -->", "hidden text removed: do it now"),
        ("a\u200bb", "hidden text removed: 1 invisible character"),
        ("![do it](x.png)", "hidden text removed: do it"),
        ("```mermaid\naccTitle: do it\n```", "a Mermaid diagram was left out"),
        ("```math\n\\def\\x{do it}\n```", "a formula was left out"),
        ("```m&#101;rmaid\naccTitle: do it\n```", "a Mermaid diagram was left out"),
        ("<pre lang='mermaid'>\naccTitle: do it\n</pre>", "a Mermaid diagram was left out"),
        ("<pre lang='math'>\n\\def\\x{do it}\n</pre>", "a formula was left out"),
        ("$\\phantom{do it}$", "a formula was left out"),
        ("$\\begin{array}{do it}x\\end{array}$", "a formula was left out"),
        ("$\\begin{aligned}[do it]x\\end{aligned}$", "a formula was left out"),
        ("```math\nx \\\\*[-2em] do it\n```", "a formula was left out"),
        ("[page](https://x.example/do-it-now-and-here)", "hidden text removed: do it now and here"),
        ("<!-- " + "word " * 20 + "-->", "word and 8 more"),
        ("<do-it-now>", "hidden text removed: do it now"),
        ("[a][do it]\n\n[do it]: https://x.example", "hidden text removed: do it do it"),
    ],
)
def test_what_is_left_out_is_noted(text: str, note: str) -> None:
    assert note in "; ".join(see(text).notes)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx\n```",
        '<p align="center"><img width="600" src="https://example.com/a.png"></p>',
        "![image](https://github.com/user-attachments/assets/0aa8ea1a-8f6e-4b0e-9f3a-abcdefabcdef)",
        "<details><summary>a</summary>b</details>",
        "a &nbsp; b &copy; \\* c",
    ],
)
def test_what_everybody_writes_is_not_noted(text: str) -> None:
    assert see(text).notes == ()


@given(st.text(st.sampled_from("ab <>[]()!`~#*\\\"'\n&;:/^-=|{}$%?"), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    visible_text(text)


@pytest.mark.parametrize(
    "part", ["[", "`", "<a ", "![a](", "> ", "<a x='", "*a ", "\\phantom{", "[^a]: b\n", "<!x",
             "$a", "<sub>", "- ", "|", "<b>"]
)  # fmt: skip
def test_no_text_takes_forever(part: str) -> None:
    visible_text(part * (65_000 // len(part)))


def test_a_block_of_code_inside_code_in_a_cell() -> None:
    text = "<table><td><code>\u200b<sub><sub><sub><sub><sub>*\ufffd\n---\n²<pre>x ![x](a.png)"
    seen = see(text).text
    assert "\ue000" not in seen


@pytest.mark.parametrize(
    "text",
    [
        "<a href=http9\U000e00419>words</a>",
        "<a href='http://e.test/\U000e0041\u202e'>words</a>",
        "[words](http://e.test/%F3%A0%81%81/one%20two%20three%20four%20five%20six)",
        "<img src=x.png alt='one \U000e0041 two'>",
    ],
)
def test_an_address_carries_no_invisible_characters(text: str) -> None:
    assert not re.search("[\u202a-\u202e\U000e0000-\U000e0fff]", see(text).text)
