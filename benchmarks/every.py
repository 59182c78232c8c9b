"""What does a burst of pull requests cost, and does it keep people waiting?

`ONLY=every make bench`: one `honk serve` with one slot, `PULLS` (100) pull requests of a bot in one
repository with a small suite, all opened at once, and in the middle a person's `/honk test` on
another pull request. The floor is the same commands by hand: the suite on the base and on the head,
in clones that are there already. A person should wait for at most one verdict that is already
running.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.playground.github.accounts import User
from tests.support.harness import PROJECT, Harness, Subject, open_harness

PULLS = int(os.environ.get("PULLS", "100"))
PATIENCE_SECONDS = 3600.0
BOT = "renovate[bot]"
FIXED = PROJECT["calc.py"].replace(b"a - b", b"a + b")


def main() -> None:
    """Print the seconds of a verdict and of the bare commands, and the person's waiting time."""
    asyncio.run(_measure())


async def _measure() -> None:
    bare = _by_hand()
    async with open_harness(
        HONK_CHECK="bots", HONK_CONCURRENCY="1", ANTHROPIC_API_KEY=""
    ) as harness:
        harness.patience = PATIENCE_SECONDS
        users = harness.github.world.users
        users.setdefault(BOT, User(harness.github.world.new_id(), BOT, "Bot"))
        base = await harness.subject(permissions={BOT: "write", "walter": "write"})
        person = await _pull(harness, base.repository, "walter", "by-a-person")
        began = time.perf_counter()
        pulls = [await _pull(harness, base.repository, BOT, f"update-{n}") for n in range(PULLS)]
        await harness.until(lambda: _done(pulls) >= 2, "nothing is verified")
        asked = time.perf_counter()
        await person.comment("/honk test", by="walter")
        await harness.until(lambda: _done([person]) == 1, "the person waits")
        waited = time.perf_counter() - asked
        await harness.until(lambda: _done(pulls) == PULLS, "not all are verified")
        each = (time.perf_counter() - began) / (PULLS + 1)
    print(f"bare commands, base and head   {bare:6.2f} s")
    print(f"a verdict in the burst         {each:6.2f} s, {each / bare:.1f} times as long")
    print(f"the person's result came after {waited:6.2f} s, {waited / each:.1f} verdicts")


async def _pull(harness: Harness, repository: str, by: str, branch: str) -> Subject:
    test = f"from calc import add\n\n\ndef test_{abs(hash(branch))}():\n    assert add(1, 1) == 2\n"
    files = {"calc.py": FIXED + f"# {branch}\n".encode(), "test_more.py": test.encode()}
    await harness.github.push_files(repository, branch, files, by, "Fix it")
    pull = await harness.github.open_pull_request(repository, by, branch, title="Fix add()")
    return Subject(harness, repository, pull.number)


def _done(subjects: list[Subject]) -> int:
    found = 0
    for subject in subjects:
        pull = subject.issue.pull
        assert pull is not None
        checks = subject.checks(pull.head_sha)
        found += any(one.name == "honk / tests" and one.status == "completed" for one in checks)
    return found


def _by_hand() -> float:
    """Seconds of the suite on the base and on the head."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in PROJECT.items():
            (Path(folder) / name).write_bytes(content)
        began = time.perf_counter()
        for source in (PROJECT["calc.py"], FIXED):
            (Path(folder) / "calc.py").write_bytes(source)
            subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                check=False,
            )
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
