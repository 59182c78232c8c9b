"""Prometheus metrics of this process. Metrics shared by all processes are in the database.

Names follow https://prometheus.io/docs/practices/naming/; docs/operations.md lists them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_registry = CollectorRegistry()
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=_registry)

DELIVERIES = Counter(
    "honk_process_deliveries",
    "Webhook deliveries that this process answered, by status code.",
    ["answer"],
    registry=_registry,
)
GITHUB_ANSWERS = Counter(
    "honk_process_github_answers",
    "Requests of this process to GitHub's API, by status code; none: no response.",
    ["status"],
    registry=_registry,
)
GITHUB_SECONDS = Histogram(
    "honk_process_github_seconds",
    "Response times of GitHub's API in this process.",
    registry=_registry,
)
SANDBOX_KILLS = Counter(
    "honk_process_sandbox_kills",
    "Commands killed in this process's sandboxes, by the limit they exceeded.",
    ["why"],
    registry=_registry,
)
LOOP_LAG_SECONDS = Histogram(
    "honk_process_loop_lag_seconds",
    "Delay of this worker's event loop, sampled twice a second.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    registry=_registry,
)
LAG_SAMPLE_SECONDS = 0.5


async def keep_sampling_lag() -> None:
    """Sample the event loop's lag until cancelled."""
    while True:
        due = time.perf_counter() + LAG_SAMPLE_SECONDS
        await asyncio.sleep(LAG_SAMPLE_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, time.perf_counter() - due))


def exposition(shared: Iterable[Metric]) -> bytes:
    """This process's metrics and the given shared ones, in Prometheus's text format."""
    shared_registry = CollectorRegistry()
    shared_registry.register(_PrecomputedCollector(shared))
    return generate_latest(_registry) + generate_latest(shared_registry)


class _PrecomputedCollector(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics
