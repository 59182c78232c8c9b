"""What people do to branches while Honk works: the same fix, a new name, a name in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

BRANCH = "honk/1-add-subtracts"
FIXED = {"calc.py": PROJECT["calc.py"].replace(b"a - b", b"a + b")}


@asynccontextmanager
async def started(harness: Harness, **more: Any) -> AsyncIterator[Subject]:
    """An issue with a live run, whose agent has its fix only after the block."""
    issue = await harness.subject(plays=script([FIX], [FINISH]), **more)
    async with issue.thinking():
        await issue.label()
        await issue.at_work()
        yield issue


async def test_the_same_fix_on_the_base_makes_no_empty_pull_request(harness: Harness) -> None:
    async with started(harness) as issue:
        base = await harness.github.push_files(issue.repository, "main", FIXED, OWNER)
    await issue.settled()
    assert issue.pulls == []
    assert "main" not in await harness.github.refs(issue.repository, "refs/heads/honk")
    assert issue.labels == ["honk:needs-you"]
    for text in (issue.status, issue.last_words):
        assert "`main` has had the same change" in text
        assert base[:7] in text
    assert "ready for your review" not in issue.last_words
    assert "No files changed" not in issue.last_words


async def test_a_base_branch_that_is_gone_is_named(harness: Harness) -> None:
    issue = await harness.subject(
        plays=script([FIX], [FINISH]), files={**PROJECT, ".github/honk.yml": b"base: dev\n"}
    )
    await harness.github.push_files(issue.repository, "dev", {"notes": b"\n"}, OWNER)
    async with issue.thinking():
        await issue.label()
        await issue.at_work()
        await harness.github.delete_branch(issue.repository, "dev", OWNER)
    await issue.settled()
    assert issue.pulls == []
    assert "The base branch `dev` no longer exists" in issue.last_words
    assert "/honk retry base=" in issue.last_words
    assert "`base` in `.github/honk.yml`" in issue.last_words


@pytest.mark.slow
async def test_a_branch_in_the_way_of_ours_is_named(harness: Harness) -> None:
    issue = await harness.subject(plays=script([FIX], [FINISH]))
    await harness.github.push_files(issue.repository, "honk", {"notes": b"\n"}, OWNER)
    await issue.label()
    await issue.settled()
    assert issue.pulls == []
    assert f"The branch `honk` is in the way of `{BRANCH}`" in issue.last_words
    assert "/honk continue" in issue.last_words

    await harness.github.delete_branch(issue.repository, "honk", OWNER)
    await issue.comment("/honk continue")
    await issue.settled(endings=2)
    assert issue.check.conclusion == "success"
