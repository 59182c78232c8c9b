"""The findings in a change that a reviewer should check. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from app.domain.values import Value

SNIPPET = 160
"""Characters of a snippet; a longer one is cut and marked."""


class Kind(StrEnum):
    """The kinds of flags. Their values are the names that `integrity: {block: [...]}` takes."""

    # Removed tests, and tests that no longer count.
    REMOVED = "removed"
    RENAMED_OUT_OF_DISCOVERY = "renamed-out-of-discovery"
    SKIPPED = "skipped"
    EXPECTED_TO_FAIL = "expected-to-fail"
    # Tests that check less.
    REMOVED_ASSERTION = "removed-assertion"
    WEAKENED_ASSERTION = "weakened-assertion"
    CHANGED_EXPECTATION = "changed-expectation"
    MESSAGE_ONLY = "message-only"
    SNAPSHOT = "snapshot"
    TOLERANCE = "tolerance"
    RETRY = "retry"
    FEWER_CASES = "fewer-cases"
    # Code that runs and judges the tests.
    COVERAGE = "coverage"
    TEST_COMMAND = "test-command"
    CI_CONFIG = "ci-config"
    FRAMEWORK_PATCHED = "framework-patched"
    EXIT_CODE = "exit-code"
    RUNNER_OUTPUT_FORGED = "runner-output-forged"
    BACKGROUND_PROCESS = "background-process"
    ENVIRONMENT_DEPENDENT = "environment-dependent"
    DOWNGRADED = "downgraded"
    LINT_DISABLED = "lint-disabled"
    # The change as a whole.
    PROTECTED_PATH = "protected-path"
    OUTSIDE_PATHS = "outside-paths"
    TOO_LARGE = "too-large"
    GENERATED = "generated"
    VENDORED = "vendored"
    BINARY = "binary"
    LINK = "link"
    SUBMODULE = "submodule"
    EXECUTABLE = "executable"
    LOCK_ONLY = "lock-only"
    HIDDEN_FROM_REVIEW = "hidden-from-review"
    SECRET = "secret"  # noqa: S105 - a name, not a secret
    NOT_EXAMINED = "not-examined"


GROUPS = {
    "removed": (Kind.REMOVED, Kind.RENAMED_OUT_OF_DISCOVERY),
    "skipped": (Kind.SKIPPED, Kind.EXPECTED_TO_FAIL),
}
"""Policy names that cover more than the kind of that name."""


class Flag(Value):
    """One finding.

    `line` counts from 1 in the new file; None where the file is gone or the whole file is meant.
    `reason` is a whole sentence for people. `before` and `after` are cut to `SNIPPET` characters.
    All fields may hold text from the repository: sanitize them before display.
    """

    kind: Kind
    file: str
    line: int | None = None
    reason: str
    before: str = ""
    after: str = ""


def blocking(flags: Iterable[Flag], block: Sequence[str]) -> tuple[Flag, ...]:
    """The flags that keep a change from being ready, by the names in the policy."""
    kinds = {kind for name in block for kind in GROUPS.get(name, (name,))}
    return tuple(flag for flag in flags if flag.kind in kinds)


def kinds(flags: Iterable[Flag]) -> tuple[str, ...]:
    """The kinds of the flags, each once, in their order."""
    return tuple(dict.fromkeys(flag.kind for flag in flags))


def snippet(text: str) -> str:
    """Shorten the text to one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= SNIPPET else f"{flat[: SNIPPET - 3]}..."
