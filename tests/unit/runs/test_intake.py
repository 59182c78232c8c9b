from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.run import Outcome, Phase
from app.domain.values import RepoName
from app.runs import intake
from app.runs.durable import NoResult
from app.runs.intake import DeliveredMessage


def test_what_another_version_recorded_of_hearing_is_read() -> None:
    assert DeliveredMessage.recorded(NoResult().model_dump(mode="json")) == DeliveredMessage(
        ended=None
    )
    assert NoResult.recorded(DeliveredMessage(ended=2).model_dump(mode="json")) == NoResult()


def row(name: str, mode: str, asked_at: float, outcome: Outcome | None = Outcome.ANSWERED) -> Any:
    actor = SimpleNamespace(id=7)
    trigger = SimpleNamespace(actor=actor)
    return SimpleNamespace(
        id=name,
        input=SimpleNamespace(mode=mode, quiet=False, trigger=trigger, request=""),
        asked_at=asked_at,
        finished_at=None if outcome is None else asked_at + 1,
        outcome=outcome,
        phase=Phase.WORKING,
        attempt=1,
        told_attempt=1,
        pull_number=None,
    )


async def state_of(monkeypatch: pytest.MonkeyPatch, *rows: Any, skip: bool = True) -> str | None:
    """The run that counts among the store's rows, which are sorted newest first."""

    async def of_subject(_: str) -> list[Any]:
        return list(rows)

    async def no_pull(*_: object) -> Any:
        return SimpleNamespace(number=None, ours=False)

    monkeypatch.setattr(intake, "_linked_pull", no_pull)
    monkeypatch.setattr(intake, "_END_POLL_SECONDS", 0)
    services: Any = SimpleNamespace(runs=SimpleNamespace(of_subject=of_subject))
    trigger: Any = SimpleNamespace(id="now", repository=RepoName.parse("acme/calc"), number=1)
    return (await intake.subject_state(services, trigger, skip_answered=skip)).run


async def test_an_answered_question_does_not_hide_the_run_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, ask = row("plan", "plan", 1), row("ask", "ask", 2)
    assert await state_of(monkeypatch, ask, plan) == "plan"
    assert await state_of(monkeypatch, ask, plan, skip=False) == "ask"
    assert await state_of(monkeypatch, ask) == "ask"
    failed = row("failed", "ask", 3, Outcome.ERROR)
    assert await state_of(monkeypatch, failed, ask, plan) == "failed"


async def test_a_run_that_was_resumed_is_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = row("ask", "ask", 2)
    resumed = row("plan", "work", 3, Outcome.DONE)
    assert await state_of(monkeypatch, ask, resumed, skip=False) == "plan"
