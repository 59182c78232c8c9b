"""What an artifact offers: names, kinds and limits, whatever is in it."""

from __future__ import annotations

import io
import plistlib
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.domain.build import kind_of, safe_name
from app.runs.build_files import read_build
from app.runs.built_here import read_folder
from app.verify.archive import BadArchiveError
from tests.support.apps import INFO, ipa, zipped

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\0\x01" * 2 + b"\x08\x02\0\0\0"


def test_an_ios_app_says_what_it_is() -> None:
    (found,) = read_build(zipped({"build/Shop App.ipa": ipa(), "notes.txt": b"ignored"}))
    file = found.file
    assert (file.name, file.kind, file.bundle) == ("Shop-App.ipa", "ios", "com.example.shop")
    assert file.version == "2.1"
    assert file.title.startswith("Shop @\u200b")
    assert "\u202e" not in file.title


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"bplist00" + b"\xff" * 40,
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><plist><string>&b;</string></plist>",
        plistlib.dumps(["a list"]),
        b"<plist>" + b"<array>" * 5000,
    ],
)
def test_an_app_that_lies_about_itself_is_a_plain_file(info: bytes) -> None:
    (found,) = read_build(zipped({"a.ipa": ipa(info)}))
    assert (found.file.kind, found.file.bundle) == ("file", "")


def test_values_that_are_not_text_are_left_alone() -> None:
    shared: list[object] = ["x" * 20]
    for _ in range(60):  # as text, this would have 2**60 items
        shared = [shared, shared]
    odd = plistlib.dumps(INFO | {"CFBundleIdentifier": shared}, fmt=plistlib.FMT_BINARY)
    (found,) = read_build(zipped({"a.ipa": ipa(odd)}))
    assert (found.file.kind, found.file.bundle, found.file.version) == ("ios", "", "2.1")


def test_a_bundle_identifier_is_checked() -> None:
    odd = plistlib.dumps(INFO | {"CFBundleIdentifier": "<a&b>", "CFBundleShortVersionString": {}})
    (found,) = read_build(zipped({"a.ipa": ipa(odd)}))
    assert (found.file.kind, found.file.bundle, found.file.version) == ("ios", "", "")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.apk", b"PK\x03\x04", "android"),
        ("a.apk", b"<html>", "file"),
        ("a.png", PNG, "image"),
        ("a.html", PNG, "image"),
        ("a.png", b"<html><script>", "file"),
        ("a.svg", b"<svg onload=alert(1)>", "file"),
        ("a.pdf", b"%PDF-1.7", "pdf"),
        ("a.mp4", b"\0\0\0\x20ftypisom", "video"),
        ("a.webm", b"\x1a\x45\xdf\xa3....webm", "video"),
        ("index.html", b"<script>", "file"),
    ],
)
def test_the_bytes_decide_what_a_file_is(name: str, content: bytes, kind: str) -> None:
    found, media_type = kind_of(name, content)
    assert found == kind
    assert "html" not in media_type
    assert "svg" not in media_type


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"a/b/app.apk", "app.apk"),
        (b'a";\r\nset-cookie: x.apk', "a-set-cookie-x.apk"),
        (b".htaccess", "htaccess"),
        (b"\xff\xfe", "file"),
        (b"a\\b.exe", "b.exe"),
        (b"x" * 300 + b".apk", "x" * 96 + ".apk"),
        (b"x" * 300, "x" * 100),
    ],
)
def test_names_are_safe_in_a_header(path: bytes, name: str) -> None:
    found = safe_name(path)
    assert found == name or (name.endswith(".apk") and found.endswith(".apk") and len(found) <= 100)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no files"),
        ({"empty.apk": b""}, "no files"),
        ({"../up.apk": b"PK"}, "outside"),
        ({"/abs.apk": b"PK"}, "outside"),
        ({f"{n}.txt": b"x" for n in range(21)}, "more than 20"),
        ({"bomb.txt": b"0" * 3_000_000}, "zip bomb"),
    ],
)
def test_what_is_not_offered(files: Mapping[str, bytes], why: str) -> None:
    with pytest.raises(BadArchiveError, match=why):
        read_build(zipped(files))


def test_links_are_not_followed() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        link = zipfile.ZipInfo("a.apk")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(BadArchiveError, match="symlink"):
        read_build(archive.getvalue())


def test_a_folder_with_pages_is_one_archive(tmp_path: Path) -> None:
    (tmp_path / "out/css").mkdir(parents=True)
    (tmp_path / "out/index.html").write_bytes(b"<h1>hello</h1>")
    (tmp_path / "out/css/a.css").write_bytes(b"h1 {}")
    (found,) = read_folder(tmp_path, "out/")
    assert (found.file.name, found.file.kind) == ("out.zip", "file")
    with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
        assert sorted(archive.namelist()) == ["css/a.css", "index.html"]
    assert read_folder(tmp_path, "out")[0].content == found.content


def test_a_folder_with_pictures_is_shown(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_bytes(PNG)
    (found,) = read_folder(tmp_path, "out")
    assert found.file.kind == "image"


def test_links_and_other_folders_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "out").mkdir(parents=True)
    (root / "out/link.txt").symlink_to(secret / "key.txt")
    (root / "linked").symlink_to(secret)
    for folder in ("out", "linked", "../secret", "missing"):
        with pytest.raises(BadArchiveError, match=r"no files|missing or has links"):
            read_folder(root, folder)
