"""A repository's Git LFS files and submodules: included if the token may read them, otherwise
reported.
"""

from __future__ import annotations

import pytest

from app.playground.github.lfs import pointer
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

ATTRIBUTES = {".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n"}
READS_WEIGHTS = b"""def test_weights():
    assert open("data/model.bin").read() == "weights"
"""
READS_LIBRARY = b"""from lib.answer import ANSWER

def test_answer():
    assert ANSWER == 42
"""


async def _changed(subject: Subject) -> list[str]:
    return (await subject.git("diff", "--name-only", "main", "honk/1-add-subtracts")).split()


@pytest.mark.slow
async def test_lfs_files_are_checked_out_and_commits_have_the_pointer(harness: Harness) -> None:
    overwrite = {"bash": {"command": "cat data/model.bin; echo other > data/model.bin"}}
    files = {**PROJECT, **ATTRIBUTES, "test_weights.py": READS_WEIGHTS}
    subject = await harness.subject(files=files, plays=script([FIX], [overwrite], [FINISH]))
    kept_as = harness.github.keep_in_lfs(subject.repository, b"weights")
    await harness.github.push_files(subject.repository, "main", {"data/model.bin": kept_as}, OWNER)
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    assert "1 Git LFS file (data/model.bin)" in subject.status
    assert "only pointers" not in subject.status
    asked = [str(r) for r in harness.model.requests if subject.repository in str(r)]
    assert "1 Git LFS file (data/model.bin): available to read" in asked[0]
    assert "weights" in asked[2]
    assert "`data/model.bin` is kept in Git LFS: it was left as it was" in str(subject.pull.body)
    assert await _changed(subject) == ["calc.py"]
    kept = await subject.git("show", "honk/1-add-subtracts:data/model.bin")
    assert kept.encode() == kept_as


@pytest.mark.slow
async def test_lfs_files_that_are_not_there_are_named_and_stay_pointers(harness: Harness) -> None:
    files = {**PROJECT, **ATTRIBUTES, "data/model.bin": pointer(b"weights")}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    assert "**left out:** 1 Git LFS file (data/model.bin): only pointers" in subject.status
    first = next(r for r in harness.model.requests if subject.repository in str(r))
    assert "1 Git LFS file (data/model.bin): only pointers" in str(first)
    kept = await subject.git("show", "honk/1-add-subtracts:data/model.bin")
    assert kept.encode() == pointer(b"weights")


@pytest.mark.slow
async def test_what_was_missing_when_the_base_was_tested_is_no_fix_later(harness: Harness) -> None:
    files = {
        **PROJECT,
        **ATTRIBUTES,
        "test_weights.py": READS_WEIGHTS,
        "data/model.bin": pointer(b"weights"),
    }
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH], [FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    assert "Proven: 1 test fails without this change" in subject.status
    harness.github.keep_in_lfs(subject.repository, b"weights")
    await subject.comment("/honk retry")
    await harness.until(lambda: len(subject.pulls) == 2, "there is no second try")
    await subject.settled(endings=2)
    told = [each.body for each in subject.ours if "<!-- honk:run=" in each.body]
    assert "[Proven: 1 test fails without this change](" in told[-1]


async def _with_submodule(harness: Harness, library: str, *, private: bool) -> Subject:
    files = {"__init__.py": b"", "answer.py": b"ANSWER = 42\n"}
    await harness.github.add_repository(library, files=files, private=private)
    head = await harness.github.world.repository(library).git.ref("refs/heads/main")
    name = library.partition("/")[2]
    told = f'[submodule "lib"]\n\tpath = lib\n\turl = ../{name}.git\n'
    project = {**PROJECT, ".gitmodules": told.encode(), "test_answer.py": READS_LIBRARY}
    looks = {"bash": {"command": "cat lib/answer.py"}}
    subject = await harness.subject(files=project, plays=script([FIX], [looks], [FINISH]))
    await subject.git("read-tree", "main")
    await subject.git("update-index", "--add", "--cacheinfo", f"160000,{head},lib")
    tree = (await subject.git("write-tree")).strip()
    commit = await subject.git(
        *("-c", "user.name=walter", "-c", "user.email=walter@example.invalid"),
        *("commit-tree", tree, "-p", "main", "-m", "The library"),
    )
    await subject.git("update-ref", "refs/heads/main", commit.strip())
    return subject


async def test_a_public_submodule_is_checked_out(harness: Harness) -> None:
    subject = await _with_submodule(harness, f"{OWNER}/answers", private=False)
    await subject.label()
    await subject.settled()
    assert subject.check.conclusion == "success"
    assert "1 submodule (lib)" in subject.status
    assert "so empty here" not in subject.status
    seen = [str(r) for r in harness.model.requests if subject.repository in str(r)]
    assert "ANSWER = 42" in seen[2]
    assert await _changed(subject) == ["calc.py"]


@pytest.mark.slow
async def test_a_private_submodule_is_not_the_way_into_another_repository(harness: Harness) -> None:
    subject = await _with_submodule(harness, f"{OWNER}/secrets", private=True)
    # Its own run fetches the commit to this machine; no other run may use it.
    number = (await harness.github.open_issue(f"{OWNER}/secrets", OWNER, "Answer", "")).number
    own = Subject(harness, f"{OWNER}/secrets", number)
    harness.model.scripts[f"{OWNER}/secrets#{number}"] = script([{"bash": {"command": "ls"}}])
    await own.label()
    await own.settled()
    await subject.label()
    await subject.settled()
    assert "**left out:** 1 submodule (lib): not fetched, so empty here" in subject.status
    seen = [str(r) for r in harness.model.requests if subject.repository in str(r)]
    assert len(seen) == 3
    assert "ANSWER = 42" not in seen[2]
