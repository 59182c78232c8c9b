"""Tests that have another name or file after a change."""

from __future__ import annotations

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult
from app.integrity.moved_tests import moved_tests

PYTHON = "class TestA:\n    def test_{}(self):\n        assert f(1) == 2\n"
GO = "package a\nfunc Test{}(t *testing.T) {{\n if f() != 1 {{ t.Fatal(1) }}\n}}\n"
JEST = "describe('x', () => {{ it('does {}', () => {{ expect(f(1)).toBe(2) }}) }})"


def results(*ids: str) -> Results:
    tests = tuple(TestResult(id=each, outcome=TestOutcome.PASSED) for each in ids)
    verifier = VerifierResult(verifier="any", command="any", tests=tests, ran=True)
    return Results(commit=CommitSha("a" * 40), verifiers=(verifier,))


def moved(diff: Diff, old: str, new: str) -> list[tuple[str, str, bool]]:
    found = moved_tests(diff, results(old), results(new))
    return [(each.old, each.new, each.same) for each in found]


@pytest.mark.parametrize(
    ("path", "text", "old", "new"),
    [
        ("tests/test_a.py", PYTHON, "{path}::TestA::test_{}", "{path}::TestA::test_{}"),
        ("tests/test_a.py", PYTHON, "{path}::TestA::test_{}[1-b]", "{path}::TestA::test_{}[1-b]"),
        ("a_test.go", GO, "example.com/a Test{}", "example.com/a Test{}"),
        ("a.test.js", JEST, "{path} > x > does {}", "{path} > x > does {}"),
    ],
)
def test_a_renamed_test_is_the_same_test(path: str, text: str, old: str, new: str) -> None:
    diff = Diff((FileDiff.of(path, text.format("One"), text.format("Two")),))
    before, after = old.format("One", path=path), new.format("Two", path=path)
    assert moved(diff, before, after) == [(before, after, True)]


def test_a_test_that_goes_to_another_file() -> None:
    text = PYTHON.format("a")
    diff = Diff(
        (FileDiff.of("tests/test_a.py", text, ""), FileDiff.of("tests/new/test_b.py", "", text))
    )
    old, new = "tests/test_a.py::TestA::test_a", "tests/new/test_b.py::TestA::test_a"
    assert moved(diff, old, new) == [(old, new, True)]


def test_a_renamed_file() -> None:
    text = PYTHON.format("a")
    files = (FileDiff.of("test_a.py", text, None), FileDiff.of("test_b.py", None, text))
    diff = Diff(files, renames={"test_b.py": "test_a.py"})
    old, new = "test_a.py::TestA::test_a", "test_b.py::TestA::test_a"
    assert moved(diff, old, new) == [(old, new, True)]


def test_another_test_is_no_move() -> None:
    new = PYTHON.format("new").replace("f(1) == 2", "g(3) == 4")
    diff = Diff((FileDiff.of("test_a.py", PYTHON.format("old"), new),))
    assert moved(diff, "test_a.py::TestA::test_old", "test_a.py::TestA::test_new") == []
