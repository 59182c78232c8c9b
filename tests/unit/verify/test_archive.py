"""Zip archives of artifacts: whatever a CI job uploads is read within bounds, or refused."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import stat
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.verify import archive
from app.verify.archive import BadArchiveError, check_digest, read_archive

_REPORT = b"<testsuite/>"


def _everything(name: str) -> bool:
    return True


def _zip(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return made.getvalue()


def _zip_of(entry: zipfile.ZipInfo, content: bytes = _REPORT) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr(entry, content)
    return made.getvalue()


def test_only_wanted_files_are_read_in_order() -> None:
    made = _zip({"b/2.xml": b"2", "./a/1.xml": b"1", "a/log.txt": b"no", "a/": b""})
    found = read_archive(made, lambda name: name.endswith(".xml"))
    assert [(each.name, each.content) for each in found] == [(b"a/1.xml", b"1"), (b"b/2.xml", b"2")]


def test_names_are_bytes() -> None:
    made = _zip({"caf\u00e9.xml": b"x", "plain.xml": b"y"})
    # Without the mark for UTF-8, the same bytes are a name in an older encoding.
    entries = _zip({"Xplain.xml": b"y"}).replace(b"X", b"\xff")
    assert [each.name for each in read_archive(made, _everything)] == [
        "caf\u00e9.xml".encode(),
        b"plain.xml",
    ]
    [file] = read_archive(entries, lambda name: name == "\\xffplain.xml")
    assert file.name == b"\xffplain.xml"


@pytest.mark.parametrize(
    "name",
    ["../up.xml", "a/../../up.xml", "/etc/x.xml", "C:/x.xml", "a\\..\\..\\x.xml", "\\x.xml", ".."],
)
def test_paths_that_leave_the_archive(name: str) -> None:
    with pytest.raises(BadArchiveError, match="points outside"):
        read_archive(_zip({"fine.xml": _REPORT, name: _REPORT}), _everything)


def test_a_name_that_goes_on_after_a_null_byte() -> None:
    made = _zip({"a.xmlX../../b": _REPORT}).replace(b"xmlX..", b"xml\0..")
    with pytest.raises(BadArchiveError, match="points outside"):
        read_archive(made, _everything)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files(kind: int) -> None:
    entry = zipfile.ZipInfo("report.xml")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    with pytest.raises(BadArchiveError, match="link"):
        read_archive(_zip_of(entry, b"/etc/passwd"), _everything)


def test_the_same_name_twice() -> None:
    made = _zip({"a.xml": b"1", "b.xml": b"2"}).replace(b"b.xml", b"a.xml")
    with pytest.raises(BadArchiveError, match="same name"):
        read_archive(made, _everything)


def test_a_bomb_is_refused_in_little_memory() -> None:
    made = _zip({"bomb.xml": bytes(200 * 1024 * 1024)})
    assert len(made) < 300_000
    tracemalloc.start()
    with pytest.raises(BadArchiveError, match="bomb"):
        read_archive(made, _everything)
    assert tracemalloc.get_traced_memory()[1] < 130 * 1024 * 1024
    tracemalloc.stop()


def test_an_unwanted_bomb_does_no_harm() -> None:
    made = _zip({"bomb.bin": bytes(200 * 1024 * 1024), "a.xml": _REPORT})
    assert len(read_archive(made, lambda name: name.endswith(".xml"))) == 1


def test_many_small_bombs_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ALL_BYTES", 3 * 1024 * 1024)
    made = _zip({f"{n}.xml": bytes(1024 * 1024) for n in range(4)})
    with pytest.raises(BadArchiveError):
        read_archive(made, _everything)


def test_a_size_that_is_a_lie() -> None:
    made = bytearray(_zip({"a.xml": bytes(5_000_000)}))
    at = made.rindex(b"PK\x01\x02")
    for size in (0, 10, 2**32 - 1):
        made[at + 24 : at + 28] = struct.pack("<I", size)
        with pytest.raises(BadArchiveError):
            read_archive(bytes(made), _everything)


def test_more_entries_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    with pytest.raises(BadArchiveError, match="more than 10 entries"):
        read_archive(_zip({f"{n}.xml": b"" for n in range(11)}), _everything)
    assert len(read_archive(_zip({f"{n}.xml": b"" for n in range(10)}), _everything)) == 10


def test_a_large_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 1024 * 1024)
    made = _zip({"a.bin": random.Random(1).randbytes(1024 * 1024)}, zipfile.ZIP_STORED)
    with pytest.raises(BadArchiveError, match="larger than 1 MiB"):
        read_archive(made, _everything)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(method: int) -> None:
    with pytest.raises(BadArchiveError, match="compressed in a way"):
        read_archive(_zip({"a.xml": _REPORT}, method), _everything)


def test_an_encrypted_file() -> None:
    made = bytearray(_zip({"a.xml": _REPORT}))
    at = made.rindex(b"PK\x01\x02")
    made[at + 8] |= 1
    with pytest.raises(BadArchiveError, match="encrypted"):
        read_archive(bytes(made), _everything)


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_or_an_empty_one(content: bytes) -> None:
    if content.startswith(b"PK\x05\x06"):
        assert read_archive(content, _everything) == ()
        return
    with pytest.raises(BadArchiveError, match="not a zip"):
        read_archive(content, _everything)


@given(st.data())
def test_a_damaged_archive_is_refused_or_read(data: st.DataObject) -> None:
    made = bytearray(_zip({"a/b.xml": b"<testsuite/>" * 20, "caf\u00e9.xml": b"x"}))
    for _ in range(data.draw(st.integers(1, 6))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadArchiveError):
        read_archive(bytes(made), _everything)


def test_the_digest_is_checked_over_the_bytes() -> None:
    made = _zip({"a.xml": _REPORT})
    digest = f"sha256:{hashlib.sha256(made).hexdigest()}"
    check_digest(made, digest)
    for wrong in (digest[:-1] + "x", digest.upper(), "", None, "md5:" + "0" * 32):
        with pytest.raises(BadArchiveError):
            check_digest(made, wrong)
    with pytest.raises(BadArchiveError, match="and GitHub says"):
        check_digest(made + b"\0", digest)
