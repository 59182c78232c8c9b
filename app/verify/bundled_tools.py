"""The tools that Honk mounts into a sandbox, in one read-only folder.

It holds Honk's own pytest, which like its dependencies is pure Python and runs on whatever
Python the project has, and reporters for JavaScript test runners.
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

# pytest imports the others of these at each start: a tenth of the time of a small run.
_RARELY_USED = re.compile(
    r"/pygments/(?:lexers|styles|formatters)/"
    r"(?!(?:__init__|_mapping|python|diff|terminal|default)\.py$)"
)
_REPORTERS = Path(__file__).with_name("reporters")
_RUN = '#!/bin/sh\nexec python3 -m pytest "$@"\n'


def bundle_pytest(folder: Path) -> Path:
    """Create a folder below `folder` once: `lib` for PYTHONPATH, `bin` for PATH, and
    `reporters`.

    Its name is derived from its contents. Safe to call from several processes at once.
    """
    bundle = folder / f"pytest-{distribution('pytest').version}-{_digest()}"
    if bundle.is_dir():
        return bundle
    folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="pytest-", dir=folder))
    try:
        _fill(making)
        making.rename(bundle)
    except OSError:
        # Another process created the same folder first.
        if not bundle.is_dir():
            raise
    finally:
        removed([making])
    return bundle


def _digest() -> str:
    texts = (path.read_bytes() for path in sorted(_REPORTERS.rglob("*")) if path.is_file())
    parts = (*texts, _RARELY_USED.pattern.encode())
    return sha256(b"\0".join(parts)).hexdigest()[:12]


def _fill(bundle: Path) -> None:
    for package in _needed("pytest", set()):
        for file in package.files or ():
            if ".." in file.parts or "__pycache__" in file.parts or file.is_absolute():
                continue
            target = bundle / "lib" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)
    for name in ("pytest", "py.test"):
        script = bundle / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(_RUN)
    shutil.copytree(_REPORTERS, bundle / "reporters")
    # Sandboxes write no bytecode, and recompiling pytest doubles the time of a small run.
    compile_dir(
        str(bundle / "lib"),
        quiet=2,
        rx=_RARELY_USED,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    for path in [bundle, *bundle.rglob("*")]:
        # The sandbox runs as another user, which may only read.
        open_for_sandboxes(path, executable=path.parent.name == "bin")


def _needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """The package and all of its requirements that are installed."""
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
