"""Hostile manifests and choices never become shell.

The repositories of the probe are changed at random places to hold a call of `hacked`, as a shell
would read it if it were not quoted. All lines that recipes make of them run in a bash that has no
program, in which every unknown command succeeds and `hacked` kills the shell.
"""

from __future__ import annotations

import json
import pkgutil
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, SetupPlan
from app.recipes import READERS, Machine, RecipeContext, SetupFailure, declared, discover
from tests.support import probe_fixtures

PAYLOADS = (
    *("; hacked ;", "$(hacked)", "`hacked`", "\nhacked\n", "'; hacked; '", '"; hacked; "'),
    *('"$(hacked)"', "'$(hacked)'", "| hacked", "&& hacked", "& hacked &"),
    *("${x:-$(hacked)}", "x; hacked #", "$'\\n'; hacked", ">=1; hacked", "1.0'$(hacked)'"),
)
OPTION = "--hacked"

_BASH = """
PATH=/nonexistent
command_not_found_handle() { :; }
hacked() { builtin kill -9 $$; }
cd() { :; }; exec() { :; }; exit() { :; }; source() { :; }; trap() { :; }; set() { :; }
for line in "$@"; do eval "$line" || :; wait; done
"""
_MACHINE = Machine(
    versions={
        "python": ("3.12.1", "3.11.7"),
        "node": ("20.11.0",),
        "go": ("1.22.1",),
        "rust": ("1.77.0",),
        "java": ("17.0.10",),
        "maven": ("3.8.7",),
        "ruby": ("3.1.2",),
    },
    programs=frozenset(
        {"python3", "node", "npm", "go", "cargo", "rustc", "java", "mvn", "ruby", "bundle"}
    ),
)
_FIXTURES = [
    fixture
    for each in pkgutil.iter_modules(probe_fixtures.__path__)
    for fixture in getattr(import_module(f"{probe_fixtures.__name__}.{each.name}"), "FIXTURES", ())
]
_WORD = re.compile(r"[A-Za-z0-9][\w.@/~^<>=*-]*")
_CODE = (".py", ".js", ".ts", ".go", ".rs", ".java", ".rb")


def is_hacked(lines: Sequence[str], folder: Any = "/") -> bool:
    """Whether one of the lines runs what its text holds."""
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", _BASH, "bash", *lines],
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode == -signal.SIGKILL


def lines_of(plan: SetupPlan) -> Iterator[str]:
    for recipe in plan.recipes:
        yield from (command.line for step in recipe.steps for command in step.commands)
        if recipe.collect is not None:
            yield recipe.collect.line


def takes_an_option(line: str) -> bool:
    """Whether a foreign word is an argument that a program reads as an option of its own."""
    return any(word.startswith(OPTION) for word in shlex.split(line))


@st.composite
def hostile_trees(draw: st.DrawFn) -> LoadedFiles:
    """The files of a small repository with a payload in some of their words or names."""
    files = dict(draw(st.sampled_from(_FIXTURES)).files)
    payload = draw(st.sampled_from([*PAYLOADS, OPTION]))
    escaped = json.dumps(payload)[1:-1]
    for path in [path for path in files if not path.endswith(_CODE)]:
        for found in reversed(list(_WORD.finditer(files[path]))):
            if draw(st.integers(0, 5)) == 0:
                text = draw(st.sampled_from([payload, escaped, f"{found[0]}{escaped}"]))
                files[path] = files[path][: found.start()] + text + files[path][found.end() :]
    if draw(st.booleans()):
        part = payload.replace("/", "") + draw(st.sampled_from(["", "a"]))
        files |= {f"{part}/{path}": text for path, text in files.items()}
        files |= {f"requirements-{part}-dev.txt": "six\n", f"requirements/{part}.txt": "six\n"}
    return LoadedFiles(files)


_WORDS = st.sampled_from([*PAYLOADS, OPTION, "test", "uv", "pnpm@9", "1.0"])
_MANY = st.lists(_WORDS, max_size=3).map(tuple)
CHOICES = st.builds(
    Choices,
    ecosystem=st.sampled_from([each.ecosystem for each in READERS]),
    recipe=st.one_of(_WORDS, st.just("")),
    groups=_MANY,
    extras=_MANY,
    packages=_MANY,
    version=st.one_of(_WORDS, st.just("")),
    manager=st.one_of(_WORDS, st.just("")),
    loose=st.booleans(),
    environment=st.dictionaries(_WORDS, _WORDS, max_size=2),
)
OUTPUTS = (
    "ModuleNotFoundError: No module named '{}'",
    "ERROR: Cannot find module '{}'",
    "fixture '{}' not found",
    "pytest: error: unrecognized arguments: {}",
    "npm error 404 Not Found - {}",
    "go: {} requires go >= {}",
    "error: package `{}` cannot be built because it requires rustc {}",
    "Could not find gem '{}'",
    "Requires-Python {}",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_unquoted_payload_is_noticed(payload: str) -> None:
    """The control of the tests below."""
    assert any(
        is_hacked([line])
        for line in (f"pip install {payload}", f"pip '{payload}'", f'pip "{payload}"')
    )
    assert not is_hacked([f"pip install {shlex.quote(payload)} && true"])


@settings(deadline=None)
@given(hostile_trees(), st.lists(CHOICES, max_size=3).map(tuple))
def test_no_manifest_and_no_choice_becomes_shell(
    tree: LoadedFiles, choices: tuple[Choices, ...]
) -> None:
    context = RecipeContext(tree, _MACHINE, declared.read(tree, _MACHINE), choices)
    lines = list(lines_of(discover(context)))
    assert not is_hacked(lines), lines
    assert not [line for line in lines if takes_an_option(line)]


@settings(deadline=None)
@given(
    hostile_trees(), st.sampled_from(OUTPUTS), st.sampled_from([*PAYLOADS, OPTION]), st.booleans()
)
def test_no_output_of_a_failure_becomes_shell(
    tree: LoadedFiles, output: str, payload: str, collecting: bool
) -> None:
    context = RecipeContext(tree, _MACHINE)
    failure = SetupFailure("", 1, output.replace("{}", payload), collecting=collecting)
    lines: list[str] = []
    for reader in READERS:
        for recipe in reader.read(context):
            answer = reader.repair(context, recipe, failure)
            if isinstance(answer, Choices):
                lines += lines_of(discover(RecipeContext(tree, _MACHINE, choices=(answer,))))
    assert not is_hacked(lines), lines
    assert not [line for line in lines if takes_an_option(line)]
