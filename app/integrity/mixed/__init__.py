"""Files that belong to more than one side: separated by syntax tree, table, section or key. Pure.

A splitter determines which part of a file is source and which is not, and combines the source of
one commit with the other part of another. The result is parsed again: if it does not have exactly
these parts, the file cannot be split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.integrity.mixed.javascript import InSourceTests
from app.integrity.mixed.locks import (
    TEST_GROUP,
    GradleLock,
    JsonLock,
    PackageLock,
    PdmLock,
    PnpmLock,
    PoetryLock,
    UvLock,
)
from app.integrity.mixed.manifests import Ini, PackageJson, TomlTables
from app.integrity.mixed.pom import Pom
from app.integrity.mixed.python import Doctests
from app.integrity.mixed.rust import RustTests
from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter

__all__ = ["MAX_BYTES", "SPLITTERS", "Parts", "Splitter", "belongs_to", "parts"]

SPLITTERS: Mapping[str, Splitter] = {
    "pyproject": TomlTables(
        rest=r"tool\.(?:pytest|coverage|tox|nox|hatch\.envs|ruff|mypy|flake8|pylint|black|isort"
        r"|pyright|basedpyright|ty|bandit|interrogate|poe|taskipy|mutmut|cosmic-ray|vulture"
        r"|codespell|deptry|importlinter|pdm\.scripts)",
        dependencies=rf"project\.optional-dependencies\.{TEST_GROUP}|dependency-groups"
        r"|tool\.poetry\.(?:group\.(?!main\b)[^.]+|dev-dependencies)"
        r"|tool\.(?:uv|pdm)\.dev-dependencies",
    ),
    "cargo": TomlTables(
        rest=r"profile\.(?:test|bench)|test|bench|(?:workspace\.)?lints",
        dependencies=r"(?:target\.[^.]+\.)?dev[-_]dependencies",
    ),
    "setup_cfg": Ini(
        rest=r"tool:pytest|pytest|coverage:.*|flake8.*|mypy.*|pylint.*|isort|pycodestyle|pydocstyle"
        r"|tox(?::.*)?|testenv.*|aliases",
        dependencies=rf"options\.extras_require\.{TEST_GROUP}|options\.tests_require",
    ),
    "package_json": PackageJson(
        rest=r"jest|mocha|ava|vitest|nyc|c8|tap|karma|wdio|playwright|stryker|xo|eslintConfig"
        r"|eslintIgnore|prettier|standard|lint-staged"
        r"|scripts\.(?:pre|post)?(?:tests?|specs?|unit|e2e|integration|coverage|cover|lint|check|ci"
        r"|verify|typecheck|mocha|jest|vitest|ava|tap)(?:[:_-].*)?",
        dependencies=r"devDependencies",
    ),
    "package_lock": PackageLock(),
    "pnpm_lock": PnpmLock(),
    "poetry_lock": PoetryLock(),
    "pdm_lock": PdmLock(),
    "uv_lock": UvLock(),
    "pipfile_lock": JsonLock("default", "develop"),
    "composer_lock": JsonLock("packages", "packages-dev", "platform-dev"),
    "gradle_lock": GradleLock(),
    "pom": Pom(),
    "rust": RustTests(),
    "doctests": Doctests(),
    "in_source_tests": InSourceTests(),
}
"""By the names that ecosystems use."""

_TESTS = frozenset({"rust", "doctests", "in_source_tests"})


def belongs_to(name: str) -> Literal["tests", "runner"]:
    """The side of a file's part that is not source."""
    return "tests" if name in _TESTS else "runner"


def parts(name: str, content: bytes | None) -> Parts | None:
    """The parts that the splitter of that name finds in a file; a missing file counts as empty."""
    return SPLITTERS[name].parts(content or b"")
