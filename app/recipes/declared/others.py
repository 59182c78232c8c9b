"""Setup files that other tools read, one reader for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.file_tree import FileTree
from app.domain.safe_json import json_value
from app.recipes.declared import shell, targets
from app.recipes.declared.findings import Findings
from app.recipes.declared.script import ScriptPlace, ScriptReader

_DEVCONTAINERS = (".devcontainer/devcontainer.json", ".devcontainer.json")
_OPENHANDS = ".openhands/setup.sh"
_APP = "app.json"
_SCRIPTS = ("scripts/test", "script/test", "bin/test", "scripts/test.sh")
_TARGETS = ("test", "tests", "check", "ci")
_MAX_BYTES = 100_000
_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*[\s\S]*?\*/|,(?=\s*[}\]])')


def prepared(tree: FileTree) -> Findings:
    """Files that prepare an environment for people, agents or Heroku's CI."""
    findings = Findings()
    for source, script in (*_devcontainer(tree), *_openhands(tree), *_app(tree)):
        _read(tree, findings, script, source)
    return findings


def tests(tree: FileTree) -> Findings:
    """What runs the tests if no CI does: a target or a script with a common name."""
    for program in ("make", "just", "task", "mise"):
        found = targets.read(tree, program, "")
        name = next((each for each in _TARGETS if found and each in found.scripts), "")
        if name:
            findings = Findings()
            _read(tree, findings, f"{program} {name}", found.path if found else "")
            return findings
    for path in _SCRIPTS:
        if tree.exists(path):
            findings = Findings()
            _read(tree, findings, f"./{path}", path)
            return findings
    return Findings()


def _read(tree: FileTree, findings: Findings, script: str, source: str) -> None:
    findings.source = findings.source or source
    ScriptReader(tree, findings, {}).read(script, ScriptPlace(source))


def _devcontainer(tree: FileTree) -> Iterator[tuple[str, str]]:
    for path in _DEVCONTAINERS:
        data = _json(tree, path)
        for key in ("onCreateCommand", "updateContentCommand", "postCreateCommand"):
            given = data.get(key)
            each = given.values() if isinstance(given, dict) else [given]
            for command in each:
                if isinstance(command, str):
                    yield f"{path} ({key})", command


def _openhands(tree: FileTree) -> Iterator[tuple[str, str]]:
    script = tree.read_text(_OPENHANDS, shell.MAX_SCRIPT + 1)
    if script is not None:
        yield _OPENHANDS, script


def _app(tree: FileTree) -> Iterator[tuple[str, str]]:
    """https://devcenter.heroku.com/articles/app-json-schema"""
    data = _json(tree, _APP)
    for part in ("environments", "test"):
        inner = data.get(part)
        if not isinstance(inner, dict):
            return
        data = inner
    scripts = data.get("scripts")
    for key in ("test-setup", "test"):
        command = scripts.get(key) if isinstance(scripts, dict) else None
        if isinstance(command, str):
            yield f"{_APP} ({key})", command


def _json(tree: FileTree, path: str) -> dict[str, object]:
    """A JSON file with comments and trailing commas; empty if it is unreadable."""
    content = tree.read_text(path, _MAX_BYTES)
    try:
        data = json_value(_COMMENT.sub(lambda found: found[1] or "", content or "{}"))
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
