"""What this process counts of itself, for Prometheus. What all of them share is in the database.

Names follow https://prometheus.io/docs/practices/naming/; docs/operations.md lists them.
"""

from __future__ import annotations

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
    "Deliveries that this process answered, by the answer's status.",
    ["answer"],
    registry=_registry,
)
GITHUB_ANSWERS = Counter(
    "honk_process_github_answers",
    "Requests of this process to GitHub's API, by the answer's status; none: there was no answer.",
    ["status"],
    registry=_registry,
)
GITHUB_SECONDS = Histogram(
    "honk_process_github_seconds",
    "How long GitHub's API took to answer this process.",
    registry=_registry,
)
SANDBOX_KILLS = Counter(
    "honk_process_sandbox_kills",
    "Commands in this process's sandboxes that were killed, by the limit that they passed.",
    ["why"],
    registry=_registry,
)


def exposition(shared: Iterable[Metric]) -> bytes:
    """This process's figures and the ones handed in, in Prometheus's text format."""
    together = CollectorRegistry()
    together.register(_Given(shared))
    return generate_latest(_registry) + generate_latest(together)


class _Given(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics
