"""The pytest that Honk lends."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from app.verify.bundled_tools import bundle_pytest


def test_any_python_can_run_it_and_it_is_made_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        (lent,) = set(pool.map(bundle_pytest, [tmp_path / "lent"] * 4))
    assert [path.name for path in (tmp_path / "lent").iterdir()] == [lent.name]
    done = subprocess.run(
        [lent / "bin" / "pytest", "--version"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(lent / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert version("pytest") in done.stdout + done.stderr


def test_everybody_may_read_it_and_only_its_owner_write(tmp_path: Path) -> None:
    lent = bundle_pytest(tmp_path / "lent")
    modes = {oct(path.stat().st_mode & 0o777) for path in [lent, *lent.rglob("*")]}
    assert modes == {"0o755", "0o644"}


def test_what_pytest_imports_at_each_start_is_compiled(tmp_path: Path) -> None:
    lent = bundle_pytest(tmp_path / "lent")
    done = subprocess.run(
        ["/usr/bin/python3", "-v", "-B", "-c", "import pytest"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(lent / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = [line for line in done.stderr.splitlines() if line.startswith("# code object from")]
    assert any("pygments" in line for line in loaded)
    assert [line for line in loaded if str(lent) in line and ".pyc" not in line] == []
