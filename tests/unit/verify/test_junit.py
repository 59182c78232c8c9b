"""Reading JUnit XML: what pytest writes, and what somebody hostile may put in its place."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.verdict import TestOutcome, TestResult
from app.verify import junit
from app.verify.junit import BadReportError, failing_line, read_junit, repository_path
from app.verify.verifiers.pytest import node_prefix


def read(cases: str) -> tuple[TestResult, ...]:
    text = f'<?xml version="1.0"?><testsuites><testsuite>{cases}</testsuite></testsuites>'
    return read_junit(text.encode(), node_prefix).tests


def one(case: str) -> TestResult:
    (test,) = read(case)
    return test


CASE = 'classname="tests.test_a" name="test_it" file="tests/test_a.py" line="4" time="0.5"'


def test_a_case_that_passed() -> None:
    assert one(f"<testcase {CASE}/>") == TestResult(
        id="tests/test_a.py::test_it",
        outcome=TestOutcome.PASSED,
        file="tests/test_a.py",
        line=5,
        seconds=0.5,
    )


def test_a_passed_case_is_the_same_as_a_validated_one() -> None:
    """It is made without validation; a field that is forgotten there would show here."""
    test = one(f"<testcase {CASE}/>")
    assert TestResult.model_validate(test.model_dump()) == test
    assert TestResult.model_validate_json(test.model_dump_json()) == test
    assert test.model_copy(update={"also": (TestOutcome.FAILED,)}).also == (TestOutcome.FAILED,)
    assert set(test.__dict__) == set(TestResult.model_fields)


@pytest.mark.parametrize(
    ("tag", "outcome"),
    [
        ("failure", TestOutcome.FAILED),
        ("error", TestOutcome.ERROR),
        ("skipped", TestOutcome.SKIPPED),
    ],
)
def test_a_case_that_tells_something(tag: str, outcome: TestOutcome) -> None:
    test = one(f'<testcase {CASE}><{tag} message="because">all\nof it</{tag}></testcase>')
    assert (test.outcome, test.message, test.details) == (outcome, "because", "all\nof it")


def test_the_worst_of_several_outcomes_counts() -> None:
    told = "".join(f'<{tag} message="{tag}"/>' for tag in ("failure", "error", "skipped"))
    assert one(f"<testcase {CASE}>{told}</testcase>").message == "error"


def test_output_beside_a_case_is_left_out() -> None:
    case = f"<testcase {CASE}><properties/><system-out>FAILED</system-out></testcase>"
    assert one(case).outcome is TestOutcome.PASSED


@pytest.mark.parametrize(
    ("classname", "file", "expected"),
    [
        ("tests.test_a.TestB.TestC", "tests/test_a.py", "tests/test_a.py::TestB::TestC::x[1/2]"),
        ("test_a", "test_a.py", "test_a.py::x[1/2]"),
        # An inherited test is in another file; a name with only the same start is another module.
        ("tests.test_a.TestB", "tests/base.py", "tests.test_a.TestB::x[1/2]"),
        ("tests.test_ab", "tests/test_a.py", "tests.test_ab::x[1/2]"),
        ("", "tests/test_a.py", "tests/test_a.py"),
    ],
)
def test_ids_are_those_that_pytest_takes(classname: str, file: str, expected: str) -> None:
    assert one(f'<testcase classname="{classname}" name="x[1/2]" file="{file}"/>').id == expected


def test_an_address_in_memory_does_not_make_another_test() -> None:
    first, second = (
        one(f'<testcase classname="a" name="t[&lt;object at {address}&gt;]"/>').id
        for address in ("0x7f1234567890", "0x7fabcdef0123")
    )
    assert first == second


def test_names_without_end_are_cut_and_stay_apart() -> None:
    ids = [one(f'<testcase classname="a" name="{"x" * 50_000}{n}"/>').id for n in (1, 2)]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= junit.MAX_ID


@pytest.mark.parametrize(
    "numbers",
    ['line="-9" time="-1"', 'line="x" time="y"', f'line="{"9" * 9000}" time="nan"', 'time="inf"'],
)
def test_numbers_out_of_reason_are_none(numbers: str) -> None:
    test = one(f'<testcase classname="a" name="b" {numbers}/>')
    assert test.seconds == 0
    assert test.line is None or 0 < test.line <= 10_000_000


def test_messages_and_details_are_bounded_one_by_one_and_together() -> None:
    case = f'<testcase {CASE}><failure message="{"m" * 9000}">{"d" * 90_000}</failure></testcase>'
    tests = read(case * 300)
    assert max(len(test.message) for test in tests) <= junit.MAX_MESSAGE
    assert max(len(test.details) for test in tests) <= junit.MAX_DETAILS + 100
    assert "left out" in tests[0].details
    assert sum(len(test.details) for test in tests) <= junit.MAX_ALL_DETAILS + junit.MAX_DETAILS
    assert tests[-1].message


BOMB = (
    '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><testsuites>&c;</testsuites>'
)
OUTSIDE = '<!DOCTYPE b [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuites>&f;</testsuites>'


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"all tests passed", "not XML"),
        (b"<html><body/></html>", "not JUnit"),
        (b'<testsuites><testsuite><testcase name="a', "truncated"),
        (b"<testsuites><testsuite><testcase/></testsuite>", "truncated"),
        (b"\x00\xff\xfe", "not XML"),
        ("<testsuites/>".encode("utf-16"), "not XML"),
        (BOMB.encode(), "document type"),
        (OUTSIDE.encode(), "document type"),
        (b'<?xml version="1.0"?><!-- x --><?a b?>\n<!DOCTYPE a><testsuites/>', "document type"),
        (b"<testsuites></a>", "not XML"),
        (b"<a>" * 1_000_000, "more elements"),
        (b"<testsuites " + b'a="" ' * 3_000_000 + b"/>", "more elements"),
        (b"<testsuites>" + b" " * junit.MAX_REPORT_BYTES, "larger than"),
    ],
)
def test_an_invalid_report_is_refused_with_a_reason(report: bytes, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadReportError, match=words):
        read_junit(report, node_prefix)
    assert time.monotonic() - began < 5


def test_deep_nesting_is_read_and_not_recursed_into() -> None:
    depth = 200_000
    report = b"<testsuites>" + b"<a>" * depth + b"</a>" * depth + b"</testsuites>"
    assert read_junit(report, node_prefix).tests == ()


def test_bytes_that_are_not_utf8_do_not_lose_the_tests() -> None:
    report = b'<testsuites><testcase classname="a" name="caf\xe9"/></testsuites>'
    (test,) = read_junit(report, node_prefix).tests
    assert test.id == "a::caf\N{REPLACEMENT CHARACTER}"


def test_a_declared_encoding_is_ignored() -> None:
    report = b'<?xml version="1.0" encoding="utf-7"?><testsuites><testcase name="b"/></testsuites>'
    assert len(read_junit(report, node_prefix).tests) == 1


def test_a_document_type_in_a_message_is_only_text() -> None:
    case = f"<testcase {CASE}><failure><![CDATA[<!DOCTYPE html>]]></failure></testcase>"
    assert one(case).details == "<!DOCTYPE html>"


def test_more_tests_than_are_compared_are_counted_and_failures_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(junit, "MAX_TESTS", 10)
    passing = "".join(f'<testcase classname="a" name="p{n}"/>' for n in range(20))
    text = f'<s>{passing}<testcase classname="a" name="f"><failure/></testcase></s>'
    report = read_junit(text.encode(), node_prefix)
    assert (len(report.tests), report.dropped) == (10, 11)
    assert any(test.outcome.bad for test in report.tests)


def test_collections_are_on_again_whatever_happens() -> None:
    with pytest.raises(BadReportError):
        read_junit(b"<", node_prefix)
    assert gc.isenabled()


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_no_bytes_raise_anything_else(report: bytes) -> None:
    for whole in (report, b"<testsuites><testcase name='" + report + b"'/></testsuites>"):
        try:
            read_junit(whole, node_prefix)
        except BadReportError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (
            "tests/test_a.py:3: in test_a\n    f()\nsrc/a.py:9: in f\nE   ValueError",
            ("src/a.py", 9),
        ),
        ("a b/test_ü.py:3: AssertionError", ("a b/test_ü.py", 3)),
        ("/workspace/a.py:4: in x\n/usr/lib/python3/os.py:9: in y", ("a.py", 4)),
        ("a.py:4: in x\n.venv/lib/p/site-packages/q.py:9: in y", ("a.py", 4)),
        ("a.py:4: in x\n../elsewhere/q.py:9: in y", ("a.py", 4)),
        ("a.py:4: in x\nE   b.py:7: is only a message", ("a.py", 4)),
        ('E     File "/workspace/a.py", line 12\nE       def (:', ("a.py", 12)),
        ("<string>:1: in f", None),
        ("no traceback at all", None),
    ],
)
def test_the_failing_line_is_the_innermost_of_the_repository(
    details: str, expected: tuple[str, int] | None
) -> None:
    assert failing_line(details) == expected


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../a.py", "a/../../b.py", "a\nb.py", "a" * 600, "<frozen os>"]
)
def test_paths_out_of_the_repository_are_none(path: str) -> None:
    assert repository_path(path) is None
