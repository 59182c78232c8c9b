"""When a model's conversation is compacted, in tokens."""

from __future__ import annotations

from app.agent.engines.anthropic.pricing import LONG_PROMPT_TOKENS, has_long_prompt_price

COMPACT_AT = 150_000
"""Three quarters of the smallest window of a current model, 200,000 tokens. Larger windows do not
raise it: each turn pays for all of them, and answers get worse as a conversation grows."""


def compact_at(model: str) -> int:
    """The tokens at which a conversation with this model is compacted, if nothing else is set."""
    if has_long_prompt_price(model):
        return LONG_PROMPT_TOKENS * 9 // 10
    return COMPACT_AT
