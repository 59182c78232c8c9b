"""The engines are found by their folders and chosen by name."""

from __future__ import annotations

import pytest

from app.agent import engines
from app.agent.engines import Engines
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.errors import UserError
from app.outgoing import DIRECT
from app.settings import Settings


def test_each_folder_declares_an_engine() -> None:
    assert engines.NAMES == ("acp", "anthropic", "claude-code")
    for name in engines.NAMES:
        assert engines.spec(name).url(Settings(_env_file=None)).startswith("https://")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="Unknown agent engine `anthropics`") as refused:
        engines.spec("anthropics")
    assert refused.value.next_step == "Set HONK_ENGINE to one of: acp, anthropic, claude-code."


def test_an_engine_without_its_key_is_refused_before_any_run() -> None:
    spec = engines.spec("anthropic")
    settings = Settings(_env_file=None, anthropic_api_key=None)
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY is not set"):
        spec.create(settings, DIRECT)
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY is not set"):
        spec.needs(settings)["ANTHROPIC_API_KEY"](settings)


async def test_each_engine_is_created_once() -> None:
    settings = Settings(_env_file=None, anthropic_api_key="key")
    created = []

    def create(name: str) -> AnthropicEngine:
        created.append(name)
        engine = engines.spec("anthropic").create(settings, DIRECT)
        assert isinstance(engine, AnthropicEngine)
        return engine

    all_engines = Engines("anthropic", create)
    assert all_engines.get("anthropic") is all_engines.get("anthropic")
    assert all_engines.get("other") is all_engines.get("other")
    assert created == ["anthropic", "other"]
    await all_engines.aclose()
