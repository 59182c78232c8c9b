"""The deployment files refer only to existing commands and settings, with time to stop."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from app.cli import honk

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy").glob("*.service"))
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
LONGEST_STOP_SECONDS = 30


def _unit(path: Path) -> dict[str, list[str]]:
    """Every value by section and key; a key may stand there several times."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


def _command(text: str) -> str:
    found = re.search(r"-m app (\w+)", text)
    assert found is not None, text
    return found[1]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_refer_to_existing_commands_and_settings(path: Path) -> None:
    unit = _unit(path)
    assert _command(unit["Service.ExecStart"][0]) in honk.commands
    named = [
        word.partition("=")[0]
        for value in unit["Service.Environment"]
        for word in shlex.split(value)
    ]
    for name in named:
        assert name.removesuffix("_FILE") in SETTINGS, name


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_workers_have_the_time_and_the_signal_to_hand_over(path: Path) -> None:
    unit = _unit(path)
    if _command(unit["Service.ExecStart"][0]) not in ("serve", "worker"):
        return
    assert int(unit["Service.TimeoutStopSec"][0]) > LONGEST_STOP_SECONDS
    assert unit["Service.KillMode"] == ["mixed"]
    assert unit["Service.Restart"] == ["always"]
    # Sandboxes need both.
    assert "Service.RestrictNamespaces" not in unit
    assert "Service.PrivateDevices" not in unit


def test_secrets_go_only_to_the_services_that_need_them() -> None:
    for path in UNITS:
        unit = _unit(path)
        given = {value.partition(":")[0] for value in unit.get("Service.LoadCredential", [])}
        command = _command(unit["Service.ExecStart"][0])
        assert ("webhook-secret" in given) == (command in ("web", "serve")), path.name
        assert ("private-key" in given) == (command in ("worker", "serve")), path.name
        assert ("model-key" in given) == (command in ("worker", "serve")), path.name


def test_the_procfile_and_the_image_start_existing_commands() -> None:
    for line in (ROOT / "Procfile").read_text("utf-8").splitlines():
        assert _command(line) in honk.commands
    text = (ROOT / "Containerfile").read_text("utf-8")
    (started,) = re.findall(r'^CMD \["(\w+)"\]$', text, re.MULTILINE)
    assert started in honk.commands
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in (ROOT / ".containerignore").read_text("utf-8").splitlines()
