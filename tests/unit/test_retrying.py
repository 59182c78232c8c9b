from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import RetryableError, UserError
from app.retrying import Retries, RetryRule, exponential, retry


class _Service:
    """A service that fails as scripted, and the waits between the calls of it."""

    def __init__(self, *problems: Exception) -> None:
        self._problems: Iterator[Exception] = iter(problems)
        self.calls = 0
        self.slept: list[float] = []

    async def call(self) -> str:
        self.calls += 1
        for problem in self._problems:
            raise problem
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def _away(retry_after: float | None = None) -> RetryableError:
    return RetryableError("It is away.", retry_after=retry_after)


async def test_waits_in_order_until_the_call_succeeds() -> None:
    service = _Service(_away(), _away())
    assert await retry(service.call, RetryRule((1.0, 2.0, 3.0)), sleep=service.sleep) == "done"
    assert service.slept == [1.0, 2.0]


async def test_raises_the_last_failure_when_no_retry_is_left() -> None:
    last = _away()
    service = _Service(_away(), last)
    with pytest.raises(RetryableError) as caught:
        await retry(service.call, RetryRule((1.0,)), sleep=service.sleep)
    assert caught.value is last
    assert (service.calls, service.slept) == (2, [1.0])


async def test_other_errors_are_not_retried() -> None:
    service = _Service(UserError("No."))
    with pytest.raises(UserError):
        await retry(service.call, RetryRule((1.0,)), sleep=service.sleep)
    assert (service.calls, service.slept) == (1, [])


@pytest.mark.parametrize(
    ("rule", "waits"),
    [
        (RetryRule((2.0, 9.0)), [3.0, 9.0]),
        (RetryRule((2.0, 9.0), retry_after_wins=True), [3.0, 3.0]),
    ],
)
async def test_retry_after_is_honored(rule: RetryRule, waits: list[float]) -> None:
    service = _Service(_away(3.0), _away(3.0))
    await retry(service.call, rule, sleep=service.sleep)
    assert service.slept == waits


async def test_a_wait_that_is_too_long_ends_the_call() -> None:
    service = _Service(_away(61.0))
    with pytest.raises(RetryableError):
        await retry(service.call, RetryRule((1.0,), longest_wait=60.0), sleep=service.sleep)
    assert service.slept == []


async def test_all_waits_together_are_bounded() -> None:
    service = _Service(_away(40.0), _away(40.0), _away(40.0))
    rule = RetryRule((1.0, 1.0, 1.0), longest_total=100.0)
    with pytest.raises(RetryableError):
        await retry(service.call, rule, sleep=service.sleep)
    assert service.slept == [40.0, 40.0]


def test_jitter_stays_in_its_range() -> None:
    rule = RetryRule((10.0,) * 50, jitter=(0.5, 1.0))
    retries = Retries(rule)
    waits = [retries.next_wait() or 0.0 for _ in rule.waits]
    assert all(5.0 <= wait <= 10.0 for wait in waits)
    assert len(set(waits)) > 1
    assert retries.next_wait() is None


def test_exponential_waits_double_up_to_the_longest() -> None:
    assert exponential(0.5, 5, longest=3.0) == (0.5, 1.0, 2.0, 3.0, 3.0)
