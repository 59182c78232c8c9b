"""pytest, in whatever version the project's own environment has, read through its JUnit XML.

If it has no pytest, Honk's own is provided through a read-only mount and PYTHONPATH, and the
result says so.
Options and exit codes: https://docs.pytest.org/en/stable/reference/exit-codes.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, located, outermost, unlocated
from app.domain.sanitize import fit
from app.domain.verdict import Kind, TestResult, VerifierResult, all_skipped, executed
from app.sandbox.spec import Completed
from app.verify.junit import MAX_MESSAGE, BadReportError, JUnitReport, read_junit
from app.verify.results import ended_early, result_of
from app.verify.verifier import TestCommand, VerifierContext, files_below

REPORT = "report.xml"
LENT = "lent"
"""This file exists if the project had no pytest of its own."""

BY_ITSELF = "python -m pytest"
MAX_SELECTED = 100
MAX_FILES_READ = 200
MAX_CONFIG_BYTES = 1_000_000
MAX_TEST_BYTES = 200_000

_CONFIGURATION = (
    ("pytest.toml", r""),
    (".pytest.toml", r""),
    ("pytest.ini", r""),
    (".pytest.ini", r""),
    ("pyproject.toml", r"^\[tool\.pytest(?:\.ini_options)?\]"),
    ("setup.cfg", r"^\[tool:pytest\]"),
    ("tox.ini", r"^\[pytest\]"),
)
_IS_PYTEST = re.compile(r"^\s*(?:import|from) pytest\b|^(?:async )?def test_", re.MULTILINE)
_IS_METHOD = re.compile(r"^\s+(?:async )?def test_", re.MULTILINE)
IS_UNITTEST = re.compile(r"^\s*(?:import|from) +unittest\b|\bTestCase\)", re.MULTILINE)
_DECLARING = ("pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "noxfile.py", "Pipfile")
_TEST_FILES = ("*test_*.py", "*_test.py", "*tests/*.py")

# `cache_dir` and not `-p no:cacheprovider`, with which a project's own `--ff` would be an error.
# `--maxfail=0` so that a project's own `-x` does not hide the tests behind a failure.
_OPTIONS = (
    "-o junit_family=xunit1 -o junit_logging=no -o cache_dir=/tmp/honk-pytest-cache "
    "--color=no --tb=short --maxfail=0"
)

FIND_PYTHON = """
root=${PWD%"${HONK_FOLDER:+/$HONK_FOLDER}"}
for name in {"$PWD","$root"}/{.venv,venv}/bin/python python3 python; do
  python=$(command -v "$name") && break
done
[ -n "$python" ] || { echo "There is no Python here." >&2; exit 127; }
PATH=$PWD/.venv/bin:$PWD/venv/bin:$root/.venv/bin:$root/venv/bin:$PATH
"""
"""Shell that finds the project's own Python: its folder's environment before the repository's."""

# $1 report folder, $2 folder of the lent pytest, then `run` and ids, or `line` and a shell line.
# `grep -axv .` finds names that are not UTF-8: with them pytest needs a plugin to write its report.
# A line that sets PYTHONPATH itself would not find it.
_SCRIPT = (
    f"""
report=$1 lent=$2 mode=$3; shift 3
{FIND_PYTHON}"""
    + """
found=$("$python" -c "$HONK_PROBE") || { echo "$python does not start." >&2; exit 127; }
case $found in *source*) PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH} ;; esac
case $found in *missing*)
  PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$lent/lib PATH=$PATH:$lent/bin
  : > "$report/lent" ;;
esac
export PATH PYTHONPATH
unset HONK_PROBE HONK_FOLDER
options="--junitxml=$(printf %q "$report")/report.xml --rootdir=$(printf %q "$PWD") $HONK_OPTIONS"
unset HONK_OPTIONS
case "$mode $1" in "line "*PYTHONPATH=*) ;; *)
  if git ls-files -z 2>/dev/null | LC_ALL=C.UTF-8 grep -qaxzv '.*'; then
    PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$lent/reporters/python
    options="$options -p honk_file_names"
  fi ;;
esac
if [ "$mode" = line ]; then
  export PYTEST_ADDOPTS=$options
  eval "$1"
else
  eval "options=($options)"
  exec "$python" -m pytest "${options[@]}" "$@"
fi
"""
)

# `source`: packages are in src/ and not installed. `missing`: there is no pytest.
PROBE = """
import importlib.util, os, sys
sys.path[:1] = []
def lacks(name):
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True
names = [name[:-3] if name.endswith(".py") else name for name in
         (os.listdir("src") if os.path.isdir("src") else ())]
if any(name.isidentifier() and not name.startswith("__") and lacks(name) for name in names):
    print("source")
if lacks("pytest"):
    print("missing")
"""

_CALL = re.compile(
    r"(?:\w+=\S* )*"
    r"(?:(?:uv|poetry|pipenv|pdm|hatch|rye) run (?:--\S+ )*)?"
    r"(?:coverage run (?:--\S+ )*-m |(?:\S*/)?python[0-9.]* -m )?"
    r"(?:\S*/)?(?:pytest|py\.test)(?: |$)"
)

_EXITS = {
    2: "pytest was interrupted",
    3: "pytest had an internal error",
    4: "pytest could not be called like this",
    127: "Python is not installed on this worker",
}


@dataclass(frozen=True)
class Pytest:
    """pytest by itself, or a line of the policy that is a plain call of pytest.

    `apart`: folders that have their own run.
    """

    line: str = BY_ITSELF
    folder: str = ""
    apart: tuple[str, ...] = ()
    name: ClassVar[str] = "pytest"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Pytest]:
        """Detects its configuration, or files that are named and written like its tests.

        If the repository's root is configured, one run covers everything. Otherwise each configured
        folder has its own run, and tests outside all of them run from the root.
        """
        folders = ("",) if is_configured(tree, "") else tuple(_configured(tree))
        if "" in folders or _has_tests(tree, folders):
            yield cls(apart=tuple(folder for folder in folders if folder))
        yield from (cls(folder=folder) for folder in folders if folder)

    @classmethod
    def of_line(cls, line: str) -> Pytest | None:
        """A line that is nothing but a call of pytest."""
        return cls(line=line) if is_plain(line) else None

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """A line of the policy names its tests itself; otherwise every id must be pytest's own."""
        return (
            self.line == BY_ITSELF
            and 0 < len(tests) <= MAX_SELECTED
            and all(_is_node_id(test.id) for test in tests)
        )

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Python files of its own folder. None for a line: an option in it could take them as its
        value.
        """
        if self.line != BY_ITSELF:
            return ()
        return tuple(
            path
            for path in files_below(files, self.folder, ".py")
            if not any(path.startswith(f"{folder}/") for folder in self.apart)
        )

    def command(self, context: VerifierContext) -> TestCommand:
        what = ["line", self._own_report()]
        if self.line == BY_ITSELF:
            chosen = (*context.only, *context.files)
            only = [unlocated(test_id, self.folder) for test_id in chosen]
            options = [f"--ignore={folder}" for folder in self.apart]
            if context.first_failure:
                options.append("--maxfail=1")
            what = ["run", *options, *only]
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", context.report, context.tools, *what),
            environment={
                "HONK_PROBE": PROBE,
                "HONK_FOLDER": self.folder,
                "HONK_OPTIONS": _OPTIONS,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            reports=(REPORT, LENT),
        )

    def _own_report(self) -> str:
        """The line; if it names its own report, Honk's is appended and takes precedence."""
        if "--junitxml" in self.line or "--junit-xml" in self.line:
            return f'{self.line} --junitxml="$report/{REPORT}"'
        return self.line

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        broken = completed.how_it_ended
        report, unreadable = read_report(reports.get(REPORT), self.folder)
        result = _with(
            result_of(self.name, self.line, completed),
            tests=report.tests,
            ran=executed(report.tests),
            note=_LENT_NOTE if LENT in reports else None,
            tests_dropped=report.dropped,
        )
        return _judged(result, broken, unreadable)


_LENT_NOTE = "the project's environment has no pytest, so Honk's own was used"


def is_configured(tree: FileTree, folder: str) -> bool:
    """Whether the folder configures pytest."""
    for name, pattern in _CONFIGURATION:
        text = tree.read_text(located(name, folder), MAX_CONFIG_BYTES)
        if text is not None and re.search(pattern, text, re.MULTILINE):
            return True
    return False


def _configured(tree: FileTree) -> Iterator[str]:
    names = [name for name, _ in _CONFIGURATION]
    yield from outermost(
        folder for folder in folders_with(tree, *names) if folder and is_configured(tree, folder)
    )


def _has_tests(tree: FileTree, apart: Sequence[str]) -> bool:
    """Whether files outside these folders are written like its tests.

    If the project mentions pytest, tests written for unittest are its tests, too.
    """
    files = dict.fromkeys(path for pattern in _TEST_FILES for path in tree.names(pattern))
    outside = [path for path in files if not any(path.startswith(f"{folder}/") for folder in apart)]
    speaks_of_it = _speaks_of_it(tree)
    texts = (tree.read_text(path, MAX_TEST_BYTES) or "" for path in outside[:MAX_FILES_READ])
    return any(_is_test(text, with_unittest=speaks_of_it) for text in texts)


def _is_test(text: str, *, with_unittest: bool) -> bool:
    if _IS_PYTEST.search(text):
        return True
    if IS_UNITTEST.search(text):
        return with_unittest
    return _IS_METHOD.search(text) is not None


def _speaks_of_it(tree: FileTree) -> bool:
    lists = (*tree.names("requirements*.txt"), *tree.names("*/requirements*.txt"))
    return any(
        re.search(r"\bpytest\b", tree.read_text(path, MAX_CONFIG_BYTES) or "")
        for path in (*_DECLARING, *list(lists)[:MAX_FILES_READ])
    )


def read_report(report: bytes | None, folder: str) -> tuple[JUnitReport, str | None]:
    """The tests of a pytest report, and a message if it is unusable."""
    if report is None:
        return JUnitReport(()), "it wrote no report"
    try:
        read = read_junit(report, node_prefix, folder)
    except BadReportError as error:
        return JUnitReport(()), str(error)
    return replace(read, tests=tuple(map(_with_reason, read.tests))), None


_REASON = re.compile(r"^E[ \t]+(\S.*)$", re.MULTILINE)


def _with_reason(test: TestResult) -> TestResult:
    """A file that could not be collected, with the error itself: pytest says `collection failure`.

    Of another error in the same file the change is the cause, so the two must not look alike.
    """
    found = _REASON.findall(test.details) if test.could_not_run else []
    return _changed(test, message=fit(found[-1], MAX_MESSAGE)) if found else test


def _changed(test: TestResult, **changes: object) -> TestResult:
    return test.model_copy(update=changes)


def _judged(result: VerifierResult, broken: str | None, unreadable: str | None) -> VerifierResult:
    """Combine exit code and report; if they disagree, the worse one wins."""
    code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
    if broken is not None:
        return ended_early(result, broken)
    if code == 5 and all_skipped(result.tests):
        return _with(result, problem="pytest collected nothing", nothing_to_run=True)
    if code == 2 and bad and unreadable is None:
        note = result.note if result.ran else _joined_notes(result.note, _COLLECTING)
        return _with(result, note=note, complete=False)
    if code in _EXITS:
        return ended_early(result, f"{_EXITS[code]} (exit code {code})")
    if unreadable is not None:
        return ended_early(result, f"pytest exited with code {code} and {unreadable}")
    if code == 0 and not result.tests:
        return ended_early(result, "pytest exited with code 0 and ran no tests")
    if code == 0 and bad:
        return ended_early(result, f"pytest exited with code 0, but {bad} of its tests fail")
    if code != 0 and not bad:
        return ended_early(result, f"pytest exited with code {code}, but no test fails")
    # With `--continue-on-collection-errors`, an unreadable file does not stop the others.
    unread = any(test.could_not_run for test in result.tests)
    complete = not unread and not (code == 1 and _STOPPED_EARLY in result.output_tail)
    return _with(result, nothing_to_run=all_skipped(result.tests), complete=complete)


_COLLECTING = "errors while collecting kept it from running any test"
_STOPPED_EARLY = "!! stopping after "


def _joined_notes(*notes: str | None) -> str:
    return "; ".join(note for note in notes if note)


def _with(result: VerifierResult, **changes: object) -> VerifierResult:
    return result.model_copy(update=changes)


def node_prefix(classname: str, file: str | None) -> str | None:
    """Rebuilds pytest's own ids, such as `tests/test_a.py::TestB::`, from JUnit XML. `classname` is
    the dotted module and then the classes.

    `file` is where the function is defined, which for an inherited test is another module: then the
    dotted form is the id.
    """
    if not classname:
        return None
    module = (file or "").removesuffix(".py").replace("/", ".")
    if not file or not f"{classname}.".startswith(f"{module}."):
        return f"{classname}::"
    classes = [part for part in classname[len(module) :].split(".") if part]
    return "::".join([file, *classes, ""])


def _is_node_id(test_id: str) -> bool:
    path, separator, _ = test_id.partition("::")
    # A backslash stands for a byte that is not UTF-8: pytest would not find the file.
    is_a_file = path.endswith(".py") and "\\" not in path
    return bool(separator) and is_a_file and "…" not in test_id


def is_plain(line: str) -> bool:
    """Whether a shell line is a plain call of pytest."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        return False  # an unclosed quote
    if any(word and set(word) <= set("();<>|&") for word in words) or re.search(r"[`\n]", line):
        return False
    return _CALL.match(" ".join(words)) is not None
