"""`honk report`: statistics about a repository's pull requests, in the terminal."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stories.test_command_line import _honk
from tests.support.command_line import run_honk
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

PEOPLE = {"walter": "write", "renovate-bot": "write"}
FIXED = PROJECT["calc.py"].replace(b"a - b", b"a + b")
TESTED = PROJECT["test_calc.py"] + b"\n\ndef test_add_more():\n    assert add(1, 1) == 2\n"


async def honk(harness: Harness, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with the worker's settings; a busy machine may need a while."""
    settings = {"HONK_HOME": str(harness.machines[0]), **harness.settings}
    return await asyncio.to_thread(run_honk, *arguments, settings=settings)


async def merged(
    subject: Subject, branch: str, files: dict[str, bytes], by: str, *, title: str = "", **how: str
) -> int:
    """A pull request with these files that Olivia merged; its number."""
    github, repo = subject.harness.github, subject.repository
    await github.push_files(repo, branch, files, by, title or branch)
    pull = await github.open_pull_request(repo, by, branch, title=title)
    await github.merge(repo, pull.number, OWNER, **how)
    return pull.number


@pytest.mark.slow
async def test_a_report_by_kind_of_author(harness: Harness) -> None:
    issue = await harness.subject(plays=script([FIX], [FINISH]), permissions=PEOPLE)
    github, repo = harness.github, issue.repository
    added = {"notes.txt": b"".join(b"line %d\n" % number for number in range(20))}
    first = await merged(issue, "notes", added, "walter", title='=HYPERLINK("x")', method="squash")
    commit = await github.branch(repo, "main")
    await merged(issue, "lib", {"lib.txt": b"1\n2\n3\n4\n"}, "renovate-bot")
    await github.push_files(repo, "main", {"lib.txt": b"1\n2\nx\ny\n"}, OWNER, "Rewrite half")
    message = f'Revert "notes"\n\nThis reverts commit {commit}.'
    await github.push_files(repo, "main", {"notes.txt": None}, OWNER, message)
    await issue.label()
    await issue.settled()
    ours = issue.pulls[-1].number
    await github.review(repo, ours, "walter", "Looks right.")

    done = await honk(harness, "report", repo, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert f"/3] #{first}" in done.stderr
    found = json.loads(done.stdout)
    people, honks, others = found["by_kind"]
    assert [each["opened"] for each in (people, honks, others)] == [1, 1, 1]
    assert (people["reverted"], people["reworked"], people["lines_gone"]) == (1, 1, 20)
    assert (others["reverted"], others["lines_added"], others["lines_gone"]) == (0, 4, 2)
    assert list(honks["verdicts"].values()) == [1]
    assert honks["reviewed"] == 1
    assert honks["median_review_seconds"] is not None
    assert honks["machine_seconds"] > 0

    table = await honk(harness, "report", repo, "--since", "4w")
    assert "| Reverted within 30 days | 1 of 1 (100%) | - | 0 of 1 (0%) |" in table.stdout
    cells = await honk(harness, "report", repo, "--format", "csv")
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(cells.stdout)))
    assert [row["kind"] for row in rows] == ["honk", "other agent", "person"]
    assert rows[-1]["title"].startswith("'=HYPERLINK")


@pytest.mark.slow
async def test_a_replay_measures_merged_changes_and_writes_nothing(harness: Harness) -> None:
    subject = await harness.subject(permissions=PEOPLE)
    github, repo = harness.github, subject.repository
    number = await merged(subject, "fix", {"calc.py": FIXED, "test_calc.py": TESTED}, "walter")
    await github.drained()
    before, checks = len(github.requests), len(github.check_runs(repo))

    done = await honk(harness, "report", repo, "--last", "5", "--replay")
    assert done.returncode == 0, done.stderr
    assert f"[1/1] #{number}: Proven" in done.stderr
    assert "| Verdict: Proven | 1 | 0 | 0 |" in done.stdout
    mine = [each for each in github.requests[before:] if repo in each.path]
    reading = ("git-upload-pack", "/access_tokens")
    assert mine
    assert [
        f"{each.method} {each.path}"
        for each in mine
        if each.method != "GET" and not each.path.endswith(reading)
    ] == []
    assert len(github.check_runs(repo)) == checks

    again = await honk(harness, "report", repo, "--last", "5", "--replay", "--format", "json")
    assert f"[1/1] #{number}: Proven" in again.stderr
    (pull,) = json.loads(again.stdout)["pull_requests"]
    (first,) = harness.sql(
        "SELECT results FROM results WHERE commit_sha = :sha AND repository = :repo",
        sha=pull["head"],
        repo=repo,
    )
    assert pull["machine_seconds"] == json.loads(first[0])["seconds"], "it was measured again"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["o/r"], 1, "Set GITHUB_APP_ID and GITHUB_PRIVATE_KEY"),
        (["nonsense"], 1, "Give OWNER/REPO"),
        (["o/r", "--since", "soon"], 2, "such as 30d"),
        (["o/r", "--replay"], 2, "--replay needs --last"),
        (["o/r", "--last", "5", "--since", "3d"], 2, "cannot be used together"),
    ],
)
async def test_wrong_requests_have_a_next_step(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = await asyncio.to_thread(_honk, "report", *arguments, HONK_HOME=str(tmp_path))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


async def test_a_repository_without_the_app(harness: Harness) -> None:
    done = await honk(harness, "report", f"{OWNER}/nowhere")
    assert done.returncode == 1
    assert "The App is not installed on olivia/nowhere" in done.stderr
