"""Histories as older tools wrote them, which git's own strict check refuses."""

from __future__ import annotations

from pathlib import Path

from tests.support.workspaces import run_git

_PERSON = b"Ada <ada@example.com> 1700000000 +0000"


def literal(bare: Path, kind: str, content: bytes) -> str:
    """An object written as it is, however malformed."""
    arguments = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
    return run_git(bare, *arguments, stdin=content)


def commit_by(
    bare: Path,
    parent: str,
    author: bytes = _PERSON,
    *,
    tree: str = "",
    more: bytes = b"",
    message: bytes = b"Old\n",
) -> str:
    """A commit with this author line, and with `more` after it; the parent's tree by default."""
    tree = tree or run_git(bare, "rev-parse", f"{parent}^{{tree}}")
    lines = [b"tree " + tree.encode(), b"parent " + parent.encode(), b"author " + author]
    if more:
        lines.append(more)
    return literal(bare, "commit", b"\n".join([*lines, b"committer " + _PERSON, b"", message]))


def tree_of(bare: Path, *entries: tuple[bytes, bytes, str]) -> str:
    """A tree with these (mode, name, SHA), in this order and as they are."""
    rows = [mode + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries]
    return literal(bare, "tree", b"".join(rows))


def zero_padded(bare: Path, commit: str) -> str:
    """A commit on top, whose folder `old` has the mode 040000 and is zero-padded inside."""
    blob = literal(bare, "blob", b"old\n")
    inner = tree_of(bare, (b"0100644", b"a.txt", blob))
    rows = run_git(bare, "ls-tree", "-z", commit).split("\0")
    entries = [(b"040000", b"old", inner)]
    for row in filter(None, rows):
        described, _, name = row.partition("\t")
        mode, kind, sha = described.split()
        entries.append((b"040000" if kind == "tree" else mode.encode(), name.encode(), sha))
    tree = tree_of(bare, *sorted(entries, key=lambda row: row[1]))
    return commit_by(bare, commit, tree=tree)
