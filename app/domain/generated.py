"""What tools leave in a work tree and nobody commits, by ecosystem. Pure.

The facts are those of the ignore files that people use for each ecosystem. A repository's own
`.gitignore` counts first; this is for what it does not mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Ecosystem:
    """What its tools generate, as gitignore(5) patterns without a leading slash.

    `anywhere` are names that mean nothing else. `beside` are common words: they count only next to
    one of the `manifests`.
    """

    name: str
    anywhere: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()


ECOSYSTEMS = (
    Ecosystem(
        "Python",
        anywhere=(
            *("__pycache__/", "*.pyc", "*.pyo", "__pypackages__/", "*.egg-info/", ".eggs/"),
            *(".pytest_cache/", ".hypothesis/", ".coverage", ".coverage.*", "htmlcov/"),
            *(".tox/", ".nox/", ".mypy_cache/", ".ruff_cache/", ".pytype/", ".pyre/"),
            *(".venv/", ".ipynb_checkpoints/"),
        ),
        beside=("venv/", "env/", "build/", "dist/", "coverage.xml"),
        manifests=("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt"),
    ),
    Ecosystem(
        "Node",
        anywhere=(
            *("node_modules/", ".npm/", ".pnpm-store/", ".nyc_output/", "*.tsbuildinfo"),
            *(".eslintcache", ".stylelintcache", ".parcel-cache/", ".next/", ".nuxt/", ".turbo/"),
            *(".svelte-kit/", "npm-debug.log*", "yarn-debug.log*", "yarn-error.log*"),
        ),
        beside=("coverage/", "dist/", "build/", ".yarn/cache/", ".yarn/install-state.gz"),
        manifests=("package.json",),
    ),
    Ecosystem("Go", beside=("*.test", "coverage.out", "cover.out"), manifests=("go.mod",)),
    Ecosystem("Rust", anywhere=("*.rs.bk",), beside=("target/",), manifests=("Cargo.toml",)),
    Ecosystem(
        "Maven", anywhere=("*.class", "hs_err_pid*"), beside=("target/",), manifests=("pom.xml",)
    ),
    Ecosystem(
        "Gradle",
        anywhere=(".gradle/",),
        beside=("build/",),
        manifests=("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"),
    ),
    Ecosystem(
        "Ruby",
        anywhere=(".bundle/",),
        beside=("vendor/bundle/", "coverage/"),
        manifests=("Gemfile",),
    ),
    Ecosystem(
        "PHP",
        anywhere=(".phpunit.cache/", ".phpunit.result.cache"),
        beside=("vendor/",),
        manifests=("composer.json",),
    ),
    Ecosystem(".NET", beside=("bin/", "obj/"), manifests=("*.csproj", "*.fsproj", "*.vbproj")),
    Ecosystem("Elixir", beside=("_build/", "deps/", "cover/"), manifests=("mix.exs",)),
    Ecosystem("Swift", beside=(".build/",), manifests=("Package.swift",)),
    Ecosystem("Dart", anywhere=(".dart_tool/",)),
    Ecosystem("Haskell", anywhere=(".stack-work/", "dist-newstyle/")),
    Ecosystem(
        "C and C++",
        anywhere=("CMakeFiles/", "CMakeCache.txt", "*.o", "*.gcda", "*.gcno"),
    ),
    Ecosystem("Terraform", anywhere=(".terraform/",)),
    Ecosystem("systems and editors", anywhere=(".DS_Store", "Thumbs.db", "*.swp")),
)


def patterns(tracked: Iterable[str]) -> tuple[str, ...]:
    """The patterns for a repository with these files, for one of git's exclude files.

    What matches a file that the repository itself keeps is no pattern here: people commit it.
    """
    paths = tuple(tracked)
    names = {part for path in paths for part in path.split("/")}
    anywhere = [
        pattern
        for ecosystem in ECOSYSTEMS
        for pattern in ecosystem.anywhere
        if not any(fnmatchcase(name, pattern.rstrip("/")) for name in names)
    ]
    return tuple(dict.fromkeys([*anywhere, *_beside_manifests(paths)]))


def _beside_manifests(paths: tuple[str, ...]) -> Iterator[str]:
    folders = {path[: at + 1] for path in paths for at, letter in enumerate(path) if letter == "/"}
    for path in sorted(paths):
        folder, slash, name = path.rpartition("/")
        for ecosystem in ECOSYSTEMS:
            if "\n" in path or not any(fnmatchcase(name, each) for each in ecosystem.manifests):
                continue
            for pattern in ecosystem.beside:
                whole = f"{folder}{slash}{pattern}"
                if whole not in folders and whole not in paths:
                    yield "/" + re.sub(r"([\\*?\[ ])", r"\\\1", folder + slash) + pattern
