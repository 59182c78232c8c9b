"""Runs inside a setup sandbox: forwards a loopback port to the proxy's socket outside.

    relay.py SOCKET PORT COMMAND...

Standard library only, Python 3.8 or newer. A child copies bytes between 127.0.0.1:PORT and SOCKET;
this process executes the command. PORT 0 picks a free one; `@PORT@` in environment variables is
replaced with it. Nothing here is trusted: the proxy outside decides what passes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading

CHUNK = 1 << 16
CONNECTIONS = 128


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until the source ends, then shut down the target for writing."""
    try:
        while True:
            data = source.recv(CHUNK)
            if not data:
                break
            target.sendall(data)
    except OSError:
        pass
    finally:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def join(client: socket.socket, path: str, free: threading.Semaphore) -> None:
    """Relay one connection in both directions."""
    try:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as proxy:
            proxy.connect(path)
            back = threading.Thread(target=copy, args=(proxy, client), daemon=True)
            back.start()
            copy(client, proxy)
            back.join()
    except OSError:
        pass
    finally:
        free.release()


def serve(listener: socket.socket, path: str) -> None:
    """Accept connections until killed together with the sandbox."""
    free = threading.Semaphore(CONNECTIONS)
    threading.stack_size(256 << 10)
    while True:
        free.acquire()
        try:
            client, _ = listener.accept()
            threading.Thread(target=join, args=(client, path, free), daemon=True).start()
        except (OSError, RuntimeError):
            free.release()


def write_settings(source: str) -> None:
    """Write the clients' settings files of `source` (JSON, text by path) that are not there."""
    with open(source, encoding="utf-8") as file:  # noqa: PTH123 - Python is started without -s
        wanted = json.load(file)
    for name, text in wanted.items():
        path = os.path.expanduser(os.path.expandvars(name))  # noqa: PTH111
        if path.startswith("/"):
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                with open(path, "x", encoding="utf-8") as file:  # noqa: PTH123
                    file.write(text)


def main() -> None:
    path, port, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", port))
    listener.listen(CONNECTIONS)
    bound = str(listener.getsockname()[1])
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        serve(listener, path)
    listener.close()
    write_settings(os.path.join(os.path.dirname(path), "files.json"))  # noqa: PTH118, PTH120
    for name, value in os.environ.items():
        os.environ[name] = value.replace("@PORT@", bound)
    os.execvp(command[0], command)  # noqa: S606 - the command is what this sandbox is for


if __name__ == "__main__":
    main()
