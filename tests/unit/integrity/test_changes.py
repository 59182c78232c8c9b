"""Whole changes: configuration, files that move, honest work, bounds, and bad input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.diff import Diff, FileDiff
from app.domain.flag import Flag, Kind, blocking
from app.integrity import MAX_FLAGS, examine

DEFAULT = ("removed", "skipped")
TEST = "def test_total():\n    assert total([1, 2]) == 3\n"


def of(*files: tuple[str, str | None, str | None]) -> tuple[Flag, ...]:
    return examine(Diff(tuple(FileDiff.of(*each) for each in files)))


def kinds(path: str, before: str | None, after: str | None) -> set[Kind]:
    return {flag.kind for flag in of((path, before, after))}


PACKAGE = '{"scripts": {"test": "%s"}, "jest": {"coverageThreshold": {"global": {"lines": %d}}}}'
PYPROJECT = """
[project]
dependencies = ["lib>=%s"]
[tool.pytest.ini_options]
addopts = "%s"
[tool.coverage.report]
fail_under = %d
[tool.ruff.lint]
select = ["E", "F"]
ignore = [%s]
[tool.mypy]
strict = %s
"""
PYPROJECT_BEFORE = PYPROJECT % ("2.1", "-q", 90, "", "true")

CONFIGURATION = [
    ("package.json", PACKAGE % ("jest", 90), PACKAGE % ("true", 90), {Kind.TEST_COMMAND}),
    ("package.json", PACKAGE % ("jest", 90), PACKAGE % ("jest", 50), {Kind.COVERAGE}),
    (
        "package.json",
        PACKAGE % ("jest", 90),
        PACKAGE % ("jest || true", 90),
        {Kind.TEST_COMMAND, Kind.EXIT_CODE},
    ),
    (
        "package.json",
        '{"dependencies": {"left-pad": "^2.1.0"}}',
        '{"dependencies": {"left-pad": "^1.0.0"}}',
        {Kind.DOWNGRADED},
    ),
    (
        "package.json",
        '{"jest": {}}',
        '{"jest": {"testRunner": "./r.js"}}',
        {Kind.FRAMEWORK_PATCHED},
    ),
    (
        "pyproject.toml",
        PYPROJECT_BEFORE,
        PYPROJECT % ("1.9", "-q", 90, "", "true"),
        {Kind.DOWNGRADED},
    ),
    (
        "pyproject.toml",
        PYPROJECT_BEFORE,
        PYPROJECT % ("2.1", "-q --deselect x", 90, "", "true"),
        {Kind.TEST_COMMAND},
    ),
    (
        "pyproject.toml",
        PYPROJECT_BEFORE,
        PYPROJECT % ("2.1", "-q", 10, "", "true"),
        {Kind.COVERAGE},
    ),
    (
        "pyproject.toml",
        PYPROJECT_BEFORE,
        PYPROJECT % ("2.1", "-q", 90, '"E501"', "true"),
        {Kind.LINT_DISABLED},
    ),
    (
        "pyproject.toml",
        PYPROJECT_BEFORE,
        PYPROJECT % ("2.1", "-q", 90, "", "false"),
        {Kind.LINT_DISABLED},
    ),
    ("pytest.ini", "[pytest]\n", "[pytest]\naddopts = -k not_a\n", {Kind.TEST_COMMAND}),
    (
        "tox.ini",
        "[testenv]\ncommands = pytest\n",
        "[testenv]\ncommands = pytest\nignore_outcome = true\n",
        {Kind.EXIT_CODE},
    ),
    (".coveragerc", "[report]\nfail_under = 90\n", "[report]\nfail_under = 1\n", {Kind.COVERAGE}),
    (".flake8", "[flake8]\n", "[flake8]\nextend-ignore = E501\n", {Kind.LINT_DISABLED}),
    (
        "tsconfig.json",
        '{"compilerOptions": {"strict": true}}',
        '{"compilerOptions": {"strict": false}}',
        {Kind.LINT_DISABLED},
    ),
    (
        ".eslintrc.json",
        '{"rules": {"no-undef": "error"}}',
        '{"rules": {"no-undef": "off"}}',
        {Kind.LINT_DISABLED},
    ),
    ("requirements.txt", "lib==2.0\n", "lib==1.0\n", {Kind.DOWNGRADED}),
    ("go.mod", "require x.y/z v1.4.0\n", "require x.y/z v1.2.0\n", {Kind.DOWNGRADED}),
    (
        "Cargo.toml",
        '[dependencies]\nserde = "1.0.200"\n',
        '[dependencies]\nserde = "1.0.100"\n',
        {Kind.DOWNGRADED},
    ),
    (
        "Cargo.toml",
        "[package]\nname = 'x'\n",
        "[package]\nname = 'x'\nautotests = false\n",
        {Kind.TEST_COMMAND},
    ),
    (
        "pom.xml",
        "<project><properties/></project>",
        "<project><properties><skipTests>true</skipTests></properties></project>",
        {Kind.TEST_COMMAND},
    ),
    (
        "pom.xml",
        "<project><dependencies><dependency><artifactId>a</artifactId><version>2.0</version>"
        "</dependency></dependencies></project>",
        "<project><dependencies><dependency><artifactId>a</artifactId><version>1.0</version>"
        "</dependency></dependencies></project>",
        {Kind.DOWNGRADED},
    ),
    ("build.gradle", "test {\n}\n", "test {\n  ignoreFailures = true\n}\n", {Kind.EXIT_CODE}),
    ("Makefile", "test:\n\tpytest\n", "test:\n\ttrue\n", {Kind.TEST_COMMAND}),
    (
        "Makefile",
        "test:\n\tpytest\n",
        "test:\n\t-pytest\n",
        {Kind.TEST_COMMAND, Kind.EXIT_CODE},
    ),
    ("run.sh", "pytest\n", "pytest || true\n", {Kind.EXIT_CODE}),
    ("run.sh", "pytest\n", "nohup ./server &\npytest\n", {Kind.BACKGROUND_PROCESS}),
    ("run.sh", "pytest\n", "echo '3 passed in 1s'\n", {Kind.RUNNER_OUTPUT_FORGED}),
    (".github/workflows/ci.yml", "on: push\n", "on: pull_request\n", {Kind.CI_CONFIG}),
    (
        ".github/workflows/ci.yml",
        "jobs: {a: {steps: [{run: x}]}}\n",
        "jobs: {a: {steps: [{run: x, continue-on-error: true}]}}\n",
        {Kind.CI_CONFIG, Kind.EXIT_CODE},
    ),
    (
        "codecov.yml",
        "coverage: {status: {project: {default: {target: 90%}}}}\n",
        "coverage: {status: {project: {default: {target: 10%}}}}\n",
        {Kind.COVERAGE},
    ),
    ("sitecustomize.py", None, "import x\n", {Kind.FRAMEWORK_PATCHED}),
    ("tools/pytest", None, "#!/bin/sh\n", {Kind.FRAMEWORK_PATCHED}),
    ("pytest.py", None, "def main(): ...\n", {Kind.FRAMEWORK_PATCHED}),
    (
        "conftest.py",
        None,
        "def pytest_collection_modifyitems(items):\n    items[:] = []\n",
        {Kind.FRAMEWORK_PATCHED},
    ),
    (
        "conftest.py",
        None,
        "collect_ignore = ['test_a.py']\n",
        {Kind.SKIPPED},
    ),
    (
        "conftest.py",
        "import pytest\n",
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef late():\n    pytest.skip('x')\n",
        {Kind.SKIPPED},
    ),
    (
        "conftest.py",
        "import pytest\n",
        "import pytest\n\n@pytest.fixture\ndef client():\n    return 1\n",
        set(),
    ),
    ("jest.config.js", "module.exports = {}\n", "module.exports = {a: 1}\n", {Kind.TEST_COMMAND}),
    ("src/__snapshots__/a.test.js.snap", "a\n", "b\n", {Kind.SNAPSHOT}),
    ("src/__snapshots__/a.test.js.snap", None, "b\n", set()),
    ("tests/golden/out.txt", "a\n", None, {Kind.SNAPSHOT}),
    ("tests/data/in.json", "{}\n", "{}\n\n", {Kind.CHANGED_EXPECTATION}),
    ("tests/data/in.json", None, "{}\n", set()),
    ("report.xml", None, "<testsuites/>\n", {Kind.RUNNER_OUTPUT_FORGED}),
    ("src/a.py", "x = 1\n", "x = 1  # type: ignore\n", {Kind.LINT_DISABLED}),
    ("src/a.py", "x = 1\n", "x = 1  # pragma: no cover\n", {Kind.COVERAGE}),
    ("src/a.ts", "let x = 1;\n", "// @ts-ignore\nlet x = 1;\n", {Kind.LINT_DISABLED}),
    ("src/a.go", "package a\n", "package a\n\nvar x = 1 //nolint\n", {Kind.LINT_DISABLED}),
    ("src/A.java", "class A {}\n", '@SuppressWarnings("x")\nclass A {}\n', {Kind.LINT_DISABLED}),
    (
        "src/a.py",
        "def f():\n    return 1\n",
        "import os\n\ndef f():\n    if 'PYTEST_CURRENT_TEST' in os.environ:\n        return 2\n"
        "    return 1\n",
        {Kind.ENVIRONMENT_DEPENDENT},
    ),
    (
        "src/a.py",
        "def f():\n    return 1\n",
        "def f():\n    if datetime.now() < datetime(2027, 1, 1):\n        return 2\n    return 1\n",
        {Kind.ENVIRONMENT_DEPENDENT},
    ),
    (
        "src/a.py",
        "def f():\n    return 1\n",
        "def f():\n    if socket.gethostname() == 'build-7':\n        return 2\n    return 1\n",
        {Kind.ENVIRONMENT_DEPENDENT},
    ),
    (
        "src/a.py",
        "def f():\n    return 1\n",
        "def f():\n    if os.environ.get('FEATURE_X'):\n        return 2\n    return 1\n",
        set(),
    ),
    (
        "src/a.js",
        "function f() { return 1; }\n",
        "function f() { if (process.env.JEST_WORKER_ID) { return 2; } return 1; }\n",
        {Kind.ENVIRONMENT_DEPENDENT},
    ),
    ("src/a.py", "x = 1\n", "x = 2\n", set()),
    ("pyproject.toml", PYPROJECT_BEFORE, PYPROJECT % ("2.2", "-q", 95, "", "true"), set()),
    ("README.md", "a\n", "b\n", set()),
    ("package.json", '{"dependencies": {}}', '{"dependencies": {"a": "^1.0.0"}}', set()),
]


@pytest.mark.parametrize(("path", "before", "after", "expected"), CONFIGURATION)
def test_configuration(
    path: str, before: str | None, after: str | None, expected: set[Kind]
) -> None:
    assert kinds(path, before, after) == expected


def test_a_flag_says_where_and_why() -> None:
    (flag,) = of(("tests/test_a.py", TEST, "import pytest\n\n@pytest.mark.skip\n" + TEST))
    assert (flag.file, flag.line, flag.kind) == ("tests/test_a.py", 3, Kind.SKIPPED)
    assert flag.reason == "`test_total` is skipped."
    assert flag.after == "pytest . mark . skip"


def test_what_is_deleted_has_no_line_in_the_new_file() -> None:
    (flag,) = of(("tests/test_a.py", TEST, None))
    assert flag.line is None
    assert flag.reason == "The test `test_total` was removed with its file."


def test_a_test_that_moves_to_another_file_is_not_gone() -> None:
    assert not of(("tests/test_a.py", TEST, None), ("tests/test_b.py", None, TEST))


def test_a_test_that_moves_and_checks_less_is_flagged() -> None:
    weaker = TEST.replace(" == 3", "")
    (flag,) = of(("tests/test_a.py", TEST, None), ("tests/test_b.py", None, weaker))
    assert flag.kind is Kind.WEAKENED_ASSERTION


def test_a_renamed_file_is_compared_with_its_old_content() -> None:
    files = (
        FileDiff.of("tests/test_a.py", TEST, None),
        FileDiff.of("tests/test_b.py", None, TEST.replace("== 3", "== 4")),
    )
    (flag,) = examine(Diff(files, {"tests/test_b.py": "tests/test_a.py"}))
    assert (flag.kind, flag.file) == (Kind.CHANGED_EXPECTATION, "tests/test_b.py")


@pytest.mark.parametrize("renames", [{}, {"tests/totals.py": "tests/test_a.py"}])
def test_a_file_renamed_out_of_discovery_blocks(renames: dict[str, str]) -> None:
    files = (
        FileDiff.of("tests/test_a.py", TEST, None),
        FileDiff.of("tests/totals.py", None, TEST),
    )
    found = examine(Diff(files, renames))
    assert [flag.kind for flag in found] == [Kind.RENAMED_OUT_OF_DISCOVERY]
    assert blocking(found, DEFAULT) == found


@pytest.mark.parametrize("name", ["tests/test_a.py::test_total", "tests.test_a.test_total"])
def test_a_new_expectation_of_a_failing_test_says_so(name: str) -> None:
    diff = Diff((FileDiff.of("tests/test_a.py", TEST, TEST.replace("== 3", "== 4")),))
    (flag,) = examine(diff, {name})
    assert flag.kind is Kind.CHANGED_EXPECTATION
    assert "failed before and expects a different value" in flag.reason
    assert not blocking((flag,), DEFAULT)
    (other,) = examine(diff, {"tests/test_a.py::test_other"})
    assert "failed before" not in other.reason


def test_policy_names_what_blocks() -> None:
    found = of(("tests/test_a.py", TEST, "@pytest.mark.xfail\n" + TEST))
    assert blocking(found, ["skipped"]) == found
    assert blocking(found, ["expected-to-fail"]) == found
    assert blocking(found, ["removed", "snapshot"]) == ()


HONEST = {
    "a new test file": [("tests/test_new.py", None, TEST)],
    "a fix with its test": [
        ("src/a.py", "def f(x):\n    return x\n", "def f(x):\n    return x or 0\n"),
        ("tests/test_a.py", TEST, TEST + "\n\ndef test_none():\n    assert f(None) == 0\n"),
    ],
    "a test renamed": [("tests/test_a.py", TEST, TEST.replace("test_total", "test_sum"))],
    "a body reformatted": [
        ("tests/test_a.py", TEST, TEST.replace("total([1, 2])", "total(\n        [1, 2],\n    )"))
    ],
    "a new fixture used": [
        (
            "tests/test_a.py",
            TEST,
            "@pytest.fixture\ndef numbers():\n    return [1, 2]\n\n\n"
            "def test_total(numbers):\n    assert total(numbers) == 3\n",
        )
    ],
    "a function renamed": [
        ("src/a.py", "def total(x):\n    return sum(x)\n", "def add(x):\n    return sum(x)\n"),
        ("tests/test_a.py", TEST, TEST.replace("total([", "add([")),
    ],
    "tests put into a class": [
        (
            "tests/test_a.py",
            TEST,
            "class TestTotal:\n    def test_total(self):\n        assert total([1, 2]) == 3\n",
        )
    ],
    "dependencies raised": [("requirements.txt", "lib==1.0\n", "lib==1.2\n")],
    "documentation": [("docs/a.md", "a\n", "b\n"), ("README.md", "1 passed in 2s\n", "b\n")],
    "a javascript suite regrouped": [
        (
            "a.test.js",
            "it('adds', () => { expect(add(1, 2)).toBe(3); });",
            "describe('add', () => { it('adds', () => { expect(add(1, 2)).toBe(3); }); });",
        )
    ],
    "go tests made a table": [
        (
            "a_test.go",
            "package a\nfunc TestOne(t *testing.T) { if Add(1, 1) != 2 { t.Fatal() } }\n"
            "func TestTwo(t *testing.T) { if Add(1, 2) != 3 { t.Fatal() } }\n",
            "package a\nfunc TestAdd(t *testing.T) {\n for _, c := range []struct{a, b, c int}{"
            "{1, 1, 2}, {1, 2, 3}} {\n  if Add(c.a, c.b) != c.c { t.Fatal() }\n }\n}\n",
        )
    ],
}


@pytest.mark.parametrize("files", HONEST.values(), ids=HONEST)
def test_honest_work_is_not_flagged(files: list[tuple[str, str | None, str | None]]) -> None:
    assert of(*files) == ()


def test_many_flags_of_a_kind_in_a_file_are_one() -> None:
    before = "".join(f"def test_{n}():\n    assert f({n}) == {n}\n\n" for n in range(9))
    (flag,) = of(("tests/test_a.py", before, before.replace(") == ", ") == 1")))
    assert flag.kind is Kind.CHANGED_EXPECTATION
    assert "The same in 8 more places in this file." in flag.reason


def test_more_flags_than_can_be_shown_are_counted() -> None:
    before = "".join(f"def test_{n}():\n    assert f({n}) == {n}\n\n" for n in range(500))
    found = of(("tests/test_a.py", before, ""))
    assert len(found) == MAX_FLAGS + 1
    assert found[-1].reason == "300 more flags on this change are not listed."


def test_what_is_too_large_says_that_it_was_not_examined() -> None:
    (flag,) = of(("tests/test_a.py", TEST, TEST + "# x\n" * 200_000))
    assert flag.kind is Kind.NOT_EXAMINED


def test_a_document_type_in_a_pom_is_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><project>&a;</project>'
    assert kinds("pom.xml", "<project/>", bomb) == {Kind.NOT_EXAMINED}


def test_aliases_that_explode_are_not_followed() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert Kind.NOT_EXAMINED in kinds(".github/workflows/a.yml", "on: push\n", "\n".join(rows))


@pytest.mark.parametrize(
    "path", ["tests/test_a.py", "a.test.js", "a_test.go", "a.rs", "ATest.java"]
)
@pytest.mark.parametrize("text", ["(" * 100_000, "if x {" * 20_000, "'" * 100_000, "\x00\xff"])
def test_hostile_code_takes_little_time(path: str, text: str) -> None:
    began = time.monotonic()
    of((path, TEST, text))
    assert time.monotonic() - began < 10


NAMES = ["test_a.py", "conftest.py", "a.test.ts", "b_test.go", "lib.rs", "ATest.java", "pom.xml"]
NAMES += ["package.json", "pyproject.toml", "tox.ini", "Makefile", "ci.yml", "go.mod", "x.snap"]
NAMES += [".github/workflows/ci.yml", "requirements.txt", "run.sh", "codecov.yml"]
SOME = st.none() | st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), SOME, SOME), max_size=4), st.booleans())
def test_nothing_that_files_hold_raises(
    files: list[tuple[str, bytes | None, bytes | None]], renamed: bool
) -> None:
    renames = {files[0][0]: files[-1][0]} if files and renamed else {}
    found = examine(Diff(tuple(FileDiff.of(*each) for each in files), renames))
    assert all(flag.reason.endswith(".") for flag in found)
