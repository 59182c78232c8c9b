"""The agent's work is pushed to GitHub while it continues; in the end, the newest state is
there.
"""

from __future__ import annotations

import asyncio
import errno

import pytest
from structlog.testing import capture_logs

from app.domain.values import TreeSha
from app.errors import RetryableError
from app.runs.steps.handoff import background_pusher

A, B = (TreeSha(each * 40) for each in "ab")


class Hidden:
    """The hidden ref, as far as a courier knows it. A push is over when it is let through."""

    def __init__(self) -> None:
        self.pushed: list[TreeSha] = []
        self.problem: Exception | None = None
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def push(self, tree: TreeSha) -> None:
        self.begun.set()
        await self.open.wait()
        if self.problem is not None:
            raise self.problem
        self.pushed.append(tree)


def _nobody_is_shut_out() -> None:
    raise AssertionError("it is within reach")


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left"), LookupError("unforeseen")]
)
async def test_one_push_that_fails_is_not_the_last(problem: Exception) -> None:
    hidden = Hidden()
    hidden.problem = problem
    async with background_pusher(hidden.push, _nobody_is_shut_out) as courier, asyncio.timeout(5):
        with capture_logs() as lines:
            courier.send(A)
            await courier.flush()
        assert [line["exc_info"] for line in lines] == [True]
        hidden.problem = None
        courier.send(B)
        await courier.flush()
    assert hidden.pushed == [B]


async def test_work_that_is_taken_back_while_it_is_brought_is_taken_back_there() -> None:
    hidden = Hidden()
    async with background_pusher(hidden.push, _nobody_is_shut_out) as courier, asyncio.timeout(5):
        courier.send(A)
        await courier.flush()
        hidden.open.clear()
        hidden.begun.clear()
        courier.send(B)
        await hidden.begun.wait()
        courier.send(A)
        hidden.open.set()
        await courier.flush()
    assert hidden.pushed == [A, B, A]


async def test_a_failed_push_has_an_unknown_outcome() -> None:
    """Its answer may have been lost, so what was there before is brought again."""
    hidden = Hidden()
    async with background_pusher(hidden.push, _nobody_is_shut_out) as courier, asyncio.timeout(5):
        courier.send(A)
        await courier.flush()
        hidden.problem = RetryableError("The answer was lost.")
        courier.send(B)
        await courier.flush()
        hidden.problem = None
        courier.send(A)
        await courier.flush()
    assert hidden.pushed == [A, A]


async def test_what_is_there_is_not_brought_again() -> None:
    hidden = Hidden()
    async with background_pusher(hidden.push, _nobody_is_shut_out) as courier, asyncio.timeout(5):
        for tree in (A, A, B, B):
            courier.send(tree)
            await courier.flush()
        courier.send(A)
        courier.send(B)
        await courier.flush()
    assert hidden.pushed == [A, B]
