"""What an agent leaves for the worker to read."""

from __future__ import annotations

import functools
import io
import os
import shutil
import subprocess
import sys
import threading
import xml.sax
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.handler import ContentHandler, feature_external_ges

from app.sandbox.removal import remove_tree
from app.sandbox.spec import MIB
from app.sandbox.untrusted_files import NotReadableError, read_file
from app.verify.junit import BadReportError, read_junit
from tests.security.attempts.inside import Parts
from tests.security.harness import Attempt, Outcome, got, outcome, stopped

CANARY = "canary-e81c55"
Read = Callable[[Path, str], bytes]


def carefully(root: Path, name: str) -> bytes:
    return read_file(root, name, MIB)


def plainly(root: Path, name: str) -> bytes:
    """No defense: opened by its name. In a process of its own, since it may never end."""
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(9_000_000))"
    words = [sys.executable, "-c", code, str(root / name)]
    try:
        return subprocess.run(words, capture_output=True, timeout=3, check=True).stdout
    except subprocess.TimeoutExpired:
        return CANARY.encode() + b": reading this blocks forever"
    except subprocess.CalledProcessError as error:
        raise NotReadableError(error.stderr.decode()[-200:]) from error


async def _leaves(script: str, name: str, read: Read, folder: Path) -> Outcome:
    secret = folder / "secret"
    secret.write_text(CANARY)
    secret.chmod(0o644)
    sandbox, spec = Parts().made(folder)
    done = await sandbox.run(spec, ["bash", "-euc", script.replace("SECRET", str(secret))])
    assert done.ok, done.text
    try:
        data = read(spec.workspace, name)
    except NotReadableError as refused:
        return stopped(str(refused))
    return outcome(CANARY.encode() in data or len(data) > MIB, data[:60].decode(), "its own data")


def _left(name: str, script: str, path: str = "report.xml") -> Attempt:
    run = functools.partial(_leaves, script, path)
    return Attempt(
        name,
        "openat2 beneath the workspace, no symlinks; only regular files of limited size",
        functools.partial(run, carefully),
        functools.partial(run, plainly),
    )


def checked_first(root: Path, name: str) -> bytes:
    """No defense: a look whether it is a link, and then it is opened."""
    path = root / name
    if path.is_symlink() or not path.resolve().is_relative_to(root.resolve()):
        raise NotReadableError("a link")
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotReadableError(str(error)) from error


async def _race(read: Read, tries: int, folder: Path) -> Outcome:
    """A file that is exchanged for a link again and again while it is read."""
    secret, root = folder / "secret", folder / "root"
    secret.write_text(CANARY)
    root.mkdir()
    (root / "file").write_text("own")
    (root / "link").symlink_to(secret)
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            os.rename(root / "file", root / "spare")  # noqa: PTH104 - as fast as can be
            os.rename(root / "link", root / "file")  # noqa: PTH104
            os.rename(root / "file", root / "link")  # noqa: PTH104
            os.rename(root / "spare", root / "file")  # noqa: PTH104

    evil = threading.Thread(target=exchange)
    evil.start()
    leaks = 0
    try:
        for number in range(tries):
            try:
                leaks += CANARY.encode() in read(root, "file")
            except NotReadableError:
                continue
            if leaks:
                return got(f"read after {number + 1} tries")
    finally:
        over.set()
        evil.join()
    return stopped(f"nothing in {tries:,} tries")


_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "'
    + CANARY
    + '">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 8}">' for n in range(4))
    + ']><testsuite><testcase name="x" classname="&e;"/></testsuite>'
)


class _Text(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 - the parser calls it
        self.text += "".join(attrs.getValue(each) for each in attrs.getNames())

    def characters(self, content: str) -> None:
        self.text += content


def _trusting(data: bytes) -> str:
    """No defense: an XML parser with all that XML can do."""
    parser = xml.sax.make_parser()  # noqa: S317 - that is what it is for
    parser.setFeature(feature_external_ges, True)
    text = _Text()
    parser.setContentHandler(text)
    parser.parse(io.BytesIO(data))
    return text.text


def _as_report(data: bytes) -> str:
    try:
        return str(read_junit(data, lambda name, file: name))
    except BadReportError as refused:
        return str(refused)


async def _report(what: str, parse: Callable[[bytes], str], folder: Path) -> Outcome:
    secret = folder / "secret"
    secret.write_text(CANARY)
    external = (
        f'<?xml version="1.0"?><!DOCTYPE t [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        '<testsuite><testcase name="x"><failure>&x;</failure></testcase></testsuite>'
    )
    told = parse((external if what == "external" else _BOMB).encode())
    return outcome(CANARY in told, "it is in the report", told)


async def _archive(walls: bool, folder: Path) -> Outcome:
    """An archive whose entries climb out, unpacked as a snapshot of setup is: in a sandbox."""
    above = folder / "above"
    above.mkdir()
    above.chmod(0o777)
    sandbox, spec = Parts(walls=walls).made(folder)
    code = (
        "import io, tarfile\n"
        "data = io.BytesIO()\n"
        "with tarfile.open(fileobj=data, mode='w') as tar:\n"
        f"    entry = tarfile.TarInfo({str(above / 'evil')!r}); entry.size = 1\n"
        "    tar.addfile(entry, io.BytesIO(b'x'))\n"
        "open('made.tar', 'wb').write(data.getvalue())\n"
    )
    await sandbox.run(spec, ["python3", "-c", code])
    done = await sandbox.run(spec, ["tar", "-xPf", "made.tar"])
    return outcome((above / "evil").exists(), "written above the workspace", done.text)


async def _hard_link(walls: bool, folder: Path) -> Outcome:
    """Another name for a file of this machine, which no look at links would notice."""
    secret = folder / "secret"
    secret.write_text(CANARY)
    secret.chmod(0o666)
    sandbox, spec = Parts(walls=walls).made(folder)
    done = await sandbox.run(spec, ["ln", str(secret), "report.xml"])
    try:
        data = carefully(spec.workspace, "report.xml")
    except NotReadableError:
        return stopped(done.text.rpartition(": ")[2])
    return outcome(CANARY.encode() in data, "the secret has another name", "its own data")


def clearing(path: Path) -> None:
    """No defense: every directory is opened to its owner and emptied, links too."""
    for entry in list(path.iterdir()):
        if entry.is_dir():
            clearing(entry)
        else:
            entry.unlink()


def recursing(path: Path) -> None:
    """No defense: the standard library's way, as far as it goes."""
    shutil.rmtree(path)


async def _deep(remove: Callable[[Path], None], folder: Path) -> Outcome:
    """Folders in folders, deeper than a path may be long, beside others that are to go too."""
    code = "import os\nfor n in range(5000): os.mkdir('d'); os.chdir('d')"
    sandbox, spec = Parts().made(folder)
    done = await sandbox.run(spec, ["python3", "-c", code])
    assert done.ok, done.text
    try:
        remove(spec.workspace)
    except (OSError, RecursionError) as problem:
        remove_tree(spec.workspace)
        return got(f"{type(problem).__name__}: the cleanup stops there")
    return outcome(spec.workspace.exists(), "it is still there", "5,000 folders are gone")


async def _cleared(remove: Callable[[Path], None], folder: Path) -> Outcome:
    """A link to somebody else's directory in what is deleted."""
    other = folder / "other"
    other.mkdir()
    (other / "kept").write_text("kept")
    left = folder / "left"
    left.mkdir()
    (left / "link").symlink_to(other)
    remove(left)
    gone = not (other / "kept").exists()
    return outcome(gone, "what the link led to is gone", "the symlink is gone, its target is not")


ATTEMPTS = (
    _left("a report that is a symlink to a secret", "ln -s SECRET report.xml"),
    _left(
        "a reports directory that is a symlink",
        'ln -s "$(dirname SECRET)" reports',
        "reports/secret",
    ),
    _left("a report that is a FIFO", "mkfifo report.xml"),
    _left("a report that is a symlink to an endless device", "ln -s /dev/zero report.xml"),
    _left("a huge report", "truncate -s 8M report.xml"),
    Attempt(
        "a report that is replaced with a symlink while it is read",
        "resolving and opening are one call",
        functools.partial(_race, carefully, 20_000),
        functools.partial(_race, checked_first, 200_000),
    ),
    *(
        Attempt(
            name,
            "reports are parsed without entities",
            functools.partial(_report, what, _as_report),
            functools.partial(_report, what, _trusting),
        )
        for name, what in (
            ("a report with an entity bomb", "bomb"),
            ("a report that includes a file", "external"),
        )
    ),
    Attempt(
        "a report that is a hard link to a secret",
        "this machine's files have no path in the sandbox",
        functools.partial(_hard_link, True),
        functools.partial(_hard_link, False),
    ),
    Attempt(
        "an archive whose entries escape the folder",
        "unpacked in a sandbox",
        functools.partial(_archive, True),
        functools.partial(_archive, False),
    ),
    Attempt(
        "folders nested too deep to clean up",
        "deep folders are moved up before deletion, without recursion",
        functools.partial(_deep, remove_tree),
        functools.partial(_deep, recursing),
    ),
    Attempt(
        "a symlink in a deleted folder",
        "deletion does not follow symlinks",
        functools.partial(_cleared, remove_tree),
        functools.partial(_cleared, clearing),
    ),
)
