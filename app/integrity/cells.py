"""The two composed cells: which files of which commit they consist of. Pure.

*Proof* is the base commit with the head's tests: what fails there fails without the change.
*Guard* is the head commit with the base's tests and runner: what the old tests say about the new
code. Both are described as overrides over a commit; `Mirrors.compose_tree` makes them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from app.domain.diff import Diff
from app.domain.evidence import Cell, ChangedSides
from app.integrity import paths
from app.integrity.composing import CommitSide, Override
from app.integrity.import_graph import ImportGraph, reads
from app.integrity.sides import (
    TEST_SIDE,
    FileSides,
    Side,
    SideFinder,
    changed_sides,
    with_source,
)
from app.integrity.trees import Tree

BASE, HEAD = CommitSide.BASE, CommitSide.HEAD
Overrides = dict[str, Override]
_WORD = re.compile(rb"\w+")


@dataclass(frozen=True)
class CellPlan:
    """What to compose and what to run.

    `proof` over the base's tree is the proof's tree, `guard` over the head's is the guard's.
    `proof_head_runner` is `proof` with the head's runner, manifests and locks as well: for head's
    tests that cannot start without them. It equals `proof` if the runner did not change.

    `proof_files` and `guard_files` are the test files to run, as whole files; None: all; empty:
    there is nothing to run in that cell.

    `proof_same_as` and `guard_same_as` name a cell that cannot have other results; then there is
    nothing to compose and to run.
    """

    sides: ChangedSides
    proof: Mapping[str, Override]
    guard: Mapping[str, Override]
    proof_head_runner: Mapping[str, Override]
    proof_files: tuple[str, ...] | None = None
    guard_files: tuple[str, ...] | None = None
    proof_same_as: Cell | None = None
    guard_same_as: Cell | None = None


def plan(diff: Diff, base_tree: Tree, head_tree: Tree) -> CellPlan:
    """Plan the cells of a change.

    Without a change of the tests, the proof is the base and the guard is the head, unless the
    runner changed: the guard always has the base's runner. Without a change of the source, the
    proof is the head and the guard is the base, *even* if the runner changed. A proof with the
    base's runner would then ask whether new tests need the new configuration, which says nothing
    about source; and a failing test that only a new plugin or setting turns green would look as if
    it needed both sides, while it was turned green without any change of source.

    A change of the runner together with source is in the guard alone: old tests, configured as
    they were, on the new code. Documentation and CI are no source: the guard has the head's and
    the proof has the base's.

    Takes seconds for a large repository: call it in a thread. Never raises for what files hold.
    """
    finder = SideFinder(base_tree, head_tree)
    files = _without_conflicts(finder.files(diff), base_tree, head_tree)
    proof = _overrides(files, _in_proof)
    guard = _overrides(files, _in_guard)
    head_runner = proof | _overrides(files, _of_runner)
    sides = changed_sides(files)
    changed = {side for each in files for side in each.changed}
    same_proof, same_guard = _collapses(changed, proof, guard)
    selection = _Selection(finder, files)
    return CellPlan(
        sides=sides,
        proof={} if same_proof else proof,
        guard={} if same_guard else guard,
        proof_head_runner={} if same_proof else head_runner,
        proof_files=() if same_proof else selection.of_proof(),
        guard_files=() if same_guard else selection.of_guard(),
        proof_same_as=same_proof,
        guard_same_as=same_guard,
    )


def _collapses(
    changed: Collection[Side], proof: Overrides, guard: Overrides
) -> tuple[Cell | None, Cell | None]:
    if not guard and not proof:
        return Cell.BASE, Cell.HEAD
    if Side.SOURCE not in changed:
        return Cell.HEAD, Cell.BASE
    return None if proof else Cell.BASE, None if guard else Cell.HEAD


# The content of a file in a cell.

_Setter = Callable[[FileSides], "Override | _Keep"]


class _Keep:
    """The file stays as it is in the commit that the cell starts from."""


_KEEP = _Keep()


def _overrides(files: Iterable[FileSides], setter: _Setter) -> Overrides:
    found = {each.path: setter(each) for each in files}
    return {path: override for path, override in found.items() if not isinstance(override, _Keep)}


def _in_proof(each: FileSides) -> Override | _Keep:
    if each.whole in TEST_SIDE:
        return None if each.file.is_deleted else HEAD
    # Tests in a new file need its source; those in a deleted file are gone with it.
    return _KEEP if each.proof is None else (each.file.old_mode, each.proof)


def _in_guard(each: FileSides) -> Override | _Keep:
    if each.whole in TEST_SIDE or (each.whole is Side.RUNNER and not each.is_manifest):
        return None if each.file.is_added else BASE
    return _KEEP if each.guard is None else (each.file.new_mode, each.guard)


def _of_runner(each: FileSides) -> Override | _Keep:
    """The head's, whole: a cell installs one manifest, never a mixture of two."""
    if each.whole is Side.RUNNER or each.is_manifest:
        return None if each.file.is_deleted else HEAD
    return _KEEP


def _without_conflicts(
    files: Iterable[FileSides], base_tree: Tree, head_tree: Tree
) -> tuple[FileSides, ...]:
    """The files; those that would be both file and folder in a cell go with the source."""
    settled = tuple(files)
    while True:
        conflicting = {
            *_conflicts(base_tree.paths, _overrides(settled, _in_proof)),
            *_conflicts(head_tree.paths, _overrides(settled, _in_guard)),
        }
        if not conflicting:
            return settled
        settled = tuple(with_source(each) if each.path in conflicting else each for each in settled)


def _conflicts(start: Collection[str], overrides: Overrides) -> set[str]:
    placed = {path for path, override in overrides.items() if override is not None}
    if not placed:
        return set()
    remaining = set(start).difference(overrides) | placed
    folders = {folder for path in remaining for folder in _folders(path)}
    return {
        path
        for path in placed
        if path in folders or any(folder in remaining for folder in _folders(path))
    }


def _folders(path: str) -> list[str]:
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


# Which files of tests a cell runs.


@dataclass(frozen=True)
class _Selection:
    """The test files whose results can differ from those in the commit itself.

    They run as whole files, because the tests of one file may depend on each other.
    """

    finder: SideFinder
    files: tuple[FileSides, ...]

    def of_proof(self) -> tuple[str, ...] | None:
        """The changed test files and all that use something changed; None if in doubt."""
        found: set[str] = set()
        for each in self.files:
            if each.proof is not None:
                return None
            if each.whole in TEST_SIDE:
                users = self._users(each)
                if users is None:
                    return None
                found |= users
        return self._present(found, self.finder.head)

    def of_guard(self) -> tuple[str, ...] | None:
        """The base's changed test files; None if other files of the test side changed."""
        found: set[str] = set()
        for each in self.files:
            is_override = not isinstance(_in_guard(each), _Keep)
            if is_override and each.changed != {Side.TESTS}:
                return None
            if is_override:
                users = self._users(each)
                if each.guard is not None or users is None:
                    return None
                found |= users
        return self._present(found, self.finder.base)

    def _present(self, found: Iterable[str], tree: Tree) -> tuple[str, ...]:
        return tuple(sorted(path for path in found if path in tree.paths))

    def _users(self, each: FileSides) -> set[str] | None:
        """The test files that use this one, including itself; None if unknown."""
        path = each.path
        if path.endswith(".go"):
            return self._of_package(path.rpartition("/")[0])
        if not paths.is_code(path):
            return {path} if each.whole is Side.TESTS else self._of_data(path)
        graphs = (self.finder.base_graph, self.finder.head_graph)
        if reads(path):
            if not all(graph.is_complete for graph in graphs):
                return None
            users = {user for graph in graphs for user in graph.users([path])}
        elif all(tree.is_complete for tree in (self.finder.base, self.finder.head)):
            users = set(self._mentions.users([path]))
        else:
            return None
        suites = {user for user in users if paths.finds_tests(user)}
        if each.whole is Side.TESTS:
            return suites | {path}
        # A helper without known users is loaded in a way that Honk does not see.
        return suites - {path} or None

    def _of_package(self, folder: str) -> set[str]:
        """Go builds the tests of a folder together."""
        trees = (self.finder.base, self.finder.head)
        return {
            path
            for tree in trees
            for path in tree.paths
            if path.endswith("_test.go") and path.rpartition("/")[0] == folder
        }

    def _of_data(self, path: str) -> set[str] | None:
        """The test that a snapshot is named after, or the package that has the data."""
        folder, _, name = path.rpartition("/")
        above, _, last = folder.rpartition("/")
        if last == "__snapshots__":
            stem = name.rpartition(".")[0]
            suites = {f"{above}/{stem}".lstrip("/"), f"{above}/{stem}.py".lstrip("/")}
            found = {each for each in suites if self._exists(each) and paths.finds_tests(each)}
            return found or None
        package = re.match(r"(?:(.+)/)?testdata/", path)
        if package:
            return self._of_package(package.group(1) or "") or None
        return None

    def _exists(self, path: str) -> bool:
        return path in self.finder.base.paths or path in self.finder.head.paths

    @cached_property
    def _mentions(self) -> ImportGraph:
        """Which tests name which, in languages without an import graph."""
        contents = [
            (path, tree.read(path) or b"")
            for tree in (self.finder.base, self.finder.head)
            for path in tree.paths
            if paths.is_code(path) and not reads(path) and paths.is_in_test_folder(path)
        ]
        named: defaultdict[bytes, set[str]] = defaultdict(set)
        for path, _ in contents:
            folder, _, name = path.rpartition("/")
            stem = name.rpartition(".")[0]
            own = folder.rpartition("/")[2] if stem == "mod" else stem
            named[own.encode("utf-8", "surrogateescape")].add(path)
        edges: defaultdict[str, set[str]] = defaultdict(set)
        for path, content in contents:
            for word in named.keys() & set(_WORD.findall(content)):
                edges[path] |= named[word]
        return ImportGraph({path: frozenset(found) for path, found in edges.items()})
