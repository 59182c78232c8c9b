"""A program that talks with the worker: its pipes, its end, and the worker's port inside."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import UserError
from app.sandbox.bubblewrap import Bubblewrap, Unsandboxed
from app.sandbox.spec import Program, Sandbox, SandboxSpec

pytestmark = pytest.mark.slow

PORT = 8118
ASK_THE_WORKER = (
    "import socket, sys\n"
    f"try: s = socket.create_connection(('127.0.0.1', {PORT}), 5)\n"
    "except OSError as error: sys.exit(error.strerror)\n"
    "s.sendall(b'hello'); print(s.recv(100).decode())"
)


@pytest.fixture(params=["bubblewrap", "none"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return Bubblewrap.create(tmp_path) if request.param == "bubblewrap" else Unsandboxed()


def spec_of(sandbox: Sandbox, tmp_path: Path, name: str = "workspace") -> SandboxSpec:
    workspace = tmp_path / name
    workspace.mkdir()
    sandbox.claim(workspace)
    return SandboxSpec(workspace)


async def _all_of(program: Program) -> bytes:
    parts = []
    while part := await program.receive():
        parts.append(part)
    return b"".join(parts)


async def test_it_is_talked_to_while_it_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    loop = "while read line; do echo got $line; done; echo bye >&2; exit 3"
    async with sandbox.program(spec_of(sandbox, tmp_path), ["bash", "-c", loop]) as program:
        for word in (b"one", b"two"):
            await program.send(word + b"\n")
            assert await program.receive() == b"got " + word + b"\n"
        await program.close_input()
        assert await _all_of(program) == b""
        done = await program.ended()
    assert (done.exit_code, done.killed, program.error_output) == (3, None, "bye\n")


async def test_much_output_waits_for_its_reader(sandbox: Sandbox, tmp_path: Path) -> None:
    words = ["bash", "-c", "head -c 20000000 /dev/zero"]
    async with sandbox.program(spec_of(sandbox, tmp_path), words) as program:
        await asyncio.sleep(0.3)
        assert len(await _all_of(program)) == 20_000_000


async def test_nothing_of_it_outlives_the_context(sandbox: Sandbox, tmp_path: Path) -> None:
    endless = "while sleep 0.05; do echo x; done >> beat"
    script = f"trap '' TERM HUP INT; echo x > beat; echo up; {endless}"
    spec = spec_of(sandbox, tmp_path)
    async with sandbox.program(spec, ["bash", "-c", script]) as program:
        assert await program.receive() == b"up\n"
    size = (spec.workspace / "beat").stat().st_size
    await asyncio.sleep(0.3)
    assert (spec.workspace / "beat").stat().st_size == size


async def test_what_cannot_be_started_ends_with_127(sandbox: Sandbox, tmp_path: Path) -> None:
    async with sandbox.program(spec_of(sandbox, tmp_path), ["/no/such"]) as program:
        assert (await program.ended()).exit_code == 127
        assert "cannot run /no/such" in program.error_output
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                await program.send(b"x" * 100_000)


async def test_only_its_own_sandbox_reaches_the_workers_port(tmp_path: Path) -> None:
    sandbox = Bubblewrap.create(tmp_path)
    spec = replace(spec_of(sandbox, tmp_path), worker_port=PORT)
    other = spec_of(sandbox, tmp_path, "other")
    ask = ["python3", "-c", ASK_THE_WORKER]
    async with sandbox.program(spec, ask) as program:
        assert program.listener is not None
        program.listener.setblocking(False)
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(program.listener)
        with connection:
            assert await loop.sock_recv(connection, 100) == b"hello"
            refused = await sandbox.run(other, ask)
            assert (refused.exit_code, refused.text.strip()) == (1, "Connection refused")
            await loop.sock_sendall(connection, b"here I am")
        assert await _all_of(program) == b"here I am\n"


async def test_without_a_loopback_of_its_own_there_is_no_port(tmp_path: Path) -> None:
    sandbox = Unsandboxed()
    spec = replace(spec_of(sandbox, tmp_path), worker_port=PORT)
    with pytest.raises(UserError, match="only in a sandbox with its own network"):
        async with sandbox.program(spec, ["true"]):
            pass
