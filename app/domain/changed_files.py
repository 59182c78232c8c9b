"""Whether a test's own file, or what it depends on, is among the changed files. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_CODE = re.compile(
    r"\.(?:py|pyi|js|jsx|ts|tsx|mjs|cjs|mts|cts|go|rs|java|kt|kts|groovy|scala|rb|php|ex|exs|cs|fs|vb"
    r"|c|h|cc|cpp|hpp|swift|dart|hs|sh|bash|pl|lua|vue|svelte)$"
)
_DEFINES_COMMANDS = re.compile(
    r"(?:^|/)(?:GNUmakefile|[Mm]akefile|[^/]*\.mk|[Jj]ustfile|Taskfile\.ya?ml|Rakefile|build\.xml)$"
)
_TEST_WORDS = re.compile(r"^(?:test_?|tests_)|(?:[_.-]?tests?|[_.-]?spec|IT)$", re.IGNORECASE)


@dataclass(frozen=True)
class ChangedFiles:
    """The changed files of a change, by side. `partly`: those that may be on both."""

    source: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()

    @cached_property
    def test_side(self) -> frozenset[str]:
        """Changed tests and helpers, and files that may be one."""
        return frozenset({*self.tests, *self.helpers, *self.partly})

    @cached_property
    def _data(self) -> bool:
        """Whether snapshots or test data changed, with which tests compare."""
        return any(_CODE.search(path) is None for path in self.helpers)

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(path.rpartition("/")[0] for path in self.tests)

    @cached_property
    def _test_stems(self) -> frozenset[str]:
        return frozenset(_stem(path) for path in self.tests)

    def holds(self, test_id: str, file: str | None) -> bool:
        """Whether the test's own file changed, or data that it may compare with.

        If the file is unknown, tests count whose package or class a changed file may be.
        """
        if not self.test_side:
            return False
        if self._data or file in self.test_side:
            return True
        return file is None and self._may_hold(test_id)

    def _may_hold(self, test_id: str) -> bool:
        package, space, name = test_id.partition(" ")
        if space and name.partition(" ")[0].endswith(".rs"):
            # cargo names the file of the test program, not of the test.
            return any(path.endswith(".rs") for path in self.test_side)
        if space and "/" in package:
            return any(
                not folder or package == folder or package.endswith(f"/{folder}")
                for folder in self._folders
            )
        return not self._test_stems.isdisjoint(re.split(r"[^\w$-]+", test_id))

    def helpers_of(self, file: str | None) -> bool:
        """Whether helpers, fixtures or runner files changed that a test of this file may use."""
        return bool(self.runner) or any(_reaches(path, file) for path in self.helpers)

    def defines(self, command: str) -> str:
        """A changed file that defines what a test command runs, or ""; it is on the source side.

        Build files cannot be split into source and tests, and a script is named in the command.
        """
        words = {word.removeprefix("./") for word in command.split()}
        for path in (*self.source, *self.partly):
            if _DEFINES_COMMANDS.search(path) or any(
                path == word or path.endswith(f"/{word}") for word in words
            ):
                return path
        return ""

    def are_about(self, test_id: str, file: str | None, folder: str) -> bool:
        """Whether an entry that could not run is related to the change:

        its file changed, it failed in a changed file, it is named after a changed file, a changed
        file is in its package, or it is a whole run (`test_id` is then empty) in a folder with a
        changed file.
        """
        changed = (*self.source, *self.tests, *self.helpers, *self.runner, *self.partly)
        if not test_id:
            return any(not folder or path.startswith(f"{folder}/") for path in changed)
        if file in changed or test_id in changed:
            return True
        if any(path.startswith(f"{test_id}/") for path in changed):
            return True
        names = {_plain(test_id), _plain(test_id.rpartition(".")[2])}
        if any(_plain(path) in names for path in changed):
            return True
        folders = {path.rpartition("/")[0] for path in changed}
        return "/" in test_id and any(
            test_id.endswith(f"/{folder}") for folder in folders if folder
        )


def _reaches(helper: str, file: str | None) -> bool:
    """pytest's conftest.py reaches its own folder; any other helper may be used anywhere."""
    folder, _, name = helper.rpartition("/")
    if name != "conftest.py" or file is None or not folder:
        return True
    return file.startswith(f"{folder}/")


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _plain(path: str) -> str:
    """The name of a file without the part that marks it as a test."""
    stem = _stem(path)
    return _TEST_WORDS.sub("", stem) or stem
