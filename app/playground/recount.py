"""Checks the pull request independently, without any of Honk's own code."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from app.playground.story import Story


async def recount(story: Story, home: Path, *, is_sample: bool) -> bool:
    """True when the pull request exists and its check run agrees with the tests.

    The sample's tests are rerun directly at the head commit. Another project's code never runs
    outside a sandbox: there the check run must be completed on the head commit, and must be
    successful if the pull request is ready.
    """
    pulls = story.github.pulls(story.repository)
    if not pulls:
        click.echo("No pull request was opened.", err=True)
        return False
    pull = pulls[-1].pull
    assert pull is not None
    runs = [run for run in story.check_runs() if run.head_sha == pull.head_sha]
    if len(runs) != 1 or runs[0].conclusion is None:
        click.echo("The head commit has no completed check run.", err=True)
        return False
    says_good = runs[0].conclusion in ("success", "neutral")
    if pull.draft is says_good:
        click.echo("The pull request's state and its check run disagree.", err=True)
        return False
    if not is_sample:
        return True
    repository = story.github.world.repository(story.repository)
    is_good = await _tests_pass(repository.git.path, pull.head_sha, home / "recount")
    if is_good is not says_good:
        click.echo("The check run does not match the test results.", err=True)
        return False
    click.echo(f"Re-ran the tests: they {'pass' if is_good else 'fail'}, as the check run says.")
    return True


async def _tests_pass(repository: Path, sha: str, into: Path) -> bool:
    environment = {"PATH": os.environ["PATH"], "HOME": str(into), "GIT_CONFIG_NOSYSTEM": "1"}
    for argv in (
        ["git", "clone", "--quiet", "--no-checkout", str(repository), str(into)],
        ["git", "-C", str(into), "checkout", "--quiet", "--detach", sha],
    ):
        if await _run(argv, environment, None):
            return False
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return await _run(pytest, environment, into) == 0


async def _run(argv: list[str], environment: dict[str, str], cwd: Path | None) -> int:
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()
