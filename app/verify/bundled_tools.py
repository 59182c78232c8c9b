"""What Honk brings into a sandbox, as one folder that can be read there.

The pytest that Honk is installed with: it is pure Python, as all that it needs is, so it runs with
whatever Python the project has. And reporters for the test runners of JavaScript.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from compileall import compile_dir
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from py_compile import PycInvalidationMode

from packaging.requirements import Requirement

from app.private_files import open_for_sandboxes
from app.sandbox.removal import removed

_RARELY_USED = re.compile(r"/pygments/(?:lexers|styles|formatters)/")
_REPORTERS = Path(__file__).with_name("reporters")
_RUN = '#!/bin/sh\nexec python3 -m pytest "$@"\n'


def bundle_pytest(folder: Path) -> Path:
    """A folder below `folder`, made once: `lib` for PYTHONPATH, `bin` for PATH, and `reporters`.

    Its name changes with what is in it. Several processes may ask at once.
    """
    lent = folder / f"pytest-{distribution('pytest').version}-{_digest()}"
    if lent.is_dir():
        return lent
    folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="pytest-", dir=folder))
    try:
        _fill(making)
        making.rename(lent)
    except OSError:
        # Somebody else was faster, and theirs is the same.
        if not lent.is_dir():
            raise
    finally:
        removed([making])
    return lent


def _digest() -> str:
    texts = (path.read_bytes() for path in sorted(_REPORTERS.iterdir()))
    return sha256(b"\0".join(texts)).hexdigest()[:12]


def _fill(lent: Path) -> None:
    for package in _needed("pytest", set()):
        for file in package.files or ():
            if ".." in file.parts or "__pycache__" in file.parts or file.is_absolute():
                continue
            target = lent / "lib" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)
    for name in ("pytest", "py.test"):
        script = lent / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(_RUN)
    shutil.copytree(_REPORTERS, lent / "reporters")
    # A sandbox writes no byte code, and compiling pytest anew doubles the time of a small run.
    compile_dir(
        str(lent / "lib"),
        quiet=2,
        rx=_RARELY_USED,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    for path in [lent, *lent.rglob("*")]:
        # Whoever runs in the sandbox is somebody else and may only read.
        open_for_sandboxes(path, executable=path.parent.name == "bin")


def _needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """The package and, as far as they are installed, all that it requires."""
    if name in seen:
        return
    seen.add(name)
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return
    yield package
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from _needed(requirement.name, seen)
