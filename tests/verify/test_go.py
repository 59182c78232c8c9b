"""go test over a real module with a dependency from the module proxy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.domain.verdict import Results, TestOutcome, VerifierResult, compare
from app.sandbox.spec import Completed, ResourceLimits
from app.verify.runner import VerifySite, rerun, verify
from app.verify.verifier import STDOUT, label
from app.verify.verifiers.go import Go
from tests.verify.conftest import (
    CACHES,
    SHA,
    MakeProject,
    fetched,
    found,
    needs,
    outcomes,
    run,
    with_cache,
)

MODULE = "module example.com/hits\n\ngo 1.21\n"
REQUIRES = "github.com/pkg/errors v0.9.1"
TESTS = """package hits

import (
	"testing"

	"github.com/pkg/errors"
)

func half(n int) int { return n / 2 }

func TestHalf(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(string(rune('a'+n)), func(t *testing.T) {
			if half(n)*2 != n {
				t.Errorf("half of %d: %v", n, errors.New("@octocat <b>"))
			}
		})
	}
}

func TestLater(t *testing.T) { t.Skip("later") }
"""
PANICS = """package store

import "testing"

func TestA(t *testing.T) {}
func TestPanics(t *testing.T) {
	var m map[string]int
	m["a"] = 1
}
func TestZ(t *testing.T) {}
"""


@pytest.fixture(scope="session")
def module() -> dict[str, str | Path]:
    """The module's files, its dependency fetched as setup would."""
    needs("go")
    script = (
        "mkdir m && cd m && printf 'module m\\n\\ngo 1.21\\n' > go.mod && "
        f"go mod edit -require={REQUIRES.replace(' ', '@')} && go mod download all && "
        "chmod -R u+w ../modules"
    )
    folder = fetched("go", ["bash", "-euc", script], GOMODCACHE="modules")
    return {
        "go.mod": f"{MODULE}\nrequire {REQUIRES}\n",
        "go.sum": (folder / "m" / "go.sum").read_text(),
        f"{CACHES}/go-mod": folder / "modules",
    }


def built_before(site: VerifySite) -> VerifySite:
    """Go's build cache, kept between test runs; the tests still run each time."""
    return with_cache(site, "go-build", "GOCACHE")


@pytest.mark.slow
async def test_a_module_with_every_outcome(
    project: MakeProject, module: dict[str, str | Path]
) -> None:
    files: dict[str, str | Path] = {
        **module,
        "hits_test.go": TESTS,
        "store/store_test.go": PANICS,
        "broken/broken_test.go": 'package broken\n\nimport "testing"\n\n'
        "func TestB(t *testing.T) { undefined() }\n",
        "exits/exits_test.go": 'package exits\n\nimport (\n\t"os"\n\t"testing"\n)\n\n'
        "func TestMain(m *testing.M) { os.Exit(3) }\n",
        "plain/plain.go": "package plain\n",
    }
    site = built_before(project(files))
    assert found(site) == (Go(),)
    result = await run(site)
    name = "example.com/hits"
    assert outcomes(result) == {
        f"{name} TestHalf": "failed",
        f"{name} TestHalf/c": "passed",
        f"{name} TestHalf/d": "failed",
        f"{name} TestLater": "skipped",
        f"{name}/store TestA": "passed",
        f"{name}/store TestPanics": "failed",
        f"{name}/broken": "error",
        f"{name}/exits": "error",
    }, result.output_tail
    by_id = {test.id: test for test in result.tests}
    said = {
        key.removeprefix(name).strip(): (test.file, test.line, test.message)
        for key, test in by_id.items()
        if test.outcome.bad
    }
    assert said["TestHalf/d"] == ("hits_test.go", 15, "half of 3: @octocat <b>")
    file, line, message = said["/store TestPanics"]
    assert (file, line) == ("store/store_test.go", 8)
    assert message.startswith("panic: assignment to entry in nil map")
    assert said["/broken"] == (
        "broken/broken_test.go",
        5,
        "it does not build: undefined: undefined",
    )
    assert said["/exits"][2] == "exit status 3"
    assert (result.exit_code, result.ran, result.complete) == (1, True, False)
    assert "half of 3" in result.output_tail


@pytest.mark.slow
async def test_what_fails_by_chance_is_asked_for_alone(
    project: MakeProject, module: dict[str, str | Path]
) -> None:
    counting = (
        'package hits\n\nimport (\n\t"os"\n\t"testing"\n)\n\n'
        "func TestChance(t *testing.T) {\n"
        '\tif _, err := os.Stat("seen"); err != nil {\n'
        '\t\tos.WriteFile("seen", nil, 0o644)\n\t\tt.Fatal("first")\n\t}\n}\n\n'
        "func TestBroken(t *testing.T) {}\n\n"
        "func TestOther(t *testing.T) {\n"
        '\tf, _ := os.OpenFile("runs", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)\n'
        '\tf.WriteString("x")\n}\n'
    )
    before = project({"go.mod": MODULE, "a_test.go": counting, "seen": ""})
    broken = counting.replace(
        "TestBroken(t *testing.T) {}", "TestBroken(t *testing.T) { t.Fail() }"
    )
    after = project({"go.mod": MODULE, "a_test.go": broken})
    base = await verify(built_before(before), [Go()], SHA)
    site = built_before(after)
    now = await rerun(site, [Go()], base, await verify(site, [Go()], SHA))
    verdict = compare(base, now)
    assert [change.id for change in verdict.flaky] == ["example.com/hits TestChance"]
    assert [change.id for change in verdict.new_failures] == ["example.com/hits TestBroken"]
    # Whole, alone, and whole again since one of them passed alone: never what was not asked for.
    assert (after.spec.workspace / "runs").read_text() == "xx"


async def test_a_line_of_the_policy_is_run_as_given(
    project: MakeProject, module: dict[str, str | Path]
) -> None:
    site = built_before(
        project({"go.mod": MODULE, "store/store_test.go": PANICS, "other_test.go": "nonsense"})
    )
    line = "go test -vet=off -run=TestA ./store"
    assert found(site, line) == (Go(line=line),)
    result = await run(site, line)
    assert outcomes(result) == {"example.com/hits/store TestA": "passed"}
    assert (result.command, result.complete) == (line, True)


@pytest.mark.parametrize(
    "line", ["go test ./... && make", "go test -run X ./...", "go test > log", "go vet ./..."]
)
def test_other_lines_are_commands(project: MakeProject, line: str) -> None:
    assert label(found(project({}), line)[0]) == "command"


async def test_modules_in_folders_and_a_vendored_dependency(
    project: MakeProject, module: dict[str, str | Path], tmp_path: Path
) -> None:
    here = tmp_path / "vendored"
    here.mkdir()
    for name in ("go.mod", "go.sum"):
        (here / name).write_text(str(module[name]))
    (here / "hits_test.go").write_text(TESTS)
    fetched_modules = Path(str(module[f"{CACHES}/go-mod"]))
    package = fetched_modules / "github.com" / "pkg" / "errors@v0.9.1"
    shutil.copytree(package, here / "vendor" / "github.com" / "pkg" / "errors")
    listed = "# github.com/pkg/errors v0.9.1\n## explicit\ngithub.com/pkg/errors\n"
    (here / "vendor" / "modules.txt").write_text(listed)
    site = built_before(
        project({"api": here, "tool/go.mod": "module example.com/tool\n", "tool/a.go": "package a"})
    )
    assert [label(each) for each in found(site)] == ["go:api"]
    result = await run(site)
    assert (result.verifier, result.problem) == ("go:api", None)
    failing = next(test for test in result.tests if test.id.endswith("TestHalf/d"))
    assert (failing.file, failing.line) == ("api/hits_test.go", 15)


async def test_a_missing_dependency_is_reported_at_once(
    project: MakeProject, module: dict[str, str | Path]
) -> None:
    files = {"go.mod": module["go.mod"], "go.sum": module["go.sum"], "hits_test.go": TESTS}
    result = await run(built_before(project(files)))
    assert result.seconds < 30
    assert not result.ran
    assert not result.complete
    assert "GOPROXY=off" in result.output_tail + "".join(test.details for test in result.tests)


@pytest.mark.slow
async def test_tests_that_print_or_run_without_end(
    project: MakeProject, module: dict[str, str | Path]
) -> None:
    loud = (
        'package hits\n\nimport (\n\t"fmt"\n\t"testing"\n)\n\n'
        'func TestLoud(t *testing.T) {\n\tfor {\n\t\tfmt.Println("aaaaaaaaaaaaaa")\n\t}\n}\n'
    )
    site = project({"go.mod": MODULE, "a_test.go": loud}, limits=ResourceLimits(seconds=6))
    result = await run(built_before(site))
    assert not result.complete
    assert "time limit" in (result.problem or "")
    assert len(result.output_tail) < 20_000
    assert compare(Results(commit=SHA), Results(commit=SHA, verifiers=(result,))).conclusion == (
        "failure"
    )


def parsed(printed: bytes, code: int = 0) -> VerifierResult:
    return Go().parse(Completed(code, b"", 0, False, None, 1.0), {STDOUT: printed})


EVENT = b'{"Action":"%s","Package":"p","Test":"%s"}\n'


@pytest.mark.parametrize(
    ("printed", "code", "problem"),
    [
        (b"", 1, "code 1, but no test fails"),
        (b"\xff\xfe not\n{\n[1]\nnull\n" + b"[" * 100_000, 1, "no test fails"),
        (EVENT % (b"fail", b"T"), 0, "code 0, but 1 of its tests fail"),
        (EVENT % (b"pass", b"T") + b"x" * (64 << 20), 0, "more than 64 MiB"),
        (b"", 127, "`go` is not installed on this worker"),
        (b"", 137, "signal 9"),
    ],
)
def test_output_that_is_no_report_is_rejected(printed: bytes, code: int, problem: str) -> None:
    result = parsed(printed, code)
    assert problem in (result.problem or "")
    assert not result.complete


def test_a_run_that_stops_in_the_middle_says_which_test_it_was() -> None:
    result = parsed(EVENT % (b"pass", b"A") + EVENT % (b"run", b"B") + b'{"Action":"ou', 1)
    assert outcomes(result) == {"p A": "passed", "p B": "error"}
    assert not result.complete


def test_a_package_that_old_go_cannot_build_is_no_package_without_tests() -> None:
    """Before Go 1.24 that is a line of plain text among the events."""
    for why in ("build", "setup"):
        result = parsed(EVENT % (b"fail", b"T") + b"FAIL\tp/q [%s failed]\n" % why.encode(), 1)
        assert outcomes(result) == {"p T": "failed", "p/q": "error"}
        assert not result.complete
        same = Results(commit=SHA, verifiers=(result,))
        assert compare(same, same).conclusion == "failure"


@pytest.mark.parametrize("half", [b"\\ud800", b"\xed\xa0\x80"])
def test_half_a_character_is_no_event(half: bytes) -> None:
    said = b'{"Action":"output","Package":"p","Test":"A","Output":"%s"}\n' % half
    result = parsed(said + EVENT % (b"fail", b"A"), 1)
    assert outcomes(result) == {"p A": "failed"}


def test_nothing_to_run_is_reported() -> None:
    result = parsed(b'{"Action":"skip","Package":"p"}\n')
    assert (result.ran, result.nothing_to_run, result.problem) == (False, True, None)


@pytest.mark.slow
def test_names_of_any_kind_and_very_many_of_them() -> None:
    names = b"".join(EVENT % (b"pass", b"T/@octocat_<b>_%d" % n) for n in range(200_010))
    result = parsed(names + EVENT % (b"fail", b"T/last"), 1)
    assert len(result.tests) == 200_000
    assert result.tests_dropped == 11
    assert any(test.outcome is TestOutcome.FAILED for test in result.tests)
