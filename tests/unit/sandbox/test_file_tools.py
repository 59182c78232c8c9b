"""The file tools of the first process in a sandbox, called as it calls them."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from app.sandbox import inside
from app.sandbox.inside import EditRefusedError, FileReply, SeenFiles


class Editor:
    """Edits in a folder; remembers what was seen, as the first process does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = SeenFiles()

    def __call__(self, command: str, path: str, **rest: object) -> FileReply:
        request = {"command": command, "path": path, **rest}
        try:
            result = inside.edit(str(self.folder), request, self.seen)
        except EditRefusedError as refusal:
            self.keep(refusal.seen)
            raise
        self.keep(result.seen)
        return result

    def keep(self, seen: tuple[str, bytes] | None) -> None:
        note = FileReply("", seen=seen).note()
        first, _, content = note.partition(b"\n")
        header = json.loads(first)
        if "path" in header:
            self.seen.keep(header["path"], header["digest"], content[: header["kept"]])


@pytest.fixture
def edit(tmp_path: Path) -> Editor:
    return Editor(tmp_path)


def write(edit: Editor, name: str, content: str | bytes) -> Path:
    path = edit.folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Files that changed since they were read


@pytest.mark.parametrize(
    "request_",
    [
        {"command": "str_replace", "old_str": "two", "new_str": "2"},
        {"command": "insert", "insert_line": 0, "insert_text": "top"},
        {"command": "create", "file_text": "all new"},
    ],
)
def test_an_edit_of_a_file_that_changed_since_it_was_read_is_refused_with_the_difference(
    edit: Editor, request_: dict[str, Any]
) -> None:
    path = write(edit, "a.txt", "one\ntwo\nthree\n")
    edit("view", "a.txt")
    path.write_text("one\ntwo\nTHREE\n")
    with pytest.raises(EditRefusedError, match="has changed since") as refused:
        edit(path="a.txt", **request_)
    assert "-three\n+THREE" in str(refused.value)
    assert path.read_text() == "one\ntwo\nTHREE\n"
    # The difference was shown, so the same edit is now accepted.
    edit(path="a.txt", **request_)


def test_an_edit_of_a_file_that_was_never_read_or_did_not_change_is_done(edit: Editor) -> None:
    path = write(edit, "a.txt", "one\ntwo\n")
    edit("str_replace", "a.txt", old_str="one", new_str="1")
    edit("str_replace", "a.txt", old_str="two", new_str="2")
    edit("insert", "a.txt", insert_line=2, insert_text="3")
    path.touch()
    edit("create", "a.txt", file_text="new")
    path.unlink()
    edit("create", "a.txt", file_text="again")
    assert path.read_text() == "again"


def test_a_change_in_a_large_file_is_refused_without_its_difference(edit: Editor) -> None:
    path = write(edit, "a.txt", "x" * (inside.MAX_SEEN_BYTES + 1))
    edit("view", "a.txt")
    path.write_text("y")
    with pytest.raises(EditRefusedError, match="View it before"):
        edit("create", "a.txt", file_text="z")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("a\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n", ["from line 3\n", "-e\n+E"]),
        ("a\n", "a\nb\n", ["+b"]),
        ("a\nb\n", "b\n", ["-a"]),
        ("", "a\n", ["+a"]),
        ("same\n" * 9_000 + "x\n" + "same\n" * 9_000, "same\n" * 18_000, ["from line 8999", "-x"]),
        ("\n".join(map(str, range(5_000))), "\n".join("y" * 5_000), ["in line 1: view it"]),
        ("a\n" * 9_000, "a\n" * 9_000 + "b\n", ["from line 8999", "+b"]),
    ],
)
def test_the_difference_says_where_and_what(
    edit: Editor, before: str, after: str, words: list[str]
) -> None:
    path = write(edit, "a.txt", before)
    edit("view", "a.txt")
    path.write_text(after)
    with pytest.raises(EditRefusedError) as refused:
        edit("insert", "a.txt", insert_line=0, insert_text="top")
    for each in words:
        assert each in str(refused.value)


def test_what_was_seen_is_bounded() -> None:
    seen = SeenFiles()
    for number in range(40):
        seen.keep(f"/{number}", "d", b"x" * (1 << 20))
    assert seen.get("/0") is None
    assert seen.get("/39") is not None
    for number in range(2_000):
        seen.keep(f"/small{number}", "d", b"")
    assert seen.get("/39") is None


# Replacing text that almost matches


def test_white_space_at_the_ends_of_lines_does_not_matter(edit: Editor) -> None:
    path = write(edit, "a.py", "def f():  \n    return 1\t\n\nx = 1\n")
    result = edit("str_replace", "a.py", old_str="def f():\n    return 1", new_str="pass")
    assert path.read_text() == "pass\n\nx = 1\n"
    assert "White space" in result.text


@pytest.mark.parametrize(
    ("text", "old", "words"),
    [
        ("a\n\tif x:\n\t\treturn 1\n", "    if x:\n        return 1", ["line 2, only white space"]),
        ("a\nbb = 1\ncc = 2\n", "bb = 1\ncc = 3", ["lines 2 to 3", '"cc = 2"', '"cc = 3"']),
        ("alpha = 1\n", "alpha = 2", ["line 1", '"alpha = 1"']),
        ("a = 1\nb = 2\n", "     1\ta = 1\n     2\tb = 2", ["line numbers", "leave them out"]),
        ("entirely other\n", "zzz", ["Nothing in the file is like it"]),
        ("x\n\nx\t\n", "x ", ["the same but for"]),
    ],
)
def test_text_that_is_not_there_is_answered_with_the_nearest_place(
    edit: Editor, text: str, old: str, words: list[str]
) -> None:
    write(edit, "a", text)
    with pytest.raises(EditRefusedError) as refused:
        edit("str_replace", "a", old_str=old, new_str="")
    for each in ("is there 0 times", *words):
        assert each in str(refused.value)


def test_a_nearly_fitting_text_at_two_places_is_refused(edit: Editor) -> None:
    path = write(edit, "a", "x = 1 \ny\nx = 1\t\ny\n")
    with pytest.raises(EditRefusedError):
        edit("str_replace", "a", old_str="x = 1\ny", new_str="")
    assert "x = 1" in path.read_text()


# Pictures, documents, notebooks


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7\n<< /Type /Page >>", "application/pdf"),
    ],
)
def test_pictures_and_documents_are_shown(edit: Editor, data: bytes, kind: str) -> None:
    write(edit, "a.dat", data)
    result = edit("view", "a.dat")
    assert (result.media, result.data) == (kind, data)


def test_what_is_too_much_to_show_is_refused_with_the_next_step(edit: Editor) -> None:
    write(edit, "big.png", b"\x89PNG\r\n\x1a\n" + bytes(inside.MAX_MEDIA_BYTES))
    with pytest.raises(EditRefusedError, match="smaller copy"):
        edit("view", "big.png")
    packed = zlib.compress(b"<< /Type /Page /Parent 1 0 R >>" * 15 + b"/Type /Pages")
    stream = b"<< /Type /ObjStm /N 15 >> stream\n" + packed + b"\nendstream\n"
    write(edit, "long.pdf", b"%PDF-1.7\n" + b"<< /Type /Page >>" * 6 + stream)
    with pytest.raises(EditRefusedError, match="has 21 pages"):
        edit("view", "long.pdf")
    with (edit.folder / "huge.log").open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(EditRefusedError, match=r"209715200 bytes.*Use bash"):
        edit("view", "huge.log")


def test_a_notebook_is_shown_as_cells(edit: Editor) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Text"]},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [
                {"output_type": "stream", "text": ["1\n"]},
                {"data": {"image/png": "AAAA", "text/plain": "<Figure>"}},
            ],
        },
    ]
    write(edit, "a.ipynb", json.dumps({"cells": cells}))
    text = edit("view", "a.ipynb").text
    for part in ("[cell 1: markdown]\n# Title\nText", "[cell 2: code]\nprint(1)\n[output]\n1"):
        assert part in text
    assert "[output: image/png]\n<Figure>" in text
    assert "AAAA" not in text


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": 1}', '{"cells": [1]}', "[" * 100_000])
def test_a_notebook_that_is_none_is_shown_as_text(edit: Editor, content: str) -> None:
    write(edit, "a.ipynb", content)
    assert edit("view", "a.ipynb").text.startswith("     1\t")


# Searching


# Another program of that name, such as BusyBox's, prints its usage and ends with 1.
NO_SUCH_OPTION = ((("/bin/sh",), ("-c", "echo usage >&2; exit 1")),)
PATTERNS = {
    r"def\s+foo": ["def"],
    "foo|ba.r": ["foo", "ba"],
    r"(foo)+x?": ["foo"],
    r"foo\.bar\(": ["foo.bar("],
    "import os": ["import os"],
    "(?i)foo": [],
    "(?i:foo)bar": ["bar"],
    "x?": [],
    "(foo|)": [],
    r"(?<!foo)\d": [],
    "a\nlong": ["long"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_literals_that_each_match_needs(pattern: str) -> None:
    assert inside.literals_of(pattern) == PATTERNS[pattern]


@pytest.mark.parametrize(
    "pattern", ["needle", "ünique", "needle|ünique", r"^\s*needle$", "-e", "[n]eedle", "a.c", "x y"]
)
@pytest.mark.parametrize("searchers", [inside.SEARCHERS, (), NO_SUCH_OPTION])
def test_a_search_finds_the_same_with_and_without_a_program(
    tmp_path: Path, pattern: str, searchers: tuple[Any, ...]
) -> None:
    files = {
        "b/one.py": "needle\nünique\n",
        "a.txt": "  needle\r\nabc\n",
        ".hidden/x": "needle",
        ".git/config": "needle",
        "b/sub/deep.txt": "x y\n-e needle",
        "b/zz": "latin \xff needle",
        "binary": "\0needle",
        "odd\nname": "needle",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode("latin-1" if "latin" in text else "utf-8"))
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    expected = [
        f"{file.relative_to(tmp_path)}:{number}: {line}"
        for file in map(Path, inside.files_below(str(tmp_path)))
        for number, line in inside.matching_lines(str(file), re.compile(pattern))
    ]
    found = inside.search(str(tmp_path), pattern, ".", searchers)
    assert found == ("\n".join(expected) or "Nothing matches.")
    assert ".git" not in found
