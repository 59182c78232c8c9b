"""The outcome of pull requests: verdicts, reverts, rework, time to review."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.author_kind import AuthorKind
from app.domain.pull_report import (
    Lines,
    ReportedPull,
    is_reverted,
    seconds_until_review,
    summarize,
    verdict_name,
    worked_seconds,
)
from app.domain.values import CommitSha
from app.messages.pull_report import cell

SHA = CommitSha("abcdef0" + "1" * 33)
START = datetime(2026, 1, 1, tzinfo=UTC)


def pull(number: int, **more: object) -> ReportedPull:
    known = {
        "number": number,
        "title": "T",
        "author": "walter",
        "kind": AuthorKind.PERSON,
        "state": "merged",
        "created_at": START,
        "head": SHA,
    }
    return ReportedPull.model_validate({**known, **more})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Revert x\n\nThis reverts commit {SHA}.", True),
        (f"this reverts commit {SHA[:7]}", True),
        (f"This reverts commit {SHA[:6]}.", False),
        ("Reverts o/r#7", True),
        ("Reverts O/R#7\n\nIt broke.", True),
        ("Reverts #7", True),
        ("Reverts other/r#7", False),
        ("Reverts #71", False),
        ("It reverts #7 in part", False),
        ("", False),
    ],
)
def test_what_a_text_reverts(text: str, expected: bool) -> None:
    assert is_reverted(7, [SHA], [text], "o/r") is expected


def test_summaries_count_only_what_is_known() -> None:
    pulls = [
        pull(1, reverted=True, lines=Lines(added=10, gone=2), verdict="Proven: 1 test"),
        pull(2, reverted=False, lines=Lines(added=10, gone=1), verdict="Odd", review_seconds=60.0),
        pull(3, state="open"),
        pull(4, reverted=False, lines=Lines(added=0, gone=0)),
    ]
    people, honk, others = summarize(pulls)
    assert (people.opened, people.merged) == (4, 3)
    assert (people.reverted, people.reverted_known) == (1, 3)
    assert (people.reworked, people.reworked_known) == (1, 2)
    assert people.verdicts == {"Proven": 1, "Other": 1}
    assert people.median_review_seconds == 60.0
    assert (honk.opened, others.opened, honk.median_review_seconds) == (0, 0, None)


def test_verdicts_are_read_from_titles() -> None:
    assert verdict_name("Not proven: no test fails without this change") == "Not proven"
    assert verdict_name("Accepted: 1 test now expects something else") == "Accepted"
    assert verdict_name("Stopped") == "Other"


def test_the_time_to_review_begins_when_it_was_ready() -> None:
    def at(hour: int) -> datetime:
        return START + timedelta(hours=hour)

    assert seconds_until_review(at(0), [], []) is None
    assert seconds_until_review(at(0), [], [at(3), at(2)]) == 2 * 3600
    assert seconds_until_review(at(0), [at(1), at(9)], [at(3)]) == 2 * 3600


def test_waiting_is_no_work() -> None:
    phases = [("queued", 0.0), ("preparing", 10.0), ("working", 15.0), ("queued", 20.0)]
    assert worked_seconds([*phases, ("working", 50.0)], 60.0) == 20.0
    assert worked_seconds([], None) == 0.0


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " ="])
def test_no_cell_is_a_formula(start: str) -> None:
    assert cell(f"{start}1+1")[:1] in ("'", "1")
    assert cell(f"{start}1+1") != f"{start}1+1"


def test_numbers_stay_numbers() -> None:
    assert (cell(-1.5), cell(3), cell(None), cell(True)) == ("-1.5", "3", "", "yes")
