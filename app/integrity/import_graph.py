"""Which files of a commit use which others, from their import statements. Pure.

Statements are found by regular expressions, and names are resolved to every file that they may
mean. So the graph has edges that the program does not use, which is the safe side: a file that
source may import belongs to the source. Imports by a computed name are not seen.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from app.domain.file_tree import and_above
from app.domain.safe_json import json_value
from app.integrity import paths
from app.integrity.trees import Tree

MAX_FILE_BYTES = 1_000_000
"""The imports of a larger file are not read; it is usually generated, or data."""

Statements = tuple[str, ...]


@dataclass(frozen=True)
class ImportGraph:
    """The edges of one commit. `is_complete`: every file of code of a usual size was read."""

    imports: Mapping[str, frozenset[str]]
    is_complete: bool = True

    @cached_property
    def importers(self) -> Mapping[str, frozenset[str]]:
        """The files that import a file directly."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for path, targets in self.imports.items():
            for target in targets:
                found[target].add(path)
        return {path: frozenset(each) for path, each in found.items()}

    def reachable(self, roots: Iterable[str]) -> frozenset[str]:
        """The roots, and everything that they import, directly or indirectly."""
        return _closure(roots, self.imports)

    def users(self, targets: Iterable[str]) -> frozenset[str]:
        """The targets, and everything that imports them, directly or indirectly."""
        return _closure(targets, self.importers)


def _closure(roots: Iterable[str], edges: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found = set(roots)
    waiting = list(found)
    while waiting:
        fresh = edges.get(waiting.pop(), frozenset()) - found
        found |= fresh
        waiting.extend(fresh)
    return frozenset(found)


class ImportReader:
    """Reads the import graphs of commits. Remembers statements by content, as most files of two
    commits are the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], Statements] = {}

    def read(self, tree: Tree) -> ImportGraph:
        """The graph of one commit. Never raises for its contents."""
        index = _Index(tree)
        imports: dict[str, frozenset[str]] = {}
        for path in tree.paths:
            language = _LANGUAGES.get(path.rpartition(".")[2])
            if language is None:
                continue
            content = tree.read(path)
            if content is None or len(content) > MAX_FILE_BYTES:
                continue
            statements = self._statements(language, content)
            targets = {
                target
                for statement in statements
                for target in language.resolve(index, path, statement)
            }
            targets.update(language.always(index, path))
            imports[path] = frozenset(targets - {path})
        return ImportGraph(imports, tree.is_complete)

    def _statements(self, language: _Language, content: bytes) -> Statements:
        key = (language.name, content)
        if key not in self._known:
            self._known[key] = tuple(dict.fromkeys(language.statements(content)))
        return self._known[key]


class _Index:
    """The paths of a commit, by the names that an import may use for them."""

    def __init__(self, tree: Tree) -> None:
        self.paths = tree.paths
        self._tree = tree

    @cached_property
    def by_folder(self) -> Mapping[str, tuple[str, ...]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            found[path.rpartition("/")[0]].append(path)
        return {folder: tuple(each) for folder, each in found.items()}

    @cached_property
    def by_name(self) -> Mapping[str, tuple[str, ...]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            found[path.rpartition("/")[2]].append(path)
        return {name: tuple(each) for name, each in found.items()}

    @cached_property
    def packages(self) -> Mapping[str, str]:
        """The folders of npm packages, by the names in their manifests."""
        found: dict[str, str] = {}
        for path in self.by_name.get("package.json", ()):
            try:
                manifest = json_value((self._tree.read(path) or b"").decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(manifest, dict) and isinstance(manifest.get("name"), str):
                found[manifest["name"]] = path.rpartition("/")[0]
        return found

    @cached_property
    def modules(self) -> Mapping[str, str]:
        """The folders of Go modules, by their paths, the longest first."""
        found: dict[str, str] = {}
        for path in self.by_name.get("go.mod", ()):
            named = re.search(rb"(?m)^module[ \t]+\"?([^\s\"]+)", self._tree.read(path) or b"")
            if named:
                found[named.group(1).decode("utf-8", "surrogateescape")] = path.rpartition("/")[0]
        return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


# Python

_PY_STATEMENT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+(\.*[ \t]*[\w.]*)[ \t]+import\b[ \t]*"
    rb"(\([^)]*\)|(?:[^\n;#\\]|\\\r?\n)*)"
    rb"|import[ \t]+((?:[^\n;#\\]|\\\r?\n)+))",
    re.MULTILINE,
)
_PY_DOTTED = re.compile(rb"[\"'](\.{0,3}[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|\.{1,3}[A-Za-z_]\w*)[\"':]")
_PY_DYNAMIC = re.compile(
    rb"(?:import_module|__import__|pytest_plugins\s*=\s*\[?)\s*\(?\s*[\"']([\w.]+)"
)
_PY_ROOTS = ("", "src", "lib", "python")


def _python_statements(content: bytes) -> Iterator[str]:
    """Dotted names; the last part may be a name within the module."""
    for found in _PY_STATEMENT.finditer(content):
        module, names, plain = (each.decode("utf-8", "replace") for each in found.groups(b""))
        if plain:
            yield from (words[0] for each in plain.split(",") if (words := each.split()))
            continue
        module = "".join(module.split())
        yield module
        for each in re.sub(r"#[^\n]*|[()\\]", " ", names).split(","):
            if (words := each.split()) and re.fullmatch(r"\w+", words[0]):
                yield f"{module}{'' if module.endswith('.') else '.'}{words[0]}"
    for pattern in (_PY_DOTTED, _PY_DYNAMIC):
        for found in pattern.finditer(content):
            name = found.group(1).decode()
            yield from (name, name.rpartition(".")[0] or name)


def _python_resolve(index: _Index, path: str, name: str) -> Iterator[str]:
    rest = name.lstrip(".")
    dots = len(name) - len(rest)
    inner = rest.replace(".", "/")
    if dots:
        folders = list(and_above(path.rpartition("/")[0]))
        bases = folders[dots - 1 : dots]
        yield from (found for base in bases for found in _python_files(index, base, inner))
        return
    found = [
        file
        for folder in and_above(path.rpartition("/")[0])
        for root in _PY_ROOTS
        for file in _python_files(index, _join(folder, root) if root else folder, inner)
    ]
    if not found and paths.is_in_test_folder(path):
        # pytest puts folders on the path by its own rules and by configuration.
        for candidate in (f"{inner}.py", f"{inner}/__init__.py"):
            named = index.by_name.get(candidate.rpartition("/")[2], ())
            found += [each for each in named if each.endswith(f"/{candidate}")]
    yield from found


def _python_files(index: _Index, folder: str, inner: str) -> Iterator[str]:
    """The module and the packages that an import of it loads."""
    if not inner:
        candidates = [_join(folder, "__init__.py")]
    else:
        whole = _join(folder, inner)
        candidates = [f"{whole}.py", f"{whole}/__init__.py", f"{whole}.pyi"]
    found = [each for each in candidates if each in index.paths]
    yield from found
    if found:
        parts = inner.split("/")[:-1]
        for end in range(len(parts), 0, -1):
            package = _join(folder, "/".join([*parts[:end], "__init__.py"]))
            if package in index.paths:
                yield package


def _python_always(index: _Index, path: str) -> Iterator[str]:
    """The files that are loaded with a file: its package, and for tests the `conftest.py` files
    above.
    """
    own = _join(path.rpartition("/")[0], "__init__.py")
    if own in index.paths:
        yield own
    if paths.finds_tests(path) or path.endswith("conftest.py"):
        for folder in and_above(path.rpartition("/")[0]):
            if (conftest := _join(folder, "conftest.py")) in index.paths:
                yield conftest


# JavaScript and TypeScript

_JS_STATEMENT = re.compile(
    rb"(?:\bfrom|\bimport|\brequire(?:\.\w+)?\s*\(|\bimport\s*\(|\b(?:jest|vi|mock)\.\w+\s*\()\s*"
    rb"[\"'`]([^\"'`\n]{1,300})[\"'`]"
)
_JS_RELATIVE = re.compile(rb"[\"'`](\.\.?/[^\"'`\n]{1,300})[\"'`]")
_JS_SUFFIXES = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".d.ts", ".json")
_JS_INDEX = tuple(f"/index{suffix}" for suffix in _JS_SUFFIXES[1:-1])


def _js_statements(content: bytes) -> Iterator[str]:
    for pattern in (_JS_STATEMENT, _JS_RELATIVE):
        yield from (each.group(1).decode("utf-8", "replace") for each in pattern.finditer(content))


def _js_resolve(index: _Index, path: str, name: str) -> Iterator[str]:
    name = name.partition("?")[0]
    if name.startswith("."):
        yield from _js_files(index, posixpath.normpath(_join(path.rpartition("/")[0], name)))
        return
    words = name.split("/")
    package = "/".join(words[: 2 if name.startswith("@") else 1])
    if package in index.packages:
        rest = name[len(package) :]
        for root in ("", "/src", "/lib"):
            yield from _js_files(index, _join(index.packages[package], (root + rest).strip("/")))
    # Aliases such as `@/x`, `~/x` and `#x`, and folders below a base URL.
    first, _, rest = name.partition("/")
    names = [name, rest] if re.match(r"[@~#$]", first) and rest else [name]
    for folder in and_above(path.rpartition("/")[0]):
        for each in names:
            for root in ("", "src/", "app/", "lib/", "src/lib/"):
                if "/" in each or root or each != name:
                    yield from _js_files(index, _join(folder, root + each))


def _js_files(index: _Index, whole: str) -> Iterator[str]:
    whole = whole.strip("/")
    for suffix in (*_JS_SUFFIXES, *_JS_INDEX):
        if whole + suffix in index.paths:
            yield whole + suffix
    # TypeScript imports `x.ts` as `x.js`.
    stem, dot, suffix = whole.rpartition(".")
    if dot and suffix in ("js", "mjs", "cjs", "jsx"):
        for each in (f"{stem}.{suffix.replace('js', 'ts')}", f"{stem}.tsx"):
            if each in index.paths:
                yield each


# Go

_GO_IMPORTS = re.compile(rb"(?m)^import[ \t]*(\([^)]*\)|[^\n]*)")


def _go_statements(content: bytes) -> Iterator[str]:
    for block in _GO_IMPORTS.findall(content):
        yield from (each.decode("utf-8", "replace") for each in re.findall(rb'"([^"\n]+)"', block))


def _go_resolve(index: _Index, path: str, name: str) -> Iterator[str]:
    for module, folder in index.modules.items():
        if name == module or name.startswith(f"{module}/"):
            package = _join(folder, name[len(module) + 1 :]).strip("/")
            yield from _go_package(index, package)
            return


def _go_package(index: _Index, folder: str) -> Iterator[str]:
    for each in index.by_folder.get(folder, ()):
        if each.endswith(".go") and not each.endswith("_test.go"):
            yield each


def _go_always(index: _Index, path: str) -> Iterator[str]:
    """A package is built as a whole."""
    for each in index.by_folder.get(path.rpartition("/")[0], ()):
        if each.endswith(".go") and (path.endswith("_test.go") or not each.endswith("_test.go")):
            yield each


# Ruby

_RUBY_STATEMENT = re.compile(
    rb"\b(require_relative|require|load|autoload)\b[ \t(]*(?::\w+[ \t]*,[ \t]*)?"
    rb"[\"']([^\"'\n]{1,300})[\"']"
)


def _ruby_statements(content: bytes) -> Iterator[str]:
    for kind, name in _RUBY_STATEMENT.findall(content):
        yield ("./" if kind == b"require_relative" else "") + name.decode("utf-8", "replace")


def _ruby_resolve(index: _Index, path: str, name: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    if name.startswith("."):
        bases = [posixpath.normpath(_join(folder, name))]
    else:
        roots = ("", "lib", "app", "spec", "test")
        bases = [
            _join(_join(above, root) if root else above, name)
            for above in and_above(path.rpartition("/")[0])
            for root in roots
        ]
    for base in bases:
        for each in (base, f"{base}.rb"):
            if each in index.paths:
                yield each


def _nothing(index: _Index, path: str) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class _Language:
    name: str
    statements: Callable[[bytes], Iterable[str]]
    resolve: Callable[[_Index, str, str], Iterable[str]]
    always: Callable[[_Index, str], Iterable[str]] = _nothing


_LANGUAGES: Mapping[str, _Language] = {
    **dict.fromkeys(
        ("py", "pyi"), _Language("python", _python_statements, _python_resolve, _python_always)
    ),
    **dict.fromkeys(
        ("js", "jsx", "mjs", "cjs", "ts", "mts", "cts", "tsx", "vue", "svelte"),
        _Language("javascript", _js_statements, _js_resolve),
    ),
    "go": _Language("go", _go_statements, _go_resolve, _go_always),
    "rb": _Language("ruby", _ruby_statements, _ruby_resolve),
}


def reads(path: str) -> bool:
    """Whether the graph has the imports of files like this one."""
    return path.rpartition(".")[2] in _LANGUAGES
