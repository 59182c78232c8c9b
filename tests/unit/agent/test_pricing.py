"""What a turn costs."""

from __future__ import annotations

import pytest

from app.agent.engines.anthropic.pricing import PRICES, cost

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"input_tokens": MILLION, "output_tokens": 0}, 2.0),
        ({"input_tokens": 0, "output_tokens": MILLION}, 10.0),
        ({"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": MILLION}, 0.1),
        ({"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": MILLION}, 2.5),
        (
            {
                "input_tokens": 0,
                "output_tokens": 0,
                "cache_creation_input_tokens": MILLION,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": MILLION // 2,
                    "ephemeral_1h_input_tokens": MILLION // 2,
                },
            },
            1.25 + 2.0,
        ),
        ({"input_tokens": None, "cache_creation": None}, 0.0),
        (
            {
                "input_tokens": 1000,
                "output_tokens": 2000,
                "cache_read_input_tokens": 30_000,
                "cache_creation_input_tokens": 4000,
            },
            0.002 + 0.02 + 0.003 + 0.01,
        ),
    ],
)
def test_each_kind_of_token_has_its_price(usage: dict[str, object], usd: float) -> None:
    assert cost("claude-sonnet-5-5", usage).usd == pytest.approx(usd)


def test_a_long_prompt_costs_more_where_it_does() -> None:
    short = {"input_tokens": 50_000, "cache_read_input_tokens": 50_000, "output_tokens": 1000}
    long = {**short, "input_tokens": 50_001}
    assert cost("claude-haiku-5-5", short).usd == pytest.approx(0.005 + 0.0005 + 0.0005)
    assert cost("claude-haiku-5-5", long).usd == pytest.approx(0.0250005 + 0.0025 + 0.0025)
    assert cost("claude-sonnet-5-5", long).usd == pytest.approx(0.100002 + 0.005 + 0.01)


def test_a_date_does_not_change_the_price() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": MILLION}
    assert cost("claude-haiku-4-5-20251001", usage) == cost("claude-haiku-4-5", usage) == (6, True)


def test_an_unknown_model_costs_as_much_as_the_dearest_and_is_flagged() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": MILLION}
    unknown = cost("somebody/elses-model", usage)
    assert unknown.known is False
    assert unknown.usd == max(cost(model, usage).usd for model in PRICES)


def test_the_models_of_the_settings_are_priced() -> None:
    for model in ("claude-sonnet-5-5", "claude-opus-5-5"):
        assert model in PRICES
