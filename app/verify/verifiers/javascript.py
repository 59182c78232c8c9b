"""Shared base of the JavaScript test runners.

The package's own test script is called, by whoever wrote its lock file, and the runner at its end
gets a reporter of Honk's besides: `app/verify/reporters`, seen read-only in the sandbox. All of
them write the same report, with a test's names in order and its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from app.domain.file_tree import FileTree, unlocated
from app.domain.verdict import Kind, TestResult, VerifierResult, all_skipped, executed
from app.sandbox.spec import Completed
from app.verify.junit import read_named
from app.verify.results import ended_early, result_of
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers.scripts import last_as_written, test_scripts

REPORT = "report.xml"
BROKEN = "broken"
OTHER_MANAGER = "npm"
ALONE = "alone"
"""This file exists if the script ended before its runner, which was then called by itself."""
MAX_SELECTED = 100
SUFFIXES = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")
SEPARATOR = " > "

# $1 report folder, $2 who calls the script, $3 its name, $4 the last command in it, $5 what runs
# before it, $6 a program for where there is no command; then what is added. npm alone takes a `--`
# before what is for the script.
_SCRIPT = """
export HONK_REPORT=$1; manager=$2 script=$3 last=$4 before=$5 program=$6; shift 6
command -v node >/dev/null || { echo "There is no node here." >&2; exit 127; }
if [ -n "$HONK_NODE_OPTIONS" ]; then
  export NODE_OPTIONS="${NODE_OPTIONS:+$NODE_OPTIONS }$HONK_NODE_OPTIONS"
fi
unset HONK_NODE_OPTIONS
folder=$PWD
while [ "$folder" != / ] && [ -n "$folder" ]; do
  PATH=$PATH:$folder/node_modules/.bin folder=${folder%/*}
done
export PATH
if [ -n "$manager" ] && ! command -v "$manager" >/dev/null; then
  manager=npm; : > "$HONK_REPORT/npm"
fi
if [ -n "$before" ]; then
  sh -c "$before" >&2 || { echo "Exit code $? of: $before" >&2; : > "$HONK_REPORT/alone"; }
fi
if [ -z "$manager" ]; then
  [ -n "$last" ] || exec $program "$@"
  exec sh -c "$last"' "$@"' sh "$@"
fi
dashes=
[ "$manager" != npm ] || dashes=${1+--}
"$manager" run "$script" $dashes "$@"; code=$?
# A linter that fails before the runner hides every test: then the runner is called by itself.
if [ $code = 0 ] || [ -e "$HONK_REPORT/report.xml" ] || [ -z "$last" ]; then exit $code; fi
echo "$manager run $script exited with code $code before any test ran. Running: $last" >&2
: > "$HONK_REPORT/alone"
exec sh -c "$last"' "$@"' sh "$@"
"""
# No colors, nobody at a keyboard, no file written for a snapshot that is not there, nobody asked
# for a newer version, and no message home.
ENVIRONMENT = {
    "CI": "true",
    "NO_COLOR": "1",
    "npm_config_update_notifier": "false",
    "npm_config_fund": "false",
    "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
    "COREPACK_ENABLE_NETWORK": "0",
    "YARN_ENABLE_TELEMETRY": "0",
}


_NOT_FOUND = re.compile(r"^(?:.*: )?([\w.@-]{1,40}): (?:command )?not found$", re.MULTILINE)
"""How `sh`, `bash` and `dash` name a program that they do not find."""


@dataclass(frozen=True)
class ScriptRunner:
    """One package's tests. Without a `manager` the runner itself is called.

    `text` is the script, whose own options decide which are added. `hooks`: other scripts run
    before it. `before`: commands that the package's test script runs before it.
    """

    folder: str = ""
    line: str = ""
    manager: str = ""
    script: str = "test"
    text: str = ""
    hooks: bool = False
    before: str = ""
    name: ClassVar[str]
    program: ClassVar[str]
    kind: ClassVar[Kind] = "tests"
    none_found: ClassVar[re.Pattern[str]]

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Self]:
        """Every package whose test script ends up calling this runner."""
        for found in test_scripts(tree):
            if found.runner == cls.name:
                yield cls(
                    found.folder,
                    found.line,
                    found.manager,
                    found.name,
                    found.text,
                    found.hooks,
                    found.before,
                )

    @property
    def _begins_otherwise(self) -> bool:
        """Whether something runs before the runner that could end the script."""
        return self.hooks or "&&" in self.text

    def added(self, context: VerifierContext) -> Sequence[str]:
        """The words after the runner's own."""
        raise NotImplementedError

    def node_options(self, context: VerifierContext) -> str:
        """What every node of the run is started with."""
        return ""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """By the whole names of tests; those that two files have in common run in both."""
        return 0 < len(tests) <= MAX_SELECTED and all(
            SEPARATOR in test.id and "…" not in test.id for test in tests
        )

    def selection(self, context: VerifierContext) -> str:
        """An expression for whole names, as Jest, Vitest and Mocha join them: with blanks."""
        names = [unlocated(test, self.folder).split(SEPARATOR)[1:] for test in context.only]
        joined = (f"(?: |{SEPARATOR})".join(map(_escaped, words)) for words in names)
        return f"^(?:{'|'.join(dict.fromkeys(joined))})$"

    def chosen(self, context: VerifierContext) -> list[str]:
        """The files to run, relative to the package."""
        return [unlocated(path, self.folder) for path in context.files]

    def command(self, context: VerifierContext) -> TestCommand:
        by_itself = self._begins_otherwise or not self.manager
        last = last_as_written(self.text) if by_itself else ""
        argv = ("bash", "-c", _SCRIPT, "honk", context.report, self.manager, self.script)
        return TestCommand(
            argv=(*argv, last, self.before, self.program, *self.added(context)),
            environment={**ENVIRONMENT, "HONK_NODE_OPTIONS": self.node_options(context)},
            reports=(REPORT, BROKEN, OTHER_MANAGER, ALONE),
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        report, unreadable = read_named(reports.get(REPORT), self.folder)
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": report.tests,
                "tests_dropped": report.dropped,
                "ran": executed(report.tests),
                # A file that could not run says nothing about its tests.
                "complete": BROKEN not in reports
                and not any(test.could_not_run for test in report.tests),
                "note": self._note(reports),
            }
        )
        return self._judged(result, completed.how_it_ended, unreadable)

    def _note(self, reports: Mapping[str, bytes]) -> str | None:
        notes = []
        if OTHER_MANAGER in reports:
            notes.append(
                f"the project's environment has no {self.manager}, so npm called the script"
            )
        if ALONE in reports:
            notes.append(
                f"what comes before {self.name} in the test script failed, "
                f"so {self.name} ran by itself"
            )
        return "; ".join(notes) or None

    def _not_installed(self, output: str) -> str:
        """Which program was not found, as far as the shell said so."""
        found = _NOT_FOUND.findall(output)
        program = found[-1] if found else ""
        if program in (self.manager, "node", "npx"):
            return f"`{program}` is not installed on this worker"
        return f"`{program or self.name}` is not installed: the dependencies are missing"

    def _judged(
        self, result: VerifierResult, broken: str | None, unreadable: str | None
    ) -> VerifierResult:
        """Combine exit code and report; if they disagree, the worse one wins."""
        code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
        if broken is not None:
            return ended_early(result, broken)
        if code == 127:
            return ended_early(result, self._not_installed(result.output_tail))
        if not result.tests and self.none_found.search(result.output_tail):
            problem = f"{self.name} found no tests"
            return result.model_copy(update={"problem": problem, "nothing_to_run": True})
        ended = f"{self.line} exited with code {code}"
        if unreadable is not None:
            return ended_early(result, f"{ended} and {unreadable}")
        if code == 0 and not result.tests:
            return ended_early(result, f"{ended} and ran no tests")
        if code == 0 and bad:
            return ended_early(result, f"{ended}, but {bad} of its tests fail")
        if code != 0 and not bad:
            return ended_early(result, f"{ended}, but no test fails")
        return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


def _escaped(name: str) -> str:
    """For an expression of JavaScript's, whatever its flags."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", name)
