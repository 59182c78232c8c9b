"""Targets of Makefile, justfile, Taskfile and mise.toml, as the scripts that they run. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.file_tree import FileTree, located
from app.recipes.declared import yaml_data

_MAX_BYTES = 200_000
_MOST = 30
_LONGEST = 200
_FILES = {
    "make": ("GNUmakefile", "Makefile", "makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml", "taskfile.yml"),
    "mise": ("mise.toml", ".mise.toml", ".config/mise.toml", "mise/config.toml"),
}
_HEAD = re.compile(
    r"(?P<names>[\w./-][\w./ -]*?)(?P<arguments>(?: [\w+*=\"'-]+)*)\s*::?(?!=)(?P<needs>[^=].*|)$"
)
_SET = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*(?::=|::=|\?=|=)\s*(.*)$")


@dataclass(frozen=True)
class Targets:
    """`scripts`: by target, what it runs, as shell. `needs`: what runs before it."""

    path: str
    default: str
    scripts: Mapping[str, str]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def order(self, name: str) -> list[str]:
        """The target and those that run before it, in the order in which they run."""
        found: list[str] = []
        waiting = [(name, False)]
        seen: set[str] = set()
        while waiting:
            each, ready = waiting.pop()
            if ready:
                found.append(each)
            elif each in self.scripts and each not in seen and len(seen) < _MOST:
                seen.add(each)
                waiting.append((each, True))
                waiting += [(need, False) for need in reversed(self.needs.get(each, ())[:_MOST])]
        return found


def read(tree: FileTree, program: str, folder: str) -> Targets | None:
    """The targets that a program finds in a folder; None if there is no file to read."""
    for name in _FILES[program]:
        path = located(name, folder)
        text = tree.read_text(path, _MAX_BYTES)
        if text is not None:
            return _READERS[program](path, text)
    return None


def _make(path: str, text: str) -> Targets | None:
    return _rules(path, text, r"\$[({](\w+)[)}]", is_make=True)


def _just(path: str, text: str) -> Targets | None:
    return _rules(path, text, r"\{\{\s*(\w+)\s*\}\}", is_make=False)


def _rules(path: str, text: str, variable: str, *, is_make: bool) -> Targets:
    values: dict[str, str] = {"MAKE": "make"} if is_make else {}
    scripts: dict[str, list[str]] = {}
    needs: dict[str, tuple[str, ...]] = {}
    current: list[str] = []
    expand = re.compile(variable)

    def known(line: str) -> str:
        return expand.sub(lambda found: values.get(found[1], found[0])[:500], line)[:2000]

    for line in text.replace("\\\n", " ").split("\n"):
        if line[:1] in ("\t", " "):
            for name in current:
                scripts[name].append(re.sub(r"^[@+-]+", "", known(line.strip()).replace("$$", "$")))
            continue
        if not line.strip() or line.startswith("#"):
            continue
        current = []
        assignment = _SET.match(line)
        head = None if assignment or len(line) > _LONGEST else _HEAD.match(line)
        if assignment:
            values.setdefault(assignment[1], known(assignment[2].strip().strip("\"'")))
        elif head is not None and not head["names"].startswith("."):
            names = head["names"].split() if is_make else head["names"].split()[:1]
            for name in names[:_MOST]:
                scripts.setdefault(name.lstrip("@"), [])
                before = re.sub(r"[#;].*", "", head["needs"]).replace("|", " ").split()
                needs[name] = (*needs.get(name, ()), *before)
            current = names[:_MOST]
    joined = {name: "\n".join(lines) for name, lines in scripts.items()}
    return Targets(path, next(iter(joined), ""), joined, needs)


def _task(path: str, text: str) -> Targets | None:
    try:
        data = yaml_data.mapping(yaml_data.load(text))
    except yaml_data.UnreadableYamlError:
        return None
    scripts: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for name, task in yaml_data.mapping(data.get("tasks")).items():
        body = yaml_data.mapping(task)
        lines = yaml_data.items(body.get("cmds") or body.get("cmd") or (task if not body else ""))
        found, calls = [], []
        for line in lines:
            inner = yaml_data.mapping(line)
            if yaml_data.text(inner.get("task")):
                calls.append(yaml_data.text(inner.get("task")))
            found.append(yaml_data.text(line) or yaml_data.text(inner.get("cmd")))
        before = [
            yaml_data.text(each) or yaml_data.text(yaml_data.mapping(each).get("task"))
            for each in yaml_data.items(body.get("deps"))
        ]
        scripts[name] = "\n".join(each for each in found if each)
        needs[name] = tuple(each for each in (*before, *calls) if each)
    return Targets(path, "default", scripts, needs)


def _mise(path: str, text: str) -> Targets | None:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    tasks = data.get("tasks")
    scripts: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        body = task if isinstance(task, dict) else {"run": task}
        run, before = body.get("run", ""), body.get("depends", [])
        lines = run if isinstance(run, list) else [run]
        scripts[name] = "\n".join(each for each in lines if isinstance(each, str))
        before = before if isinstance(before, list) else [before]
        needs[name] = tuple(each for each in before if isinstance(each, str))
    return Targets(path, "", scripts, needs)


_READERS = {"make": _make, "just": _just, "task": _task, "mise": _mise}
