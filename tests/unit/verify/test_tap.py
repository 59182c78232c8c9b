"""The Test Anything Protocol, as AVA and node-tap print it."""

from __future__ import annotations

from app.domain.verdict import TestOutcome, VerifierResult
from app.sandbox.spec import Completed
from app.verify.verifier import STDOUT
from app.verify.verifiers.ava import Ava, Tap, Tape
from app.verify.verifiers.javascript import ALONE

AVA = """
> p@1.0.0 test
> ava --tap

TAP version 13
ok 1 - half › halves
not ok 2 - half › is \\# wrong
  ---
    name: AssertionError
    message: 1 is not 2
    at: 'half.js:3:1'
  ...
ok 3 - half › waits # SKIP
not ok 4 - half › later # TODO
not ok 5 - Uncaught exception in test/other.js
  ---
    message: boom
  ...

1..5
# tests 4
"""
TAP = """TAP version 13
# Subtest: test/half.js
    # Subtest: halves
        ok 1 - should be equal
        1..1
    ok 1 - halves # time=2ms
    # Subtest: wrong
        not ok 1 - should be equal
          ---
          diff: |
            ok 1 - this is no test
          ...
        1..1
    not ok 2 - wrong # time=3ms
    1..2
not ok 1 - test/half.js # time=20ms
ok 2 - test/all.js # time=9.1ms {
    ok 1 - same
    ok 2 - same
    1..2
}

not ok 3 - test/broken.js # time=4ms
  ---
  message: "Cannot find module"
  ...
1..3
"""


def parsed(verifier: Ava | Tap, printed: str, code: int = 1, *marks: str) -> VerifierResult:
    completed = Completed(code, b"", 0, timed_out=False, killed=None, seconds=1.0)
    reports = {STDOUT: printed.encode(), **dict.fromkeys(marks, b"")}
    return verifier.parse(completed, reports)


def outcomes(result: VerifierResult) -> dict[str, str]:
    return {test.id: test.outcome.value for test in result.tests}


def test_ava_reports_each_test() -> None:
    result = parsed(Ava(folder="web"), AVA)
    assert outcomes(result) == {
        "web/half › halves": "passed",
        "web/half › is # wrong": "failed",
        "web/half › waits": "skipped",
        "web/half › later": "skipped",
        "web/Uncaught exception in test/other.js": "error",
    }
    assert [test.message for test in result.tests if test.outcome.bad] == ["1 is not 2", "boom"]
    assert (result.ran, result.complete, result.problem) == (True, False, None)


def test_tap_reports_each_test_with_its_file() -> None:
    result = parsed(Tap(), TAP)
    assert outcomes(result) == {
        "test/half.js > halves": "passed",
        "test/half.js > wrong": "failed",
        "test/all.js > same": "passed",
        "test/all.js > same #2": "passed",
        "test/broken.js": "error",
    }
    assert {test.file for test in result.tests} == {
        "test/half.js",
        "test/all.js",
        "test/broken.js",
    }
    assert [test.could_not_run for test in result.tests] == [False, False, False, False, True]


TAPE = """
> bl@6.0.16 test
> node test/test.js

TAP version 13
# half
ok 1 should be strictly equal
not ok 2 is 2
  ---
    operator: equal
    expected: 2
    at: Test.<anonymous> (/workspace/test/test.js:4:5)
  ...
# SKIP later
# asks # twice
ok 3 should be truthy # SKIP
# half
ok 4 (unnamed assert)
# nothing asked

1..4
# tests 4
# pass  3
# fail  1
"""


def test_tape_reports_what_is_under_each_name() -> None:
    done = Completed(1, b"", 0, timed_out=False, killed=None, seconds=1.0)
    result = Tape("", "tape").parse(done, {STDOUT: TAPE.encode()})
    assert [(test.id, test.outcome) for test in result.tests] == [
        ("half", TestOutcome.FAILED),
        ("asks # twice", TestOutcome.SKIPPED),
        ("half #2", TestOutcome.PASSED),
    ]
    assert result.tests[0].message == "is 2"
    assert "expected: 2" in result.tests[0].details
    assert result.complete
    assert result.problem is None


def test_tape_that_breaks_off_is_a_failure() -> None:
    cut = TAPE[: TAPE.index("1..4")]
    result = Tape("", "tape").parse(
        Completed(1, b"", 0, timed_out=False, killed=None, seconds=1.0), {STDOUT: cut.encode()}
    )
    assert not result.complete
    assert result.problem


def test_a_document_that_breaks_off_is_a_failure() -> None:
    for cut in (AVA.partition("1..5")[0], AVA.replace("1..5", "1..9"), f"{AVA}Bail out!\n"):
        result = parsed(Ava(), cut)
        assert not result.complete
        assert "its report is incomplete" in (result.problem or "")


def test_an_exit_code_that_the_report_does_not_explain_is_a_failure() -> None:
    good = "TAP version 13\nok 1 - a\n1..1\n"
    assert parsed(Ava(), good, 0).problem is None
    assert "but no test fails" in (parsed(Ava(), good, 1).problem or "")
    assert "ran no tests" in (parsed(Ava(), "ok 1 - printed by a test\n", 0).problem or "")
    bad = good.replace("ok 1", "not ok 1")
    assert "1 of its tests fail" in (parsed(Ava(), bad, 0).problem or "")


def test_the_last_of_two_runs_counts() -> None:
    first = "TAP version 13\nnot ok 1 - a\n1..1\n"
    result = parsed(Ava(), first + first, 1, ALONE)
    assert [(test.id, test.outcome) for test in result.tests] == [("a", TestOutcome.FAILED)]
    assert result.note is None
    assert parsed(Ava(), first, 1, ALONE).note is not None
