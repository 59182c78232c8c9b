"""Settings that load code into the tests' process, or replace what runs the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.diff import FileDiff
from app.integrity.configuration import flat_settings
from app.integrity.startup import names


@dataclass(frozen=True)
class Loaded:
    """Something that a setting loads: a module, a file, a package; `key` names the setting.

    `always`: it always counts. Otherwise only code of the repository counts, and only if it is not
    on the tests' side.
    """

    key: str
    what: str
    always: bool = False


_LOADS = re.compile(
    r"(?:jest|projects?\.\d+)\.(?:setupFiles\w*|globalSetup|globalTeardown|testRunner|runner"
    r"|reporters?(?:\.\d+)?|testEnvironment|snapshotSerializers|resolver|transform\..*"
    r"|moduleNameMapper\..*|testResultsProcessor|testSequencer|snapshotResolver)$"
    r"|(?:mocha\.|ava\.|nyc\.|c8\.)?(?:require|import|loader|reporter|ui|file|extension|node-option"
    r"|nodeArguments)$"
    r"|(?:tool\.)?(?:pytest|tool:pytest)\.(?:ini_options\.)?(?:plugins|required_plugins)$"
    r"|(?:.*\.)?(?:spec\.requires)$"
)
"""Settings whose value names what they load."""

_ENTRY_POINTS = re.compile(
    r"(?:project\.entry-points|tool\.poetry\.plugins)\.(?:pytest11|pytest)\b.*"
    r"|options\.entry_points\.pytest11$|pytest11\..*"
)
_COMMANDS = re.compile(
    r"scripts\.(?!start|dev|build|serve|lint|format|docs|release|deploy|publish).+|(?:tool\.)?(?:tool:)?pytest(?:\.ini_options)?\.addopts|testenv.*|env.*"
    r"|tool\.(?:hatch|tox|nox|poe|pdm)\..+|.*\bargLine|.*\bjvmArgs?"
)
_PATHS = re.compile(r"compilerOptions\.paths\.(?P<name>.+)$")
_HARNESS = re.compile(r"(?:test|lib|bin)\.(?:\d+\.)?harness$")
_LISTENERS = re.compile(r"properties\.property\.(?:name|value)$")
_DEPENDENCIES = re.compile(
    r"(?:(?:(?:dev|peer|optional)D|d)ependencies|dev-dependencies|build-dependencies"
    r"|workspace\.dependencies|overrides|resolutions|pnpm\.overrides|patch\.[^.]+|replace"
    r"|tool\.uv\.sources|tool\.poetry\.(?:group\.\w+\.)?(?:dev-)?dependencies)\.(?P<name>[^.]+"
    r"(?:\.[^.]+)*?)(?:\.(?P<part>path|git|url|workspace|package))?$"
)
_FROM_ELSEWHERE = re.compile(r"(?:file|link|portal|workspace|git|git\+\w+|https?|npm):|^\.{0,2}/")
_REQUIREMENTS = re.compile(
    r"(?:requirements|project\.(?:optional-)?dependencies(?:\..*)?|dependency-groups\..*"
    r"|options\.(?:install_requires|extras_require.*))$"
)
_ELSEWHERE_REQUIRED = re.compile(r"\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*@")

_PLUGIN = re.compile(r"(?:^|\s)-p[= ]*(?!no:)([\w.]+)")
_PRELOADED = re.compile(
    r"(?:^|\s)(?:-r|--require|--import|--loader|--experimental-loader)[= ]*(['\"]?[\w@./-]+)"
)
_AGENT = re.compile(r"-javaagent:\S+|-agentpath:\S+|-toolexec[= ]\S+|-exec[= ]\S+")
_RUNS_PYTEST = re.compile(r"\bpytest\b|addopts|PYTEST_ADDOPTS")
_RUNS_NODE_OR_RUBY = re.compile(
    r"\b(?:node|mocha|ava|nyc|c8|tsx|ts-node|ruby|rspec|rake)\b|NODE_OPTIONS|RUBYOPT|node-options"
)
_RUNS_GO_OR_JAVA = re.compile(
    r"\b(?:go|java|mvn|gradle\w*)\b|GOFLAGS|_OPTIONS|_OPTS|argLine|jvmArg"
)
_VARIABLES = re.compile(
    r"\b(?P<name>PYTEST_PLUGINS|LD_PRELOAD|DYLD_INSERT_LIBRARIES|BASH_ENV|PYTHONSTARTUP)"
    r"\b['\"]?\s*(?:=|:|,)\s*(?P<value>\S+)"
    r"|\b(?P<list>PYTEST_ADDOPTS|NODE_OPTIONS|RUBYOPT|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|MAVEN_OPTS"
    r"|GOFLAGS)\b['\"]?\s*(?:=|:|,)(?P<options>.*)"
)


def loaded(file: FileDiff) -> Iterator[Loaded]:
    """New things that the settings of a file load."""
    before, after = flat_settings(file)
    for key, now in after.items():
        was = before.get(key, ())
        if now == was:
            continue
        value, old = " ".join(now), " ".join(was)
        if _ENTRY_POINTS.match(key):
            yield Loaded(key, value, always=True)
        elif _LOADS.match(key):
            yield from (Loaded(key, each) for each in now if each not in was)
        elif _HARNESS.match(key) and now[0].lower() == "false":
            yield Loaded(key, "a test harness of its own", always=True)
        elif re.search(r"(?:^|\.)pythonpath$", key):
            yield from (
                Loaded(key, f"{folder}/{name}") for folder in now for name in names.PYTHON_SHADOWS
            )
        elif (path := _PATHS.match(key)) and names.ASSERTERS.match(path["name"]):
            yield Loaded(key, f"another `{path['name']}`", always=True)
        elif _LISTENERS.search(key) and re.search(r"\blistener\b", value):
            yield Loaded(key, "a listener", always=True)
        elif _COMMANDS.match(key):
            yield from _by_options(key, value, old)
            yield from _by_variables(key, value, old)
        yield from _from_elsewhere(key, now, was)


def loaded_by_lines(file: FileDiff) -> Iterator[tuple[int, Loaded]]:
    """What added lines load, in files without a parser: scripts, Makefiles, `.rspec`."""
    options = re.search(r"(?:^|/)\.(?:rspec|rubyopt|mocharc(?:\.opts)?)$|mocha\.opts$", file.path)
    for number, raw in file.added_lines:
        words = raw[:2000].decode("utf-8", "replace")
        if words.lstrip().startswith(("#", "//")):
            continue
        if "pytest11" in words:
            yield number, Loaded("pytest11", "a pytest plugin", always=True)
        found = [*_by_variables("", words, "")]
        found += _by_options("rspec" if options else "", words.replace("node-options=", " "), "")
        if words.startswith("node-options"):
            found += _by_options("node-options", words.partition("=")[2], "")
        if re.match(r"\s*replace\s|.*=>", words) and file.path.endswith(("go.mod", "go.work")):
            found += _replaced(words)
        yield from ((number, each) for each in found)


def _by_options(key: str, value: str, old: str) -> Iterator[Loaded]:
    """New things that the options of a command load."""
    for runs, option, always in (
        (_RUNS_PYTEST, _PLUGIN, False),
        (_RUNS_NODE_OR_RUBY, _PRELOADED, False),
        (_RUNS_GO_OR_JAVA, _AGENT, True),
    ):
        if runs.search(f"{key} {value}"):
            before = option.findall(old)
            yield from (
                Loaded(key, each.strip("'\""), always)
                for each in option.findall(value)
                if each not in before
            )


def _by_variables(key: str, value: str, old: str) -> Iterator[Loaded]:
    for found in _VARIABLES.finditer(value):
        if found.group() in old:
            continue
        if found["name"]:
            yield Loaded(found["name"], found["value"].strip("'\","), always=True)
        else:
            options = (found["options"] or "").replace("'", " ").replace('"', " ")
            yield from _by_options(found["list"], options, "")


def _from_elsewhere(key: str, now: tuple[str, ...], was: tuple[str, ...]) -> Iterator[Loaded]:
    """A package of runners or assertions that now comes from a folder or an address."""
    found = _DEPENDENCIES.match(key)
    if found and names.ASSERTERS.match(found["name"]):
        if found["part"] or _FROM_ELSEWHERE.match(now[0]):
            yield Loaded(key, f"another `{found['name']}`", always=True)
    elif _REQUIREMENTS.match(key):
        for each in now:
            required = _ELSEWHERE_REQUIRED.match(each)
            if each not in was and required and names.ASSERTERS.match(required.group(1).lower()):
                yield Loaded(key, f"another `{required.group(1)}`", always=True)


def _replaced(words: str) -> Iterator[Loaded]:
    module = words.removeprefix("replace ").split()[0].strip('"')
    if names.ASSERTERS.match(module):
        yield Loaded("replace", f"another `{module}`", always=True)
