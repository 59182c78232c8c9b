"""A checkout in a real sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import ResourceLimits, SandboxSpec
from app.verify.runner import VerifySite

MakeSite = Callable[..., VerifySite]


@pytest.fixture
def checkout(tmp_path: Path) -> MakeSite:
    """Makes a place to verify in out of names and contents of files."""
    root = tmp_path / "work"
    root.mkdir()
    sandbox = Bubblewrap.create(root)

    def make(files: Mapping[str, str], *, seconds: float = 60) -> VerifySite:
        workspace = root / f"checkout-{len(list(root.iterdir()))}"
        workspace.mkdir()
        sandbox.claim(workspace)
        for name, text in files.items():
            path = workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        owner = workspace.stat()
        for path in workspace.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid)
        spec = SandboxSpec(workspace, limits=ResourceLimits(seconds=seconds))
        return VerifySite(sandbox, spec, tmp_path / "scratch")

    return make
