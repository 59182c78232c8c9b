"""Leaves the commit and the day in a wheel or source distribution, for `honk --version`, and the
App's manifest in a wheel, for `honk init`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FILE = "app/build.json"


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds app/build.json; a wheel from a source distribution keeps the one that it has."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files. `version` is "editable" or "standard"."""
        if version == "editable":
            return
        if self.target_name == "wheel":
            manifest = Path(self.root) / "manifest.yml"
            build_data["force_include"][str(manifest)] = "app/installer/manifest.yml"
        if (Path(self.root) / _FILE).exists():
            return
        self._folder = tempfile.TemporaryDirectory(prefix="honk-build-")
        path = Path(self._folder.name) / "build.json"
        # https://reproducible-builds.org/specs/source-date-epoch/
        at = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        day = time.strftime("%Y-%m-%d", time.gmtime(at))
        path.write_text(json.dumps({"commit": self._commit(), "built_at": day}) + "\n")
        path.chmod(0o644)
        build_data["force_include"][str(path)] = _FILE

    def _commit(self) -> str:
        """The commit, with a plus if files differ from it; empty outside a checkout."""
        try:
            said = subprocess.run(
                [
                    "git",
                    "-C",
                    self.root,
                    "describe",
                    "--always",
                    "--abbrev=40",
                    "--match=",
                    "--dirty=+",
                ],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return ""
        return said.stdout.strip()
