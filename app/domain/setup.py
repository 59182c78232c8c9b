"""What a setup depends on, so that its result can be reused. Pure."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from app.domain.setup_plan import SetupStep
from app.domain.values import RepoName, Value
from app.ecosystems import ECOSYSTEMS

_DEPENDENCY_FILES = (
    *(pattern for ecosystem in ECOSYSTEMS for pattern in ecosystem.dependency_files),
    ".tool-versions",
)
_COMPILED = (".c", ".cc", ".cpp", ".cxx", ".pyx", ".rs", ".f", ".f90", ".go")

_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?(?:[=<>!~]=?[\w.*,<>=!~+-]*)?")
_PATH_FOLLOWS = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")
_FETCHES = {
    program: arguments
    for ecosystem in ECOSYSTEMS
    for program, arguments in ecosystem.fetch_commands.items()
}
_SCRIPTS = ("preinstall", "install", "postinstall", "prepare", "prepublish")


class BlockedHost(Value):
    """A host that setup was blocked from reaching: which, why, and how often."""

    host: str
    why: str
    count: int = 1


def dependency_files(files: Mapping[str, str], lines: Sequence[str]) -> dict[str, str]:
    """The files of a tree (blob by path) that determine a setup's result:

    recognized by their names, or named in a setup command.
    """
    named = {posixpath.normpath(word) for line in lines for word in _words(line)}
    return {path: blob for path, blob in files.items() if path in named or is_dependency_file(path)}


def is_dependency_file(path: str) -> bool:
    """Whether a file's name shows that it decides what setup installs."""
    return any(_matches(path, pattern) for pattern in _DEPENDENCY_FILES)


def _matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*/{pattern}")


def key(parts: Iterable[object]) -> str:
    """A name that changes with any of the parts."""
    text = json.dumps(list(parts), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def made_by(repo: RepoName, tree: str, *, branch: str = "", run: str = "") -> tuple[str, ...]:
    """Whose code made a setup's result, as part of its key.

    `branch`: the code is on that branch, which reuses the results of its earlier commits. `run`: it
    is the work of a run, for that run alone. Otherwise it is neither (a fork's, a pull request's),
    and its result applies only to exactly the same tree.
    """
    if branch:
        return ("branch", str(repo), branch)
    return ("run", str(repo), run, tree) if run else ("tree", str(repo), tree)


def only_installs(lines: Sequence[str], files: Iterable[str], package_json: str = "") -> bool:
    """Whether the commands only download dependencies, independently of the project's own sources.

    Then their result applies to another tree with the same dependency files. Any other command may
    build something from the sources (`pip install .`, `make`, a script), and runs again if the
    sources differ.
    """
    parts = [part for line in lines for part in re.split(r"&&|;", line) if part.strip()]
    if not all(_fetches(part) for part in parts):
        return False
    if any(name in package_json for name in (f'"{script}"' for script in _SCRIPTS)):
        return False
    editable = any(re.search(r"(?:-e|--editable)\b", line) for line in lines)
    return not (editable and any(path.endswith(_COMPILED) for path in files))


def steps_only_install(
    steps: Iterable[SetupStep], files: Iterable[str], package_json: str = ""
) -> bool:
    """The same for steps planned by Honk, which knows which of them build."""
    if any(step.purpose == "build" for step in steps):
        return False
    if any(f'"{script}"' in package_json for script in _SCRIPTS):
        return False
    lines = [each.line for step in steps for each in step.commands]
    from_sources = any(re.search(r"(?:^|\s)(?:-e|--editable|uv sync|\.)(?:\s|$)", x) for x in lines)
    return not (from_sources and any(path.endswith(_COMPILED) for path in files))


def _fetches(command: str) -> bool:
    if re.search(r"[$`|&*?()\\{}\n#]", command):
        return False
    words = _words(command)
    if re.fullmatch(r"python3?(\.\d+)?", posixpath.basename(words[0])) and words[1:2] == ["-m"]:
        words = words[2:]
    program, *rest = [posixpath.basename(words[0]), *words[1:]] if words else [""]
    if program in ("pip", "pip3"):
        return rest[:1] == ["install"] and _pip_fetches(rest[1:])
    if program == "venv":
        return True
    wanted = " ".join(word for word in rest if not word.startswith("-"))
    return wanted in _FETCHES.get(program, ())


def _pip_fetches(words: Sequence[str]) -> bool:
    """`pip install` of `.`, any path or URL builds."""
    before = ""
    for word in words:
        names_path = before in _PATH_FOLLOWS
        if not (names_path or word.startswith("-") or _REQUIREMENT.fullmatch(word)):
            return False
        before = "" if names_path else word
    return True


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
