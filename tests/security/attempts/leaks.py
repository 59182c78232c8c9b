"""A secret of the worker's on every way out. It is planted there, and looked for behind it."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from app.domain.diff import Diff, FileDiff
from app.github import checks, conversation
from app.integrity.secrets import added_secrets
from app.web.rendering import Renderer
from tests.security.harness import Attempt, Outcome, got, outcome, stopped
from tests.unit.github.conftest import private_key
from tests.unit.github.scene import NAME, Scene, open_scene

CANARY = "canary-of-a-worker-55d1f0"
"""It does not look like a token: only its value identifies it."""

Known = tuple[str, ...]


def _judged(shown: str) -> Outcome:
    return outcome(
        CANARY in shown, "the canary is out", "[redacted]" if shown else "nothing is out"
    )


Write = Callable[[Scene], Awaitable[str]]
"""Writes the canary to GitHub, and returns what is there then."""


async def _to_github(write: Write, known: Known, folder: Path) -> Outcome:
    async with open_scene(folder, private_key(), secrets=known) as scene:
        return _judged(await write(scene))


async def _comment(scene: Scene) -> str:
    marker = "<!-- honk:run=x -->"
    body = f"It failed: {CANARY}\n\n{marker}\n"
    await conversation.ensure_comment(scene.client, scene.issue, marker, body)
    return str([each.body for each in scene.github.issue(NAME, scene.issue).comments])


async def _check_run(scene: Scene) -> str:
    made = await checks.ensure_check_run(scene.client, "honk / tests", await scene.head(), "x")
    output = checks.Output(title=f"Failed {CANARY}", summary=f"with {CANARY}")
    await checks.complete_check_run(scene.client, made.id, conclusion="failure", output=output)
    found = await scene.act("octo", "GET", f"/check-runs/{made.id}")
    return json.dumps(found)


async def _commit_message(scene: Scene) -> str:
    sha = await scene.commit(message=f"Use {CANARY}\n\nand {CANARY}")
    return scene.git("cat-file", "-p", sha)


async def _pushed(path: str, content: str, known: Known, folder: Path) -> Outcome:
    """What is found is not pushed."""
    found = added_secrets(Diff((FileDiff.of(path, None, content),)), known)
    return stopped(f"not pushed: {found[0].kind}") if found else got("pushed")


async def _page(known: Known, folder: Path) -> Outcome:
    shown = Renderer(known, lambda: 0.0).json({"turns": [{"text": f"it says {CANARY}"}]})
    return _judged(bytes(shown.body).decode())


async def _process(words: list[str], environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return told.decode()


_LOG = f"""
import logging
import structlog
from app import logs
logs.configure(level="info", form="FORM", secrets=lambda: KNOWN)
try: raise ValueError("token {CANARY} is refused")
except ValueError: structlog.get_logger().exception("it failed", key="{CANARY}")
logging.getLogger("library").error("refused: %s", "{CANARY}")
"""


async def _log(form: str, known: Known, folder: Path) -> Outcome:
    code = _LOG.replace("FORM", form).replace("KNOWN", repr(known))
    return _judged(await _process(["-c", code], {}))


async def _transcript(known: Known, folder: Path) -> Outcome:
    """`honk runs log` of a turn that holds it; a secret is what the settings call one."""
    settings = {"HONK_HOME": str(folder)}
    await _process(["-m", "app", "migrate"], settings)
    record = json.dumps({"seq": 0, "content": [{"type": "text", "text": CANARY}]})
    with closing(sqlite3.connect(folder / "honk.db")) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(turns)")]
        given = {"run_id": "aaaaaaaaaa", "seq": 0, "record": record, "cost_usd": 0, "created_at": 0}
        names = [name for name in columns if name in given]
        marks = ", ".join("?" for _ in names)
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(
            f"INSERT INTO turns ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - our own names
            [given[name] for name in names],
        )
        database.commit()
    keys = {"ANTHROPIC_API_KEY": known[0]} if known else {}
    log = ["-m", "app", "runs", "log", "aaaaaaaaaa"]
    shown = await _process([*log, "--json"], settings | keys)
    shown += await _process(log, settings | keys)
    assert '"seq": 0' in shown, shown
    return _judged(shown)


def _way(name: str, defense: str, run: Callable[[Known, Path], Awaitable[Outcome]]) -> Attempt:
    return Attempt(
        f"a secret in {name}",
        defense,
        functools.partial(run, (CANARY,)),
        functools.partial(run, ()),
    )


_GITHUB = "known secrets are redacted in every text sent to GitHub"
_PUSHED = "added content is scanned before any push"

ATTEMPTS = (
    _way("a log line", "log lines are redacted", functools.partial(_log, "console")),
    _way("a traceback in JSON", "log lines are redacted", functools.partial(_log, "json")),
    _way("a comment", _GITHUB, functools.partial(_to_github, _comment)),
    _way("a check run", _GITHUB, functools.partial(_to_github, _check_run)),
    _way("a commit message", _GITHUB, functools.partial(_to_github, _commit_message)),
    _way("a file name", _PUSHED, functools.partial(_pushed, f"src/{CANARY}.py", "x = 1\n")),
    _way("a file", _PUSHED, functools.partial(_pushed, "a.py", f"x = '{CANARY}'\n")),
    _way(
        "a file, reversed",
        _PUSHED,
        functools.partial(_pushed, "a.py", f"x = '{CANARY[::-1]}'\n"),
    ),
    _way("a file, in hexadecimal", _PUSHED, functools.partial(_pushed, "a", CANARY.encode().hex())),
    _way("a page", "values on pages are redacted", _page),
    _way("the transcript in the terminal", "output is redacted", _transcript),
)
