"""The code around the lines that a stack trace names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.excerpts import MAX_CHARACTERS, Frame, excerpt, fitted, frames, has_frames
from tests.unit.domain.test_overview import PATHS, TRACE


def test_frames_of_another_machine_are_lines_of_the_repository() -> None:
    text = TRACE + "\n\tat org.example.Parser(lib/deep/index.test.ts:7)\n"
    assert frames(text, PATHS) == (
        Frame(path="src/app/parser.py", line=12),
        Frame(path="lib/deep/index.test.ts", line=3),
        Frame(path="lib/deep/index.test.ts", line=7),
    )
    assert has_frames(text)
    assert not has_frames("See src/web/utils.py, at 10:30, http://example.com:80/, 127.0.0.1:80.")


def test_frames_of_several_languages() -> None:
    paths = ["src/main.rs", "cmd/main.go", "a/Bar.java", "app.rb"]
    text = """
        at src/main.rs:3:5
        /home/x/cmd/main.go:12 +0x1d
        at org.foo.Bar.baz(Bar.java:4)
        app.rb:5:in `call'"""
    assert [(frame.path, frame.line) for frame in frames(text, paths)] == [
        ("src/main.rs", 3),
        ("cmd/main.go", 12),
        ("a/Bar.java", 4),
        ("app.rb", 5),
    ]


def test_long_texts_take_linear_time() -> None:
    assert frames("a-" * 100_000 + ".py:", PATHS) == ()
    assert frames("x.py:1 " * 30_000, PATHS) == ()


def test_a_text_of_many_names_looks_up_a_few() -> None:
    text = "".join(f"f{number}.py:1 " for number in range(10_000)) + "src/app/parser.py:3"
    assert frames("x.py:1 " * 10_000 + "src/app/parser.py:3", PATHS) == (
        Frame(path="src/app/parser.py", line=3),
    )
    assert frames(text, PATHS) == ()


def test_an_excerpt_marks_its_line_and_stays_in_the_file() -> None:
    content = "\n".join(f"line {number}" for number in range(1, 21))
    text = excerpt(Frame(path="a.py", line=2), content)
    assert text.splitlines()[0] == "a.py, line 2:"
    assert ">     2  line 2" in text
    assert "line 8" in text and "line 9" not in text
    assert excerpt(Frame(path="a.py", line=21), content) == ""
    assert excerpt(Frame(path="a.py", line=0), content) == ""


def test_excerpts_stay_within_their_budget() -> None:
    content = "\n".join(["x" * 10_000] * 30)
    texts = [excerpt(Frame(path="a.js", line=line), content) for line in range(1, 30)]
    assert 0 < len(fitted(texts)) <= MAX_CHARACTERS + 100


@given(text=st.text(), content=st.text())
def test_any_text_is_read(text: str, content: str) -> None:
    for frame in frames(text + ' File "a.py", line 1 b.go:2', ["a.py", "src/b.go"]):
        excerpt(frame, content)
