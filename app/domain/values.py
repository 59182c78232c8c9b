"""The basic value types. Pure: no I/O, no clock, no environment."""

from __future__ import annotations

import re
from typing import Any, NewType, Self

from pydantic import BaseModel, ConfigDict, model_validator

CommitSha = NewType("CommitSha", str)
"""A full, lower-case, hexadecimal object name of a commit."""

TreeSha = NewType("TreeSha", str)
"""A full, lower-case, hexadecimal object name of a tree."""

RunId = NewType("RunId", str)
"""A run's id, used in pages, trailers, markers and the hidden ref `refs/honk/<run id>`."""

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})")
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_BRANCH = re.compile(
    r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]{1,244}(?<![/.])"
)


_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def printable_name(name: str | bytes) -> str:
    """A file name as printable text: bytes that are not UTF-8 become `\\xe9`.

    Names are bytes to git and the file system. Decoded (`os.fsdecode`), they may hold lone
    surrogates, which databases, JSON and APIs reject.
    """
    if isinstance(name, str):
        name = _NO_BYTE.sub("\ufffd", name).encode("utf-8", "surrogateescape")
    return name.decode("utf-8", "backslashreplace")


class Value(BaseModel):
    """Base class of values passed between steps or stored in the database: typed, frozen, and
    plain JSON when serialized.

    File names become printable text here and nowhere else. A name that must still open a file
    cannot be in a Value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _is_text(self) -> Self:
        for name, value in self.__dict__.items():
            if not _is_all_text(value):
                # The object has not been shared yet.
                self.__dict__[name] = _all_printable(value)
        return self

    @classmethod
    def recorded(cls, value: Any) -> Self:
        """Read a value recorded by this or another version of Honk.

        During a rollout, two versions read each other's records, so unknown fields are ignored.
        Raises ValidationError.
        """
        return cls.model_validate(value, extra="ignore")


def _is_all_text(data: Any) -> bool:
    """Whether it has no lone surrogates; nested Values have already been checked."""
    if isinstance(data, str):
        return data.isascii() or _SURROGATE.search(data) is None
    if isinstance(data, dict):
        return all(_is_all_text(key) and _is_all_text(each) for key, each in data.items())
    if isinstance(data, list | tuple):
        return all(map(_is_all_text, data))
    return True


def _all_printable(data: Any) -> Any:
    if isinstance(data, str):
        return printable_name(data)
    if isinstance(data, dict):
        return {_all_printable(key): _all_printable(each) for key, each in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(_all_printable(each) for each in data)
    return data


class RepoName(Value):
    """`owner/name` as GitHub spells it. Both parts are safe as one path segment."""

    owner: str
    name: str

    @classmethod
    def parse(cls, text: str) -> RepoName:
        """Read `owner/name`. Raises ValueError for anything GitHub would not allow."""
        owner, slash, name = text.partition("/")
        if not slash or not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name):
            raise ValueError(f"{text!r} is not the name of a repository")
        return cls(owner=owner, name=name)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def commit_sha(text: str) -> CommitSha:
    """Check that the text is a full object name. Raises ValueError when it is not."""
    if not _SHA.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a full commit SHA")
    return CommitSha(text)


def tree_sha(text: str) -> TreeSha:
    """Check that the text is a full object name. Raises ValueError when it is not."""
    if not _SHA.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a full tree SHA")
    return TreeSha(text)


def is_branch_name(text: str) -> bool:
    """Whether git accepts this as a branch name: https://git-scm.com/docs/git-check-ref-format."""
    return _BRANCH.fullmatch(text) is not None


def short(sha: str) -> str:
    """The seven characters that GitHub shows."""
    return sha[:7]
