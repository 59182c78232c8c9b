"""Several workers on Postgres: one may die or be replaced at any time without a visible effect."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

import pytest

from app import log_events
from app.playground.model import ScriptedTurn
from tests.support.harness import FINISH, FIX, Subject, open_fleet, script
from tests.support.postgres import Postgres

LOOKS = [{"use": [{"bash": {"command": f"echo {n}"}}], "seconds": 0.4} for n in range(2)]


@dataclass
class _Patient:
    """A model that keeps reading files until a message ends it."""

    enough: bool = False
    looks: int | None = None

    def __call__(self, request: dict[str, Any]) -> ScriptedTurn:
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        if self.enough and self.looks is None:
            self.looks = turn
        if self.looks is None or turn < self.looks:
            look = {"bash": {"command": f"echo {turn}"}}
            return ScriptedTurn(use=(look if turn else FIX,), seconds=0.4)
        return ScriptedTurn(use=({"verify": {}},) if turn == self.looks else (FINISH,))


def _ended_well(subject: Subject) -> None:
    assert subject.check.conclusion == "success"
    assert "**Done.**" in subject.status
    assert "is ready for your review" in subject.last_words
    assert subject.labels == ["honk:done"]
    assert len(subject.pulls) == 1


@pytest.mark.slow
async def test_another_worker_goes_on_with_what_a_killed_one_had_at_work(
    postgres: Postgres,
) -> None:
    async with open_fleet(postgres.database(), workers=2) as fleet:
        subject = await fleet.subject(plays=script([FIX], *LOOKS, [{"verify": {}}], [FINISH]))
        await subject.label()
        repository = fleet.github.world.repository(subject.repository)
        kept = repository.git.path / "refs" / "honk"
        await fleet.until(kept.is_dir, "the work was not brought to GitHub")
        killed = fleet.at_work_on(subject)
        killed.process.kill()
        await subject.settled()

        heir = fleet.at_work_on(subject)
        assert heir is not killed
        # On another machine: the work so far came from GitHub.
        assert log_events.RUN_MOVED_HERE in heir.log
        assert "records_lost=0" in heir.log
        _ended_well(subject)


@pytest.mark.slow
async def test_a_worker_that_hangs_ends_itself_and_its_runs_go_on(postgres: Postgres) -> None:
    async with open_fleet(postgres.database(), workers=2) as fleet:
        subject = await fleet.subject(plays=script([FIX], *LOOKS, [{"verify": {}}], [FINISH]))
        await subject.label()
        await fleet.until(lambda: len(fleet.model.requests) > 1, "the model was not asked")
        hung = fleet.at_work_on(subject)
        hung.process.send_signal(signal.SIGSTOP)
        await subject.settled()
        hung.process.send_signal(signal.SIGCONT)

        assert await hung.ended() == 75
        assert log_events.WORKER_ENDS_ITSELF in hung.log
        _ended_well(subject)


@pytest.mark.slow
async def test_a_worker_that_is_replaced_hands_over_what_it_has_at_work(
    postgres: Postgres,
) -> None:
    async with open_fleet(postgres.database(), workers=1) as fleet:
        model = _Patient()
        subject = await fleet.subject(plays=model)
        await subject.label()
        # More often than a run may kill its worker: a deployment is not a crash.
        for _ in range(3):
            old = fleet.workers[-1]
            asked = len(fleet.model.requests)
            await fleet.until(
                lambda asked=asked: len(fleet.model.requests) > asked,  # type: ignore[misc]
                "the model was not asked",
            )
            new = await fleet.add_worker()
            old.process.terminate()
            assert await old.ended() == 0, old.log[-5000:]
            await fleet.until(
                lambda new=new: log_events.ATTEMPT_STARTED in new.log,  # type: ignore[misc]
                "not taken over",
            )
        # Once more, in the middle of the tests: the sealed commit is not on the next machine.
        old, new = fleet.workers[-1], await fleet.add_worker()
        model.enough = True
        repository = fleet.github.world.repository(subject.repository)
        await fleet.until(lambda: bool(repository.check_runs()), "nothing was sealed")
        old.process.terminate()
        assert await old.ended() == 0, old.log[-5000:]
        await subject.settled()
        assert fleet.at_work_on(subject) is new

        _ended_well(subject)
        # No recorded step ran again.
        assert model.looks is not None
        assert len(fleet.model.requests) <= model.looks + len(("verify", "finish")) + 4


@pytest.mark.slow
async def test_a_restarted_postgres_ends_no_worker(postgres: Postgres) -> None:
    async with open_fleet(
        postgres.database(), workers=2, settings={"HONK_LEASE_SECONDS": "30"}
    ) as fleet:
        subject = await fleet.subject(plays=script([FIX], *LOOKS, [{"verify": {}}], [FINISH]))
        await subject.label()
        await fleet.until(lambda: len(fleet.model.requests) > 1, "the model was not asked")
        postgres.restart()
        await subject.settled()

        assert all(worker.process.poll() is None for worker in fleet.workers)
        _ended_well(subject)
