"""Reads reports from a zip archive as untrusted input: any code in a CI job could have made it.

The bytes are limited before the archive is opened, and so are its entries, each file and all of
them together, by the real output and not by what the archive claims. Names are bytes. Symlinks,
absolute paths and paths outside the archive make the whole archive unreadable: nothing is unpacked
to disk, but an upload of reports would not contain such names.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 20_000
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_ALL_BYTES = 256 * 1024 * 1024
"""Bytes of all wanted files of one archive together."""
MAX_RATIO = 200
"""How many times larger than its compressed data a file may be. Reports are repetitive."""
MAX_NAME_BYTES = 1_000

_UNSUSPICIOUS_BYTES = 1024 * 1024
"""A file up to this size may have any ratio."""
_CHUNK = 1024 * 1024
_ENTRY = b"PK\x01\x02"
_UTF8 = 0x800
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNIX = 3
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError)
_DRIVE = re.compile(rb"[A-Za-z]:")


class BadArchiveError(Exception):
    """The archive cannot be read. The message is the end of a sentence that says why."""


@dataclass(frozen=True)
class ArchivedFile:
    """One file of an archive. `name` is its path as bytes, without a leading `./`."""

    name: bytes
    content: bytes


def check_digest(archive: bytes, digest: str | None) -> None:
    """Compare the archive with the digest that GitHub computed when it was uploaded.

    `digest` is `sha256:` and 64 hexadecimal digits. Raises BadArchiveError, also without a digest.
    """
    if not digest or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise BadArchiveError("GitHub gives no SHA-256 digest for it")
    found = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    if found != digest:
        raise BadArchiveError(f"its bytes have the digest {found}, and GitHub says {digest}")


def read_archive(archive: bytes, wanted: Callable[[str], bool]) -> tuple[ArchivedFile, ...]:
    """The files whose names are wanted, sorted by name. Raises BadArchiveError.

    `wanted` gets each name as text, with bytes that are not UTF-8 escaped by a backslash. Every
    entry is checked, wanted or not. Takes up to a second: call it in a thread.
    """
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise BadArchiveError(f"it is larger than {MAX_ARCHIVE_BYTES // 2**20} MiB")
    # The reader makes an object for each entry before anyone can count them.
    if archive.count(_ENTRY) > MAX_ENTRIES:
        raise BadArchiveError(f"it has more than {MAX_ENTRIES:,} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return _read_wanted(opened, wanted)
    except _DAMAGED:
        raise BadArchiveError("it is not a zip archive, or it is damaged") from None


def _read_wanted(
    opened: zipfile.ZipFile, wanted: Callable[[str], bool]
) -> tuple[ArchivedFile, ...]:
    entries = {_checked_name(entry): entry for entry in opened.infolist()}
    if len(entries) < len(opened.infolist()):
        raise BadArchiveError("two of its files have the same name")
    files, room = [], MAX_ALL_BYTES
    for name, entry in sorted(entries.items()):
        if entry.is_dir() or not wanted(name.decode("utf-8", errors="backslashreplace")):
            continue
        content = _content(opened, entry, room)
        room -= len(content)
        files.append(ArchivedFile(name, content))
    return tuple(files)


def _checked_name(entry: zipfile.ZipInfo) -> bytes:
    """The name of an entry that is a plain file or folder inside the archive."""
    # `filename` ends at the first null byte; the name in the archive may continue.
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    if len(name) > MAX_NAME_BYTES:
        raise BadArchiveError(f"a name in it is longer than {MAX_NAME_BYTES:,} bytes")
    parts = name.replace(b"\\", b"/").split(b"/")
    if b"\0" in name or b".." in parts or not parts[0] or _DRIVE.match(name):
        raise BadArchiveError("a path in it points outside the archive")
    mode = entry.external_attr >> 16
    # Systems other than Unix store other bits there.
    if entry.create_system == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchiveError("it contains a symlink or a special file")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise BadArchiveError("it is encrypted, or compressed in a way that Honk does not read")
    return name.removeprefix(b"./")


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> bytes:
    limit = min(MAX_FILE_BYTES, room, max(_UNSUSPICIOUS_BYTES, MAX_RATIO * entry.compress_size))
    content = bytearray()
    with opened.open(entry) as file:
        while part := file.read(_CHUNK):
            content += part
            if len(content) > limit:
                raise BadArchiveError(_too_large(limit))
    return bytes(content)


def _too_large(limit: int) -> str:
    if limit in (MAX_FILE_BYTES, MAX_ALL_BYTES):
        return f"a file in it is larger than {limit // 2**20} MiB"
    return "its files are much larger than its compressed data, as in a zip bomb"
