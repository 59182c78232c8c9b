"""A GitHub that keeps state, with one repository and one issue, and a client of the App.

Every request and response is validated against GitHub's own descriptions.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.domain.values import CommitSha, RepoName
from app.github import commits, repositories
from app.github.client import GitHubApp, RepositoryClient
from app.github.exchange import ApiCall
from app.playground.github import AppRegistration, GitHub, serve
from tests.support.openapi import contract

NAME = "octo/widget"
TIMEOUT = 0.7
EVERYTHING = {
    "actions": "read",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
    "statuses": "read",
}


@dataclass
class Scene:
    """A playground with one repository and one issue, and a client for it."""

    github: GitHub
    app: GitHubApp
    client: RepositoryClient
    issue: int
    calls: list[ApiCall]

    async def head(self, branch: str = "main") -> CommitSha:
        found = await repositories.branch_head(self.client, branch)
        assert found is not None
        return found

    async def commit(self, *parents: CommitSha, message: str = "Change") -> CommitSha:
        base = await self.head()
        tree = (await commits.get_commit(self.client, base)).tree
        made = await commits.create_signed_commit(self.client, tree, parents or [base], message)
        return made.sha

    async def change(self, branch: str, path: str, text: str, who: str = "octo") -> CommitSha:
        """A person's commit on a branch, which is made from the default branch."""
        if await repositories.branch_head(self.client, branch) is None:
            ref = {"ref": f"refs/heads/{branch}", "sha": await self.head()}
            await self.act(who, "POST", "/git/refs", ref)
        there = await self.github.file(NAME, branch, path)
        body: dict[str, Any] = {"message": f"Change {path}", "branch": branch}
        body["content"] = base64.b64encode(text.encode()).decode()
        if there is not None:
            listed = await self.act(who, "GET", f"/contents/{path}?ref={branch}")
            body["sha"] = listed["sha"]
        await self.act(who, "PUT", f"/contents/{path}", body)
        return await self.head(branch)

    async def act(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """What a person does in the repository."""
        return await self.github.act(who, method, f"/repos/{NAME}{path}", body)

    async def propose(self, branch: str, who: str = "octo", text: str = "Really.") -> int:
        """A person's pull request."""
        body = {"head": branch, "base": "main", "title": "Change it", "body": text}
        number: int = (await self.act(who, "POST", "/pulls", body))["number"]
        return number

    def git(self, *arguments: str) -> str:
        path = self.github.world.repository(NAME).git.path
        done = subprocess.run(
            ["git", "-C", str(path), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@asynccontextmanager
async def open_scene(
    folder: Path, private_key_pem: str, *, secrets: Iterable[str] = ()
) -> AsyncIterator[Scene]:
    registration = AppRegistration(
        app_id=7,
        slug="honk",
        private_key_pem=private_key_pem,
        webhook_secret="unused",
        permissions=EVERYTHING,
    )
    github = GitHub.create(folder / "github", app=registration)
    github.add_user("octo")
    github.add_user("mallory")
    await github.add_repository(NAME, files={"a.txt": b"one\n"}, permissions={"octo": "admin"})
    calls: list[ApiCall] = []

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    async with serve(github, port=0) as url:
        app = GitHubApp(
            "7",
            SecretStr(private_key_pem),
            f"{url}/api/v3",
            url,
            calls.append,
            github.clock.timestamp,
            secrets=lambda: secrets,
            timeout=TIMEOUT,
            sleep=at_once,
        )
        number = (await github.open_issue(NAME, "octo", "It is broken", "Really.")).number
        installation = next(iter(github.world.installations.values())).id
        client = await app.repository(installation, RepoName.parse(NAME), EVERYTHING)
        with contract(github):
            yield Scene(github, app, client, number, calls)
        await app.close()
