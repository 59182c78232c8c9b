"""A simulated GitHub on a separate port; every answer is validated against GitHub's description."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import Receive, Scope, Send

from app.playground.github import AppRegistration, GitHub
from app.playground.serving import serve_app
from tests.support.openapi import contract

REPO = "octo/sample"
FILES = {
    "a.py": b"one\n",
    "src/b.py": b"two\n",
    ".github/honk.yml": b"verify: [pytest]\n",
    'odd/sp ace "q" \n\xc3\xbc.txt'.encode("latin-1").decode(): b"odd\n",
}
PEOPLE = {
    "owner": "admin",
    "maintainer": "maintain",
    "writer": "write",
    "triager": "triage",
    "reader": "read",
}


@dataclass
class World:
    """What a test holds: the simulator, clients in several roles, a folder, git."""

    github: GitHub
    key: RSAPrivateKey
    home: Path
    client: httpx.AsyncClient
    whole_token: str = ""

    def jwt(self, **claims: Any) -> str:
        """An App's token, good unless a claim says otherwise (None leaves one out)."""
        now = int(time.time())
        whole = {"iss": "7", "iat": now - 30, "exp": now + 500} | claims
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(kept, self.key, "RS256")

    async def token(self, **narrowed: Any) -> str:
        """An installation's token."""
        answer = await self.ask("POST", f"{await self.installation()}/access_tokens", narrowed)
        assert answer.status_code == 201, answer.text
        text: str = answer.json()["token"]
        return text

    async def installation(self) -> str:
        answer = await self.ask("GET", f"/repos/{REPO}/installation")
        return f"/app/installations/{answer.json()['id']}"

    async def ask(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> httpx.Response:
        """One request of the API; without a token, as the App itself; "" is anonymous."""
        token = self.jwt() if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self.github.api_url + path
        return await self.client.request(method, url, json=body, headers=headers)

    async def repo(
        self, method: str, path: str, body: Any = None, token: str = "", **headers: str
    ) -> httpx.Response:
        """One request about the repository, with an installation's whole rights by default."""
        if not token:
            token = self.whole_token = self.whole_token or await self.token()
        return await self.ask(method, f"/repos/{REPO}{path}", body, token, **headers)

    def remote(self, token: str = "") -> str:
        """The address of the repository for git."""
        login = f"x-access-token:{token}@" if token else ""
        return f"http://{login}{self.github.url.removeprefix('http://')}/{REPO}.git"

    async def git(self, *arguments: str, folder: str = ".", fails: bool = False) -> str:
        """Run git; return all of its output."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "W",
            "GIT_AUTHOR_EMAIL": "w@example.com",
            "GIT_COMMITTER_NAME": "W",
            "GIT_COMMITTER_EMAIL": "w@example.com",
            "LC_ALL": "C.UTF-8",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.home / folder,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert bool(process.returncode) == fails, out.decode()
        return out.decode().strip()

    async def clone(self, token: str = "") -> None:
        """Clone into `work`."""
        await self.git("clone", "-q", self.remote(token), "work")

    async def commit(self, path: str, content: str, branch: str = "main") -> str:
        """Commit a file in `work` on a branch, which is made where it is missing."""
        await self.git("checkout", "-q", "-B", branch, folder="work")
        file = self.home / "work" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        await self.git("add", "-A", folder="work")
        await self.git("commit", "-qm", f"Change {path}", folder="work")
        return await self.git("rev-parse", "HEAD", folder="work")

    async def branch(self, name: str, path: str = "a.py", content: str = "new\n") -> str:
        """A branch on GitHub with one change, made without a push; gives its head."""
        main = await self.github.branch(REPO, "main")
        tree = await self.repo(
            "POST",
            "/git/trees",
            {
                "base_tree": main,
                "tree": [{"path": path, "mode": "100644", "type": "blob", "content": content}],
            },
        )
        body = {"message": "Change", "tree": tree.json()["sha"], "parents": [main]}
        sha: str = (await self.repo("POST", "/git/commits", body)).json()["sha"]
        made = await self.repo("POST", "/git/refs", {"ref": f"refs/heads/{name}", "sha": sha})
        assert made.status_code == 201, made.text
        return sha

    async def pull(self, head: str = "feat", **more: Any) -> dict[str, Any]:
        """A pull request by the App."""
        body = {"title": "Mend", "head": head, "base": "main"} | more
        made = await self.repo("POST", "/pulls", body)
        assert made.status_code == 201, made.text
        shape: dict[str, Any] = made.json()
        return shape


@pytest.fixture(scope="session")
def key() -> RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Door:
    """One server and client for all tests: to start and stop them takes longer than most tests."""

    def __init__(self) -> None:
        self.github: GitHub | None = None
        self.url = ""
        self.client = httpx.AsyncClient(trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.github is not None
        await self.github.asgi(scope, receive, send)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door() -> AsyncIterator[Door]:
    made = Door()
    async with serve_app(made) as made.url, made.client:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(tmp_path: Path, key: RSAPrivateKey, door: Door) -> AsyncIterator[World]:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    app = AppRegistration(7, "honk", pem, "webhook-secret")
    github = door.github = GitHub.create(tmp_path / "github", app)
    github.url = door.url
    github.add_user("stranger")
    await github.add_repository(REPO, files=FILES, permissions=PEOPLE)
    try:
        with contract(github, requests=False):
            yield World(github, key, tmp_path, door.client)
    finally:
        await github.close()
