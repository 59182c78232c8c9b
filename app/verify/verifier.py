"""The verifier protocol and the file trees that detection reads. Each verifier is a file in
`verifiers/`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, runtime_checkable

from app.domain.file_tree import NEVER_OURS, FileTree
from app.domain.verdict import Kind, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.sandbox.untrusted_files import (
    NotReadableError,
    has_links,
    iter_files,
    open_file,
)

MAX_NAMES = 50_000
"""Most files of a tree that detection considers."""


@dataclass(frozen=True)
class VerifierContext:
    """Where a command will run. Both folders are paths inside the sandbox.

    `report`: empty, writable, new for each run. `tools`: the bundled tools, read-only. `only`:
    ids of the tests to run, as in the verifier's results; empty for all. `files`: test files to
    run as a whole, relative to the repository, from `SelectsFiles.selects_files`; empty for all.
    `first_failure`: only the first failing test is of interest, so the run may end with it.
    """

    report: str
    tools: str
    only: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    first_failure: bool = False


@dataclass(frozen=True)
class TestCommand:
    """The command to run in the verifier's folder, and the report files to read afterwards.

    `reports` may hold patterns (`*.xml`), matched against plain names in that folder.
    `stdout`: standard output is itself a report, read as `STDOUT`; `Completed.output` then holds
    only standard error.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[str, ...] = ()
    stdout: bool = False


STDOUT = "stdout"
"""The report name of a command's captured standard output."""


class Verifier(Protocol):
    """Checks a commit with one command in one folder of the repository.

    Ids and files in its results are relative to the repository, not its folder: see `located`
    and `repository_path` (in `junit.py`).
    """

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> str:
        """Where its command runs, relative to the repository; "" is the repository itself."""

    @property
    def line(self) -> str:
        """The command as a person would write it; names the verifier with `name` and `folder`."""

    @property
    def kind(self) -> Kind:
        """Its kind of results: tests, or findings of a formatter, linter or type checker."""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Whether exactly these tests can run without the others."""

    def command(self, context: VerifierContext) -> TestCommand: ...

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        """Read the results. Never raises for anything printed or written in the sandbox."""


class Detected(Protocol):
    """The class-level interface of a verifier, for `verifiers/__init__.py`."""

    name: str

    def __call__(self, *, folder: str = ...) -> Verifier:
        """The verifier for a folder that the policy names, without detection."""

    def detect(self, tree: FileTree) -> Iterable[Verifier]:
        """The verifiers detected from the repository's files, outermost first."""


@runtime_checkable
class ReadsLines(Protocol):
    """A verifier's class that recognizes commands of its runner in a policy, options included."""

    def of_line(self, line: str) -> Verifier | None:
        """The verifier that runs the line and counts its tests, or None when it cannot."""


@runtime_checkable
class SelectsFiles(Protocol):
    """A verifier that can run some test files without the others."""

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Those of the files that it runs, relative to the repository. Empty when it can select
        none of them: then only a whole run includes them."""


def label(verifier: Verifier) -> str:
    """The name that distinguishes verifiers with the same command; valid in a policy."""
    return f"{verifier.name}:{verifier.folder}" if verifier.folder else verifier.name


def as_typed(verifier: Verifier) -> str:
    """Its command as typed at the repository's root."""
    folder = verifier.folder
    return f"(cd {shlex.quote(folder)} && {verifier.line})" if folder else verifier.line


def files_below(files: Iterable[str], folder: str, *suffixes: str) -> tuple[str, ...]:
    """The files below the folder with one of these endings.

    A name with a backslash stands for bytes that are not UTF-8, which no command line can name.
    """
    below = f"{folder}/" if folder else ""
    return tuple(
        path
        for path in files
        if path.startswith(below) and path.endswith(suffixes) and "\\" not in path
    )


class DirectoryTree:
    """A checkout as a FileTree. Follows no links and opens only regular files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: tuple[str, ...] | None = None

    def exists(self, path: str) -> bool:
        return self.read_text(path, 0) is not None

    def read_text(self, path: str, max_bytes: int) -> str | None:
        try:
            with open_file(self._root, path) as file:
                return file.read(max_bytes).decode("utf-8", errors="replace")
        except NotReadableError:
            return None

    def names(self, pattern: str) -> Iterable[str]:
        if self._names is None:
            found = iter_files(self._root, max_files=MAX_NAMES)
            self._names = tuple(name for name in found if NEVER_OURS.isdisjoint(name.split("/")))
        return (name for name in self._names if fnmatchcase(name, pattern))

    def has_links(self, folder: str) -> bool:
        return has_links(self._root, folder, but=NEVER_OURS, max_entries=MAX_NAMES)
