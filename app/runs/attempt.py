"""One attempt of a run, as its steps share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from app.domain.run import RunInput
from app.domain.values import Value
from app.runs import durable
from app.runs.services import Services

P = ParamSpec("P")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True)
class Attempt:
    """The worker's services, the run, and the attempt's number, counted from 1."""

    services: Services
    run: RunInput
    number: int

    @property
    def subject(self) -> str:
        """The issue or pull request, as `owner/name#number`."""
        return f"{self.run.trigger.repository}#{self.run.trigger.number}"

    async def step(
        self,
        name: str,
        returns: type[V],
        function: Callable[Concatenate[Attempt, P], Awaitable[V]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> V:
        """Run `function` on this attempt as a recorded step, then save its GitHub call counts.

        A stop request ends a step that waits for a service. Raises what `durable.step` raises.
        """
        stop = self.services.stops.of(self.run.id)
        try:
            return await durable.step(name, returns, lambda: function(self, *args, **kwargs), stop)
        finally:
            await self.services.save_counts(self.run.id)

    async def final_step(
        self,
        name: str,
        returns: type[V],
        function: Callable[Concatenate[Attempt, P], Awaitable[V]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> V:
        """Like `step`, for what ends an attempt: a stop request does not cut it short."""
        try:
            return await durable.step(name, returns, lambda: function(self, *args, **kwargs))
        finally:
            await self.services.save_counts(self.run.id)
