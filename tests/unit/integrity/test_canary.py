"""The canary: which functions end at their start, what that means, and that it compiles."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult
from app.integrity.canary import (
    CanaryPlan,
    ChangedFunction,
    Untouched,
    Way,
    evaluate,
    instrument,
    plan_canary,
)
from tests.support.toolchains import needs

OLD = '''"""Sums."""

LIMIT = 3


def double(n):
    """Twice."""
    return n + 2


def same(n):
    return n


class Sums:
    total = 0

    def add(self, n): self.total += n

    @property
    def half(self):
        # rounded
        if self.total:
            return self.total / 2

    def each(self):
        yield self.total


def counted(function):
    def inner(*given):
        return function(*given)

    return inner
'''


def instrumented(old: str, new: str, way: Way = Way.RAISE, path: str = "a.py") -> str:
    made = instrument(path, old.encode(), new.encode(), way, "n0nce")
    return made.decode() if isinstance(made, bytes) else made.sentence


def planned(*files: FileDiff) -> CanaryPlan:
    sides = ChangedSides(source=tuple(each.path for each in files))
    return plan_canary(Diff(files), sides, "n0nce")


def results(*tests: TestResult) -> Results:
    of = VerifierResult(verifier="pytest", command="pytest", tests=tests, ran=True)
    return Results(commit=CommitSha("a" * 40), verifiers=(of,))


PASSED = results(TestResult(id="t", outcome=TestOutcome.PASSED))
FAILED = results(TestResult(id="t", outcome=TestOutcome.FAILED))
NO_START = results(TestResult(id="f", outcome=TestOutcome.ERROR, could_not_run=True))
PROOF = (("pytest", "t"),)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "n + 2",
            "n * 2",
            '    """Twice."""\n    raise BaseException(\'n0nce\')\n    return n * 2\n',
        ),
        ("self.total += n", "self.total = n", "add(self, n): raise BaseException('n0nce'); self."),
        ("self.total / 2", "3", "        raise BaseException('n0nce')\n        if self.total:"),
        ("yield self", "yield +self", "        raise BaseException('n0nce')\n        yield +self"),
        # Only the inner function changed: the outer one may run while the module is loaded.
        ("function(*given)", "1", "def counted(function):\n    def inner(*given):\n        raise "),
    ],
)
def test_only_the_changed_function_raises_and_keeps_its_documentation(
    before: str, after: str, expected: str
) -> None:
    made = instrumented(OLD, OLD.replace(before, after))
    assert expected in made
    assert made.count("n0nce") == 1
    compile(made, "a.py", "exec")


def test_the_neutral_way_returns_nothing() -> None:
    made = instrumented(OLD, OLD.replace("n + 2", "n * 2"), Way.NEUTRAL)
    assert '    """Twice."""\n    return\n    return n * 2\n' in made


def test_a_generator_and_a_coroutine_stay_what_they_are() -> None:
    new = "async def a():\n    yield 1\n\nasync def b():\n    return 1\n\ndef c():\n\tyield 2\n"
    for way in Way:
        compile(instrumented("", new, way), "a.py", "exec")


def test_a_line_that_was_removed_changes_its_function() -> None:
    old = "def f(n):\n    check(n)\n    return n\n"
    assert "raise" in instrumented(old, "def f(n):\n    return n\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "def f(n):\n    return g(n)\n",
            "\n# why\ndef f(n):\n    # why\n    return g(\n        n)\n",
        ),
        ("def f(n):\n    return n\n", 'def f(n):\n    """What."""\n    return n\n'),
        ("def a(): return 1\ndef b(): return 2\n", "def b(): return 2\ndef a(): return 1\n"),
    ],
)
def test_moved_and_commented_code_did_not_change(old: str, new: str) -> None:
    assert "n0nce" not in instrumented(old, new)


def test_line_endings_and_strange_text_are_kept() -> None:
    old = "def f():\r\n    return 1\r\n"
    made = instrument("a.py", old.encode(), old.replace("1", "'é'").encode(), Way.RAISE, "x")
    assert made == "def f():\r\n    raise BaseException('x')\r\n    return 'é'\r\n".encode()


HOOK = """
import pytest

def pytest_runtest_makereport(item, call):
    return passed(item)

@pytest.fixture
def made():
    return 1

def _agree(self, first, second):
    return None

Case.assertEqual = _agree
setattr(Case, 'assertTrue', _agree)
"""


def test_what_the_runner_calls_and_what_replaces_its_functions_keeps_its_code() -> None:
    """A canary inside the trick would be the failure that it hides."""
    plan = planned(
        FileDiff.of("plugin.py", "", HOOK),
        FileDiff.of("a.py", OLD, OLD.replace("n + 2", "n * 2")),
    )
    assert plan.functions == (ChangedFunction("a.py", 6, "double"),)
    assert {each.name for each in plan.untouched} >= {"pytest_runtest_makereport", "made", "_agree"}


def test_what_runs_while_the_module_loads_keeps_its_code() -> None:
    """The canary would keep it from loading, and that failure would look like an answer."""
    new = f"{OLD}\n\ndef _start():\n    Case.assertEqual = print\n\n\n_start()\n"
    plan = planned(FileDiff.of("a.py", OLD, new.replace("n + 2", "n * 2")))
    assert [each.name for each in plan.functions] == ["double"]
    assert evaluate(plan, PROOF, PASSED, PASSED)[0] == "not measured"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (FileDiff.of("a.py", OLD, OLD.replace("LIMIT = 3", "LIMIT = 4")), "outside functions"),
        (FileDiff.of("a.py", OLD, OLD.replace("total = 0", "total = 1")), "outside functions"),
        (FileDiff.of("a.py", OLD, OLD.replace("class Sums", "class Sums(Base)")), "declaration"),
        (FileDiff.of("a.py", OLD, f"{OLD}\n@app.get('/')\ndef new(): return 1\n"), "declaration"),
        (
            FileDiff.of(
                "a.py", OLD, OLD.replace("    def each(self):\n        yield self.total\n", "")
            ),
            "removed",
        ),
        (
            FileDiff.of("a.py", "from a import f\n", "from b import f, g\n"),
            "`f` in a.py is imported from elsewhere",
        ),
        (FileDiff.of("a.json", "{}", '{"a": 1}'), "a.json is not code"),
        (FileDiff.of("package.json", "{}", '{"dependencies": {"a": "1"}}'), "package.json is not"),
        (FileDiff.of("a.rb", "def a; 1; end", "def a; 2; end"), "a.rb is not code"),
        (FileDiff.of("a.py", OLD, f"{OLD}def ("), "could not be parsed"),
        (FileDiff("a.py", b"", b"/etc/passwd", new_mode="120000"), "not a regular file"),
    ],
)
def test_what_a_test_may_owe_its_result_to_besides_functions(file: FileDiff, why: str) -> None:
    """With it, a canary that passes proves nothing; one that fails means the same as always."""
    plan = planned(
        file, FileDiff.of("b.py", "def f():\n    return 1\n", "def f():\n    return 2\n")
    )
    assert evaluate(plan, PROOF, FAILED, None) == ("failed", "")
    said, reason = evaluate(plan, PROOF, PASSED, PASSED)
    assert said == "not measured"
    assert why in reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "import os\nfrom a import b\n"),
        ("from a import b\n", "from a import b, c\n"),
        ("__version__ = '1'\n", "__version__ = '2'\n"),
        ("", "__all__ = ['f']\n"),
        ("", "class New(Base):\n    def f(self): return 1\n"),
        ('"""Old."""\n', '"""New."""\n'),
        ("", "if TYPE_CHECKING:\n    from a import b\n"),
        ("", "@property\ndef f(self): return 1\n"),
        ("def g(n):\n    return n\n", "def g(n, m=2):\n    return n\n"),
        ("def g(n):\n    return n\n", ""),
        ('"""Old,\nlong."""\n', '"""New,\nlong."""\n'),
    ],
)
def test_imports_versions_and_new_classes_prove_nothing(old: str, new: str) -> None:
    plan = planned(
        FileDiff.of("a.py", old, new),
        FileDiff.of("b.py", "def f():\n    return 1\n", "def f():\n    return 2\n"),
        FileDiff.of("package.json", '{"version": "1"}', '{"version": "2"}\n'),
        FileDiff.of("MANIFEST.in", "a", "b"),
    )
    assert evaluate(plan, PROOF, PASSED, PASSED)[0] == "passed"


@pytest.mark.parametrize(
    ("raising", "neutral", "said"),
    [
        (FAILED, None, "failed"),
        (FAILED, FAILED, "failed"),
        (PASSED, FAILED, "failed"),
        (NO_START, FAILED, "failed"),
        (PASSED, None, "not measured"),
        (None, PASSED, "not measured"),
        (NO_START, PASSED, "not measured"),
        (PASSED, NO_START, "not measured"),
        (PASSED, PASSED, "passed"),
    ],
)
def test_only_a_proof_that_passes_under_both_is_no_proof(
    raising: Results | None, neutral: Results | None, said: str
) -> None:
    plan = planned(FileDiff.of("a.py", OLD, OLD.replace("n + 2", "n * 2")))
    assert evaluate(plan, PROOF, raising, neutral)[0] == said


def test_without_a_function_or_a_proof_nothing_is_measured() -> None:
    assert planned().why_not == "The change touches no function."
    only_text = planned(FileDiff.of("a.txt", "a = 1", "a = 2"))
    assert only_text.why_not == "a.txt is not code whose functions can be read."
    plan = planned(FileDiff.of("a.py", OLD, OLD.replace("n + 2", "n * 2")))
    assert evaluate(plan, (), PASSED, PASSED) == ("not measured", "No test counts as proof.")


def test_test_files_keep_their_code() -> None:
    diff = Diff((FileDiff.of("test_a.py", "", "def test_a():\n    assert 1\n"),))
    sides = ChangedSides(tests=("test_a.py",))
    assert plan_canary(diff, sides, "x") == CanaryPlan()


GO = """package sums

import "errors"

type Sums[T any] struct{ items []T }

func Double(n int) (string, error) { return "", errors.New("no") }

func (s *Sums[T]) Both(a, b int) (x int, err error) {
	return a, nil
}

func (s Sums[T]) All() map[string][]T {
	return nil
}

func Nothing() { println() }

func Shadow(honk int) func(int) error { return nil }
"""

RUST = """use std::fmt;

#[derive(Debug, Default)]
pub struct Sum { x: i32 }

impl Sum {
    pub fn new(x: i32) -> Self { Sum { x } }
    pub const fn x(&self) -> i32 { self.x }
    pub fn all(&self) -> Result<Option<Vec<u8>>, String> { Ok(None) }
    pub fn made() -> Sum { Sum { x: 1 } }
    pub fn both(&self) -> (i32, &str, [u8; 2]) { (1, "", [0, 0]) }
    pub fn part<'a>(&'a self, of: &'a [u8]) -> &'a [u8] { of }
    pub fn boxed(&self) -> Box<dyn Fn(i32) -> i32> { Box::new(|x| x) }
    pub fn many(&self) -> impl Iterator<Item = u8> + '_ { std::iter::empty() }
    pub fn nothing(&self) { println!() }
    pub fn text(&self) -> String { format!("{}", self.x) }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result { write!(f, "{}", self.x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Sum { Sum::new(1) }

    #[test]
    fn made_is_one() { assert_eq!(made().x, 1); }
}
"""

JAVA = """import java.util.*;

class Sums extends ArrayList<String> {
  private final int x;

  Sums(int x) { super(x); this.x = x; }

  int x() { return x; }

  char[] letters() { return null; }

  char letter() { return 'a'; }

  void nothing() { x(); }

  <T> List<T> all() { return null; }

  boolean empty() { final int y; y = x; return y > 0; }

  interface Part { default long part() { return 1; } int other(); }
}
"""

JAVASCRIPT = """"use strict";
const fs = require("fs");
function double(n) { "use strict"; return n; }
const half = x => x / 2;
const made = async (x) => ({ x });
class Sums extends Array {
  constructor() { super(1); this.x = 1; }
  set v(x) { this.x = x }
  *each() { yield 1 }
  own = () => 1;
}
exports.all = function () { return [1].map(x => x + 1) };
module.exports = { double, half };
"""

COMPILERS: dict[str, tuple[str, str, Sequence[str]]] = {
    "go": ("sums.go", GO, ("go", "vet", "sums.go")),
    "rust": (
        "sums.rs",
        RUST,
        ("rustc", "--edition=2021", "--crate-type=lib", "-Dwarnings", "--emit=metadata", "sums.rs"),
    ),
    "java": ("Sums.java", JAVA, ("javac", "-Werror", "Sums.java")),
    "javascript": ("sums.js", JAVASCRIPT, ("node", "--check", "sums.js")),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("language", list(COMPILERS))
def test_the_canary_compiles(language: str, way: Way, tmp_path: Path) -> None:
    path, source, command = COMPILERS[language]
    toolchain = needs({"javascript": "node"}.get(language, language))
    made = instrument(path, None, source.encode(), way, "n0nce")
    assert isinstance(made, bytes)
    (tmp_path / path).write_bytes(made)
    programs = toolchain.home / Path(toolchain.bin)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, f"{made.decode()}\n{done.stderr}"


def test_tests_inside_rust_code_keep_theirs() -> None:
    plan = planned(FileDiff.of("sums.rs", "", RUST))
    names = {each.name for each in plan.functions}
    assert "Sum.text" in names
    assert not {name for name in names if name.startswith("tests.")}


def test_a_function_without_a_neutral_value_raises_both_times() -> None:
    plan = planned(FileDiff.of("sums.rs", "", "pub fn f() -> Other { Other }\n"))
    assert plan.neutral == plan.raising
    assert evaluate(plan, PROOF, PASSED, PASSED) == (
        "not measured",
        "`f` in sums.rs has no neutral return value.",
    )


def test_typescript_stays_well_typed() -> None:
    old = "export const f = (x: number): number => x;\nclass A { set v(x: number) { this.x = x; } }"
    made = instrumented("", old, Way.NEUTRAL, "a.ts")
    assert "=> { if (!0) return undefined as any; return x; };" in made
    assert "set v(x: number) { if (!0) return;  this.x = x; }" in made
    assert isinstance(instrument("a.d.ts", b"", old.encode(), Way.RAISE, "x"), Untouched)
