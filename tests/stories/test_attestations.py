"""A verdict links to its signed evidence, and anyone can reproduce it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from app.playground.run import environment, let_sign_in, sign_in_settings
from tests.stories.test_four_cells import QUIET, adds, write
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = "http://honk.example"
KEYS = "/.well-known/honk-attestation-keys.json"


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="harness")
async def _house() -> AsyncIterator[Harness]:
    settings = {**sign_in_settings(), "HONK_PUBLIC_URL": PUBLIC}
    async with open_harness(**settings) as harness:
        let_sign_in(harness.github, PUBLIC)
        yield harness


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="subject")
async def _subject(harness: Harness) -> Subject:
    plays = script([FIX], [write("test_calc.py", adds())], [FINISH])
    subject = await harness.subject(files=QUIET, plays=plays)
    await subject.label()
    await subject.settled()
    return subject


def _path(text: str | None) -> str:
    """The path of the one link to the evidence."""
    (link,) = re.findall(r"\[Signed evidence\]\(([^)]+)\)", text or "")
    assert link.startswith(f"{PUBLIC}/attestations/")
    return str(urlsplit(link).path)


async def _download(harness: Harness, path: str, login: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=harness.url) as client:
        led = await client.get(path)
        door = await client.get(led.headers["location"])
        (start,) = re.findall(r'href="(/login/start[^"]+)"', door.text)
        sent = await client.get(start)
        back = harness.github.sign_in(login, sent.headers["location"]).removeprefix(PUBLIC)
        back = (await client.get(back)).headers["location"]
        assert back == path
        return await client.get(back)


def _verify(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "verify", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
async def test_from_the_check_to_the_file_and_the_same_results(
    harness: Harness, subject: Subject, tmp_path: Path
) -> None:
    path = _path(subject.check.summary)
    assert _path(subject.pull.body) == path
    answer = await _download(harness, path, "olivia")
    assert answer.headers["content-disposition"].endswith('.intoto.json"')
    file = tmp_path / "evidence.json"
    file.write_bytes(answer.content)
    bare = harness.github.world.repository(subject.repository).git.path
    done = await asyncio.to_thread(
        _verify,
        *(str(file), "--keys", f"{harness.url}{KEYS}", "--repository", str(bare)),
        HONK_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Proven: 1 test fails without this change" in done.stdout
    assert done.stdout.endswith("The results are the same.\n")


@pytest.mark.slow
async def test_an_operator_checks_a_commit_with_the_apps_own_access(
    harness: Harness, subject: Subject, tmp_path: Path
) -> None:
    assert subject.pull.pull is not None
    settings = {**harness.settings, "HONK_HOME": str(tmp_path / "home")}
    settings.setdefault("DATABASE_URL", f"sqlite:///{harness.home}/honk/honk.db")
    done = await asyncio.to_thread(
        _verify, subject.repository, subject.pull.pull.head_sha, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The results are the same." in done.stdout


async def test_a_changed_file_is_not_believed(
    harness: Harness, subject: Subject, tmp_path: Path
) -> None:
    answer = await _download(harness, _path(subject.check.summary), "olivia")
    file = tmp_path / "evidence.json"
    payload = answer.json()["payload"]
    file.write_bytes(answer.content.replace(payload.encode(), f"{payload[:-8]}AAAAAAAA".encode()))
    done = await asyncio.to_thread(
        _verify,
        *(str(file), "--keys", f"{harness.url}{KEYS}", "--signature-only"),
        HONK_HOME=str(tmp_path / "home"),
    )
    assert (done.returncode, "changed after signing" in done.stderr) == (2, True)
