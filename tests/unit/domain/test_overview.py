"""What an agent knows about a repository before it reads any file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.overview import MAX_CHARACTERS, changed_together, named_files, overview

PATHS = (
    "README.md",
    "src/app/parser.py",
    "src/app/utils.py",
    "src/web/utils.py",
    "tests/test_parser.py",
    "lib/deep/index.test.ts",
)
TRACE = """
Traceback (most recent call last):
  File "/home/ann/work/project/src/app/parser.py", line 12, in parse
    return utils.split(text)
  File "/usr/lib/python3.11/json/decoder.py", line 3, in decode
    at Object.<anonymous> (C:\\code\\lib\\deep\\index.test.ts:3:9)
See src/web/utils.py, and README.md.
"""


def test_a_stack_trace_of_another_machine_names_files_of_the_repository() -> None:
    assert named_files(TRACE, PATHS) == (
        "src/app/parser.py",
        "lib/deep/index.test.ts",
        "src/web/utils.py",
        "README.md",
    )


def test_a_name_that_several_files_have_names_none() -> None:
    assert named_files("utils.py fails", PATHS) == ()
    assert named_files("app/utils.py fails", PATHS) == ("src/app/utils.py",)


def test_a_long_word_is_read_once() -> None:
    assert named_files("a" * 200_000 + "/.py", PATHS) == ()


def test_files_that_usually_change_together_are_shown_with_their_counts() -> None:
    both = frozenset({"src/app/parser.py", "tests/test_parser.py", "gone.py"})
    once = frozenset({"src/app/parser.py", "README.md"})
    found = changed_together(["src/app/parser.py"], [both, both, once], frozenset(PATHS))
    assert found == {"src/app/parser.py": (("tests/test_parser.py", 2),)}
    text = overview(PATHS, ["src/app/parser.py"], found)
    assert "- src/app/parser.py with tests/test_parser.py (2 times)" in text
    assert text.startswith("6 files: .py 4, .md 1, .ts 1\n")
    assert "- src/app/: parser.py, utils.py" in text


def test_a_repository_of_any_size_costs_the_same() -> None:
    paths = [f"folder-{n % 900}/{'x' * 200}-{n}.py" for n in range(50_000)]
    text = overview(paths, paths[:20], {})
    assert len(text) <= MAX_CHARACTERS + 40
    assert text.endswith("more lines)")


@given(st.text(), st.lists(st.text()))
def test_any_text_and_any_paths(text: str, paths: list[str]) -> None:
    named = named_files(text, paths)
    assert set(named) <= set(paths)
    assert len(overview(paths, named, {})) <= MAX_CHARACTERS + 40
