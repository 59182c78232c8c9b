"""The toolchains of this machine, as sandboxes see them.

Every sandbox sees /usr. A toolchain elsewhere (rustup's below a home, an unpacked Node) is mounted
read-only at `/opt/<name>`, and only its programs and libraries: never a home directory, nor a
folder where a client stores configuration and with it passwords (`~/.cargo`, `etc/npmrc`, Maven's
`settings.xml`).

What setup downloads is stored in the checkout's own `.git`, so that later sandboxes, such as the
tests', find it and commits do not include it.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.setup_outcome import Prepared
from app.ecosystems import ECOSYSTEMS, ToolchainSpec
from app.sandbox.spec import (
    PATH,
    WORKSPACE,
    Mount,
    Sandbox,
)

CACHES = ".git/honk"
"""Below the workspace: what toolchains share between the sandboxes of one checkout."""

CACHES_VARIABLE = "HONK_CACHES"
"""Names the caches in every sandbox of a checkout, for the lines of recipes."""

_NEVER_FIXED = frozenset({"PATH", "HOME", "TMPDIR", "PWD", "SHELL", "USER"})
_AT = re.compile(r"(?<![^\s:=,])@(?=/|$)")
_ASK_SECONDS = 30.0
_SPECS = tuple(spec for ecosystem in ECOSYSTEMS for spec in ecosystem.toolchains)
_WELL_KNOWN = (*(place for spec in _SPECS for place in spec.well_known), "~/.local/bin")
_USR = Path("/usr")
_PYTHON = "/usr/bin/python3"
_VERSION_LENGTH = 200
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Toolchain:
    """One toolchain. `parts` are the folders and files of `home` to mount.

    `caches`: variables that name a folder, with `@` for `CACHES`. `set`: other variables.
    `asked`: the program and arguments that print its version.
    """

    name: str
    home: Path
    bin: str
    parts: tuple[str, ...]
    caches: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()

    @property
    def in_system(self) -> bool:
        """Whether it is in /usr, which every sandbox sees."""
        return self.home.is_relative_to(_USR)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        if self.in_system:
            return ()
        if self.parts == ("",):
            return (Mount(self.home, f"/opt/{self.name}"),)
        there = [part for part in self.parts if (self.home / part).exists()]
        return tuple(Mount(self.home / part, f"/opt/{self.name}/{part}") for part in there)

    def seen(self, sandbox: Sandbox) -> str:
        """The folder of its programs inside the sandbox."""
        home = self.home if self.in_system else sandbox.seen(Mount(self.home, f"/opt/{self.name}"))
        return f"{home}/{self.bin}"


@dataclass(frozen=True)
class Toolchains:
    """All toolchains found, and the files in /etc that they need."""

    found: tuple[Toolchain, ...] = ()
    configuration: tuple[Path, ...] = ()

    @property
    def mounts(self) -> tuple[Mount, ...]:
        own = tuple(mount for each in self.found for mount in each.mounts)
        return (*own, *(Mount(path, str(path)) for path in self.configuration))

    def environment(self, sandbox: Sandbox, workspace: Path) -> dict[str, str]:
        """PATH, caches and other variables for a sandbox of the workspace."""
        usual = PATH.split(":")
        own = [path for each in self.found if (path := each.seen(sandbox)) not in usual]
        caches = caches_inside(sandbox, workspace)
        first = [
            path.replace("@", caches) for ecosystem in ECOSYSTEMS for path in ecosystem.search_path
        ]
        variables = {"PATH": ":".join(dict.fromkeys([*first, *own, *usual]))}
        for ecosystem in ECOSYSTEMS:
            variables |= {
                name: value.replace("@", caches) for name, value in ecosystem.environment.items()
            }
        for each in self.found:
            variables |= each.set
            variables |= {name: value.replace("@", caches) for name, value in each.caches.items()}
        return variables

    def prepared(
        self, sandbox: Sandbox, workspace: Path, own: Mapping[str, str], setup: Prepared
    ) -> dict[str, str]:
        """The variables of `environment` with those of the checkout's setup."""
        caches = caches_inside(sandbox, workspace)
        path = ":".join([*(expanded(each, caches) for each in setup.search_path), own["PATH"]])
        added = {name: expanded(value, caches) for name, value in setup.environment.items()}
        fixed = {name: value for name, value in setup.fixed.items() if name not in _NEVER_FIXED}
        return {**fixed, **own, **added, "PATH": path, CACHES_VARIABLE: caches}

    def folders(self, sandbox: Sandbox) -> tuple[str, ...]:
        """Where a sandbox finds this machine's programs, without those of a checkout."""
        return tuple(
            dict.fromkeys([*(each.seen(sandbox) for each in self.found), *PATH.split(":")])
        )

    @property
    def fingerprint(self) -> str:
        """Changes when a toolchain is replaced."""
        programs = ((each, each.home / each.bin) for each in self.found)
        return " ".join(f"{each.name}={folder.stat().st_mtime_ns}" for each, folder in programs)

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """By name, the first line of the version output of each toolchain and of the system's
        Python; empty for one that does not answer. Blocks the first time, while it runs them.
        """
        asked = {
            each.name: (str(each.home / each.bin / each.asked[0]), *each.asked[1:])
            for each in self.found
            if each.asked
        }
        asked = {"python": (_PYTHON, "--version"), **asked}
        return {name: _first_line(argv) for name, argv in asked.items()}

    def __contains__(self, name: str) -> bool:
        return any(each.name == name for each in self.found)


def caches_inside(sandbox: Sandbox, workspace: Path) -> str:
    """The path of a checkout's caches inside its sandboxes."""
    return f"{sandbox.seen(Mount(workspace, WORKSPACE))}/{CACHES}"


def expanded(value: str, caches: str) -> str:
    """A recipe's value with the caches' path for each `@` that begins a path."""
    return _AT.sub(lambda _: caches, value)


@functools.cache
def installed() -> Toolchains:
    """This machine's toolchains, searched once. Ignores those that do not answer."""
    return find(os.get_exec_path(), Path.home())


def find(path: Sequence[str], home: Path) -> Toolchains:
    """The toolchains on a search path or in the usual installation directories."""
    places = [*path, *(place.replace("~", str(home)) for place in _WELL_KNOWN)]
    search = os.pathsep.join(dict.fromkeys(places))
    found = tuple(each for spec in _SPECS if (each := _find(spec, search)) is not None)
    return Toolchains(found, tuple(_configuration()))


def _find(spec: ToolchainSpec, search: str) -> Toolchain | None:
    if spec.ask:
        home = _asked(search, spec.program, spec.ask)
        if home is not None and home.is_file():
            home = home.parent.parent if home.parent.name == "bin" else None
    else:
        home = _home_of(search, spec.program)
    if home is None or not (home / spec.marker).exists():
        return None
    return Toolchain(
        spec.name,
        home,
        "bin",
        spec.parts,
        caches=spec.caches,
        set=spec.set,
        asked=(spec.program, *spec.version),
    )


def _configuration() -> Iterator[Path]:
    for spec in _SPECS:
        for pattern in spec.configuration:
            yield from sorted(Path("/etc").glob(pattern))


def _home_of(search: str, program: str) -> Path | None:
    """The folder above `bin/<program>`, links followed."""
    found = shutil.which(program, path=search)
    return Path(found).resolve().parent.parent if found is not None else None


def rustup_home(program: str) -> dict[str, str]:
    """The RUSTUP_HOME for a rustup proxy whose toolchains are not below our own home.

    rustup looks below HOME or RUSTUP_HOME; a worker with a separate home, and a user's
    `~/.cargo/bin` on its path, would find none. https://rust-lang.github.io/rustup/
    """
    found = Path(program).resolve()
    beside = found.parents[2] / ".rustup" if len(found.parents) > 2 else Path()
    if found.name != "rustup" or "RUSTUP_HOME" in os.environ or not beside.is_dir():
        return {}
    return {"RUSTUP_HOME": str(beside)}


def _asked(search: str, program: str, words: Sequence[str]) -> Path | None:
    """The absolute path that a program prints."""
    found = shutil.which(program, path=search)
    if found is None:
        return None
    answer = Path(os.fsdecode(_output([found, *words]).strip()))
    return answer.resolve() if answer.is_absolute() and answer.exists() else None


def _first_line(argv: Sequence[str]) -> str:
    lines = _output(argv).decode("utf-8", "replace").strip().splitlines()
    return _COLOR.sub("", lines[0]).strip()[:_VERSION_LENGTH] if lines else ""


def _output(argv: Sequence[str]) -> bytes:
    """The output of one of this machine's programs; empty when it fails."""
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **rustup_home(argv[0])},
            cwd="/",  # in a project's folder, rustc and go may report another version
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout
