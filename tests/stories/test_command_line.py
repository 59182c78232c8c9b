"""The terminal: exit codes, clear messages, and web and worker as two processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.doctor import as_json
from app.doctor.contacts import try_contacts
from app.playground.run import KEY_OF_NOBODY
from app.settings import load
from tests.support.command_line import run_honk
from tests.support.harness import FINISH, FIX, Harness, in_one_process, open_harness, script


def _honk(
    *arguments: str, within: Sequence[str] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    return run_honk(*arguments, settings=settings, seconds=60, within=within)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "web",
        "worker",
        "migrate",
        "backup",
        "doctor",
        "runs",
        "export",
        "try",
        "replay",
        "eval",
        "eval run",
        "eval compare",
        "eval from-history",
        "playground",
        "verify",
        "probe",
        "report",
    ],
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


def test_the_playground_names_the_packages_it_needs(tmp_path: Path) -> None:
    absent = "raise ModuleNotFoundError('No module named graphql', name='graphql')"
    (tmp_path / "graphql.py").write_text(absent)
    path = os.pathsep.join((str(tmp_path), str(Path.cwd())))
    done = _honk("playground", "--once", PYTHONPATH=path)
    assert done.returncode == 1
    assert "pip install 'honk-app[playground]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_missing_is_reported_without_a_traceback(tmp_path: Path) -> None:
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
        "GITHUB_API_URL": "http://127.0.0.1:9/api/v3",
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    }


def test_doctor_proves_the_sandbox_and_names_what_is_missing(tmp_path: Path) -> None:
    done = _honk("doctor", **_worker_settings(tmp_path))
    assert done.returncode == 1
    assert done.stdout.count("  ok  ") >= 18
    assert "FAIL  GITHUB_WEBHOOK_SECRET" in done.stdout
    assert "Set it in the environment or in .env" in done.stdout
    assert "FAIL  GitHub accepts the App's id and key: The App's private key is not" in done.stdout
    assert "FAIL  claude-sonnet-5-5 answers: The model cannot be reached" in done.stdout
    assert not (tmp_path / "honk.db").exists()


async def _doctor(harness: Harness, *arguments: str, **settings: str) -> tuple[int, dict[str, Any]]:
    given = {**harness.settings, **settings}
    done = await asyncio.to_thread(_honk, "doctor", "--json", *arguments, **given)
    return done.returncode, json.loads(done.stdout)


def _failures(found: dict[str, Any]) -> dict[str, str]:
    """The failed checks with their messages."""
    every = [each for part in found["parts"] for each in part["findings"]]
    assert found["good"] is all(each["good"] is not False for each in every)
    return {
        each["what"]: f"{each['told']} {each['next_step']}"
        for each in every
        if each["good"] is False
    }


@pytest.mark.slow
@in_one_process("it is about one machine")
async def test_doctor_asks_github_and_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        harness.model.api_key = KEY_OF_NOBODY
        requests, asked = len(harness.github.requests), len(harness.model.requests)
        code, found = await _doctor(harness)
        assert (code, _failures(found)) == (0, {})
        # The worker may still look at the new pull request's approvals.
        paths = {
            each.path
            for each in harness.github.requests[requests:]
            if "/repos/" not in each.path and "access_tokens" not in each.path
        }
        assert paths == {"/app", "/app/installations", "/app/hook/config", "/app/hook/deliveries"}
        assert [each["model"] for each in harness.model.requests[asked:]] == [
            "claude-sonnet-5-5",
            "claude-opus-5-5",
        ]
        assert all(each["max_tokens"] == 1 for each in harness.model.requests[asked:])

        server = harness.settings["GITHUB_SERVER_URL"]
        key = "GitHub accepts the App's id and key"
        other = tmp_path / "other.pem"
        other.write_bytes(_another_key())
        other.chmod(0o600)
        for changed, what, said in (
            ({"GITHUB_API_URL": server, "GITHUB_SERVER_URL": server}, key, "/api/v3"),
            ({"GITHUB_API_URL": "http://127.0.0.1:9/api/v3"}, key, "did not answer"),
            ({"GITHUB_PRIVATE_KEY_PATH": str(other)}, key, "GITHUB_APP_ID, the private key"),
            ({"GITHUB_APP_SLUG": "goose"}, "GITHUB_APP_SLUG", "Set GITHUB_APP_SLUG=honk"),
            ({"ANTHROPIC_API_KEY": "no"}, "claude-opus-5-5 answers", "ANTHROPIC_API_KEY"),
            ({"HONK_CA_BUNDLE": str(other)}, "outgoing connections", "HONK_CA_BUNDLE"),
        ):
            with monkeypatch.context() as patched:
                for name, value in {**harness.settings, **changed}.items():
                    patched.setenv(name, value)
                parts = await try_contacts(load(), web=True, worker=True)
            failures = _failures(as_json(parts))
            assert said in failures[what], failures

        signs_in = {
            "GITHUB_CLIENT_ID": "Iv1",
            "GITHUB_CLIENT_SECRET": "secret",
            "HONK_SESSION_SECRET": "x" * 32,
        }
        assert (await _doctor(harness, "--for", "web", **signs_in))[0] == 0
        nowhere = {"GITHUB_API_URL": server, "GITHUB_SERVER_URL": server}
        code, found = await _doctor(harness, "--for", "web", **signs_in, **nowhere)
        assert (code, list(_failures(found))) == (1, ["GitHub answers"])

        github = harness.github
        app = github.world.app
        less = {name: level for name, level in app.permissions.items() if name != "checks"}
        github.world.app = dataclasses.replace(app, permissions=less)
        github.webhook_url = "https://honk.invalid/hook"
        code, found = await _doctor(harness)
        failures = _failures(found)
        assert code == 1
        assert "checks: write" in failures["permission checks"]
        assert "does not end in /webhooks/github" in failures["webhook URL"]


def _another_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)


@pytest.mark.slow
def test_looking_on_a_fresh_machine_makes_no_database(tmp_path: Path) -> None:
    settings = _worker_settings(tmp_path)
    assert _honk("runs", **settings).stdout == "No runs yet.\n"
    assert _honk("runs", "show", "x", **settings).returncode == 1
    assert _honk("backup", str(tmp_path / "copy"), **settings).returncode == 1
    assert not list(tmp_path.glob("*.db*"))
    # As an older Honk has left it behind: a file without tables.
    sqlite3.connect(tmp_path / "honk.db").execute("PRAGMA journal_mode=WAL")
    assert _honk("runs", **settings).stdout == "No runs yet.\n"
    said = _honk("doctor", **settings).stdout
    assert "note  SQLite" in said and "is empty; its tables will be created" in said


@pytest.mark.parametrize("user", ["0", "1000"])
def test_without_user_namespaces_the_worker_refuses_and_doctor_reports_it(
    user: str, tmp_path: Path
) -> None:
    closed = ["bwrap", "--unshare-user", "--uid", user, "--gid", user, "--disable-userns"]
    for command in (["worker"], ["doctor", "--for", "worker"]):
        done = _honk(
            *command, within=[*closed, "--dev-bind", "/", "/"], **_worker_settings(tmp_path)
        )
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1
        assert "No sandbox can be created here." in said
        assert "`honk worker` on a machine of your own" in said
        assert "Traceback" not in said
    apart = {"HONK_HOME": str(tmp_path / "web"), "GITHUB_WEBHOOK_SECRET": "secret"}
    web = _honk("doctor", "--for", "web", GITHUB_APP_ID="1", **apart)
    assert web.returncode == 0, web.stdout


@pytest.mark.slow
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
        assert "schema version 9999, which is newer than this Honk" in done.stderr
        assert "Traceback" not in done.stderr


def test_web_before_migrate_says_what_to_do(tmp_path: Path) -> None:
    done = _honk("web", HONK_HOME=str(tmp_path), GITHUB_APP_ID="1", GITHUB_WEBHOOK_SECRET="s")
    assert done.returncode == 1
    assert "honk migrate" in done.stderr


@pytest.mark.slow
@in_one_process("only SQLite refuses a second worker")
async def test_a_second_worker_on_sqlite_is_refused_and_runs_are_shown() -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        second = _honk("worker", **harness.settings)
        assert second.returncode == 1
        assert "Another worker is already using" in second.stderr
        _check_the_runs(harness)


@pytest.mark.slow
@in_one_process("it is about the terminal of one machine")
async def test_runs_are_stopped_continued_and_retried_from_the_terminal() -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))

        async def honk(*arguments: str) -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(_honk, *arguments, **harness.settings)

        async with subject.thinking():
            await subject.label()
            await subject.at_work()
            run = (await honk("runs")).stdout.split()[0]
            refused = await honk("runs", "retry", run)
            assert (refused.returncode, "still in progress" in refused.stderr) == (1, True)
            assert (await honk("runs", "stop", run)).returncode == 0
            await subject.settled()
        assert "Stopped" in subject.last_words
        assert "ended already" in (await honk("runs", "stop", run)).stderr
        assert (await honk("runs", "continue", run)).returncode == 0
        await subject.settled(endings=2)
        assert subject.pull.pull is not None
        assert "nothing to continue" in (await honk("runs", "continue", run)).stderr
        assert (await honk("runs", "retry", run)).returncode == 0
        await harness.until(lambda: len(subject.labels) == 1, "the new run is not acknowledged")
        await subject.settled(endings=3)
        assert "newer run" in (await honk("runs", "continue", run)).stderr


def _check_the_runs(harness: Harness) -> None:
    listed = _honk("runs", **harness.settings)
    assert listed.returncode == 0, listed.stderr
    run, _, _, outcome, *_ = listed.stdout.split()
    assert outcome == "done"
    assert "olivia/calc-0#1" in listed.stdout
    shown = _honk("runs", "show", run, **harness.settings)
    assert "/olivia/calc-0/pull/2\n" in shown.stdout
    assert re.search(r"^working +\d{4}-\d\d-\d\d ", shown.stdout, re.M)
    facts = json.loads(_honk("runs", "show", run, "--json", **harness.settings).stdout)
    assert facts["report"]["verdict"]["title"] in shown.stdout
    log = _honk("runs", "log", run, "-f", **harness.settings).stdout
    assert "str_replace_based_edit_tool str_replace /workspace/calc.py return a - b" in log
    records = _honk("runs", "log", run, "--json", **harness.settings).stdout.splitlines()
    assert [json.loads(each)["seq"] for each in records] == list(range(len(records)))
    assert _honk("runs", "show", "nowhere", **harness.settings).returncode == 1
