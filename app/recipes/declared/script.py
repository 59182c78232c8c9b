"""Scripts of a repository's automation, read command by command. Pure.

The names in a command (groups, extras, files, packages, scripts) are checked against a strict form
and recorded; the command itself never runs as it is.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement

from app.domain.file_tree import FileTree, located
from app.domain.safe_json import json_value
from app.recipes.declared import shell, targets
from app.recipes.declared.findings import Findings, word_set

_DEEPEST = 3
_MOST_FOLLOWED = 40
"""The maximum number of targets and scripts that are followed in one job."""
_MAX_BYTES = 200_000
_LONGEST = 300

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:./-]{0,99}")
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}(?:\[[A-Za-z0-9._, -]{1,200}\])?"
    r"(?:\s*(?:===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]{1,60}){0,1}"
    r"(?:\s*,\s*(?:===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]{1,60}){0,6}"
)
_LOCAL = re.compile(
    r"(?P<folder>\.{1,2}(?:/[\w.-]+)*/?|[\w.-]+(?:/[\w.-]+)+/?)?(?:\[(?P<extras>[\w., -]+)\])?"
)
_PROGRAM = re.compile(r"[a-z0-9][a-z0-9.+-]{0,98}")
_BUILDS = re.compile(
    r"(?:pre)?(?:build|compile|codegen|generate|gen|prebuild|bundle|transpile|proto|protoc|tsc|dist"
    r"|grammar|antlr|translations|messages|i18n)(?:[-_:.]\w[\w:.-]*)?"
    r"|\w[\w.-]*[-_:.](?:build|compile|codegen|generate|gen)"
)
_TESTS = re.compile(
    r"(?:.*[-_:.])?(?:test|tests|ci|check|unit|unittest|unittests|spec|specs|coverage|cov|pytest|jest|vitest)(?:[-_:.].*)?"
)

_TEST_FILE = re.compile(r"(?:[\w.-]+/)*(?:run_?)?tests?(?:_\w+|\w*)?\.py")
_CALLS_TESTS = re.compile(
    r"\b(?:pytest|tox|nox|mvn|gradlew|(?:npm|pnpm|yarn)(?: run)? test|(?:go|cargo|make) test)\b"
)

_PREFIXES = frozenset({"sudo", "time", "command", "xvfb-run", "npx", "env", "nice", "dotenv"})
_RUNNERS = frozenset(
    {
        ("uv", "run"),
        ("poetry", "run"),
        ("pipenv", "run"),
        ("pdm", "run"),
        ("bundle", "exec"),
        ("rye", "run"),
        ("hatch", "run"),
        ("pnpm", "exec"),
        ("npm", "exec"),
        ("mise", "exec"),
    }
)
_TEST_PROGRAMS = word_set(
    "pytest py.test nosetests jest vitest mocha ava tap rspec phpunit pest ctest gotestsum",
    "trial stestr karma c8 nyc",
)
_NO_EFFECT = word_set(
    "echo printf set true : exit ls cat pwd date which type sleep df free uname env printenv",
    "codecov coveralls coverage ruff mypy flake8 black isort pylint pyright basedpyright bandit",
    "eslint prettier tsc-check pre-commit prek golangci-lint rubocop twine check-manifest chmod",
    "git ulimit lscpu nproc locale sw_vers head tail update-alternatives timeout-minutes xo",
    "biome",
)
_TOOLS = word_set(
    "pip setuptools wheel uv poetry pdm pipenv tox tox-uv tox-gh-actions tox-gh nox hatch",
    "virtualenv build twine pre-commit codecov coveralls poetry-core pip-tools",
)


@dataclass(frozen=True)
class ScriptPlace:
    """Where a script is: for people (`source`), and the folder in which it runs."""

    source: str
    folder: str = ""
    depth: int = 0


class ScriptReader:
    """Reads scripts of one job into `findings`. `known`: variables whose values are known."""

    def __init__(self, tree: FileTree, findings: Findings, known: Mapping[str, str]) -> None:
        self.tree = tree
        self.findings = findings
        self.known = dict(known)
        self._seen: set[tuple[str, str]] = set()
        self._files: dict[tuple[str, str], targets.Targets | None] = {}

    def read(self, script: str, place: ScriptPlace) -> None:
        """Record what each command of the script declares. Never raises for its content."""
        if len(self._seen) > _MOST_FOLLOWED:
            return
        for name, value in re.findall(
            r"^\s*echo\s+[\"']?([A-Za-z_]\w*)=([^\"'$`\n>]*)[\"']?\s*>>\s*[\"']?\$\{?GITHUB_ENV\}?[\"']?\s*$",
            script,
            re.M,
        ):
            self._set(name, value.strip(), place)
        for command in shell.commands(script, self.known):
            if command.is_last:
                self.findings.not_read(command.text, place.source, command.problem)
                self.findings.has_tests = self.findings.has_tests or may_test(script)
                return
            for name, value in command.environment.items():
                if name.isupper() or not command.words:
                    self._set(name, value, place)
            folder = self._command(command, place)
            if folder is not None:
                place = replace(place, folder=folder)

    def _set(self, name: str, value: str, place: ScriptPlace) -> None:
        self.known[name] = value
        self.findings.variable(name, value, place.source)

    def _command(self, command: shell.ShellCommand, place: ScriptPlace) -> str | None:
        """Record one command; return the folder for the following ones, if it changes."""
        words = _unwrapped(command.words)
        if not words:
            return None
        if words[0] == "cd" and len(words) == 2 and not command.problem:
            return self._folder(words[1], place)
        if _runs_tests(words):
            self.findings.has_tests = True
            self._tests(words, place)
        elif command.problem:
            if not _has_no_effect(words):
                self.findings.not_read(command.text, place.source, command.problem)
        elif not _has_no_effect(words):
            why = self._known_form(words, place)
            if why:
                self.findings.not_read(command.text, place.source, why)
        if command.words[:2] == ("uv", "run") and not command.problem:
            self._groups(command.words[2 : len(command.words) - len(words)])
        return None

    def _folder(self, name: str, place: ScriptPlace) -> str:
        path = posixpath.normpath(posixpath.join("/", place.folder, name)).lstrip("/")
        return "" if path == "." else path

    def _known_form(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        """Dispatch on the program. Returns why the command was not understood, or ""."""
        name = posixpath.basename(words[0])
        if re.fullmatch(r"python(?:3(?:\.\d+)?)?|py", name):
            return self._python(words[1:], place)
        form = _FORMS.get(name)
        if form is not None:
            return form(self, words[1:], place)
        return self._file(words, place)

    # Python

    def _python(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] == ("-m",) and len(words) > 1:
            if words[1] in ("venv", "ensurepip", "build", "site", "compileall"):
                return ""
            return self._known_form(words[1:], place)
        if words[:1] == ("setup.py",):
            if words[1:2] == ("build_ext",) and set(words[2:]) <= {"--inplace", "-i"}:
                self.findings.build(
                    "python setup.py build_ext --inplace", place.folder, place.source
                )
                return ""
            return "" if words[1:2] in (("develop",), ("install",)) else _UNKNOWN
        if words[:1] in (("-V",), ("--version",), ("-c",)):
            return "" if words[0] != "-c" else "it runs its own code"
        if len(words) == 1 and words[0] == "manage.py":
            return _UNKNOWN
        return _UNKNOWN

    def _pip(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] == ("pip",):
            words = words[1:]
        if words[:1] != ("install",):
            return (
                ""
                if words[:1]
                and words[0]
                in ("list", "freeze", "check", "config", "cache", "--version", "debug", "uninstall")
                else _UNKNOWN
            )
        return self._requirements(words[1:], place)

    def _requirements(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        why = ""
        for name, value in _options(words, _PIP_VALUES):
            if name in ("-r", "--requirement", "--requirements"):
                why = self._requirement_file(value, place) or why
            elif name == "--group":
                why = self._names(self.findings.groups, value.rpartition(":")[2]) or why
            elif name in ("--extra",):
                why = self._names(self.findings.extras, value) or why
            elif name in ("-e", "--editable", ""):
                why = self._requirement(value, place) or why
        return why

    def _requirement_file(self, value: str, place: ScriptPlace) -> str:
        path = self._folder(value, place)
        if not self.tree.exists(path):
            return f"there is no file {path!r}"
        self.findings.requirement_files[path] = None
        return ""

    def _requirement(self, value: str, place: ScriptPlace) -> str:
        local = _LOCAL.fullmatch(value)
        if local is not None and (local["folder"] or local["extras"]):
            return self._names(self.findings.extras, local["extras"] or "")
        if len(value) > _LONGEST:
            return _NOT_PLAIN
        try:
            requirement = Requirement(value)
        except InvalidRequirement:
            return _NOT_PLAIN
        if requirement.url or not _REQUIREMENT.fullmatch(value.partition(";")[0].strip()):
            return _NOT_PLAIN
        if requirement.marker is not None and not requirement.marker.evaluate():
            return ""
        if self.tree.exists(located(requirement.name, place.folder) + "/pyproject.toml"):
            return ""
        if requirement.name.lower() not in _TOOLS:
            self.findings.package("python", value.partition(";")[0].strip())
        return ""

    def _names(self, into: dict[str, None], value: str) -> str:
        for name in re.split(r"[,\s]+", value.strip()):
            if not name:
                continue
            if not _NAME.fullmatch(name):
                return f"{name[:40]!r} is not the name of a group or extra"
            into[name] = None
        return ""

    def _uv(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] == ("pip",):
            return self._pip(words[1:], place) if words[1:2] == ("install",) else ""
        if words[:1] in (("sync",), ("run",)):
            return self._groups(words[1:])
        if words[:1] in (
            ("venv",),
            ("python",),
            ("lock",),
            ("cache",),
            ("build",),
            ("--version",),
            ("version",),
        ):
            return ""
        if words[:2] == ("tool", "install"):
            return "" if words[2:3] and re.split(r"[\[=<>@]", words[2])[0] in _TOOLS else _UNKNOWN
        return _UNKNOWN

    def _groups(self, words: tuple[str, ...]) -> str:
        why = ""
        for name, value in _options(words, _GROUP_VALUES):
            if name in ("--group", "--only-group", "--with", "--only", "-G", "-dG"):
                why = (
                    self._names(self.findings.groups, "" if value.startswith(":") else value) or why
                )
            elif name in ("--extra", "--extras", "-E"):
                why = self._names(self.findings.extras, value) or why
        return why

    def _poetry(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] in (("install",), ("sync",)):
            return self._groups(words[1:])
        if words[:1] in (
            ("config",),
            ("self",),
            ("check",),
            ("lock",),
            ("env",),
            ("show",),
            ("--version",),
            ("build",),
            ("cache",),
            ("use",),
            ("export",),
        ):
            return ""
        return _UNKNOWN

    def _pipenv(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return "" if words[:1] in (("install",), ("sync",)) else _UNKNOWN

    def _tox(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        self.findings.has_tests = True
        for name, value in _options(
            words, frozenset({"-e", "-s", "--session", "-f", "--sessions"})
        ):
            if name in ("-e", "-s", "--session", "--sessions"):
                self._names(self.findings.environments, value)
        return ""

    # JavaScript

    def _npm(self, words: tuple[str, ...], place: ScriptPlace, program: str = "npm") -> str:
        plain = [each for each in words if not each.startswith("-")]
        verb = plain[0] if plain else "install"
        if verb in ("ci", "install", "i", "install-test", "it", "cit", "add", "import"):
            return (
                _GLOBAL if {"-g", "--global"} & set(words) else (_UNKNOWN if verb == "add" else "")
            )
        if verb in (
            "audit",
            "config",
            "cache",
            "version",
            "ls",
            "list",
            "set",
            "get",
            "store",
            "dedupe",
            "rebuild",
            "prune",
            "why",
            "link",
        ):
            return "" if verb not in ("rebuild", "link") else _UNKNOWN
        if verb == "exec":
            return _UNKNOWN
        if verb in ("run", "run-script", "rum"):
            return self._script(plain[1:], words, place, program)
        if program != "npm":
            return self._script(plain, words, place, program)
        return _UNKNOWN

    def _pnpm(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._npm(words, place, "pnpm")

    def _yarn(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._npm(words, place, "yarn")

    def _bun(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._npm(words, place, "bun")

    def _script(
        self, plain: Sequence[str], words: Sequence[str], place: ScriptPlace, program: str
    ) -> str:
        if not plain:
            return _UNKNOWN
        name = plain[0]
        scripts = package_scripts(self.tree, place.folder)
        if not _SCRIPT.fullmatch(name):
            return "the name of the script is not a plain one"
        if name not in scripts:
            everywhere = {"--workspaces", "-ws", "-r", "--recursive", "--if-present"} & set(words)
            return "" if everywhere else f"`package.json` has no script {name!r}"
        if _BUILDS.fullmatch(name):
            self.findings.build(f"{program} run {shlex.quote(name)}", place.folder, place.source)
            return ""
        if place.depth >= _DEEPEST or (place.folder, name) in self._seen:
            return ""
        self._seen.add((place.folder, name))
        self.read(scripts[name], self._inside(place, f"package.json script {name}"))
        return ""

    # Files of commands

    def _make(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._targets("make", words, place)

    def _just(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._targets("just", words, place)

    def _task(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return self._targets("task", words, place)

    def _mise(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] in (("install",), ("trust",), ("settings",), ("use",)):
            return ""
        return self._targets("mise", words[1:] if words[:1] in (("run",), ("r",)) else words, place)

    def _targets(self, program: str, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] == ("-C",) and len(words) > 1:
            place, words = replace(place, folder=self._folder(words[1], place)), words[2:]
        names = [each for each in words if not each.startswith("-") and "=" not in each]
        file = (program, place.folder)
        if file not in self._files:
            self._files[file] = targets.read(self.tree, program, place.folder)
        found = self._files[file]
        if found is None:
            return f"there is no file for `{program}` that Honk can read"
        why = ""
        for name in names or [found.default]:
            if name not in found.scripts:
                why = f"`{found.path}` has no target {name[:40]!r}"
            elif _BUILDS.fullmatch(name):
                self.findings.build(f"{program} {shlex.quote(name)}", place.folder, place.source)
            elif place.depth < _DEEPEST and (found.path, name) not in self._seen:
                self._seen.add((found.path, name))
                for each in found.order(name):
                    self.read(
                        found.scripts[each], self._inside(place, f"{found.path} target {each}")
                    )
        return why

    def _file(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        """A script of the repository: `scripts/test`, `bash ci/install.sh`, `./run-tests`."""
        if "/" not in words[0] and not words[0].endswith(".sh"):
            return _UNKNOWN
        path = self._folder(words[0], place)
        text = self.tree.read_text(path, shell.MAX_SCRIPT + 1)
        if text is None:
            return _UNKNOWN
        first = text.split("\n", 1)[0]
        if first.startswith("#!") and not re.search(r"\b(?:ba|da|z)?sh\b", first):
            return "it is a program, not a shell script"
        if place.depth < _DEEPEST and (path, "") not in self._seen:
            self._seen.add((path, ""))
            self.read(text, self._inside(place, path))
        return ""

    def _shell(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        plain = [each for each in words if not each.startswith("-")]
        if not plain or "-c" in words:
            return _UNKNOWN
        name = plain[0] if "/" in plain[0] else f"./{plain[0]}"
        return self._file((name, *plain[1:]), place)

    def _inside(self, place: ScriptPlace, name: str) -> ScriptPlace:
        """The place of something that a command refers to; the source records how it was
        reached.
        """
        return replace(place, source=f"{place.source}, {name}", depth=place.depth + 1)

    # Others

    def _apt(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        plain = [each for each in words if not each.startswith("-")]
        if plain[:1] != ["install"]:
            return (
                ""
                if plain[:1] in (["update"], ["upgrade"], ["clean"], ["autoremove"])
                else _UNKNOWN
            )
        for name in plain[1:]:
            package = name.partition("=")[0]
            if not _PROGRAM.fullmatch(package):
                return f"{name[:40]!r} is not the name of a system package"
            self.findings.programs[package] = None
        return ""

    def _cargo(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] in (("install",), ("binstall",)):
            return "it installs a program"
        for name, value in _options(words[1:], frozenset({"--features", "-F"})):
            if name in ("--features", "-F"):
                self._names(self.findings.extras, value)
        return ""

    def _go(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return (
            "it installs a program"
            if words[:1] in (("install",), ("run",))
            else (
                "it generates code with programs that Honk does not know"
                if words[:1] == ("generate",)
                else ""
            )
        )

    def _nothing(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        return ""

    def _rustup(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        if words[:1] == ("default",) or words[:2] == ("toolchain", "install"):
            self.findings.version("rust", words[-1])
        return ""

    def _export(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        for each in words:
            name, found, value = each.partition("=")
            if found:
                self._set(name, value, place)
        return ""

    def _copy(self, words: tuple[str, ...], place: ScriptPlace) -> str:
        plain = [each for each in words if not each.startswith("-")]
        if len(plain) != 2 or set(words) - set(plain) - {"-n", "-f", "-v"}:
            return _UNKNOWN
        if any(not re.fullmatch(r"[\w.][\w./-]{0,200}", each) or ".." in each for each in plain):
            return "it copies from or to a path that is not a plain one"
        source = located(plain[0], place.folder)
        if not self.tree.exists(source) or ".git/" in f"{plain[1]}/":
            return f"there is no file {plain[0]!r}"
        self.findings.build(
            f"cp -n {shlex.quote(plain[0])} {shlex.quote(plain[1])}", place.folder, place.source
        )
        return ""

    def _tests(self, words: tuple[str, ...], place: ScriptPlace) -> None:
        """Other declarations in the call of a test runner: Cargo's features, scripts after it."""
        if words[0] == "cargo":
            self._cargo(words[1:], place)
        elif words[0] in ("npm", "pnpm", "yarn", "bun"):
            plain = [each for each in words[1:] if not each.startswith("-")]
            name = plain[1] if plain[:1] == ["run"] and len(plain) > 1 else "test"
            scripts = package_scripts(self.tree, place.folder)
            key = (place.folder, name)
            if name in scripts and place.depth < _DEEPEST and key not in self._seen:
                self._seen.add(key)
                self.read(scripts[name], self._inside(place, f"package.json script {name}"))
        elif words[0] in ("tox", "nox"):
            self._tox(words[1:], place)
        elif words[0] in ("make", "just", "task", "mise"):
            self._known_form(words, place)


_NOT_PLAIN = "it installs something that is not a plain requirement of the registry"
_UNKNOWN = "Honk does not know this command"
_GLOBAL = "it installs a program for the whole machine"

_Form = Callable[[ScriptReader, tuple[str, ...], ScriptPlace], str]
_FORMS: Mapping[str, _Form] = {
    "pip": ScriptReader._pip,
    "pip3": ScriptReader._pip,
    "uv": ScriptReader._uv,
    "poetry": ScriptReader._poetry,
    "pdm": ScriptReader._poetry,
    "pipenv": ScriptReader._pipenv,
    "tox": ScriptReader._tox,
    "nox": ScriptReader._tox,
    "hatch": ScriptReader._nothing,
    "npm": ScriptReader._npm,
    "pnpm": ScriptReader._pnpm,
    "yarn": ScriptReader._yarn,
    "bun": ScriptReader._bun,
    "corepack": ScriptReader._nothing,
    "make": ScriptReader._make,
    "just": ScriptReader._just,
    "task": ScriptReader._task,
    "mise": ScriptReader._mise,
    "bash": ScriptReader._shell,
    "sh": ScriptReader._shell,
    "source": ScriptReader._nothing,
    ".": ScriptReader._nothing,
    "apt-get": ScriptReader._apt,
    "apt": ScriptReader._apt,
    "cargo": ScriptReader._cargo,
    "rustup": ScriptReader._rustup,
    "go": ScriptReader._go,
    "mvn": ScriptReader._nothing,
    "mvnw": ScriptReader._nothing,
    "gradle": ScriptReader._nothing,
    "gradlew": ScriptReader._nothing,
    "bundle": ScriptReader._nothing,
    "gem": ScriptReader._nothing,
    "export": ScriptReader._export,
    "cp": ScriptReader._copy,
    "mkdir": ScriptReader._nothing,
    "rm": ScriptReader._nothing,
}

_PIP_VALUES = frozenset(
    {
        "-r",
        "--requirement",
        "--requirements",
        "-c",
        "--constraint",
        "-e",
        "--editable",
        "--group",
        "--extra",
        "-i",
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "-f",
        "--python",
        "--target",
        "-t",
        "--prefix",
        "--config-settings",
        "-C",
        "--no-binary",
        "--only-binary",
        "--no-build-isolation-package",
        "--timeout",
        "--retries",
        "--resolution",
        "--index-strategy",
        "--torch-backend",
        "--prerelease",
        "-p",
        "--upgrade-strategy",
    }
)
_GROUP_VALUES = frozenset(
    {
        "--group",
        "--only-group",
        "--no-group",
        "--with",
        "--without",
        "--only",
        "-G",
        "-dG",
        "--extra",
        "--no-extra",
        "--extras",
        "-E",
        "--python",
        "-p",
        "--package",
        "--directory",
        "--project",
        "--resolution",
    }
)


def _options(words: Sequence[str], with_value: frozenset[str]) -> list[tuple[str, str]]:
    """Pairs of option and value; the option is "" for an argument."""
    found: list[tuple[str, str]] = []
    waiting = ""
    for each in words:
        if waiting:
            found.append((waiting, each))
            waiting = ""
        elif each in with_value:
            waiting = each
        elif each.startswith("--") and "=" in each:
            name, _, value = each.partition("=")
            found.append((name, value))
        elif each.startswith("-"):
            short = each[:2]
            found.append((short, each[2:]) if short in with_value and len(each) > 2 else (each, ""))
        else:
            found.append(("", each))
    return found


def _unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    """Remove prefixes that only start another program: `sudo`, `uv run`, `python -m pytest`."""
    while words:
        if words[:2] in _RUNNERS:
            rest = words[2:]
            while rest and rest[0].startswith("-"):
                takes = rest[0] in _GROUP_VALUES and "=" not in rest[0]
                rest = rest[2:] if takes else rest[1:]
            if not rest:
                return words
            words = rest
        elif words[0] in _PREFIXES and len(words) > 1:
            words = words[1:]
            while words and (words[0].startswith("-") or re.fullmatch(r"[A-Z_]\w*=.*", words[0])):
                words = words[1:]
        elif re.fullmatch(r"python(?:3(?:\.\d+)?)?", words[0]) and words[1:2] == ("-m",):
            words = words[2:]
        elif words[0] in ("coverage", "c8", "nyc") and words[1:2] in (("run",), ("-m",)):
            words = tuple(each for each in words[1:] if not each.startswith("-") and each != "run")
        else:
            return words
    return words


def _runs_tests(words: tuple[str, ...]) -> bool:
    program = posixpath.basename(words[0])
    plain = [each for each in words[1:] if not each.startswith("-")]
    if program in _TEST_PROGRAMS or words[0] == "unittest":
        return True
    if program in ("npm", "pnpm", "yarn", "bun"):
        name = (
            plain[1]
            if plain[:1] in (["run"], ["run-script"]) and len(plain) > 1
            else "".join(plain[:1])
        )
        return name == "t" or (
            bool(name)
            and not _BUILDS.fullmatch(name)
            and "lint" not in name
            and _TESTS.fullmatch(name) is not None
            and name != "ci"
        )
    if program in ("go", "cargo", "rails", "rake", "dotnet", "mix", "swift", "zig", "deno"):
        return plain[:1] in (["test"], ["nextest"], ["spec"], ["t"]) or (
            program == "rake" and not plain
        )
    if program in ("mvn", "mvnw"):
        return bool({"test", "verify", "package", "install"} & set(plain)) or not plain
    if program in ("gradle", "gradlew"):
        return any(each.rpartition(":")[2] in ("test", "check", "build") for each in plain)
    if program in ("tox", "nox"):
        return True
    if re.fullmatch(r"python(?:3(?:\.\d+)?)?", program) and plain:
        return plain[:2] == ["manage.py", "test"] or bool(_TEST_FILE.fullmatch(plain[0]))
    if program in ("make", "just", "task", "mise"):
        return any(_TESTS.fullmatch(each) for each in plain)
    return False


def may_test(script: str) -> bool:
    """Whether a script that was not understood seems to run tests."""
    return _CALLS_TESTS.search(script) is not None


def _has_no_effect(words: tuple[str, ...]) -> bool:
    return posixpath.basename(words[0]) in _NO_EFFECT or words[1:] in (
        ("--version",),
        ("-V",),
        ("version",),
    )


def package_scripts(tree: FileTree, folder: str) -> dict[str, str]:
    """The scripts of a folder's package.json; none if it is unreadable."""
    text = tree.read_text(located("package.json", folder), _MAX_BYTES)
    try:
        data = json_value(text or "{}")
    except ValueError:
        return {}
    scripts = data.get("scripts") if isinstance(data, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {str(name): line for name, line in scripts.items() if isinstance(line, str)}
