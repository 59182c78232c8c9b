"""How a cell's tree differs from the commit that it starts from, path by path. Pure."""

from __future__ import annotations

from enum import StrEnum


class CommitSide(StrEnum):
    """One of a change's two commits."""

    BASE = "base"
    HEAD = "head"


Override = tuple[str, bytes] | CommitSide | None
"""What a path becomes: this mode (`100644` or `100755`) and content, that commit's entry as it is
(including a symlink or submodule), or None: no file.
"""
