"""The terminal: exit codes, clear words, and the two halves as two processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.house import FINISH, FIX, House, in_one_process, open_house, script


def _honk(
    *arguments: str, within: Sequence[str] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*within, sys.executable, "-m", "app", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command", ["", "serve", "web", "worker", "migrate", "backup", "doctor", "runs", "playground"]
)
def test_help_is_everywhere(command: str) -> None:
    done = _honk(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["sevre"], ["serve", "--prot", "1"], ["playground", "--repo", "."]]
)
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    assert _honk(*arguments).returncode == 2


def test_what_is_missing_is_said_without_a_traceback(tmp_path: Path) -> None:
    done = _honk("serve", HONK_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "GITHUB_APP_ID is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    done = _honk("migrate", HONK_HOME=str(tmp_path), DATABASE_URL="mysql://x/y")
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr


def test_no_sandbox_needs_a_clear_yes(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(0o600)
    done = _honk(
        "worker",
        HONK_HOME=str(tmp_path),
        HONK_SANDBOX="none",
        GITHUB_APP_ID="1",
        GITHUB_PRIVATE_KEY_PATH=str(key),
        ANTHROPIC_API_KEY="none",
    )
    assert done.returncode == 1
    assert "HONK_ALLOW_UNSANDBOXED=yes" in done.stderr


def _worker_settings(home: Path) -> dict[str, str]:
    home.chmod(0o711)
    key = home / "key"
    key.write_text("x")
    key.chmod(0o600)
    return {
        "HONK_HOME": str(home),
        "GITHUB_APP_ID": "1",
        "GITHUB_PRIVATE_KEY_PATH": str(key),
        "ANTHROPIC_API_KEY": "none",
    }


def test_doctor_proves_the_sandbox_and_names_what_is_missing(tmp_path: Path) -> None:
    settings = _worker_settings(tmp_path)
    well = _honk("doctor", "--for", "worker", **settings)
    assert well.returncode == 0, well.stdout
    assert well.stdout.count("  ok  ") >= 18 and "All is well." in well.stdout
    ill = _honk("doctor", **settings)
    assert ill.returncode == 1
    assert "FAIL  GITHUB_WEBHOOK_SECRET" in ill.stdout
    assert "Set it in the environment or in .env" in ill.stdout
    assert not (tmp_path / "honk.db").exists()


@pytest.mark.parametrize("user", ["0", "1000"])
def test_without_user_namespaces_the_worker_refuses_and_doctor_tells(
    user: str, tmp_path: Path
) -> None:
    closed = ["bwrap", "--unshare-user", "--uid", user, "--gid", user, "--disable-userns"]
    for command in (["worker"], ["doctor", "--for", "worker"]):
        done = _honk(
            *command, within=[*closed, "--dev-bind", "/", "/"], **_worker_settings(tmp_path)
        )
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1
        assert "No sandbox can be made here." in said
        assert "`honk worker` on a machine of your own" in said
        assert "Traceback" not in said
    apart = {"HONK_HOME": str(tmp_path / "web"), "GITHUB_WEBHOOK_SECRET": "secret"}
    web = _honk("doctor", "--for", "web", GITHUB_APP_ID="1", **apart)
    assert web.returncode == 0, web.stdout


def test_a_newer_database_is_refused_by_every_process(tmp_path: Path) -> None:
    assert _honk("migrate", HONK_HOME=str(tmp_path)).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "honk.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(0o600)
    settings = {
        "HONK_HOME": str(tmp_path),
        "GITHUB_APP_ID": "1",
        "GITHUB_WEBHOOK_SECRET": "s",
        "GITHUB_PRIVATE_KEY_PATH": str(key),
        "ANTHROPIC_API_KEY": "none",
    }
    for command in ("web", "worker", "migrate", "runs"):
        done = _honk(command, **settings)
        assert done.returncode == 1
        assert "schema 9999, which is newer than this Honk" in done.stderr
        assert "Traceback" not in done.stderr


def test_web_before_migrate_says_what_to_do(tmp_path: Path) -> None:
    done = _honk("web", HONK_HOME=str(tmp_path), GITHUB_APP_ID="1", GITHUB_WEBHOOK_SECRET="s")
    assert done.returncode == 1
    assert "honk migrate" in done.stderr


@in_one_process("only SQLite refuses a second worker")
async def test_a_second_worker_on_sqlite_is_refused_and_runs_are_shown() -> None:
    async with open_house() as house:
        subject = await house.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        second = _honk("worker", **house.settings)
        assert second.returncode == 1
        assert "Another worker already works" in second.stderr
        _check_the_runs(house)


def _check_the_runs(house: House) -> None:
    listed = _honk("runs", **house.settings)
    assert listed.returncode == 0, listed.stderr
    run, _, _, outcome, *_ = listed.stdout.split()
    assert outcome == "done"
    assert "olivia/calc-0#1" in listed.stdout
    shown = _honk("runs", "show", run, **house.settings)
    assert "pull_number        2" in shown.stdout
    records = _honk("runs", "log", run, **house.settings)
    assert '"tool_use"' in records.stdout
    assert _honk("runs", "show", "nowhere", **house.settings).returncode == 1
