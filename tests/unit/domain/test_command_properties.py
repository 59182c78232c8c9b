"""What holds for every comment, whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.command import COMMANDS, CommandSpec, parse

_WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n`~<>\\", exclude_categories=("Cc", "Cs"))
)
# fmt: off
_PIECES = [
    "/honk", "@honk", "/HONK do", "> ", ">", "```", "````", "~~~", "`", "``", "\\`", "<!--", "-->",
    "<pre>", "</pre>", "<code>", "</code>", "    ", "\t", "  ", "- ", "1. ", "\n", "\n\n", "\r\n",
    "\r", "x", "é", "\u200b", "\u202e", "\u200f", "\u2028", "\x0b", "\x00", "\u00a0", "\u3000",
    "<details>", "</details>", "<blockquote>", "</blockquote>", "From: a", "Sent: b", "# ", "---",
    "On 1 May 2026 Ada <a@b> wrote:", " stop", " go", " budget=2", " budget=", " x=1", " stpo",
    "-----Original Message-----", "honk[bot]", " trust", " base=main",
]
# fmt: on
_MARKDOWN = st.lists(st.sampled_from(_PIECES)).map("".join)
_ENDS = re.compile(r"\r\n|\r|\n")
_SPECS = [pytest.param(spec, id=spec.name) for spec in COMMANDS.values()]
_COMMANDS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["/honk", "@honk", "@honk[bot]", "/HONK"]),
    st.sampled_from(["", *(f" {name}" for name in COMMANDS)]),
    st.sampled_from(["", " budget=2", " draft=true"]),
    _WORDS.map(lambda words: f" {words}"),
)


@given(st.text() | _MARKDOWN)
def test_no_text_raises(text: str) -> None:
    parse(text, "honk")


@given(_MARKDOWN)
def test_the_same_text_is_the_same_command(text: str) -> None:
    assert parse(text, "honk") == parse(_ENDS.sub("\n", text), "honk")


@given(_MARKDOWN | _COMMANDS)
def test_a_task_is_the_text_of_the_request(text: str) -> None:
    command = parse(text, "honk")
    if command is not None:
        said = iter(_ENDS.split(text))
        assert all(any(line in each for each in said) for line in command.task.split("\n"))


@given(_MARKDOWN)
def test_a_command_that_has_a_problem_starts_nothing_else(text: str) -> None:
    command = parse(text, "honk")
    if command is not None:
        assert len(command.several) != 1
        assert not (command.near and command.problem)
        assert command.near != "work"


@given(_MARKDOWN)
def test_quoting_disarms(text: str) -> None:
    quoted = "\n".join("> " + line for line in _ENDS.split(text))
    assert parse(quoted, "honk") is None


@given(_MARKDOWN)
def test_indenting_disarms(text: str) -> None:
    indented = "\n".join("    " + line for line in _ENDS.split(text))
    assert parse(indented, "honk") is None


@given(_MARKDOWN)
def test_fencing_disarms(text: str) -> None:
    longest = max((len(run) for run in re.findall("~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    assert parse(f"{fence}\n{text}\n{fence}", "honk") is None


@given(_MARKDOWN)
def test_hiding_in_a_comment_disarms(text: str) -> None:
    assert parse(f"<!--\n{text.replace('--', '')}\n-->", "honk") is None


@given(_MARKDOWN)
def test_folding_away_disarms(text: str) -> None:
    inside = text.replace("</details>", "").replace("</blockquote>", "")
    assert parse(f"<details>\n\n{inside}\n\n</details>", "honk") is None


@given(_COMMANDS)
def test_disarming_any_command(command: str) -> None:
    for disarmed in ("> {}", "> x\n{}", "    {}", "~~~\n{}\n~~~", "<!--\n{}\n-->", "`a\n{}\n`"):
        assert parse(disarmed.format(command), "honk") is None


@given(_WORDS, _WORDS)
def test_a_command_after_plain_text_is_read(before: str, task: str) -> None:
    command = parse(f"{before}\n\n/honk {task}", "honk")
    assert command is not None


@pytest.mark.parametrize("spec", _SPECS)
def test_what_help_prints_is_that_command(spec: CommandSpec) -> None:
    found = parse(spec.example, "honk")
    assert found is not None
    assert found.name == spec.name
    assert (found.problem, found.near, found.several) == ("", "", ())


@pytest.mark.parametrize("spec", _SPECS)
def test_every_argument_of_a_command_is_taken(spec: CommandSpec) -> None:
    values = {"base": "main", "model": "m", "budget": "1", "draft": "true"}
    for name, value in values.items():
        found = parse(f"{spec.example.partition(' budget=')[0]} {name}={value}", "honk")
        assert found is not None
        assert found.name == spec.name
        assert bool(found.problem) is (name not in spec.arguments)
