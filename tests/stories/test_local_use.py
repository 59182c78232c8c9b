"""Honk on the user's own repository, in the terminal, without GitHub."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.harness import FINISH, FIX, PROJECT, in_one_process, open_harness, script


def git(path: Path, *arguments: str, given: bytes | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=path, capture_output=True, check=True, input=given
    )
    return done.stdout.decode().strip()


def project(path: Path, files: Mapping[str, bytes] = PROJECT) -> Path:
    """A repository of the user's with one commit."""
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    git(path, "init", "-q", "-b", "trunk")
    git(path, "config", "user.name", "Me")
    git(path, "config", "user.email", "me@example.com")
    git(path, "add", ".")
    git(path, "commit", "-qm", "one")
    return path


def script_file(path: Path, *turns: list[dict[str, Any]]) -> Path:
    path.write_text(yaml.safe_dump({"turns": [{"use": turn} for turn in turns]}))
    return path


async def honk(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@in_one_process("it starts a Honk of its own")
async def test_a_task_becomes_a_patch_and_a_branch(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine")
    (mine / "notes.txt").write_text("not committed")
    plays = script_file(tmp_path / "script.yml", [FIX], [FINISH])
    task = "add() subtracts\n\n`add(2, 3)` is -1."
    done = await honk("try", task, "--repo", str(mine), "--script", str(plays), "--apply")
    assert done.returncode == 0, done.stderr
    assert "1 uncommitted file left out" in done.stderr
    assert "str_replace_based_edit_tool str_replace" in done.stderr
    assert "Proven: 1 test fails without this change" in done.stderr
    assert "2 model turns" in done.stderr
    branch = "honk/1-add-subtracts"
    assert f"git switch {branch}" in done.stderr
    git(mine, "apply", "--check", given=done.stdout.encode())
    assert git(mine, "show", f"{branch}:calc.py").startswith("def add(a, b):\n    return a + b")
    assert git(mine, "status", "--porcelain") == "?? notes.txt"
    assert git(mine, "branch", "--show-current") == "trunk"


@in_one_process("it starts a Honk of its own")
async def test_without_a_model_nothing_starts(tmp_path: Path) -> None:
    done = await honk("try", "fix it", "--repo", str(project(tmp_path / "mine")))
    assert done.returncode == 1
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


@in_one_process("it starts a Honk of its own")
async def test_a_run_is_replayed_to_the_same_or_to_the_first_difference() -> None:
    ask = {"ask": {"question": "Really?"}}
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [ask], [FINISH]))
        await subject.label()
        await subject.settled()
        await subject.comment("Yes.")
        await subject.settled(endings=2)
        run = harness.sql("SELECT id FROM runs")[0][0]
        same = await honk("replay", run, **harness.settings)
        assert same.returncode == 0, same.stdout + same.stderr
        assert "The same came out: 3 turns of the model" in same.stdout
        assert "the same verdict" in same.stdout
        # As if the recorded edit had left something else.
        other = "0" * 40
        harness.sql(
            "UPDATE turns SET record = json_set(record, '$.snapshot', :tree) "
            "WHERE json_extract(record, '$.snapshot') IS NOT NULL",
            tree=other,
        )
        differs = await honk("replay", run, "--json", **harness.settings)
        found = json.loads(differs.stdout)
        assert (differs.returncode, found["same"]) == (1, False)
        assert (found["difference"]["what"], found["difference"]["turn"]) == ("tree", 1)
        assert found["difference"]["then"] == other
        assert found["difference"]["calls"][0]["name"] == "str_replace_based_edit_tool"
