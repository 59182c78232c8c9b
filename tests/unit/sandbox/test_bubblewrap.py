"""One command and one session: how they end, what they print, what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.sandbox import inside
from app.sandbox.bubblewrap import (
    Bubblewrap,
    Completed,
    Mount,
    ResourceLimits,
    Sandbox,
    SandboxSpec,
    Unsandboxed,
    probe,
)
from app.sandbox.bubblewrap_flags import bubblewrap_alone, bubblewrap_flags, staged
from app.sandbox.inside import Bounded
from app.sandbox.process import (
    Launch,
    PlainProcess,
    SandboxProcess,
    UnfinishedError,
)
from app.sandbox.uid_pool import uid_pool_below

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.fixture(params=["bubblewrap", "none"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return Bubblewrap.create(tmp_path) if request.param == "bubblewrap" else Unsandboxed()


@pytest.fixture
def spec(sandbox: Sandbox, tmp_path: Path) -> SandboxSpec:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox.claim(workspace)
    return SandboxSpec(workspace)


async def sh(sandbox: Sandbox, spec: SandboxSpec, script: str, **more: int) -> Completed:
    limits = ResourceLimits(**{"seconds": 20, **more})
    spec = SandboxSpec(spec.workspace, mounts=spec.mounts, limits=limits)
    return await sandbox.run(spec, ["bash", "-c", script])


async def test_the_sandbox_knows_its_own_name(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox = Bubblewrap.create(tmp_path)
    sandbox.claim(workspace)
    ask = (
        "python3 -c 'import socket; name = socket.gethostname();"
        " server = socket.create_server((name, 0));"
        " socket.create_connection(server.getsockname()); print(socket.getfqdn(), name)'"
    )
    done = await sh(sandbox, SandboxSpec(workspace), ask)
    assert (done.exit_code, done.text.split()) == (0, ["honk", "honk"]), done.text


def processes(marker: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in words:
            found.append(words.decode("utf-8", "replace"))
    return found


async def test_output_and_exit_code(sandbox: Sandbox, spec: SandboxSpec) -> None:
    done = await sh(sandbox, spec, "echo out; echo err >&2; echo again; exit 7")
    assert done.output == b"out\nerr\nagain\n"
    assert (done.exit_code, done.timed_out, done.killed, done.dropped_bytes) == (7, False, None, 0)
    assert 0 < done.seconds < 20


async def test_input_environment_and_a_file_for_output(
    sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path
) -> None:
    spec = SandboxSpec(spec.workspace, environment={"GREETING": "höi"})
    target = tmp_path / "out"
    done = await sandbox.run(
        spec,
        ["bash", "-c", "cat; echo $GREETING; echo err >&2"],
        stdin=b"\0" * MIB,
        stdout_to=target,
    )
    assert done.output == b"err\n"
    assert target.read_bytes() == b"\0" * MIB + "höi\n".encode()


async def test_a_file_for_output_is_bounded(
    sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path
) -> None:
    spec = SandboxSpec(spec.workspace, limits=ResourceLimits(file_bytes=1000))
    done = await sandbox.run(spec, ["head", "-c", "100000", "/dev/zero"], stdout_to=tmp_path / "o")
    assert done.killed == "output"
    assert (tmp_path / "o").stat().st_size == 1000


async def test_commands_that_cannot_be_run(sandbox: Sandbox, spec: SandboxSpec) -> None:
    done = await sandbox.run(spec, ["no-such-command"])
    assert done.exit_code == 127
    assert b"no-such-command" in done.output
    assert (await sh(sandbox, spec, "kill -SEGV $$")).exit_code == 139


async def test_endless_output_is_kept_at_both_ends(sandbox: Sandbox, spec: SandboxSpec) -> None:
    done = await sh(
        sandbox, spec, "echo first; head -c 30000000 /dev/zero; echo last", output_bytes=10_000
    )
    assert done.ok
    assert done.output.startswith(b"first\n")
    assert done.output.endswith(b"last\n")
    assert len(done.output) < 10_100
    assert done.dropped_bytes == 30_000_011 - 10_000
    began = time.monotonic()
    done = await sh(sandbox, spec, "yes", seconds=1, output_bytes=10_000)
    assert done.timed_out
    assert len(done.output) < 10_100
    assert time.monotonic() - began < 4


async def test_time_is_up_for_the_whole_tree(sandbox: Sandbox, spec: SandboxSpec) -> None:
    script = "setsid sleep 4712 & (sleep 4712 &); trap '' TERM INT; sleep 4712; sleep 4712"
    done = await sh(sandbox, spec, script, seconds=1)
    assert (done.exit_code, done.timed_out) == (None, True)
    assert processes("sleep\x004712") == []


async def test_what_outlives_its_command_does_not_outlive_the_sandbox(
    sandbox: Sandbox, spec: SandboxSpec
) -> None:
    began = time.monotonic()
    done = await sh(sandbox, spec, "setsid nohup sleep 4713 & sleep 0.1; echo done")
    assert done.output == b"done\n"
    assert time.monotonic() - began < 10
    assert processes("sleep\x004713") == []


async def test_a_caller_stops_or_is_cancelled(sandbox: Sandbox, spec: SandboxSpec) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.4, stop.set)
    done = await sandbox.run(spec, ["sleep", "4714"], stop=stop)
    assert (done.exit_code, done.killed) == (None, "stopped")
    task = asyncio.create_task(sandbox.run(spec, ["sleep", "4714"]))
    await asyncio.sleep(0.4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes("sleep\x004714") == []


async def test_memory_bombs_end(sandbox: Sandbox, spec: SandboxSpec) -> None:
    one = "python3 -c 'x = bytearray(400 << 20)'"
    done = await sh(sandbox, spec, one, memory_bytes=200 * MIB)
    assert not done.ok
    assert b"MemoryError" in done.output
    many = (
        "for i in 1 2 3 4 5 6; do "
        "python3 -c 'import time; x = b\"1\" * (60 << 20); time.sleep(30)' & done; wait"
    )
    done = await sh(sandbox, spec, many, memory_bytes=200 * MIB)
    assert (done.exit_code, done.killed) == (None, "memory")


async def test_memory_that_is_shared_counts_once(sandbox: Sandbox, spec: SandboxSpec) -> None:
    script = (
        "import os, time\nx = b'1' * (100 << 20)\n"
        "for _ in range(6):\n if not os.fork(): time.sleep(0.6); os._exit(0)\n"
        "for _ in range(6): os.wait()\n"
    )
    spec = SandboxSpec(spec.workspace, limits=ResourceLimits(memory_bytes=250 * MIB))
    assert (await sandbox.run(spec, ["python3", "-c", script])).ok


def crowd(sandbox: Sandbox) -> str:
    """More processes than allowed. Without walls nothing stops a real bomb in time."""
    if isinstance(sandbox, Bubblewrap):
        return "f() { f | f & }; f; sleep 10"
    return "for i in $(seq 120); do sleep 10 & done; wait"


async def test_a_fork_bomb_ends(sandbox: Sandbox, spec: SandboxSpec) -> None:
    done = await sh(sandbox, spec, crowd(sandbox), processes=60)
    assert done.killed == "processes"


async def test_files_are_bounded(sandbox: Sandbox, spec: SandboxSpec) -> None:
    done = await sh(sandbox, spec, "head -c 5000000 /dev/zero > big", file_bytes=1_000_000)
    assert done.exit_code == 153  # SIGXFSZ
    assert (spec.workspace / "big").stat().st_size == 1_000_000


async def test_several_at_once(sandbox: Sandbox, spec: SandboxSpec) -> None:
    runs = [sh(sandbox, spec, f"sleep 0.1; echo {number}") for number in range(6)]
    assert [done.text for done in await asyncio.gather(*runs)] == [f"{n}\n" for n in range(6)]


async def test_of_many_a_few_start_at_a_time(spec: SandboxSpec) -> None:
    starting = most = 0

    class Counted(PlainProcess):
        @classmethod
        async def start(
            cls, launch_on: Callable[[int], Launch], config: Mapping[str, object]
        ) -> SandboxProcess:
            nonlocal starting, most
            starting += 1
            most = max(most, starting)
            try:
                return await super().start(launch_on, config)
            finally:
                starting -= 1

    class Crowded(Unsandboxed):
        def _kind(self) -> type[SandboxProcess]:
            return Counted

    sandbox = Crowded()
    spec = SandboxSpec(Path(spec.workspace))
    done = await asyncio.gather(*(sandbox.run(spec, ["true"]) for _ in range(40)))

    assert [each.exit_code for each in done] == [0] * 40
    assert 1 < most <= 3 * (os.cpu_count() or 1)


async def test_a_worker_with_many_open_files_has_sandboxes_too(
    sandbox: Sandbox, spec: SandboxSpec
) -> None:
    """Descriptors keep their numbers inside, and select() knows none above 1,023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        assert (await sh(sandbox, spec, "echo here")).output == b"here\n"
        async with sandbox.session(spec) as session:
            assert (await session.bash("echo there", seconds=20)).output == b"there\n"


async def test_a_start_that_is_cancelled_leaves_nothing_open(
    sandbox: Sandbox, spec: SandboxSpec
) -> None:
    await sh(sandbox, spec, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    tasks = [asyncio.create_task(sh(sandbox, spec, "sleep 1")) for _ in range(30)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_mounts_are_seen(sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file").write_text("given\n")
    mount = Mount(tmp_path / "given", "/opt/given")
    spec = SandboxSpec(spec.workspace, mounts=(mount,))
    done = await sandbox.run(spec, ["cat", f"{sandbox.seen(mount)}/file"])
    assert done.text == "given\n"


async def test_what_lies_below_closed_folders_with_odd_names_is_seen(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"a b\\040\t#\xe9\n/1")
    (root / "workspace").mkdir(parents=True)
    sandbox = Bubblewrap.create(root)
    sandbox.claim(root / "workspace")
    (root / "folder").mkdir(mode=0o755)
    for file in (root / "folder" / "a", root / "file"):
        file.write_text("seen\n")
        file.chmod(0o644)
    root.chmod(0o700)
    mounts = (
        Mount(root / "folder", "/opt/folder"),
        Mount(root / "file", "/opt/file"),
        Mount(root / "folder", "/opt/again"),
    )
    spec = SandboxSpec(root / "workspace", mounts=mounts, limits=ResourceLimits(seconds=60))
    script = "cat /opt/folder/a /opt/file /opt/again/a; env; echo made > here; ls /mnt /media /srv"
    done = await sh(sandbox, spec, script)
    assert done.text.startswith("seen\nseen\nseen\n")
    assert str(tmp_path) not in done.text
    assert (root / "workspace" / "here").read_text() == "made\n"


async def test_the_shell_remembers(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        await session.bash(
            "mkdir -p a; cd a; x='a  b'; export y=2; f() { echo \"f $1\"; }", seconds=5
        )
        done = await session.bash(
            "pwd | sed 's:.*/::'\nf \"$x\"\nfor i in 1 2; do\n  echo $i\ndone\n"
            "cat <<'E'\n$y 'quoted\nE\nsh -c 'echo $y'; false",
            seconds=5,
        )
        assert done.text == "a\nf a  b\n1\n2\n$y 'quoted\n2\n"
        assert done.exit_code == 1
        assert (await session.bash("cat; echo end of input", seconds=5)).text == "end of input\n"
        assert (await session.bash("", seconds=5)).exit_code == 0
        big = await session.bash("cat <<'E' | wc -c\n" + "x" * 300_000 + "\nE", seconds=20)
        assert big.text.strip() == "300001"


async def test_the_shell_comes_back(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        for command, code in [
            ("exit 3", 3),
            ("kill -9 $$", 137),
            ("exec true", 0),
            ("exec 198<&- 199>&-; exit 4", 4),
            ("set -e; false; echo not reached", 1),
        ]:
            done = await session.bash(f"cd /; {command}", seconds=5)
            assert done.exit_code == code, command
            assert "started again" in done.text, command
            assert (await session.bash("echo 'alive'", seconds=5)).text == "alive\n", command


async def test_broken_commands_end_and_say_so(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        for command in ("echo 'unclosed", "if true; then", ")", "cat <<E", "\0echo"):
            assert (await session.bash(command, seconds=5)).exit_code is not None, command
        assert (await session.bash("exec >&- 2>&-", seconds=5)).exit_code == 0
        await session.restart_bash()
        assert (await session.bash("echo alive", seconds=5)).text == "alive\n"


async def test_a_command_over_its_time(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        await session.bash("x=1; sleep 4715 &", seconds=5)
        began = time.monotonic()
        done = await session.bash("echo begun; trap '' TERM; sleep 4715", seconds=0.5)
        assert time.monotonic() - began < 5
        assert (done.exit_code, done.timed_out) == (None, True)
        assert done.text.startswith("begun\n")
        assert "took over 0.5 seconds" in done.text
        assert processes("sleep\x004715") == []
        assert (await session.bash("echo [$x]", seconds=5)).text == "[]\n"
        assert (await session.bash("kill -STOP $$", seconds=0.3)).timed_out
        assert (await session.bash("yes", seconds=0.3)).timed_out
        assert (await session.bash("echo alive", seconds=5)).text == "alive\n"
    assert processes("sleep\x004715") == []


async def test_background_output_comes_with_the_next_command(
    sandbox: Sandbox, spec: SandboxSpec
) -> None:
    async with sandbox.session(spec) as session:
        first = await session.bash("(sleep 0.2; echo late; head -c 300000 /dev/zero) &", seconds=5)
        assert first.seconds < 0.2
        await asyncio.sleep(0.6)
        assert (await session.bash("echo now", seconds=5)).text.startswith("late\n\0")


async def test_bombs_in_a_session_leave_it_alive(sandbox: Sandbox, spec: SandboxSpec) -> None:
    limits = ResourceLimits(memory_bytes=200 * MIB, processes=80, output_bytes=10_000)
    async with sandbox.session(SandboxSpec(spec.workspace, limits=limits)) as session:
        one = "python3 -c 'import time; x = b\"1\" * (70 << 20); time.sleep(9)' & "
        done = await session.bash(one * 5 + "wait", seconds=20)
        assert done.killed == "memory"
        done = await session.bash(crowd(sandbox), seconds=20)
        assert done.killed == "processes"
        done = await session.bash("head -c 3000000 /dev/zero; echo end", seconds=20)
        assert done.dropped_bytes == 3_000_004 - 10_000
        assert done.text.endswith("end\n")
        assert (await session.bash("echo alive", seconds=5)).text == "alive\n"


async def test_a_cancelled_request_leaves_a_session_that_works(
    sandbox: Sandbox, spec: SandboxSpec
) -> None:
    async with sandbox.session(spec) as session:
        task = asyncio.create_task(session.bash("echo 1 > f; sleep 4716", seconds=60))
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert processes("sleep\x004716") == []
        assert (await session.bash("cat f", seconds=5)).text == "1\n"


async def test_files_are_edited_inside(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:

        async def edit(command: str, **rest: object) -> str:
            result = await session.edit_file({"command": command, **rest})
            return ("refused: " if result.is_error else "") + result.text

        await edit("create", path="/workspace/src/ü.py", file_text="a = 1\nb = 2\nb = 2")
        file = spec.workspace / "src" / "ü.py"
        file.chmod(0o755)
        assert "exactly once, but is there 2 times, in lines 2, 3" in await edit(
            "str_replace", path="src/ü.py", old_str="b = 2", new_str="c"
        )
        assert "line 1" in await edit("str_replace", path="src/ü.py", old_str="a =", new_str="ä =")
        await edit("insert", path="src/ü.py", insert_line=3, insert_text="end")
        await edit("insert", path="src/ü.py", insert_line=0, insert_text="top")
        assert file.read_text() == "top\nä = 1\nb = 2\nb = 2\nend"
        assert file.stat().st_mode & 0o777 == 0o755
        assert (
            await edit("view", path="src/ü.py", view_range=[2, 3]) == "     2\tä = 1\n     3\tb = 2"
        )
        assert (await edit("view", path="src/ü.py", view_range=[4, -1])).endswith("     5\tend")
        assert "src/ü.py" in await edit("view", path=".")
        (spec.workspace / "crlf").write_bytes(b"a\r\nb\xff\r\n")
        (spec.workspace / "crlf").chmod(0o666)
        await edit("str_replace", path="crlf", old_str="a\nb", new_str="c\nd")
        assert (spec.workspace / "crlf").read_bytes() == b"c\r\nd\xff\r\n"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "view", "path": "missing"}, "No such file"),
        ({"command": "view", "path": "pipe"}, "not a regular file"),
        ({"command": "view", "path": "binary"}, "binary file"),
        ({"command": "view", "path": "text", "view_range": [3, 9]}, "2 lines"),
        ({"command": "view", "path": "text", "view_range": "1"}, "two line numbers"),
        ({"command": "view", "path": 7}, "must be a text"),
        ({"command": "view"}, "must be a text"),
        ({"command": "create", "path": "x"}, "`file_text` is needed"),
        ({"command": "create", "path": ".", "file_text": ""}, "directory"),
        ({"command": "create", "path": "pipe", "file_text": ""}, "No such device"),
        ({"command": "str_replace", "path": "text", "old_str": "z"}, "is there 0 times"),
        ({"command": "str_replace", "path": "text", "old_str": ""}, "empty"),
        ({"command": "insert", "path": "text", "insert_line": 3, "insert_text": "x"}, "0 to 2"),
        ({"command": "undo_edit", "path": "text"}, "not one of"),
    ],
)
async def test_edits_that_cannot_be_done(
    tmp_path: Path, request_: dict[str, object], words: str
) -> None:
    sandbox = Bubblewrap.create(tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox.claim(workspace)
    async with sandbox.session(SandboxSpec(workspace)) as session:
        await session.bash(
            "printf 'a\\nb\\n' > text; printf '\\0' > binary; mkfifo pipe", seconds=5
        )
        result = await session.edit_file(request_)
    assert result.is_error
    assert words in result.text


async def test_searching(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        await session.bash(
            "mkdir -p d .git; echo 'def ünique(x):' > d/a.py; echo 'def ünique' > .git/x;"
            "printf 'def ünique\\0' > binary; mkfifo pipe;"
            "for i in $(seq 600); do echo many; done > m",
            seconds=5,
        )
        found = await session.search(r"def\s+ünique", ".")
        assert found.text == "d/a.py:1: def ünique(x):"
        assert (await session.search("ünique", "/workspace/d/a.py")).ok
        assert (await session.search("nothing", "")).text == "Nothing matches."
        refused = await session.search("(", ".")
        assert "not a regular expression" in refused.text
        assert refused.exit_code == 1
        assert "no missing" in (await session.search("x", "missing")).text
        many = (await session.search("many", ".")).text
        assert many.count("\n") == 500
        assert many.endswith("narrow the search)")


async def test_sandboxes_can_be_made_here() -> None:
    assert (await probe()).ok


@pytest.mark.parametrize("limit", [1, 2, 10, 11])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 12, 100])
def test_bounded_output(limit: int, size: int) -> None:
    data = bytes(range(size))
    whole, pieces = Bounded(limit), Bounded(limit)
    whole.add(data)
    for byte in data:
        pieces.add(bytes([byte]))
    assert whole.value() == pieces.value()
    assert whole.dropped == pieces.dropped == max(0, size - 2 * max(limit // 2, 1))
    if not whole.dropped:
        assert whole.value() == data


async def test_a_bounded_folder_comes_back_however_the_command_ended(tmp_path: Path) -> None:
    sandbox = Bubblewrap.create(tmp_path)
    report = tmp_path / "report"
    (tmp_path / "workspace").mkdir()
    sandbox.claim(tmp_path / "workspace")
    report.mkdir()
    mount = Mount(report, "/run/honk/report", writable=True, bounds=(1 << 20, 50))
    script = (
        "cd /run/honk/report; mkdir -p a/b; echo one > a/b/one; ln -s /etc/passwd link;"
        " mkfifo pipe; truncate -s 1G hole; sleep 60"
    )
    spec = SandboxSpec(tmp_path / "workspace", mounts=(mount,), limits=ResourceLimits(seconds=3))
    done = await sandbox.run(spec, ["bash", "-c", script])
    assert done.timed_out
    assert (report / "a" / "b" / "one").read_text() == "one\n"
    assert sorted(path.name for path in report.iterdir()) == ["a"]


async def test_where_the_helper_may_not_mount_bubblewrap_alone_bounds(tmp_path: Path) -> None:
    """As under Ubuntu's AppArmor profile, which leaves no capability to what bubblewrap starts."""
    report = tmp_path / "report"
    (tmp_path / "workspace").mkdir()
    sandbox = Bubblewrap(uid_pool_below(tmp_path), flags=bubblewrap_alone, inner=None)
    sandbox.claim(tmp_path / "workspace")
    report.mkdir()
    sandbox.claim(report, like=tmp_path / "workspace")
    mount = Mount(report, "/run/honk/report", writable=True, bounds=(1 << 20, 50))
    spec = SandboxSpec(tmp_path / "workspace", mounts=(mount,))
    done = await sandbox.run(spec, ["bash", "-c", "echo one > /run/honk/report/one; id -u"])
    assert done.text == "1000\n"
    assert (report / "one").read_text() == "one\n"


async def test_what_cannot_finish_its_walls_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    sandbox = Bubblewrap(uid_pool_below(tmp_path), flags=_without_capabilities)
    sandbox.claim(tmp_path / "workspace")
    with pytest.raises(UnfinishedError, match="mount"):
        await sandbox.run(SandboxSpec(tmp_path / "workspace"), ["true"])


def _without_capabilities(
    spec: SandboxSpec, program: bytes, info: int
) -> tuple[list[int], list[str]]:
    files, flags = bubblewrap_flags(spec, program, info)
    while "--cap-add" in flags:
        at = flags.index("--cap-add")
        del flags[at : at + 2]
    return files, flags


async def test_what_fills_the_helpers_own_pipe_is_put_down(tmp_path: Path) -> None:
    sandbox = Bubblewrap.create(tmp_path)
    (tmp_path / "workspace").mkdir()
    sandbox.claim(tmp_path / "workspace")
    async with sandbox.session(SandboxSpec(tmp_path / "workspace")) as session:
        # While a command runs, the shell keeps its own descriptors under other numbers.
        fill = "for fd in /proc/$$/fd/*; do yes > $fd & done 2> /dev/null; wait"
        done = await session.bash(fill, seconds=20)
        assert done.exit_code is None, done
        assert not done.killed
        assert b"Something else wrote" in done.output
        assert (await session.bash("echo alive", seconds=20)).text == "alive\n"


def test_a_process_that_keeps_writing_to_a_nearly_full_disk_is_ended() -> None:
    """On a small separate disk, in a mount namespace that ends with the process."""
    script = f"""
import subprocess, sys
sys.path.insert(0, {str(Path(inside.__file__).parent)!r})
from inside import Disk
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "honk", "/mnt"], check=True)
def write(name, size):
    with open(f"/mnt/{{name}}", "wb") as file: file.write(bytes(size))
disk = Disk(["/mnt"], True, {{"disk_bytes": 1 << 30, "disk_files": 10_000}})
write("much", 61 << 20)
print(disk.excess())
print(disk.excess())
write("more", 2 << 20)
disk._next = 0
print(disk.excess())
late = Disk(["/mnt"], True, {{"disk_bytes": 1 << 30, "disk_files": 10_000}})
print(late.excess(), late.excess())
"""
    words = ["unshare", "--user", "--map-root-user", "--mount", "/usr/bin/python3", "-I", "-c"]
    done = subprocess.run([*words, script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["None", "None", "room", "None", "None"], done.stderr


def test_a_folder_behind_a_link_in_a_closed_one_is_staged() -> None:
    """Its target can be reached, but not by the path that bubblewrap is given."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)
        target, closed = root / "target", root / "closed"
        target.mkdir(mode=0o755)
        closed.mkdir(mode=0o700)
        (closed / "link").symlink_to(target)
        (target / "made").mkdir(mode=0o755)
        source, other = closed / "link" / "made", os.geteuid() + 1
        assert staged([target / "made"], other).places == {}
        assert source in staged([source], other).places
        assert staged([source], None).places == {}


async def test_commands_in_the_background(sandbox: Sandbox, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:

        async def ask(action: str, **rest: object) -> str:
            return (await session.background({"action": action, **rest})).text

        assert "command 1" in await ask("start", command="echo up; exec sleep 4717")
        assert "command 2" in await ask("start", command="echo bye; exit 3")
        await session.bash("sleep 0.3", seconds=5)
        assert "\nup" in await ask("read", id=1)
        assert "\nup" not in await ask("read", id=1), "what was read is not shown again"
        listed = await ask("list")
        assert "1: running" in listed
        assert "2: exited with 3" in listed
        assert "exited with 137" in await ask("stop", id=1)
        assert processes("sleep\x004717") == []
        missing = await session.background({"action": "read", "id": 9})
        assert missing.exit_code == 1
        assert "no background command 9; known: 1, 2" in missing.text
        # Its output may be any amount, and it ends with what a limit of the shell kills.
        await ask("start", command="yes")
        await session.bash("sleep 0.5", seconds=5)
        assert len(await ask("read", id=3)) < 1.1 * (1 << 20)
        await session.bash("sleep 60", seconds=0.2)
        assert "3: exited with 137" in await ask("list")
        for _ in range(8):
            await ask("start", command="exec sleep 4718")
        assert "stop one first" in await ask("start", command="true")


async def test_several_reads_at_once(sandbox: Sandbox, spec: SandboxSpec) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4000
    (spec.workspace / "a.png").write_bytes(picture)
    (spec.workspace / "a.txt").write_text("needle\n")
    async with sandbox.session(spec) as session:
        requests: list[dict[str, object]] = [
            {"command": "view", "path": "a.txt"},
            {"command": "view", "path": "a.png"},
            {"command": "view", "path": "missing"},
            {"command": "search", "pattern": "needle", "path": "."},
        ]
        results = await session.read_many(requests * 3)
    assert len(results) == 12
    for text, image, missing, found in (results[i : i + 4] for i in range(0, 12, 4)):
        assert text.text == "     1\tneedle"
        assert (image.media, image.data) == ("image/png", picture)
        assert missing.is_error
        assert found.text == "a.txt:1: needle"
