"""A real upstream fix: what two published versions of a known project differ in.

Both are taken from the package index when the test runs; nothing of them is kept here. The older
version with the newer one's tests becomes the repository, the difference in the source the script.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.harness import FINISH, Harness, script

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PROJECT = "sqlparse"
OLDER, NEWER = "0.5.1", "0.5.2"
FETCH_SECONDS = 300


def _fetch(version: str, into: Path) -> Path:
    """Download and unpack a source distribution with pip, as this machine is set up for it."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", ":all:", "--dest", str(into), f"{PROJECT}=={version}"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if done.returncode:
        pytest.fail(f"{PROJECT} {version} could not be fetched: {done.stderr[-500:]}")
    archive = into / f"{PROJECT}-{version}.tar.gz"
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(into)], check=True)
    return into / f"{PROJECT}-{version}"


def _files(root: Path, *folders: str) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CI") and os.environ.get("HONK_OFFLINE") == "yes",
    reason="HONK_OFFLINE=yes: the package index is not asked",
)
async def test_an_upstream_fix_gets_the_right_verdict(harness: Harness, tmp_path: Path) -> None:
    older, newer = _fetch(OLDER, tmp_path), _fetch(NEWER, tmp_path)
    source, fixed = _files(older, PROJECT), _files(newer, PROJECT)
    edits = [
        {
            "str_replace_based_edit_tool": {
                "command": "create",
                "path": f"/workspace/{path}",
                "file_text": content.decode(),
            }
        }
        for path, content in fixed.items()
        if source.get(path) != content
    ]
    subject = await harness.subject(
        files={**source, **_files(newer, "tests")},
        title="Strip comments but keep hints",
        body="Optimizer hints are lost when comments are stripped.",
        plays=script(edits, [{"verify": {}}], [FINISH]),
        name=PROJECT,
    )
    await subject.label()
    await subject.settled()

    assert subject.pull.pull is not None
    title = subject.check.title or ""
    assert subject.check.conclusion == "success", title
    assert re.fullmatch(r"Proven: \d+ tests? fails? without this change", title), title
    assert not subject.pull.pull.draft
