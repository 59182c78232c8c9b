"""Which commit this Honk was built from, and when."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from app import __version__

_PACKAGE = Path(__file__).parent
_COMMIT = re.compile(r"[0-9a-f]{7,64}\+?")
_SHOWN = 12


def described() -> str:
    """Version, commit and build, such as `0.1.0 (commit 0123456789ab, built 2026-11-30)`."""
    commit, built = _from_build() or _from_checkout()
    if commit.endswith("+"):
        commit, built = commit.rstrip("+"), f"{built}, with changes"
    return f"{__version__} (commit {commit[:_SHOWN] or 'unknown'}, {built})"


def _from_build() -> tuple[str, str] | None:
    """What the build left in the package (hatch_build.py, Containerfile); None in a checkout."""
    try:
        found = json.loads((_PACKAGE / "build.json").read_text("utf-8"))
        commit, at = str(found["commit"]), str(found["built_at"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "", "built at an unknown time"
    return commit if _COMMIT.fullmatch(commit) else "", f"built {at}"


def _from_checkout() -> tuple[str, str]:
    """The commit of a checkout of Honk itself, with a plus if files differ from it."""
    root = _PACKAGE.parent
    if not (root / ".git").exists():
        return "", "not built"
    try:
        said = subprocess.run(
            [
                "git",
                "-C",
                str(root),
                "describe",
                "--always",
                "--abbrev=12",
                "--match=",
                "--dirty=+",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "", "from source"
    return said.stdout.strip(), "from source"
