"""What a command in a sandbox cannot see, reach, keep or become."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.sandbox.bubblewrap import (
    Bubblewrap,
    Completed,
    Mount,
    ResourceLimits,
    SandboxSpec,
)
from tests.support.processes import command_lines
from tests.support.workspaces import REPO, World


@pytest.fixture
def sandbox(tmp_path: Path) -> Bubblewrap:
    return Bubblewrap.create(tmp_path)


@pytest.fixture
def spec(sandbox: Bubblewrap, tmp_path: Path) -> SandboxSpec:
    return SandboxSpec(claimed(sandbox, tmp_path / "workspace"))


def claimed(sandbox: Bubblewrap, path: Path) -> Path:
    path.mkdir()
    sandbox.claim(path)
    return path


async def sh(sandbox: Bubblewrap, spec: SandboxSpec, script: str) -> Completed:
    return await sandbox.run(spec, ["bash", "-c", script])


async def python(sandbox: Bubblewrap, spec: SandboxSpec, script: str) -> str:
    done = await sandbox.run(spec, ["python3", "-c", script])
    assert done.ok, done.text
    return done.text


async def test_unprivileged(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    done = await sh(sandbox, spec, "id; grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status")
    assert done.text.split("\n") == [
        "uid=1000(honk) gid=1000(honk) groups=1000(honk)",
        *(f"Cap{kind}:\t0000000000000000" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no other ids to give")
async def test_each_workspace_is_somebody_elses(
    sandbox: Bubblewrap, spec: SandboxSpec, tmp_path: Path
) -> None:
    other = claimed(sandbox, tmp_path / "other")
    (other / "file").write_text("private")
    assert len({0, other.stat().st_uid, spec.workspace.stat().st_uid}) == 3
    assert other.stat().st_mode & 0o777 == 0o700
    seen = SandboxSpec(spec.workspace, mounts=(Mount(other, "/other", writable=True),))
    assert (await sh(sandbox, seen, "cat /other/file || echo x > /other/new")).exit_code != 0
    with pytest.raises(ValueError, match="belongs to user 0"):
        (tmp_path / "unclaimed").mkdir()
        await sh(sandbox, SandboxSpec(tmp_path / "unclaimed"), "true")


async def test_no_files_of_this_machine(
    sandbox: Bubblewrap, spec: SandboxSpec, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    tmp_path.chmod(0o777)
    script = f"ls /root /home/* /work /etc/shadow /sys /boot {tmp_path} 2>&1; ls /; ls /etc"
    text = (await sh(sandbox, spec, script)).text
    assert "secret" not in text
    assert "shadow" not in text.replace("access '/etc/shadow'", "")
    names = {line.partition("=")[0] for line in (await sh(sandbox, spec, "env")).text.splitlines()}
    assert names == {"PATH", "HOME", "LANG", "USER", "TMPDIR", "PWD", "SHLVL", "_"}


async def test_only_the_workspace_and_scratch_can_be_written(
    sandbox: Bubblewrap, spec: SandboxSpec
) -> None:
    script = "for d in / /usr /usr/bin /etc /dev /run /run/honk /var /home /proc; do"
    done = await sh(sandbox, spec, f"{script} touch $d/x 2>/dev/null && echo $d; done; true")
    assert done.text == ""
    done = await sh(
        sandbox, spec, "touch x /tmp/x ~/x /dev/shm/x /var/tmp/y && echo fine > /dev/null"
    )
    assert done.ok, done.text
    reading = SandboxSpec(spec.workspace, workspace_writable=False)
    assert (await sh(sandbox, reading, "touch y")).exit_code == 1


async def test_scratch_is_bounded(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    small = SandboxSpec(spec.workspace, limits=ResourceLimits(tmp_bytes=1 << 20))
    for place in ("/tmp", "/home/honk", "/dev/shm"):
        done = await sh(sandbox, small, f"head -c 3000000 /dev/zero > {place}/x")
        assert "No space left" in done.text, place


async def test_no_network(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    name = f"honk-test-{os.getpid()}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{name}")
    abstract.listen()
    with listener, abstract:
        port = listener.getsockname()[1]
        told = await python(
            sandbox,
            spec,
            f"""
import socket
def tried(family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(2); one.connect(address)
        return "reached"
    except OSError as error:
        return error.strerror
print(tried(socket.AF_INET, ("127.0.0.1", {port})))
print(tried(socket.AF_UNIX, "\\0{name}"))
print(tried(socket.AF_INET, ("192.0.2.1", 80)))
print(tried(socket.AF_VSOCK, (2, 1024)))
print(open("/proc/net/dev").read().count(":"), repr(open("/proc/net/unix").read().count("\\n")))
            """,
        )
    assert told.split("\n") == [
        "Connection refused",
        "Connection refused",
        "Network is unreachable",
        "Address family not supported by protocol",
        "1 1",
        "",
    ]


async def test_no_other_process_in_proc(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    done = await sh(
        sandbox,
        spec,
        "cat /proc/[0-9]*/comm; for f in environ mem maps fd cwd root; do "
        "head -c 1 /proc/1/$f 2>&1 >/dev/null | grep -c denied; ls /proc/1/$f/ 2>/dev/null; done",
    )
    assert set(done.text.split("\n")[:2]) == {"python3", "bash"}
    assert done.text.count("1\n") >= 4
    assert "secret" not in done.text


async def test_bubblewrap_shows_nothing_of_the_worker(
    sandbox: Bubblewrap, spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_PRIVATE_KEY", "very secret")
    async with sandbox.session(spec) as session:
        await session.bash("true", seconds=5)
        found = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes() if os.geteuid() == 0 else b""
            except OSError:
                continue  # somebody else's, which has just ended
            if b"inside.py" not in words:
                continue
            found += 1
            assert str(spec.workspace).encode() not in words
            # Only where it begins, which bubblewrap and the shell that starts it say.
            assert environment in (b"", b"PWD=/\0", b"PWD=/workspace\0")
    assert found >= 2


async def test_nothing_is_left_open_for_a_command(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    script = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"
    assert await python(sandbox, spec, script) == "[0, 1, 2]\n"
    async with sandbox.session(spec) as session:
        done = await session.bash(f'python3 -c "{script}"', seconds=10)
        assert done.text == "[0, 1, 2]\n"


async def test_system_calls_that_reach_too_far(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    told = await python(
        sandbox,
        spec,
        """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "ptrace": (101, 0, 0, 0), "keyctl": (250, 0, 0), "add_key": (248, 0, 0),
    "unshare": (272, 1 << 28), "clone3": (435, 0, 0),
    "setns": (308, 0, 0), "mount": (165, 0, 0, 0), "open_by_handle_at": (304, 0, 0, 0),
    "io_uring_setup": (425, 1, 0), "bpf": (321, 0, 0), "userfaultfd": (323, 0),
    "clone newuser": (56, 1 << 28 | 17, 0), "memfd_create": (319, b"x", 0), "perf": (298, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "tiocsti": (16, 0, 0x5412, b"x"),
    "tiocsti high": (16, 0, 0x100005412, b"x"), "vsock": (41, 40, 1, 0),
    "vsock high": (41, 0x100000028, 1, 0), "alg": (41, 38, 5, 0), "netlink": (41, 16, 3, 9),
    "packet": (41, 17, 3, 0), "shmget": (29, 0, 1 << 30, 0o1600),
}
for name, (number, *rest) in calls.items():
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in rest]
    result = libc.syscall(ctypes.c_long(number), *words)
    print(name, result if result >= 0 else errno.errorcode[ctypes.get_errno()])
""",
    )
    answers = dict(line.rsplit(" ", 1) for line in told.strip().split("\n"))
    assert set(answers.values()) == {"EPERM", "ENOSYS", "EAFNOSUPPORT", "ENOMEM"}, answers
    # Another system-call table (x32) is a way around all of the above: it ends the process.
    script = "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39)); print(1)"
    done = await sandbox.run(spec, ["python3", "-c", script])
    assert (done.exit_code, done.output) == (128 + signal.SIGSYS, b"")


async def test_the_first_process_cannot_be_hurt(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        await session.bash(
            "for s in INT TERM HUP STOP KILL SEGV CHLD USR1; do kill -$s 1; done", seconds=5
        )
        done = await session.bash(
            "echo x > /proc/1/mem; python3 -c 'import os; os.kill(-1, 9)'", seconds=5
        )
        assert done.exit_code is not None
        assert (await session.bash("echo alive", seconds=5)).text == "alive\n"


async def test_orphans_are_reaped(sandbox: Bubblewrap, spec: SandboxSpec) -> None:
    async with sandbox.session(spec) as session:
        await session.bash("for i in $(seq 30); do (sleep 0.05 &) ; done; sleep 0.3", seconds=10)
        done = await session.bash("ps -eo stat= | grep -c Z", seconds=5)
        assert done.text == "0\n"


def test_the_tree_dies_with_a_killed_worker(tmp_path: Path) -> None:
    script = f"""
import asyncio
from pathlib import Path
from app.sandbox.bubblewrap import Bubblewrap, SandboxSpec
async def main():
    sandbox = Bubblewrap.create(Path({str(tmp_path)!r}))
    workspace = Path({str(tmp_path)!r}, "workspace")
    workspace.mkdir()
    sandbox.claim(workspace)
    script = "setsid sleep 4720 & touch begun; wait"
    await sandbox.run(SandboxSpec(workspace), ["bash", "-c", script])
asyncio.run(main())
"""
    worker = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_for(lambda: (tmp_path / "workspace" / "begun").exists())
        wait_for(lambda: sleeping("4720"))
    finally:
        worker.kill()
        worker.wait()
    wait_for(lambda: not sleeping("4720"))


def sleeping(seconds: str) -> bool:
    return f"sleep {seconds}" in command_lines()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_private_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    world = World.make(tmp_path / "home")
    (tmp_path / "home" / "given").write_text("given")
    world.origin.write("a", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    mount = Mount(tmp_path / "home" / "given", "/run/given")
    spec = world.workspaces.spec(workspace, mounts=(mount,))
    done = await world.sandbox.run(
        spec, ["bash", "-c", "git log --oneline | wc -l; cat /run/given"]
    )
    assert done.text == "1\ngiven"
    assert (await world.packed(workspace)).changes == ()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


HOSTILE = """
printf '#!/bin/sh\\necho "$0" >> %s/ran\\ncat\\n' "$OUTSIDE" > evil; chmod +x evil; mkdir nested
for where in . nested; do (
  cd $where
  [ -d .git ] || git init -q .
  mkdir -p .git/hooks
  for hook in pre-commit post-checkout post-index-change reference-transaction pre-push; do
    cp /workspace/evil .git/hooks/$hook
  done
  evil=/workspace/evil
  git config core.fsmonitor $evil; git config core.hooksPath /workspace/.git/hooks
  git config filter.evil.clean $evil; git config filter.evil.smudge $evil
  git config filter.evil.process $evil; git config filter.evil.required true
  git config core.sshCommand $evil; git config core.pager $evil; git config diff.external $evil
  git config diff.evil.textconv $evil; git config gpg.program $evil; git config core.editor $evil
  git config alias.add "!$evil"; git config credential.helper $evil
  git config uploadpack.packObjectsHook $evil
  echo '* filter=evil diff=evil' > .git/info/attributes
  echo '* filter=evil diff=evil ident text eol=crlf' > .gitattributes
  echo content > file
); done
(cd nested; rm -rf .git/hooks
 git -c core.fsmonitor= -c user.name=x -c user.email=x commit -q --allow-empty -m x)
cp -r .git /tmp/saved; git config core.worktree "$OUTSIDE"
mkfifo pipe; ln -s "$OUTSIDE" linked; mkdir real; echo x > real/file
"""


async def test_a_hostile_repository_executes_nothing_outside(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    world.origin.write(".gitattributes", "* filter=evil diff=evil\n")
    world.origin.write("real-dir/file", "1\n")
    world.origin.write("file", "1\n")
    (world.origin.clone / "to-outside").symlink_to(outside)
    base = world.origin.commit()
    workspace = await world.workspace()
    await world.inside(workspace, f"OUTSIDE={outside}\n{HOSTILE}")
    await world.inside(workspace, "rm -r real-dir; ln -s /etc real-dir")
    packed = await world.packed(workspace)
    await world.mirrors.diff(REPO, base, packed.tree, 10_000)
    await world.mirrors.push(
        REPO,
        world.origin.remote,
        await world.mirrors.commit_tree(REPO, packed.tree, [base], "x"),
        "refs/honk/x",
    )
    again = await world.workspaces.create(REPO, base, "run-2", tree=packed.tree)
    await world.packed(again)
    assert list(outside.iterdir()) == []
    assert "real-dir/file" not in {c.path for c in packed.changes if c.status != "D"}
    paths = {change.path for change in packed.changes if change.status != "D"}
    assert paths == {".gitattributes", "evil", "file", "real/file"}
    await world.workspaces.remove(workspace)
    assert outside.is_dir()


async def test_sandboxes_end_within_their_time_whatever_they_do(
    sandbox: Bubblewrap, spec: SandboxSpec
) -> None:
    limited = SandboxSpec(spec.workspace, limits=ResourceLimits(seconds=1.5, processes=100))
    scripts = [
        "exec 0<&- 1>&- 2>&-; sleep 60",
        "kill -STOP $$",
        "trap '' TERM INT HUP; while :; do :; done",
        "cat /dev/zero | tr '\\0' x >&2",
        "(while :; do setsid bash -c : & wait; done)",
    ]
    began = time.monotonic()
    ended = await asyncio.gather(*(sh(sandbox, limited, script) for script in scripts))
    assert time.monotonic() - began < 12
    assert [done.exit_code for done in ended] == [None] * len(scripts)


def test_the_numbers_of_the_filter_are_those_of_this_machine() -> None:
    """`openat2` is called by number: it must be there."""
    assert ctypes.CDLL(None, use_errno=True).syscall(437, -1, None, None, 0) == -1
