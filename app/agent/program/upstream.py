"""The model's API behind the port in the sandbox: Honk's key, Honk's retries, one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from app import tracing
from app.agent.engines.anthropic.model import AnthropicModel
from app.agent.engines.anthropic.stream import Assembly
from app.errors import RetryableError
from app.retrying import retry

if TYPE_CHECKING:
    # Importing this takes half of the worker's start time, so `AnthropicModel.warm` does it.
    from anthropic import AsyncStream
    from anthropic.types.raw_message_stream_event import RawMessageStreamEvent

Json = dict[str, Any]


@dataclass(frozen=True)
class Forwarded:
    """One complete answer: the API's events, and the message that they form.

    `discarded` is the usage of answers that broke off and were requested again.
    """

    events: tuple[Json, ...]
    content: tuple[Json, ...]
    stop_reason: str
    usage: Json
    refusal: str
    discarded: tuple[Json, ...] = ()

    @property
    def message(self) -> Json:
        """The answer as one message, for a client that did not want events."""
        start = next(each["message"] for each in self.events if each["type"] == "message_start")
        return {
            **start,
            "content": list(self.content),
            "stop_reason": self.stop_reason,
            "usage": self.usage,
        }


class Upstream(AnthropicModel):
    """Forwards another client's complete requests to the Messages API."""

    async def forward(self, body: Json, betas: str, begun: Callable[[], None]) -> Forwarded:
        """Ask, streamed, with the body as it is. `begun` is called at an answer's first event.

        Nothing of an answer is passed on before it is whole. Raises as `turn`.
        """
        discarded: list[Json] = []

        async def attempt() -> Forwarded:
            with tracing.span("model turn", outside=True, model=str(body["model"])):
                return await self._forward(body, betas, begun, discarded)

        found = await retry(attempt, self._rule, sleep=self._sleep)
        return Forwarded(
            found.events,
            found.content,
            found.stop_reason,
            found.usage,
            found.refusal,
            tuple(discarded),
        )

    async def _forward(
        self, body: Json, betas: str, begun: Callable[[], None], discarded: list[Json]
    ) -> Forwarded:
        import anthropic

        answer, events = Assembly(), list[Json]()
        try:
            async with await self._open(body, betas) as stream:
                async for event in stream:
                    begun()
                    events.append(event.to_dict(mode="json"))
                    answer.add(event.to_dict(mode="python"))
        except anthropic.APIStatusError as error:
            self._keep(answer, discarded)
            self._raise_status(error)
        except (anthropic.APIConnectionError, httpx2.TransportError) as error:
            self._keep(answer, discarded)
            raise RetryableError(f"The model cannot be reached ({type(error).__name__}).") from None
        except ValueError:
            self._keep(answer, discarded)
            raise RetryableError("The model's answer could not be read.") from None
        if answer.usage is None or answer.stop_reason is None:
            self._keep(answer, discarded)
            raise RetryableError("The model's answer was cut off.")
        details = answer.stop_details
        return Forwarded(
            events=tuple(events),
            content=answer.content(),
            stop_reason=answer.stop_reason,
            usage=answer.usage,
            refusal=str(details.get("explanation") or details.get("category") or ""),
        )

    async def _open(self, body: Json, betas: str) -> AsyncStream[RawMessageStreamEvent]:
        from anthropic import AsyncStream
        from anthropic.types import Message
        from anthropic.types.raw_message_stream_event import RawMessageStreamEvent

        return await self._client.post(
            "/v1/messages",
            cast_to=Message,
            body={**body, "model": self._provider.wire_name(str(body["model"])), "stream": True},
            options={
                "headers": {"anthropic-beta": betas} if betas else {},
                "params": {"beta": "true"} if betas else {},
            },
            stream=True,
            stream_cls=AsyncStream[RawMessageStreamEvent],
        )

    @staticmethod
    def _keep(answer: Assembly, discarded: list[Json]) -> None:
        if answer.usage is not None:
            discarded.append(answer.usage)
