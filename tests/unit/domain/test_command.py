"""The grammar of `/honk`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.command import COMMANDS, parse

_WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n`~<>\\", exclude_categories=("Cc", "Cs"))
)
# fmt: off
_PIECES = [
    "/honk", "@honk", "/HONK do", "> ", ">", "```", "````", "~~~", "`", "``", "\\`", "<!--", "-->",
    "<pre>", "</pre>", "<code>", "</code>", "    ", "\t", "  ", "- ", "1. ", "\n", "\n\n", "\r\n",
    "\r", "x", "é", "\u200b", "\u202e", "\u2028", "\x0b", "\x00",
]
# fmt: on
_MARKDOWN = st.lists(st.sampled_from(_PIECES)).map("".join)


def _task(text: str) -> str | None:
    command = parse(text, "honk")
    return command.task if command else None


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("/honk", ""),
        ("/honk fix it", "fix it"),
        ("/HoNk Fix It", "Fix It"),
        ("@honk please fix it", "please fix it"),
        ("@Honk, please", "please"),
        ("/honk: please", "please"),
        ("   /honk three blanks", "three blanks"),
        ("/honk\u00a0from a phone", "from a phone"),
        ("/honk\tafter a tab", "after a tab"),
        ("Thanks!\r\n\r\n/honk and now\r\nthe rest\r\n", "and now\nthe rest"),
        ("old\r/honk Mac", "Mac"),
        ("in a paragraph\n/honk look\non", "look\non"),
        ("/honk one\n/honk two", "one\n/honk two"),
        ("/honk with\n```py\ncode\n```", "with\n```py\ncode\n```"),
        ("```\n/honk no\n```\n/honk yes", "yes"),
        ("```\n~~~\n```\n/honk yes", "yes"),
        ("````\n```\n/honk no\n````\n/honk yes", "yes"),
        ("- ```\n  /honk no\n  ```\n\n/honk yes", "yes"),
        ("1. item\n   ~~~ py\n   /honk no\n   ~~~\n/honk yes", "yes"),
        ("```not`a fence\n/honk yes", "yes"),
        ("> ```\n\n/honk yes", "yes"),
        ("> /honk no\n\n/honk yes", "yes"),
        ("<!-- /honk no -->\n/honk yes", "yes"),
        ("<!--\n```\n\n/honk no\n-->\n/honk yes", "yes"),
        ("a <!-- b\n\n/honk yes", "yes"),
        ("<pre>\n/honk no\n\n</pre>\n/honk yes", "yes"),
        ("one ` tick\n\n/honk yes `", "yes `"),
        ("\\`\n/honk yes\n`", "yes\n`"),
        ("``\n/honk yes\n`", "yes\n`"),
        ("<code> without end\n/honk yes", "yes"),
    ],
)
def test_who_speaks_to_honk_is_heard(text: str, task: str) -> None:
    assert _task(text) == task


@pytest.mark.parametrize(
    "text",
    [
        "",
        "honk",
        "please /honk",
        "- /honk in a list",
        "/honker",
        "/honk-max",
        "/honk/x",
        "//honk",
        "/ honk",
        "@honk-team",
        "@honk[bot]",
        "@honkers",
        "me@honk",
        "/hon\u212a",  # the Kelvin sign, which folds to k
        "/h\u043enk",  # a Cyrillic o
        "\uff0fhonk",  # a full-width slash
        "\u200b/honk",
        "\u202e/honk",
        "\ufeff/honk",
        "x\u2028/honk",
        "x\x0b/honk",
        "> /honk",
        ">/honk",
        "   > > /honk",
        "1. > x\n   > /honk",
        "    /honk",
        "\t/honk",
        "```\n/honk",
        "~~~ sh\n/honk\n```",
        "```\n/honk\n~~~\n/honk\n``",
        "```\n    ```\n/honk",
        "`/honk`",
        "`a\n/honk\n`",
        "``a ` b\n/honk\n``",
        "<!--\n\n/honk\n",
        "a <!--\n/honk\n-->",
        "<PRE>\n/honk\n</PRE>",
        "<code>\n/honk\n</CODE>",
    ],
)
def test_what_does_not_speak_to_honk_is_left_alone(text: str) -> None:
    assert parse(text, "honk") is None


def test_the_mention_is_that_of_this_app() -> None:
    assert parse("@acme-honk go", "acme-honk") is not None
    assert parse("@honk go", "acme-honk") is None
    assert parse("@a.b go", "a.b") is not None
    assert parse("@axb go", "a.b") is None


@given(st.text() | _MARKDOWN)
def test_no_text_raises(text: str) -> None:
    parse(text, "honk")


@given(_MARKDOWN)
def test_quoting_disarms(text: str) -> None:
    quoted = "\n".join("> " + line for line in re.split(r"\r\n|\r|\n", text))
    assert parse(quoted, "honk") is None


@given(_MARKDOWN)
def test_fencing_disarms(text: str) -> None:
    longest = max((len(run) for run in re.findall("~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    assert parse(f"{fence}\n{text}\n{fence}", "honk") is None


@given(_WORDS, _WORDS)
def test_a_line_after_plain_words_is_heard(before: str, task: str) -> None:
    command = parse(f"{before}\n\n/honk {task}", "honk")
    assert command is not None


@pytest.mark.parametrize(
    "piece",
    ["`", "` ", "``` ` ", "<!-- ", "x <!--\n", "<code> ", "```\n", "-   ", "> ", "\t", "\n", "\\`",
     "<pre>\n", "`a\n/honk\n"],
)  # fmt: skip
def test_long_comments_take_no_time(piece: str) -> None:
    text = "`\n/honk x\n" + (piece * 65_536)[:65_536] + "\n`"
    start = time.process_time()
    parse(text, "honk")
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("line", "name", "task"),
    [
        ("/honk stop", "stop", ""),
        ("/HONK Stop", "stop", ""),
        ("@honk stop", "stop", ""),
        ("/honk stop\n\nthanks!", "stop", ""),
        ("/honk stop using floats for money", "work", "stop using floats for money"),
        ("/honk go", "go", ""),
        ("/honk go test fails since monday", "work", "go test fails since monday"),
        ("/honk plan", "plan", ""),
        (
            "/honk plan the move to dataclasses\nstep by step",
            "plan",
            "the move to dataclasses\nstep by step",
        ),
        ("/honk ask where is it?", "ask", "where is it?"),
        ("/honk retry", "retry", ""),
        ("/honk status", "status", ""),
        ("/honk help", "help", ""),
        ("/honk continue", "continue", ""),
        ("/honk continue where you left off", "work", "continue where you left off"),
        ("/honk fix", "fix", ""),
        ("/honk fix\nthe lint first", "fix", "the lint first"),
        ("/honk fix the rounding\nplease", "fix", "fix the rounding\nplease"),
        ("/honk undo", "undo", ""),
        ("/honk ready", "ready", ""),
        ("/honk test", "test", ""),
        ("/honk test the rounding", "work", "test the rounding"),
        ("/honk rebase", "rebase", ""),
        ("/honk doctor", "doctor", ""),
        ("/honk trust", "trust", ""),
        ("/honk trust nobody", "work", "trust nobody"),
        ("/honk", "work", ""),
        ("/honk work", "work", "work"),
    ],
)
def test_commands_and_sentences(line: str, name: str, task: str) -> None:
    found = parse(line, "honk")
    assert found is not None
    assert (found.name, found.task) == (name, task)


@pytest.mark.parametrize(("text", "usd"), [("budget=2", 2), ("budget=$2.50", 2.5), ("", None)])
def test_a_budget_to_go_on_with(text: str, usd: float | None) -> None:
    found = parse(f"/honk continue {text}", "honk")
    assert found is not None
    assert (found.name, found.arguments.budget_usd) == ("continue", usd)


def test_what_help_prints_are_those_commands() -> None:
    for spec in COMMANDS.values():
        found = parse(spec.example, "honk")
        assert found is not None
        assert found.name == spec.name


@pytest.mark.parametrize("disarm", ["> {}", "```\n{}\n```", "<!--\n{}\n-->", "    {}"])
def test_quoting_or_fencing_any_command_disarms_it(disarm: str) -> None:
    for spec in COMMANDS.values():
        assert parse(disarm.format(spec.example), "honk") is None


def test_trust_names_a_commit() -> None:
    found = parse("/honk trust 1A2B3C4D5E", "honk")
    assert found is not None
    assert (found.name, found.sha) == ("trust", "1a2b3c4d5e")
