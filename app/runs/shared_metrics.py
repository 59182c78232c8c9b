"""Metrics of all processes together, read from the database.

Every process reports the same values: scrape one of them, or take the maximum.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any, get_args

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from app.domain.pending import Cause
from app.domain.run import Phase
from app.runs.queue import TriggerQueue
from app.store import totals
from app.store.database import Database
from app.store.pending import pending_counts
from app.store.schema import runs, workers
from app.store.schema import totals as counted


async def shared_metrics(database: Database, queue: TriggerQueue) -> list[Metric]:
    """The metrics. Raises RetryableError while the database is unavailable."""
    rows, oldest = await asyncio.gather(database.run(_read), queue.oldest_enqueued_at())
    return [*_gauges(rows, oldest), *_counters(rows["totals"]), _phases(rows["totals"])]


def _read(connection: sa.Connection) -> dict[str, Any]:
    alive = runs.c.finished_at.is_(None)
    waits = sa.and_(alive, runs.c.admitted_at.is_(None))
    phases = sa.select(runs.c.phase, sa.func.count().label("number")).where(alive)
    phases = phases.group_by(runs.c.phase)
    capacity = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(workers.c.slots), 0))
    by_name: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, label, value in connection.execute(sa.select(counted)):
        by_name[name][label] = value
    return {
        "phases": {row.phase: row.number for row in connection.execute(phases)},
        "asked": connection.execute(sa.select(sa.func.min(runs.c.asked_at)).where(waits)).scalar(),
        "workers": connection.execute(capacity.select_from(workers)).one(),
        "totals": by_name,
        "pending": pending_counts(connection),
    }


def _gauges(rows: dict[str, Any], oldest: float | None) -> list[Metric]:
    live = GaugeMetricFamily("honk_runs", "Runs that have not ended, by phase.", labels=["phase"])
    for phase in Phase:
        if phase is not Phase.FINISHED:
            live.add_metric([phase.value], rows["phases"].get(phase.value, 0))
    age = GaugeMetricFamily(
        "honk_queue_age_seconds",
        "Age of the oldest entry: runs waiting for a slot, triggers waiting to be handled.",
        labels=["queue"],
    )
    now = time.time()
    for name, since in (("runs", rows["asked"]), ("intake", oldest)):
        age.add_metric([name], 0.0 if since is None else max(0.0, now - since))
    pending = GaugeMetricFamily(
        "honk_requests_pending",
        "Accepted requests that are waiting to be handled, by the cause of the delay.",
        labels=["cause"],
    )
    numbers = {each.cause: each.number for each in rows["pending"]}
    for cause in get_args(Cause):
        pending.add_metric([cause], numbers.get(cause, 0))
    number, slots = rows["workers"]
    return [
        live,
        age,
        pending,
        GaugeMetricFamily("honk_workers", "Running workers.", value=number),
        GaugeMetricFamily(
            "honk_worker_slots", "Runs that they can work on concurrently.", value=slots
        ),
    ]


def _counters(found: dict[str, dict[str, float]]) -> list[Metric]:
    families = []
    for name, metric, help_, label in totals.COUNTERS:
        values = found.get(name, {})
        if label is None:
            families.append(CounterMetricFamily(metric, help_, value=values.get("", 0.0)))
            continue
        family = CounterMetricFamily(metric, help_, labels=[label])
        for each, value in sorted(values.items()):
            family.add_metric([each], value)
        families.append(family)
    return list(families)


def _phases(found: dict[str, dict[str, float]]) -> Metric:
    family = HistogramMetricFamily(
        "honk_phase_seconds", "How long the phases of ended attempts took.", labels=["phase"]
    )
    counts = found.get(totals.PHASE_COUNTS, {})
    for phase, seconds in sorted(found.get(totals.PHASE_SECONDS, {}).items()):
        below, buckets = 0.0, []
        for bound in [*map(str, totals.PHASE_BOUNDS), "inf"]:
            below += counts.get(f"{phase} {bound}", 0.0)
            buckets.append(("+Inf" if bound == "inf" else bound, below))
        family.add_metric([phase], buckets, seconds)
    return family
