"""What Honk knows about one language and its tools, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Generated:
    """What the tools generate, as gitignore(5) patterns without a leading slash.

    `anywhere` are names that mean nothing else. `beside` are common names: they count only next to
    one of the `manifests` (patterns of names).
    """

    anywhere: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolchainSpec:
    """How to find a toolchain on this machine, and how a sandbox uses it.

    `ask`: arguments that make `program` print the toolchain's folder, or the path of a program in
    its `bin`. Without them, it is the folder above the `bin` that really contains `program`.
    `marker`: must exist below that folder. `parts`: what of the folder a sandbox sees; ("",) is all
    of it. `caches`: variables that name a folder, with `@` for the caches of the checkout. `set`:
    other variables. `well_known`: folders to search after PATH, with `~` for the home.
    `configuration`: patterns below /etc of files that the toolchain cannot do without. `version`:
    arguments that make `program` print its version. `build_outputs`: one of the `caches`, and a
    shell script that fills it with what every project needs, from the toolchain alone.
    """

    name: str
    program: str
    parts: tuple[str, ...]
    ask: tuple[str, ...] = ()
    marker: str = ""
    caches: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, str] = field(default_factory=dict)
    well_known: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    version: tuple[str, ...] = ("--version",)
    build_outputs: tuple[str, str] | None = None


@dataclass(frozen=True)
class Ecosystem:
    """One language. Regular expressions are searched for in the path from the repository's root.

    Classes elsewhere are named as `module:Class`: verifiers in `app/verify/verifiers/`, syntax
    readers in `app/integrity/`.
    """

    name: str
    order: int = 100
    """Lower comes first: in the order of verifiers and wherever ecosystems are listed."""

    manifests: tuple[str, ...] = ()
    """Names of files that make their folder a project."""

    recognized_by: tuple[str, ...] = ()
    """Patterns of names that show the language if no code here reads its manifests."""

    declared_names: tuple[str, ...] = ()
    """Expressions whose group is the name of the project in the text of a manifest."""

    lock_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the name of a lock file, the manifests that it is made from, the usual one first."""

    generated: tuple[Generated, ...] = ()

    dependency_files: tuple[str, ...] = ()
    """Patterns of files that decide what setup installs."""

    fetch_commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By program, the arguments with which it only downloads."""

    toolchains: tuple[ToolchainSpec, ...] = ()

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of every sandbox, with `@` for the caches of the checkout."""

    search_path: tuple[str, ...] = ()
    """Folders that every sandbox's PATH begins with; `@` as above."""

    proxy_variables: tuple[str, ...] = ()
    """Variables in which this language's clients look for the URL of a proxy, besides
    `HTTPS_PROXY`. Set in setup, like those that follow."""

    ca_variables: tuple[str, ...] = ()
    """Variables that name a file of certificate authorities, besides `SSL_CERT_FILE`."""

    setup_environment: Mapping[str, str] = field(default_factory=dict)
    """Other variables. Most of them disable audits, telemetry and update checks."""

    no_downloads: Mapping[str, str] = field(default_factory=dict)
    """Variables that keep install scripts from other hosts than the registry: browsers and the
    like. Not set if a policy allows hosts, because it may mean just these."""

    registry: str = ""
    """The client in `app/egress/package_clients.py` that knows where packages come from. Then
    `network.allow` in a policy may name the ecosystem."""

    suffixes: Mapping[str, str] = field(default_factory=dict)
    """By the suffix of a file of code (without the dot), the syntax reader of its language."""

    test_paths: Mapping[str, str] = field(default_factory=dict)
    """By suffix, an expression for the paths in which the runner looks for tests. A suffix without
    a syntax reader may be here too: then a changed test is flagged as a whole."""

    helper_paths: str = ""
    """Files among `test_paths` in which the runner finds no tests: they only serve other tests."""

    test_folders: str = ""
    """An expression for whole folder names (a path such as `src/test` too). Everything below serves
    the tests: helpers, fixtures, snapshots, data. A folder counts for code of this language and for
    files that are not code.
    """

    runners: frozenset[str] = frozenset()
    """Names of the programs that run tests: a new file with such a name could replace one."""

    shadows: str = ""
    """Files that the interpreter or the runner would load instead of its own."""

    wrappers: str = ""
    """Files that start the build and its tests."""

    runner_config: str = ""
    """Files that set up how tests run, flagged when they change at all."""

    runner_files: str = ""
    """Other files that only the runner, its measurements or its linters read."""

    test_dependencies: str = ""
    """Files that list what only the tests need."""

    mixed: Mapping[str, str] = field(default_factory=dict)
    """By an expression for the whole name of a file that holds both source and tests, or both
    source and the runner's configuration: its splitter, one of `SPLITTERS` in
    `app/integrity/mixed/`."""

    lint_config: str = ""
    """Files that set up linters, flagged when they change at all."""

    command_files: str = ""
    """Files whose lines may hold commands: read line by line for commands that weaken tests."""

    config_formats: Mapping[str, str] = field(default_factory=dict)
    """By an expression for the whole name of a configuration file, its format: one of `FORMATS`
    in `app/integrity/configuration.py`."""

    verifiers: tuple[str, ...] = ()
    """Test runners that detect themselves, in the order in which they run."""

    checks: tuple[str, ...] = ()
    """Linters, formatters and type checkers that detect themselves."""

    fallback_verifiers: tuple[str, ...] = ()
    """Fallbacks if no test runner detects itself: the first one of all ecosystems that does."""

    named_verifiers: tuple[str, ...] = ()
    """Used only if a policy names them."""
