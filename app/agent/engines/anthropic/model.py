"""The model behind a small protocol, and its one implementation over the Messages API.

The SDK does not retry once a stream has started, so its own retries are off and `turn` follows
`retrying.MODEL`: a stream that breaks is requested again with the same messages, and no partial
answer leaves this module. Outside contract: https://platform.claude.com/docs/en/api/errors and
https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, cast

import httpx2

from app import retrying, tracing
from app.agent.engines.anthropic.providers import Provider
from app.agent.engines.anthropic.stream import Assembly
from app.domain.values import Value
from app.errors import HonkError, RetryableError, UserError
from app.outgoing import DIRECT, Outgoing, proxy_trust, untrusted
from app.retrying import RetryRule, retry
from app.settings import Effort

if TYPE_CHECKING:
    # Importing this takes half of the worker's start time, so `AnthropicModel.warm` does it.
    import anthropic
    from anthropic.types import MessageParam, ToolUnionParam
    from anthropic.types.text_block_param import TextBlockParam

    from app.agent.engines.anthropic.providers import Client

Block = dict[str, Any]
"""One content block of a message, as the API writes it: plain JSON."""

MAX_OUTPUT_TOKENS = 32_000

# Detect connections that a NAT or proxy on the way has dropped.
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
)
_EPHEMERAL = {"type": "ephemeral"}
# Models older than adaptive thinking support neither it nor an effort.
_NO_EFFORT = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5")
_OUT_OF_MONEY = ("credit balance", "usage limit", "spend limit", "billing")
_TOO_LONG = ("too long", "exceed context limit")
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class PromptTooLongError(HonkError):
    """The conversation does not fit the model's context window. Compact it and retry."""


class StaleThinkingError(HonkError):
    """The API no longer accepts recorded thinking, because the messages before it have changed."""


class ModelRefusedRequestError(UserError):
    """The API says that the request is malformed, so a retry is useless."""


class Diligence(Value):
    """The model's effort for an answer, in the API's terms. Without `effort`, the model's
    default.
    """

    effort: Effort | None = None
    thinking: Literal["adaptive", "between_tools", "disabled"] = "adaptive"


USUAL = Diligence()


class ModelRequest(Value):
    """One request for a turn. `messages` are in the API's shape, without cache marks.

    With `summarize` the API answers with a summary of the messages, written by these instructions,
    in a `compaction` block.
    """

    model: str
    system: str
    tools: tuple[Block, ...]
    messages: tuple[Block, ...]
    max_tokens: int = MAX_OUTPUT_TOKENS
    diligence: Diligence = USUAL
    summarize: str = ""


class ModelTurn(Value):
    """One complete answer.

    `content` is verbatim (signatures of thinking too), `usage` the API's block, `discarded` the
    usage of streams that broke off and were requested again: they cost money as well.
    `refusal` is the API's explanation when `stop_reason` is `refusal`.
    """

    content: tuple[Block, ...]
    stop_reason: str
    usage: Block
    discarded: tuple[Block, ...] = ()
    refusal: str = ""


class Model(Protocol):
    """A model that answers with turns."""

    async def turn(self, request: ModelRequest) -> ModelTurn:
        """Ask for one turn.

        Raises PromptTooLongError, StaleThinkingError, UserError (the operator must act) or
        RetryableError (the service stayed unavailable).
        """
        ...


class AnthropicModel:
    """The Messages API, streamed, with prompt caching and adaptive thinking.

    One instance, and so one pool of connections, serves a whole worker; close it with `aclose`.
    Times are in seconds: `read_timeout` is how long a stream may be silent (the API pings every
    few seconds).
    """

    def __init__(
        self,
        provider: Provider,
        *,
        rule: RetryRule = retrying.MODEL,
        connect_timeout: float = 10.0,
        read_timeout: float = 180.0,
        outgoing: Outgoing = DIRECT,
        sleep: retrying.Sleep = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._rule = rule
        self._sleep = sleep
        self._outgoing = outgoing
        self._timeout = httpx2.Timeout(read_timeout, connect=connect_timeout, write=60.0, pool=60.0)

    @cached_property
    def _client(self) -> Client:
        return self._provider.connect(
            httpx2.AsyncClient(
                timeout=self._timeout,
                transport=self._transport(),
                # The SDK's own client would follow, and take the key along to any host.
                follow_redirects=False,
                trust_env=False,
            )
        )

    def _transport(self) -> httpx2.AsyncHTTPTransport:
        trust = self._outgoing.trust
        proxy = self._outgoing.proxy_for(self._provider.url)
        through = (
            None if proxy is None else httpx2.Proxy(proxy, ssl_context=proxy_trust(proxy, trust))
        )
        return httpx2.AsyncHTTPTransport(
            verify=trust,
            proxy=through,
            trust_env=False,
            # A tool call often takes longer than the five seconds that are the default.
            limits=httpx2.Limits(
                max_connections=200, max_keepalive_connections=50, keepalive_expiry=300
            ),
            socket_options=_ALIVE,
        )

    async def warm(self) -> None:
        """Import the SDK in a thread; otherwise the first turn does."""
        await asyncio.to_thread(importlib.import_module, "anthropic")

    async def aclose(self) -> None:
        """Close the pool of connections."""
        if "_client" in self.__dict__:
            await self._client.close()

    async def turn(self, request: ModelRequest) -> ModelTurn:
        """See `Model.turn`."""
        discarded: list[Block] = []
        numbers = itertools.count(1)

        async def attempt() -> ModelTurn:
            number = next(numbers)
            with tracing.span("model turn", outside=True, model=request.model, attempt=number):
                return await self._stream(request, discarded)

        turn = await retry(attempt, self._rule, sleep=self._sleep)
        return turn.model_copy(update={"discarded": tuple(discarded)})

    async def probe(self, model: str) -> None:
        """Request one token, once. Raises as `turn`."""
        import anthropic

        try:
            await self._client.messages.create(
                model=self._provider.wire_name(model),
                max_tokens=1,
                messages=[{"role": "user", "content": "Hi"}],
            )
        except anthropic.APIStatusError as error:
            self._raise_status(error)
        except (anthropic.APIConnectionError, httpx2.TransportError) as error:
            raise _unreachable(error) from None
        except ValueError:
            raise RetryableError("The model's answer could not be read.") from None

    async def _stream(self, request: ModelRequest, discarded: list[Block]) -> ModelTurn:
        """One attempt. Adds the usage of a failed one to `discarded`."""
        import anthropic

        answer = Assembly()
        try:
            parameters = parameters_of(request)
            parameters["model"] = self._provider.wire_name(request.model)
            stream = await self._client.messages.create(**parameters, stream=True)
            async with stream:
                async for event in stream:
                    # Blocks that this version of the SDK does not know are kept as they came.
                    answer.add(event.to_dict(mode="python", warnings=False))
        except anthropic.APIStatusError as error:
            _keep_usage(answer, discarded)
            self._raise_status(error)
        except (anthropic.APIConnectionError, httpx2.TransportError) as error:
            _keep_usage(answer, discarded)
            raise _unreachable(error) from None
        except ValueError:
            # Not JSON, or not a message stream: it was cut off or altered in transit.
            _keep_usage(answer, discarded)
            raise RetryableError("The model's answer could not be read.") from None
        if answer.usage is None or answer.stop_reason is None:
            _keep_usage(answer, discarded)
            raise RetryableError("The model's answer was cut off.")
        return _whole_turn(answer, answer.stop_reason, answer.usage)

    def _raise_status(self, error: anthropic.APIStatusError) -> NoReturn:
        """Convert an error of the API to one of Honk's.

        An `event: error` inside a stream comes with status 200; its type has the real one.
        """
        status = error.status_code
        if status == 200:
            status = _STATUS_OF.get(error.type or "", 500)
        words = error.api_message or "no explanation was given"
        for secret in self._provider.secrets:
            words = words.replace(secret, "[key]")
        raise_by_status(status, words, _retry_after(error.response), self._provider.credentials)


def _unreachable(error: Exception) -> HonkError:
    if untrusted(error.__cause__ or error):
        return UserError(
            "The certificate of the model's API is not trusted.",
            next_step="Honk's operator can set HONK_CA_BUNDLE to a file with the authority's "
            "certificate.",
        )
    return RetryableError(f"The model cannot be reached ({type(error).__name__}).")


def raise_by_status(
    status: int,
    words: str,
    retry_after: float | None,
    credentials: str = "ANTHROPIC_API_KEY to a valid key",
) -> NoReturn:
    """Raise our error for an HTTP status and the API's explanation.

    `credentials` says what to set when they were rejected, as `Provider.credentials`.
    """
    lowered = words.lower()
    if 300 <= status < 400:
        raise UserError(
            "The model's API redirects to another address; Honk does not follow with its key.",
            next_step="Honk's operator must set ANTHROPIC_BASE_URL to the right address.",
        ) from None
    if status == 401:
        raise UserError(
            "The model's API rejected the key.",
            next_step=f"Honk's operator must set {credentials}. Then comment `/honk continue`.",
        ) from None
    if status == 402 or (status == 400 and any(each in lowered for each in _OUT_OF_MONEY)):
        raise UserError(
            "The account that pays for the model is out of credit or at its spending limit.",
            next_step="Honk's operator must add credit or raise the limit. Then comment "
            "`/honk continue`.",
        ) from None
    if status == 403:
        raise UserError(
            f"The model's key does not have access: {words}.",
            next_step="Honk's operator must give the key access to the model. Then comment "
            "`/honk continue`.",
        ) from None
    if status == 404:
        raise UserError(
            f"The model's API answered “not found”: {words}.",
            next_step="Honk's operator must check HONK_MODEL, HONK_MODEL_MAX and "
            "ANTHROPIC_BASE_URL. Then comment `/honk continue`.",
        ) from None
    if status == 413 or (status == 400 and any(each in lowered for each in _TOO_LONG)):
        raise PromptTooLongError(words) from None
    if status == 400 and "thinking" in lowered and _means_stale_thinking(lowered):
        raise StaleThinkingError(words) from None
    if status in (408, 409, 429) or status >= 500:
        raise RetryableError(
            f"The model's API answered {status}: {words}", retry_after=retry_after
        ) from None
    raise ModelRefusedRequestError(
        f"The model's API refused the request ({status}): {words}",
        next_step="Comment `/honk retry` for a new run. If that fails too, "
        f"Honk's operator must check {'HONK_EFFORT, HONK_EFFORT_MAX, ' * ('effort' in lowered)}"
        "HONK_MODEL and ANTHROPIC_BASE_URL, or report a bug.",
    ) from None


def _means_stale_thinking(lowered: str) -> bool:
    signs = ("signature", "conversation", "cannot be modified", "different model")
    return any(sign in lowered for sign in signs)


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return max(float(response.headers.get("retry-after", "")), 0.0)
    except ValueError:
        return None


def _keep_usage(answer: Assembly, discarded: list[Block]) -> None:
    if answer.usage is not None:
        discarded.append(answer.usage)


def _whole_turn(answer: Assembly, stop_reason: str, usage: Block) -> ModelTurn:
    details = answer.stop_details
    return ModelTurn(
        content=answer.content(),
        stop_reason=stop_reason,
        usage=usage,
        refusal=str(details.get("explanation") or details.get("category") or ""),
    )


def parameters_of(request: ModelRequest) -> dict[str, Any]:
    """The SDK's parameters for the request, with cache marks."""
    system: list[TextBlockParam] = [
        {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
    ]
    parameters: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": system,
        "tools": cast("list[ToolUnionParam]", list(request.tools)),
        "messages": cast("list[MessageParam]", marked_for_cache(request.messages)),
    }
    if not request.model.startswith(_NO_EFFORT):
        # Newer models put their text between tool calls into thinking and show it only on
        # request: https://platform.claude.com/docs/en/build-with-claude/thinking
        parameters["thinking"] = {"type": request.diligence.thinking}
        if request.diligence.thinking == "adaptive":
            parameters["thinking"]["display"] = "summarized"
        if request.diligence.effort is not None:
            parameters["output_config"] = {"effort": request.diligence.effort}
    if request.summarize:
        # https://platform.claude.com/docs/en/build-with-claude/compaction-on-demand
        parameters["extra_headers"] = {"anthropic-beta": "compact-2026-09-04"}
        asking = {"type": "summarize", "instructions": request.summarize}
        parameters["extra_body"] = {"compaction": asking}
    return parameters


def marked_for_cache(messages: tuple[Block, ...]) -> list[Block]:
    """Mark the ends of the first and the last two user messages for caching.

    With the mark on the system prompt (which covers the tools before it), these are the four marks
    that the API allows. The second to last is where the previous request wrote its cache, so the
    API finds it even if a turn has more blocks than it looks back (20).
    """
    users = [i for i, message in enumerate(messages) if message["role"] == "user"]
    chosen = {*users[:1], *users[-2:]}
    return [_marked(m) if i in chosen else m for i, m in enumerate(messages)]


def _marked(message: Block) -> Block:
    *before, last = message["content"]
    return {**message, "content": [*before, {**last, "cache_control": _EPHEMERAL}]}
