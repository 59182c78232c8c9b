"""When a model's conversation is compacted, in tokens, and by the API or the model."""

from __future__ import annotations

from app.agent.engines.anthropic.pricing import LONG_PROMPT_TOKENS, has_long_prompt_price

COMPACT_AT = 150_000
"""Three quarters of the smallest window of a current model, 200,000 tokens. Larger windows do not
raise it: each turn pays for all of them, and answers get worse as a conversation grows."""


_SUMMARIZED_BY_THE_API = (
    *("claude-fable-5", "claude-mythos-5", "claude-mythos-preview", "claude-opus-5"),
    *("claude-sonnet-5", "claude-haiku-5-5", "claude-opus-4-8", "claude-opus-4-7"),
    *("claude-opus-4-6", "claude-sonnet-4-6"),
)
"""The prefixes of their ids: the list of https://platform.claude.com/docs, "Compaction on
demand".
"""


def summarized_by_the_api(model: str) -> bool:
    """Whether the API itself writes summaries of conversations with this model."""
    return model.startswith(_SUMMARIZED_BY_THE_API)


def compact_at(model: str) -> int:
    """The tokens at which a conversation with this model is compacted, if nothing else is set."""
    if has_long_prompt_price(model):
        return LONG_PROMPT_TOKENS * 9 // 10
    return COMPACT_AT
