"""Two published versions each of real projects, as the package clients of this machine fetch them.

The whole difference has to come out proven, its tests alone red, and its source alone as a change
without which no test fails.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cheats.edits import Change, Edit, delete, write
from tests.cheats.projects import Project
from tests.cheats.supplies import NotReachableError

CACHE = Path(__file__).parents[2] / ".cache" / "trust"
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
_SECONDS = 300
_TESTS = re.compile(r"(?:^|/)(?:tests?|testdata)/|(?:^|/)(?:test_[^/]*|[^/]*_test)\.(?:py|go)$")


@dataclass(frozen=True)
class Published:
    """One release of a real project: its name and the versions before and after."""

    project: str
    before: str
    after: str
    ecosystem: str
    verify: str

    @property
    def name(self) -> str:
        return f"real: {self.project} {self.before} to {self.after}"


PUBLISHED: Final = (
    Published("pathspec", "0.11.1", "0.11.2", "Python (pytest)", "pytest"),
    Published("sqlparse", "0.5.1", "0.5.2", "Python (pytest)", "pytest"),
    Published("github.com/mitchellh/go-wordwrap", "v1.0.0", "v1.0.1", "Go", "go"),
)


@dataclass(frozen=True)
class Variant:
    """`kinds`: the verdicts that are right for it."""

    name: str
    change: Change
    kinds: frozenset[str]
    ready: bool


def variants(release: Published) -> tuple[Project, tuple[Variant, ...]]:
    """The project before it, and the change whole and by halves. Raises NotReachableError."""
    before, after = _files(release, release.before), _files(release, release.after)
    project = Project(
        release.name,
        release.ecosystem,
        before,
        (release.verify,),
        supplies="go" if release.ecosystem == "Go" else "",
    )
    tests, source = _difference(before, after, tests=True), _difference(before, after, tests=False)
    return project, (
        Variant(release.name, Change((*source, *tests)), frozenset({"proven"}), ready=True),
        Variant(
            f"{release.name}, tests only",
            Change(tests),
            frozenset({"regression", "no-result"}),
            ready=False,
        ),
        Variant(
            f"{release.name}, source only", Change(source), frozenset({"unchanged"}), ready=True
        ),
    )


def _difference(
    before: dict[str, bytes], after: dict[str, bytes], *, tests: bool
) -> tuple[Edit, ...]:
    paths = [path for path in sorted({*before, *after}) if bool(_TESTS.search(path)) is tests]
    gone = [delete(path) for path in paths if path not in after]
    new = [
        write(path, after[path])
        for path in paths
        if after.get(path) not in (None, before.get(path))
    ]
    return (*gone, *new)


def _files(release: Published, version: str) -> dict[str, bytes]:
    fetch = _from_go if release.ecosystem == "Go" else _from_pip
    try:
        return fetch(release.project, version)
    except (OSError, subprocess.SubprocessError) as problem:
        raise NotReachableError(f"{release.project} {version}: {problem}") from problem


def _from_pip(project: str, version: str) -> dict[str, bytes]:
    folder = CACHE / f"{project}-{version}"
    with _alone(folder):
        if not list(folder.glob("*.tar.gz")):
            words = ["download", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
            subprocess.run([*_PIP, *words, f"{project}=={version}"], check=True, timeout=_SECONDS)
    (archive,) = folder.glob("*.tar.gz")
    return dict(_unpacked(archive.read_bytes()))


def _unpacked(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None and ".egg-info/" not in path and path != "PKG-INFO":
                yield path, content.read()


def _from_go(module: str, version: str) -> dict[str, bytes]:
    cache = CACHE / "go"
    with _alone(cache):
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{module}@{version}"],
            cwd=CACHE,
            env={**os.environ, "GOMODCACHE": str(cache), "GOFLAGS": "-modcacherw"},
            capture_output=True,
            check=True,
            timeout=_SECONDS,
        )
    folder = Path(json.loads(done.stdout)["Dir"])
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {"go.mod": f"module {module}\n\ngo 1.20\n".encode()} | files


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
