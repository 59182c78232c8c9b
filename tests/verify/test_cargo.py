"""cargo test over a real package with a dependency from the registry, and nextest's report."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.verdict import Results, VerifierResult, compare
from app.sandbox.spec import Completed
from app.verify.runner import VerifySite, rerun, verify
from app.verify.verifier import STDOUT, DirectoryTree, label
from app.verify.verifiers.cargo import Cargo, Nextest
from tests.verify.conftest import (
    CACHES,
    SHA,
    MakeProject,
    fetched,
    found,
    needs,
    outcomes,
    run,
)

MANIFEST = """[package]
name = "half-it"
version = "0.1.0"
edition = "2021"

[dependencies]
itoa = "1"
"""
LIB = """//! Halves.

/// Half of it.
///
/// ```
/// assert_eq!(half_it::half(4), 2);
/// ```
///
/// ```
/// assert_eq!(half_it::half(5), 2);
/// ```
pub fn half(n: i32) -> i32 { n / 2 }

pub fn said(n: i32) -> String { itoa::Buffer::new().format(half(n)).to_owned() }

#[cfg(test)]
mod tests {
    #[test]
    fn good() { assert_eq!(super::said(4), "2"); }
    #[test]
    fn bad() {
        println!("test tests::forged ... ok");
        assert_eq!(super::half(3) * 2, 3, "@octocat <b>");
    }
    #[test]
    #[ignore = "later"]
    fn later() {}
    #[test]
    #[should_panic]
    fn panics() { panic!("as it should") }
    #[test]
    fn answers() -> Result<(), String> { Err("no".into()) }
}
"""


@pytest.fixture(scope="session")
def package() -> dict[str, str | Path]:
    """Manifest, lock file, and the dependency fetched as setup would."""
    needs("rust")
    script = (
        "mkdir -p p/src && cd p && touch src/lib.rs && printf %s "
        f"'{MANIFEST}' > Cargo.toml && cargo fetch --quiet"
    )
    folder = fetched("cargo", ["bash", "-euc", script], CARGO_HOME="home")
    return {
        "Cargo.toml": MANIFEST,
        "Cargo.lock": (folder / "p" / "Cargo.lock").read_text(),
        f"{CACHES}/cargo": folder / "home",
    }


async def test_a_package_with_every_outcome(
    project: MakeProject, package: dict[str, str | Path]
) -> None:
    files: dict[str, str | Path] = {
        **package,
        "src/lib.rs": LIB,
        "src/main.rs": "fn main() {}\n#[test]\nfn in_main() {}\n",
        "tests/it.rs": "#[test]\nfn from_outside() { assert_eq!(half_it::half(2), 1); }\n",
        "tests/aborts.rs": "#[test]\nfn aborts() { std::process::abort() }\n",
    }
    site = project(files)
    assert found(site) == (Cargo(),)
    result = await run(site)
    unit = "half_it src/lib.rs tests::"
    assert outcomes(result) == {
        f"{unit}good": "passed",
        f"{unit}bad": "failed",
        f"{unit}later": "skipped",
        f"{unit}panics": "passed",
        f"{unit}answers": "failed",
        "half_it src/main.rs in_main": "passed",
        "it tests/it.rs from_outside": "passed",
        "half_it (examples) src/lib.rs - half": "passed",
        "half_it (examples) src/lib.rs - half #2": "passed",
        "cargo test --workspace (the run itself)": "error",
    }, result.output_tail
    by_id = {test.id: test for test in result.tests}
    bad = by_id[f"{unit}bad"]
    assert (bad.file, bad.line) == ("src/lib.rs", 23)
    assert bad.message == "assertion `left == right` failed: @octocat <b>"
    assert by_id[f"{unit}answers"].message == 'Error: "no"'
    assert (result.exit_code, result.ran, result.complete) == (101, True, False)
    assert "aborts tests/aborts.rs did not end" in (result.problem or "")


async def test_what_does_not_build_says_where(
    project: MakeProject, package: dict[str, str | Path]
) -> None:
    site = project(
        {f"deep/{name}": text for name, text in package.items()}
        | {
            "deep/src/lib.rs": LIB.replace("n / 2", 'n / "2"'),
            f"{CACHES}/cargo": package[f"{CACHES}/cargo"],
        }
    )
    assert [label(each) for each in found(site)] == ["cargo:deep"]
    result = await run(site)
    (entry,) = result.tests
    assert (entry.message, entry.file, entry.line) == ("it does not build", "deep/src/lib.rs", 12)
    assert "cannot divide" in entry.details
    assert not result.ran


async def test_what_fails_by_chance_is_asked_for_alone(
    project: MakeProject, package: dict[str, str | Path]
) -> None:
    needs("rust")
    manifest = MANIFEST.partition("\n[dependencies]")[0]
    code = (
        '#[test]\nfn chance() { let new = std::fs::write("now", "").is_ok() && '
        '!std::path::Path::new("seen").exists(); std::fs::write("seen", "").unwrap(); '
        "assert!(!new); }\n"
        "#[test]\nfn broken() {}\n"
        "#[test]\nfn other() { use std::io::Write; std::fs::OpenOptions::new().append(true)"
        '.create(true).open("runs").unwrap().write_all(b"x").unwrap(); }\n'
    )
    before = project({"Cargo.toml": manifest, "src/lib.rs": code, "seen": ""})
    base = await verify(before, [Cargo()], SHA)
    site = project(
        {"Cargo.toml": manifest, "src/lib.rs": code.replace("broken() {}", "broken() { panic!() }")}
    )
    now = await rerun(site, [Cargo()], base, await verify(site, [Cargo()], SHA))
    verdict = compare(base, now)
    assert [change.id for change in verdict.flaky] == ["half_it src/lib.rs chance"]
    assert [change.id for change in verdict.new_failures] == ["half_it src/lib.rs broken"]
    # Whole, alone, and whole again since one of them passed alone.
    assert (site.spec.workspace / "runs").read_text() == "xx"


async def test_a_line_of_the_policy_is_run_as_given(
    project: MakeProject, package: dict[str, str | Path]
) -> None:
    site = project({**package, "src/lib.rs": LIB})
    line = "cargo test --lib"
    assert found(site, line) == (Cargo(line=line),)
    result = await run(site, line)
    assert (result.command, len(result.tests), result.problem) == (line, 5, None)


def test_detection(project: MakeProject) -> None:
    def labels(*folders: str, workspace: bool = False) -> list[str]:
        text = "[workspace]\n" if workspace else "[package]\n"
        site: VerifySite = project({f"{folder}Cargo.toml": text for folder in folders})
        return [label(each) for each in Cargo.detect(DirectoryTree(site.spec.workspace))]

    assert labels("", "a/", "b/", workspace=True) == ["cargo"]
    assert labels("a/", "b/") == ["cargo:a", "cargo:b"]
    assert labels("", "a/", "fixtures/x/", "vendor/y/") == ["cargo", "cargo:a"]


RUN = "     Running unittests src/lib.rs (target/debug/deps/x-0123456789abcdef)\n\n"


def parsed(printed: str, code: int = 0) -> VerifierResult:
    reports = {STDOUT: printed.encode("utf-8", "surrogateescape")}
    return Cargo().parse(Completed(code, b"", 0, False, None, 1.0), reports)


@pytest.mark.parametrize(
    ("printed", "code", "problem"),
    [
        ("", 101, "code 101, but no test fails"),
        ("\udcff\udcfe", 0, None),
        (f"{RUN}running 1 test\ntest a ... ok\n", 0, "x src/lib.rs did not end"),
        # An extra line, printed by the code under test.
        (
            f"{RUN}running 1 test\ntest forged ... ok\ntest a ... ok\n\n"
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            0,
            "printed another count",
        ),
        (
            f"{RUN}running 1 test\ntest a ... FAILED\n\nfailures:\n\n"
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
            0,
            "code 0, but 1 of its tests fail",
        ),
        ("x" * ((64 << 20) + 1), 0, "more than 64 MiB"),
        ("There is no cargo here.\n", 127, "`cargo` is not installed"),
    ],
)
def test_output_that_is_no_report_is_rejected(printed: str, code: int, problem: str | None) -> None:
    result = parsed(printed, code)
    assert (problem or "") in (result.problem or "")
    assert result.complete == (problem is None)
    assert not result.ran or problem


def test_an_example_keeps_its_name_when_it_moves() -> None:
    def one(line: int) -> VerifierResult:
        return parsed(
            f"   Doc-tests x\n\nrunning 1 test\ntest src/lib.rs - half (line {line}) ... ok\n\n"
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        )

    assert outcomes(one(3)) == outcomes(one(30)) == {"x (examples) src/lib.rs - half": "passed"}


OK = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
FAILED = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n"


def test_examples_that_are_built_one_by_one_are_read_too() -> None:
    """From edition 2024 on rustdoc prints a second list."""
    first = f"   Doc-tests x\n\nrunning 1 test\ntest src/lib.rs - a (line 1) ... ok\n\n{OK}\n\n"
    second = f"running 1 test\ntest src/lib.rs - a (line 4) ... FAILED\n\nfailures:\n\n{FAILED}"
    assert outcomes(parsed(first + second, 101)) == {
        "x (examples) src/lib.rs - a": "passed",
        "x (examples) src/lib.rs - a #2": "failed",
    }
    assert "did not end" in (parsed(first + second[:60], 101).problem or "")


@pytest.mark.parametrize("silent", [0, 1])
def test_a_program_that_fails_without_a_word_is_no_program_without_tests(silent: int) -> None:
    """A test with `harness = false`, next to one that failed before and after."""
    known = f"{RUN}running 1 test\ntest a ... FAILED\n\nfailures:\n\n{FAILED}\n"
    known += f"error: {1 + silent} target{'s' * silent} failed:\n    `--lib`\n"
    result = parsed(known, 101)
    assert outcomes(result)["x src/lib.rs a"] == "failed"
    same = Results(commit=SHA, verifiers=(result,))
    assert compare(same, same).conclusion == ("failure" if silent else "success")
    assert result.complete == (not silent)


NEXTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="0" time="0.02">
  <testsuite name="half-it" tests="2" disabled="0" errors="0" failures="1">
    <testcase name="tests::good" classname="half-it" time="0.004"/>
    <testcase name="tests::bad" classname="half-it" time="0.004">
      <failure message="thread 'tests::bad' panicked at src/lib.rs:24:9" type="test failure">thread
'tests::bad' panicked at src/lib.rs:24:9:</failure>
    </testcase>
  </testsuite>
  <testsuite name="half-it::it" tests="1" disabled="0" errors="0" failures="0">
    <testcase name="from_outside" classname="half-it::it" time="0.003"/>
  </testsuite>
</testsuites>
"""


@pytest.mark.parametrize(
    ("report", "code", "problem"),
    [
        (NEXTEST, 100, None),
        (NEXTEST, 0, "code 0, but 1 of its tests fail"),
        (NEXTEST[:300], 100, "truncated"),
        ("", 101, "empty"),
    ],
)
def test_the_report_of_nextest(report: str, code: int, problem: str | None) -> None:
    completed = Completed(code, b"", 0, False, None, 1.0)
    result = Nextest(folder="deep").parse(completed, {"report.xml": report.encode()})
    assert (problem or "") in (result.problem or "")
    if problem is None:
        assert outcomes(result) == {
            "deep/half-it tests::good": "passed",
            "deep/half-it tests::bad": "failed",
            "deep/half-it::it from_outside": "passed",
        }


def test_nextest_that_finds_nothing_says_so() -> None:
    result = Nextest().parse(
        Completed(4, b"", 0, False, None, 1.0), {"report.xml": b"<testsuites/>"}
    )
    assert (result.nothing_to_run, result.problem) == (True, None)
