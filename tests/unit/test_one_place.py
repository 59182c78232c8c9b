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


def _insert(path: Path, *, before: str, text: str) -> None:
    source = path.read_text()
    assert source.count(before) == 1, f"{path.name} has changed: {before!r}"
    path.write_text(source.replace(before, text + before))


def _run(copy: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
