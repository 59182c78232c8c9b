"""What a turn of the model cost, in US dollars.

The prices are the public list prices per million tokens (platform.claude.com, "Pricing", as of
November 2026). An operator who pays other prices changes `PRICES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class Price(NamedTuple):
    """US dollars for a million tokens of each kind."""

    input: float
    output: float
    write_5m: float
    write_1h: float
    read: float


class Cost(NamedTuple):
    """`usd`, and whether the model's own price was known (`known`) or the highest was assumed."""

    usd: float
    known: bool


def _price(base: float, output: float, *, read: float) -> Price:
    """Writing to the cache costs 1.25 (five minutes) or 2 times (one hour) the input's price."""
    return Price(base, output, base * 1.25, base * 2, read)


PRICES: dict[str, Price] = {
    # No list price of the 5.2 generation was found: priced as 5.1, its own family.
    "claude-fable-5-2": _price(10, 50, read=0.25),
    "claude-mythos-5-2": _price(10, 50, read=0.25),
    "claude-fable-5-1": _price(10, 50, read=0.25),
    "claude-mythos-5-1": _price(10, 50, read=0.25),
    "claude-fable-5": _price(10, 50, read=1),
    "claude-mythos-5": _price(10, 50, read=1),
    "claude-mythos-preview": _price(25, 125, read=2.5),
    "claude-opus-5-5": _price(4, 20, read=0.2),
    "claude-opus-5": _price(5, 25, read=0.5),
    "claude-opus-4-8": _price(5, 25, read=0.5),
    "claude-opus-4-7": _price(5, 25, read=0.5),
    "claude-opus-4-6": _price(5, 25, read=0.5),
    "claude-opus-4-5": _price(5, 25, read=0.5),
    "claude-sonnet-5-5": _price(2, 10, read=0.1),
    "claude-sonnet-5": _price(2, 10, read=0.2),
    "claude-sonnet-4-6": _price(3, 15, read=0.3),
    "claude-sonnet-4-5": _price(3, 15, read=0.3),
    "claude-haiku-5-5": _price(0.1, 0.5, read=0.01),
    "claude-haiku-4-5": _price(1, 5, read=0.1),
}
"""Price by model id, without a date at its end."""

LONG_PROMPT_TOKENS = 100_000
LONG_PROMPT_PRICES: dict[str, Price] = {"claude-haiku-5-5": _price(0.5, 2.5, read=0.05)}
"""What every token of a request costs when its prompt, cache included, is over
`LONG_PROMPT_TOKENS`; only for models that have a second price."""

_NOT_IN_THE_NAME = re.compile(r"^anthropic\.|[-@]20\d{6}$")
"""Amazon Bedrock's prefix of a model's name, and the date that may follow it."""


def cost(model: str, usage: Mapping[str, Any]) -> Cost:
    """Price one `usage` block of the Messages API.

    A model that is not in `PRICES` is priced like the most expensive one, so that a budget errs on
    the side of ending early, and `known` is False.
    """
    name = _NOT_IN_THE_NAME.sub("", model)
    tokens = _tokens(usage)
    long_prompt = sum(tokens) - tokens.output > LONG_PROMPT_TOKENS
    price = (LONG_PROMPT_PRICES.get(name) if long_prompt else None) or PRICES.get(name)
    known = price is not None
    price = price or max(PRICES.values(), key=lambda each: each.output)
    return Cost(sum(n * p for n, p in zip(tokens, price, strict=True)) / 1_000_000, known)


def has_long_prompt_price(model: str) -> bool:
    """Whether each token costs more in a prompt of over `LONG_PROMPT_TOKENS`."""
    return _NOT_IN_THE_NAME.sub("", model) in LONG_PROMPT_PRICES


def _tokens(usage: Mapping[str, Any]) -> Price:
    """The counts of a usage block, in the order of a price. Writes of unknown age count as 5m."""
    written = int(usage.get("cache_creation_input_tokens") or 0)
    by_age = usage.get("cache_creation") or {}
    one_hour = int(by_age.get("ephemeral_1h_input_tokens") or 0)
    return Price(
        input=int(usage.get("input_tokens") or 0),
        output=int(usage.get("output_tokens") or 0),
        write_5m=max(written - one_hour, 0),
        write_1h=one_hour,
        read=int(usage.get("cache_read_input_tokens") or 0),
    )
