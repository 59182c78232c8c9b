"""Shared base of the JavaScript test runners.

The package's own test script is called, with the package manager of its lock file, and the runner
at its end gets an additional reporter of Honk's (`app/verify/reporters`, read-only in the sandbox).
All reporters write the same format, with a test's names in order and its file.
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

# $1 report folder, $2 the package manager, $3 the script's name, $4 its last command, $5 the
# commands before that, $6 a program to use if there is no command; then the added arguments. Only
# npm needs a `--` before the script's arguments.
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
# No colors, no interaction, no new snapshot files, no update checks, and no telemetry.
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
"""How `sh`, `bash` and `dash` report a missing program."""


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
        """The arguments after the runner's own."""
        raise NotImplementedError

    def node_options(self, context: VerifierContext) -> str:
        """The options of every node process of the run."""
        return ""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Select by the full names of tests; a name that two files share runs in both."""
        return 0 < len(tests) <= MAX_SELECTED and all(
            SEPARATOR in test.id and "…" not in test.id for test in tests
        )

    def selection(self, context: VerifierContext) -> str:
        """An expression for full names, which Jest, Vitest and Mocha join with spaces."""
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
        """The program that was not found, according to the shell."""
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
    """Escape for a JavaScript expression, whatever its flags."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", name)
