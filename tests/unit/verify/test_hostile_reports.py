"""Whatever lies in the report folder, each verifier has a result, and never a green one."""

from __future__ import annotations

import pytest

from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, compare
from app.sandbox.spec import Completed
from app.verify.verifier import Verifier
from app.verify.verifiers import checks
from app.verify.verifiers.clippy import Clippy
from app.verify.verifiers.eslint import Eslint
from app.verify.verifiers.go import Go
from app.verify.verifiers.gofmt import Gofmt
from app.verify.verifiers.gradle import Gradle
from app.verify.verifiers.jest import Jest
from app.verify.verifiers.maven import Maven
from app.verify.verifiers.mocha import Mocha
from app.verify.verifiers.mypy import Mypy
from app.verify.verifiers.node import Node
from app.verify.verifiers.prettier import Prettier
from app.verify.verifiers.pytest import Pytest
from app.verify.verifiers.ruff import Ruff, RuffFormat
from app.verify.verifiers.tsc import Tsc
from app.verify.verifiers.unittest import Unittest
from app.verify.verifiers.vitest import Vitest

SCRIPTS: tuple[Verifier, ...] = (Node(), Jest(), Vitest(), Mocha())
JAVA: tuple[Verifier, ...] = (Maven(folder="app"), Gradle(folder="app"))
JSON: tuple[Verifier, ...] = (Ruff(), Eslint())
CHECKS: tuple[Verifier, ...] = (*JSON, RuffFormat(), Mypy(), Prettier(), Tsc(), Gofmt(), Clippy())

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 if n else str()};" * 10}">' for n in range(9))
    + "]><testsuites><testcase name='&a8;'/></testsuites>"
).encode()
CASE = '<testcase classname="a > " name="t{}" file="a" time="0"/>'
WHOLE = f"<testsuites><testsuite>{CASE.format(1)}</testsuite></testsuites>".encode()
BAD_XML = {
    "empty": b"",
    "not XML": b"\x00\xff garbage",
    "truncated": WHOLE[:-20],
    "an entity bomb": BOMB,
    "too many cases": b"<testsuites>" + b'<testcase name="t"/>' * 1_000_000 + b"</testsuites>",
    "not JUnit": b"<html/>",
}


def done(code: int | None = 0, output: bytes = b"") -> Completed:
    return Completed(code, output, 0, False, None, 1.0)


def reports_of(verifier: Verifier, report: bytes) -> dict[str, bytes]:
    if isinstance(verifier, Maven | Gradle):
        return {"00001.xml": report, "places": b"00001.xml\tcore/target/surefire-reports/a.xml\n"}
    return {("findings" if verifier in CHECKS else "report.xml"): report}


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("report", BAD_XML.values(), ids=BAD_XML)
def test_a_report_that_cannot_be_read_is_a_failure(report: bytes, code: int) -> None:
    for verifier in (*SCRIPTS, *JAVA):
        result = verifier.parse(done(code), reports_of(verifier, report))
        assert [test.whole_run for test in result.tests if test.outcome.bad] == [True], verifier
        assert not result.complete
        conclusion = compare(None, Results(commit=CommitSha("a" * 40), verifiers=(result,)))
        assert conclusion.conclusion == "failure"


@pytest.mark.parametrize("verifier", [*SCRIPTS, *JAVA], ids=lambda each: str(each.name))
def test_exit_code_and_report_must_agree(verifier: Verifier) -> None:
    failing = WHOLE.replace(b"/></testsuite>", b"><failure/></testcase></testsuite>")
    for code, report in [(0, failing), (1, WHOLE), (127, WHOLE), (137, WHOLE)]:
        result = verifier.parse(done(code), reports_of(verifier, report))
        assert result.problem is not None
        assert any(test.whole_run for test in result.tests)
    passed = verifier.parse(done(0), reports_of(verifier, WHOLE))
    assert [test.outcome for test in passed.tests] == [TestOutcome.PASSED]
    assert (passed.problem, passed.ran) == (None, True)


def test_no_report_is_no_success() -> None:
    for verifier in (*SCRIPTS, *JAVA):
        result = verifier.parse(done(0), {})
        assert not result.ran
        conclusion = compare(None, Results(commit=CommitSha("a" * 40), verifiers=(result,)))
        assert conclusion.conclusion == "failure"


UNABLE = {
    "only errors": '<testcase classname="c.X" name="a"><error message="boom"/></testcase>',
    "a class that cannot be prepared": '<testcase classname="c.X" name=""><failure/></testcase>',
    "JUnit 4's word for it": '<testcase classname="c.X" name="initializationError"><error/>'
    "</testcase>",
}


@pytest.mark.parametrize("cases", UNABLE.values(), ids=UNABLE)
def test_a_suite_of_which_no_test_was_executed_did_not_run(cases: str) -> None:
    report = f"<testsuite>{cases}</testsuite>".encode()
    for verifier in JAVA:
        result = verifier.parse(done(1), reports_of(verifier, report))
        assert (result.ran, result.nothing_to_run) == (False, False)
        same = Results(commit=CommitSha("a" * 40), verifiers=(result,))
        verdict = compare(same, same, no_tests="neutral")
        assert verdict.conclusion == "failure"
        assert verdict.title == "No tests could run, 1 failing before and after"


def test_a_class_that_cannot_be_prepared_is_one_where_none_of_its_tests_ran() -> None:
    def told(*cases: str) -> list[tuple[str, bool]]:
        report = f"<testsuite>{''.join(cases)}</testsuite>".encode()
        tests = Maven().parse(done(1), {"1.xml": report}).tests
        return [(test.id, test.could_not_run) for test in tests if test.outcome.bad]

    prepared = '<testcase classname="c.X" name="classMethod"><error/></testcase>'
    assert told(prepared, '<testcase classname="c.Y" name="a"/>') == [("c.X", True)]
    assert told(prepared, '<testcase classname="c.X" name="a"/>') == [("c.X.classMethod", False)]


@pytest.mark.parametrize(
    ("frame", "outcome"),
    [
        ("\tat c.X.a(X.java:9)", TestOutcome.FAILED),
        ("\tat app//c.X.a(X.java:9)", TestOutcome.FAILED),
        ("\tat c.X.prepare(X.java:4)", TestOutcome.ERROR),
        ("\tat d.c.X.a(X.java:4)", TestOutcome.ERROR),
        ("", TestOutcome.ERROR),
    ],
)
def test_an_exception_in_the_test_method_is_a_failure(frame: str, outcome: TestOutcome) -> None:
    error = f'<error message="boom">java.lang.IllegalStateException: boom\n{frame}</error>'
    report = f'<testsuite><testcase classname="c.X" name="a">{error}</testcase></testsuite>'
    (test,) = Maven().parse(done(1), {"1.xml": report.encode()}).tests
    assert test.outcome is outcome


@pytest.mark.parametrize("verifier", SCRIPTS, ids=lambda each: str(each.name))
def test_a_file_that_cannot_be_read_is_no_test_that_ran(verifier: Verifier) -> None:
    broken = '<testcase name="b.js" file="b.js"><error message="SyntaxError"/></testcase>'
    for others, ran in (("", False), (CASE.format(1), True)):
        report = f"<testsuites>{others}{broken}</testsuites>".encode()
        result = verifier.parse(done(1), reports_of(verifier, report))
        assert (result.ran, result.complete) == (ran, False)
        same = Results(commit=CommitSha("a" * 40), verifiers=(result,))
        verdict = compare(same, same)
        assert verdict.conclusion == "failure"
        assert "The tests of b.js could not run, on the base commit too: SyntaxError." in (
            verdict.reasons
        )


UNTESTED = {
    "another goal": (
        Maven(),
        "[ERROR] Failed to execute goal org.x:y:3.1:check (id) on project b: No",
    ),
    "dependencies": (Maven(), "[ERROR] Failed to execute goal on project b: Could not resolve x"),
    "skipped": (Maven(), "[INFO] Module b ......................... SKIPPED"),
    "a task": (Gradle(), "Execution failed for task ':b:processResources'.\n> No"),
    "a crash": (Gradle(), "Execution failed for task ':b:test'.\n> Process 'Gradle Test' ended"),
}
TESTED = {
    "Maven": (Maven(), "[ERROR] Failed to execute goal a:b:3:test (id) on project a: There are "
              "test failures."),
    "Gradle": (Gradle(), "Execution failed for task ':a:test'.\n> There were failing tests. See"),
}  # fmt: skip


@pytest.mark.parametrize(("verifier", "printed"), UNTESTED.values(), ids=UNTESTED)
def test_a_module_that_was_not_tested_is_reported_next_to_one_that_fails(
    verifier: Verifier, printed: str
) -> None:
    report = b'<testsuite><testcase classname="c.X" name="a"><failure/></testcase></testsuite>'
    result = verifier.parse(done(1, f"\n{printed}\n".encode()), reports_of(verifier, report))
    same = Results(commit=CommitSha("a" * 40), verifiers=(result,))
    assert (compare(same, same).conclusion, result.complete) == ("failure", False)


@pytest.mark.parametrize(("verifier", "printed"), TESTED.values(), ids=TESTED)
def test_a_module_whose_tests_fail_was_tested(verifier: Verifier, printed: str) -> None:
    report = b'<testsuite><testcase classname="c.X" name="a"><failure/></testcase></testsuite>'
    result = verifier.parse(done(1, f"\n{printed}\n".encode()), reports_of(verifier, report))
    assert (result.problem, result.complete) == (None, True)


def test_a_file_that_cannot_be_collected_leaves_the_others_to_run() -> None:
    broken = '<testcase name="b.py" file="b.py"><error message="collection failure"/></testcase>'
    report = f"<testsuites>{CASE.format(1)}{broken}</testsuites>".encode()
    for code in (1, 2):
        result = Pytest().parse(done(code), {"report.xml": report})
        assert (result.ran, result.complete, result.note) == (True, False, None)


CONTROL = "".join(map(chr, range(32))) + "\x7f\x85\ufffe\uffff"


def test_characters_that_xml_forbids_hide_no_test() -> None:
    """A skip with colors, as pytest before 8 writes it, and whatever else is no XML."""
    for bad in (f"\x1b[31m{CONTROL}\x1b]8;;", "&#27;[0m&#x0;&#65535;&#xD800;&nbsp; & ]]>"):
        bad = bad.replace("\n", "").replace("\t", "")
        cases = (
            f'<testcase classname="a > " name="s" file="a"><skipped message="{bad}">{bad}</skipped>'
            f'</testcase><testcase classname="a > " name="t" file="a" time="0"/>'
        )
        report = f"\n\n<testsuites>{cases}</testsuites>".encode("utf-8", "surrogatepass")
        for verifier in (*SCRIPTS, *JAVA, Pytest(), Unittest()):
            result = verifier.parse(done(0), reports_of(verifier, report + b"\n"))
            assert len(result.tests) == 2, (verifier, result)
            assert (result.problem, result.ran) == (None, True)


def test_what_is_replaced_in_a_report_joins_and_hides_no_markup() -> None:
    """An escape sequence that a terminal would swallow, laid around a failure."""
    report = (
        b'<testsuites><testcase classname="a > " name="1" file="a"><failure>\x1b]0;</failure>'
        b'</testcase><testcase classname="a > " name="2" file="a"><failure>\x07\x1b[</failure>'
        b"</testcase><!-- <![CDATA[ --><testcase/><!-- ]]> --></testsuites>"
    )
    result = Jest().parse(done(1), {"report.xml": report})
    assert [test.outcome.bad for test in result.tests] == [True, True, False]


@pytest.mark.parametrize("text", ["a\x1b[31mred", "tab\there", "half \ud99c"])
def test_control_characters_in_json_hide_no_finding(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    for verifier, report in (
        (Ruff(), b'{"filename": "a.py", "message": "%s"}' % raw),
        (Eslint(), b'[{"filePath": "a.js", "messages": [{"severity": 2, "message": "%s"}]}]' % raw),
    ):
        result = verifier.parse(done(1), reports_of(verifier, report))
        assert (result.problem, len(result.tests)) == (None, 1), result
    event = b'{"Action":"fail","Package":"p","Test":"TestA"}\n'
    output = b'{"Action":"output","Package":"p","Test":"TestA","Output":"%s"}\n' % raw
    result = Go().parse(done(1), {"stdout": output + event})
    assert [test.id for test in result.tests] == ["p TestA"]


def test_gradles_reports_have_the_folder_of_their_project() -> None:
    trace = (
        "org.opentest4j.AssertionFailedError: @octocat\n"
        "\tat app//org.junit.jupiter.api.Assertions.fail(Assertions.java:1)\n"
        "\tat app//com.acme.HalvesTest.isWrong(HalvesTest.kt:7)\n"
    )
    report = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<testsuite name="com.acme.HalvesTest" tests="2">'
        '<testcase name="isWrong()" classname="com.acme.HalvesTest" time="0.1">'
        f'<failure message="@octocat" type="x">{trace}</failure></testcase>'
        '<testcase name="isWrong()" classname="com.acme.HalvesTest" time="0.1"/>'
        "<system-out><![CDATA[<testcase name='no'/>]]></system-out></testsuite>"
    )
    listed = {
        "00001.xml": report.encode(),
        "places": b"00001.xml\tcore/build/test-results/test/TEST-com.acme.HalvesTest.xml\n",
        "sources": b"./core/src/test/kotlin/com/other/HalvesTest.kt\n"
        b"./core/src/test/kotlin/com/acme/HalvesTest.kt\n",
    }
    result = Gradle(folder="app").parse(done(1), listed)
    told = {test.id: (test.outcome.value, test.file, test.line) for test in result.tests}
    file = "app/core/src/test/kotlin/com/acme/HalvesTest.kt"
    assert told == {
        "app/core/com.acme.HalvesTest.isWrong()": ("failed", file, 7),
        "app/core/com.acme.HalvesTest.isWrong() #2": ("passed", None, None),
    }


BAD_JSON = {
    "not JSON": b"\xff\x00 oops",
    "truncated": b'{"reason": "x", "message": {"mess',
    "of another shape": b'{"filename": 1, "message": 1}',
    "deep": b'{"filename":' + b"[" * 100_000,
}


@pytest.mark.parametrize("report", BAD_JSON.values(), ids=BAD_JSON)
def test_findings_that_cannot_be_read_are_a_failure(report: bytes) -> None:
    for verifier in (*JSON, Clippy()):
        text = report if isinstance(verifier, Clippy) or verifier == Ruff() else b"[" + report
        text = b"{" + text if verifier == Clippy() and report[:1] != b"{" else text
        result = verifier.parse(done(1), reports_of(verifier, text))
        assert [test.whole_run for test in result.tests] == [True], (verifier, report)


def test_checks_with_reports_beyond_all_bounds_have_a_result() -> None:
    huge = b"x" * (checks.MAX_REPORT_BYTES + 1)
    for verifier in CHECKS:
        assert verifier.parse(done(1), reports_of(verifier, huge)).problem is not None
    found = 2 * checks.MAX_FINDINGS
    many = b"".join(b"file%d\n" % number for number in range(found))
    result = Prettier().parse(done(1), reports_of(Prettier(), many))
    assert len(result.tests) + result.tests_dropped == found
    assert len(result.tests) == checks.MAX_FINDINGS
    objects = b"[" + b"{}," * 50_000 + b"{}]"
    assert Eslint().parse(done(1), reports_of(Eslint(), objects)).problem is not None


def test_a_finding_keeps_its_name_when_lines_move() -> None:
    def found(*lines: str) -> list[str]:
        text = "".join(f"{line}\n" for line in lines).encode()
        result = Mypy(folder="lib").parse(done(1), reports_of(Mypy(), text))
        return [test.id for test in result.tests]

    one = 'a.py:{}: error: Name "x" already defined on line {}  [no-redef]'
    assert found(one.format(3, 1), one.format(9, 1)) == found(one.format(5, 2), one.format(12, 2))
    assert found(one.format(3, 1))[0].startswith("lib/a.py: no-redef: ")


def test_a_missing_tool_says_nothing_about_the_code() -> None:
    result = Ruff().parse(done(0), {"absent": b""})
    assert (result.tests, result.ran, result.complete) == ((), False, False)
    assert result.note is not None
    broken = Ruff().parse(done(2, b"invalid configuration"), reports_of(Ruff(), b""))
    assert [test.whole_run for test in broken.tests] == [True]
    clean = Ruff().parse(done(0), reports_of(Ruff(), b""))
    assert [(test.id, test.outcome) for test in clean.tests] == [("ruff check", TestOutcome.PASSED)]
