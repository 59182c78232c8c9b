"""What a verifier is, and what it may look at. One file each in `verifiers/`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from app.domain.verdict import Kind, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.sandbox.untrusted_files import (
    NotReadableError,
    has_links,
    iter_files,
    open_file,
)

MAX_NAMES = 50_000
"""Files of a tree that detection looks at; what lies beyond is not seen."""

NEVER_OURS = frozenset({".git", ".venv", "venv", "node_modules", ".tox", ".nox", "__pycache__"})
"""Folders whose files no detection looks at."""

_NO_PROJECTS = frozenset(
    {"vendor", "third_party", "testdata", "fixtures", "__fixtures__", "target", "dist", "build"}
)
"""Folders below which a manifest is somebody else's, or an example that tests work on."""


class FileTree(Protocol):
    """The files of a commit, wherever they lie. Paths are relative, with `/` between names."""

    def exists(self, path: str) -> bool: ...

    def read_text(self, path: str, max_bytes: int) -> str | None:
        """The beginning of a file, or None when there is no such regular file."""

    def names(self, pattern: str) -> Iterable[str]:
        """Paths of files that match; `*` stands for folders too."""

    def has_links(self, folder: str) -> bool:
        """Whether a symbolic link lies in the folder or below, or that cannot be told."""


@dataclass(frozen=True)
class VerifierContext:
    """Where a command will run. Both folders are paths inside the sandbox.

    `report`: empty, writable, made for this one run. `tools`: what Honk brings, read-only.
    `only`: ids of the tests to run, as the verifier told them; empty for all.
    """

    report: str
    tools: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestCommand:
    """What to run in the verifier's folder, and the files to read back from the report folder.

    `reports` may hold patterns (`*.xml`), matched against plain names in that folder.
    `stdout`: the standard output is a report by itself, read back whole as `STDOUT`; then
    `Completed.output` holds standard error alone.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[str, ...] = ()
    stdout: bool = False


STDOUT = "stdout"
"""The name among the reports of what a command with `stdout` printed."""


class Verifier(Protocol):
    """Something that says whether a commit works: one command in one folder of the repository.

    Ids and files that it tells are relative to the repository, whatever its folder: `located` and
    `repository_path` (in `junit.py`) see to that.
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
        """What it says: how tests end, or what a formatter, linter or type checker finds."""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Whether exactly these tests can be run alone."""

    def command(self, context: VerifierContext) -> TestCommand: ...

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        """Read how it ended. Never raises for what was printed or written in the sandbox."""


class Detected(Protocol):
    """A verifier's class, as far as `verifiers/__init__.py` needs it."""

    name: str

    def __call__(self, *, folder: str = ...) -> Verifier:
        """The verifier for one folder, whatever is in it: for what a policy names."""

    def detect(self, tree: FileTree) -> Iterable[Verifier]:
        """The verifiers that the repository asks for by what it contains, outermost first."""


def label(verifier: Verifier) -> str:
    """Tells a verifier from all others with the same line, and may stand in a policy."""
    return f"{verifier.name}:{verifier.folder}" if verifier.folder else verifier.name


def as_typed(verifier: Verifier) -> str:
    """Its command as a person in the repository's folder would type it."""
    folder = verifier.folder
    return f"(cd {shlex.quote(folder)} && {verifier.line})" if folder else verifier.line


def located(name: str, folder: str) -> str:
    """What is called `name` inside a folder, as it is called in the repository."""
    return f"{folder}/{name}" if folder else name


def unlocated(name: str, folder: str) -> str:
    """The inverse of `located`."""
    return name.removeprefix(f"{folder}/") if folder else name


def folders_with(tree: FileTree, *names: str) -> tuple[str, ...]:
    """Folders that hold one of these files (plain names), outermost first; "" is the repository.

    Vendored code, build output and the projects that tests work on are left out.
    """
    folders = {
        folder
        for folder, _, name in (path.rpartition("/") for path in tree.names("*"))
        if name in names
    }
    ours = (folder for folder in folders if _NO_PROJECTS.isdisjoint(folder.split("/")))
    return tuple(sorted(ours, key=lambda folder: (folder.count("/") + bool(folder), folder)))


def outermost(folders: Iterable[str]) -> tuple[str, ...]:
    """Those that do not lie below another of them."""
    kept: list[str] = []
    for folder in sorted(folders, key=len):
        if not any(not above or folder.startswith(f"{above}/") for above in kept):
            kept.append(folder)
    return tuple(sorted(kept))


class DirectoryTree:
    """A checkout as a FileTree. No link in it is followed, no file is opened that is not plain."""

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
