"""The process behind a sandbox, where it is ended before the sandbox begins."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from app.sandbox.process import Launch, SandboxProcess

# Like bubblewrap: a child that waits for its parent, whose pid was not told yet.
_WAITING = "sleep 60 & echo $! > {file}; sleep 60"


async def test_a_start_that_is_cancelled_leaves_no_child(tmp_path: Path) -> None:
    file = tmp_path / "child"
    reader, writer = os.pipe()
    launch = Launch(
        argv=["/bin/bash", "-c", _WAITING.format(file=file)],
        environment={"PATH": "/usr/bin:/bin"},
        uid=None,
        inherited=[writer],
        info_fd=reader,
    )
    starting = asyncio.create_task(SandboxProcess.start(lambda _: launch, {}))
    while not (file.exists() and file.read_text().strip()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    child = int(file.read_text())
    async with asyncio.timeout(10):
        while _runs(child):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    """A killed process may stay for a moment as a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
