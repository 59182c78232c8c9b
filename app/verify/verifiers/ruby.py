"""The test runners of Ruby. What Honk adds (`app/verify/reporters/ruby`) writes a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from app.domain.file_tree import FileTree, folders_with, outermost, unlocated
from app.domain.verdict import Kind, TestResult, VerifierResult, all_skipped, executed
from app.sandbox.spec import Completed
from app.verify.junit import read_named
from app.verify.results import ended_early, result_of
from app.verify.verifier import TestCommand, VerifierContext, files_below

REPORT = "report.xml"
BROKEN = "broken"
NOT_INSTALLED = "not-installed"
MARKERS = ("Gemfile", "Rakefile", ".rspec")
MAX_FILES_READ = 200
MAX_TEST_BYTES = 200_000

# $1 report folder, $2 folder of the reporters, then the command. `bundle check` needs no network.
_SCRIPT = """
export HONK_REPORT=$1 RUBYLIB=$2${RUBYLIB:+:$RUBYLIB}; shift 2
command -v ruby >/dev/null || { echo "There is no Ruby here." >&2; exit 127; }
if [ -e Gemfile ]; then
  if bundle check --dry-run >/dev/null 2>&1; then
    set -- bundle exec "$@"
  else
    : > "$HONK_REPORT/not-installed"
  fi
fi
exec "$@"
"""
# The files are loaded in one process, as the usual Rake task does.
_MINITEST = (
    'require "minitest/autorun"; '
    'Dir["test/**/{*_test,test_*}.rb"].sort.each { |file| require File.expand_path(file) }'
)


@dataclass(frozen=True)
class _RubyTests:
    folder: str = ""
    line: str = ""
    name: ClassVar[str]
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Self]:
        """The repository itself and each outermost Ruby project with such tests."""
        folders = outermost(folder for folder in folders_with(tree, *MARKERS) if folder)
        for folder in ("", *folders):
            if cls._has_tests(tree, f"{folder}/" if folder else ""):
                yield cls(folder=folder)

    @classmethod
    def _has_tests(cls, tree: FileTree, below: str) -> bool:
        raise NotImplementedError

    def _argv(self, context: VerifierContext) -> Sequence[str]:
        raise NotImplementedError

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        reporters = f"{context.tools}/reporters/ruby"
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", context.report, reporters, *self._argv(context)),
            environment={"CI": "true", "NO_COLOR": "1"},
            reports=(REPORT, BROKEN, NOT_INSTALLED),
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        report, unreadable = read_named(reports.get(REPORT), self.folder)
        note = "the gems of the Gemfile are not installed, so the system's own were used"
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": report.tests,
                "tests_dropped": report.dropped,
                "ran": executed(report.tests),
                "complete": BROKEN not in reports,
                "note": note if NOT_INSTALLED in reports else None,
            }
        )
        return self._judged(result, completed.how_it_ended, unreadable, BROKEN in reports)

    def _judged(
        self, result: VerifierResult, broken: str | None, unreadable: str | None, outside: bool
    ) -> VerifierResult:
        """Combine exit code and report; if they disagree, the worse one wins."""
        code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
        ended = f"{self.line} ended with exit code {code}"
        if broken is not None:
            return ended_early(result, broken)
        if code == 127:
            problem = f"Ruby or {self.name} is not installed on this worker"
            return ended_early(result, problem)
        if unreadable is not None:
            return ended_early(result, f"{ended} and {unreadable}")
        if outside:
            problem = f"{ended}: an error occurred outside of the tests"
            return ended_early(result, problem, could_not_run=True)
        if code == 0 and bad:
            return ended_early(result, f"{ended}, but {bad} of its tests fail")
        if code != 0 and not bad:
            return ended_early(result, f"{ended}, but no test fails")
        if not result.tests:
            problem = f"{self.name} found no tests"
            return result.model_copy(update={"problem": problem, "nothing_to_run": True})
        return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


@dataclass(frozen=True)
class RSpec(_RubyTests):
    """RSpec: https://rspec.info"""

    line: str = "rspec"
    name: ClassVar[str] = "rspec"

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Spec files of its own folder."""
        return files_below(files, self.folder, "_spec.rb")

    @classmethod
    def _has_tests(cls, tree: FileTree, below: str) -> bool:
        return any(True for _ in tree.names(f"{below}spec/*_spec.rb"))

    def _argv(self, context: VerifierContext) -> Sequence[str]:
        # `--no-fail-fast`: a project's own `--fail-fast` would hide the tests behind a failure.
        return (
            *("rspec", "--no-fail-fast", "--no-color", "--require", "honk_rspec"),
            *("--format", "progress", "--format", "HonkRSpec", "--out", "/dev/null"),
            *(unlocated(path, self.folder) for path in context.files),
        )


@dataclass(frozen=True)
class Minitest(_RubyTests):
    """Minitest: https://docs.seattlerb.org/minitest"""

    line: str = "minitest"
    name: ClassVar[str] = "minitest"

    @classmethod
    def _has_tests(cls, tree: FileTree, below: str) -> bool:
        files = [
            path
            for path in tree.names(f"{below}test/*.rb")
            if path.endswith("_test.rb") or path.rpartition("/")[2].startswith("test_")
        ]
        texts = (tree.read_text(path, MAX_TEST_BYTES) or "" for path in files[:MAX_FILES_READ])
        return any("minitest" in text.lower() or "ActiveSupport" in text for text in texts)

    def _argv(self, context: VerifierContext) -> Sequence[str]:
        return ("ruby", "-Ilib", "-Itest", "-e", _MINITEST)
