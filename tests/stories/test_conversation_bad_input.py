"""Whatever people write, withdraw or remove: it ends with a clear message and a final status."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app import log_events
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = {"use": [{"bash": {"command": "sleep 300"}}]}
THINKING = {"use": [FIX], "seconds": 1.0}
"""A turn that leaves time for people to act during it."""
BRANCH = "honk/1-add-subtracts"


@pytest.fixture(autouse=True)
def _no_traceback(harness: Harness) -> Iterator[None]:
    before = len(harness.log())
    yield
    assert "Traceback" not in harness.log()[before:]


async def at_work(harness: Harness, *turns: Any, **more: Any) -> Subject:
    """An issue whose run is in the middle of its first turn."""
    subject = await harness.subject(plays=script(*(turns or (THINKING, [FINISH]))), **more)
    await subject.label()
    await subject.at_work()
    return subject


# What people write ----------------------------------------------------------------------------


async def test_a_comment_of_60_000_characters(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    words = "add() subtracts, and here is why: " + "because " * 7_490
    await subject.comment(f"/honk {words}"[:60_000])
    await subject.settled()
    assert subject.check.conclusion == "success"
    assert subject.model_input.count("because because") > 1_000
    assert all(len(comment.body) < 10_000 for comment in subject.ours)


EMAIL = """Thanks, I am looking at it.

On Tue, Nov 17, 2026 at 9:12 AM Olivia <olivia@example.org> wrote:
> The numbers are wrong.
>
> /honk add() should add
"""
MAIL_WITHOUT_MARKS = """Yes.

-----Original Message-----
From: Olivia
Sent: Tuesday
Subject: Re: add() subtracts

/honk add() should add
"""


@pytest.mark.parametrize(
    "text",
    [
        EMAIL,
        MAIL_WITHOUT_MARKS,
        "/h\u043enk do it",  # a Cyrillic o
        "/\uff48\uff4f\uff4e\uff4b do it",  # full width
        "/ho\u200bnk do it",  # a blank of no width inside
        "\u2215honk do it",  # a slash that divides
        "Say `/honk do it` and it does.",
        "```\n/honk do it\n```",
        "<!-- /honk do it -->",
    ],
    ids=[
        *("an e-mail", "an e-mail without marks", "Cyrillic", "full width", "no width", "slash"),
        *("backticks", "fence", "hidden"),
    ],
)
async def test_what_only_looks_like_a_command_has_no_effect(harness: Harness, text: str) -> None:
    subject = await harness.subject()
    await subject.comment(text)
    assert await subject.ignored()
    assert subject.ours == []
    assert subject.issue.comments[0].reactions == []


async def test_a_slip_is_asked_about_where_somebody_may_write(harness: Harness) -> None:
    subject = await harness.subject(permissions={"rita": "read"})
    await subject.comment("/honk stpo", by="rita")
    await subject.comment("/honk st\u200bop")
    assert "Did you mean `/honk stop`?" in await subject.refused()
    assert len(subject.ours) == 1
    assert "@olivia" in subject.ours[0].body
    assert subject.labels == []


async def test_two_commands_in_one_comment_start_nothing(harness: Harness) -> None:
    subject = await harness.subject()
    await subject.comment("/honk plan\n\n/honk fix the rounding")
    words = await subject.refused()
    assert "several commands: `/honk plan`, `/honk fix`" in words
    assert subject.labels == []
    assert subject.pulls == []


async def test_stop_works_among_several_commands(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS)
    await subject.at_work(turns=2)
    await subject.comment("/honk status\n\n/honk stop\n\n/honk plan a better way")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    words = await subject.refused()
    assert "Only `/honk stop` was executed" in words


async def test_text_from_right_to_left(harness: Harness) -> None:
    subject = await harness.subject(
        title="\u202eadd() \u05de\u05d7\u05e1\u05e8\u05ea", plays=script([FIX], [FINISH])
    )
    await subject.comment("\u200f/honk \u05ea\u05e7\u05df \u05d0\u05ea add()\u200f")
    await subject.settled()
    assert subject.check.conclusion == "success"
    assert "\u05ea\u05e7\u05df \u05d0\u05ea add()" in subject.model_input
    shown = [subject.pull.title, subject.pull.body or "", *(c.body for c in subject.ours)]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", " ".join(shown))
    assert "\u05de\u05d7\u05e1\u05e8\u05ea" in subject.pull.title


# What people withdraw during a run -------------------------------------------------------------


async def test_editing_the_comment_changes_nothing(harness: Harness) -> None:
    subject = await harness.subject(plays=script(THINKING, [FINISH]))
    await subject.comment("/honk add() should add")
    await subject.at_work()
    asked = subject.issue.comments[0]
    await harness.github.edit_comment(
        subject.repository, asked.id, OWNER, "/honk delete everything"
    )
    assert await subject.ignored()
    await subject.settled()
    assert subject.check.conclusion == "success"
    assert "delete everything" not in subject.model_input
    assert "delete everything" not in (subject.pull.body or "")


async def test_a_deleted_comment_is_still_answered(harness: Harness) -> None:
    subject = await harness.subject(plays=script(THINKING, [FINISH]))
    await subject.comment("/honk add() should add")
    await subject.at_work()
    await harness.github.delete_comment(subject.repository, subject.issue.comments[0].id, OWNER)
    await subject.settled()
    assert subject.labels == ["honk:done"]
    assert "add() should add" in (subject.pull.body or "")


@pytest.mark.slow
async def test_a_comment_deleted_before_it_is_read(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    harness.github.faults.answer("*", "/collaborators/", 0, delay=0.5)
    await subject.comment("/honk add() should add")
    await harness.github.delete_comment(subject.repository, subject.issue.comments[0].id, OWNER)
    await subject.settled()
    assert subject.labels == ["honk:done"]


async def test_closing_the_issue_ends_the_run(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS)
    await subject.at_work(turns=2)
    await harness.github.close_issue(subject.repository, subject.number, OWNER)
    await subject.settled()
    assert "was closed while Honk was working" in subject.status
    assert subject.labels == ["honk:needs-you"]
    assert BRANCH in subject.last_words
    assert subject.pulls == []


async def test_an_outsider_who_closes_their_own_issue_stops_nothing(harness: Harness) -> None:
    """GitHub lets everybody close what they opened, which must not end what others asked for."""
    calc = await harness.subject(permissions={"mallory": "read"})
    number = (
        await harness.github.open_issue(calc.repository, "mallory", "add() subtracts", "")
    ).number
    plays = script(THINKING, ENDLESS)
    harness.model.scripts[f"{calc.repository}#{number}"] = plays
    subject = Subject(harness, calc.repository, number)
    await subject.label()
    await subject.at_work()
    await harness.github.close_issue(calc.repository, number, "mallory")
    await harness.until(
        lambda: log_events.CLOSE_STOPS_NO_RUN in harness.log(), "nobody looked who closed it"
    )
    assert subject.labels == ["honk:running"]
    await subject.comment("/honk stop")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    assert "was closed while Honk was working" not in subject.status


async def test_a_closed_issue_is_answered(harness: Harness) -> None:
    subject = await harness.subject()
    await harness.github.close_issue(subject.repository, subject.number, OWNER)
    await subject.comment("/honk do it")
    assert "#1 is closed. Reopen it" in await subject.refused()


async def test_a_transferred_issue_is_answered_at_its_new_place(
    harness: Harness,
) -> None:
    other = await harness.subject()
    subject = await at_work(harness, [FIX], ENDLESS)
    moved = await harness.github.transfer(
        subject.repository, subject.number, other.repository, OWNER
    )
    assert await subject.ended() == "stopped"
    there = Subject(harness, other.repository, moved.number)
    assert "transferred to another repository" in there.status
    assert "transferred to another repository" in there.last_words
    assert "honk:running" not in there.labels


async def test_a_locked_issue_still_gets_its_answer(harness: Harness) -> None:
    subject = await at_work(harness)
    await harness.github.lock(subject.repository, subject.number, OWNER)
    await subject.settled()
    assert subject.labels == ["honk:done"]
    assert subject.check.conclusion == "success"


async def test_where_nothing_more_may_be_said_the_label_still_settles(harness: Harness) -> None:
    """An organization can forbid Apps to write where a conversation is locked."""
    subject = await at_work(harness)
    locked = {"message": "Unable to create comment because issue is locked."}
    harness.github.faults.answer(
        "POST", f"{subject.repository}/issues/1/(comments|reactions)$", 403, locked, times=None
    )
    try:
        assert await subject.ended() == "done"
    finally:
        harness.github.faults.clear()
    assert subject.labels == ["honk:done"]
    assert "**Done.**" in subject.status
    assert subject.check.conclusion == "success"


async def test_deleting_the_issue_ends_the_run(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS)
    await harness.github.delete_issue(subject.repository, subject.number, OWNER)
    assert await subject.ended() == "stopped"
    assert subject.pulls == []


async def test_an_issue_that_becomes_a_discussion_ends_its_run(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS)
    await harness.github.convert_to_discussion(subject.repository, subject.number, OWNER)
    assert await subject.ended() == "stopped"
    assert "honk:running" not in subject.labels
    assert subject.pulls == []


# What people remove during a run -------------------------------------------------------------


async def test_a_permission_withdrawn_during_the_run_is_named(harness: Harness) -> None:
    subject = await at_work(harness, owner="withdrawn")
    granted = dict(harness.github.world.installations["withdrawn"].permissions or {})
    harness.github.grant("withdrawn", {**granted, "contents": "read"}, OWNER)
    await subject.settled()
    assert subject.labels == ["honk:failed"]
    assert "Contents (write)" in subject.last_words
    assert "Accept the App's permissions" in subject.last_words


async def test_an_app_that_may_not_speak_any_more_ends_its_run(harness: Harness) -> None:
    subject = await at_work(harness, owner="silenced")
    harness.github.grant("silenced", {"metadata": "read", "contents": "write"}, OWNER)
    assert await subject.ended() == "error"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["uninstall", "suspend"])
async def test_uninstalling_the_app_ends_the_run(harness: Harness, how: str) -> None:
    subject = await at_work(harness, [FIX], ENDLESS, owner=f"{how}ed")
    getattr(harness.github, how)(f"{how}ed", OWNER)
    assert await subject.ended() in ("stopped", "error")


async def test_removing_the_repository_ends_the_run(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS, owner="choosy")
    harness.github.cover(subject.repository, covered=False)
    assert await subject.ended() in ("stopped", "error")


async def test_archiving_the_repository_ends_the_run(harness: Harness) -> None:
    subject = await at_work(harness)
    await harness.github.archive(subject.repository, OWNER)
    assert await subject.ended() == "error"
    assert subject.pulls == []


async def test_a_repository_renamed_during_the_run_gets_its_pull_request(harness: Harness) -> None:
    subject = await at_work(harness)
    new = await harness.github.rename(subject.repository, f"{subject.repository[7:]}-new", OWNER)
    renamed = Subject(harness, new, subject.number)
    await renamed.settled()
    assert renamed.labels == ["honk:done"]
    assert renamed.check.conclusion == "success"


@pytest.mark.slow
async def test_work_that_is_brought_under_the_old_name_comes_under_the_new_one(
    harness: Harness,
) -> None:
    more = {"use": [{"bash": {"command": "echo more > notes.txt"}}], "seconds": 1.0}
    looks = {"use": [{"bash": {"command": "ls"}}], "seconds": 2.0}
    subject = await at_work(harness, [FIX], looks, more, [FINISH])
    kept = harness.github.world.repository(subject.repository).git.path / "refs" / "honk"
    await harness.until(kept.is_dir, "the work was not brought to GitHub")
    new = await harness.github.rename(subject.repository, f"{subject.repository[7:]}-then", OWNER)
    renamed = Subject(harness, new, subject.number)
    await renamed.settled()
    assert renamed.labels == ["honk:done"]
    assert await renamed.git("show", f"{renamed.check.head_sha}:notes.txt") == "more\n"


async def test_stop_works_under_the_new_name(harness: Harness) -> None:
    subject = await at_work(harness, [FIX], ENDLESS)
    await subject.at_work(turns=2)
    new = await harness.github.rename(subject.repository, f"{subject.repository[7:]}-now", OWNER)
    renamed = Subject(harness, new, subject.number)
    await renamed.comment("/honk stop")
    await renamed.settled()
    assert "**Stopped.**" in renamed.status
    assert BRANCH in renamed.last_words


async def test_drafts_that_the_plan_refuses_say_so_in_the_title(harness: Harness) -> None:
    subject = await harness.subject(
        files={**PROJECT, ".github/honk.yml": b"corrections: 0\n"},
        plays=script({"use": [{"bash": {"command": "echo 'double = str' >> calc.py"}}]}, [FINISH]),
        private=True,
    )
    harness.github.repository(subject.repository).drafts_allowed = False
    await subject.label()
    await subject.settled()
    assert subject.pull.title == "Not ready: add() subtracts"
    assert subject.pull.pull is not None
    assert not subject.pull.pull.draft
    assert subject.pull.pull.reviewers == []
    assert subject.check.conclusion == "failure"
    assert "not ready" in subject.last_words.lower()
