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


HIDDEN = """
from calc import add


def test_negative():
    assert add(-2, -3) == -5
"""


@in_one_process("it starts a Honk of its own")
async def test_an_evaluation_grades_resumes_and_compares(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine")
    wrong = {**FIX["str_replace_based_edit_tool"], "new_str": "return abs(a) + abs(b)"}
    plays = {
        "right": script_file(tmp_path / "right.yml", [FIX], [FINISH]),
        "wrong": script_file(
            tmp_path / "wrong.yml", [{"str_replace_based_edit_tool": wrong}], [FINISH]
        ),
        "gone": script_file(tmp_path / "gone.yml", [FINISH]),
    }
    tasks = [
        {
            "id": name,
            "repo": str(mine),
            "base": "0" * 40 if name == "gone" else "",
            "problem": "add() subtracts",
            "tests": {"test_hidden.py": HIDDEN},
            "fail_to_pass": ["test_calc.py::test_add", "test_hidden.py::test_negative"],
            "pass_to_pass": ["test_calc.py::test_double"],
            "script": str(path),
        }
        for name, path in plays.items()
    ]
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump({"tasks": tasks}))
    given = {"HONK_HOME": str(tmp_path / "home")}
    arguments = ("eval", str(file), "--scripted", "-j", "2", "-o", str(tmp_path / "out"))
    first = await honk(*arguments, **given)
    assert first.returncode == 1, first.stderr
    assert "| Resolved | 1 (50% of 2 completed) |" in first.stdout
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["resolved_ids"] == ["right"]
    assert report["unresolved_ids"] == ["wrong"]
    assert report["infra_failure_ids"] == ["gone"]
    assert "does not have the commit" in report["failure_reasons"]["gone"]
    by_id = {each["id"]: each for each in report["report"]["results"]}
    assert by_id["wrong"]["grade"]["not_fixed"] == ["test_hidden.py::test_negative"]
    assert by_id["right"]["turns"] == 2
    git(mine, "apply", "--check", given=by_id["right"]["patch"].encode())
    again = await honk(*arguments, "--only", "right", **given)
    assert again.returncode == 0, again.stderr
    compared = await honk("eval", "compare", str(tmp_path / "out"), str(tmp_path / "out"))
    assert "1 task cannot show any difference" in compared.stdout
    refused = await honk("eval", "compare", str(file), str(file))
    assert (refused.returncode, "not the report" in refused.stderr) == (1, True)
