"""What a project's tests need from a package registry, fetched once by this machine's clients.

A checkout gets its copy, as a set-up would have left it there.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from app.sandbox.toolchains import CACHES
from tests.cheats import projects
from tests.verify.conftest import fetched

_NPM = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")


class NotReachableError(Exception):
    """The registry of this machine does not answer; the rows that need it are left out."""


@functools.cache
def supplied(name: str) -> dict[str, Path]:
    """By folder of the checkout, what is copied there. Raises NotReachableError."""
    try:
        if name == "vitest":
            words = ["npm", "install", "--prefix", "@", *_NPM, "vitest"]
            return {"node_modules": fetched("vitest", words) / "node_modules"}
        if name == "maven":
            return {f"{CACHES}/maven": _maven()}
        if name == "go":
            return {f"{CACHES}/go-build": _go()}
    except (pytest.fail.Exception, OSError) as problem:
        raise NotReachableError(str(problem)) from problem
    return {}


def _go() -> Path:
    """What Go compiles of its own library for a test: the same for every checkout."""
    folder = _laid("go-project", projects.GO)
    return (
        fetched("trust-go", ["go", "-C", str(folder), "test", "./..."], GOCACHE="build") / "build"
    )


def _maven() -> Path:
    """Everything that the project's own build downloads, with its tests run once."""
    folder = _laid("maven-project", projects.JAVA)
    words = ["mvn", "-q", "-B", "-f", str(folder), "-Dmaven.repo.local=@/repository", "test"]
    return fetched("trust-maven", words) / "repository"


def _laid(name: str, project: projects.Project) -> Path:
    """The project without its bug."""
    folder = Path(__file__).parents[2] / ".cache" / "trust" / name
    for path, text in project.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.replace(b"n + 2", b"n * 2"))
    return folder
