"""Which run gets the next slot, and the queue position of the others."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from app.domain.fair_queue import (
    ConcurrencyLimits,
    FairQueue,
    QueuedRun,
    QueuePosition,
    position_of,
)


def _run(
    id: str, repository: str = "a/a", installation: int = 1, at: float = 0.0, admitted: bool = False
) -> QueuedRun:
    return QueuedRun(
        id=id,
        subject=f"{repository}#{id}",
        repository=repository,
        installation_id=installation,
        asked_at=at,
        admitted=admitted,
    )


def _next(live: list[QueuedRun], limits: ConcurrencyLimits | None = None) -> list[str]:
    return [run.id for run in FairQueue(live, limits or ConcurrencyLimits(), {}).admit()]


def test_a_request_after_two_hundred_of_another_user_is_next() -> None:
    crowd = [_run(f"a{n:03}", at=float(n), admitted=n < 4) for n in range(200)]
    late = _run("late", "b/b", 2, at=999.0)

    assert _next([*crowd, late])[0] == "late"
    assert position_of(late, [*crowd, late], ConcurrencyLimits(), {}, slots=4) == QueuePosition(
        ahead=0, why="slots"
    )


def test_with_one_slot_two_crowds_take_turns() -> None:
    crowd = [
        _run(f"{who}{n}", f"{who}/r", i, at=i * 100.0 + n)
        for i, who in enumerate("ab")
        for n in range(3)
    ]

    hall = FairQueue(crowd, ConcurrencyLimits(), {0: 5.0, "a/r": 5.0})
    assert [run.id for run in islice(hall.admit(), 4)] == ["b0", "a0", "b1", "a1"]


def test_within_an_installation_its_repositories_take_turns() -> None:
    live = [_run(f"a{n}", "o/a", at=float(n)) for n in range(3)] + [_run("b", "o/b", at=9.0)]
    assert _next(live)[:2] == ["a0", "b"]


def test_the_same_subject_waits_for_its_own_earlier_run() -> None:
    first = _run("1", at=1.0, admitted=True)
    second = _run("2", at=2.0).model_copy(update={"subject": first.subject})

    assert _next([first, second]) == []
    found = position_of(second, [first, second], ConcurrencyLimits(), {}, slots=9)
    assert found == QueuePosition(ahead=1, why="subject")


def test_limits_keep_slots_free_and_are_shown() -> None:
    at_work = [_run(f"w{n}", "o/a", admitted=True) for n in range(2)]
    more = _run("more", "o/a", at=5.0)
    other = _run("other", "o/b", at=6.0)
    live = [*at_work, more, other]

    by_repository = ConcurrencyLimits(repository=2)
    assert _next(live, by_repository) == ["other"]
    assert position_of(more, live, by_repository, {}, slots=9).why == "repository"
    by_installation = ConcurrencyLimits(installation=2)
    assert _next(live, by_installation) == []
    found = position_of(other, live, by_installation, {}, slots=9)
    assert found == QueuePosition(ahead=1, why="installation")


def test_what_starts_now_says_so() -> None:
    live = [_run("1", at=1.0), _run("2", "b/b", 2, at=2.0)]
    assert position_of(live[1], live, ConcurrencyLimits(), {}, slots=2) == QueuePosition(
        ahead=1, why=None
    )
    assert position_of(live[1], live, ConcurrencyLimits(), {}, slots=1) == QueuePosition(
        ahead=1, why="slots"
    )


_lives = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 20), st.booleans()), max_size=25
).map(
    lambda rows: [
        _run(str(n), f"o{i}/r{r}", i, at=float(at), admitted=admitted)
        for n, (r, i, at, admitted) in enumerate(rows)
    ]
)


@given(_lives)
def test_everybody_who_waits_is_admitted_once(live: list[QueuedRun]) -> None:
    assert sorted(_next(live)) == sorted(run.id for run in live if not run.admitted)


@given(_lives, st.integers(1, 3), st.integers(1, 5))
def test_no_limit_is_ever_exceeded(
    live: list[QueuedRun], repository: int, installation: int
) -> None:
    waits = [run.model_copy(update={"admitted": False}) for run in live]
    limits = ConcurrencyLimits(repository=repository, installation=installation)
    admitted = list(FairQueue(waits, limits, {}).admit())
    for run in admitted:
        assert sum(run.repository == other.repository for other in admitted) <= repository
        theirs = [other for other in admitted if other.installation_id == run.installation_id]
        assert len(theirs) <= installation


def test_runs_in_the_background_wait_for_what_people_asked_for() -> None:
    behind = [
        _run(f"check{n}", at=float(n)).model_copy(update={"background": True}) for n in range(3)
    ]
    asked = [_run("one", at=10.0), _run("two", "b/b", 2, at=11.0)]
    assert sorted(_next([*behind, *asked])[:2]) == ["one", "two"]
    position = position_of(asked[0], [*behind, *asked], ConcurrencyLimits(), {}, slots=1)
    assert position.ahead == 0
    last = position_of(behind[0], [*behind, *asked], ConcurrencyLimits(), {}, slots=1)
    assert (last.ahead, last.why) == (2, "slots")
