"""What a repository keeps elsewhere is not in the checkout: people and the agent are told."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.house import FINISH, FIX, PROJECT, House, script

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _pointer(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    lines = [
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{digest}",
        f"size {len(content)}",
    ]
    return ("\n".join(lines) + "\n").encode()


async def test_lfs_files_are_named_and_stay_pointers(house: House) -> None:
    files = {
        **PROJECT,
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "data/model.bin": _pointer(b"weights"),
    }
    subject = await house.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    assert "**left out:** 1 Git LFS file (data/model.bin): only the pointers" in subject.status
    first = next(r for r in house.model.requests if subject.repository in str(r))
    assert "1 Git LFS file (data/model.bin): only the pointers are here" in str(first)
    kept = await subject.git("show", "honk/1-add-subtracts:data/model.bin")
    assert kept.encode() == _pointer(b"weights")
