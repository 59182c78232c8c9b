"""What a repository's own workflow built from a commit, to try it on a phone. Pure."""

from __future__ import annotations

import re
from typing import Literal

from app.domain.image_info import image_info
from app.domain.values import CommitSha, RepoName, RunId, Value

MAX_FILES = 20
"""Files offered from one artifact."""

FileKind = Literal["ios", "android", "image", "pdf", "video", "file"]

INLINE: frozenset[FileKind] = frozenset({"image", "pdf", "video"})
"""Kinds that a browser shows by itself and that run nothing."""

_ANDROID = "application/vnd.android.package-archive"
_UNKNOWN = "application/octet-stream"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 100
_MP4_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ")


class BuildFile(Value):
    """One file of a build. `name` is safe in a header and a path.

    `bundle`, `title` and `version` are what an iOS app says about itself: `bundle` is empty for
    what cannot be installed from a page.
    """

    name: str
    kind: FileKind
    media_type: str
    size: int
    sha256: str
    bundle: str = ""
    title: str = ""
    version: str = ""


class Build(Value):
    """The files built from one commit, or why it has none (`problem`, a sentence).

    They are those of the `artifact` of a workflow run, or, with the id 0, what `command` made in
    Honk's sandbox. `number` is the pull request, `actor` the account that started the workflow
    run, `merged` whether that ran on the merge with the base branch. Times are Unix seconds.
    `deployment` is the deployment on GitHub that links to it.
    """

    id: str
    repository: RepoName
    repository_id: int
    number: int
    sha: CommitSha
    run: RunId
    artifact: str = ""
    artifact_id: int = 0
    workflow_url: str = ""
    actor: str = ""
    command: str = ""
    merged: bool = False
    files: tuple[BuildFile, ...] = ()
    problem: str = ""
    deployment: int | None = None
    created_at: float
    expires_at: float

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)


def safe_name(path: bytes) -> str:
    """The last part of a path, in characters that no header and no file system reads otherwise."""
    last = path.replace(b"\\", b"/").rstrip(b"/").rpartition(b"/")[2].decode("ascii", "replace")
    name = _UNSAFE.sub("-", last).lstrip(".-")
    stem, dot, end = name.rpartition(".")
    if len(name) > _MAX_NAME and dot:
        name = f"{stem[: _MAX_NAME - 1 - len(end)]}.{end}"
    return name[:_MAX_NAME] or "file"


def kind_of(name: str, content: bytes) -> tuple[FileKind, str]:
    """What a file is, with its media type: by its bytes, and by its name only for an Android app.

    Everything that a browser might run, such as HTML or SVG, is a plain file.
    """
    found = image_info(content[: 1 << 20])
    if found is not None:
        return "image", found.media_type
    if content.startswith(b"%PDF-"):
        return "pdf", "application/pdf"
    if content[4:8] == b"ftyp" and content[8:12] in _MP4_BRANDS:
        return "video", "video/mp4"
    if content.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in content[:64]:
        return "video", "video/webm"
    if name.lower().endswith(".apk") and content.startswith(b"PK\x03\x04"):
        return "android", _ANDROID
    return "file", _UNKNOWN
