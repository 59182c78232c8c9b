"""The file `.env`: adding settings without touching other lines."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from app.errors import UserError

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~-]*")


class EnvFile:
    """A `.env` file. It is always written whole, by renaming, and readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        # A symlink keeps its target.
        self.path = path.absolute().resolve()

    def values(self) -> dict[str, str]:
        """The settings that have a value. Raises UserError when the file cannot be read."""
        found = dotenv_values(stream=StringIO(self._text()), interpolate=False)
        return {name: value for name, value in found.items() if value}

    def check_writable(self) -> None:
        """Raises UserError when the file cannot be written."""
        self._scratch(self._text()).unlink()

    def close(self) -> None:
        """Make an existing file unreadable for others. Raises UserError."""
        try:
            if self.path.is_file() and self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
        except OSError as problem:
            raise self._unwritable(problem) from None

    def add(self, given: Mapping[str, str], *, replacing: Collection[str] = ()) -> list[str]:
        """Add settings; gives the names of those that were there with another value and kept it.

        Values of `replacing` are changed in place. Everything else in the file stays as it is.
        Raises UserError.
        """
        text, known = self._text(), self.values()
        wanted = {
            name: value
            for name, value in given.items()
            if known.get(name) != value and (name in replacing or name not in known)
        }
        if wanted:
            self._replace(_merged(text, wanted))
        kept = known.keys() - wanted.keys()
        return [name for name, value in given.items() if name in kept and known[name] != value]

    def _text(self) -> str:
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            raise UserError(f"{self.path} is not text.", next_step="Move it elsewhere.") from None
        except OSError as problem:
            raise UserError(f"{self.path} cannot be read ({problem.strerror}).") from None

    def _replace(self, text: str) -> None:
        scratch = self._scratch(text)
        try:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                owner = self.path.stat()
                os.chown(scratch, owner.st_uid, owner.st_gid)
            scratch.replace(self.path)
        except OSError as problem:
            scratch.unlink(missing_ok=True)
            raise self._unwritable(problem) from None

    def _scratch(self, text: str) -> Path:
        """A file in the same folder with this text, readable only by its owner."""
        name = None
        try:
            handle, name = tempfile.mkstemp(prefix=".env-", dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            if name is not None:
                Path(name).unlink(missing_ok=True)
            raise self._unwritable(problem) from None
        return Path(name)

    def _unwritable(self, problem: OSError) -> UserError:
        return UserError(
            f"{self.path} cannot be written ({problem.strerror}).",
            next_step=f"Make the folder {self.path.parent} writable, or start `honk init` in "
            "another folder.",
        )


def _merged(text: str, wanted: Mapping[str, str]) -> str:
    """The text with these settings: in the lines that name them, and the others at the end."""
    left = dict(wanted)
    parts: list[str] = []
    # Of several lines with one name, the last one counts.
    for binding in reversed(list(parse_stream(StringIO(text)))):
        name = binding.key
        value = None if name is None else left.pop(name, None)
        parts.append(binding.original.string if value is None else _line(binding, name, value))
    whole = "".join(reversed(parts))
    if left and whole and not whole.endswith("\n"):
        whole += "\n"
    return whole + "".join(f"{name}={_quoted(value)}\n" for name, value in left.items())


def _line(binding: Binding, name: str | None, value: str) -> str:
    """A setting's line with another value; blank lines and comments before it stay."""
    before = re.match(r"(?:\s*\n)*\s*(?:export\s+)?", binding.original.string)
    return f"{before[0] if before else ''}{name}={_quoted(value)}\n"


def _quoted(value: str) -> str:
    """A value as dotenv, Docker, systemd and shells read it where they can be made to agree."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
