"""Honk on the user's own repository, in the terminal, without GitHub."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command_line import run_honk
from tests.support.harness import (
    FINISH,
    FIX,
    OWNER,
    PROJECT,
    in_one_process,
    open_harness,
    script,
)


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
    return await asyncio.to_thread(run_honk, *arguments, settings=settings)


@pytest.mark.slow
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


@pytest.mark.slow
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
        assert "The replay matches: 3 turns of the model" in same.stdout
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


@pytest.mark.slow
@in_one_process("it starts a Honk of its own")
async def test_an_evaluation_grades_resumes_and_compares(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine")
    wrong = {**FIX["str_replace_based_edit_tool"], "new_str": "return abs(a) + abs(b)"}
    plays = {
        "right": script_file(tmp_path / "right.yml", [FIX], [FINISH]),
        "wrong": script_file(
            tmp_path / "wrong.yml",
            [
                {"str_replace_based_edit_tool": wrong},
                {"bash": {"command": "mkdir .circleci && echo {} > .circleci/config.yml"}},
            ],
            [FINISH],
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
    assert by_id["wrong"]["flags"] == ["ci-config"]
    assert by_id["right"]["turns"] == 2
    git(mine, "apply", "--check", given=by_id["right"]["patch"].encode())
    again = await honk(*arguments, "--only", "right", **given)
    assert again.returncode == 0, again.stderr
    compared = await honk("eval", "compare", str(tmp_path / "out"), str(tmp_path / "out"))
    assert "1 task cannot show any difference" in compared.stdout
    refused = await honk("eval", "compare", str(file), str(file))
    assert (refused.returncode, "not the report" in refused.stderr) == (1, True)


FIXED = PROJECT["calc.py"].replace(b"a - b", b"a + b")
TESTED = PROJECT["test_calc.py"] + b"\n\ndef test_more():\n    assert add(1, 1) == 2\n"


@pytest.mark.slow
@in_one_process("it starts a Honk of its own")
async def test_merged_pull_requests_become_tasks_without_their_answers(tmp_path: Path) -> None:
    async with open_harness() as harness:
        subject = await harness.subject(permissions={"walter": "write"})
        github, repo, clock = harness.github, subject.repository, harness.github.clock

        async def merged(branch: str, files: dict[str, bytes], body: str) -> int:
            await github.push_files(repo, branch, files, "walter", branch)
            pull = await github.open_pull_request(repo, "walter", branch, title=branch, body=body)
            clock.advance(60)
            return pull.number

        await github.edit(repo, subject.number, OWNER, body="`add(2, 3)` is -1, not 5.")
        clock.advance(60)
        number = await merged(
            "fix", {"calc.py": FIXED, "test_calc.py": TESTED}, f"Fixes #{subject.number}."
        )
        # What is said from now on holds the answer.
        await github.edit(repo, subject.number, OWNER, title="Use +", body="Write a + b.")
        await github.comment(repo, subject.number, OWNER, "It must be a + b.")
        await github.merge(repo, number, OWNER)
        others = {
            "no-issue": ({"b.py": b"1\n", "test_b.py": b"def test(): pass\n"}, ""),
            "no-test": ({"c.py": b"1\n"}, f"Closes #{subject.number}"),
            "proves-nothing": (
                {"d.py": b"1\n", "test_d.py": b"def test(): pass\n"},
                f"Closes #{subject.number}",
            ),
        }
        for branch, (files, body) in others.items():
            await github.merge(repo, await merged(branch, files, body), OWNER)
        out = tmp_path / "tasks"
        made = await honk(
            "eval", "from-history", repo, "--last", "9", "-o", str(out), **harness.settings
        )
        assert made.returncode == 0, made.stderr
        assert "it does not say which issue it closes" in made.stderr
        assert "it changes no test" in made.stderr
        assert f"#{number}: a task" in made.stderr
        (line,) = (out / "tasks.jsonl").read_text().splitlines()
        task = json.loads(line)
        assert task["problem_statement"] == "add() subtracts\n\n`add(2, 3)` is -1, not 5."
        assert task["FAIL_TO_PASS"] == ["test_calc.py::test_add", "test_calc.py::test_more"]
        assert task["PASS_TO_PASS"] == ["test_calc.py::test_double"]
        clone = out / "repositories" / f"{repo.replace('/', '__')}.git"
        assert task["base_commit"] in git(clone, "rev-list", "--all")
        assert str(await github.branch(repo, "main")) not in git(clone, "rev-list", "--all")
        given = {"HONK_HOME": str(tmp_path / "home")}
        graded = await honk("eval", str(out / "tasks.jsonl"), "--gold", **given)
        assert graded.returncode == 0, graded.stderr
        assert "| Resolved | 1 (100% of 1 completed) |" in graded.stdout
