"""File names that are not UTF-8, in every place where a run meets a file's name."""

from __future__ import annotations

import os

import pytest

from app.playground.github.lfs import pointer
from tests.support.harness import FINISH, FIX, PROJECT, Harness, script
from tests.support.workspaces import run_git

pytestmark = pytest.mark.asyncio(loop_scope="session")

ODD = os.fsdecode(b"caf\xe9")
SHOWN = r"caf\xe9"

CHANGES = """
cp calc.py $'new-caf\\xe9.py'
echo changed >> $'caf\\xe9/old.txt'
rm $'caf\\xe9/gone.txt'
printf 'def test_odd():\\n    assert 1 == 2\\n' > $'test_caf\\xe9.py'
printf '# nothing\\n' > $'caf\\xe9/test_deleted.py'
echo overwritten > $'caf\\xe9.bin'
nested=$'nested-caf\\xe9'
git init -q $nested
git -C $nested -c user.name=x -c user.email=x commit -q --allow-empty -m x
ln -s /etc/passwd $'link-caf\\xe9'
mkfifo $'fifo-caf\\xe9'
"""


@pytest.mark.slow
async def test_names_that_are_not_utf_8_are_shown_and_end_no_run(harness: Harness) -> None:
    plays = script([{"bash": {"command": CHANGES}}], [FIX], [FINISH])
    policy = rb"""setup: ["touch $'made-caf\\xe9'"]
corrections: 0
"""
    files = {
        **PROJECT,
        ".github/honk.yml": policy,
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
    }
    subject = await harness.subject(files=files, plays=plays)
    bare = harness.github.world.repository(subject.repository).git.path
    kept = harness.github.keep_in_lfs(subject.repository, b"weights")
    missing = pointer(b"elsewhere")
    run_git(bare, "read-tree", "refs/heads/main")
    deleted = b"def test_deleted():\n    assert True\n"
    for path, content in {
        f"{ODD}/old.txt": b"old\n",
        f"{ODD}/gone.txt": b"gone\n",
        f"{ODD}/test_deleted.py": deleted,
        f"{ODD}.bin": kept,
        f"missing-{ODD}.bin": missing,
    }.items():
        blob = run_git(bare, "hash-object", "-w", "--stdin", stdin=content)
        entry = os.fsencode(f"100644 {blob}\t{path}")
        run_git(bare, "update-index", "-z", "--index-info", stdin=entry + b"\0")
    main = run_git(bare, "rev-parse", "refs/heads/main")
    odd = os.fsencode(f"160000 {main}\tsub-{ODD}")
    run_git(bare, "update-index", "-z", "--index-info", stdin=odd + b"\0")
    tree = run_git(bare, "write-tree")
    commit = run_git(bare, "commit-tree", tree, "-p", main, "-m", "Odd names")
    run_git(bare, "update-ref", "refs/heads/main", commit)

    await subject.label()
    await subject.settled()
    assert not harness.own_failures()
    body = str(subject.pull.body)
    # As Markdown: a reader sees one backslash.
    escaped = SHOWN.replace("\\", "\\\\")
    assert f"sub-{escaped}" in subject.status
    assert f"missing-{escaped}.bin" in subject.status
    for name in (f"{SHOWN}.bin", f"nested-{SHOWN}", f"link-{SHOWN}"):
        assert f"{name}`" in body
    assert f"{SHOWN}/test_deleted.py" in body
    assert f"test_{SHOWN}.py::test_odd" in body
    changed = await subject.git(
        "-c", "core.quotePath=true", "diff", "--name-only", "main", "honk/1-add-subtracts"
    )
    assert changed.split() == [
        r'"caf\351/gone.txt"',
        r'"caf\351/old.txt"',
        r'"caf\351/test_deleted.py"',
        "calc.py",
        r'"new-caf\351.py"',
        r'"test_caf\351.py"',
    ]
