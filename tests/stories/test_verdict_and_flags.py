"""What Honk says about a change besides passing: removed tests, forbidden paths, secrets."""

from __future__ import annotations

from typing import Any

import pytest

from app.playground.model import ScriptedTurn
from tests.support.harness import FINISH, FIX, PROJECT, Harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A token that no scanner knows as an example.
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def create(path: str, text: str) -> dict[str, Any]:
    return {
        "str_replace_based_edit_tool": {
            "command": "create",
            "path": f"/workspace/{path}",
            "file_text": text,
        }
    }


def policy(text: str) -> dict[str, bytes]:
    return {**PROJECT, ".github/honk.yml": text.encode()}


async def test_a_removed_test_makes_a_draft_and_is_pointed_at(harness: Harness) -> None:
    remove = create(
        "test_calc.py",
        "from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n",
    )
    subject = await harness.subject(
        files=policy("corrections: 0\n"), plays=script([remove], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert "test_add" in (subject.pull.body or "")
    assert (subject.check.title or "").startswith("Removed: ")
    assert "Review these first" in (subject.pull.body or "")
    assert "Review these first" in (subject.check.summary or "")
    assert subject.labels == ["honk:needs-you"]


async def test_a_skipped_test_goes_back_to_the_agent(harness: Harness) -> None:
    skip = create(
        "test_calc.py",
        "import pytest\n\nfrom calc import add, double\n\n\n@pytest.mark.skip\ndef test_add():\n"
        "    assert add(2, 3) == 5\n\n\ndef test_double():\n    assert double(4) == 8\n",
    )
    back = create("test_calc.py", PROJECT["test_calc.py"].decode())
    subject = await harness.subject(plays=script([skip], [FINISH], [back], [FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    told = str([r for r in harness.model.requests if subject.repository in str(r)][-1])
    assert "Removed: 1 test" in told
    assert subject.check.conclusion == "success"
    assert subject.check.title == "Proven: 1 test fails without this change"


async def test_a_protected_path_is_not_published(harness: Harness) -> None:
    subject = await harness.subject(
        files=policy('corrections: 0\npaths: {protect: ["deploy/**"]}\n'),
        plays=script([FIX], [create("deploy/run.sh", "echo hi\n")], [FINISH]),
    )
    await subject.label()
    await subject.settled()
    assert subject.pulls == []
    assert "deploy/run.sh" in subject.last_words
    assert "paths" in subject.last_words
    assert subject.labels == ["honk:failed"]


async def test_a_secret_is_never_pushed(harness: Harness) -> None:
    subject = await harness.subject(
        files=policy("corrections: 0\n"),
        plays=script([FIX], [create("settings.py", f'TOKEN = "{SECRET}"\n')], [FINISH]),
    )
    await subject.label()
    await subject.settled()
    assert "settings.py" in subject.last_words
    assert SECRET not in subject.last_words + subject.status
    assert subject.pulls == []
    assert SECRET not in await subject.git(
        "grep",
        "-h",
        "-I",
        "return",
        *(await subject.git("for-each-ref", "--format=%(objectname)")).split(),
    )
    everything = await subject.git("rev-list", "--all", "--objects")
    assert "settings.py" not in everything


@pytest.mark.slow
async def test_a_secret_that_is_taken_out_again_holds_nothing_up(harness: Harness) -> None:
    clean = create("settings.py", "import os\n\nTOKEN = os.environ.get('TOKEN')\n")
    subject = await harness.subject(
        plays=script(
            [FIX], [create("settings.py", f'TOKEN = "{SECRET}"\n')], [FINISH], [clean], [FINISH]
        ),
    )
    await subject.label()
    await subject.settled()
    assert subject.check.conclusion == "success"
    everything = await subject.git("log", "--all", "-p", "--format=")
    assert SECRET not in everything


@pytest.mark.slow
async def test_the_judge_has_a_veto_and_no_more(harness: Harness) -> None:
    veto = {
        "judge_change": {
            "answer": "change",
            "summary": "It does not do what was asked.",
            "changes": [{"what": "Say why in a comment."}],
        }
    }
    agreed = {"judge_change": {"answer": "pass", "summary": "Good.", "changes": []}}
    answers = iter([veto, agreed])

    def judge(request: dict[str, Any]) -> ScriptedTurn:
        assert [tool["name"] for tool in request["tools"]] == ["judge_change"]
        return ScriptedTurn.model_validate({"use": [next(answers)]})

    default, harness.model.default = harness.model.default, judge
    subject = await harness.subject(
        files=policy("judge: true\n"), plays=script([FIX], [FINISH], [FINISH])
    )
    await subject.label()
    await subject.settled()
    harness.model.default = default
    told = str([r for r in harness.model.requests if subject.repository in str(r)])
    assert "Say why in a comment." in told
    assert subject.check.conclusion == "success"
    assert next(answers, None) is None


async def test_tests_that_can_be_collected_neither_before_nor_after_are_no_success(
    harness: Harness,
) -> None:
    """Both modules miss a package; the change breaks one further and deletes the other."""
    broken = {
        **PROJECT,
        "test_calc.py": b"import nothing_like_it\n" + PROJECT["test_calc.py"],
        "test_more.py": b"import nothing_like_it\n\n\ndef test_more():\n    assert True\n",
        ".github/honk.yml": b"corrections: 0\n",
    }
    worse = create("test_calc.py", "def test_add(:\n")
    subject = await harness.subject(
        files=broken, plays=script([worse, {"bash": {"command": "rm test_more.py"}}], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert subject.pull.pull is not None
    assert subject.pull.pull.draft
    assert subject.check.conclusion == "failure"
    assert (subject.check.title or "").startswith("No result: ")
    assert "could not run: SyntaxError" in (subject.pull.body or "")
    assert subject.labels == ["honk:needs-you"]
