"""Which side of a change each file is on: source, tests, runner. Pure.

The rules of the ecosystems say what a path looks like; the imports of both commits show whether
source uses it after all. A file in doubt goes with the source and is marked as partly compared: the
cells cannot show its effect on the tests, so it must not improve a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from app.domain.diff import LINK, SUBMODULE, Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.integrity import paths
from app.integrity.import_graph import ImportGraph, ImportReader, reads
from app.integrity.mixed import SPLITTERS, belongs_to, parts
from app.integrity.trees import Tree


class Side(StrEnum):
    """What a changed file, or a part of it, belongs to. See `ChangedSides`."""

    SOURCE = "source"
    TESTS = "tests"
    HELPERS = "helpers"
    RUNNER = "runner"
    CI = "ci"
    DOCUMENTATION = "documentation"


MAX_SPLIT_BYTES = 8_000_000
"""The limit for splitting files, over both sides of one change. It takes seconds."""

TEST_SIDE = frozenset({Side.TESTS, Side.HELPERS})


@dataclass(frozen=True)
class FileSides:
    """One changed file.

    `whole`: the side that it goes with in a cell. `changed`: the sides that the change is on.
    `proof` and `guard`: its content in these cells, where it is neither commit's as a whole.
    `is_manifest`: it decides what setup installs, so a cell has the source's. `partly`: it may
    belong to the tests or the runner as well.
    """

    file: FileDiff
    whole: Side
    changed: frozenset[Side]
    proof: bytes | None = None
    guard: bytes | None = None
    is_manifest: bool = False
    partly: bool = False

    @property
    def path(self) -> str:
        return self.file.path


def changed_sides(files: Iterable[FileSides]) -> ChangedSides:
    """The paths by side, as printable text."""
    listed = tuple(files)

    def on(side: Side) -> tuple[str, ...]:
        return tuple(each.path for each in listed if side in each.changed)

    return ChangedSides(
        source=on(Side.SOURCE),
        tests=on(Side.TESTS),
        helpers=on(Side.HELPERS),
        runner=on(Side.RUNNER),
        ci=on(Side.CI),
        documentation=on(Side.DOCUMENTATION),
        partly=tuple(each.path for each in listed if each.partly),
    )


def with_source(each: FileSides) -> FileSides:
    """The file as part of the source, if it cannot be separated."""
    return _whole(each.file, Side.SOURCE, partly=True, is_manifest=each.is_manifest)


_FIXTURE_PROJECT = re.compile(
    r"(?:^|/)(?:fixtures|__fixtures__|testdata|test[_-]data|data|cassettes|samples?|examples?)/"
)
_BUILD_FILES = re.compile(
    r"(?:^|/)(?:GNUmakefile|[Mm]akefile|[Jj]ustfile|Taskfile\.ya?ml|Dockerfile[^/]*|[^/]*\.gradle"
    r"|[^/]*\.gradle\.kts|vite\.config\.[^/]*|mix\.exs|Package\.swift|[^/]*\.(?:cs|fs|vb)proj"
    r"|CMakeLists\.txt|composer\.json)$"
)
_ABOUT_TESTS = re.compile(rb"(?i)test|spec\b|junit|check\b|verify\b|coverage")
_UNSURE_SUITES = {
    "go": re.compile(rb"(?m)^func (?:Test|Benchmark|Example|Fuzz)"),
    "rs": re.compile(rb"#\[(?:\w+::)*(?:test|rstest|test_case|quickcheck|bench)\b"),
    "java": re.compile(rb"@(?:\w*Test|TestFactory|TestTemplate|RunWith|Suite)\b|TestCase\b"),
    "py": re.compile(rb"(?m)^(?: {4}|\t)?(?:async )?def test|\bTestCase\b"),
    **dict.fromkeys(
        ("js", "jsx", "mjs", "cjs", "ts", "mts", "cts", "tsx"),
        re.compile(rb"\b(?:test|it|describe|suite|bench)(?:\.\w+)*\s*[(`]|node:test|\btape\b"),
    ),
}
_SURE_SUITE = re.compile(
    r"(?:^|/)(?:test_[^/]*|[^/]*_tests?|tests?)\.py$|\.(?:test|spec|e2e)\.\w+$"
    r"|(?:Tests?|TestCase|IT)\.java$"
)
_DOCTESTS = re.compile(rb"doctest[-_]modules|\bdoctest\.(?:testmod|DocTest)|DocTestSuite|xdoctest")
_TEXT_DOCTESTS = re.compile(rb"doctest[-_]glob|DocFileSuite|doctest\.testfile|\bsybil\b")
RUNNER_SETTINGS = (
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "pytest.ini",
    "noxfile.py",
    "Makefile",
)
_MARKS = {
    "rust": re.compile(rb"test|bench|quickcheck"),
    "in_source_tests": re.compile(rb"import\.meta\.vitest"),
    "doctests": re.compile(rb">>>"),
}
"""The pattern of files with such tests."""

_CFG_TEST_MODULE = (
    r"#\[cfg\(\s*(?:all\(\s*)?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*"
    r"(?:pub(?:\([^)]*\))?\s+)?mod\s+%s\s*;"
)


@dataclass(frozen=True)
class SideFinder:
    """Finds the sides of a change. `base` and `head` are the two commits.

    Reading the imports of a large repository takes seconds: use it in a thread.
    """

    base: Tree
    head: Tree
    _imports: ImportReader = field(default_factory=ImportReader)
    _taken_apart: list[int] = field(default_factory=list)
    """Sizes of the files that were split so far, in bytes."""

    def files(self, diff: Diff) -> tuple[FileSides, ...]:
        """Every changed file with its sides. Never raises for file contents."""
        return tuple(self._file(file) for file in diff.files)

    @cached_property
    def base_graph(self) -> ImportGraph:
        return self._imports.read(self.base)

    @cached_property
    def head_graph(self) -> ImportGraph:
        return self._imports.read(self.head)

    def _file(self, file: FileDiff) -> FileSides:
        side = self._by_path(file)
        if {LINK, SUBMODULE} & {file.old_mode, file.new_mode}:
            partly = side in (Side.TESTS, Side.HELPERS, Side.RUNNER)
            return _whole(file, Side.SOURCE, partly=partly)
        if side in TEST_SIDE:
            return self._of_tests(file, side)
        if side is Side.SOURCE:
            return self._of_source(file)
        return _whole(file, side, is_manifest=paths.lists_test_dependencies(file.path))

    # By path and own content.

    def _by_path(self, file: FileDiff) -> Side:
        path = file.path
        in_tests = paths.is_in_test_folder(path)
        if paths.is_ci(path):
            return Side.CI
        if in_tests and _FIXTURE_PROJECT.search(path) and not paths.finds_tests(path):
            return Side.HELPERS
        if paths.is_runner_side(path) and not _BUILD_FILES.search(path):
            return Side.RUNNER
        if paths.finds_tests(path):
            return self._suite_or_helper(file)
        if (
            in_tests
            or (paths.is_test(path) and not path.endswith(".rs"))
            or paths.is_snapshot(path)
        ):
            return Side.HELPERS
        if paths.lists_test_dependencies(path):
            return Side.RUNNER
        if paths.is_documentation(path):
            return Side.TESTS if self._has_examples(file) else Side.DOCUMENTATION
        if path.endswith(".rs") and self._is_test_module(path):
            return Side.TESTS if _has_tests(file, _UNSURE_SUITES["rs"]) else Side.HELPERS
        if paths.is_test_data(path):
            return Side.HELPERS
        return Side.SOURCE

    def _suite_or_helper(self, file: FileDiff) -> Side:
        """A file in which the runner looks for tests, if it has some."""
        path = file.path
        pattern = _UNSURE_SUITES.get(path.rpartition(".")[2])
        if pattern is None or _has_tests(file, pattern):
            return Side.TESTS
        if _SURE_SUITE.search(path) and not paths.is_test_support(path):
            return Side.TESTS
        if paths.is_in_test_folder(path) or path.endswith("_test.go"):
            return Side.HELPERS
        return Side.SOURCE

    def _has_examples(self, file: FileDiff) -> bool:
        """Whether the runner executes examples in the text."""
        return b">>>" in (file.old or b"") + (file.new or b"") and self._reads_documents

    @cached_property
    def _reads_documents(self) -> bool:
        return any(self._settings_say(tree, _TEXT_DOCTESTS) for tree in (self.base, self.head))

    @cached_property
    def runs_doctests(self) -> bool:
        """Whether the project runs the examples in its docstrings, on either side."""
        return any(self._settings_say(tree, _DOCTESTS) for tree in (self.base, self.head))

    def _settings_say(self, tree: Tree, pattern: re.Pattern[bytes]) -> bool:
        names = [
            path
            for path in tree.paths
            if path.rpartition("/")[2] in RUNNER_SETTINGS
            or (path.endswith(".py") and (paths.is_test(path) or paths.is_in_test_folder(path)))
        ]
        return any(pattern.search(tree.read(path) or b"") for path in names)

    def _is_test_module(self, path: str) -> bool:
        """Whether a Rust file is declared as `#[cfg(test)] mod name;`, wherever it exists."""
        trees = [tree for tree in (self.base, self.head) if path in tree.paths]
        return bool(trees) and all(_is_test_module(tree, path) for tree in trees)

    # By imports.

    def _of_tests(self, file: FileDiff, side: Side) -> FileSides:
        path = file.path
        if self._is_used_by_source(path) or self._may_be_used(path, side):
            return _whole(file, Side.SOURCE, partly=True)
        changed = {side}
        if side is Side.TESTS and not path.endswith(".go") and self._serves_tests(path):
            changed.add(Side.HELPERS)
        return FileSides(file, side, frozenset(changed))

    def _is_used_by_source(self, path: str) -> bool:
        if reads(path):
            return path in self._base_source or path in self._head_source
        if paths.is_code(path) or not paths.may_serve_the_product(path):
            return False
        return any(self._mentions(tree, path) for tree in (self.base, self.head))

    def _may_be_used(self, path: str, side: Side) -> bool:
        """Whether that is unknown, because not all files could be read."""
        if side is Side.TESTS or not reads(path) or paths.is_test(path):
            return False
        return not (self.base_graph.is_complete and self.head_graph.is_complete)

    @cached_property
    def _base_source(self) -> frozenset[str]:
        return self.base_graph.reachable(_source_code(self.base))

    @cached_property
    def _head_source(self) -> frozenset[str]:
        return self.head_graph.reachable(_source_code(self.head))

    def _serves_tests(self, path: str) -> bool:
        graphs = (self.base_graph, self.head_graph)
        return any(graph.importers.get(path) for graph in graphs)

    def _mentions(self, tree: Tree, path: str) -> bool:
        """Whether source names the file or its folder in a string."""
        folder, _, name = path.rpartition("/")
        words = [name, folder.rpartition("/")[2]]
        pattern = re.compile(
            b"[\"'`/]%s[\"'`]|[\"'`]%s[\"'`/]"
            % tuple(re.escape(word.encode("utf-8", "surrogateescape")) for word in words)
        )
        return any(pattern.search(tree.read(each) or b"") for each in _source_code(tree))

    # Source, and files mixed with it.

    def _of_source(self, file: FileDiff) -> FileSides:
        path = file.path
        if paths.is_code(path) and paths.is_test_support(path):
            return self._of_support(file)
        if _BUILD_FILES.search(path):
            return self._of_build(file)
        splitter = self._splitter(file)
        if splitter:
            self._taken_apart.append(len(file.old or b"") + len(file.new or b""))
            if sum(self._taken_apart) > MAX_SPLIT_BYTES:
                return with_source(_whole(file, Side.SOURCE, is_manifest=_is_manifest(file)))
            return _split(file, splitter)
        return _whole(file, Side.SOURCE, is_manifest=_is_manifest(file))

    def _of_support(self, file: FileDiff) -> FileSides:
        """A file named like a helper outside the test folders: its imports decide."""
        path = file.path
        if not reads(path):
            return _whole(file, Side.SOURCE, partly="test" in path)
        sides = [
            (tree, graph)
            for tree, graph in ((self.base, self.base_graph), (self.head, self.head_graph))
            if path in tree.paths
        ]
        used = [any(map(_is_of_tests, graph.users([path]) - {path})) for _, graph in sides]
        if not any(used):
            return _whole(file, Side.SOURCE)
        complete = all(graph.is_complete for _, graph in sides)
        if complete and all(used) and not self._is_used_by_source(path):
            return _whole(file, Side.HELPERS)
        return _whole(file, Side.SOURCE, partly=True)

    def _of_build(self, file: FileDiff) -> FileSides:
        """A build file, which cannot be split: whether its changed lines mention tests."""
        lines = [line for _, line in (*file.added_lines, *file.removed_lines)]
        speaks = file.withheld or any(_ABOUT_TESTS.search(line) for line in lines)
        return _whole(file, Side.SOURCE, partly=speaks, is_manifest=_is_manifest(file))

    def _splitter(self, file: FileDiff) -> str:
        name = paths.splitter(file.path)
        if name == "doctests" and not self.runs_doctests:
            return ""
        mark = _MARKS.get(name)
        return name if mark is None or _has_tests(file, mark) else ""


def _has_tests(file: FileDiff, pattern: re.Pattern[bytes]) -> bool:
    """Whether either version has tests; a file that was not loaded counts as having some."""
    return file.withheld or any(pattern.search(each or b"") for each in (file.old, file.new))


def _is_manifest(file: FileDiff) -> bool:
    return paths.decides_dependencies(file.path)


def _whole(
    file: FileDiff, side: Side, *, partly: bool = False, is_manifest: bool = False
) -> FileSides:
    return FileSides(file, side, frozenset({side}), partly=partly, is_manifest=is_manifest)


def _split(file: FileDiff, name: str) -> FileSides:
    """A file with source and something else in it: which of the two changed."""
    other = Side.TESTS if belongs_to(name) == "tests" else Side.RUNNER
    is_manifest = _is_manifest(file)
    before, after = parts(name, file.old), parts(name, file.new)
    if before is None or after is None or file.withheld:
        return _whole(file, Side.SOURCE, partly=True, is_manifest=is_manifest)
    changed = set()
    if before.source != after.source or file.is_added or file.is_deleted:
        changed.add(Side.SOURCE)
    if before.rest != after.rest:
        changed.add(other)
    if before.dependencies != after.dependencies and None not in (
        before.dependencies,
        after.dependencies,
    ):
        changed.add(Side.RUNNER)
    # Other differences, such as comments and formatting, belong to the source.
    whole = FileSides(
        file, Side.SOURCE, frozenset(changed or {Side.SOURCE}), is_manifest=is_manifest
    )
    if before.rest == after.rest:
        return whole
    old, new = file.old or b"", file.new or b""
    if Side.SOURCE not in changed and before.dependencies == after.dependencies:
        return replace(whole, proof=new if other is Side.TESTS else None, guard=old)
    proof = guard = None
    if other is Side.TESTS and not file.is_added and not file.is_deleted:
        proof = SPLITTERS[name].splice(old, new)
    if not file.is_deleted:
        guard = SPLITTERS[name].splice(new, old)
    if (guard is None and not file.is_deleted) or (
        proof is None and other is Side.TESTS and not file.is_added and not file.is_deleted
    ):
        return _whole(file, Side.SOURCE, partly=True, is_manifest=is_manifest)
    return replace(whole, proof=proof, guard=guard)


def _is_of_tests(path: str) -> bool:
    """Whether the file belongs to the tests, by its path alone. If in doubt, it does not."""
    if paths.is_in_test_folder(path):
        return True
    if path.endswith(".py"):
        return bool(_SURE_SUITE.search(path)) or path.rpartition("/")[2] == "conftest.py"
    return paths.is_test(path) and not path.endswith(".rs")


def _source_code(tree: Tree) -> Collection[str]:
    """The code that the product may consist of."""
    return [
        path
        for path in tree.paths
        if (reads(path) or paths.is_code(path))
        and not _is_of_tests(path)
        and not paths.is_test_support(path)
        and not paths.is_runner_side(path)
    ]


def _is_test_module(tree: Tree, path: str, depth: int = 4) -> bool:
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".rs")
    if stem == "mod":
        folder, _, stem = folder.rpartition("/")
    above = f"{folder}/" if folder else ""
    parents = [f"{above}{each}.rs" for each in ("mod", "lib", "main")]
    parents.append(f"{folder}.rs")
    declares = re.compile(rf"\bmod\s+{re.escape(stem)}\s*;".encode("utf-8", "replace"))
    for parent in parents:
        content = tree.read(parent) or b""
        if parent == path or not declares.search(content):
            continue
        under_test = (_CFG_TEST_MODULE % re.escape(stem)).encode("utf-8", "replace")
        if re.search(under_test, content):
            return True
        return depth > 0 and _is_test_module(tree, parent, depth - 1)
    return False
