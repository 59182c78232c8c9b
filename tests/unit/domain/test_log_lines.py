"""The lines of a log that a person has to see first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain import log_lines

_NPM = [
    *("npm warn deprecated a@1", *[f"fetch {n}" for n in range(50)], "npm error code E404"),
    *("npm error 404 Not Found: left-pad", *[f"clean {n}" for n in range(50)], "", "done."),
]


def test_the_error_and_the_end_are_shown() -> None:
    assert log_lines.that_matter("\n".join(_NPM)).split("\n") == [
        "…",
        "npm error code E404",
        "npm error 404 Not Found: left-pad",
        "…",
        *[f"clean {n}" for n in range(45, 50)],
        "done.",
    ]


def test_a_short_log_is_shown_whole() -> None:
    assert log_lines.that_matter("one\ntwo\n") == "one\ntwo"


def test_a_log_of_nothing_but_errors_is_bounded() -> None:
    assert len(log_lines.that_matter("error: x\n" * 1_000).split("\n")) == 15


@given(st.text(max_size=2_000))
def test_any_log_has_few_and_short_lines(output: str) -> None:
    shown = log_lines.that_matter(output).split("\n")
    assert len(shown) <= 30
    assert all(len(line) <= 301 for line in shown)
