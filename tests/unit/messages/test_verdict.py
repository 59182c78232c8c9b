"""How each verdict reads in the check run, the pull request, the comments and the terminal."""

from __future__ import annotations

import re

import pytest

from app import messages
from app.domain import verdict as verdicts
from app.domain.flag import Flag, Kind
from app.domain.policy import Policy
from app.domain.report import Publication, Report, Usage, Work
from app.domain.run import Outcome, RunInput
from app.domain.trigger import AppIdentity, Trigger, from_event
from app.domain.values import CommitSha, RunId
from app.domain.verdict import (
    MAX_ROWS,
    Conclusion,
    EvidenceRow,
    Meaning,
    Seen,
    Verdict,
    VerdictKind,
)
from app.domain.verdict_words import NAMES
from app.github import webhooks
from app.messages.verdict import ACCEPTABLE
from app.runs import buttons
from tests.support.deliveries import encoded, labeled

SHA = CommitSha("1a2b3c4d5e" * 4)
NAME = "tests/test_names.py::TestName::test_accepts_empty_name"
COUNTS = verdicts.TestCounts(passed=411, skipped=3)

TITLES: dict[VerdictKind, tuple[str, Conclusion, bool, Meaning | None]] = {
    VerdictKind.NO_RESULT: ("the tests could not start", "failure", False, None),
    VerdictKind.REGRESSION: ("1 test that passed now fails", "failure", False, Meaning.REGRESSION),
    VerdictKind.WEAKENED: (
        "1 test passes only in its changed form", "failure", False, Meaning.WEAKENED
    ),
    VerdictKind.REMOVED: (
        "1 test that still passes on the new code", "action_required", False, Meaning.REMOVED
    ),
    VerdictKind.CONFIRM: (
        "1 test now expects something else", "action_required", False, Meaning.CONFIRM
    ),
    VerdictKind.NOT_PROVEN: (
        "no test fails without this change", "success", False, Meaning.UNPROVEN
    ),
    VerdictKind.NEW_CODE: (
        "1 test cannot run without this change", "success", True, Meaning.NEW_CODE
    ),
    VerdictKind.PROVEN: ("1 test fails without this change", "success", True, Meaning.PROVEN),
    VerdictKind.TESTS_ONLY: ("3 tests added, all pass on today's code", "success", True, None),
    VerdictKind.UNCHANGED: ("all 411 tests pass before and after", "success", True, None),
}  # fmt: skip


def verdict_of(kind: VerdictKind, *, rows: int = 1, accepted_by: str = "") -> Verdict:
    seen, conclusion, ready, meaning = TITLES[kind]
    row = EvidenceRow(
        verifier="pytest", id=NAME, base=Seen.PASS, head=Seen.PASS, file="tests/test_names.py",
        line=7, meaning=meaning or Meaning.NONE,
    )  # fmt: skip
    verdict = Verdict(
        kind=kind,
        title=f"{NAMES[kind]}: {seen}",
        conclusion=conclusion,
        ready=ready,
        rows=(row,) * rows if meaning else (),
        reasons=(f"{NAME} is what this is about.", "411 other tests pass before and after."),
        counts_after=COUNTS,
    )
    return messages.verdict.accept(verdict, accepted_by) if accepted_by else verdict


EVERY = [pytest.param(verdict_of(kind), id=kind.value) for kind in VerdictKind]
FLAG = Flag(kind=Kind.SNAPSHOT, file="a.snap", line=3, reason="A snapshot was rewritten.")
WORK = Work(ending="done", text="Empty names are rejected now.")
USAGE = Usage(cost_usd=0.5, model_turns=3, seconds=61)


@pytest.fixture(name="run")
def _run() -> RunInput:
    read = webhooks.read("issues", "application/json", encoded(labeled()))
    trigger = from_event("issues", read, AppIdentity(app_id=1, slug="honk"))
    assert isinstance(trigger, Trigger)
    return RunInput(
        id=RunId("abc"), trigger=trigger, policy=Policy(), base_branch="main", model="m"
    )


def visible(text: str) -> list[str]:
    """The lines that a reader sees."""
    return [line for line in text.splitlines() if line and not line.startswith("<!--")]


@pytest.mark.parametrize("verdict", EVERY)
def test_the_verdict_comes_first_and_nothing_is_zero(verdict: Verdict, run: RunInput) -> None:
    title = messages.check_run.title(verdict)
    summary = messages.check_run.summary(verdict, SHA, ("`pytest` exited with 0 (3 s).",), (FLAG,))
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE, (FLAG,))
    label = NAMES[verdict.kind]

    assert len(title) <= 60
    assert title.startswith(f"{label}: ")
    for text in (summary, body):
        name = f"`{NAME}`" if verdict.rows else NAME
        assert visible(text)[0].startswith(f"**{label}.** {name} is what this is about. 411 ")
        assert re.search(r"(?<![\d.,])0 (?!\()", text) is None
        assert text.index("**Review these first**") > text.index("411 other")
    assert "<details><summary>Commands and output</summary>" in summary
    assert body.index("411 other") < body.index("\nCloses #") < body.index("## Changes")


@pytest.mark.parametrize("verdict", EVERY)
def test_a_draft_says_what_has_to_happen_with_the_command_to_type(
    verdict: Verdict, run: RunInput
) -> None:
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE)
    step = messages.verdict.next_step(verdict, SHA)
    final = messages.comments.final_comment(
        run.id, 1, "olivia", Report(outcome=Outcome.NOT_READY, verdict=verdict, head_sha=SHA)
    )
    if verdict.ready:
        assert step == ""
        assert "**Draft.**" not in body
    else:
        assert f"**Draft.** {step}" in body
        assert re.search(r"`/honk [a-z<]", step)
        assert step in final
    assert ("`/honk accept`" in body) is (verdict.kind in ACCEPTABLE)
    assert verdict.title in final


@pytest.mark.parametrize("verdict", EVERY)
def test_the_button_accept_is_there_where_a_person_has_to_accept(verdict: Verdict) -> None:
    names = [action.identifier for action in buttons.of_verdict(verdict)]
    waits = verdict.kind in (VerdictKind.REMOVED, VerdictKind.CONFIRM)
    assert ("accept" in names) is waits
    assert ("fix" in names) is (waits or verdict.conclusion == "failure")
    assert ("retry" in names) is not verdict.ready
    unfinished = buttons.of_verdict(verdict, unfinished=True)
    assert "continue" in [action.identifier for action in unfinished]
    for action in unfinished:
        assert len(action.label) <= 20
        assert len(action.description) <= 40
    accepted = messages.verdict.accept(verdict, "olivia")
    assert buttons.of_verdict(accepted) == ()


@pytest.mark.parametrize("verdict", EVERY)
def test_all_surfaces_use_the_same_words(verdict: Verdict) -> None:
    report = Report(outcome=Outcome.DONE, verdict=verdict, check_url="https://x.example/1")
    assert f"[{verdict.title}](https://x.example/1)." in messages.outcome.result_line(report)
    assert messages.verdict.terminal(verdict)[0] == verdict.title
    assert verdict.title in messages.agent.feedback(verdict, "")


@pytest.mark.parametrize("kind", sorted(ACCEPTABLE))
def test_an_accepted_verdict_names_the_person(kind: VerdictKind, run: RunInput) -> None:
    verdict = verdict_of(kind, accepted_by="olivia")
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE)
    assert visible(body)[0].startswith("**Accepted** by `olivia`.")
    assert "**Draft.**" not in body
    assert messages.verdict.line(verdict).endswith(". Accepted by `olivia`.")
    assert len(verdict.title) <= 60


@pytest.mark.parametrize("kind", sorted(ACCEPTABLE))
@pytest.mark.parametrize("why", ["", "The judge objects."])
def test_accepting_changes_what_is_already_there_once(
    kind: VerdictKind, why: str, run: RunInput
) -> None:
    verdict = verdict_of(kind)
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE, (), "", why)
    accepted = messages.pull_request.with_acceptance(body, kind, "olivia", SHA)
    assert "**Accepted** by `olivia` for 1a2b3c4." in accepted
    assert "/honk accept" not in accepted
    assert ("**Draft.** The judge objects." in accepted) is bool(why)
    assert ("**Draft.**" in accepted) is bool(why)
    assert messages.pull_request.with_acceptance(accepted, kind, "walter", SHA) == accepted

    summary = messages.check_run.summary(verdict, SHA, ())
    title, page = messages.check_run.accepted(verdict.title, summary, kind, "olivia", SHA)
    assert title == f"Accepted: {TITLES[kind][0]}"
    assert page.startswith("**Accepted** by `olivia` for 1a2b3c4.")
    assert "/honk accept" not in page
    assert f"**{NAMES[kind]}.**" in page
    assert messages.check_run.accepted(title, page, kind, "walter", SHA) == (title, page)


def test_changed_expectations_are_a_table_and_a_bar_ends_no_cell(run: RunInput) -> None:
    verdict = verdict_of(VerdictKind.CONFIRM)
    row = verdict.rows[0].model_copy(update={"before": "a | b", "after": "error"})
    verdict = verdict.model_copy(update={"rows": (row,)})
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE)
    assert "| Test | Before | Now |" in body
    assert "| `test_accepts_empty_name` | `a \\| b` | `error` |" in body
    assert body.index("| Test |") < body.index("**Draft.**")


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f980"])
def test_fifty_thousand_tests_fit(letter: str, run: RunInput) -> None:
    names = [f"tests/test_{letter * 60}.py::test_{number}" for number in range(50_000)]
    changes = tuple(verdicts.TestChange(verifier="pytest", id=name) for name in names)
    rows = tuple(
        EvidenceRow(verifier="pytest", id=name, meaning=Meaning.REGRESSION, before=letter * 900)
        for name in names[:MAX_ROWS]
    )
    verdict = Verdict(
        kind=VerdictKind.REGRESSION,
        title="Regression: 50,000 tests that passed now fail",
        conclusion="failure",
        new_failures=changes,
        rows=rows,
        reasons=tuple(f"{letter * 700}." for _ in range(200)),
        counts_after=verdicts.TestCounts(failed=50_000),
    )
    flags = (FLAG.model_copy(update={"reason": letter * 3_000}),) * 500
    ran = tuple(f"`pytest {number}` {letter * 20_000}" for number in range(40))
    summary = messages.check_run.summary(verdict, SHA, ran, flags)
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE, flags)
    assert len(summary.encode()) <= 65_535
    assert len(body) <= 65_536
    assert summary.count("<details>") == summary.count("</details>")
    assert body.index("## Changes") > 0


def test_a_later_run_renews_the_verdict_and_adds_what_it_did(run: RunInput) -> None:
    body = messages.pull_request.body(run, WORK, verdict_of(VerdictKind.REGRESSION), SHA, USAGE)
    later = run.model_copy(update={"id": RunId("def"), "request": "Keep the old names"})
    proven, head = verdict_of(VerdictKind.PROVEN), "f" * 40
    block = messages.pull_request.verdict_block(later.id, proven, head)
    body = messages.pull_request.with_verdict(body, block)
    told = messages.pull_request.follow_up(later, WORK, proven, head, USAGE)
    body = messages.pull_request.with_follow_up(body, later.id, told)
    assert visible(body)[0].startswith("**Proven.**")
    assert "**Regression.**" not in body
    assert body.count("honk:verdict=") == 1
    assert body.index("## Changes") < body.index("## fffffff: Keep the old names")

    assert messages.pull_request.without_verdict(body, run.id) == body
    undone = messages.pull_request.without_verdict(body, later.id)
    assert visible(undone)[0].startswith("**Not tested**")


def test_the_name_of_a_test_can_not_end_the_block(run: RunInput) -> None:
    row = (
        verdict_of(VerdictKind.PROVEN)
        .rows[0]
        .model_copy(update={"id": "test[\n<!-- honk:verdict-end -->\n| @olivia]"})
    )
    verdict = verdict_of(VerdictKind.PROVEN).model_copy(
        update={"rows": (row,), "reasons": (f"{row.id} fails without this change.",)}
    )
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE)
    assert body.count("<!-- honk:verdict-end -->") == 1
    assert "`test[ <! -- honk:verdict-end --> | @olivia]` fails without this change." in body


def test_at_most_three_lines_are_pointed_at() -> None:
    verdict = verdict_of(VerdictKind.CONFIRM)
    rows = tuple(verdict.rows[0].model_copy(update={"line": line}) for line in (7, 7, 8, 9, 10))
    found = messages.verdict.doubts(verdict.model_copy(update={"rows": rows}))
    assert [row.line for row in found] == [7, 8, 9, 10]
    assert messages.verdict.NOTICES == 3
    title, message = messages.verdict.doubt(found[0])
    assert (title, message) == (NAME, "Expects something else now.")
    assert messages.verdict.doubts(verdict_of(VerdictKind.PROVEN)) == []


def test_the_agent_learns_what_it_can_do() -> None:
    told = {kind: messages.agent.what_to_do(verdict_of(kind)) for kind in VerdictKind}
    assert "Fix your change" in told[VerdictKind.REGRESSION]
    assert "Restore what they checked" in told[VerdictKind.WEAKENED]
    assert "asked only once" in told[VerdictKind.NOT_PROVEN]
    assert "could not start" in told[VerdictKind.NO_RESULT]
    for kind in ACCEPTABLE:
        assert "a person decides" in told[kind]
    feedback = messages.agent.feedback(verdict_of(VerdictKind.WEAKENED), "the evidence")
    assert f"- {NAME} (tests/test_names.py:7): Passes only because tests changed." in feedback
    assert "the evidence" in feedback


def test_a_verdict_over_two_runs_reads_as_before(run: RunInput) -> None:
    verdict = Verdict(
        conclusion="success",
        title="2 tests pass (1 fixed)",
        fixed=(verdicts.TestChange(verifier="pytest", id="test_a"),),
        reasons=("No tests ran on this commit.",),
        counts_after=verdicts.TestCounts(passed=2),
    )
    body = messages.pull_request.body(run, WORK, verdict, SHA, USAGE)
    assert visible(body)[0] == "**2 tests pass (1 fixed).**"
    assert "| Fixed | 1 |" in body
    assert "- Fixed: `test_a`" in body
    assert "- No tests ran on this commit." in body
    assert messages.verdict.next_step(verdict, SHA) == ""
    publication = Publication(branch="b", pull_number=3, pull_url="u", draft=False)
    report = Report(outcome=Outcome.DONE, verdict=verdict, publication=publication)
    assert "is ready for your review. 2 tests pass (1 fixed)." in messages.comments.final_comment(
        run.id, 1, "olivia", report
    )
