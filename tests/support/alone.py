"""`alone.py SOCKET COMMAND...`: the command in a network namespace with nothing but its loopback.

Connections to 127.0.0.2:3128 there are forwarded to SOCKET, a Unix socket outside the network.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_DIE_WITH_PARENT = 1
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 1
_ADDRESS = ("127.0.0.2", 3128)

_libc = ctypes.CDLL(None, use_errno=True)


def main(path: str, *command: str) -> None:
    """Leave the network, open the only way out, and execute the command."""
    _leave()
    _loopback_up()
    listener = socket.create_server(_ADDRESS, backlog=128)
    if os.fork() == 0:
        _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        _serve(listener, path)
    listener.close()
    os.execvp(command[0], command)  # noqa: S606 - it becomes the command


def _leave() -> None:
    user, group = os.geteuid(), os.getegid()
    kinds = _NEW_NET if user == 0 else _NEW_USER | _NEW_NET
    if _libc.unshare(kinds) != 0:
        sys.exit(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    if user != 0:
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(line)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(one, _GET_FLAGS, asked))
        fcntl.ioctl(one, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _serve(listener: socket.socket, path: str) -> None:
    while True:
        here, _ = listener.accept()
        threading.Thread(target=_carry, args=(here, path), daemon=True).start()


def _carry(here: socket.socket, path: str) -> None:
    with here, socket.socket(socket.AF_UNIX) as there:
        there.connect(path)
        back = threading.Thread(target=_copy, args=(there, here), daemon=True)
        back.start()
        _copy(here, there)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, sink):
            one.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
