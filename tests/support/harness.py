"""The harness for stories: the playground's GitHub and model, and the real product.

Everything in between is real: HTTP, git, the sandbox, the database and the test runners. A story
creates a repository and an issue, lets a person do something, and checks what they see.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app import log_events
from app.playground.github import GitHub, serve
from app.playground.github.records import CheckRun
from app.playground.github.world import SimulatedComment, SimulatedIssue
from app.playground.model import ModelScript, ScriptedModel, ScriptedTurn
from app.playground.pages import github_with_pages
from app.playground.run import (
    KEY_OF_NOBODY,
    PlaygroundStart,
    Product,
    ServedProcess,
    environment,
    github_settings,
    product,
    registration,
    start_process,
)
from app.playground.serving import serve_app
from app.runs.worker_leases import EXIT_CUT_OFF
from app.store.database import Database
from tests.support import forked
from tests.support.openapi import contract
from tests.support.postgres import Postgres
from tests.support.toolchains import OUTPUTS

OWNER = "olivia"
PATIENCE_SECONDS = 200.0

AS_FLEET = os.environ.get("FLEET") == "1"
"""Whether stories run on fleets with Postgres; see the Makefile."""
FLEET_RECEIVERS, FLEET_WORKERS = 2, 3

_IN_MEMORY = Path("/dev/shm")
_MUCH_MEMORY = 12 * 2**30
_END = re.compile(r"<!-- honk:end=(\w+)\.(\d+) -->")

PROJECT = {
    "calc.py": b"def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a * 2\n",
    "test_calc.py": (
        b"from calc import add, double\n\n\n"
        b"def test_add():\n    assert add(2, 3) == 5\n\n\n"
        b"def test_double():\n    assert double(4) == 8\n"
    ),
}
"""A project with one failing test, and one that passes."""

FIX = {
    "str_replace_based_edit_tool": {
        "command": "str_replace",
        "path": "/workspace/calc.py",
        "old_str": "return a - b",
        "new_str": "return a + b",
    }
}
FINISH = {"finish": {"summary": "add() now adds.", "not_done": "", "how_to_check": "Run pytest."}}


def script(*turns: list[dict[str, Any]] | dict[str, Any]) -> ModelScript:
    """A script of turns. Each turn is a list of tool calls, or a single one."""
    whole = [_turn(turn) for turn in turns]
    return ModelScript(tuple(ScriptedTurn.model_validate(turn) for turn in whole))


def _turn(turn: list[dict[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(turn, list):
        return {"use": turn}
    return turn if set(turn) & set(ScriptedTurn.model_fields) else {"use": [turn]}


def never_twice(command: str, request: dict[str, Any], *, seconds: float = 0.0) -> ScriptedTurn:
    """A turn that runs the command, written differently each time, because Honk ends an agent that
    repeats itself.

    `seconds` is how long the model takes to answer.
    """
    different = f"{command} # {len(request['messages'])}"
    return ScriptedTurn(use=({"bash": {"command": different}},), seconds=seconds)


@dataclass
class GatedModel:
    """The scripted model, whose answers about a subject wait while its gate is closed."""

    app: Any
    gates: dict[str, asyncio.Event] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        heard = bytearray()

        async def hear() -> Any:
            message = await receive()
            heard.extend(message.get("body", b""))
            return message

        async def answer(message: Any) -> None:
            about = re.search(rb"Subject: ([\w./-]+#\d+)", heard)
            gate = self.gates.get(about[1].decode()) if about else None
            if gate is not None and message["type"] == "http.response.start":
                await gate.wait()
            await send(message)

        await self.app(scope, hear, answer)


@dataclass
class Subject:
    """One issue, as a person sees it."""

    harness: Harness
    repository: str
    number: int

    @asynccontextmanager
    async def thinking(self) -> AsyncIterator[None]:
        """Inside this block the model is asked about the subject and does not answer."""
        gate = self.harness.gates[self.name] = asyncio.Event()
        try:
            yield
        finally:
            gate.set()

    @property
    def issue(self) -> SimulatedIssue:
        return self.harness.github.issue(self.repository, self.number)

    @property
    def ours(self) -> list[SimulatedComment]:
        return [c for c in self.issue.comments if c.author.login == "honk[bot]"]

    @property
    def status(self) -> str:
        """The status comment. Fails if there are several."""
        found = [c.body for c in self.ours if "<!-- honk:run=" in c.body]
        assert len(found) == 1, found
        return found[0]

    @property
    def last_words(self) -> str:
        """The comment with the last attempt's ending. Fails if an attempt has two."""
        found = [(_END.search(c.body), c.body) for c in self.ours]
        ends = [(end[1], int(end[2]), body) for end, body in found if end is not None]
        assert len({(run, attempt) for run, attempt, _ in ends}) == len(ends), ends
        newest = [(run, attempt, body) for run, attempt, body in ends if run == ends[-1][0]]
        return max(newest)[2]

    @property
    def endings(self) -> int:
        """How many attempts have said how they ended, in all runs."""
        last: dict[str, int] = {}
        for comment in self.ours:
            for run, attempt in _END.findall(comment.body):
                last[run] = max(last.get(run, 0), int(attempt))
        return sum(last.values())

    @property
    def labels(self) -> list[str]:
        return [
            name
            for name in self.issue.label_names
            if name.startswith("honk") and name != "honk:max"
        ]

    @property
    def reactions(self) -> list[str]:
        return sorted(reaction.content for reaction in self.issue.reactions)

    @property
    def pull(self) -> SimulatedIssue:
        """The one pull request of the repository."""
        pulls = self.harness.github.pulls(self.repository)
        assert len(pulls) == 1, pulls
        return pulls[0]

    @property
    def pulls(self) -> list[SimulatedIssue]:
        return self.harness.github.pulls(self.repository)

    def checks(self, sha: str) -> list[CheckRun]:
        return self.harness.github.check_runs(self.repository, sha)

    @property
    def check(self) -> CheckRun:
        """The one check run on the pull request's head."""
        assert self.pull.pull is not None
        (run,) = self.checks(self.pull.pull.head_sha)
        return run

    async def git(self, *arguments: str) -> str:
        """Ask the repository's own git."""
        path = self.harness.github.world.repository(self.repository).git.path
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(path), *arguments, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    async def label(self, name: str = "honk", by: str = OWNER) -> None:
        clock = self.harness.github.clock
        if self.issue.updated_at == clock.now():
            clock.advance(1)  # GitHub's times are whole seconds; two labels in one are one request.
        await self.harness.github.add_label(self.repository, self.number, name, by)

    async def comment(self, body: str, by: str = OWNER) -> None:
        await self.harness.github.comment(self.repository, self.number, by, body)

    async def settled(self, *, endings: int = 1) -> None:
        """Wait until `endings` attempts have said how they ended, and everything is stored."""
        settled = {"honk:done", "honk:needs-you", "honk:failed"}
        await self.harness.until(
            lambda: self.endings == endings and len(self.labels) == 1 and self.labels[0] in settled,
            f"{self.repository}#{self.number} is not settled: {[c.body for c in self.ours]}",
        )
        await self.harness.github.drained()

    @property
    def name(self) -> str:
        """Its name in the log and for the model."""
        return f"{self.repository}#{self.number}"

    @property
    def model_input(self) -> str:
        """All requests to the model that mention the repository, as one text."""
        return str([r for r in self.harness.model.requests if self.repository in str(r)])

    async def message_kept(self) -> None:
        """Wait until a message to the subject's run is stored."""
        kept = "SELECT 1 FROM messages, runs WHERE runs.id = run_id AND repository = :repository"
        await self.harness.until(
            lambda: bool(self.harness.sql(kept, repository=self.repository)),
            "the message is not stored",
        )

    async def at_work(self, *, turns: int = 1) -> None:
        """Wait until the model was asked that many times."""
        await self.harness.until(lambda: len(self.requests) >= turns, f"{self.name} is not at work")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the model was asked: the first message names the subject, the rest may be long."""
        requests = self.harness.model.requests
        return [each for each in requests if self.repository in str(each["messages"][0])]

    async def ended(self, *, attempts: int = 1) -> str:
        """Wait until the run has ended, even if GitHub shows nothing; its outcome, from the log."""
        await self.harness.until(lambda: len(self._ends()) >= attempts, f"{self.name} goes on")
        await self.harness.github.drained()
        return self._ends()[-1]

    def _ends(self) -> list[str]:
        lines = self.harness.log().splitlines()
        begun = [line for line in lines if log_events.ATTEMPT_STARTED in line and self.name in line]
        runs = {run for line in begun if (run := _told_in(line, "run"))}
        ends = [line for line in lines if log_events.ATTEMPT_ENDED in line]
        return [_told_in(line, "outcome") for line in ends if _told_in(line, "run") in runs]

    async def ignored(self) -> bool:
        """Whether the receiver answered that the repository's newest comment contains no
        command.
        """
        await self.harness.github.drained()
        codes = [
            each.status_code
            for each in self.harness.github.deliveries
            if each.event == "issue_comment"
            and each.action != "deleted"
            and each.payload["repository"]["full_name"] == self.repository
            and each.payload["comment"]["user"]["type"] == "User"
        ]
        return codes[-1] == 204

    async def answered(self, words: str) -> str:
        """Wait for a comment of ours with this text, and return it."""
        await self.harness.until(
            lambda: any(words in c.body for c in self.ours),
            f"nobody says {words!r}: {[c.body for c in self.ours]}",
        )
        return next(c.body for c in self.ours if words in c.body)

    async def refused(self) -> str:
        """Wait for a refusal and return its text."""
        await self.harness.until(
            lambda: any("<!-- honk:refused=" in c.body for c in self.ours), "nothing was refused"
        )
        (found,) = [c.body for c in self.ours if "<!-- honk:refused=" in c.body]
        return found


def _told_in(line: str, name: str) -> str:
    """The value of a name in a line of the log."""
    found = re.search(rf"\b{name}=(\S+)", line)
    return found[1] if found else ""


class Logs:
    """The output of a harness's processes, as one log that only grows."""

    _ENTRY = re.compile(r"(?m)^(?=\d{4}-\d\d-\d\dT|\{)")
    _MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
    _COLOUR = re.compile(r"\x1b\[[0-9;]*m")

    def __init__(self) -> None:
        self._read_until: dict[Path, int] = {}
        self._text = ""

    def add(self, path: Path) -> None:
        """One more file, which need not be there yet."""
        self._read_until.setdefault(path, 0)

    def read(self) -> str:
        """The whole output so far; new lines are in order of time."""
        new = [entry for path in self._read_until for entry in self._new_in(path)]
        self._text += "".join(sorted(new, key=self._moment))
        return self._text

    def _new_in(self, path: Path) -> list[str]:
        """The whole lines that were not read yet; a traceback stays with what it belongs to."""
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read_until[path])
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_until[path] += len(whole + newline)
        return self.entries(self._COLOUR.sub("", (whole + newline).decode("utf-8")))

    @classmethod
    def entries(cls, text: str) -> list[str]:
        """Cut a log into its entries."""
        return cls._ENTRY.split(text)

    def _moment(self, entry: str) -> str:
        found = self._MOMENT.search(entry)
        return found[0] if found else ""


@dataclass
class Harness:
    """The playground with the product in it."""

    home: Path
    github: GitHub
    model: ScriptedModel
    settings: dict[str, str]
    honk: Product | None = None
    module: str = "app"
    """The module that is started as the product; any other than `app` may die and is then
    restarted.
    """
    start_by: PlaygroundStart | None = None
    """How the product is started, where it is not as a process like any other."""
    patience: float = PATIENCE_SECONDS
    """Seconds to wait for something visible."""
    exempt: dict[tuple[str, str], str] = field(default_factory=dict)
    """Operations (method and template) that this story uses wrongly on purpose, with reasons."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """By a subject's name, the gate for the model's answers about it."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _numbers: Any = field(default_factory=itertools.count)
    _logs: Logs = field(default_factory=Logs)

    @property
    def url(self) -> str:
        """Where the product receives and shows its pages."""
        assert self.honk is not None
        return self.honk.url

    @property
    def machines(self) -> list[Path]:
        """The HONK_HOME of each worker so far."""
        return [self.home / "honk"]

    async def start(self) -> None:
        """Start the product on what is in `home`."""
        self.honk = await self._serve("serve")
        self.github.webhook_url = f"{self.honk.url}/webhooks/github"

    async def _serve(self, command: str) -> Product:
        self._logs.add(self.home / "honk.log")
        # Libraries are loaded before a program begins, not when it forks.
        usual: PlaygroundStart = start_process if "LD_PRELOAD" in self.settings else forked.start
        start = self.start_by or usual
        started = product(
            self.home, self.settings, command=command, module=self.module, start=start
        )
        return await self._stack.enter_async_context(started)

    async def stop(self) -> None:
        """End the product as its operator would."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def kill(self) -> None:
        """End the product as a crash would, sandboxes and all."""
        processes = self._processes()
        for process in processes:
            process.kill()
        for process in processes:
            await asyncio.to_thread(process.wait)
        await self.stop()

    def _processes(self) -> list[ServedProcess]:
        assert self.honk is not None
        return [self.honk.process]

    async def subject(
        self,
        *,
        files: Mapping[str, bytes] | None = None,
        title: str = "add() subtracts",
        body: str = "`add(2, 3)` is -1.",
        plays: Any = None,
        name: str | None = None,
        owner: str = OWNER,
        **repository: Any,
    ) -> Subject:
        """A repository with an issue, and the model's script for it.

        Another `owner` has a separate installation, which a story may remove.
        """
        full_name = f"{owner}/{name or f'calc-{next(self._numbers)}'}"
        permissions = {OWNER: "admin", **repository.pop("permissions", {})}
        await self.github.add_repository(
            full_name,
            files=PROJECT if files is None else files,
            permissions=permissions,
            **repository,
        )
        number = (await self.github.open_issue(full_name, OWNER, title, body)).number
        if plays is not None:
            self.model.scripts[f"{full_name}#{number}"] = plays
        return Subject(self, full_name, number)

    async def until(self, happened: Callable[[], bool], otherwise: str) -> None:
        """Wait for something visible; otherwise fail with the message and the end of the product's
        log.
        """
        end = time.monotonic() + self.patience
        while not happened():
            alive = self.honk is None or self.honk.process.poll() is None
            assert alive or self.module != "app", self.log()[-3000:]
            assert time.monotonic() < end, f"{otherwise}\n{self.log()[-3000:]}"
            await asyncio.sleep(0.02)

    def log(self) -> str:
        """The product's whole output, since its first start."""
        return self._logs.read()

    def own_failures(self) -> str:
        """The failures that the product logged as its own, with tracebacks."""
        entries = Logs.entries(self.log())
        return "".join(each for each in entries if log_events.STEP_FAILED in each)

    def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Execute SQL in the product's database; return the rows."""
        url = self.settings.get("DATABASE_URL", f"sqlite:///{self.home}/honk/honk.db")
        engine = Database(url).engine
        try:
            with engine.begin() as connection:
                if engine.dialect.name != "sqlite":
                    # The engine's own tables are in a schema of theirs.
                    connection.execute(sa.text("SET LOCAL search_path TO public, dbos"))
                done = connection.execute(sa.text(statement), values)
                return [tuple(row) for row in done] if done.returns_rows else []
        finally:
            engine.dispose()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send something to the receiver that GitHub would not."""
        async with httpx.AsyncClient() as client:
            return await client.post(
                f"{self.url}/webhooks/github", content=body, headers=dict(headers)
            )


@dataclass
class Worker:
    """One `honk worker` process, with its own log."""

    process: ServedProcess
    log_file: Path
    begins: int = 0
    """Where its own output begins in the file: other workers may have used its machine before."""

    @property
    def log(self) -> str:
        said = self.log_file.read_bytes()[self.begins :].decode("utf-8")
        return re.sub(r"\x1b\[[0-9;]*m", "", said)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether it has ever reported that it is ready."""
        return log_events.WORKER_READY in self.log

    async def ended(self, *, within: float = 30.0) -> int:
        """Wait for its end; its exit code."""
        return await asyncio.to_thread(self.process.wait, within)


@dataclass
class Fleet(Harness):
    """The product as several processes: receivers and workers that share a database.

    Nothing else is shared: each worker has its own home, as on another machine.
    """

    size: int = 2
    receivers: int = 1
    workers: list[Worker] = field(default_factory=list)
    _webs: list[Product] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _machines: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.github.webhook_observers.append(lambda _: self._lead_to_the_next())

    @property
    def url(self) -> str:
        """Of the receivers in turn, as a balancer would."""
        return self._webs[next(self._turns) % len(self._webs)].url

    @property
    def machines(self) -> list[Path]:
        return sorted(path for path in self.home.glob("worker-*") if path.is_dir())

    async def start(self) -> None:
        """Start the workers, each on its machine, then what receives."""
        self._machines = itertools.count()
        await asyncio.gather(*(self.add_worker() for _ in range(self.size)))
        self._webs = [await self._serve("web") for _ in range(self.receivers)]
        self.honk = self._webs[0] if self._webs else None
        self._lead_to_the_next()

    def _lead_to_the_next(self) -> None:
        if self._webs:
            self.github.webhook_url = f"{self.url}/webhooks/github"

    async def add_worker(self) -> Worker:
        """One more, ready to work; one that ends itself is started again, as a supervisor would."""
        while not (worker := await self._ready_or_ended()).is_alive:
            assert worker.process.poll() == EXIT_CUT_OFF, worker.log
            self.workers.remove(worker)
        return worker

    async def _ready_or_ended(self) -> Worker:
        worker = self.start_worker()
        await self.until(lambda: worker.is_ready or not worker.is_alive, "not ready")
        return worker

    def start_worker(self) -> Worker:
        """One more on a machine of its own, which will be ready."""
        number = next(self._machines)
        home, log = self.home / f"worker-{number}", self.home / f"worker-{number}.log"
        begins = log.stat().st_size if log.exists() else 0
        self._logs.add(log)
        with log.open("ab") as output:
            settings = environment({**self.settings, "HONK_HOME": str(home)})
            process = forked.start_logging((self.module, "worker"), settings, self.home, output)
        worker = Worker(process, log, begins)
        self.workers.append(worker)
        return worker

    def at_work_on(self, subject: Subject) -> Worker:
        """The worker that was the last to log the start of an attempt on the subject."""
        name = f"{subject.repository}#{subject.number}"
        found = [
            (line[:26], worker)
            for worker in self.workers
            for line in worker.log.splitlines()
            if log_events.ATTEMPT_STARTED in line and f"subject={name}" in line
        ]
        return max(found, key=lambda each: each[0])[1]

    async def stop(self) -> None:
        await super().stop()
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await worker.ended()
            worker.process.kill()
            worker.process.wait()
        self.workers.clear()
        self._webs.clear()
        self.honk = None

    def _processes(self) -> list[ServedProcess]:
        webs = [web.process for web in self._webs]
        return webs + [worker.process for worker in self.workers]


_servers: list[Postgres] = []


@contextmanager
def harnesses_are_fleets(server: Postgres) -> Iterator[None]:
    """While this is open `open_harness` opens fleets, each on a new database of this server."""
    _servers.append(server)
    try:
        yield
    finally:
        _servers.pop()


def in_one_process(reason: str) -> pytest.MarkDecorator:
    """A story about a single process, or about SQLite, which cannot run on a fleet."""
    return pytest.mark.skipif(AS_FLEET, reason=reason)


@asynccontextmanager
async def open_harness(*, module: str = "app", **settings: str) -> AsyncIterator[Harness]:
    """A new harness with the product running in it: `honk serve` on SQLite.

    Within `harnesses_are_fleets` it is a fleet. All traffic between the product and GitHub is
    checked against GitHub's descriptions: a harness fails at its end, with ContractError, when
    something invalid was sent or answered.
    """
    async with _open_as_is_wanted(FLEET_WORKERS, module, settings) as harness:
        yield harness


@asynccontextmanager
async def open_harness_with_one_worker(**settings: str) -> AsyncIterator[Harness]:
    """The same for a story about the slots or the disk of one machine."""
    async with _open_as_is_wanted(1, "app", settings) as harness:
        yield harness


@asynccontextmanager
async def _open_as_is_wanted(
    workers: int, module: str, settings: Mapping[str, str]
) -> AsyncIterator[Harness]:
    if _servers:
        async with open_fleet(
            _servers[-1].database(),
            workers=workers,
            receivers=FLEET_RECEIVERS,
            module=module,
            settings={"HONK_LEASE_SECONDS": "12", **settings},
        ) as fleet:
            yield fleet
        return
    kind = functools.partial(Harness, module=module)
    with a_home() as home:
        async with open_harness_in(home, settings, kind) as harness:
            yield harness


def share_build_outputs(home: Path) -> None:
    """Let a worker with this home use what other test runs had toolchains build."""
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "outputs").symlink_to(OUTPUTS)


@contextmanager
def a_home() -> Iterator[Path]:
    """A folder for a harness.

    Not below pytest's own directory: as root, sandboxes run as accounts that may not pass.
    """
    with tempfile.TemporaryDirectory(prefix="honk-harness-", dir=_where_files_cost_least()) as name:
        home = Path(name)
        home.chmod(0o711)
        yield home


@functools.cache
def _where_files_cost_least() -> str | None:
    """In memory, where there is plenty of it and programs may be run from there."""
    if not _IN_MEMORY.is_dir() or not os.access(_IN_MEMORY, os.W_OK):
        return None
    told = os.statvfs(_IN_MEMORY)
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = next((int(line.split()[1]) for line in lines if "MemAvailable" in line), 0)
    room = min(told.f_bavail * told.f_frsize, kilobytes * 1024)
    return None if told.f_flag & os.ST_NOEXEC or room < _MUCH_MEMORY else str(_IN_MEMORY)


@asynccontextmanager
async def open_fleet(
    database: str | None,
    *,
    workers: int,
    receivers: int = 1,
    module: str = "app",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Fleet]:
    """A new harness with `honk web` and some `honk worker` on a Postgres database.

    Without a database it is SQLite, which has room for one worker.
    """
    given = {"HONK_LEASE_SECONDS": "5", **(settings or {})}
    if database is not None:
        given["DATABASE_URL"] = database
    kind = functools.partial(Fleet, size=workers, receivers=receivers, module=module)
    with a_home() as home:
        async with open_harness_in(home, given, kind) as harness:
            assert isinstance(harness, Fleet)
            yield harness


@asynccontextmanager
async def open_harness_in(
    home: Path, settings: Mapping[str, str], kind: Callable[..., Harness]
) -> AsyncIterator[Harness]:
    """A new harness of this kind in a folder that is there."""
    github = github_with_pages(home / "github", registration(home))
    share_build_outputs(home / "honk")
    for login in (OWNER, "walter", "trudy", "rita", "stan"):
        github.add_user(login)
    # Stories share an installation, and send more requests than people.
    github.world.rate_limit = 1_000_000
    model = ScriptedModel()
    gated = GatedModel(model.app)
    async with serve(github, port=0) as url, serve_app(gated) as model_url:
        harness = kind(
            home,
            github,
            model,
            {
                **github_settings(home, url),
                "ANTHROPIC_BASE_URL": model_url,
                "ANTHROPIC_API_KEY": KEY_OF_NOBODY,
                "HONK_WRITES_PER_MINUTE": "10000",
                "HONK_SETUP_NETWORK": "policy",
                **settings,
            },
            gates=gated.gates,
        )
        with contract(
            github, of=lambda record: (record.method, record.template) not in harness.exempt
        ):
            await harness.start()
            try:
                yield harness
            except BaseException:
                print(harness.own_failures())
                raise
            finally:
                await harness.stop()
