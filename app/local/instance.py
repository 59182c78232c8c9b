"""The product on a private simulated GitHub, for one terminal: `honk try` and `honk eval`.

Honk runs as a process, as its operator would start it. Only GitHub is simulated, and the model if a
script plays it. Everything is in one folder, which is deleted at the end.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.agent import engines
from app.domain.report import Report
from app.domain.run import hidden_ref, subject_key
from app.domain.transcript import RecordedTurn, read_turn
from app.domain.values import RepoName
from app.errors import UserError
from app.local import checkout as checkouts
from app.playground.github import GitHub, serve
from app.playground.model import Responder, ScriptedModel
from app.playground.run import (
    KEY_OF_NOBODY,
    OWNER,
    Product,
    github_settings,
    network_settings,
    product,
    registration,
)
from app.playground.serving import serve_app
from app.settings import MissingSettingError, load_environment
from app.store.database import Database
from app.store.reports import Reports
from app.store.runs import RunRow, Runs
from app.store.turns import Turns

_POLL_SECONDS = 0.3
_LOG_CHARACTERS = 3_000

_HANDED_ON = re.compile(r"(?:HONK|ANTHROPIC|AWS|GOOGLE|CLOUD|VERTEX|CLAUDE_CODE)_[A-Z0-9_]+")
"""Settings of the agent and its environment: the model, the engine, the sandbox, the network."""

_OF_AN_INSTALLATION = re.compile(
    r"HONK_(?:HOME|PUBLIC_URL|SESSION_SECRET|INTAKE|CHECK|CONCURRENCY\w*|METRICS_\w+|\w+_DAYS"
    r"|ATTESTATION_KEY|LEASE_SECONDS|MAX_USD\w*)"
)
"""Settings of a server for other people; they do not apply to a run on this machine."""

_REFUSED = re.compile(r"<!-- honk:refused=")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Glimpse:
    """A run's current state, with the turns since the last glimpse."""

    row: RunRow
    turns: tuple[RecordedTurn, ...]


@dataclass(frozen=True)
class LocalIssue:
    """An issue on the simulated GitHub that Honk was asked to work on."""

    repository: RepoName
    number: int

    @property
    def key(self) -> str:
        """Its name in Honk's database."""
        return subject_key(self.repository, self.number)


class LocalHonk:
    """A running Honk with its simulated GitHub."""

    def __init__(self, home: Path, github: GitHub, honk: Product, database: Database) -> None:
        self.home = home
        self._github = github
        self._honk = honk
        self.database = database
        self._runs = Runs(database)

    async def start(
        self, name: str, source: Path, title: str, body: str, *, branch: str = "main"
    ) -> LocalIssue:
        """Copy a repository, open an issue in it, and label that for Honk.

        The branches and tags of `source` are copied; its HEAD becomes the default branch `branch`.
        """
        repository = RepoName(owner=OWNER, name=name)
        await self._github.add_repository(
            str(repository), source=source, default_branch=branch, permissions={OWNER: "admin"}
        )
        issue = await self._github.open_issue(str(repository), OWNER, title, body)
        await self._github.add_label(str(repository), issue.number, "honk", OWNER)
        return LocalIssue(repository, issue.number)

    async def comment(self, issue: LocalIssue, text: str) -> None:
        """Comment on the issue as the person who asked for the run."""
        await self._github.comment(str(issue.repository), issue.number, OWNER, text)

    async def follow(self, issue: LocalIssue, *, attempt: int = 1) -> AsyncIterator[Glimpse]:
        """Yield the run whenever it has changed, from this attempt on, until the attempt is
        finished.

        Each glimpse has the turns since the last one; the first one has all since the run began.
        Raises UserError when Honk refuses to work on the issue, or ends before the run does.
        """
        last, seen = -1, (0.0, 0)
        while True:
            row = next(iter(await self._runs.of_subject(issue.key)), None)
            if row is None or row.attempt < attempt:
                self._check_not_refused(issue)
            else:
                stored = await Turns(self.database, row.id).stored(after=last)
                turns = tuple(read_turn(record, at) for record, at in stored)
                last = turns[-1].seq if turns else last
                if turns or (row.updated_at, row.model_turns) != seen or row.finished_at:
                    seen = row.updated_at, row.model_turns
                    yield Glimpse(row, turns)
                if row.finished_at is not None:
                    return
            self._check_alive()
            await asyncio.sleep(_POLL_SECONDS)

    async def report(self, row: RunRow) -> Report | None:
        """How the run ended."""
        return await Reports(self.database).of(row.id, row.attempt)

    def git_folder(self, issue: LocalIssue) -> Path:
        """The bare repository on the simulated GitHub."""
        return self._github.world.repository(str(issue.repository)).git.path

    async def work_commit(self, issue: LocalIssue, row: RunRow) -> str | None:
        """The published commit, or the one that keeps unfinished work; None without either."""
        folder = self.git_folder(issue)
        return row.published_sha or await checkouts.resolve(folder, hidden_ref(row.id))

    def _check_not_refused(self, issue: LocalIssue) -> None:
        comments = self._github.issue(str(issue.repository), issue.number).comments
        for comment in comments:
            if _REFUSED.search(comment.body):
                said = " ".join(_COMMENT.sub("", comment.body).split())
                raise UserError(said.removeprefix(f"@{OWNER} "))

    def _check_alive(self) -> None:
        if self._honk.process.poll() is not None:
            log = (self.home / "honk.log").read_text("utf-8", "replace").strip()
            raise UserError(f"Honk ended before the run did:\n{log[-_LOG_CHARACTERS:]}")


@asynccontextmanager
async def local_honk(
    scripts: Mapping[str, Responder] | None = None,
    *,
    concurrency: int = 1,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[LocalHonk]:
    """Start Honk on a simulated GitHub without repositories.

    `scripts` has who plays the model in each repository, by the repository's name; without it the
    real model of the settings works. `environment` is this process's by default. Raises UserError
    when a setting of the model is missing, or Honk does not start.
    """
    if scripts is None:
        _check_model()
    given = os.environ if environment is None else environment
    home = Path(tempfile.mkdtemp(prefix="honk-local-"))
    # Sandboxes run as separate users, which must be able to traverse the folder.
    home.chmod(0o711)
    try:
        github = GitHub.create(home / "github", registration(home))
        github.add_user(OWNER)
        async with serve(github) as github_url, _scripted(scripts) as scripted:
            settings = {
                **_settings(given),
                **network_settings(given),
                **scripted,
                **github_settings(home, github_url),
                "HONK_CONCURRENCY": str(concurrency),
            }
            async with product(home, settings) as honk:
                github.webhook_url = f"{honk.url}/webhooks/github"
                database = Database(f"sqlite:///{home}/honk/honk.db")
                try:
                    yield LocalHonk(home, github, honk, database)
                finally:
                    database.close()
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _settings(given: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in given.items()
        if _HANDED_ON.fullmatch(name) and not _OF_AN_INSTALLATION.fullmatch(name)
    }


def _check_model() -> None:
    """Raises UserError that names the setting which the engine lacks."""
    found = load_environment()
    try:
        for needed in engines.spec(found.engine).needs(found).values():
            needed(found)
    except MissingSettingError as problem:
        raise UserError(
            problem.message, next_step="Set it in the environment; a .env file is not read here."
        ) from None


@asynccontextmanager
async def _scripted(scripts: Mapping[str, Responder] | None) -> AsyncIterator[dict[str, str]]:
    """The settings for a scripted model; none without scripts."""
    if scripts is None:
        yield {}
        return
    model = ScriptedModel(scripts={f"{OWNER}/{name}#1": each for name, each in scripts.items()})
    async with serve_app(model.app) as url:
        yield {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY_OF_NOBODY}


def repository_name(text: str, taken: Sequence[str] = ()) -> str:
    """A name for a repository on GitHub, made from any text and different from those taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:80].strip(".-") or "project"
    names = (plain if number == 1 else f"{plain}-{number}" for number in range(1, 1_000_000))
    known = {each.lower() for each in taken}
    return next(name for name in names if name.lower() not in known)
