"""A repository's tags, as the remote lists them and as a checkout stores them.

Tag names are untrusted bytes (`HEAD`, a SHA, a branch's name): no command that Honk runs resolves
one. A mirror stores them in a file; only a checkout has them as refs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = b"refs/tags/"
_PEELED = b"^{}"
_HEADER = b"# pack-refs with: peeled fully-peeled sorted \n"
_LINE = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?)\t(refs/tags/.+)")
# git-check-ref-format(1), for bytes.
_BAD_IN_NAME = re.compile(
    rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|\.(?:/|$)|^[/.]|/$|^$"
)


@dataclass(frozen=True)
class Tag:
    """One tag. `commit` is the peeled object; it equals `sha` for a lightweight tag."""

    name: bytes
    sha: str
    commit: str

    @property
    def is_annotated(self) -> bool:
        return self.sha != self.commit


def listed(text: bytes) -> tuple[Tag, ...]:
    """Parse the output of `git ls-remote --tags`, or of `as_text`."""
    shas: dict[bytes, str] = {}
    commits: dict[bytes, str] = {}
    for line in text.split(b"\n"):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        sha, name = found[1].decode(), found[2].removeprefix(PREFIX)
        if name.endswith(_PEELED):
            commits[name.removesuffix(_PEELED)] = sha
        elif not _BAD_IN_NAME.search(name):
            shas[name] = sha
    return tuple(Tag(name, sha, commits.get(name, sha)) for name, sha in shas.items())


def as_text(tags: Iterable[Tag]) -> bytes:
    """Write tags in the format of `git ls-remote --tags`."""
    rows = []
    for tag in tags:
        rows.append(tag.sha.encode() + b"\t" + PREFIX + tag.name + b"\n")
        if tag.is_annotated:
            rows.append(tag.commit.encode() + b"\t" + PREFIX + tag.name + _PEELED + b"\n")
    return b"".join(rows)


def digest(tags: Iterable[Tag]) -> str:
    """A short hash of the tags; empty for none."""
    text = as_text(tags)
    return f"-{hashlib.sha256(text).hexdigest()[:8]}" if text else ""


def as_packed_refs(tags: Iterable[Tag]) -> bytes:
    """The tags in the format of a `packed-refs` file; empty for none."""
    rows = []
    for tag in sorted(tags, key=lambda each: each.name):
        rows.append(tag.sha.encode() + b" " + PREFIX + tag.name + b"\n")
        if tag.is_annotated:
            rows.append(b"^" + tag.commit.encode() + b"\n")
    return _HEADER + b"".join(rows) if rows else b""
