"""The App on a simulated GitHub with one repository, and where it puts what it accepts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.domain.trigger import AppIdentity
from app.github.client import GitHubApp
from app.playground.github import GitHub, serve
from app.playground.pages import github_with_pages
from app.playground.run import APP_ID, registration
from app.runs import engine, queue
from app.store.database import Database

REPO = "olivia/calc"
OURS = AppIdentity(app_id=APP_ID, slug="honk")


@dataclass
class AppOnGitHub:
    """What a test of reading from GitHub needs."""

    github: GitHub
    app: GitHubApp
    queue: queue.TriggerQueue
    database: Database


@contextlib.asynccontextmanager
async def app_on_github(folder: Path, people: Mapping[str, str]) -> AsyncIterator[AppOnGitHub]:
    """Issue 1 of `REPO` is open; `people` are its collaborators with their permissions."""
    github = github_with_pages(folder / "github", registration(folder))
    for login in people:
        github.add_user(login)
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    engine.migrate(database, concurrency=1)
    key = SecretStr((folder / "app.pem").read_text())
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(github, port=0))
        app = GitHubApp(str(APP_ID), key, f"{url}/api/v3", url)
        stack.push_async_callback(app.close)
        triggers = stack.enter_context(queue.trigger_queue(database))
        await github.add_repository(REPO, files={"a": b"a"}, permissions=dict(people))
        await github.open_issue(REPO, "olivia", "Broken", "It is.")
        yield AppOnGitHub(github, app, triggers, database)
    database.close()
