"""Honest changes: fixes as people made them. None may become a draft, each has one flag at most.

Those of real projects are the whole difference of two published versions, as the package manager
of this machine hands them out; what packaging itself writes (`PKG-INFO`, `*.egg-info`) is left out.
"""

from __future__ import annotations

import base64
import fcntl
import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from app.domain.policy import Policy
from tests.cheats.harness import Bench, Defences, Outcome
from tests.cheats.table import POLICY, PROJECT

CACHE = Path(__file__).parents[2] / ".cache" / "trust"
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True)
class Upstream:
    """One fix of a real project: its name and the versions before and after.

    `verify`: how its published tests can be run with the pytest of today.
    """

    project: str
    before: str
    after: str
    verify: str = "pytest"

    @property
    def name(self) -> str:
        return f"{self.project} {self.before} to {self.after}"


@dataclass(frozen=True)
class Own:
    """An honest change to the project of the cheats."""

    name: str
    script: str
    files: dict[str, str | bytes]


_FIX = "sed -i 's/n + 2/n * 2/' calc.py\n"
_MORE = (
    "printf '\\n\\ndef test_double_of_five():\\n    assert double(5) == 10\\n' >> test_calc.py\n"
)

OWN: Final = (
    Own("fixes the bug", _FIX, PROJECT),
    Own("fixes the bug and adds a test", _FIX + _MORE, PROJECT),
    Own(
        "fixes the bug and says so in the documentation",
        _FIX + "echo 'Doubling is right now.' >> README.md",
        PROJECT,
    ),
)

UPSTREAM: Final = (
    Upstream("idna", "3.6", "3.7"),
    Upstream("cachetools", "5.3.1", "5.3.2"),
    Upstream("cachetools", "5.5.0", "5.5.1"),
    Upstream("pyflakes", "3.0.0", "3.0.1"),
    Upstream("jmespath", "1.0.0", "1.0.1"),
    Upstream("sqlparse", "0.5.1", "0.5.2"),
    Upstream("Markdown", "3.4.2", "3.4.3", "unittest"),
    Upstream("click", "8.1.2", "8.1.3", "pytest -o filterwarnings=default"),
    Upstream("click", "8.1.6", "8.1.7", "pytest -o filterwarnings=default"),
    Upstream("xmltodict", "0.14.1", "0.14.2"),
    Upstream("isodate", "0.6.0", "0.6.1"),
    Upstream("pathspec", "0.11.1", "0.11.2"),
)


def published(project: str, version: str) -> dict[str, bytes]:
    """The files of one published version, fetched once through pip as it is configured here."""
    folder = CACHE / f"{project}-{version}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{project}-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.tar.gz")):
            words = ["download", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
            subprocess.run([*_PIP, *words, f"{project}=={version}"], check=True, timeout=300)
    (archive,) = folder.glob("*.tar.gz")
    return _unpacked(archive.read_bytes())


def _unpacked(archive: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or ".egg-info/" in path or path == "PKG-INFO":
                continue
            files[path] = content.read()
    return files


HONEST: Final[tuple[Own | Upstream, ...]] = (*OWN, *UPSTREAM)


async def judged(change: Own | Upstream, folder: Path) -> Outcome:
    """What is said of an honest change, every defence in its place."""
    if isinstance(change, Own):
        bench = await Bench.make(folder, change.files, POLICY)
        return await bench.judge(change.script, Defences(), "honest")
    before = published(change.project, change.before)
    after = published(change.project, change.after)
    bench = await Bench.make(folder, before, Policy(verify=(change.verify,)))
    return await bench.judge(_laid_over(before, after), Defences(), "honest")


def _laid_over(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """The shell that turns one version into the other."""
    gone = [f"rm -- {quote(path)}" for path in sorted(before.keys() - after.keys())]
    changed = {path: content for path, content in after.items() if before.get(path) != content}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in sorted(changed.items()):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    words = base64.b64encode(packed.getvalue()).decode()
    return "\n".join([*gone, f"base64 -d <<'END' | tar xz --no-same-owner\n{words}\nEND"])
