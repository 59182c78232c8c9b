"""`honk probe`: a repository is set up and tested on this machine, without a model or settings."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from app.domain.policy import parse
from tests.stories.test_command_line import _honk
from tests.stories.test_set_up import where_packages_are

pytestmark = pytest.mark.asyncio(loop_scope="session")

_CODE = {
    "halves.py": "import iniconfig\n\n\ndef half(n):\n    return n / 2\n",
    "test_halves.py": "from halves import half\n\n\ndef test_half():\n    assert half(4) == 2\n",
    "requirements.txt": "iniconfig\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o711)
    return folder


def _folder(place: Path, files: dict[str, str]) -> Path:
    place.mkdir()
    for path, text in files.items():
        (place / path).write_text(text)
    return place


@pytest.mark.slow
async def test_probe_writes_a_policy_file_that_works(tmp_path: Path, home: Path) -> None:
    networks = await where_packages_are()
    settings = {"HONK_HOME": str(home), "HONK_EGRESS_NETWORKS": networks}
    path = _folder(tmp_path / "halves", _CODE)
    done = await asyncio.to_thread(_honk, "probe", str(path), "--write", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "from requirements.txt" in done.stdout
    assert "Tests ran: 1 test passed, 0 failed." in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if str(path) not in line)
    policy = parse((path / ".github" / "honk.yml").read_text())
    assert policy.setup is not None
    assert any("requirements.txt" in line for line in policy.setup)

    again = await asyncio.to_thread(_honk, "probe", str(path), "--write", **settings)
    assert again.returncode == 2
    assert "it is not overwritten" in again.stderr
    again = await asyncio.to_thread(_honk, "probe", str(path), "--json", **settings)
    found = json.loads(again.stdout)
    assert (again.returncode, found["by_policy"], found["passed"]) == (0, True, 1), again.stderr


async def test_probe_reads_the_last_commit_and_says_what_fails(tmp_path: Path, home: Path) -> None:
    test = (
        "from unittest import TestCase\n\nclass T(TestCase):\n"
        "    def test_a(self):\n        self.fail()\n"
    )
    path = _folder(tmp_path / "own", {"test_a.py": test})
    git = ["git", "-C", str(path), "-c", "user.name=o", "-c", "user.email=o@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "One"]):
        await asyncio.to_thread(subprocess.run, [*git, *words], check=True)
    (path / "test_a.py").write_text(test.replace("self.fail()", "pass"))
    done = await asyncio.to_thread(_honk, "probe", str(path), HONK_HOME=str(home))
    assert done.returncode == 1, done.stderr
    assert "Nothing to install." in done.stdout
    assert "Tests ran: 0 tests passed, 1 failed." in done.stdout
    assert not list((home / "scratch").iterdir())


async def test_probe_names_tests_that_pass_only_once(tmp_path: Path, home: Path) -> None:
    test = (
        "from pathlib import Path\nfrom unittest import TestCase\n\nclass T(TestCase):\n"
        "    def test_a(self):\n        pass\n"
        "    def test_b(self):\n        Path('mark').mkdir()\n"
    )
    path = _folder(tmp_path / "once", {"test_a.py": test})
    done = await asyncio.to_thread(_honk, "probe", str(path), HONK_HOME=str(home))
    (flaky,) = [line for line in done.stdout.splitlines() if "Flaky:" in line]
    assert "test_b" in flaky
    assert "test_a.T.test_a" not in flaky


@pytest.mark.slow
async def test_probe_refuses_what_it_cannot_read(tmp_path: Path, home: Path) -> None:
    for words, said in (
        (["octo/hello"], "reading it from GitHub needs the App"),
        (["octo/hello", "--write"], "--write needs a local checkout"),
        (["no such thing"], "neither a folder nor the name of a repository"),
    ):
        done = await asyncio.to_thread(_honk, "probe", *words, HONK_HOME=str(home))
        assert done.returncode == 2
        assert said in done.stderr
    empty = _folder(tmp_path / "empty", {"notes.txt": "nothing"})
    done = await asyncio.to_thread(_honk, "probe", str(empty), HONK_HOME=str(home))
    assert done.returncode == 2, done.stderr
    assert "Honk found no tests to run." in done.stdout
    assert 'verify: ["make check"]' in done.stdout
