# ruff: noqa: PTH103, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208
"""The first process inside a sandbox. Standard library only, Python 3.8 or newer.

The worker sends frames (`frame`) over one socket: a configuration, then requests. This process
starts commands under their limits, runs the agent's shell, edits and searches files, reaps orphans
and monitors memory and processes. Nothing inside can kill it: PID 1 of a namespace ignores signals
from inside for which it has no handler, and it cannot be traced.

The system's Python runs this file by path, so it imports nothing from Honk. The worker imports
`Bounded`, `frame` and the names of the limits from here.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time

# Instead of typing's: importing it would delay the start of every sandbox.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    Searcher = tuple[tuple[str, ...], tuple[str, ...]]

HEADER = struct.Struct(">II")
"""The lengths of a frame's two parts: JSON, then raw bytes."""

WATCH_SECONDS = 0.02
IDLE_SECONDS = 0.25
EDIT_SECONDS = 30.0
SEARCH_SECONDS = 30.0
MAX_EDIT_BYTES = 8 << 20
MAX_SEARCH_FILE_BYTES = 4 << 20
MAX_SEARCH_MATCHES = 500
MAX_LINE_SHOWN = 400
MAX_LISTED = 1000
MAX_MEDIA_BYTES = 3 << 20
"""The API accepts 5 MB of base64, and all of it is recorded in the transcript."""
MAX_PDF_PAGES = 20
MAX_SEEN_BYTES = 1 << 20
MAX_SEEN_TOTAL = 16 << 20
MAX_DIFFERENCE = 200
MAX_COMPARED_LINES = 2_000
"""Beyond this many lines, comparing two texts can take minutes."""
MAX_NOTE_BYTES = MAX_MEDIA_BYTES + (1 << 20)
MAX_BACKGROUND = 8
MAX_BACKGROUND_OUTPUT = 1 << 20
MAX_FILE_NAMES = 8 << 20
NICENESS = 5
SPARE_PROCESSES = 32
DISK_SECONDS = 0.1
DISK_STEPS = 8
"""The workspace is measured each time disk usage has grown by this fraction of its limit."""
LEAST_FREE_BYTES = 1 << 30
"""Disk space to leave free, but at most a twentieth of the disk."""
ROOM_BYTES = 8 << 20
MAX_OPEN_FOLDERS = 200
MAX_REMEMBERED = 100_000
MAX_MAPS_BYTES = 1 << 20
MAX_STATUS_BYTES = 64
KERNEL_SECONDS = 0.1
SOCKET_BYTES = 2_000
IPC_BYTES = 500
MAX_SOCKET_BYTES = 8 << 20
FEW_SOCKETS = 8
"""With no more sockets than this their memory is not queried: it is small."""
GUESSED_SOCKET_BYTES = 100_000
"""Assumed per socket when the kernel does not report its memory."""
PIPE_BYTES = 1 << 16
LITTLE_BYTES = 64 << 20
"""The maximum size of pipes and page tables is computed only above this."""
LOCK_BYTES = 250
TOO_MANY_BYTES = 1 << 40
OWN_MEMORY_BYTES = 512 << 20
"""Memory limit of this process itself."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

# Each command is read up to a NUL and evaluated in the shell itself, so that directory, variables
# and functions persist. Its child processes do not inherit the two control descriptors.
_SHELL = (
    "while IFS= read -r -d '' -u 198 __honk_command; do "
    'eval "$__honk_command" </dev/null 198<&- 199>&-; '
    "printf '%s\\0' \"$?\" >&199; done"
)


class Bounded:
    """Keeps the first and last bytes of an output of any length."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    @property
    def dropped(self) -> int:
        """How many bytes of the middle were dropped."""
        return self._total - len(self._head) - min(len(self._tail), self._half)

    def value(self) -> bytes:
        tail = bytes(self._tail[-self._half :])
        if not self.dropped:
            return bytes(self._head) + tail
        gap = f"\n[... {self.dropped} bytes left out ...]\n"
        return bytes(self._head) + gap.encode() + tail


def frame(header: dict[str, Any], data: bytes = b"") -> bytes:
    """Encode one message between worker and sandbox."""
    text = json.dumps(header).encode()
    return HEADER.pack(len(text), len(data)) + text + data


class Channel:
    """The socket to the worker, the only one this process listens to."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, header: dict[str, Any], data: bytes = b"") -> None:
        self._socket.sendall(frame(header, data))

    def hand_over(self, descriptors: list[int]) -> None:
        """Send the descriptors to the worker, one per byte, and close them here."""
        for fd in descriptors:
            data = struct.pack("=i", fd)
            self._socket.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, data)])
            os.close(fd)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next message. Raises EOFError when the worker is gone."""
        lengths = HEADER.unpack(self._exactly(HEADER.size))
        header = json.loads(self._exactly(lengths[0]))
        return header, self._exactly(lengths[1])

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(min(size - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


class Processes:
    """All processes in this sandbox except this one."""

    def __init__(self, isolated: bool, limits: dict[str, Any]) -> None:
        self._isolated = isolated
        self._memory = int(limits["memory_bytes"])
        self._count = int(limits["processes"])
        self._page = resource.getpagesize()
        self._kernel = Kernel(isolated, self._memory)
        self._seen_over = False

    def excess(self) -> str | None:
        """The limit that is exceeded: "memory", "processes" or None."""
        table = self._table()
        if sum(row.threads for row in table.values()) >= self._count:
            return "processes"
        beside = self._kernel.held(list(table.values()))
        resident = sum(row.pages for row in table.values()) * self._page
        if resident + beside <= self._memory:
            self._seen_over = False
            return None
        # The resident sum counts shared pages once per process; use proportional sizes instead.
        shared_out = beside + sum(map(self._proportional, table.values()))
        before, self._seen_over = self._seen_over, shared_out > self._memory
        # Measuring takes time, and the pages of a process that exits during it may be counted
        # twice: require two measurements in a row.
        return "memory" if before and self._seen_over else None

    def kill(self, only: int | None = None) -> dict[int, int]:
        """Kill one session's leader and its group, or everything, and reap it (5 seconds).

        Returns the exit codes of what was reaped.
        """
        ended: dict[int, int] = {}
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            self._signal(only)
            ended.update(reap())
            if only is not None or not self._table(with_dead=False):
                break
            time.sleep(0.001)
        return ended

    def _signal(self, only: int | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            if only is not None:
                os.killpg(only, signal.SIGKILL)
                return
            if self._isolated:
                os.kill(-1, signal.SIGKILL)
                return
        for pid in self._table():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _proportional(self, process: Process) -> int:
        try:
            with open(process.folder + "/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        return int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            return 0  # it exited; shared pages are counted with the processes that share them
        except OSError:
            pass
        return process.pages * self._page

    def _table(self, with_dead: bool = True) -> dict[int, Process]:
        rows = {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                words = stat_words("/proc/" + name)
                folder = "/proc/" + name
                if words[0] in _DEAD:
                    folder = living_thread(name)
                    words = stat_words(folder)
            except OSError:
                continue
            if with_dead or words[0] not in _DEAD:
                rows[int(name)] = Process(folder, words)
        return self._ours(rows)

    def _ours(self, rows: dict[int, Process]) -> dict[int, Process]:
        me = os.getpid()
        if self._isolated:
            return {pid: row for pid, row in rows.items() if pid != me}
        ours = {me}
        found = True
        while found:
            new = {pid for pid, row in rows.items() if row.parent in ours and pid not in ours}
            ours |= new
            found = bool(new)
        return {pid: rows[pid] for pid in ours if pid != me and pid in rows}


class Process:
    """The kernel's data about one process: its memory, and the folder in /proc for the rest."""

    __slots__ = ("addresses", "folder", "pages", "parent", "threads")

    def __init__(self, folder: str, words: list[bytes]) -> None:
        self.folder = folder
        self.parent = int(words[1])
        self.threads = int(words[17])
        self.addresses = int(words[20])
        self.pages = int(words[21])


_DEAD = (b"Z", b"X")


def stat_words(folder: str) -> list[bytes]:
    """The fields after the name in proc(5), /proc/pid/stat."""
    with open(folder + "/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def living_thread(pid: str) -> str:
    """The folder of a process's first thread that is alive, else its own.

    Once its first thread has ended, a process's own folder shows no memory and no files, though the
    other threads have both.
    """
    for thread in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{thread}"
        with contextlib.suppress(OSError):
            if stat_words(folder)[0] not in _DEAD:
                return folder
    return "/proc/" + pid


class Held:
    """Disk usage found by one scan, and whether the scan saw everything."""

    def __init__(self, most_bytes: int, most_files: int) -> None:
        self._most_bytes = most_bytes
        self._most_files = most_files
        self.size = 0
        self.count = 0
        self.whole = True
        self._linked: set[int] = set()

    def add(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._linked:
                return
            if len(self._linked) < MAX_REMEMBERED:
                self._linked.add(status.st_ino)
        self.size += status.st_blocks * 512
        self.count += 1

    @property
    def enough(self) -> bool:
        """Whether a limit is already exceeded, so that the scan can stop."""
        return self.size > self._most_bytes or self.count > self._most_files


class Disk:
    """What this sandbox stores on disks of the machine, which other processes also write to.

    A full scan is slow, so it runs only after total disk usage has grown. What a scan cannot see is
    estimated as the disk's total growth since the sandbox started.
    """

    def __init__(self, roots: list[str], isolated: bool, limits: dict[str, Any]) -> None:
        self._roots = roots
        self._isolated = isolated
        self._bytes = int(limits["disk_bytes"])
        self._files = int(limits["disk_files"])
        self._first = self._last = self._used_on_disk()
        self._floor = self._least_free()
        self._held_before: int | None = None
        self._next = 0.0

    def excess(self) -> str | None:
        """The exceeded limit: "disk", "room" (the machine's disk is nearly full) or None."""
        now = self._used_on_disk()
        grown = now[0] - self._last[0], now[1] - self._last[1]
        nearly_full = self._free() < self._floor
        little = grown[0] < self._bytes // DISK_STEPS and grown[1] < self._files // DISK_STEPS
        if little and (not nearly_full or time.monotonic() < self._next):
            return None
        self._last = now
        began = time.monotonic()
        held = self._held()
        self._next = time.monotonic() + 5 * (time.monotonic() - began)
        size, count = held.size, held.count
        if not held.whole:
            size = max(size, now[0] - self._first[0])
            count = max(count, now[1] - self._first[1])
        if size > self._bytes or count > self._files:
            return "disk"
        # On a nearly full disk, end the sandboxes that still grow, so that the others can finish.
        before, self._held_before = self._held_before, size if nearly_full else None
        step = min(ROOM_BYTES, self._floor // 4)
        return "room" if before is not None and size > before + step else None

    def _used_on_disk(self) -> tuple[int, int]:
        status = os.statvfs(self._roots[0])
        return (status.f_blocks - status.f_bfree) * status.f_frsize, status.f_files - status.f_ffree

    def _free(self) -> int:
        status = os.statvfs(self._roots[0])
        return status.f_bavail * status.f_frsize

    def _least_free(self) -> int:
        """The free space to preserve; 0 if less was free when the sandbox started."""
        status = os.statvfs(self._roots[0])
        floor = min(LEAST_FREE_BYTES, status.f_blocks * status.f_frsize // 20)
        return floor if self._free() >= floor else 0

    def _held(self) -> Held:
        """Measure all files, including deleted ones that are still open."""
        found = Held(self._bytes, self._files)
        for root in self._roots:
            _add_tree(root, found)
        # Without a pid namespace the processes are those of the whole machine.
        if self._isolated and not found.enough:
            _add_nameless(self._roots, found)
        return found


class OwnDisk(Disk):
    """A file system with only the workspace: the kernel knows how full it is."""

    def excess(self) -> str | None:
        """See `Disk.excess`. A sandbox that finds the disk over its limit may still write a little,
        so that the work in it can be packed.
        """
        used, count = self._used_on_disk()
        status = os.statvfs(self._roots[0])
        # Less than the whole file system, so that a sandbox is ended before a write fails.
        most_bytes = min(self._bytes, status.f_blocks * status.f_frsize * 8 // 9)
        most_files = min(self._files, status.f_files * 8 // 9)
        over = used > max(most_bytes, self._first[0] + ROOM_BYTES) or count > max(
            most_files, self._first[1] + self._files // DISK_STEPS
        )
        return "disk" if over else None


def device(path: str) -> int:
    return os.stat(path).st_dev  # noqa: PTH116


def disks(config: dict[str, Any]) -> Iterator[Disk]:
    """What to monitor: the workspace and what else a sandbox may write on the machine's disk."""
    roots = [config["workspace"], *config["written"]]
    isolated, limits = bool(config["isolated"]), config["limits"]
    if config["own_disk"]:
        yield OwnDisk(roots[:1], isolated, limits)
        own = device(roots[0])
        roots = [each for each in roots if device(each) != own]
    if roots:
        yield Disk(roots, isolated, limits)


def _add_tree(root: str, found: Held) -> None:
    """Add every file below `root`, by directory descriptors: a path could be too long to open."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    # Open directories, each with the subdirectories that are still to be scanned.
    waiting: list[tuple[int, list[str]]] = []

    def enter(name: str, above: int | None) -> None:
        try:
            fd = os.open(name, flags, dir_fd=above)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            found.whole = False
            return
        waiting.append((fd, _add_entries(fd, found)))

    enter(root, None)
    while waiting:
        fd, names = waiting[-1]
        if found.enough or not names:
            waiting.pop()
            os.close(fd)
        elif len(waiting) > MAX_OPEN_FOLDERS:
            found.whole = False
            names.clear()
        else:
            name = names.pop()
            if not names:
                waiting.pop()
            enter(name, fd)
            if not names:
                os.close(fd)


def _add_entries(folder: int, found: Held) -> list[str]:
    """Add the entries of a directory; return the names of its subdirectories."""
    below = []
    here = os.fstat(folder).st_dev
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if status.st_dev != here:
                    continue  # a mount point: its file system has its own size limit
                found.add(status)
                if stat.S_ISDIR(status.st_mode):
                    below.append(entry.name)
                if found.enough:
                    break
    except OSError:
        found.whole = False
    return below


def _add_nameless(roots: list[str], found: Held) -> None:
    """Add deleted files that are still in use: open, mapped, or in transit through a socket."""
    seen: set[tuple[int, int]] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if pid == str(os.getpid()):
            continue
        try:
            for folder, name in _descriptors(pid):
                status = os.stat(f"{folder}/fd/{name}")  # noqa: PTH116
                if stat.S_ISSOCK(status.st_mode):
                    found.whole = found.whole and not _carries(f"{folder}/fdinfo/{name}")
                key = (status.st_dev, status.st_ino)
                if status.st_nlink or not stat.S_ISREG(status.st_mode) or key in seen:
                    continue
                seen.add(key)
                found.add(status)
                if found.enough or len(seen) > MAX_REMEMBERED:
                    found.whole = False
                    return
            found.whole = found.whole and not _maps_deleted(living_thread(pid), roots)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            found.whole = False


def _descriptors(pid: str) -> Iterator[tuple[str, str]]:
    """Open descriptors, from any live thread: the seccomp filter makes threads share them."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{thread}"
        names = os.listdir(f"{folder}/fd")
        if names:
            return ((folder, name) for name in names)
    return iter(())


def _carries(info: str) -> bool:
    """Whether descriptors are in transit through this socket."""
    with open(info, "rb") as file:
        return any(
            line.startswith(b"scm_fds:") and int(line.split()[1]) > 0
            for line in file.read(4096).splitlines()
        )


def _maps_deleted(folder: str, roots: list[str]) -> bool:
    """Whether it maps a deleted file. How much disk space that takes cannot be determined."""
    with open(folder + "/maps", "rb") as file:
        text = file.read(MAX_MAPS_BYTES)
    starts = tuple(os.fsencode(root) + b"/" for root in roots)
    return len(text) >= MAX_MAPS_BYTES or any(
        line.endswith(b" (deleted)") and line.split(None, 5)[5].startswith(starts)
        for line in text.splitlines()
        if line.count(b" ") >= 5
    )


class Kernel:
    """Kernel memory of this sandbox that is in no process's resident set.

    System V segments, queues and semaphores, socket buffers, pipes, page tables and file locks. The
    netlink socket that queries the sockets must be opened before the seccomp filter forbids it.
    """

    def __init__(self, isolated: bool, most: int) -> None:
        """`most` is the memory limit: beyond it nothing has to be measured exactly."""
        self._isolated = isolated
        self._most = most
        self._asking: socket.socket | None = None
        self._next = 0.0
        self._last = 0
        if isolated:
            with contextlib.suppress(OSError):
                self._asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
                self._asking.settimeout(1)

    def held(self, processes: list[Process]) -> int:
        """Bytes, measured at most ten times a second."""
        began = time.monotonic()
        if self._isolated and began >= self._next:
            self._last = (
                sum(_of_ipc())
                + self._of_sockets()
                + _of_locks()
                + _of_page_tables(processes)
                + _of_pipes(processes, self._most)
            )
            ended = time.monotonic()
            self._next = ended + max(KERNEL_SECONDS, 5 * (ended - began))
        return self._last

    def _of_sockets(self) -> int:
        number = _number_of_sockets()
        if number <= FEW_SOCKETS:
            return 0
        return self._of_listed_sockets(number) + _of_netlink()

    def _of_listed_sockets(self, number: int) -> int:
        if self._asking is None:
            return number * GUESSED_SOCKET_BYTES
        total = 0
        try:
            for message in self._dump(_UNIX_REQUEST):
                total += _of_unix(message)
            for request in _INET_REQUESTS:
                total += sum(map(_of_inet, self._dump(request)))
        except (OSError, struct.error):
            return max(total, number * GUESSED_SOCKET_BYTES)
        return total

    def _dump(self, request: bytes) -> Iterator[bytes]:
        """Every message of the reply (sock_diag(7))."""
        assert self._asking is not None
        self._asking.send(_NLMSG.pack(_NLMSG.size + len(request), 20, 0x301, 1, 0) + request)
        while True:
            data = self._asking.recv(1 << 18)
            at = 0
            while at + _NLMSG.size <= len(data):
                size, kind = _NLMSG.unpack_from(data, at)[:2]
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("the kernel does not tell")
                yield data[at + _NLMSG.size : at + size]
                at += (size + 3) & ~3


_SOCK_DIAG = 4
_NLMSG = struct.Struct("=IHHII")
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_UNIX_REQUEST = struct.pack("=BBHIII8x", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, 0x34)
_INET_REQUESTS = tuple(
    struct.pack("=BBBBI48x", family, protocol, 0x40, 0, 0xFFFFFFFF)
    for family in (socket.AF_INET, socket.AF_INET6)
    for protocol in (6, 17)
)
_UNIX_PEER, _UNIX_LENGTHS, _UNIX_MEMORY, _INET_MEMORY = 2, 4, 5, 7


def largest_buffer() -> int:
    """The maximum size of a socket's send buffer."""
    try:
        with open("/proc/sys/net/core/wmem_max", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return MAX_SOCKET_BYTES


def _attributes(message: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        found[kind] = message[at + 4 : at + max(size, 4)]
        at += (max(size, 4) + 3) & ~3
    return found


def _of_unix(message: bytes) -> int:
    """Sent bytes count as the sender's; if the sender is gone, the kernel reports no size."""
    found = _attributes(message, 16)
    memory = struct.unpack_from("=3I", found.get(_UNIX_MEMORY, bytes(12)))[2]
    waiting = struct.unpack_from("=I", found.get(_UNIX_LENGTHS, bytes(4)))[0]
    peer = struct.unpack_from("=I", found.get(_UNIX_PEER, bytes(4)))[0]
    listens = message[2] == _LISTENS
    if waiting and not peer and not listens:
        # A message of one byte takes most of a kilobyte.
        memory += max(waiting, min(waiting << 10, 2 * largest_buffer()))
    return SOCKET_BYTES + int(memory)


def _of_inet(message: bytes) -> int:
    memory = _attributes(message, 72).get(_INET_MEMORY, b"")
    if len(memory) < 32:
        return SOCKET_BYTES
    words = struct.unpack_from("=8I", memory)
    return int(SOCKET_BYTES + words[0] + max(words[2], words[5]) + words[7])


_LISTENS = 10


def _of_netlink() -> int:
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError), open(_NETLINK, "rb") as file:
        lines = file.readlines(MAX_MAPS_BYTES)
        if file.read(1):
            return TOO_MANY_BYTES
        for line in lines[1:]:
            words = line.split()
            total += SOCKET_BYTES + int(words[4]) + int(words[5])
    return total


_NETLINK = "/proc/net/netlink"


def _of_locks() -> int:
    """Locks on parts of files (proc(5), /proc/locks), of which a process may have any number.

    Reading them takes quadratic time, so more than about 20,000 count as exceeding the limit. Those
    of open files are listed for the whole machine; the seccomp filter forbids them.
    """
    try:
        with open("/proc/locks", "rb") as file:
            text = file.read(MAX_MAPS_BYTES)
    except OSError:
        return 0
    if len(text) >= MAX_MAPS_BYTES:
        return TOO_MANY_BYTES
    return LOCK_BYTES * (text.count(b"\n") - text.count(b"OFDLCK"))


def _of_page_tables(processes: list[Process]) -> int:
    """A page table takes up to a 512th of the addresses that it maps; usually few are used."""
    rest = sum(each.addresses for each in processes) // 512
    total = 0
    for each in sorted(processes, key=lambda each: -each.addresses):
        if rest <= LITTLE_BYTES:
            break
        rest -= each.addresses // 512
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += _page_table(each.folder)
    return total


def _page_table(folder: str) -> int:
    with open(folder + "/status", "rb") as file:
        return int(file.read().partition(b"\nVmPTE:")[2].split(None, 1)[0]) * 1024


def _of_pipes(processes: list[Process], most: int) -> int:
    """Every pipe counts as full."""
    folders = [each.folder + "/fd" for each in processes]
    if sum(map(_open_files, folders)) * PIPE_BYTES <= LITTLE_BYTES:
        return 0
    seen = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{folder}/{name}")  # noqa: PTH116
                    if stat.S_ISFIFO(status.st_mode):
                        seen.add((status.st_dev, status.st_ino))
        if len(seen) * PIPE_BYTES > most:
            break
    return len(seen) * PIPE_BYTES


def _open_files(folder: str) -> int:
    try:
        # Linux before 6.2 does not say how many there are.
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116
    except OSError:
        return 0


def _number_of_sockets() -> int:
    """All sockets of this network namespace, including those in transit through others."""
    try:
        with open("/proc/net/sockstat", "rb") as file:
            return int(file.readline().split()[2])
    except (OSError, ValueError, IndexError):
        return 0


def _of_ipc() -> Iterator[int]:
    """Sizes of segments, messages and semaphores (proc(5), /proc/sysvipc)."""
    for kind, weigh in _IPC:
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/sysvipc/{kind}", "rb") as file:
                rows = file.read(MAX_MAPS_BYTES).splitlines()[1:]
            yield sum(weigh([int(word) for word in row.split()]) for row in rows)


_IPC: tuple[tuple[str, Callable[[list[int]], int]], ...] = (
    ("shm", lambda row: IPC_BYTES + row[14] + row[15]),
    ("msg", lambda row: IPC_BYTES + row[3] + row[4] * 128),
    ("sem", lambda row: IPC_BYTES + row[3] * 128),
)


def reap() -> dict[int, int]:
    """Exit codes of children that ended (128 + signal, as in a shell)."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        code = os.waitstatus_to_exitcode(status) if sys.version_info >= (3, 9) else _code(status)
        ended[pid] = code if code >= 0 else 128 - code


def _code(status: int) -> int:
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Shell:
    """The agent's shell and its three pipes."""

    def __init__(self, pid: int, commands: int, status: int, output: int) -> None:
        self.pid = pid
        self.commands = commands
        self.status = status
        self.output = output
        self.closed = False  # nothing will be written any more

    def close(self) -> None:
        for fd in (self.commands, self.status, self.output):
            os.close(fd)


class Background:
    """A background command beside the agent's shell. Its output is kept until it is read."""

    def __init__(self, pid: int, output: int, command: str) -> None:
        self.pid = pid
        self.output = output
        self.command = command
        self.exit: int | None = None
        self.closed = False  # nothing will be written any more
        self.kept = Bounded(MAX_BACKGROUND_OUTPUT)
        self.began = time.monotonic()

    def take(self) -> tuple[bytes, int]:
        """The output since the last time, and how many bytes of its middle were dropped."""
        kept, self.kept = self.kept, Bounded(MAX_BACKGROUND_OUTPUT)
        return kept.value(), kept.dropped

    def state(self, number: int) -> str:
        seconds = f"{time.monotonic() - self.began:.0f} s"
        how = f"running for {seconds}" if self.exit is None else f"exited with {self.exit}"
        return f"{number}: {how}: {self.command[:200]}"


class Child:
    """Work of this helper in a child process, and the pipes on which it answers."""

    def __init__(self, pid: int, text: int, note: int, limit: int) -> None:
        self.pid = pid
        self.fds = (text, note)
        self.said = Bounded(limit)
        self.note = bytearray()

    def read(self) -> None:
        """Read what the pipes contain now."""
        for _ in range(64):
            text, note = read_some(self.fds[0]), read_some(self.fds[1])
            self.said.add(text)
            self.note += note[: MAX_NOTE_BYTES - len(self.note)]
            if not text and not note:
                return

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


class SeenFiles:
    """The content of files as the agent last read or wrote them, to notice other changes.

    Of a large file only the digest is kept, and of many files only the latest.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}
        self._total = 0

    def get(self, path: str) -> tuple[str, bytes] | None:
        """The digest, and the compressed content (empty for a large file)."""
        return self._files.get(path)

    def keep(self, path: str, digest: str, content: bytes) -> None:
        self._total -= len(self._files.pop(path, ("", b""))[1])
        self._files[path] = (digest, content)
        self._total += len(content)
        while self._total > MAX_SEEN_TOTAL or len(self._files) > MAX_LISTED:
            oldest = next(iter(self._files))
            self._total -= len(self._files.pop(oldest)[1])


class Inside:
    """Handles the worker's requests one at a time."""

    def __init__(self, channel: Channel, config: dict[str, Any]) -> None:
        self.channel = channel
        self.workspace = str(config["workspace"])
        self.environment = dict(config["environment"])
        self.limits = dict(config["limits"])
        self.isolated = bool(config["isolated"])
        self.processes = Processes(self.isolated, self.limits)
        self.disks = list(disks(config))
        self.last_disk = 0.0
        self.shell: Shell | None = None
        self.output = Bounded(int(self.limits["output_bytes"]))
        self.background: dict[int, Background] = {}
        self.numbered = 0
        self.seen = SeenFiles()
        self.started: set[int] = set()
        self.ended: dict[int, int] = {}
        self.last_watch = 0.0
        self.wake = self._wake_on_children()

    def serve(self) -> None:
        """Runs until the worker closes the channel."""
        while True:
            ready = self.poll_briefly(IDLE_SECONDS, [self.channel.fileno()])
            if self.exceeded_limit():
                self.kill()
                self.stop_shell()
            if self.channel.fileno() not in ready:
                continue
            try:
                header, data = self.channel.receive()
            except EOFError:
                return
            reply, output = self.answer(header, data)
            self.channel.send(reply, output)

    def answer(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        operation = header["op"]
        if operation == "run":
            return self.run(header["argv"], header["fds"])
        if operation == "bash":
            return self.bash(data, float(header["seconds"]))
        if operation == "restart":
            self.kill()
            self.stop_shell()
            return {"exit": 0}, b""
        if operation == "edit":
            request = json.loads(data)
            return self.in_children([lambda: self.edit(request)], EDIT_SECONDS)[0]
        if operation == "search":
            pattern, path = json.loads(data)
            return self.in_children([lambda: self.search(pattern, path)], SEARCH_SECONDS)[0]
        if operation == "read":
            return self.read_all(json.loads(data))
        if operation == "background":
            return self.in_background(json.loads(data))
        raise ValueError(operation)

    # One command

    def run(self, argv: list[str], fds: list[int]) -> tuple[dict[str, Any], bytes]:
        """Run a command on descriptors from the worker and wait. The worker enforces the time
        limit.
        """
        pid = self.spawn(argv, {0: fds[0], 1: fds[1], 2: fds[2]})
        for fd in set(fds):
            os.close(fd)
        while pid not in self.ended:
            self.poll([])
            killed = self.exceeded_limit()
            if killed:
                self.kill()
                return {"exit": None, "killed": killed}, b""
        return {"exit": self.ended.pop(pid)}, b""

    # The agent's shell

    def bash(self, command: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        shell = self.shell or self.start_shell()
        todo = command.replace(b"\0", b"") + b"\0"
        deadline = time.monotonic() + seconds
        status = bytearray()
        while True:
            todo = self.feed(shell, todo)
            self.poll([shell.status], [shell.commands] if todo else [])
            status += read_some(shell.status)
            if b"\0" in status or len(status) > MAX_STATUS_BYTES:
                return self.finished(shell, bytes(status))
            if shell.pid in self.ended:
                return self.shell_ended(shell)
            killed = self.exceeded_limit()
            if killed:
                return self.kill_command(killed, f"The command passed its limit of {killed}")
            if time.monotonic() > deadline:
                return self.kill_command(None, f"The command took over {seconds:g} seconds")

    def finished(self, shell: Shell, status: bytes) -> tuple[dict[str, Any], bytes]:
        code = status.split(b"\0")[0] or b"0"
        if not code.isdigit() or b"\0" not in status:
            # Only the shell should write there, but a command may have found its descriptor.
            return self.kill_command(
                None, "Something else wrote where the shell tells its exit codes"
            )
        self.drain(shell)
        return self.result(int(code))

    def shell_ended(self, shell: Shell) -> tuple[dict[str, Any], bytes]:
        code = self.ended.pop(shell.pid)
        self.drain(shell)
        self.stop_shell()
        self.say(f"The shell ended with exit code {code} and is started again")
        return self.result(code)

    def kill_command(self, killed: str | None, why: str) -> tuple[dict[str, Any], bytes]:
        self.kill()
        if self.shell:
            self.drain(self.shell)
        self.stop_shell()
        self.say(why + ": everything was killed and the shell is started again")
        reply, output = self.result(None)
        reply.update(killed=killed, timed_out=killed is None)
        return reply, output

    def say(self, words: str) -> None:
        self.output.add(f"\n[{words}; its directory and variables are as at the start.]\n".encode())

    def result(self, code: int | None) -> tuple[dict[str, Any], bytes]:
        output, self.output = self.output, Bounded(int(self.limits["output_bytes"]))
        return {"exit": code, "dropped": output.dropped}, output.value()

    def start_shell(self) -> Shell:
        commands, statuses, outputs = os.pipe(), os.pipe(), os.pipe()
        argv = ["bash", "--noprofile", "--norc", "-c", _SHELL]
        null = os.open(os.devnull, os.O_RDONLY)
        inner = {0: null, 1: outputs[1], 2: outputs[1], 198: commands[0], 199: statuses[1]}
        pid = self.spawn(argv, inner)
        for fd in (null, commands[0], statuses[1], outputs[1]):
            os.close(fd)
        for fd in (commands[1], statuses[0], outputs[0]):
            os.set_blocking(fd, False)
        self.shell = Shell(pid, commands[1], statuses[0], outputs[0])
        return self.shell

    def stop_shell(self) -> None:
        if self.shell:
            self.kill(self.shell.pid)
            self.ended.pop(self.shell.pid, None)
            self.shell.close()
            self.shell = None

    @staticmethod
    def feed(shell: Shell, todo: bytes) -> bytes:
        if todo:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                return todo[os.write(shell.commands, todo) :]
        return todo

    def drain(self, source: Shell | Background) -> None:
        """Read what the pipe holds now; a background process may keep it open forever."""
        for _ in range(64):
            if not self.take_output(source):
                return

    def take_output(self, source: Shell | Background) -> bool:
        """Keep what is there, at most 64 KiB; return whether there was anything."""
        data = read_some(source.output)
        if isinstance(source, Shell):
            self.output.add(data)
        else:
            source.kept.add(data)
        return bool(data)

    # Background commands

    def in_background(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Start, list, read or stop one. Exit code 1 comes with the reason."""
        action = request.get("action")
        if action == "start":
            return self.start_background(str(request.get("command")))
        if action == "list":
            states = [each.state(number) for number, each in self.background.items()]
            return {"exit": 0}, "\n".join(states).encode("utf-8", "replace")
        number = request.get("id")
        found = self.background.get(number) if isinstance(number, int) else None
        if found is None:
            known = ", ".join(map(str, self.background)) or "none"
            return {"exit": 1}, f"There is no background command {number}; known: {known}.".encode()
        if action == "stop" and not (found.closed and found.exit is not None):
            self.kill(found.pid)
            while found.exit is None:
                self.poll([])
        self.drain(found)
        output, dropped = found.take()
        state = found.state(int(request["id"])).encode("utf-8", "replace")
        return {"exit": 0, "dropped": dropped}, b"[" + state + b"]\n" + output

    def start_background(self, command: str) -> tuple[dict[str, Any], bytes]:
        for number in [n for n, each in self.background.items() if each.exit is not None]:
            if len(self.background) >= MAX_BACKGROUND:
                os.close(self.background.pop(number).output)
        if len(self.background) >= MAX_BACKGROUND:
            return {"exit": 1}, f"{MAX_BACKGROUND} commands run already; stop one first.".encode()
        ours, theirs = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        argv = ["bash", "--noprofile", "--norc", "-c", command.replace("\0", "")]
        pid = self.spawn(argv, {0: null, 1: theirs, 2: theirs})
        for fd in (null, theirs):
            os.close(fd)
        os.set_blocking(ours, False)
        self.numbered += 1
        self.background[self.numbered] = Background(pid, ours, command)
        return {"exit": 0}, f"Started as background command {self.numbered}.".encode()

    # Work of this helper itself, in children that can be killed

    def edit(self, request: dict[str, Any]) -> FileReply:
        return edit(self.workspace, request, self.seen)

    def search(self, pattern: str, path: str) -> FileReply:
        return FileReply(search(self.workspace, pattern, path))

    def read_all(self, requests: list[dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
        """Several read-only requests, concurrently."""

        def work(request: dict[str, Any]) -> Callable[[], FileReply]:
            if request["command"] == "search":
                return lambda: self.search(request["pattern"], request["path"])
            return lambda: self.edit(request)

        answers = self.in_children([work(each) for each in requests], SEARCH_SECONDS)
        parts = [{**header, "size": len(data)} for header, data in answers]
        return {"exit": 0, "parts": parts}, b"".join(data for _, data in answers)

    def in_children(
        self, works: list[Callable[[], FileReply]], seconds: float
    ) -> list[tuple[dict[str, Any], bytes]]:
        running = [self.start_child(work) for work in works]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            busy = [child for child in running if child.pid not in self.ended]
            if not busy:
                break
            self.poll([fd for child in busy for fd in child.fds])
            for child in busy:
                child.read()
        return [self.finish_child(child, seconds) for child in running]

    def start_child(self, work: Callable[[], FileReply]) -> Child:
        texts, notes = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            self._run_in_child(work, texts[1], notes[1])
        self.ended.pop(pid, None)
        self.started.add(pid)
        for fd in (texts[1], notes[1]):
            os.close(fd)
        for fd in (texts[0], notes[0]):
            os.set_blocking(fd, False)
        return Child(pid, texts[0], notes[0], int(self.limits["output_bytes"]))

    def finish_child(self, child: Child, seconds: float) -> tuple[dict[str, Any], bytes]:
        note: dict[str, Any] = {}
        data = b""
        if child.pid in self.ended:
            child.read()
            first, _, data = bytes(child.note).partition(b"\n")
            note = json.loads(first or b"{}")
        else:
            self.kill(child.pid)
            child.said = Bounded(1000)
            child.said.add(f"It took over {seconds:g} seconds and was ended.".encode())
        child.close()
        code = self.ended.pop(child.pid, 137)
        if note.get("path"):
            self.seen.keep(note["path"], note["digest"], data[: note["kept"]])
        if note.get("media"):
            return {"exit": code, "media": note["media"]}, data[note["kept"] :]
        return {"exit": code, "dropped": child.said.dropped}, child.said.value()

    def _run_in_child(self, work: Callable[[], FileReply], out: int, note: int) -> NoReturn:
        code, result = 1, FileReply("")
        try:
            os.setsid()
            if self.isolated:
                keep_capabilities(ctypes.CDLL(None), 0)
            self.apply_limits()
            code, result = 0, work()
        except EditRefusedError as refusal:
            result = FileReply(str(refusal), seen=refusal.seen)
        except OSError as error:
            result = FileReply(f"{error.filename or 'It'}: {error.strerror}")
        except MemoryError:
            result = FileReply("It needs more memory than there is.")
        except Exception as error:  # noqa: BLE001 - it must not go on as a second first process
            result = FileReply(f"It failed: {error!r}.")
        with contextlib.suppress(OSError):
            with os.fdopen(note, "wb") as file:
                file.write(result.note())
            with os.fdopen(out, "wb") as file:
                file.write(result.text.encode("utf-8", "replace"))
        os._exit(code)

    # Event loop and processes

    def poll(self, readable: list[int], writable: list[int] | None = None) -> None:
        """Like `tend`, during a request. Raises EOFError when the worker sends or closes."""
        channel = self.channel.fileno()
        if channel in self.poll_briefly(WATCH_SECONDS, [channel, *readable], writable):
            raise EOFError

    def poll_briefly(
        self,
        seconds: float,
        readable: list[int],
        writable: list[int] | None = None,
    ) -> list[int]:
        """Wait for an event, reap children and drain the shell's output. Returns ready fds."""
        shells: list[Shell | Background] = [self.shell] if self.shell else []
        outputs = [each for each in (*shells, *self.background.values()) if not each.closed]
        # Not select(): the worker's descriptor numbers may be above its limit.
        waiting = select.poll()
        for fd in (self.wake, *readable, *(each.output for each in outputs)):
            waiting.register(fd, select.POLLIN)
        for fd in writable or ():
            waiting.register(fd, select.POLLOUT)
        ready = [fd for fd, _ in waiting.poll(seconds * 1000)]
        if self.wake in ready:
            read_some(self.wake)
        for each in outputs:
            if each.output in ready and not self.take_output(each):
                each.closed = True
        self.note_ended(reap())
        return ready

    def kill(self, only: int | None = None) -> None:
        """Kill one session, or everything in the sandbox."""
        self.note_ended(self.processes.kill(only))

    def note_ended(self, codes: dict[int, int]) -> None:
        for pid, code in codes.items():
            if pid in self.started:
                self.started.remove(pid)
                self.ended[pid] = code
        for each in self.background.values():
            if each.pid in self.ended:
                each.exit = self.ended.pop(each.pid)

    def exceeded_limit(self) -> str | None:
        now = time.monotonic()
        if now - self.last_watch < WATCH_SECONDS:
            return None
        self.last_watch = now
        if now - self.last_disk > DISK_SECONDS:
            self.last_disk = now
            for disk in self.disks:
                passed = disk.excess()
                if passed:
                    return passed
        return self.processes.excess()

    def spawn(self, argv: list[str], fds: dict[int, int]) -> int:
        pid = os.fork()
        if pid == 0:
            self._become(argv, fds)
        self.ended.pop(pid, None)
        self.started.add(pid)
        return pid

    def _become(self, argv: list[str], fds: dict[int, int]) -> NoReturn:
        try:
            os.setsid()
            place(fds)
            self.apply_limits()
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(self.workspace)
            os.execvpe(argv[0], argv, self.environment)  # noqa: S606 - it is what a sandbox is for
        except (OSError, ValueError) as error:
            os.write(2, f"honk: cannot run {argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)
        raise AssertionError

    def apply_limits(self) -> None:
        os.nice(NICENESS)
        limits = [
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 8 << 20),
            (resource.RLIMIT_MSGQUEUE, 0),
            (resource.RLIMIT_CPU, int(self.limits["cpu_seconds"])),
            (resource.RLIMIT_FSIZE, int(self.limits["file_bytes"])),
            (resource.RLIMIT_NOFILE, int(self.limits["open_files"])),
            (resource.RLIMIT_DATA, int(self.limits["memory_bytes"])),
        ]
        if self.isolated:
            # Set inside the user namespace, it counts only this sandbox's processes. It stops what
            # forks faster than `Processes.excess` is polled, which enforces the exact limit.
            most = int(self.limits["processes"]) + SPARE_PROCESSES
            limits.append((resource.RLIMIT_NPROC, most))
        for kind, value in limits:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))

    def _wake_on_children(self) -> int:
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        os.set_blocking(theirs, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        return ours


def place(fds: dict[int, int]) -> None:
    """Move descriptors to the numbers a command expects; close all others."""
    # First move all of them above every target, so that none is overwritten before it is used.
    lifted = {target: fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for target, fd in fds.items()}
    for target, fd in lifted.items():
        os.dup2(fd, target, inheritable=True)
    kept = sorted(fds)
    for index, low in enumerate(kept):
        high = kept[index + 1] if index + 1 < len(kept) else 1 << 20
        os.closerange(max(low + 1, 3), max(high, 3))


def read_some(fd: int) -> bytes:
    """Read what is available, at most 64 KiB; empty at the end or if nothing is available."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


class EditRefusedError(Exception):
    """The agent's request cannot be carried out; the message says why.

    `seen` is a file and its content, if the message shows what changed in it.
    """

    def __init__(self, words: str, seen: tuple[str, bytes] | None = None) -> None:
        super().__init__(words)
        self.seen = seen


class FileReply:
    """A file tool's answer: text, or an image or document (`media` is its type).

    `seen` is a file that the agent now knows, and its content.
    """

    def __init__(
        self,
        text: str,
        *,
        media: str = "",
        data: bytes = b"",
        seen: tuple[str, bytes] | None = None,
    ) -> None:
        self.text = text
        self.media = media
        self.data = data
        self.seen = seen

    def note(self) -> bytes:
        """A line of JSON, the compressed content of `seen`, and `data`."""
        header: dict[str, Any] = {"media": self.media, "kept": 0}
        kept = b""
        if self.seen is not None:
            import zlib

            path, content = self.seen
            kept = zlib.compress(content, 1) if len(content) <= MAX_SEEN_BYTES else b""
            header.update(path=os.path.realpath(path), digest=digest(content), kept=len(kept))
        return json.dumps(header).encode() + b"\n" + kept + self.data


def digest(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


# The file tools. They may follow any link or path: everything they can reach is in the sandbox.


def resolve(workspace: str, path: object) -> str:
    """An absolute path; relative ones start at the workspace."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise EditRefusedError("The path must be a text.")
    if path == "/workspace" or path.startswith("/workspace/"):
        path = path[len("/workspace/") :]
    return os.path.normpath(os.path.join(workspace, path))


def read_regular(path: str, most: int) -> bytes:
    """Read a file without blocking on a FIFO or a device."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise EditRefusedError(f"{path} is not a regular file.")
        if status.st_size > most:
            raise EditRefusedError(
                f"{path} is {status.st_size} bytes; at most {most} are handled. Use bash for a "
                "part of it (head, tail, sed -n, grep)."
            )
        return file.read(most)


def write_regular(path: str, data: bytes) -> None:
    """Write in place, which preserves the mode and links of an existing file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o644)
    with os.fdopen(fd, "wb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise EditRefusedError(f"{path} is not a regular file.")
        file.truncate(0)
        file.write(data)


def text_of(request: dict[str, Any], name: str, missing: str | None = None) -> str:
    value = request.get(name, missing)
    if not isinstance(value, str):
        raise EditRefusedError(f"`{name}` is needed, as a text.")
    return value


def edit(workspace: str, request: dict[str, Any], seen: SeenFiles) -> FileReply:
    """One request of the `text_editor_20250728` tool. `seen` is what the agent knows of files."""
    command = request.get("command")
    path = resolve(workspace, request.get("path"))
    if command == "view":
        return view(path, request.get("view_range"))
    if command == "create":
        return create(path, as_bytes(text_of(request, "file_text")), seen)
    if command == "str_replace":
        old, new = text_of(request, "old_str"), text_of(request, "new_str", "")
        return str_replace(path, old, new, seen)
    if command == "insert":
        return insert(path, request.get("insert_line"), text_of(request, "insert_text"), seen)
    raise EditRefusedError(f"{command!r} is not one of view, create, str_replace, insert.")


def demand_unchanged(path: str, data: bytes, seen: SeenFiles) -> None:
    """Raises EditRefusedError, with the diff, if the file has changed since the agent saw it."""
    known = seen.get(os.path.realpath(path))
    if known is None or known[0] == digest(data):
        return
    words = f"{path} has changed since you last read or wrote it, so it was not edited."
    raise EditRefusedError(f"{words}\n{difference(known[1], data)}", (path, data))


def difference(before: bytes, now: bytes) -> str:
    """How a file changed; `before` is compressed, and empty if it was not kept."""
    import difflib
    import zlib

    if not before or len(now) > MAX_SEEN_BYTES:
        return "View it before you edit it."
    old, new = (
        data.decode("utf-8", "replace").split("\n") for data in (zlib.decompress(before), now)
    )
    pairs = enumerate(zip(old, new))  # noqa: B905 - its argument is newer than Python 3.8
    same = next((i for i, pair in pairs if pair[0] != pair[1]), min(len(old), len(new)))
    first = max(same - 2, 0)
    old, new = old[first:], new[first:]
    while len(old) > 2 and len(new) > 2 and old[-3:] == new[-3:]:
        old.pop()
        new.pop()
    if max(len(old), len(new)) > MAX_COMPARED_LINES:
        return f"The difference begins in line {same + 1}: view it before you edit it."
    names = f"as you know it, from line {first + 1}", f"as it is, from line {first + 1}"
    lines = list(difflib.unified_diff(old, new, *names, n=2, lineterm=""))
    rest = "\n(The difference is longer: view the file.)" if len(lines) > MAX_DIFFERENCE else ""
    shown = "\n".join(
        line[:MAX_LINE_SHOWN] for line in lines[:MAX_DIFFERENCE] if not line.startswith("@@ ")
    )
    return f"{shown}{rest}\nIf the edit still fits, send it again."


def create(path: str, content: bytes, seen: SeenFiles) -> FileReply:
    if seen.get(os.path.realpath(path)) is not None:
        with contextlib.suppress(FileNotFoundError):
            demand_unchanged(path, read_regular(path, MAX_EDIT_BYTES), seen)
    write_regular(path, content)
    return FileReply(f"{path} is written.", seen=(path, content))


def view(path: str, span: object) -> FileReply:
    if os.path.isdir(path):
        return FileReply(listing(path))
    data = read_regular(path, MAX_EDIT_BYTES)
    media = media_type(data)
    if media:
        return view_media(path, media, data)
    if b"\0" in data[:8192]:
        raise EditRefusedError(
            f"{path} is a binary file of {len(data)} bytes. Use bash for it (file, xxd, strings)."
        )
    if path.endswith(".ipynb") and span is None:
        cells = notebook(data)
        if cells is not None:
            return FileReply(cells, seen=(path, data))
    lines = data.decode("utf-8", "backslashreplace").split("\n")
    if lines[-1] == "":
        lines.pop()
    first, last = line_span(span, len(lines))
    if not lines:
        return FileReply(f"{path} is empty.", seen=(path, data))
    shown = enumerate(lines[first - 1 : last], first)
    return FileReply("\n".join(f"{number:6d}\t{line}" for number, line in shown), seen=(path, data))


_MEDIA = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def media_type(data: bytes) -> str:
    """The type of an image or document that a model can look at; empty for other files."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MEDIA if data.startswith(magic)), "")


def view_media(path: str, media: str, data: bytes) -> FileReply:
    if len(data) > MAX_MEDIA_BYTES:
        raise EditRefusedError(
            f"{path} ({media}) is {len(data)} bytes; at most {MAX_MEDIA_BYTES} can be shown. "
            "Write a smaller copy to /tmp and view that."
        )
    if media == "application/pdf":
        pages = pdf_pages(data)
        if pages > MAX_PDF_PAGES:
            raise EditRefusedError(
                f"{path} has {pages} pages; at most {MAX_PDF_PAGES} can be shown. Write the pages "
                "that you need to /tmp (pdfseparate, qpdf, pypdf) and view those, or use pdftotext."
            )
    return FileReply("", media=media, data=data)


def pdf_pages(data: bytes) -> int:
    """How many pages a PDF has, counted from its objects, including those in compressed streams."""
    import zlib

    page = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
    count = len(page.findall(data))
    left = MAX_EDIT_BYTES * 4
    for found in re.finditer(rb"/ObjStm.{0,400}?stream\r?\n", data, re.DOTALL):
        end = data.find(b"endstream", found.end())
        with contextlib.suppress(zlib.error):
            packed = data[found.end() : end if end >= 0 else len(data)]
            unpacked = zlib.decompressobj().decompress(packed, max(left, 1))
            left -= len(unpacked)
            count += len(page.findall(unpacked))
        if left <= 0:
            break
    return count


def notebook(data: bytes) -> str | None:
    """The cells of a Jupyter notebook; None if it is not one."""
    try:
        content = json.loads(data)
        parts = [cell_text(number, cell) for number, cell in enumerate(content["cells"], 1)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    parts.append("[These are its cells. The file is JSON: edits apply to that; cat shows it.]")
    return "\n\n".join(parts)


def cell_text(number: int, cell: dict[str, Any]) -> str:
    lines = [f"[cell {number}: {cell['cell_type']}]", joined(cell.get("source", ""))]
    for output in cell.get("outputs", ()):
        shown = joined(output.get("text") or output.get("traceback") or "")
        data = output.get("data") or {}
        shown = shown or joined(data.get("text/plain", ""))
        others = ", ".join(kind for kind in data if kind != "text/plain")
        lines.append(f"[output: {others}]" if others else "[output]")
        lines.append(shown[: MAX_LINE_SHOWN * 10])
    return "\n".join(line for line in lines if line)


def joined(text: object) -> str:
    """A notebook writes a text as one string or as a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def line_span(span: object, count: int) -> tuple[int, int]:
    if span is None:
        return 1, count
    if not isinstance(span, list) or len(span) != 2 or not all(type(n) is int for n in span):
        raise EditRefusedError("`view_range` must be two line numbers.")
    first, last = span[0], count if span[1] == -1 else min(span[1], count)
    if not 1 <= first <= max(count, 1) or last < first - (not count):
        raise EditRefusedError(f"The file has {count} lines; {span} is not a range of them.")
    return first, last


def listing(top: str) -> str:
    """Names two levels deep, without hidden ones."""
    found: list[str] = []
    folders = [top]
    while folders:
        folder = folders.pop()
        inner, files = names_in(folder)
        inner = [name for name in inner if not name.startswith(".")]
        names = [name + "/" for name in inner]
        names += [name for name in files if not name.startswith(".")]
        found += [os.path.join(folder, name) for name in names]
        if folder == top:
            folders = [os.path.join(top, name) for name in reversed(inner)]
        if len(found) > MAX_LISTED:
            return "\n".join([top, *found[:MAX_LISTED], "(and more)"])
    return "\n".join([top, *found])


def names_in(folder: str) -> tuple[list[str], list[str]]:
    """Sorted directories and other entries; empty if unreadable."""
    folders: list[str] = []
    others: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return sorted(folders), sorted(others)


def str_replace(path: str, old: str, new: str, seen: SeenFiles) -> FileReply:
    data = read_regular(path, MAX_EDIT_BYTES)
    demand_unchanged(path, data, seen)
    before, after = as_bytes(old), as_bytes(new)
    if b"\r\n" in data and before not in data:
        before, after = with_crlf(before), with_crlf(after)
    if not before:
        raise EditRefusedError("`old_str` is empty.")
    count = data.count(before)
    note = ""
    if count == 0:
        span = without_spaces(data, before)
        if span is None:
            words = f"`old_str` must be in {path} exactly once, but is there 0 times."
            raise EditRefusedError(f"{words} {nearest(data, old)}")
        before, count = data[span[0] : span[1]], 1
        at = span[0]
        note = " White space at the ends of lines was ignored."
    elif count > 1:
        lines = [str(data.count(b"\n", 0, at) + 1) for at in places(data, before)]
        raise EditRefusedError(
            f"`old_str` must be in {path} exactly once, but is there {count} times, in lines "
            f"{', '.join(lines[:20])}. Add a line before or after it."
        )
    else:
        at = data.index(before)
    content = data[:at] + after + data[at + len(before) :]
    write_regular(path, content)
    line = data.count(10, 0, at) + 1
    return FileReply(f"{path} is changed in line {line}.{note}", seen=(path, content))


def without_spaces(data: bytes, wanted: bytes) -> tuple[int, int] | None:
    """The place where whole lines of the file match the wanted ones except for trailing white
    space.

    None unless there is exactly one.
    """
    ends = wanted.endswith(b"\n")
    lines = [line.rstrip() for line in wanted.splitlines()]
    if not any(lines):
        return None
    ours = split_lines(data)
    stripped = [line.rstrip() for line in ours]
    first = max(lines, key=len)
    offset = lines.index(first)
    starts = [
        i - offset
        for i, line in enumerate(stripped)
        if line == first and i >= offset and stripped[i - offset : i - offset + len(lines)] == lines
    ]
    if len(starts) != 1:
        return None
    begin = sum(map(len, ours[: starts[0]]))
    found = b"".join(ours[starts[0] : starts[0] + len(lines)])
    if not ends:
        found = found.rstrip(b"\r\n")
    return begin, begin + len(found)


def nearest(data: bytes, old: str) -> str:
    """The place in a file that is most similar to a missing text, and how they differ."""
    lines = data.decode("utf-8", "replace").split("\n")
    wanted = old.strip("\n").split("\n")[:MAX_DIFFERENCE]
    if all(re.match(r" *[0-9]+\t", line) for line in wanted if line.strip()):
        return "It begins with the line numbers that view shows; leave them out."
    start = nearest_start(lines, wanted)
    if start is None:
        return "Nothing in the file is like it; view the file."
    differences: list[str] = []
    for number, text in enumerate(wanted, start):
        here = lines[number] if 0 <= number < len(lines) else ""
        if here.rstrip() != text.rstrip() and len(differences) < 3:
            why = ", only white space differs" if here.split() == text.split() else ""
            differences.append(
                f"line {number + 1}{why}:\n  file:    {quoted(here)}\n  old_str: {quoted(text)}"
            )
    where = f"lines {max(start, 0) + 1} to {min(start + len(wanted), len(lines))}"
    if not differences:
        return f"The nearest place, {where}, is the same but for where `old_str` begins or ends."
    return f"The nearest place is {where}. It differs in\n" + "\n".join(differences)


def quoted(line: str) -> str:
    return json.dumps(line[:MAX_LINE_SHOWN], ensure_ascii=False)


def nearest_start(lines: list[str], wanted: list[str]) -> int | None:
    """The line, counted from 0, at which most of the wanted lines match in position."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        places.setdefault("".join(line.split()), []).append(number)
    votes: dict[int, int] = {}
    for offset, line in enumerate(wanted):
        squeezed = "".join(line.split())
        for number in places.get(squeezed, ())[:MAX_LISTED] if squeezed else ():
            votes[number - offset] = votes.get(number - offset, 0) + len(squeezed)
    if votes:
        return max(votes, key=lambda start: votes[start])
    import difflib

    longest = max(wanted, key=len)
    known = list(dict.fromkeys(line[:MAX_LINE_SHOWN] for line in lines))[: MAX_LISTED * 5]
    close = difflib.get_close_matches(longest[:MAX_LINE_SHOWN], known, 1, 0.6)
    if not close:
        return None
    found = next(n for n, line in enumerate(lines) if line[:MAX_LINE_SHOWN] == close[0])
    return found - wanted.index(longest)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def with_crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def places(data: bytes, part: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(part)
    while at >= 0 and len(found) < 20:
        found.append(at)
        at = data.find(part, at + 1)
    return found


def insert(path: str, line: object, text: str, seen: SeenFiles) -> FileReply:
    data = read_regular(path, MAX_EDIT_BYTES)
    demand_unchanged(path, data, seen)
    lines = data.splitlines(keepends=True) if b"\n" not in data else split_lines(data)
    if type(line) is not int or not 0 <= line <= len(lines):
        raise EditRefusedError(f"`insert_line` must be from 0 to {len(lines)}.")
    added = as_bytes(text)
    if b"\r\n" in data:
        added = with_crlf(added)
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    if line < len(lines) and not added.endswith(b"\n"):
        added += newline
    if line and not lines[line - 1].endswith(b"\n"):
        lines[line - 1] += newline
    content = b"".join([*lines[:line], added, *lines[line:]])
    write_regular(path, content)
    return FileReply(f"{path} has the text after line {line}.", seen=(path, content))


def split_lines(data: bytes) -> list[bytes]:
    """Split at line feeds only: git does not treat a lone carriage return or form feed as a line
    end.
    """
    lines = [part + b"\n" for part in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


SEARCHERS: tuple[Searcher, ...] = (
    (
        ("/usr/bin/rg", "/usr/local/bin/rg"),
        (
            *("--files-with-matches", "--null", "--fixed-strings", "--text", "--no-config", "-uu"),
            *("--glob", "!.git/"),
        ),
    ),
    (
        ("/usr/bin/grep", "/bin/grep"),
        ("-r", "-l", "-Z", "-F", "-a", "-D", "skip", "--exclude-dir=.git"),
    ),
)
"""Programs that list the files with a text, by their possible paths, with their options."""


def search(
    workspace: str, pattern: str, path: str, searchers: tuple[Searcher, ...] = SEARCHERS
) -> str:
    """Lines that match a regular expression, as `path:line: text`."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise EditRefusedError(f"{pattern!r} is not a regular expression: {error}.") from error
    top = resolve(workspace, path or ".")
    if not os.path.lexists(top):
        raise EditRefusedError(f"There is no {path}.")
    found: list[str] = []
    for file in candidates(top, pattern, searchers):
        for number, line in matching_lines(file, wanted):
            name = os.path.relpath(file, workspace)
            found.append(f"{name}:{number}: {line[:MAX_LINE_SHOWN]}")
            if len(found) >= MAX_SEARCH_MATCHES:
                found.append(f"(more than {MAX_SEARCH_MATCHES} lines match; narrow the search)")
                return "\n".join(found)
    return "\n".join(found) if found else "Nothing matches."


def candidates(top: str, pattern: str, searchers: tuple[Searcher, ...]) -> Iterable[str]:
    """The files below `top` that the pattern may match in, in the order of `files_below`.

    If each match must contain one of a few literal texts, ripgrep or grep finds the files that have
    one, several times as fast as reading them all here.
    """
    literals = literals_of(pattern)
    if not literals or not os.path.isdir(top):
        return files_below(top)
    names = files_with(literals, top, searchers)
    return files_below(top) if names is None else sorted(names, key=walking_order)


def walking_order(path: str) -> tuple[tuple[int, str], ...]:
    """Sorts as `files_below` walks: a folder's files before its folders."""
    *folders, name = path.split("/")
    return (*((1, folder) for folder in folders), (0, name))


def files_with(literals: list[str], top: str, searchers: tuple[Searcher, ...]) -> list[str] | None:
    """The files below a folder that contain one of the texts; None if no program can find them."""
    for programs, options in searchers:
        program = next((each for each in programs if os.access(each, os.X_OK)), None)
        if program is not None:
            patterns = [part for literal in literals for part in ("-e", literal)]
            return names_printed([program, *options, *patterns, "--", top])
    return None


def names_printed(command: list[str]) -> list[str] | None:
    """The file names that a search prints, each followed by a NUL; None if it failed."""
    import subprocess

    errors, theirs = os.pipe()
    for fd in (errors, theirs):
        # Output that does not fit in the pipe is lost; nothing waits for it.
        os.set_blocking(fd, False)
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={"LC_ALL": "C"},
        ) as process:
            assert process.stdout is not None
            names = process.stdout.read(MAX_FILE_NAMES)
            if len(names) >= MAX_FILE_NAMES:
                process.kill()
                return None
        # A search that finds nothing exits with 1, and so does one with an unknown option.
        found_nothing = process.returncode == 1 and not read_some(errors)
        if not names and not found_nothing:
            return None
        return [os.fsdecode(name) for name in names.split(b"\0") if name]
    finally:
        os.close(errors)
        os.close(theirs)


def literals_of(pattern: str) -> list[str]:
    """Texts of which each match contains at least one; empty if there are none."""
    try:
        from re import _parser as parser  # type: ignore[attr-defined]
    except ImportError:  # Python before 3.11
        import sre_parse as parser
    parsed = parser.parse(pattern)
    if parsed.state.flags & re.IGNORECASE:
        return []
    return list(_needed(parsed)) if len(pattern) < MAX_LISTED else []


def _needed(items: Any) -> tuple[str, ...]:
    """The longest literal text of a parsed pattern, or one for each of its alternatives."""
    best: tuple[str, ...] = ()
    run: list[str] = []
    for operation, value in [*items, ("END", None)]:
        if str(operation) == "LITERAL" and _is_plain(value):
            run.append(chr(value))
            continue
        best = max(best, ("".join(run),) if run else (), key=_shortest)
        run = []
        inner: tuple[str, ...] = ()
        if str(operation) == "SUBPATTERN":
            inner = () if value[1] & re.IGNORECASE else _needed(value[3])
        elif str(operation) == "BRANCH":
            each = [_needed(branch) for branch in value[1]]
            inner = sum(each, ()) if all(each) else ()
        elif str(operation) == "MAX_REPEAT" and value[0] > 0:
            inner = _needed(value[2])
        best = max(best, inner, key=_shortest)
    return best


def _is_plain(code: int) -> bool:
    """Whether a character is the same in a file's bytes and in the text that is searched."""
    return code >= 32 and not 0xD800 <= code < 0xE000 and code != 0xFFFD


def _shortest(texts: tuple[str, ...]) -> int:
    return min(map(len, texts)) if 0 < len(texts) <= 20 else 0


def files_below(top: str) -> Iterator[str]:
    """A folder's files, or the file itself. Links in folders are not followed."""
    if not os.path.isdir(top):
        yield top
        return
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        folders, files = names_in(folder)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                yield path
        waiting += [os.path.join(folder, name) for name in reversed(folders) if name != ".git"]


def matching_lines(path: str, wanted: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    try:
        data = read_regular(path, MAX_SEARCH_FILE_BYTES)
    except (OSError, EditRefusedError):
        return
    if b"\0" in data[:8192]:
        return
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if wanted.search(line):
            yield number, line.rstrip("\r")


class WallsError(Exception):
    """The setup begun by bubblewrap cannot be completed; the message says what failed."""


class Walls:
    """Sandbox limits that bubblewrap cannot set: file sizes and counts, terminals, System V
    segments.

    Bubblewrap leaves the first process as root of its own user namespace, with only the
    capabilities needed for this. Afterwards it has the user and namespace of everything inside, and
    nothing can be mounted any more.
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self._libc = ctypes.CDLL(None, use_errno=True)

    def finish(self) -> list[int]:
        """Set the limits; returns descriptors of the folders that the worker reads at the end."""
        folders = [self._scratch(each) for each in self._wanted["scratch"]]
        terminals = self._wanted["terminals"]
        if terminals:
            options = f"newinstance,ptmxmode=0666,mode=620,max={terminals}"
            self._mount("devpts", "/dev/pts", options, _NOSUID | _NOEXEC)
        for name, value in self._wanted["sysctl"].items():
            self._set("/proc/sys/" + name, value)
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write(str(self._wanted["namespaces"]))
        # Read-only, because processes in here own the namespaces these values belong to.
        self._call("mount", b"/proc/sys", b"/proc/sys", None, _BIND, None)
        kept = _REMOUNT | _BIND | _READ_ONLY | _NOSUID | _NODEV | _NOEXEC
        self._call("mount", None, b"/proc/sys", None, kept, None)
        self._become(self._wanted["id"])
        return [fd for fd in folders if fd is not None]

    def close(self) -> None:
        """Drop all capabilities not needed for monitoring, and install the seccomp filter."""
        for number in range(64):
            if self._libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
                break
        keep_capabilities(self._libc, _CAP_DAC_READ_SEARCH | _CAP_SYS_PTRACE)
        program = bytes.fromhex(self._wanted["filter"])
        count = len(program) // 8
        described = _FilterProgram(count, ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p))
        self._call("prctl", _PR_SET_SECCOMP, 2, ctypes.byref(described), 0, 0)
        # Changing the user clears the parent-death signal.
        self._call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def _scratch(self, wanted: dict[str, Any]) -> int | None:
        options = f"mode={wanted['mode']},size={wanted['bytes']},nr_inodes={wanted['files']}"
        self._mount("tmpfs", wanted["target"], options, _NOSUID | _NODEV)
        if not wanted["kept"]:
            return None
        return os.open(wanted["target"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _mount(self, kind: str, target: str, options: str, flags: int) -> None:
        words = (kind.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
        self._call("mount", *words)

    def _set(self, path: str, value: str) -> None:
        """Ignore errors: older kernels do not let a namespace's root set it; monitoring still
        applies.
        """
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write(value)

    def _become(self, user: int) -> None:
        if user:
            self._call("unshare", _CLONE_NEWUSER)
            for name, text in (
                ("uid_map", f"{user} 0 1"),
                ("setgroups", "deny"),
                ("gid_map", f"{user} 0 1"),
            ):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)

    def _call(self, name: str, *words: Any) -> None:
        ctypes.set_errno(0)
        given = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in words]
        if getattr(self._libc, name)(*given) != 0:
            raise WallsError(f"{name}: {os.strerror(ctypes.get_errno())}")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("code", ctypes.c_void_p))


def keep_capabilities(libc: Any, kept: int) -> None:
    """Drop all others for good. Commands start with none in any case."""
    header = struct.pack("=Ii", 0x20080522, 0)
    data = struct.pack("=6I", kept, kept, 0, 0, 0, 0)
    if libc.capset(header, data) != 0:
        raise WallsError("capset")


_READ_ONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_CLONE_NEWUSER = 0x10000000
_PR_CAPBSET_DROP, _PR_SET_SECCOMP = 24, 22
_CAP_DAC_READ_SEARCH, _CAP_SYS_PTRACE = 1 << 2, 1 << 19


def shield(isolated: bool) -> None:
    """Prevent tracing of this process and reads of its memory; adopt orphans."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if not isolated:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if isolated and (hard == resource.RLIM_INFINITY or hard > OWN_MEMORY_BYTES):
        resource.setrlimit(resource.RLIMIT_DATA, (OWN_MEMORY_BYTES, hard))
    # PID 1 ignores signals from inside its namespace only while it has no handler for them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def listen(port: int) -> int:
    """A socket that listens on this sandbox's loopback, for the worker.

    A socket stays in its network namespace, so the worker can accept connections from this sandbox
    on it, and the sandbox can reach nothing else.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener.detach()


def main() -> None:
    channel = Channel(int(sys.argv[1]))
    config, _ = channel.receive()
    walls = Walls(config["walls"]) if config["walls"] else None
    folders: list[int] = []  # and last, if there is one, the listener
    os.umask(0o022)
    try:
        if walls:
            folders = walls.finish()
        inside = Inside(channel, config)
        if walls:
            walls.close()
        if config["worker_port"]:
            folders.append(listen(config["worker_port"]))
    except (WallsError, OSError) as error:
        channel.send({"unfinished": str(error)})
        return
    shield(bool(config["isolated"]))
    channel.send({"ready": True})
    channel.hand_over(folders)
    try:
        inside.serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        inside.processes.kill()


if __name__ == "__main__":
    main()
