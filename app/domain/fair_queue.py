"""Picks the next waiting run, fairly between installations and between their repositories. Pure.

A free slot goes to the installation with the fewest active runs, then to the least recently served
one; within it to a repository by the same rule, and within that to the oldest request. So two
hundred waiting runs of one installation cannot keep another from the next free slot. A background
run starts only when no run that a person requested is waiting.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from app.domain.values import Value

Why = Literal["subject", "repository", "installation", "slots"]


class ConcurrencyLimits(Value):
    """How many runs may be active at once; None is unlimited."""

    repository: int | None = None
    installation: int | None = None


class QueuedRun(Value):
    """An unfinished run, as admission sees it."""

    id: str
    subject: str
    repository: str
    installation_id: int
    asked_at: float
    admitted: bool
    background: bool = False


class QueuePosition(Value):
    """A run's queue position: how many start before it, and why it has to wait.

    `why` is None if it can start now; `subject`: an earlier run on the same issue or pull
    request is unfinished; `repository` and `installation`: their limit is reached; `slots`:
    every slot is taken, or goes to runs ahead.
    """

    ahead: int
    why: Why | None


Served = Mapping[int | str, float]
"""When an installation (by its id) or a repository (by its name) was last given a slot."""


class FairQueue:
    """The active and the waiting runs. `served` breaks ties."""

    def __init__(
        self, live: Collection[QueuedRun], limits: ConcurrencyLimits, served: Served
    ) -> None:
        self._limits = limits
        self._served = dict(served)
        self._at_work: Counter[int | str] = Counter()
        self._subjects = {run.subject for run in live if run.admitted}
        for run in live:
            if run.admitted:
                self._at_work.update((run.installation_id, run.repository))
        self._queues: dict[tuple[int, str], deque[QueuedRun]] = defaultdict(deque)
        for run in sorted(live, key=_order):
            if not run.admitted:
                self._queues[run.installation_id, run.repository].append(run)
        self._moment = max(self._served.values(), default=0.0)

    def admit(self) -> Iterator[QueuedRun]:
        """Yield runs to admit, in order, until the limits allow no more."""
        while (found := self._next()) is not None:
            self._queues[found.installation_id, found.repository].remove(found)
            self._subjects.add(found.subject)
            self._at_work.update((found.installation_id, found.repository))
            self._moment += 1.0
            self._served |= dict.fromkeys((found.installation_id, found.repository), self._moment)
            yield found

    def _next(self) -> QueuedRun | None:
        best: tuple[tuple[float, ...], QueuedRun] | None = None
        for (installation, repository), queue in self._queues.items():
            if self._is_full(installation, repository):
                continue
            first = next((run for run in queue if run.subject not in self._subjects), None)
            if first is None:
                continue
            load = (*self._load(installation), *self._load(repository))
            rank = (float(first.background), *load, first.asked_at)
            if best is None or rank < best[0]:
                best = rank, first
        return None if best is None else best[1]

    def _load(self, who: int | str) -> tuple[float, float]:
        return float(self._at_work[who]), self._served.get(who, 0.0)

    def _is_full(self, installation: int, repository: str) -> bool:
        limits = self._limits
        return (
            limits.repository is not None and self._at_work[repository] >= limits.repository
        ) or (
            limits.installation is not None and self._at_work[installation] >= limits.installation
        )


def position_of(
    run: QueuedRun,
    live: Collection[QueuedRun],
    limits: ConcurrencyLimits,
    served: Served,
    *,
    slots: int,
) -> QueuePosition:
    """The position of a run that is not admitted yet. `slots` is the total over all workers."""
    earlier = [
        other
        for other in live
        if other.subject == run.subject and other.id != run.id and _is_before(other, run)
    ]
    if earlier:
        return QueuePosition(ahead=len(earlier), why="subject")
    ours = [other for other in live if other.repository == run.repository]
    if _is_full(ours, limits.repository):
        return QueuePosition(ahead=_ahead(run, ours), why="repository")
    ours = [other for other in live if other.installation_id == run.installation_id]
    if _is_full(ours, limits.installation):
        return QueuePosition(ahead=_ahead(run, ours), why="installation")
    free = slots - sum(other.admitted for other in live)
    # Every waiting run may start eventually: ignore the limits when counting who is ahead.
    order = FairQueue(live, ConcurrencyLimits(), served).admit()
    ahead = next((place for place, each in enumerate(order) if each.id == run.id), 0)
    return QueuePosition(ahead=ahead, why=None if ahead < free else "slots")


def _is_full(runs: Collection[QueuedRun], limit: int | None) -> bool:
    return limit is not None and sum(run.admitted for run in runs) >= limit


def _ahead(run: QueuedRun, others: Collection[QueuedRun]) -> int:
    return sum(not other.admitted and _is_before(other, run) for other in others)


def _is_before(other: QueuedRun, run: QueuedRun) -> bool:
    return other.admitted or _order(other) < _order(run)


def _order(run: QueuedRun) -> tuple[bool, float, str]:
    return run.background, run.asked_at, run.id
