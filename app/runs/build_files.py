"""The files of an artifact, as untrusted input: which are offered, and what they are."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from xml.parsers.expat import ExpatError

from app.domain.build import MAX_FILES, BuildFile, kind_of, safe_name
from app.domain.sanitize import title
from app.verify.archive import ArchivedFile, BadArchiveError, read_archive

MAX_BUILD_BYTES = 128 * 1024 * 1024
"""Bytes of all files of a build."""

_INFO = re.compile(r"Payload/[^/]+\.app/Info\.plist")
_MAX_INFO_BYTES = 1024 * 1024
_BUNDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,154}")
_VERSION = re.compile(r"[0-9A-Za-z._-]{1,40}")
_NOT_PLIST = (
    plistlib.InvalidFileException,
    ExpatError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


@dataclass(frozen=True)
class ReadFile:
    """A file and its bytes."""

    file: BuildFile
    content: bytes


def read_build(archive: bytes) -> tuple[ReadFile, ...]:
    """The files that an artifact offers: its apps if it has any, else all of them.

    Raises BadArchiveError. Takes up to a second: call it in a thread.
    """
    return offered(read_archive(archive, lambda name: True))


def offered(found: Sequence[ArchivedFile]) -> tuple[ReadFile, ...]:
    """Those of the files that are offered. Raises BadArchiveError."""
    apps = [each for each in found if each.name.lower().endswith((b".ipa", b".apk"))]
    chosen = [each for each in apps or found if each.content]
    if not chosen:
        raise BadArchiveError("it has no files, or only empty ones")
    if len(chosen) > MAX_FILES:
        raise BadArchiveError(f"it has more than {MAX_FILES} files to offer; upload fewer")
    if sum(len(each.content) for each in chosen) > MAX_BUILD_BYTES:
        raise BadArchiveError(f"its files are larger than {MAX_BUILD_BYTES // 2**20} MiB")
    return tuple(ReadFile(_described(each), each.content) for each in chosen)


def _described(file: ArchivedFile) -> BuildFile:
    name, content = safe_name(file.name), file.content
    kind, media_type = kind_of(name, content)
    info = _ios_info(content) if name.lower().endswith(".ipa") else None
    about: dict[str, str] = {}
    if info is not None:
        kind, media_type = "ios", "application/octet-stream"
        about = _about(info)
    return BuildFile(
        name=name,
        kind=kind,
        media_type=media_type,
        size=len(content),
        sha256=sha256(content).hexdigest(),
        **about,
    )


def _ios_info(content: bytes) -> dict[str, Any] | None:
    """The property list of an iOS app; None for anything else."""
    try:
        found = read_archive(content, lambda name: _INFO.fullmatch(name) is not None)
        if len(found) != 1 or len(found[0].content) > _MAX_INFO_BYTES:
            return None
        info = plistlib.loads(found[0].content)
    except (BadArchiveError, *_NOT_PLIST):
        return None
    return info if isinstance(info, dict) else None


def _about(info: dict[str, Any]) -> dict[str, str]:
    bundle = _text(info, "CFBundleIdentifier")
    version = _text(info, "CFBundleShortVersionString", "CFBundleVersion")
    name = _text(info, "CFBundleDisplayName", "CFBundleName")
    return {
        "bundle": bundle if _BUNDLE.fullmatch(bundle) else "",
        "version": version if _VERSION.fullmatch(version) else "",
        "title": title(name, limit=60),
    }


def _text(info: dict[str, Any], *keys: str) -> str:
    """The first of these values that is text. Others may be huge: a binary list can hold itself."""
    values = (info.get(key) for key in keys)
    return next((each for each in values if isinstance(each, str) and each), "")
