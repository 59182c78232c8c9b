"""What a verifier is, and what it may look at. One file each in `verifiers/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from app.domain.verdict import TestResult, VerifierResult
from app.workspace.reading import NotReadableError, iter_files, open_file
from app.workspace.spec import Completed

MAX_NAMES = 50_000
"""Files of a tree that detection looks at; what lies beyond is not seen."""

_NEVER_OURS = frozenset({".git", ".venv", "venv", "node_modules", ".tox", ".nox", "__pycache__"})


class FileTree(Protocol):
    """The files of a commit, wherever they lie. Paths are relative, with `/` between names."""

    def exists(self, path: str) -> bool: ...

    def read_text(self, path: str, max_bytes: int) -> str | None:
        """The beginning of a file, or None when there is no such regular file."""

    def names(self, pattern: str) -> Iterable[str]:
        """Paths of files that match; `*` stands for folders too."""


@dataclass(frozen=True)
class Context:
    """Where a command will run. Both folders are paths inside the sandbox.

    `report`: empty, writable, made for this one run. `tools`: what Honk brings, read-only.
    `only`: ids of the tests to run; empty for all.
    """

    report: str
    tools: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """What to run in the sandbox, and the files to read back from the report folder."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[str, ...] = ()


class Verifier(Protocol):
    """Something that says whether a commit works."""

    @property
    def name(self) -> str: ...

    @property
    def line(self) -> str:
        """The command as a person would write it; names the verifier together with `name`."""

    def detect(self, tree: FileTree) -> bool:
        """Whether the repository asks for this verifier by what it contains."""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Whether exactly these tests can be run alone."""

    def command(self, context: Context) -> Command: ...

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        """Read how it ended. Never raises for what was printed or written in the sandbox."""


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
            self._names = tuple(name for name in found if _NEVER_OURS.isdisjoint(name.split("/")))
        return (name for name in self._names if fnmatchcase(name, pattern))
