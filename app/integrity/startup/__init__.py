"""The startup record: code that the change adds and that is loaded before the tests. Pure.

Plugins, hooks, interpreters' startup files and settings that load them can rewrite any result that
their process reports, so they are found from the trees, outside of it. Only tracked files count,
and only those that are not on the tests' side: the four cells show what the tests load.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides, Finding
from app.domain.flag import snippet
from app.domain.verdict import Results, TestOutcome
from app.integrity import MAX_BYTES, MAX_FILE_BYTES, paths
from app.integrity.startup import code, names, settings
from app.integrity.startup.settings import Loaded

__all__ = ["adds_plugins", "autoload_off", "compare_autoload", "examine"]

MAX_FINDINGS = 50

_STARTS = re.compile(
    r"(?:^|/)META-INF/services/(?:org\.junit|org\.testng)"
    r"|(?:^|/)(?:junit-platform|testng)[\w-]*\.(?:properties|xml)$"
    r"|(?:^|/)src/main/(?:java|kotlin)/(?:org/(?:junit|testng|assertj|hamcrest|mockito)|junit)/"
    r"|(?:^|/)lib/(?:rspec/(?:core|expectations|mocks|support|matchers)"
    r"|minitest/(?:assertions|test|reporter\w*|autorun|spec|unit)|test/unit)(?:/|\.rb$)"
    r"|(?:^|/)entry_points\.txt$|(?:^|/)\.rubyopt$"
)
_VENDORED = re.compile(r"(?:^|/)(?:vendor|third_party|node_modules|_vendor)/(?P<name>.+)")
_SCRIPTS = re.compile(
    r"(?:^|/)(?:GNUmakefile|[Mm]akefile|[Jj]ustfile|Taskfile\.ya?ml|\.env[\w.]*|\.envrc|go\.(?:mod|work)"
    r"|go\.env|Dockerfile[^/]*|\.rspec|\.npmrc|\.mocharc[^/]*|mocha\.opts|Rakefile|setup\.py"
    r"|noxfile\.py|pytest\.ini|tox\.ini|setup\.cfg|pom\.xml)$"
    r"|\.(?:mk|sh|bash|gradle|gradle\.kts|toml)$"
    r"|(?:^|/)(?:jest|vitest|vite|karma|ava|playwright|babel)\.(?:config|conf|setup)\b[^/]*$"
    r"|(?:^|/)(?:\.babelrc|\.swcrc)[^/]*$"
)
_CONFIGURES = re.compile(
    r"\b(?:setupFiles\w*|globalSetup|globalTeardown|reporters?|runner|testRunner|testEnvironment"
    r"|environment|snapshotSerializers|resolver|alias|transform)\b\s*['\"]?\s*:\s*(?P<value>.+)"
)
_LOADS_ALL = re.compile(
    r"(?:^|/)(?:(?:jest|vitest|babel)\.(?:config|setup)\b|\.mocharc|\.babelrc|\.swcrc)[^/]*$"
)
_QUOTED = re.compile(r"['\"`](?:<rootDir>/)?([\w@./-]+)['\"`]")


def examine(diff: Diff, sides: ChangedSides, tracked: Container[str]) -> tuple[Finding, ...]:
    """Everything that the change adds and that is loaded before the tests.

    `tracked`: the paths of the head tree. Never raises for file contents. Takes about two seconds
    a megabyte: call it in a thread.
    """
    source = {*sides.source, *sides.partly}
    settled = {*sides.tests, *sides.helpers, *sides.documentation, *sides.ci}
    settled -= {*source, *sides.runner}
    findings: list[Finding] = []
    left = MAX_BYTES
    for plain in diff.files:
        if plain.path in settled or plain.is_deleted:
            continue
        file = diff.before_rename(plain)
        findings += _by_path(file)
        left -= len(file.old or b"") + len(file.new or b"")
        if not file.is_text or file.new is None or left < 0:
            continue
        if max(len(file.old or b""), len(file.new)) > MAX_FILE_BYTES:
            continue
        findings += _by_settings(file, tracked, settled)
        if plain.path in source:
            findings += _by_code(file)
    kept = {(each.file, each.line, each.reason): each for each in findings}
    return tuple(kept.values())[:MAX_FINDINGS]


def adds_plugins(diff: Diff, sides: ChangedSides) -> bool:
    """Whether the change may add a plugin that pytest loads by itself.

    Then the proof is worth another run with `autoload_off`.
    """
    for file in diff.files:
        if file.path not in {*sides.runner, *sides.source, *sides.partly}:
            continue
        for _, raw in file.added_lines if file.is_text else ():
            if re.search(rb"\bpytest[-_][a-z]|\bpytest11\b", raw):
                return True
    return False


def autoload_off(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a run in which pytest loads no plugin by itself."""
    return {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def compare_autoload(
    head: Results, off: Results, proof: Collection[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Tests of the proof that pass only with the plugins.

    A test that cannot run without its plugin (a fixture, a mark, an option is missing) is honest:
    only one that runs and fails counts.
    """
    with_plugins, without = _outcomes(head), _outcomes(off)
    return tuple(
        Finding(file=key[1], reason="This test passes only with a plugin that the change adds.")
        for key in proof
        if with_plugins.get(key) is TestOutcome.PASSED and without.get(key) is TestOutcome.FAILED
    )


def _outcomes(results: Results) -> dict[tuple[str, str], TestOutcome]:
    return {
        (verifier.verifier, test.id): test.outcome
        for verifier in results.verifiers
        for test in verifier.tests
    }


def _by_path(file: FileDiff) -> Iterator[Finding]:
    path = file.path
    if file.old == file.new and file.old is not None:
        return
    vendored = _VENDORED.search(path)
    if paths.is_shadow(path) or (file.is_added and paths.is_shim(path)):
        reason = "This file is loaded before the tests, or instead of what runs them."
        yield Finding(file=path, reason=reason)
    elif _STARTS.search(path):
        yield Finding(file=path, reason="This file tells the test runner what to load.")
    elif vendored and _is_asserter(vendored["name"]):
        yield Finding(
            file=path, reason="This file belongs to the code that runs or judges the tests."
        )


def _is_asserter(name: str) -> bool:
    parts = name.split("/")
    return any(names.ASSERTERS.match("/".join(parts[:count])) for count in (1, 2, 3, 4))


def _by_settings(
    file: FileDiff, tracked: Container[str], settled: Container[str]
) -> Iterator[Finding]:
    found: list[tuple[int | None, Loaded]] = [(None, each) for each in settings.loaded(file)]
    if _SCRIPTS.search(file.path):
        found += settings.loaded_by_lines(file)
        found += _by_configuration(file)
    for line, each in found:
        where = _resolved(each.what, file.path, tracked)
        if each.always:
            reason = f"`{each.key}` loads {_words(each.what)} before the tests."
        elif where and where not in settled and not _looks_like_tests(where):
            reason = f"{_words(each.what)} is loaded before the tests, from {where}."
        else:
            continue
        yield Finding(file=file.path, line=line or _line_of(file, each.what), reason=reason)


def _words(what: str) -> str:
    return what if what.startswith(("a ", "another ")) else f"`{snippet(what)}`"


def _by_configuration(file: FileDiff) -> Iterator[tuple[int, Loaded]]:
    """The configuration of JavaScript's runners is code: any path in it may be loaded.

    A bundler's configuration has paths for other reasons, so there only settings of the runner
    count.
    """
    everything = _LOADS_ALL.search(file.path)
    if not (everything or paths.is_runner_config(file.path)):
        return
    for number, raw in file.added_lines:
        words = raw[:2000].decode("utf-8", "replace")
        found = [words] if everything else [each["value"] for each in _CONFIGURES.finditer(words)]
        for value in (path for each in found for path in _QUOTED.findall(each)):
            yield number, Loaded("", value)


def _resolved(what: str, beside: str, tracked: Container[str]) -> str:
    """The tracked file that a module's name or a path refers to, or nothing."""
    folder = beside.rpartition("/")[0]
    plain = re.sub(r"^(?:<rootDir>/|\./)", "", what.strip()).partition(":")[0]
    dotted = plain.replace(".", "/")
    for root in dict.fromkeys((folder, "")):
        for base in (plain, dotted, f"src/{dotted}", f"lib/{plain}", f"src/{plain}"):
            for end in (
                "",
                ".py",
                "/__init__.py",
                ".js",
                ".cjs",
                ".mjs",
                ".ts",
                "/index.js",
                ".rb",
            ):
                path = f"{root}/{base}{end}" if root else f"{base}{end}"
                if path in tracked:
                    return path
    return ""


def _looks_like_tests(path: str) -> bool:
    return paths.is_test(path) or paths.is_test_data(path)


def _line_of(file: FileDiff, what: str) -> int | None:
    word = what.encode("utf-8", "replace")
    return next((number for number, each in file.added_lines if word in each), None)


def _by_code(file: FileDiff) -> Iterator[Finding]:
    reader = paths.syntax_reader(file.path)
    if not code.readable(reader):
        found: Iterable[code.Sign | None] = (
            code.line_sign(file.path, number, raw[:2000].decode("utf-8", "replace"))
            for number, raw in file.added_lines
        )
    else:
        before = {each.text for each in code.signs(reader, file.old or b"")}
        found = (each for each in code.signs(reader, file.new or b"") if each.text not in before)
    for sign in found:
        if sign is not None:
            yield Finding(file=file.path, line=sign.line, reason=sign.reason)
