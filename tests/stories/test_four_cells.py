"""What four runs say about a change that two cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import log_events
from tests.support.harness import FINISH, FIX, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUIET = {
    **PROJECT,
    "test_calc.py": b"from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n",
}
"""The project, whose bug no test finds."""


OTHER = "def add(a, b):\n    return b + a\n\n\ndef double(a):\n    return a * 2\n"


def write(path: str, text: str) -> dict[str, Any]:
    return {
        "str_replace_based_edit_tool": {
            "command": "create",
            "path": f"/workspace/{path}",
            "file_text": text,
        }
    }


def adds(*, expected: int = 5) -> str:
    test = f"def test_add():\n    assert add(2, 3) == {expected}\n"
    double = "def test_double():\n    assert double(4) == 8\n"
    return f"from calc import add, double\n\n\n{double}\n\n{test}"


def measured(harness: Harness, subject: Subject) -> list[str]:
    """The cells that ran for the subject, in order."""
    lines = harness.log().splitlines()
    begun = [line for line in lines if log_events.ATTEMPT_STARTED in line and subject.name in line]
    runs = {found[1] for line in begun if (found := re.search(r"\brun=(\w+)", line))}
    ran = [line for line in lines if log_events.CELL_MEASURED in line]
    return [
        cell[1]
        for line in ran
        if (run := re.search(r"\brun=(\w+)", line)) and run[1] in runs
        if (cell := re.search(r"\bcell=(\w+)", line))
    ]


async def test_a_new_test_that_fails_without_the_change_proves_it(harness: Harness) -> None:
    subject = await harness.subject(
        files=QUIET, plays=script([FIX], [write("test_calc.py", adds())], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert subject.check.title == "Proven: 1 test fails without this change"
    assert subject.check.conclusion == "success"
    assert subject.pull.pull is not None and not subject.pull.pull.draft
    assert measured(harness, subject) == ["base", "head", "proof", "guard"]


@pytest.mark.slow
async def test_a_new_test_that_says_nothing_proves_nothing(harness: Harness) -> None:
    empty = adds().replace("assert add(2, 3) == 5", "assert add(0, 0) == 0")
    subject = await harness.subject(
        files=QUIET, plays=script([FIX], [write("test_calc.py", empty)], [FINISH], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert (subject.check.title or "").startswith("Not proven: ")
    assert subject.check.conclusion == "success"
    assert subject.pull.pull is not None and subject.pull.pull.draft


@pytest.mark.slow
async def test_without_changed_tests_nothing_more_runs(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    assert subject.check.title == "Proven: 1 test fails without this change"
    assert measured(harness, subject) == ["base", "head"]


@pytest.mark.slow
async def test_a_changed_expectation_waits_for_a_person(harness: Harness) -> None:
    """The old test passes on the old code, and fails on the new."""
    files = {**PROJECT, "test_calc.py": adds(expected=-1).encode()}
    subject = await harness.subject(
        files=files, plays=script([FIX], [write("test_calc.py", adds())], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert (subject.check.title or "").startswith("Please confirm: 1 test now expects")
    assert subject.check.conclusion == "action_required"
    assert subject.pull.pull is not None and subject.pull.pull.draft


async def test_a_test_that_is_bent_to_pass_is_weakened(harness: Harness) -> None:
    bent = adds().replace("assert add(2, 3) == 5", "assert add(2, 3) != 99")
    subject = await harness.subject(
        files={**PROJECT, ".github/honk.yml": b"corrections: 0\n"},
        plays=script([write("test_calc.py", bent)], [write("notes.py", "x = 1\n")], [FINISH]),
    )
    await subject.label()
    await subject.settled()
    assert (subject.check.title or "").startswith("Weakened: ")
    assert subject.check.conclusion == "failure"
    assert subject.pull.pull is not None and subject.pull.pull.draft


@pytest.mark.slow
async def test_a_second_run_does_not_take_its_own_tests_for_the_base(harness: Harness) -> None:
    subject = await harness.subject(
        files=QUIET,
        plays=script(
            [FIX],
            [write("test_calc.py", adds())],
            [FINISH],
        ),
    )
    await subject.label()
    await subject.settled()
    pull = Subject(harness, subject.repository, 2)
    harness.model.scripts[pull.name] = script([write("calc.py", OTHER)], [FINISH])
    await pull.comment("/honk write it the other way round")
    await pull.settled()
    assert subject.check.title == "Proven: 1 test fails without this change"
