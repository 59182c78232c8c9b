"""The wheel, installed into an empty environment: everything that `honk serve` needs is in it."""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from app import __version__, build_info
from tests.support.harness import FINISH, FIX, Harness, a_home, open_harness_in, script

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _build(ROOT, "sdist", folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "source", filter="data")
    _build(next((folder / "source").iterdir()), "wheel", folder)
    return folder


def _build(source: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="module", name="environment")
def _environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with only the wheel and its dependencies."""
    home = tmp_path_factory.mktemp("environment")
    home.chmod(0o755)
    venv.create(home, with_pip=False)
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    # Fetching them again would take a minute. A path file is not followed into other path files,
    # so this checkout, which is installed there as editable, stays out.
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def test_the_source_distribution_gives_the_same_wheel(built: Path, tmp_path: Path) -> None:
    _build(ROOT, "wheel", tmp_path)
    names = [
        sorted(zipfile.ZipFile(next(folder.glob("*.whl"))).namelist())
        for folder in (built, tmp_path)
    ]
    assert names[0] == names[1]


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "app").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files.add("app/installer/manifest.yml")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        missing = files - set(wheel.namelist())
        ignored = {each for each in missing if each.endswith((".gitignore", ".pyc"))}
        assert missing == ignored
        assert json.loads(wheel.read("app/build.json"))["built_at"]


def test_what_the_wheel_needs_is_locked(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(each for each in wheel.namelist() if each.endswith("/METADATA"))
        found = email.message_from_bytes(wheel.read(name))
    needed = [each for each in found.get_all("Requires-Dist", []) if "extra ==" not in each]
    locked = (ROOT / "requirements.lock").read_text().lower()
    for each in needed:
        project = re.split(r"[\s<>=!~;\[]", each)[0].lower().replace("_", "-")
        assert re.search(rf"(?m)^{re.escape(project)}(?:\[[^]]*\])?==", locked), each
    assert found["Name"] == "honk-app"


def test_the_version_names_commit_and_build(environment: Path) -> None:
    said = _honk(environment, "--version").stdout
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    commit = head.stdout[:12] or "unknown"  # where the tests run without Git's history
    built = rf"{re.escape(__version__)} \(commit {commit}, built \d{{4}}-\d\d-\d\d"
    assert re.fullmatch(rf"honk {built}(, with changes)?\)\n", said), said
    assert __version__ in build_info.described()


def test_the_command_is_from_the_environment(environment: Path) -> None:
    said = subprocess.run(
        [environment / "bin" / "python", "-c", "import app; print(app.__file__)"],
        cwd="/",
        env={},
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith(str(environment))
    assert "init" in _honk(environment, "--help").stdout


def _honk(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin" / "honk"), *words]
    return subprocess.run(command, cwd="/", env={}, check=True, capture_output=True, text=True)


def _start(
    environment: Path,
    words: Sequence[str],
    settings: Mapping[str, str],
    folder: Path,
    errors: IO[bytes],
) -> subprocess.Popen[bytes]:
    """`honk` of the environment; `words` are the arguments after `python -m`."""
    return subprocess.Popen(
        [environment / "bin" / "honk", *words[1:]],
        env={name: value for name, value in settings.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
    )


async def test_a_label_becomes_a_pull_request(environment: Path) -> None:
    kind = partial(Harness, start_by=partial(_start, environment))
    with a_home() as home:
        async with open_harness_in(home, {}, kind) as harness:
            subject = await harness.subject(plays=script([FIX], [FINISH]))
            await subject.label()
            await subject.settled()
            assert subject.labels == ["honk:done"]
            assert "Proven" in (subject.pull.body or "")
