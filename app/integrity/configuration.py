"""Everything besides the tests that affects their results: how they are run, measured and linted.

Each format is read by its own parser; Makefiles, shell scripts and Gradle files, which have none
here, are read line by line, and only the lines that the change adds.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from xml.parsers import expat

import yaml

from app.domain.diff import FileDiff
from app.domain.flag import Flag, Kind, snippet
from app.domain.safe_json import json_value
from app.ecosystems import ECOSYSTEMS, either
from app.integrity import paths

MAX_CONFIG_BYTES = 300_000
"""Larger configuration is not parsed."""

_MAX_KEYS = 20_000

# PyYAML's constructors raise arbitrary errors if a tag does not match its value.
_UNREADABLE = (
    *(ValueError, RecursionError, yaml.YAMLError, configparser.Error, expat.ExpatError),
    *(AttributeError, LookupError, OverflowError, TypeError),
)

Flat = Mapping[str, tuple[str, ...]]
"""Configuration as one level: `a.b.c` to its value, or to the items of its list."""


def examine(file: FileDiff) -> Iterator[Flag]:
    """Flags on one file that is not a test. Never raises for its contents."""
    yield from _by_path(file)
    if file.new is None or not file.is_text:
        return
    yield from _by_keys(file)
    yield from _by_lines(file)


# The kind of file is enough.


def _by_path(file: FileDiff) -> Iterator[Flag]:
    path = file.path
    changed = not file.is_added
    if changed and paths.is_snapshot(path):
        what = "deleted" if file.is_deleted else "rewritten"
        yield _flag(file, Kind.SNAPSHOT, f"This snapshot was {what}.")
    elif changed and paths.is_test_data(path) and not paths.is_ci(path):
        reason = "This file, which tests may compare against, was changed."
        yield _flag(file, Kind.CHANGED_EXPECTATION, reason)
    if paths.is_ci(path):
        yield _flag(file, Kind.CI_CONFIG, "This file controls which checks run before a merge.")
    if not file.is_deleted and (paths.is_shadow(path) or (file.is_added and paths.is_shim(path))):
        reason = "This file may shadow a module of the interpreter or the test runner."
        yield _flag(file, Kind.FRAMEWORK_PATCHED, reason)
    if paths.is_wrapper(path):
        yield _flag(file, Kind.TEST_COMMAND, "This file runs the build and its tests.")
    elif paths.is_runner_config(path) and changed:
        yield _flag(file, Kind.TEST_COMMAND, "This file configures how tests run.")
    elif paths.is_lint_config(path) and changed:
        yield _flag(file, Kind.LINT_DISABLED, "This file configures the linters.")
    beginning = (file.new or b"")[:2000]
    if path.endswith(".xml") and re.search(rb"<testsuites?\b", beginning):
        yield _flag(file, Kind.RUNNER_OUTPUT_FORGED, "This file contains test results.")


# Its keys.


@dataclass(frozen=True)
class _Rule:
    """A flag on keys: `when` gets the value before and after, None where there is none."""

    keys: re.Pattern[str]
    when: Callable[[tuple[str, ...] | None, tuple[str, ...] | None], bool]
    kind: Kind
    reason: str


def _changed(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    return before != after


def _altered(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    """Changed or removed; a new key does not weaken anything."""
    return before is not None and before != after


def _lower(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    old, new = _first_number(before), _first_number(after)
    return old is not None and (new is None or new < old)


def _grew(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    return bool(_words(after) - _words(before))


def _shrank(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    return before is not None and bool(_words(before) - _words(after))


def _on(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    return (
        after is not None and before != after and after[0].lower() not in ("false", "0", "no", "")
    )


def _off(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    """Switched off, or no longer switched on."""
    if after is None:
        return _word(before) in ("true", "1", "yes")
    return before != after and _word(after) in ("false", "0", "no", "off")


def _silenced(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> bool:
    """A rule that is off, allowed or gone."""
    if after is None:
        return _word(before) not in ("", "off", "0", "allow")
    return before != after and _word(after) in ("off", "0", "allow", "warn")


def _word(value: tuple[str, ...] | None) -> str:
    return value[0].lower() if value else ""


def _first_number(value: tuple[str, ...] | None) -> float | None:
    found = re.search(r"\d+(?:\.\d+)?", value[0]) if value else None
    return float(found.group()) if found else None


def _words(value: tuple[str, ...] | None) -> Counter[str]:
    return Counter(word for item in value or () for word in re.split(r"[\s,]+", item) if word)


_SELECTS = (
    r"(?:addopts|testpaths|python_files|python_classes|python_functions|norecursedirs|xfail_strict"
    r"|collect_imported_tests|minversion|required_plugins|plugins|timeout)"
)
_RULES = (
    _Rule(
        re.compile(rf"(?:tool\.)?(?:tool:)?pytest(?:\.ini_options)?\.{_SELECTS}$"),
        _changed,
        Kind.TEST_COMMAND,
        "controls which tests run and how",
    ),
    _Rule(
        re.compile(
            r"scripts\.(?:pre|post)?(?:test|check|verify|ci|lint)(?:[:_-].*)?$|testenv.*\.commands.*"
            r"|env.*\.commands$|tool\.hatch\.envs\..*scripts\..*|tool\.(?:tox|nox|poe|pdm)\..*"
            r"|tox\.env_?list$|testenv.*\.(?:allowlist_externals|setenv|set_env)$"
        ),
        _altered,
        Kind.TEST_COMMAND,
        "is a command that runs the tests",
    ),
    _Rule(
        re.compile(
            r"(?:package\.auto(?:tests|bins|examples)|(?:test|lib|bin)\.(?:\d+\.)?(?:test|harness))$"
        ),
        _off,
        Kind.TEST_COMMAND,
        "removes tests from `cargo test`",
    ),
    _Rule(
        re.compile(r".*\b(?:skipTests|maven\.test\.skip|skipITs|excludedGroups|exclude|groups)$"),
        _changed,
        Kind.TEST_COMMAND,
        "controls which tests run",
    ),
    _Rule(
        re.compile(r".*\b(?:testFailureIgnore|ignore_outcome|ignore_errors|continue-on-error)$"),
        _on,
        Kind.EXIT_CODE,
        "makes failures pass",
    ),
    _Rule(
        re.compile(r".*\b(?:rerunFailingTestsCount|reruns|retries|flaky_.*)$"),
        _on,
        Kind.RETRY,
        "retries failing tests",
    ),
    _Rule(
        re.compile(
            r".*\bfail[_-]under$|.*[tT]hresholds?\..*|(?:.*\.)?(?:nyc|c8)\.(?:lines|branches"
            r"|functions|statements)$|(?:lines|branches|functions|statements)$"
            r"|coverage\..*\.(?:target|threshold)$|.*\.limit\.minimum$"
        ),
        _lower,
        Kind.COVERAGE,
        "lowers the required coverage",
    ),
    _Rule(
        re.compile(
            r".*\bcoverage\b.*\.(?:omit|exclude_\w+)$|(?:run|report)\.(?:omit|exclude_\w+)$"
        ),
        _grew,
        Kind.COVERAGE,
        "excludes code from coverage",
    ),
    _Rule(
        re.compile(r"(?:jest|mocha|vitest|ava|nyc)\.(?!.*[tT]hreshold).*"),
        _changed,
        Kind.FRAMEWORK_PATCHED,
        "configures the test runner",
    ),
    _Rule(
        re.compile(
            r"(?:.*\.)?(?:(?:extend-|extend_)?(?:ignore|exclude)|per-file-ignores(?:\..*)?"
            r"|extend-per-file-ignores\..*|disable|disable_error_code|ignorePatterns)$"
        ),
        _grew,
        Kind.LINT_DISABLED,
        "makes a linter ignore more",
    ),
    _Rule(
        re.compile(r"(?:tool\.)?(?:ruff|flake8|pylint)\b.*\.(?:extend-)?(?:select|enable)$"),
        _shrank,
        Kind.LINT_DISABLED,
        "makes a linter check less",
    ),
    _Rule(
        re.compile(
            r"(?:tool\.)?mypy.*\.(?:strict\w*|disallow_\w+|check_\w+|warn_\w+|no_implicit_\w+)$"
            r"|compilerOptions\.(?:strict\w*|no[A-Z]\w*)$"
        ),
        _off,
        Kind.LINT_DISABLED,
        "makes the type checker check less",
    ),
    _Rule(
        re.compile(
            r"(?:tool\.)?mypy.*\.(?:ignore_errors|ignore_missing_imports)$"
            r"|compilerOptions\.skipLibCheck$"
        ),
        _on,
        Kind.LINT_DISABLED,
        "makes the type checker check less",
    ),
    _Rule(
        re.compile(r"(?:eslintConfig\.)?(?:overrides\.\d+\.)?rules\..+|(?:workspace\.)?lints\..+"),
        _silenced,
        Kind.LINT_DISABLED,
        "turns off a linter rule",
    ),
)
_DEPENDENCY = re.compile(
    r"(?:(?:dev|peer|optional)Dependencies|(?:dev-|build-)?dependencies|workspace\.dependencies"
    r"|tool\.poetry\.(?:.*\.)?(?:dev-)?dependencies|dependency|toolchain|engines)\.[^.].*"
    r"|project\.requires-python$|tool\.poetry\..*python$"
)
_REQUIREMENTS = re.compile(
    r"(?:project\.(?:optional-)?dependencies(?:\..*)?|dependency-groups\..*|build-system\.requires"
    r"|options\.(?:install_requires|extras_require.*)|requirements)$"
)
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*([^;#]*)")


def _by_keys(file: FileDiff) -> Iterator[Flag]:
    reader = _reader(file.path)
    if reader is None:
        return
    if max(len(file.old or b""), len(file.new or b"")) > MAX_CONFIG_BYTES:
        if not re.search(r"lock", file.path):
            reason = f"This file is larger than {MAX_CONFIG_BYTES:,} bytes and was not examined."
            yield _flag(file, Kind.NOT_EXAMINED, reason)
        return
    try:
        before = reader((file.old or b"").decode("utf-8", "replace")) if file.old else {}
        after = reader((file.new or b"").decode("utf-8", "replace"))
    except _UNREADABLE:
        yield _flag(file, Kind.NOT_EXAMINED, "This file could not be parsed.")
        return
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was != now:
            yield from _by_key(file, key, was, now)


def flat_settings(file: FileDiff) -> tuple[Flat, Flat]:
    """The settings before and after, as one level; empty for a missing or unreadable file."""
    reader = _reader(file.path)
    if reader is None or max(len(file.old or b""), len(file.new or b"")) > MAX_CONFIG_BYTES:
        return {}, {}
    try:
        before = reader((file.old or b"").decode("utf-8", "replace")) if file.old else {}
        return before, reader((file.new or b"").decode("utf-8", "replace"))
    except _UNREADABLE:
        return {}, {}


def _by_key(
    file: FileDiff, key: str, was: tuple[str, ...] | None, now: tuple[str, ...] | None
) -> Iterator[Flag]:
    old, new = _value(was), _value(now)
    if not file.is_added:
        for rule in _RULES:
            if rule.keys.match(key) and rule.when(was, now):
                reason = f"`{key}` {rule.reason}."
                yield _flag(file, rule.kind, reason, key, old, new)
                break
    if was is None or now is None:
        return
    if _DEPENDENCY.match(key) and _is_older(old, new):
        reason = f"`{key.rpartition('.')[2]}` is downgraded to an older version."
        yield _flag(file, Kind.DOWNGRADED, reason, key, old, new)
    elif _REQUIREMENTS.match(key):
        yield from _requirements(file, was, now)


def _requirements(file: FileDiff, was: tuple[str, ...], now: tuple[str, ...]) -> Iterator[Flag]:
    old, new = _named(was), _named(now)
    for name in sorted(old.keys() & new.keys()):
        if _is_older(old[name], new[name]):
            reason = f"`{name}` is downgraded to an older version."
            yield _flag(file, Kind.DOWNGRADED, reason, name, old[name], new[name])


def _named(items: tuple[str, ...]) -> dict[str, str]:
    found = (_REQUIREMENT.match(item) for line in items for item in line.splitlines())
    return {each.group(1).lower(): each.group(2).strip() for each in found if each}


def _is_older(before: str, after: str) -> bool:
    old, new = (re.search(r"\d+(?:\.\d+)*", each) for each in (before, after))
    if old is None or new is None:
        return False
    one, other = ([int(part[:18]) for part in each.group().split(".")] for each in (old, new))
    return other < one


def _value(value: tuple[str, ...] | None) -> str:
    return "" if value is None else ", ".join(value)


# Formats.


def _reader(path: str) -> Callable[[str], Flat] | None:
    name = path.rpartition("/")[2]
    found = next((each for names, each in _CONFIG_FORMATS if names.fullmatch(name)), "")
    if not found and paths.is_ci(path) and name.endswith((".yml", ".yaml")):
        found = "yaml"
    if found == "toolchain":
        return lambda text: {f"toolchain.{name}": (text.strip(),)}
    return FORMATS[found] if found else None


def _requirement_lines(text: str) -> Flat:
    return {"requirements": tuple(_plain_lines(text))}


def _plain_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and line.strip()[0] not in "#-"]


def _json(text: str) -> Flat:
    return _flat(json_value(text))


def _toml(text: str) -> Flat:
    return _flat(tomllib.loads(text))


def _yaml(text: str) -> Flat:
    documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    return _flat(documents[0] if len(documents) == 1 else documents)


def _ini(text: str) -> Flat:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string(text)
    return {
        f"{section}.{key}": (value or "",)
        for section in parser.sections()
        for key, value in parser.items(section)
    }


def _flat(data: object) -> Flat:
    """One level of keys. Raises ValueError when there are too many, as aliases can make them."""
    flat: dict[str, tuple[str, ...]] = {}
    stack: list[tuple[str, object]] = [("", data)]
    for _ in range(_MAX_KEYS):
        if not stack:
            return flat
        key, value = stack.pop()
        prefix = f"{key}." if key else ""
        if isinstance(value, dict):
            stack.extend((f"{prefix}{name}", inner) for name, inner in value.items())
        elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
            stack.extend((f"{prefix}{at}", inner) for at, inner in enumerate(value))
        elif isinstance(value, list):
            flat[key] = tuple(str(each) for each in value)
        else:
            flat[key] = (str(value),)
    raise ValueError("too many keys")


def _go_mod(text: str) -> Flat:
    flat: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.partition("//")[0].removeprefix("require ").split()
        if len(words) == 2 and re.match(r"v?\d", words[1]):
            flat[f"dependency.{words[0]}"] = (words[1],)
    return flat


class _Pom:
    """The elements of a `pom.xml`, without entities: a declaration of one is refused."""

    def __init__(self) -> None:
        self.flat: dict[str, tuple[str, ...]] = {}
        self._names: list[str] = []
        self._words: list[str] = []
        self._artifact: dict[str, str] = {}

    def start(self, name: str, _: object) -> None:
        self._names.append(name.rpartition(":")[2])
        self._words = []
        if self._names[-1] in ("dependency", "plugin", "parent"):
            self._artifact = {}

    def data(self, words: str) -> None:
        self._words.append(words)

    def end(self, _: str) -> None:
        name = self._names.pop()
        words = "".join(self._words).strip()
        self._words = []
        if name in ("artifactId", "version", "groupId"):
            self._artifact[name] = words
        elif name in ("dependency", "plugin", "parent"):
            if "version" in self._artifact and "artifactId" in self._artifact:
                key = f"dependency.{self._artifact['artifactId']}"
                self.flat[key] = (self._artifact["version"],)
        elif words:
            key = ".".join((*self._names[-2:], name))
            self.flat[key] = (*self.flat.get(key, ()), words)
            if len(self.flat) > _MAX_KEYS:
                raise ValueError("too many elements")


def _pom(text: str) -> Flat:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document type is declared")
    pom = _Pom()
    parser = expat.ParserCreate()
    parser.StartElementHandler = pom.start
    parser.CharacterDataHandler = pom.data
    parser.EndElementHandler = pom.end
    parser.Parse(text.encode(), True)
    return pom.flat


FORMATS: Mapping[str, Callable[[str], Flat]] = {
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
    "ini": _ini,
    "pom": _pom,
    "go_mod": _go_mod,
    "requirements": _requirement_lines,
}
"""The formats that an ecosystem may declare; besides them `toolchain`, a file with one version."""

_CONFIG_FORMATS = (
    *(
        (re.compile(names), of)
        for ecosystem in ECOSYSTEMS
        for names, of in ecosystem.config_formats.items()
    ),
    (re.compile(r"\.?codecov\.ya?ml"), "yaml"),
    (re.compile(r"\.tool-versions"), "toolchain"),
)

# Its lines, if there is no parser.

_COMMANDS = re.compile(
    either(
        *(each.command_files for each in ECOSYSTEMS),
        r"(?:^|/)(?:GNUmakefile|[Mm]akefile|[Jj]ustfile|Taskfile\.ya?ml|Dockerfile[^/]*)$",
        r"\.(?:mk|sh|bash)$",
    )
)
_LINES = (
    (
        Kind.EXIT_CODE,
        re.compile(
            r"\|\|\s*(?:true\b|:|exit 0|echo\b)|;\s*(?:true|:)\s*$|^\s*exit 0\b|set \+e\b"
            r"|--exit-zero|--passWithNoTests|ignoreFailures\s*=?\s*true|continue-on-error:\s*true"
            r"|allow_failure:\s*true|--no-fail-fast-exit|--force-exit|ignore_outcome\s*=\s*true"
            r"|^\t-\s*\S|--suppress-no-test-exit-code"
        ),
        "This line makes failures pass.",
    ),
    (
        Kind.BACKGROUND_PROCESS,
        re.compile(r"(?<![&>|])&\s*(?:$|['\"])|\b(?:nohup|setsid|disown|daemonize)\b"),
        "This line leaves a process running.",
    ),
    (
        Kind.TEST_COMMAND,
        re.compile(
            r"--(?:deselect|ignore(?:-glob)?|testPathIgnorePatterns|grep|fgrep|skip)\b[= ]"
            r"|\bpytest\b.*\s-(?:k|m)\s|-DskipTests|-Dmaven\.test\.skip"
            r"|\bgo test\b.*\s-(?:run|short)\b"
            r"|useJUnitPlatform|\bexclude(?:Tags|TestsMatching)\b|\benabled\s*=\s*false"
            r"|\bonlyIf\b|-x\s+test\b|-p\s+no:"
        ),
        "This line excludes tests.",
    ),
    (
        Kind.RETRY,
        re.compile(r"--(?:reruns|retries|retry|retry-times)\b|\bmaxRetries\b|-Dsurefire\.rerun"),
        "This line retries failing tests.",
    ),
    (
        Kind.RUNNER_OUTPUT_FORGED,
        re.compile(r"(?:echo|printf|cat)\b.*(?:\d+ passed|test result: ok|Tests run:|<testsuite)"),
        "This line writes what looks like a test runner's output.",
    ),
)
_RECIPE = re.compile(r"^([A-Za-z][\w./ -]*):(?!=)")
_TEST_TARGET = re.compile(r"(?:^|[\s/_-])(?:tests?|check|verify|ci|lint)(?:$|[\s/_-])")


def _by_lines(file: FileDiff) -> Iterator[Flag]:
    if paths.is_ci(file.path) or _COMMANDS.search(file.path):
        for number, raw in file.added_lines:
            line = raw[:2000].decode("utf-8", "replace")
            if not line.lstrip().startswith("#"):
                yield from _by_line(file, number, line)
    if re.search(r"(?:^|/)(?:GNUmakefile|[Mm]akefile|[Jj]ustfile)$", file.path) and file.old:
        yield from _targets(file)


def _by_line(file: FileDiff, number: int, line: str) -> Iterator[Flag]:
    for kind, pattern, reason in _LINES:
        if pattern.search(line):
            yield Flag(kind=kind, file=file.path, line=number, reason=reason, after=snippet(line))


def _targets(file: FileDiff) -> Iterator[Flag]:
    before, after = _recipes(file.old or b""), _recipes(file.new or b"")
    for target, recipe in before.items():
        if _TEST_TARGET.search(target) and after.get(target) != recipe:
            reason = f"The commands of `{target}` changed."
            new = after.get(target, "")
            yield _flag(file, Kind.TEST_COMMAND, reason, f"{target}:", recipe, new)


def _recipes(content: bytes) -> dict[str, str]:
    recipes: dict[str, list[str]] = {}
    target = ""
    for line in content.decode("utf-8", "replace").splitlines():
        found = _RECIPE.match(line)
        if found:
            target = found.group(1).strip()
            recipes.setdefault(target, []).append(line[found.end() :].strip())
        elif target and line[:1] in ("\t", " "):
            recipes[target].append(line.strip())
    return {name: "\n".join(lines) for name, lines in recipes.items()}


def _flag(
    file: FileDiff, kind: Kind, reason: str, key: str = "", before: str = "", after: str = ""
) -> Flag:
    return Flag(
        kind=kind,
        file=file.path,
        line=None if file.is_deleted else _line_of(file, key),
        reason=reason,
        before=snippet(before),
        after=snippet(after),
    )


def _line_of(file: FileDiff, key: str) -> int | None:
    """The added line that contains the last part of the key, or the first added line."""
    if not file.is_text or file.new is None:
        return None
    word = key.rpartition(".")[2].encode("utf-8", "replace")
    added = file.added_lines
    return next((number for number, line in added if word in line), added[0][0] if added else 1)
