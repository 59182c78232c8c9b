from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from app.domain.values import RepoName
from app.github.client import GitHubApp, RepositoryClient
from app.github.exchange import ApiCall
from tests.unit.github.scene import Scene, open_scene
from tests.unit.github.scripted import ScriptedGitHub

REPO = RepoName(owner="octo", name="widget")
PERMISSIONS = {"issues": "write", "metadata": "read"}


@functools.cache
def private_key() -> str:
    """An App's key; generated once, because that takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return pem.decode()


@dataclass
class Time:
    """A clock that advances only by sleeps or on demand."""

    now: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Bench:
    """A scripted GitHub, the App that uses it, and what was observed."""

    github: ScriptedGitHub
    app: GitHubApp
    client: RepositoryClient
    time: Time
    calls: list[ApiCall]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def bench(time: Time) -> AsyncIterator[Bench]:
    github = ScriptedGitHub()
    github.now = time.now
    calls: list[ApiCall] = []
    async with github.serve():
        app = GitHubApp(
            "7",
            SecretStr(private_key()),
            github.url,
            github.url.removesuffix("/api/v3"),
            calls.append,
            time,
            timeout=0.5,
            sleep=time.sleep,
        )
        client = await app.repository(42, REPO, PERMISSIONS)
        yield Bench(github, app, client, time, calls)
        await app.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path, private_key()) as opened:
        yield opened
