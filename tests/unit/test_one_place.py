"""Typical changes touch at most two product files: shown by making each in a copy of the app."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS_END = (
    '        CommandSpec(name="help", description="show this list", example="/honk help"),\n'
)
COMMAND_NAMES_END = '"doctor", "help",\n'
COMMAND_ROW = """\
        CommandSpec(name="ping", description="answer pong", example="/honk ping"),
"""
COMMAND = """
async def handle(services, trigger, policy):
    print("pong to", trigger.actor.login)
"""
USE_COMMAND = """
import asyncio
from app import messages
from app.domain.command import COMMANDS
from app.domain.policy import Policy
from app.domain.trigger import AppIdentity, from_event
from app.github import webhooks
from app.runs import commands
from tests.support.deliveries import commented, encoded

event = webhooks.read("issue_comment", "application/json", encoded(commented("/honk ping")))
trigger = from_event("issue_comment", event, AppIdentity(app_id=4711, slug="honk"))
assert "`/honk ping`" in messages.comments.help_text(COMMANDS.values())
asyncio.run(commands.handler(trigger)(None, trigger, Policy()))
"""


@pytest.fixture(name="copy")
def _copy(tmp_path: Path) -> Path:
    leave = shutil.ignore_patterns("playground", "__pycache__")
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=leave)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


def test_a_slash_command_is_a_row_and_a_file(copy: Path) -> None:
    _insert(copy / "app/domain/command.py", before=COMMANDS_END, text=COMMAND_ROW)
    _insert(copy / "app/domain/command.py", before=COMMAND_NAMES_END, text='"ping", ')
    (copy / "app/runs/commands/ping.py").write_text(COMMAND)
    assert _run(copy, USE_COMMAND) == "pong to octo-cat\n"


RULES_START = "_RULES = (\n"
RULE = """\
    _Rule(
        re.compile(r"tool\\.nap\\.minutes$"),
        _changed,
        Kind.NAP,
        "lets the tests sleep",
    ),
"""
KINDS_END = '    SECRET = "secret"'
USE_RULE = """
from app import integrity
from app.domain.diff import PLAIN, Diff, FileDiff
from app.domain.policy import IntegrityPolicy, parse

file = FileDiff(
    path="pyproject.toml", old_mode=PLAIN, new_mode=PLAIN,
    old=b"[tool.nap]\\nminutes = 1\\n", new=b"[tool.nap]\\nminutes = 9\\n",
)
flags = integrity.examine(Diff(files=(file,)))
policy = parse("integrity: {block: [nap]}")
print(*(flag.reason for flag in integrity.blocking(flags, policy.integrity.block)))
"""


def test_an_integrity_rule_is_a_kind_and_a_row(copy: Path) -> None:
    _insert(copy / "app/domain/flag.py", before=KINDS_END, text='    NAP = "nap"\n')
    _insert(copy / "app/integrity/configuration.py", after=RULES_START, text=RULE)
    assert _run(copy, USE_RULE) == "`tool.nap.minutes` lets the tests sleep.\n"


ENGINE = """
from app.agent.engine import EngineSpec

ENGINE = EngineSpec(needs={}, url=lambda _: "https://echo.test", create=lambda *_: "an echo")
"""
USE_ENGINE = """
from app.agent import engines
from app.domain.policy import parse

assert engines.NAMES == ("anthropic", "echo-chamber")
assert parse("engine: echo-chamber", engines=engines.NAMES).engine == "echo-chamber"
print(engines.Engines("echo-chamber", lambda name: engines.spec(name).create()).get("echo-chamber"))
"""


def test_an_engine_is_a_folder(copy: Path) -> None:
    (copy / "app/agent/engines/echo_chamber").mkdir()
    (copy / "app/agent/engines/echo_chamber/__init__.py").write_text(ENGINE)
    assert _run(copy, USE_ENGINE) == "an echo\n"


def _insert(path: Path, *, text: str, before: str = "", after: str = "") -> None:
    """Insert text in front of or behind the only place where the file has another one."""
    source, anchor = path.read_text(), before or after
    assert source.count(anchor) == 1, f"{path.name} has changed: {anchor!r}"
    path.write_text(source.replace(anchor, text + anchor if before else anchor + text))


def _run(copy: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
