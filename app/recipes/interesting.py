"""Which files of a repository recipes read: manifests, locks, versions and automation. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.domain.setup import is_dependency_file
from app.ecosystems import ECOSYSTEMS, Ecosystem

_NAMES = frozenset(
    (
        *(name for each in ECOSYSTEMS for name in each.manifests if "*" not in name),
        *(name for each in ECOSYSTEMS for name in each.lock_files),
        *(".python-version", ".nvmrc", ".node-version", ".ruby-version", ".java-version"),
        *(".sdkmanrc", ".tool-versions", "rust-toolchain", "rust-toolchain.toml", "runtime.txt"),
        *("mise.toml", ".mise.toml", "global.json", "environment.yml", "environment.yaml"),
        *("Cargo.lock", "go.sum", "go.work", "Gemfile", "Gemfile.lock", ".npmrc", ".yarnrc"),
        *(".yarnrc.yml", "pnpm-workspace.yaml", "lerna.json", "nx.json", "turbo.json"),
        *("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"),
        *("gradle-wrapper.properties", "maven-wrapper.properties", "maven.config", "jvm.config"),
        *("hatch.toml", "pytest.ini", "pixi.toml", "setup.py", "setup.cfg", "conftest.py"),
    )
)
_PATTERNS = (
    *(name for each in ECOSYSTEMS for name in each.manifests if "*" in name),
    *("*requirements*.txt", "*requirements*.in", "*.gemspec", "ava.config.*", "vitest.config.*"),
    *("jest.config.*", "vite.config.*", ".mocharc*", "tsconfig*.json", "libs.versions.toml"),
)
_FOLDERS = ("requirements/", "requirements.d/")
_DEEPEST = 3
CHANGELOGS = tuple(
    f"{name}{ending}"
    for name in ("CHANGELOG", "CHANGES", "HISTORY", "NEWS")
    for ending in (".md", ".rst", "", ".txt")
)
"""Names of files that name a project's releases, the newest first."""
_AUTOMATION = frozenset(
    (
        *("tox.ini", "noxfile.py", "Makefile", "makefile", "GNUmakefile", "justfile", "Justfile"),
        *(".justfile", "Taskfile.yml", "Taskfile.yaml", "AGENTS.md", "CONTRIBUTING.md", "app.json"),
        *("devcontainer.json", ".devcontainer.json", "Procfile", ".gitlab-ci.yml"),
        *CHANGELOGS,
        *("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"),
    )
)
_AUTOMATION_FOLDERS = (
    *(".github/workflows/", ".github/actions/", ".devcontainer/", ".openhands/"),
    *("scripts/", "script/", "bin/", "ci/", ".circleci/"),
)


def is_manifest(path: str) -> bool:
    """Whether a recipe may depend on this file: a manifest, a lock or a version."""
    name = path.rpartition("/")[2]
    return (
        name in _NAMES
        or is_dependency_file(path)
        or any(fnmatchcase(name, pattern) for pattern in _PATTERNS)
        or (name.endswith((".txt", ".in")) and any(part in path for part in _FOLDERS))
    )


def is_automation(path: str) -> bool:
    """Whether this file may say how the repository itself sets up and tests."""
    folder, _, name = path.rpartition("/")
    if path.startswith(_AUTOMATION_FOLDERS):
        return path.count("/") <= _DEEPEST
    return name in _AUTOMATION and folder.count("/") <= 1


def untested_manifests(paths: Iterable[str]) -> dict[str, str]:
    """The first manifest of each ecosystem that Honk has no test runner for."""
    found: dict[str, str] = {}
    unknown = [each for each in ECOSYSTEMS if not (each.verifiers or each.fallback_verifiers)]
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        name = path.rpartition("/")[2]
        for each in unknown:
            if any(fnmatchcase(name, pattern) for pattern in manifests_of(each)):
                found.setdefault(each.name, path)
    return found


def has_manifest(paths: Iterable[str]) -> bool:
    """Whether any file is a manifest of a known ecosystem."""
    patterns = [pattern for each in ECOSYSTEMS for pattern in manifests_of(each)]
    names = {path.rpartition("/")[2] for path in paths}
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def manifests_of(ecosystem: Ecosystem) -> tuple[str, ...]:
    """The names of an ecosystem's manifests, as patterns."""
    beside = (name for each in ecosystem.generated for name in each.manifests)
    locked = (name for names in ecosystem.lock_files.values() for name in names)
    return tuple(dict.fromkeys([*ecosystem.manifests, *ecosystem.recognized_by, *beside, *locked]))
