"""A Postgres of the distribution's own package, on a free loopback port, for as long as it is used.

It can be stopped, started and restarted in the middle: its data stays until the context ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

_WAIT_SECONDS = "30"


@dataclass
class Postgres:
    """One server. Each test takes a database of its own."""

    bin: Path
    data: Path
    port: int
    _databases: int = 0

    def database(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"honk_{self._databases}"
        admin = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        self._control("start", "-w", "-t", _WAIT_SECONDS, "-l", str(self.data / "log"))

    def stop(self) -> None:
        """End every session at once, as a restart of the machine would."""
        self._control("stop", "-w", "-t", _WAIT_SECONDS, "-m", "immediate")

    def restart(self) -> None:
        self.stop()
        self.start()

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def _control(self, *arguments: str) -> None:
        _run(str(self.bin / "pg_ctl"), "-D", str(self.data), *arguments)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server in a directory of its own, gone at the end.

    Where the package is not installed the test is skipped; in CI that is a failure.
    """
    folder = _programs()
    if folder is None:
        reason = "Postgres is not installed (the package `postgresql`)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="honk-postgres-"))
    try:
        _give_away(home)
        server = Postgres(folder, home / "data", _free_port())
        _run(str(folder / "initdb"), "-D", str(server.data), "-U", "postgres", "-A", "trust", "-N")
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write(_settings(home, server.port))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _settings(home: Path, port: int) -> str:
    return (
        f"\nport = {port}\nlisten_addresses = '127.0.0.1'\n"
        f"unix_socket_directories = '{home}'\nmax_connections = 300\nshared_buffers = 32MB\n"
    )


def _programs() -> Path | None:
    """Debian keeps the server's programs off the PATH, by version."""
    found = shutil.which("pg_ctl")
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[4])
    )
    if versions:
        return versions[-1].parent
    return Path(found).resolve().parent if found else None


def _run(*command: str) -> None:
    """Postgres refuses to run as root: then as the account that its package made."""
    as_root = os.geteuid() == 0
    done = subprocess.run(
        command,
        user="postgres" if as_root else None,
        group="postgres" if as_root else None,
        extra_groups=[] if as_root else None,
        cwd="/",
        # Not a pipe: the server that pg_ctl leaves behind would hold it open.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}"


def _give_away(home: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(home, account.pw_uid, account.pw_gid)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
