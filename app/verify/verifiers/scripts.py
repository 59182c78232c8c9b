"""A package.json's test script, its package manager, and the test runner it ends up calling."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.domain.file_tree import FileTree, and_above, folders_with, is_below, located
from app.domain.safe_json import json_value

MAX_MANIFEST_BYTES = 1_000_000
MAX_STEPS = 5
"""How far scripts that call other scripts are followed."""

_LOCKS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
)
# The placeholder that npm writes into a new package.json.
_NO_TESTS = re.compile(r"^echo .*no test specified.*exit 1$")
_CALLS = re.compile(r"(?:npm|pnpm|yarn) (?:run(?:-script)? )?([\w:.-]+)")
# A root script that delegates to its packages, each of which is tested by itself.
_HANDS_ON = re.compile(
    r"\b(?:turbo|nx|lerna|wireit|rush)\b|--workspaces?\b|(?<!\w)-ws\b|\bpnpm\b.* -r\b|"
    r"\bpnpm -r\b|--recursive\b|\byarn workspaces\b"
)
_BEFORE = re.compile(
    r"(?:(?:cross-env(?:-shell)?|env|npx|pnpx|(?:pnpm|yarn) (?:exec|dlx)|dotenv(?: --)?|"
    r"(?:nyc|c8)(?: --?\S+)*|\w+=\S*) )*"
)


@dataclass(frozen=True)
class Script:
    """The test script of one package.

    `runner`: the runner that it calls last, or "". `hooks`: other scripts run before it. `before`:
    commands that `test` runs before it calls this script. `alone`: `text` is one command of the
    script, followed by others or by a formatter of its output.
    """

    folder: str
    name: str
    manager: str
    runner: str
    text: str
    hooks: bool = False
    before: str = ""
    alone: bool = False

    @property
    def line(self) -> str:
        if self.alone:
            return self.text
        called = "test" if self.name == "test" else f"run {self.name}"
        return f"{self.manager} {called}"


def test_scripts(tree: FileTree) -> Iterator[Script]:
    """Those of all packages that have one, outermost first."""
    packages = {folder: _scripts(tree, folder) for folder in folders_with(tree, "package.json")}
    tested = {folder: each for folder, each in packages.items() if _has_tests(each)}
    for folder, scripts in tested.items():
        below = any(is_below(other, folder) for other in tested)
        if below and _HANDS_ON.search(scripts["test"]):
            continue
        name, before = _followed(scripts)
        if before and (not runner_of(scripts[name]) or _calls_runner(scripts, before)):
            name, before = "test", ""  # the commands before it are tests, or the only ones
        text = scripts[name]
        runner, hooks = runner_of(text), _has_hooks(scripts, name)
        if f"post{name}" in scripts:
            runner = ""
        yield Script(folder, name, _manager(tree, folder), runner, text, hooks, before)
        # Arguments after a script's name go to its last command, and only the exit code covers the
        # commands after a runner. So such a runner is also called by itself.
        if not runner:
            yield from _inner(scripts, folder, name)


def manifest(tree: FileTree, folder: str) -> Mapping[str, object]:
    """The package.json of a folder; empty if unreadable."""
    text = tree.read_text(located("package.json", folder), MAX_MANIFEST_BYTES)
    try:
        read = json_value(text or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _scripts(tree: FileTree, folder: str) -> dict[str, str]:
    scripts = manifest(tree, folder).get("scripts")
    if not isinstance(scripts, dict):
        return {}
    return {name: text for name, text in scripts.items() if isinstance(text, str)}


def _has_tests(scripts: Mapping[str, str]) -> bool:
    text = scripts.get("test", "").strip()
    return bool(text) and not _NO_TESTS.search(text)


def _followed(scripts: Mapping[str, str]) -> tuple[str, str]:
    """The script that `test` ends up calling, and the commands before that call."""
    name, commands = "test", []
    for _ in range(MAX_STEPS):
        text = scripts[name].strip()
        before, _, last = text.rpartition("&&")
        found = _CALLS.fullmatch(last.strip())
        if found is None or found[1] not in scripts or _has_hooks(scripts, name):
            break
        if before and last_command(text) != " ".join(last.split()):
            break
        name = found[1]
        if before:
            commands.append(before.strip())
    return name, " && ".join(commands)


def _has_hooks(scripts: Mapping[str, str], name: str) -> bool:
    return f"pre{name}" in scripts or f"post{name}" in scripts


def _manager(tree: FileTree, folder: str) -> str:
    """The package manager of the package's lock file, or of the nearest one in a folder above."""
    for place in and_above(folder):
        for lock, manager in _LOCKS:
            if tree.exists(located(lock, place)):
                return manager
    return "npm"


_RUNNERS = (
    ("jest", re.compile(r"(?:node(?: --?\S+)* )?(?:\S*/)?(?:jest(?:\.js)?|react-scripts test)")),
    ("vitest", re.compile(r"(?:node(?: --?\S+)* )?(?:\S*/)?vitest(?:\.mjs)?(?: run)?")),
    ("mocha", re.compile(r"(?:node(?: --?\S+)* )?(?:\S*/)?_?mocha(?:\.c?js)?")),
    ("ava", re.compile(r"(?:\S*/)?ava")),
    ("tap", re.compile(r"(?:\S*/)?tap(?: run)?")),
    ("tape", re.compile(r"(?:node(?: --?\S+(?: (?!-)\S+)?)*? )?(?:\S*/)?tape")),
    ("node", re.compile(r"(?:node|tsx)(?: --?\S+(?: (?!-)\S+)?)*? --test(?=[ =]|$)")),
)
_ASKS_OTHERWISE = re.compile(
    r"(?<!\S)(?:--watch\w*|--list\w*|--version|--help|--ui|--init|bench|typecheck)(?=[ =]|$)"
)


def runner_of(text: str) -> str:
    """The runner that a script calls last, or "": arguments after a script's name go to that call.

    If the line asks for something other than a single run, Honk adds nothing to it.
    """
    command = last_command(text)
    if command is None:
        return ""
    before = _BEFORE.match(command)
    call = command[before.end() if before else 0 :]
    for name, pattern in _RUNNERS:
        found = pattern.match(call)
        if found is None or not re.match(r"(?:[ =]|$)", call[found.end() :]):
            continue
        # Honk passes options to node's own runner through that variable.
        otherwise = "NODE_OPTIONS" in text if name == "node" else _ASKS_OTHERWISE.search(call)
        return "" if otherwise else name
    return ""


def last_command(text: str) -> str | None:
    """The last of a chain of commands, with single spaces; None if the script is not just a
    chain.
    """
    chain = _chain(text)
    return " ".join(chain[-1][0]) if chain else None


def last_as_written(text: str) -> str:
    """The last of a chain of commands with its quotes, for a shell; "" if it is not a chain."""
    chain = _chain(text)
    return chain[-1][1] if chain else ""


_MAX_COMMANDS = 30
_FORMATTERS = (
    *("faucet", "tap-spec", "tap-dot", "tap-min", "tap-summary", "tap-nyan", "tap-difflet"),
    *("tap-arc", "tap-diff", "tap-format-spec", "colortape", "tap-bail"),
)
_FORMATTED = re.compile(rf"(.*\S) *\| *(?:{'|'.join(_FORMATTERS)})(?: -[\w-]+)* *", re.DOTALL)
"""A command that prints the Test Anything Protocol, piped into a formatter."""


def _inner(scripts: Mapping[str, str], folder: str, name: str) -> Iterator[Script]:
    """The last call of each runner in a script, with the commands that come before it."""
    commands = _commands(scripts, name)
    runners = [_runner_within(each) for each in commands]
    for index, (runner, command) in enumerate(runners):
        if runner and all(later != runner for later, _ in runners[index + 1 :]):
            others = [
                each for each, (one, _) in zip(commands, runners[:index], strict=False) if not one
            ]
            before = " && ".join(others)
            yield Script(folder, name, "", runner, command, before=before, alone=True)


def _runner_within(command: str) -> tuple[str, str]:
    """The runner that one command calls, or "", and the command without its output's formatter."""
    piped = _FORMATTED.fullmatch(command)
    if piped and _chain(piped[1]):
        return runner_of(piped[1]) or "tape", piped[1]
    return runner_of(command), command


def _calls_runner(scripts: Mapping[str, str], text: str) -> bool:
    found = _commands({**scripts, "": text}, "")
    return any(runner for runner, _ in map(_runner_within, found))


def _commands(scripts: Mapping[str, str], name: str, depth: int = 0) -> list[str]:
    """The commands of a script as written, in order, including those of the scripts that it
    calls.
    """
    texts = [scripts.get(f"pre{name}", ""), scripts[name]] if name else [scripts[name]]
    found: list[str] = []
    for each in (command for text in texts for command in _written(text)):
        called = _CALLS.fullmatch(each)
        if called and called[1] in scripts and called[1] != name and depth < MAX_STEPS:
            found += _commands(scripts, called[1], depth + 1)
        else:
            found.append(each)
    return found[:_MAX_COMMANDS]


def _written(text: str) -> list[str]:
    """The commands of a chain, the last of which may have a formatter; none if it is not a
    chain.
    """
    before, joined, last = text.rpartition("&&")
    piped = _FORMATTED.fullmatch(last)
    if piped is None:
        return [each for _, each in _chain(text)]
    chain = _chain(f"{before}{joined}{piped[1]}")
    return [*(each for _, each in chain[:-1]), last.strip()] if chain else []


# Outside of quotes, `&&` is what separates commands.
_COMMAND = re.compile(r"""(?:[^&"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*'|(?<!&)&(?!&))+""", re.DOTALL)


def _chain(text: str) -> list[tuple[list[str], str]]:
    """The commands that `&&` joins, as arguments and as written; none if there is anything else."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word and set(word) <= set("();<>|&\n"):
                if word != "&&":
                    return []  # the exit code of `jest || true` is not jest's
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:
        return []  # an unclosed quote
    written = [each.strip() for each in _COMMAND.findall(text)]
    if "`" in text or "$(" in text or len(written) != len(commands) or not all(commands):
        return []
    return list(zip(commands, written, strict=True))
