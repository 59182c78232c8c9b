"""`make audit`: is anything that Honk is locked to known to be vulnerable?

pip-audit asks a public database (PIP_AUDIT_OSV_URL leads to another one) about every version of the
lock files, so it needs the network. What could not be asked is not clean: the exit code says so.

    0  everything was looked up and nothing is known     1  something is known to be vulnerable
    2  it could not be found out
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker

LOCKS = (
    "requirements.lock",
    "requirements-playground.lock",
    "requirements-slack.lock",
    "requirements-claude-code.lock",
    "requirements-dev.lock",
    "requirements-docs.lock",
)
_ROOT = Path(__file__).parents[2]
_SECONDS = 600
_OPTIONS = (
    *("--disable-pip", "--require-hashes", "--vulnerability-service", "osv"),
    *("--progress-spinner", "off", "--format", "json"),
)


@dataclass(frozen=True)
class Requirement:
    """One entry of a lock file: name and version, the rest of its line, and its hashes."""

    name: str
    version: str
    rest: str
    hashes: tuple[str, ...]

    @property
    def is_for_here(self) -> bool:
        """Whether this system installs it at all."""
        return not self.rest or Marker(self.rest).evaluate()


def requirements(text: str) -> list[Requirement]:
    """The entries of a lock file. Raises ValueError for any other line."""
    joined = re.sub(r"\\\n", " ", text)
    found = []
    for line in joined.splitlines():
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        head, *options = re.split(r"\s+(?=--)", plain)
        match = re.fullmatch(r"([a-z0-9][a-z0-9._-]*)==([^\s;]+)\s*(?:;\s*(.*))?", head)
        if match is None or not all(option.startswith("--hash=") for option in options):
            raise ValueError(f"no locked requirement: {plain[:100]}")
        hashes = tuple(option.removeprefix("--hash=").strip() for option in options)
        found.append(Requirement(match[1], match[2], match[3] or "", hashes))
    return found


def judged(wanted: Sequence[Requirement], told: Any) -> tuple[list[str], int]:
    """The lines to print for pip-audit's JSON, and the exit code. Missing packages were not
    checked.
    """
    entries = told.get("dependencies", []) if isinstance(told, dict) else []
    audited = {each["name"] for each in entries if "vulns" in each}
    lines = [
        f"{each['name']} {each['version']}: {vuln['id']}"
        f" (fixed in {', '.join(vuln['fix_versions']) or 'no version yet'})"
        for each in entries
        for vuln in each.get("vulns", [])
    ]
    missing = sorted({each.name for each in wanted if each.is_for_here} - audited)
    if lines:
        return [*lines, f"{len(lines)} known vulnerabilities."], 1
    if missing:
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        return [f"NOT AUDITED: {len(missing)} of {len(wanted)} were not looked up: {names}"], 2
    return [f"{len(wanted)} locked requirements were looked up; nothing is known."], 0


def main() -> int:
    """Audit both lock files; the worst exit code of the two."""
    worst = 0
    for name in LOCKS:
        path = _ROOT / name
        lines, code = judged(requirements(path.read_text("utf-8")), ask(path))
        for line in lines:
            print(f"{name}: {line}")
        worst = max(worst, code, key=(0, 2, 1).index)
    return worst


def ask(lock: Path) -> Any:
    """The output of pip-audit; None if the database cannot be reached."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip_audit", *_OPTIONS, "--requirement", str(lock)],
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    try:
        return json.loads(asked.stdout)
    except ValueError:
        reason = asked.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        print(f"{lock.name}: pip-audit: {''.join(reason)[:300]}", file=sys.stderr)
        return None


if __name__ == "__main__":
    sys.exit(main())
