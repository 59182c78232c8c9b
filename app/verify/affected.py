"""Which verifiers of a monorepo a change cannot affect. When in doubt, none.

A project is a folder with a manifest. It counts as unaffected only if every changed file is in
another project, and neither its files nor those of any project that it mentions name a changed
project, refer to anything above its own folder, or contain a symlink. Names are searched in the
text of all its files: false matches cost time and hide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from app.domain.file_tree import FileTree, folders_with
from app.ecosystems import ECOSYSTEMS
from app.verify.verifier import label
from app.verify.verifiers import Choice

MANIFESTS = tuple(name for ecosystem in ECOSYSTEMS for name in ecosystem.manifests)
MAX_PROJECTS = 100
MAX_FILES = 2_000
MAX_BYTES = 8 * 1024 * 1024
"""Maximum text of one project; a larger one counts as mentioning everything."""

# `..` as a path and not as a range or a spread, and the other ways out of a folder.
_LOOKS_ABOVE = re.compile(
    r"(?<![.\w)\]])\.\.(?![.\w(=])|\.parents?\b|\brev-parse\b|/workspace\b|dirname\(.*dirname\("
)
_DECLARED = tuple(
    re.compile(expression)
    for expression in dict.fromkeys(
        each for ecosystem in ECOSYSTEMS for each in ecosystem.declared_names
    )
)
# Another project may load what a project installs without naming it.
_PLUGIN = re.compile(r"entry[-_]?points|pytest11|ServiceLoader", re.IGNORECASE)
_EVERYBODYS = frozenset({"", "src", "lib", "test", "tests", "conftest", "setup", "noxfile", "docs"})


@dataclass(frozen=True)
class _Project:
    """A folder with a manifest. `text` is None if it must count as mentioning everything."""

    folder: str
    names: frozenset[str]
    text: str | None
    plugin: bool


def affected(choice: Choice, changed: Collection[str], tree: FileTree) -> Choice:
    """The choice without those that the changed paths cannot affect.

    `tree` is the changed commit. If no test would remain, all are kept.
    """
    if not changed or not any(verifier.folder for verifier in choice.verifiers):
        return choice
    folders = tuple(folder for folder in folders_with(tree, *MANIFESTS) if folder)
    homes = {_home(path, folders) for path in changed}
    if None in homes or len(folders) > MAX_PROJECTS:
        return choice
    reached = _reached({home for home in homes if home is not None}, folders, tree)
    if reached is None:
        return choice
    kept = tuple(
        verifier
        for verifier in choice.verifiers
        if verifier.folder not in folders or _touches(verifier.folder, reached)
    )
    if not any(verifier.kind == "tests" for verifier in kept):
        return choice
    left_out = (verifier for verifier in choice.verifiers if verifier not in kept)
    return replace(choice, verifiers=kept, left_out=tuple(map(label, left_out)))


def _home(path: str, folders: Sequence[str]) -> str | None:
    """The innermost project that contains the path."""
    return max((each for each in folders if path.startswith(f"{each}/")), key=len, default=None)


def _touches(folder: str, reached: Iterable[str]) -> bool:
    """Whether one of them is the folder, inside it, or contains it."""
    return any(
        f"{folder}/".startswith(f"{each}/") or each.startswith(f"{folder}/") for each in reached
    )


def _reached(changed: set[str], folders: Sequence[str], tree: FileTree) -> set[str] | None:
    """The changed projects and all that mention them; None if unknown."""
    projects = {folder: _read(folder, tree) for folder in folders}
    if any(projects[folder].plugin for folder in changed):
        return None
    reached = set(changed)
    waiting = list(changed)
    while waiting:
        names = _pattern(projects[waiting.pop()].names)
        for folder, project in projects.items():
            if folder not in reached and (project.text is None or names.search(project.text)):
                reached.add(folder)
                waiting.append(folder)
    return reached


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the names, however its parts are joined."""
    words = ("[-_.]".join(map(re.escape, re.split("[-_.]", name))) for name in sorted(names))
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)")


def _read(folder: str, tree: FileTree) -> _Project:
    paths = [path for path in tree.names(f"{folder}/*") if path.startswith(f"{folder}/")]
    manifests = "\n".join(tree.read_text(f"{folder}/{name}", MAX_BYTES) or "" for name in MANIFESTS)
    names = {folder.rpartition("/")[2], *_declared(manifests), *_modules(folder, paths)}
    return _Project(
        folder=folder,
        names=frozenset(name for name in names if name not in _EVERYBODYS),
        text=_text(folder, paths, tree),
        plugin=_PLUGIN.search(manifests) is not None,
    )


def _declared(manifests: str) -> Iterator[str]:
    for pattern in _DECLARED:
        yield from pattern.findall(manifests)


def _modules(folder: str, paths: Iterable[str]) -> Iterator[str]:
    """What Python would import the project's code as."""
    for path in paths:
        parts = path[len(folder) + 1 :].removeprefix("src/").split("/")
        if len(parts) == 1 and parts[0].endswith(".py"):
            yield parts[0].removesuffix(".py")
        elif len(parts) == 2 and parts[1] == "__init__.py":
            yield parts[0]


def _text(folder: str, paths: Sequence[str], tree: FileTree) -> str | None:
    if len(paths) > MAX_FILES or tree.has_links(folder):
        return None
    texts: list[str] = []
    left = MAX_BYTES
    for path in paths:
        text = tree.read_text(path, left + 1)
        if text is None or len(text) > left or _LOOKS_ABOVE.search(text):
            return None
        left -= len(text)
        texts.append(text)
    return "\n".join(texts)
