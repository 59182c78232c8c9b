"""Signs that are the same in every language: comments, conditions, printed and written strings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.flag import Kind
from app.integrity.facts import TestMark

_LINT = re.compile(
    r"\bnoqa\b|type:\s*ignore|pyright:\s*(?:ignore|basic)|mypy:\s*ignore|pylint:\s*disable"
    r"|eslint-disable|@ts-(?:ignore|nocheck|expect-error)|biome-ignore|prettier-ignore|\bnolint\b"
    r"|\bnosec\b|NOSONAR|CHECKSTYLE.OFF|fmt:\s*off|ruff:\s*noqa|flake8:\s*noqa|tslint:disable"
)
_COVERAGE = re.compile(r"pragma:\s*no\s*cover|istanbul ignore|[cv]8 ignore|LCOV_EXCL|JaCoCo")

_CLOCK = re.compile(
    r"\b(?:datetime|date|DateTime)\.(?:now|today|utcnow)|\btime\.(?:time|Now|localtime|strftime)\b"
    r"|\bDate\.now|\bnew Date\b|(?:SystemTime|Instant|Utc|Local)::now|getFullYear"
    r"|(?:LocalDate|LocalDateTime|Instant|Year|ZonedDateTime)\.now|currentTimeMillis"
)
_MACHINE = re.compile(
    r"gethostname|platform\.node|\buname\b|getpass\.getuser|getlogin|os\.hostname|os\.Hostname"
    r"|userInfo|getLocalHost|user\.Current\b|whoami|user\.name|\bcpu_count|getnode\b"
    r"|(?:exists|existsSync|isfile|isdir|Stat|is_dir|is_file)\b[^)]*['\"]/(?:home|Users|root|work)"
)
_ENVIRONMENT = re.compile(
    r"os\.environ|getenv|\benviron\b|process\.env|import\.meta\.env|os\.Getenv|LookupEnv"
    r"|env::var|System\.getProperty"
)
_RUNNER = re.compile(
    r"PYTEST_|['\"](?:pytest|unittest)['\"] in sys\.modules|sys\.modules.{0,40}(?:pytest|unittest)"
    r"|JEST_WORKER_ID|\bVITEST|NODE_ENV.{0,12}['\"]test|testing\.Testing|Lookup\(['\"]test\."
    r"|RUST_TEST|\bNEXTEST|surefire|sys\.argv.{0,40}pytest|NODE_TEST_CONTEXT"
    r"|['\"](?:CI|GITHUB_ACTIONS|HONK\w*)['\"]|\benv\.(?:CI|GITHUB_ACTIONS|HONK\w*)\b"
)
_YEAR = re.compile(r"\b20[2-9]\d\b|\b1[6-9]\d{8}\b")

_SUMMARY = re.compile(
    r"=+ .{0,40}\d+ (?:passed|failed)|\b\d+ passed(?: in |,)|Tests?:\s+\d+ passed|test result: ok"
    r"|^.?ok\s+\S+\s+[\d.]+s|--- PASS|BUILD SUCCESS|Tests run:\s*\d+|# (?:pass|tests) \d"
    r"|Ran \d+ tests? in|\bok \d+ - |\d+ passing\b"
)
_RESULTS = re.compile(
    r"junit[\w.-]*\.xml|<testsuites?\b|surefire-reports|TEST-[\w.-]+\.xml|/run/honk"
    r"|test-results/|nextest/|results?\.xml|\.pytest_cache"
)
_WRITES = re.compile(
    r"(?:^|[.:_])(?:print\w*|write\w*|log|info|echo|puts|dump\w*|open|save|create|put|error"
    r"|Printf?|Println|Fprint\w*|WriteFile|Create|append\w*|eprintln|stdout)!?$",
    re.IGNORECASE,
)


def in_comment(words: str, line: int) -> Iterator[TestMark]:
    """Comments that silence a linter, a type checker or coverage."""
    if found := _LINT.search(words):
        reason = f"`{found.group()}` suppresses a linter or type checker here."
        yield TestMark(Kind.LINT_DISABLED, line, " ".join(words.split()), reason)
    if found := _COVERAGE.search(words):
        reason = f"`{found.group()}` excludes this code from coverage."
        yield TestMark(Kind.COVERAGE, line, " ".join(words.split()), reason)


def in_condition(words: str, line: int, owner: str, is_test: bool) -> Iterator[TestMark]:
    """Conditions that make code behave differently by environment or time.

    Product code may read its environment and the clock: there, only conditions that detect a test
    run, a machine or a date count.
    """
    close = words.replace(" . ", ".").replace(" :: ", "::").replace(" (", "(").replace("( ", "(")
    found = ""
    if _RUNNER.search(close):
        found = "detects whether it is being tested"
    elif _MACHINE.search(close):
        found = "depends on the machine or the user that runs it"
    elif _CLOCK.search(close) and (is_test or _YEAR.search(close)):
        found = "depends on the date"
    elif is_test and _ENVIRONMENT.search(close):
        found = "depends on an environment variable"
    if found:
        yield TestMark(Kind.ENVIRONMENT_DEPENDENT, line, words, f"This condition {found}.", owner)


def may_forge(words: str) -> bool:
    """Whether a string looks like a test runner's output, so that its use should be checked."""
    return bool(_SUMMARY.search(words) or _RESULTS.search(words))


def writes(name: str) -> bool:
    """Whether a function of this name prints or writes."""
    return bool(_WRITES.search(name))


def in_output(words: str, line: int, call: str, owner: str) -> Iterator[TestMark]:
    """Strings that imitate a test runner's output and are printed or written."""
    if _SUMMARY.search(words):
        reason = f"`{call}` writes what looks like a test runner's summary."
    else:
        reason = f"`{call}` writes what looks like a test results file."
    yield TestMark(Kind.RUNNER_OUTPUT_FORGED, line, " ".join(words.split()), reason, owner)
