"""The sample that comes with Honk, as `make demo` plays it, and with its fix taken out."""

from __future__ import annotations

import pytest

from app.playground.model import Script
from app.playground.run import SAMPLE
from tests.support.house import House, Subject

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIX_TURN = 2


async def _sample(house: House, script: Script, name: str) -> Subject:
    source = SAMPLE / "repo"
    files = {
        str(path.relative_to(source)): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    title, _, body = (SAMPLE / "issue.md").read_text().partition("\n")
    subject = await house.subject(
        files=files, title=title.lstrip("# "), body=body, plays=script, name=name
    )
    await subject.label()
    await subject.settled()
    return subject


async def test_the_sample_is_mended(house: House) -> None:
    script = Script.load(SAMPLE / "script.yml")
    subject = await _sample(house, script, "splitbill")

    assert subject.pull.pull is not None
    head = subject.pull.pull.head_sha
    assert subject.check.head_sha == head
    assert (subject.check.conclusion, subject.check.title) == (
        "success",
        "1 fixed, 0 new failures",
    )
    assert not subject.pull.pull.draft
    changed = await subject.git("diff", "--name-only", "main", head)
    assert changed.split() == ["splitbill/shares.py", "tests/test_shares.py"]
    edit = script.turns[FIX_TURN].use[1]["str_replace_based_edit_tool"]
    assert edit["new_str"] in await subject.git("show", f"{head}:splitbill/shares.py")


async def test_with_the_fix_taken_out_the_check_fails_and_it_is_a_draft(house: House) -> None:
    whole = Script.load(SAMPLE / "script.yml")
    assert any("str_replace_based_edit_tool" in use for use in whole.turns[FIX_TURN].use)
    without = Script(whole.turns[:FIX_TURN] + whole.turns[FIX_TURN + 1 :])
    subject = await _sample(house, without, "splitbill-without-the-fix")

    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert subject.check.head_sha == subject.pull.pull.head_sha
    assert subject.check.conclusion == "failure"
    assert subject.check.title == "0 fixed, 2 new failures, 1 failing before and after"
    assert subject.labels == ["honk:needs-you"]
