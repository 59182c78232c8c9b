"""Edits of a project's files: a cheat is a line of them, and can be combined with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Files = Mapping[str, bytes]
Edit = Callable[[dict[str, bytes]], None]


class DoesNotApplyError(Exception):
    """The files are not as the edit expects them: another edit was there first."""


@dataclass(frozen=True)
class Change:
    """What someone did to a project: edits, or for what only a machine can do, a shell script."""

    edits: tuple[Edit, ...] = ()
    script: str = ""

    def __add__(self, other: Change) -> Change:
        assert not (self.script and other.script)
        return Change((*self.edits, *other.edits), self.script or other.script)

    def apply(self, files: Files) -> dict[str, bytes]:
        """The files after the edits. Raises DoesNotApplyError."""
        changed = dict(files)
        for edit in self.edits:
            edit(changed)
        return changed


def did(*edits: Edit) -> Change:
    return Change(edits)


def files(texts: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {
        path: text if isinstance(text, bytes) else text.encode() for path, text in texts.items()
    }


def replace(path: str, old: str, new: str) -> Edit:
    """Replace every occurrence of `old`."""

    def edit(files: dict[str, bytes]) -> None:
        if path not in files or old.encode() not in files[path]:
            raise DoesNotApplyError(f"{path}: {old!r} is not there")
        files[path] = files[path].replace(old.encode(), new.encode())

    return edit


def write(path: str, text: str | bytes) -> Edit:
    """Create the file or replace it as a whole."""

    def edit(files: dict[str, bytes]) -> None:
        files[path] = text if isinstance(text, bytes) else text.encode()

    return edit


def append(path: str, text: str) -> Edit:
    def edit(files: dict[str, bytes]) -> None:
        if path not in files:
            raise DoesNotApplyError(f"{path} is not there")
        files[path] += text.encode()

    return edit


def prepend(path: str, text: str) -> Edit:
    def edit(files: dict[str, bytes]) -> None:
        if path not in files:
            raise DoesNotApplyError(f"{path} is not there")
        files[path] = text.encode() + files[path]

    return edit


def delete(path: str) -> Edit:
    def edit(files: dict[str, bytes]) -> None:
        if path not in files:
            raise DoesNotApplyError(f"{path} is not there")
        del files[path]

    return edit


def move(old: str, new: str) -> Edit:
    def edit(files: dict[str, bytes]) -> None:
        if old not in files or new in files:
            raise DoesNotApplyError(f"{old} cannot become {new}")
        files[new] = files.pop(old)

    return edit
