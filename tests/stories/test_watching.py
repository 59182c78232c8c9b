"""What an operator sees: correct metrics and readiness."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.harness import (
    FINISH,
    FIX,
    Fleet,
    Harness,
    in_one_process,
    open_fleet,
    open_harness,
    script,
)
from tests.support.postgres import Postgres

SLEEPS = {"bash": {"command": "sleep 20"}}
LAG_LOOKS = "honk_process_loop_lag_seconds_count"


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def _figures(url: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus reads them."""
    answer = await _get(f"{url}/metrics")
    assert answer.status_code == 200, answer.text
    return {
        " ".join(
            [sample.name, *(sample.labels[name] for name in sorted(sample.labels))]
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def _of(harness: Harness) -> dict[str, float]:
    return await _figures(harness.url)


@pytest.mark.slow
@in_one_process("each process counts for itself; here all is counted by one")
async def test_the_figures_tell_what_a_run_did() -> None:
    async with open_harness(LOG_FORMAT="json") as harness:
        fresh = await _of(harness)
        assert fresh["honk_runs queued"] == 0
        assert fresh["honk_usd_total"] == 0
        subject = await harness.subject(plays=script([SLEEPS], [FIX], [FINISH]), name="watched")
        await subject.label()
        await harness.until(lambda: subject.labels == ["honk:running"], "it does not work")
        during = await _of(harness)
        assert during["honk_runs working"] == 1
        assert during["honk_workers"] == 1
        async with asyncio.timeout(harness.patience):
            while (await _of(harness))["honk_model_turns_total"] < 1:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.1)
        await subject.comment("/honk stop")
        await subject.settled()
        second = await harness.subject(plays=script([FIX], [FINISH]))
        await second.label()
        await second.settled()

        after = await _of(harness)
        assert after["honk_runs working"] == 0
        assert after["honk_runs_finished_total stopped"] == 1
        assert after["honk_runs_finished_total done"] == 1
        assert after["honk_phase_seconds_count working"] == 2
        assert after["honk_phase_seconds_bucket +Inf verifying"] == 1
        assert after["honk_phase_seconds_sum verifying"] > 0
        assert after["honk_model_turns_total"] == 3
        assert after["honk_model_tokens_total output"] > 0
        assert after["honk_usd_total"] > 0
        assert after["honk_process_deliveries_total 202"] == 4
        assert after["honk_process_deliveries_total 204"] > 0
        assert after["honk_github_calls_total api_calls"] > 10
        assert after["honk_process_github_answers_total 200"] > 0
        assert after[LAG_LOOKS] > during[LAG_LOOKS] > 0
        assert after["honk_queue_age_seconds runs"] == 0
        _check_the_log(harness)
        # Metrics in the database survive the process.
        await harness.stop()
        await harness.start()
        again = await _of(harness)
        assert again["honk_runs_finished_total done"] == 1
        assert again["honk_usd_total"] == after["honk_usd_total"]


def _check_the_log(harness: Harness) -> None:
    """Every log line about a run or a request has its id."""
    lines = [json.loads(line) for line in harness.log().splitlines() if line.startswith("{")]
    steps = ("app.runs.steps", "app.runs.workflow", "app.runs.durable", "app.agent", "app.verify")
    said = [line for line in lines if line["logger"].startswith(steps)]
    assert said
    assert [line for line in said if "run" not in line] == []
    heard = [line for line in lines if line["logger"].startswith("app.runs.dispatch")]
    assert [line for line in heard if "trigger" not in line] == []


@pytest.mark.slow
async def test_readiness_means_it(postgres: Postgres) -> None:
    settings = {"HONK_METRICS_PORT": "0", "HONK_LEASE_SECONDS": "16"}
    async with open_fleet(postgres.database(), workers=1, settings=settings) as fleet:
        assert fleet.honk is not None
        web, worker = fleet.honk.url, await _told_by(fleet)
        slots = [(await _figures(url))["honk_worker_slots"] for url in (web, worker)]
        assert slots[0] == slots[1] > 0
        for url in (web, worker):
            assert await _status(f"{url}/readyz") == 200

        postgres.stop()
        try:
            assert await _status(f"{web}/readyz") == 503
            assert await _status(f"{web}/metrics") == 503
            # Not renewed for half a lease; after three quarters the worker ends itself.
            await _answers(f"{worker}/readyz", 503)
            for url in (worker, web):
                assert await _status(f"{url}/healthz") == 200
        finally:
            postgres.start()
        assert await _status(f"{web}/readyz") == 200


async def _status(url: str) -> int:
    return (await _get(url)).status_code


async def _answers(url: str, status: int) -> None:
    """Wait until it does."""
    for _ in range(100):
        if await _status(url) == status:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{url} never answered with {status}")


async def _told_by(fleet: Fleet) -> str:
    """The URL of the first worker's metrics, as logged once they are available."""
    log, said = fleet.workers[0], re.compile(r"Metrics on (\S+)")
    await fleet.until(lambda: said.search(log.log) is not None, "no metrics are told")
    found = said.search(log.log)
    assert found is not None
    return found[1]
