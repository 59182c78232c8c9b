"""What became of a merge, by what was reported about its commit."""

from __future__ import annotations

from typing import Any

import pytest

from app import messages
from app.domain.after_merge import Fate, MergedDeployment, fate
from app.domain.values import CommitSha
from tests.support.workflow_runs import workflow_run

SHA = "a" * 40


def deployed(environment: str, state: str, *, flagged: bool = False) -> MergedDeployment:
    return MergedDeployment(environment=environment, is_flagged=flagged, state=state, status=1)


def run(**values: Any) -> Any:
    return workflow_run(CommitSha(SHA), "ci.yml", event="push").model_copy(update=values)


@pytest.mark.parametrize(
    ("deployments", "runs", "kind"),
    [
        ([], [], "nothing"),
        ([deployed("production", "success")], [], "live"),
        ([deployed("Production", "success")], [], "live"),
        ([deployed("eu-west", "success", flagged=True)], [], "live"),
        ([deployed("staging", "success")], [], "nothing"),
        ([deployed("staging", "failure")], [], "nothing"),
        ([deployed("production", "in_progress")], [], "running"),
        # It was replaced; whether it ever was in production is not known.
        ([deployed("production", "inactive")], [], "running"),
        ([deployed("production", "failure")], [], "failed"),
        ([deployed("prod", "success"), deployed("live", "error")], [], "failed"),
        ([deployed("prod", "success"), deployed("live", "queued")], [], "running"),
        # A deployment to production decides alone.
        ([deployed("production", "success")], [run(conclusion="failure")], "live"),
        ([], [run(conclusion="failure")], "failed"),
        ([], [run(conclusion="failure", event="pull_request")], "nothing"),
        ([], [run(conclusion="failure", event="schedule")], "nothing"),
        ([], [run(conclusion="failure"), run(status="in_progress", conclusion="")], "running"),
        ([], [run(conclusion="success")], "nothing"),
        ([], [run(conclusion="cancelled")], "nothing"),
    ],
)
def test_fate(deployments: list[MergedDeployment], runs: list[Any], kind: str) -> None:
    assert fate(deployments, runs).kind == kind


def test_each_report_has_another_key() -> None:
    one = fate([deployed("production", "success")], [])
    flapped = deployed("production", "success").model_copy(update={"status": 2})
    assert fate([flapped], []).key != one.key


def test_a_hostile_address_or_log_stays_text() -> None:
    bad = Fate(kind="failed", name="`@octocat`", url="javascript:alert(1)")
    text = messages.after_merge.failed(3, SHA, bad, "```\n@everyone <script>\n")
    assert "javascript" not in text
    assert text.index("````") < text.index("@everyone")
    broken = bad.model_copy(update={"url": "https://[x"})
    assert "[x" not in messages.after_merge.failed(3, SHA, broken, "")
    long = messages.after_merge.failed(3, SHA, bad, "x" * 100_000)
    assert len(long) < 6_000
    shown = messages.after_merge.live(3, SHA, bad.model_copy(update={"url": "https://x.example/"}))
    assert "`https://x.example/`" in shown
