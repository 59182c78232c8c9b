"""The findings that doctor reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.messages import doctor_findings
from app.messages.doctor_findings import EVENTS, PERMISSIONS, RepositoryFinding

_MANIFEST = Path(__file__).parents[3] / "manifest.yml"


def test_the_manifest_asks_for_just_what_is_looked_for() -> None:
    text = _MANIFEST.read_text("utf-8")
    asked = dict(re.findall(r"^  (\w+): (read|write)$", text, re.M))
    assert asked == {name: level for name, (level, _) in PERMISSIONS.items()}
    assert re.findall(r"^  - (\w+)$", text, re.M) == list(EVENTS)


def test_more_than_was_asked_for_is_enough() -> None:
    granted = dict.fromkeys(PERMISSIONS, "admin")
    assert [each.mark for each in doctor_findings.permissions(granted, "")] == ["good"]
    granted["contents"] = "read"
    bad, good = doctor_findings.permissions(granted, "https://github.test/i/1")
    assert (bad.mark, good.mark) == ("bad", "good")
    assert "`contents: write` is missing" in bad.text
    assert "https://github.test/i/1" in bad.todo


def test_events_that_are_not_sent() -> None:
    (missing,) = doctor_findings.events([name for name in EVENTS if name != "issue_comment"])
    assert (
        missing.text
        == "not subscribed to `issue_comment`, so Honk does not see `/honk` in comments."
    )


@pytest.mark.parametrize(
    ("status", "lost", "mark"), [(202, 0, "good"), (202, 3, "note"), (502, 1, "bad")]
)
def test_deliveries(status: int, lost: int, mark: str) -> None:
    (found,) = doctor_findings.deliveries("issues", status, 600.0, lost, 50)
    assert found.mark == mark
    assert "10 minutes ago" in found.text


def test_a_rule_cannot_break_out_of_its_line() -> None:
    nasty = {"pattern": "`@everyone`\n- x"}
    (found,) = doctor_findings.rules("honk/1", [("branch_name_pattern", nasty, "a`b")], ours=True)
    assert "\n" not in doctor_findings.report([found]).split("\n\n", 1)[1]
    code = "its name must match `` `@everyone` - x `` (`branch_name_pattern` from ``a`b``)."
    assert found.text == code


def test_the_heading_shows_how_much_there_is_to_do() -> None:
    good = RepositoryFinding(mark="good", about="a", text="fine.")
    unknown = doctor_findings.not_seen("b", "Away.")
    assert doctor_findings.report([good]).startswith("**Everything works**.")
    assert doctor_findings.report([good, unknown]).startswith("**Everything works**; 1 note.")
    (bad,) = doctor_findings.tests([])
    assert doctor_findings.report([bad]).startswith("**1 problem to fix**.")


def test_the_workflow_that_verifies_changes() -> None:
    (gone,) = doctor_findings.tests_of_ci("ci.yml", "", may_start=True)
    assert (gone.mark, "does not exist" in gone.text) == ("bad", True)
    (disabled,) = doctor_findings.tests_of_ci("ci.yml", "disabled_manually", may_start=True)
    assert (disabled.mark, "is disabled_manually" in disabled.text) == ("bad", True)
    (two,) = doctor_findings.tests_of_ci("ci.yml", "active", may_start=False)
    assert (two.mark, "actions: write" in two.todo) == ("note", True)
    (four,) = doctor_findings.tests_of_ci("ci.yml", "active", may_start=True)
    assert four.mark == "good"
