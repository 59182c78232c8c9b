"""Source archives of the packages, fetched by the package clients of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.probe.packages import Package

CACHE = Path(__file__).parents[2] / ".cache" / "probe"
_SECONDS = 600


class NotFetchedError(Exception):
    """The registry does not answer, or does not have the archive."""


def fetched(package: Package) -> Path:
    """The folder with the package's unpacked sources. Raises NotFetchedError."""
    target = CACHE / "packages" / package.label.replace("/", "-").replace(":", "-")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            try:
                source = _FETCH[package.kind](package, Path(scratch))
            except (OSError, subprocess.SubprocessError, ValueError) as problem:
                raise NotFetchedError(f"{package.label}: {problem}") from problem
            source.rename(target)
    return target


def _sdist(package: Package, scratch: Path) -> Path:
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
    _run([*words, "--dest", str(scratch), f"{package.name}=={package.version}"])
    return _untarred(scratch.glob("*.tar.gz"), scratch)


def _crate(package: Package, scratch: Path) -> Path:
    manifest = (
        '[package]\nname = "fetch"\nversion = "0.1.0"\nedition = "2021"\n[lib]\npath = "l.rs"\n'
    )
    dependency = f'[dependencies]\n{package.name} = "={package.version}"\n'
    (scratch / "Cargo.toml").write_text(manifest + dependency)
    (scratch / "l.rs").write_text("")
    _run(["cargo", "fetch", "--quiet"], scratch, CARGO_HOME=str(scratch / "home"))
    pattern = f"home/registry/cache/*/{package.name}-{package.version}.crate"
    return _untarred(scratch.glob(pattern), scratch)


def _module(package: Package, scratch: Path) -> Path:
    cache = {"GOMODCACHE": str(scratch / "mod"), "GOFLAGS": "-modcacherw"}
    told = _run(
        ["go", "mod", "download", "-json", f"{package.name}@{package.version}"], scratch, **cache
    )
    return Path(json.loads(told)["Dir"])


def _tarball(package: Package, scratch: Path) -> Path:
    _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], scratch)
    return _untarred(scratch.glob("*.tgz"), scratch)


def _source_release(package: Package, scratch: Path) -> Path:
    (archive,) = _from_maven(package, scratch, "zip:source-release")
    _unzipped(archive, scratch / "out")
    (folder,) = (scratch / "out").iterdir()
    return folder


def _sources(package: Package, scratch: Path) -> Path:
    """The usual layout, put together from the jars of sources and the pom."""
    out = scratch / "out"
    jars = _from_maven(package, scratch, "jar:sources", "jar:test-sources", "pom")
    for jar, folder in zip(jars, ("src/main/java", "src/test/java"), strict=False):
        _unzipped(jar, out / folder)
        # Resources are in the same jar, and javac ignores them.
        if folder.startswith("src/test"):
            shutil.copytree(out / folder, out / "src/test/resources", ignore=_JAVA)
    shutil.copyfile(jars[-1], out / "pom.xml")
    return out


_JAVA = shutil.ignore_patterns("*.java")


def _from_maven(package: Package, scratch: Path, *kinds: str) -> list[Path]:
    found = []
    for kind in kinds:
        folder = scratch / kind.replace(":", "-")
        artifact = f"-Dartifact={package.name}:{package.version}:{kind}"
        words = ["mvn", "-B", "-q", f"-Dmaven.repo.local={scratch / 'repository'}"]
        _run([*words, "dependency:copy", artifact, f"-DoutputDirectory={folder}"], scratch)
        found += list(folder.iterdir())
    return found


def _run(words: Sequence[str], folder: Path | None = None, **environment: str) -> bytes:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace")[-300:]
        raise ValueError(f"{words[0]} exited with {done.returncode}: {said}")
    return done.stdout


def _untarred(archives: Iterable[Path], scratch: Path) -> Path:
    (archive,) = archives
    with tarfile.open(archive) as tar:
        tar.extractall(scratch / "out", filter="data")
    (folder,) = (scratch / "out").iterdir()
    return folder


def _unzipped(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(target)  # noqa: S202 - zipfile keeps names below the folder


_FETCH = {
    "sdist": _sdist,
    "crate": _crate,
    "module": _module,
    "tarball": _tarball,
    "source-release": _source_release,
    "sources": _sources,
}
