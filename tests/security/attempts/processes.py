"""What a command in a sandbox tries against this machine, other processes and its own bounds."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import errno
import functools
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from app.sandbox import seccomp
from app.sandbox.bubblewrap import MakeInner
from app.sandbox.bubblewrap_flags import bubblewrap_alone, inner_walls
from app.sandbox.removal import remove_tree
from app.sandbox.spec import MIB, Mount, ResourceLimits
from tests.security.attempts.inside import (
    THROUGH,
    Parts,
    inner,
    judged,
    open_filter,
    script,
    with_flags,
    without_flags,
    without_pid_namespace,
)
from tests.security.harness import Attempt, Outcome, got, outcome, root, stopped

CANARY = "canary-7f3a91"

_FILTER = "system-call filter"
_NO_FILTER = Parts(filter_program=open_filter)
_ALONE = Parts(filter_program=open_filter, flags=bubblewrap_alone, inner=None)
_PIDS = "pid namespace"
# It then counts the processes of the whole machine.
_NO_PIDS = Parts(
    flags=without_pid_namespace,
    inner=None,
    limits=ResourceLimits(seconds=20, processes=100_000, memory_bytes=1 << 40),
)
_DEV = ("--dev", "/dev")
_LAST = ("--remount-ro", "/dev")
_NOBODY = Parts(walls=False)
_TABLE = Path(__file__).parents[1] / "system_calls.txt"


def _x86_64() -> str:
    return "" if os.uname().machine == "x86_64" else "the numbers are those of x86-64"


def _reads(path: str, wanted: str) -> str:
    try:
        found = Path(path).read_text().strip()
    except OSError:
        return ""
    return "" if found == wanted else f"this kernel has {path} at {found}"


def _io_uring() -> str:
    return _x86_64() or _reads("/proc/sys/kernel/io_uring_disabled", "0")


def _aio() -> str:
    return _x86_64() or _has_call(206, "asynchronous input")


def _newest_calls() -> str:
    return _x86_64() or _has_call(467, "open_tree_attr")


def _has_call(number: int, what: str) -> str:
    ctypes.set_errno(0)
    answer = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), -1, 0, 0, 0, 0)
    absent = answer == -1 and ctypes.get_errno() == errno.ENOSYS
    return f"this kernel has no {what}" if absent else ""


def _mptcp() -> str:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError as error:
        return f"this kernel has no MPTCP ({error.strerror})"
    return ""


def _named() -> list[int]:
    """Numbers of calls that the filter names, so that the rest can be tried."""
    lines = _TABLE.read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    answered = seccomp.ALLOWED | seccomp.BY_ARGUMENTS | seccomp.PRIVILEGED
    return [int(x86) for x86, _, name in rows if name in answered and x86 != "-"]


def _tiocsti() -> str:
    return _x86_64() or _reads("/proc/sys/dev/tty/legacy_tiocsti", "1")


def _fuse() -> str:
    writable = os.access("/dev/fuse", os.F_OK) and Path("/dev/fuse").stat().st_mode & 0o006 == 6
    return "" if writable else "this machine has no world-accessible device"


def _decoy(user: int | None) -> subprocess.Popen[bytes]:
    """Another process of this machine, with something to steal in its words and environment."""
    words = ["/bin/sh", "-c", "/bin/sleep 60; :", CANARY]
    return subprocess.Popen(
        words, env={"TOKEN": CANARY}, start_new_session=True, user=user, group=user
    )


_LOOK = f"""
import os
wanted = b"{CANARY[:4]}" + b"{CANARY[4:]}"
for name in os.listdir("/proc"):
    if name.isdigit():
        try: text = open(f"/proc/{{name}}/cmdline", "rb").read()
        except OSError: continue  # it has ended
        if wanted in text:
            if DO == "kill": os.kill(int(name), 9)
            print({THROUGH!r}, text.replace(b"\\0", b" ").decode())
            break
else: print("only its own processes")
"""


async def _spy(do: str, parts: Parts, folder: Path) -> Outcome:
    sandbox, spec = parts.made(folder)
    decoy = _decoy(spec.workspace.stat().st_uid)
    try:
        words = ["python3", "-c", _LOOK.replace("DO", repr(do))]
        return judged(await sandbox.run(spec, words))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(decoy.pid, 9)
        decoy.wait()


def _spying(name: str, do: str) -> Attempt:
    run = functools.partial(_spy, do)
    return Attempt(
        name,
        _PIDS,
        functools.partial(run, Parts()),
        functools.partial(run, _NO_PIDS),
        root,
    )


async def _outlives(parts: Parts, folder: Path) -> Outcome:
    """A process that leaves its session and goes on after the command that started it."""
    sandbox, spec = parts.made(folder)
    left = "(setsid bash -c 'sleep 0.5; echo still here > later' &) ; echo begun"
    done = await sandbox.run(spec, ["bash", "-c", left])
    await asyncio.sleep(1)
    later = (spec.workspace / "later").exists()
    text = done.text.strip()
    return outcome(
        later, "wrote after the command ended", f"{text}, then killed with all the others"
    )


async def _kills_first(parts: Parts, folder: Path) -> Outcome:
    sandbox, spec = parts.made(folder)
    async with sandbox.session(spec) as session:
        for hurt in ("kill -9 1 $PPID", "kill -SEGV 1 $PPID", "kill -STOP 1 $PPID"):
            done = await session.bash(hurt, seconds=3)
            if done.killed == "sandbox":
                return got("the sandbox's first process is dead")
        done = await session.bash("echo alive", seconds=3)
    return stopped(f"the first process is {done.text.strip()}")


async def _worker_environment(parts: Parts, folder: Path) -> Outcome:
    os.environ["HONK_TEST_CANARY"] = CANARY
    try:
        given = {**os.environ} if parts.environment else {}
        sandbox, spec = parts.without(environment=given).made(folder)
        done = await sandbox.run(spec, ["bash", "-c", "env; cat /proc/*/environ 2>/dev/null"])
    finally:
        del os.environ["HONK_TEST_CANARY"]
    return outcome(CANARY in done.text, "the worker's environment", "its own environment")


async def _file_of_the_machine(seen: bool, folder: Path) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="honk-") as anywhere:
        Path(anywhere).chmod(0o755)
        secret = Path(anywhere, "secret.txt")
        secret.write_text(CANARY)
        secret.chmod(0o644)
        bound = ("--ro-bind", anywhere, anywhere)
        flags = with_flags(*bound, *_LAST, instead_of=_LAST) if seen else Parts().flags
        sandbox, spec = Parts(flags=flags, inner=inner(scratch=[])).made(folder)
        done = await sandbox.run(spec, ["cat", str(secret)])
    return outcome(CANARY in done.text, "read it", done.text.rpartition(": ")[2])


async def _other_run(parts: Parts, folder: Path) -> Outcome:
    """Even where another run's checkout is in sight."""
    sandbox = parts.sandbox(folder)
    other = folder / "other"
    other.mkdir()
    sandbox.claim(other)
    other.chmod(0o700)
    (other / "file").write_text(CANARY)
    sandbox, spec = parts.without(mounts=(Mount(other, "/other"),)).made(folder)
    done = await sandbox.run(spec, ["cat", "/other/file"])
    return outcome(CANARY in done.text, "read it", done.text.rpartition(": ")[2])


async def _borrowed_objects(writable: bool, folder: Path) -> Outcome:
    shared = folder / "objects"
    shared.mkdir()
    shared.chmod(0o777)
    mount = Mount(shared, "/run/honk/objects", writable=writable)
    sandbox, spec = Parts(mounts=(mount,)).made(folder)
    done = await sandbox.run(spec, ["bash", "-c", "echo evil > /run/honk/objects/pack-1"])
    return outcome((shared / "pack-1").exists(), "wrote there", done.text.rpartition(": ")[2])


async def _endless_output(most: int, folder: Path) -> Outcome:
    sandbox, spec = Parts(limits=ResourceLimits(seconds=20, output_bytes=most)).made(folder)
    done = await sandbox.run(spec, ["bash", "-c", "yes | head -c 30000000"])
    kept = len(done.output)
    return outcome(kept > 8 * MIB, f"{kept:,} bytes kept", f"{done.dropped_bytes:,} bytes dropped")


def _reporting(bounds: tuple[int, int] | None) -> Parts:
    """With a report folder, which is the disk's where it has no bounds of its own."""
    folder = Path(tempfile.mkdtemp(prefix="honk-report-"))
    folder.chmod(0o777)
    atexit.register(remove_tree, folder)
    return Parts(mounts=(Mount(folder, "/run/honk/report", writable=True, bounds=bounds),))


def _limited(
    name: str,
    code: str,
    defense: str,
    small: ResourceLimits,
    large: ResourceLimits,
    *,
    null: MakeInner | None = inner_walls,
) -> Attempt:
    """The control has other limits, and `null` in place of what the helper does."""
    return script(name, code, defense, Parts(limits=large, inner=null), parts=Parts(limits=small))


_S = 20.0

ATTEMPTS = (
    # Other processes.
    _spying("reads the command lines of other processes in /proc", "read"),
    _spying("kills a process of the same user", "kill"),
    Attempt(
        "leaves a background process that outlives its command",
        _PIDS,
        functools.partial(_outlives, Parts()),
        functools.partial(_outlives, _NO_PIDS),
        root,
    ),
    Attempt(
        "kills or stops the sandbox's first process",
        "the helper is process 1",
        functools.partial(_kills_first, Parts()),
        functools.partial(_kills_first, Parts(flags=without_flags("--as-pid-1"))),
    ),
    script(
        "traces another process (ptrace)",
        "child = subprocess.Popen(['sleep', '5'])\n"
        "if call(101, 16, child.pid, 0, 0) == 0: through('attached')\nchild.kill()",
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    script(
        "reads the memory of another process (process_vm_readv)",
        "class Vec(ctypes.Structure):\n"
        "    _fields_ = [('at', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "here, there = ctypes.create_string_buffer(8), ctypes.create_string_buffer(b'12345678')\n"
        "one, two = Vec(ctypes.addressof(here), 8), Vec(ctypes.addressof(there), 8)\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    n = call(310, parent, ctypes.byref(one), 1, ctypes.byref(two), 1, 0)\n"
        "    if n == 8: through(here.raw)\n"
        "    sys.stdout.flush(); os._exit(0)\n"
        "os.wait()",
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    # The kernel.
    script(
        "keeps data in a kernel keyring",
        "if call(248, b'user', b'name', b'secret', 6, -3) > 0: through('a key is kept')",
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    script(
        "sets up io_uring",
        "room = ctypes.create_string_buffer(256)\nif call(425, 4, room) >= 0: through('a ring')",
        _FILTER,
        _NO_FILTER,
        needs=_io_uring,
    ),
    script(
        "opens a vsock to the hypervisor",
        "socket.socket(socket.AF_VSOCK); through('a vsock')",
        _FILTER,
        _NO_FILTER,
    ),
    script(
        "listens to the kernel's device events (netlink)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); through('a netlink socket')",
        _FILTER,
        _NO_FILTER,
    ),
    script(
        "handles page faults itself (userfaultfd)",
        "if call(323, 1) >= 0: through('userfaultfd')",
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    script(
        "hides memory from the count (memfd_create)",
        "if call(319, b'x', 0) >= 0: through('memory that is not counted')",
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    script(
        "uses up the machine's asynchronous I/O contexts (io_setup)",
        "context = ctypes.c_ulong(0)\n"
        "if call(206, 100, ctypes.byref(context)) == 0: through('100 of them')",
        _FILTER,
        _NO_FILTER,
        needs=_aio,
    ),
    script(
        "inspects mounts through the newest system calls (open_tree_attr, statmount, listmount)",
        "room, request = ctypes.create_string_buffer(4096), ctypes.create_string_buffer(24)\n"
        "ctypes.memmove(request, (24).to_bytes(8, 'little') + b'\\xff' * 8, 16)\n"
        "for number in (467, 457, 458):\n"
        "    call(number, request, room, 4096 if number == 457 else 8, 0, 0)\n"
        "    if ctypes.get_errno() != errno.ENOSYS: through('the kernel looks at', number)",
        _FILTER,
        _NO_FILTER,
        needs=_newest_calls,
    ),
    script(
        "makes a system call that this kernel has and the filter does not list",
        "told = [number for number in range(424, 600) if number not in KNOWN\n"
        "    and call(number, -1, 0, 0, 0, 0, 0) != 0 and ctypes.get_errno() != errno.ENOSYS]\n"
        "if told: through('answered:', *told)".replace("KNOWN", repr(_named())),
        _FILTER,
        _NO_FILTER,
        needs=_x86_64,
    ),
    script(
        "opens a socket of a rarely used protocol (SCTP, MPTCP)",
        "for number in (132, 262):\n"
        "    with contextlib.suppress(OSError):\n"
        "        socket.socket(socket.AF_INET, socket.SOCK_STREAM, number); through(number)\n"
        "print('none of them')",
        _FILTER,
        _NO_FILTER,
        needs=_mptcp,
    ),
    script(
        "slows the sandbox's first process (SCHED_IDLE)",
        "os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)); through('it only idles')",
        "system-call filter; the helper has one more capability",
        _ALONE,
    ),
    script(
        "lowers the priority of the sandbox's first process",
        "os.setpriority(os.PRIO_PROCESS, 1, 19); through('it is the last')",
        "system-call filter; the helper has one more capability",
        _ALONE,
    ),
    script(
        "lowers the priority of all processes of its user",
        "os.setpriority(os.PRIO_USER, 0, 19)\n"
        "if os.getpriority(os.PRIO_PROCESS, 1) == 19: through('the first one too')",
        "system-call filter; the helper has one more capability",
        _ALONE,
    ),
    script(
        "changes limits of another process (prlimit)",
        "child = subprocess.Popen(['sleep', '5'])\n"
        "try: resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (3, 3)); through('it is set')\n"
        "finally: child.kill()",
        _FILTER,
        _NO_FILTER,
    ),
    script(
        "types into its terminal (TIOCSTI)",
        "import fcntl, pty, termios\n"
        "ours, theirs = pty.openpty(); os.setsid() if os.getpid() != os.getsid(0) else None\n"
        "fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)\n"
        "fcntl.ioctl(theirs, termios.TIOCSTI, b'x')\nthrough('typed')",
        _FILTER,
        _NO_FILTER,
        needs=_tiocsti,
    ),
    script(
        "creates a user namespace and mounts in it",
        "if call(272, 0x10000000 | 0x20000) == 0:\n"
        "    if call(165, b'none', b'/tmp', b'tmpfs', 0, 0) == 0: through('mounted')",
        "system-call filter, and user namespaces are disabled",
        Parts(inner=inner(namespaces=1000), filter_program=open_filter),
        needs=_x86_64,
    ),
    # Becoming another user, and the machine's resources.
    script(
        "becomes root",
        "os.setuid(0)\nif os.access('/etc/shadow', os.R_OK): through('reads the shadow file')",
        "sandbox",
        _NOBODY,
        needs=root,
    ),
    script(
        "creates a device node",
        "os.mknod('disk', 0o60600, os.makedev(7, 0)); through('a block device')",
        "sandbox",
        _NOBODY,
        needs=root,
    ),
    script(
        "opens a device of this machine",
        "os.open('/dev/fuse', os.O_RDWR); through('/dev/fuse')",
        "a private /dev",
        Parts(flags=with_flags(*_DEV, "--dev-bind", "/dev/fuse", "/dev/fuse", instead_of=_DEV)),
        needs=_fuse,
    ),
    Attempt(
        "reads a file of this machine",
        "only /usr, its own workspace and listed paths are mounted",
        functools.partial(_file_of_the_machine, False),
        functools.partial(_file_of_the_machine, True),
    ),
    Attempt(
        "reads another run's checkout that is visible",
        "a separate user for each workspace",
        functools.partial(_other_run, Parts()),
        functools.partial(_other_run, Parts(own_users=False)),
        root,
    ),
    Attempt(
        "changes the Git objects that all runs share",
        "mounted read-only",
        functools.partial(_borrowed_objects, False),
        functools.partial(_borrowed_objects, True),
    ),
    Attempt(
        "reads the worker's environment",
        "each sandbox gets a new environment",
        functools.partial(_worker_environment, Parts()),
        functools.partial(_worker_environment, Parts(environment={"yes": "1"})),
    ),
    # Limits.
    _limited(
        "starts processes endlessly (fork bomb)",
        "for n in range(200): subprocess.Popen(['sleep', '3'])\ntime.sleep(0.3); through('200')",
        "process limit",
        ResourceLimits(seconds=_S, processes=50),
        ResourceLimits(seconds=_S, processes=1000),
    ),
    _limited(
        "uses all memory in one process",
        "held = bytearray(os.urandom(1)) * (400 << 20); time.sleep(0.3); through('400 MiB')",
        "memory limit",
        ResourceLimits(seconds=_S, memory_bytes=200 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "uses all memory in many processes",
        "hold = 'x = b\"1\" * (80 << 20); print(1, flush=True); import time; time.sleep(9)'\n"
        "words = [sys.executable, '-c', hold]\n"
        "them = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(5)]\n"
        "for each in them: each.stdout.readline()\n"
        "time.sleep(0.5); through('400 MiB')",
        "memory limit, counted over all processes",
        ResourceLimits(seconds=_S, memory_bytes=200 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "writes to a file endlessly",
        "with open('big', 'wb') as file:\n"
        "    for _ in range(64): file.write(bytes(1 << 20))\nthrough('64 MiB')",
        "file size limit",
        ResourceLimits(seconds=_S, file_bytes=8 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "fills the disk with many files",
        "for n in range(60):\n"
        "    open(f'f{n}', 'wb').write(os.urandom(1 << 20)); os.sync(); time.sleep(0.02)\n"
        "through('60 MiB')",
        "workspace size limit",
        ResourceLimits(seconds=_S, disk_bytes=8 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "fills the disk with unnamed files",
        "held = []\n"
        "for n in range(60):\n"
        "    held.append(open(f'f{n}', 'wb')); held[-1].write(os.urandom(1 << 20))\n"
        "    held[-1].flush(); os.unlink(f'f{n}'); time.sleep(0.02)\n"
        "through('60 MiB')",
        "workspace size limit, including deleted files",
        ResourceLimits(seconds=_S, disk_bytes=8 * MIB),
        ResourceLimits(seconds=_S),
    ),
    *(
        _limited(
            f"fills the disk {how}",
            f"import array, mmap\n{before}\n"
            "for n in range(60):\n"
            "    name = f'f{n}'\n"
            "    with open(name, 'wb+') as file:\n"
            "        file.write(os.urandom(1 << 20)); file.flush()\n"
            f"        {hide}\n"
            "    time.sleep(0.02)\n"
            "through('60 MiB')",
            "workspace size limit; space that cannot be inspected counts as used",
            ResourceLimits(seconds=_S, disk_bytes=8 * MIB),
            ResourceLimits(seconds=_S),
        )
        for how, before, hide in (
            (
                "in an unreadable folder",
                "os.mkdir('d'); os.chmod('d', 0o300); os.chdir('d')",
                "pass",
            ),
            (
                "in folders whose path is too long",
                "for _ in range(40): os.mkdir('d' * 200); os.chdir('d' * 200)",
                "pass",
            ),
            (
                "with deleted files of a process that cannot be inspected",
                "libc.prctl(4, 0, 0, 0, 0); held = []",
                "held.append(os.dup(file.fileno())); os.unlink(name)",
            ),
            (
                "with deleted files that are only mapped",
                "held = []",
                "held.append(mmap.mmap(file.fileno(), 4096)); os.unlink(name)",
            ),
            (
                "with deleted files on their way through a socket",
                "ours, theirs = socket.socketpair()\n"
                "def pass_on(fd):\n"
                "    words = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))]\n"
                "    ours.sendmsg([b'x'], words)",
                "pass_on(file.fileno()); os.unlink(name)",
            ),
        )
    ),
    script(
        "hides open files in a thread with its own file table",
        "flags = 0x100 | 0x200 | 0x800 | 0x10000\n"
        "room = ctypes.create_string_buffer(1 << 16)\n"
        "number = libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), ctypes.c_void_p(\n"
        "    ctypes.addressof(room) + (1 << 15)), flags, None)\n"
        "if number > 0: through('a thread without CLONE_FILES'); os._exit(0)\n"
        "print(os.strerror(ctypes.get_errno()))",
        _FILTER,
        _NO_FILTER,
    ),
    script(
        "fills the disk through the report folder",
        "with open('/run/honk/report/big', 'wb') as file:\n"
        "    for _ in range(64): file.write(bytes(1 << 20))\nthrough('64 MiB')",
        "the report folder has a size limit",
        _reporting(None),
        parts=_reporting((8 * MIB, 100)),
    ),
    script(
        "uses up the disk's inodes through the report folder",
        "for n in range(2000): open(f'/run/honk/report/{n}', 'w').close()\nthrough('2,000 files')",
        "the report folder has a file limit",
        _reporting(None),
        parts=_reporting((8 * MIB, 100)),
    ),
    script(
        "uses up memory with empty files in /tmp",
        "for n in range(3000): open(f'/tmp/{n}', 'w').close()\nthrough('3,000 files')",
        "/tmp has a file limit",
        Parts(
            flags=bubblewrap_alone, inner=None, limits=ResourceLimits(seconds=_S, tmp_files=1000)
        ),
        parts=Parts(limits=ResourceLimits(seconds=_S, tmp_files=1000)),
    ),
    script(
        "uses up the machine's terminals",
        "held = [os.openpty() for _ in range(200)]; through('200 of them')",
        "a terminal limit for each sandbox",
        Parts(limits=ResourceLimits(seconds=_S), inner=inner(terminals=0)),
        parts=Parts(limits=ResourceLimits(seconds=_S)),
    ),
    _limited(
        "uses memory in segments that no process owns (System V)",
        "for n in range(300):\n"
        "    number = libc.shmget(0, 1 << 20, 0o1600)\n"
        "    libc.shmat.restype = ctypes.c_void_p\n"
        "    libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]\n"
        "    libc.shmdt.argtypes = [ctypes.c_void_p]\n"
        "    at = libc.shmat(number, None, 0)\n"
        "    if number < 0: raise SystemExit(f'{n} segments, then no more')\n"
        "    ctypes.memset(at, 1, 1 << 20); libc.shmdt(at)\n"
        "time.sleep(0.4); through('300 MiB')",
        "memory limit, including segments; and a limit on their number",
        ResourceLimits(seconds=_S, memory_bytes=100 * MIB),
        ResourceLimits(seconds=_S),
        null=inner(sysctl={}),
    ),
    _limited(
        "uses memory in message queues",
        "text = ctypes.create_string_buffer(8 + 8000); text[0] = b'\\x01'\n"
        "for n in range(3000):\n"
        "    queue = libc.msgget(0, 0o1600)\n"
        "    if queue < 0: raise SystemExit(f'{n} queues, then no more')\n"
        "    while libc.msgsnd(queue, text, 8000, 0o4000) == 0: pass\n"
        "    if n % 50 == 0: time.sleep(0.02)\n"
        "time.sleep(0.4); through('3,000 queues')",
        "memory limit, including queues; and a limit on their number",
        ResourceLimits(seconds=_S, memory_bytes=40 * MIB),
        ResourceLimits(seconds=_S),
        null=inner(sysctl={}),
    ),
    _limited(
        "uses memory in socket buffers",
        "held = []\n"
        "for n in range(900):\n"
        "    held.append(socket.socketpair()); held[-1][0].setblocking(False)\n"
        "    with contextlib.suppress(BlockingIOError):\n"
        "        while True: held[-1][0].send(bytes(1 << 16))\n"
        "    if n % 50 == 0: time.sleep(0.02)\n"
        "time.sleep(0.4); through('150 MiB')",
        "memory limit, including sockets",
        ResourceLimits(seconds=_S, memory_bytes=80 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "uses memory in socket buffers whose sender is gone",
        "held = []\n"
        "for n in range(900):\n"
        "    one, other = socket.socketpair(); one.setblocking(False); held.append(other)\n"
        "    with contextlib.suppress(BlockingIOError):\n"
        "        while True: one.send(bytes(1 << 16))\n"
        "    one.close()\n"
        "    if n % 50 == 0: time.sleep(0.02)\n"
        "time.sleep(0.4); through('150 MiB')",
        "memory limit, including sockets",
        ResourceLimits(seconds=_S, memory_bytes=80 * MIB),
        ResourceLimits(seconds=_S, memory_bytes=1 << 40),
    ),
    _limited(
        "uses memory in buffers of TCP sockets",
        "held = []; server = socket.create_server(('127.0.0.1', 0))\n"
        "for n in range(60):\n"
        "    one = socket.create_connection(server.getsockname()); held += [one, server.accept()]\n"
        "    one.setblocking(False)\n"
        "    with contextlib.suppress(BlockingIOError):\n"
        "        while True: one.send(bytes(1 << 16))\n"
        "    time.sleep(0.005)\n"
        "time.sleep(0.4); through('60 connections')",
        "memory limit, including sockets",
        ResourceLimits(seconds=60, memory_bytes=60 * MIB),
        ResourceLimits(seconds=60),
    ),
    _limited(
        "uses memory in buffers of netlink sockets",
        "import struct; held = []; request = struct.pack('=IHHII', 16, 255, 5, 1, 0)\n"
        "for n in range(500):\n"
        "    held.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))\n"
        "    held[-1].setblocking(False)\n"
        "    with contextlib.suppress(OSError):\n"
        "        for _ in range(400): held[-1].send(request)\n"
        "    if n % 50 == 0: time.sleep(0.02)\n"
        "time.sleep(1); through('100 MiB')",
        "memory limit, including sockets",
        ResourceLimits(seconds=60, memory_bytes=60 * MIB),
        ResourceLimits(seconds=60),
    ),
    _limited(
        "uses memory in pipes",
        "for n in range(10):\n"
        "    if os.fork() == 0:\n"
        "        held = [os.pipe() for _ in range(1200)]\n"
        "        for one in held: os.set_blocking(one[1], False); os.write(one[1], bytes(4096))\n"
        "        time.sleep(30); os._exit(0)\n"
        "time.sleep(4); through('12,000 of them')",
        "memory limit, including pipes",
        ResourceLimits(seconds=_S, memory_bytes=200 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "uses memory in page tables",
        "libc.mmap.restype = ctypes.c_void_p\n"
        "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int]\n"
        "libc.mmap.argtypes.append(ctypes.c_long)\n"
        "most = 80 << 30; at = libc.mmap(None, most, 1, 0x4022, -1, 0)\n"
        "for n in range(0, most, 2 << 20): ctypes.c_char.from_address(at + n).value\n"
        "time.sleep(1); through('160 MiB')",
        "memory limit, including page tables",
        ResourceLimits(seconds=60, memory_bytes=100 * MIB),
        ResourceLimits(seconds=60),
    ),
    _limited(
        "uses memory in a process whose first thread has ended",
        "import threading\n"
        "def take():\n"
        "    held = bytearray(b'x') * (60 << 20); time.sleep(30)\n"
        "for n in range(4):\n"
        "    if os.fork() == 0: threading.Thread(target=take).start(); libc.syscall(60, 0)\n"
        "time.sleep(4); through('240 MiB')",
        "memory limit, counted by thread",
        ResourceLimits(seconds=_S, memory_bytes=100 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "uses memory in locks on parts of files",
        "import fcntl\n"
        "for n in range(40):\n"
        "    file = os.open(f'/tmp/{n}', os.O_RDWR | os.O_CREAT)\n"
        "    for place in range(2000, 0, -2): fcntl.lockf(file, fcntl.LOCK_EX, 1, place)\n"
        "time.sleep(3); through('40,000 of them')",
        "memory limit, including locks",
        ResourceLimits(seconds=60, memory_bytes=100 * MIB),
        ResourceLimits(seconds=60, memory_bytes=1 << 41),
    ),
    script(
        "takes locks that no process owns",
        "import fcntl, struct\n"
        "file = os.open('/tmp/a', os.O_RDWR | os.O_CREAT)\n"
        "fcntl.fcntl(file, 37, struct.pack('=hhxxxxqqixxxx', 1, 0, 0, 1, 0)); through('one')",
        _FILTER,
        _NO_FILTER,
    ),
    _limited(
        "uses up the disk's inodes",
        "for n in range(20_000): open(f'f{n}', 'w').close()\n"
        "time.sleep(0.5); through('20,000 files')",
        "limit on files in a workspace",
        ResourceLimits(seconds=_S, disk_files=4_000),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "fills memory through /tmp",
        "with open('/tmp/big', 'wb') as file:\n"
        "    for _ in range(64): file.write(bytes(1 << 20))\nthrough('64 MiB')",
        "size limit of /tmp",
        ResourceLimits(seconds=_S, tmp_bytes=8 * MIB),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "opens files endlessly",
        "held = [open('/dev/null') for _ in range(500)]; through('500')",
        "open file limit",
        ResourceLimits(seconds=_S, open_files=100),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "computes endlessly",
        "end = time.process_time() + 1.6\n"
        "while time.process_time() < end: pass\nthrough('1.6 seconds')",
        "CPU time limit",
        ResourceLimits(seconds=_S, cpu_seconds=1),
        ResourceLimits(seconds=_S),
    ),
    _limited(
        "waits forever and ignores signals",
        "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(1.5); through()",
        "time limit",
        ResourceLimits(seconds=0.7),
        ResourceLimits(seconds=_S),
    ),
    Attempt(
        "prints endlessly",
        "output limit",
        functools.partial(_endless_output, 1 * MIB),
        functools.partial(_endless_output, 64 * MIB),
    ),
)
