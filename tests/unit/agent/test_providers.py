"""Claude in Amazon Bedrock and on Vertex AI, over the SDK's own clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.agent.engines.anthropic import pricing
from app.agent.engines.anthropic.model import AnthropicModel, ModelRequest
from app.agent.engines.anthropic.providers import model_needs, provider_of, url_of
from app.agent.program.upstream import Upstream
from app.errors import UserError
from app.playground.model import ModelScript, ScriptedModel
from app.settings import MissingSettingError, Settings
from tests.support.model_api import QUICK, serving
from tests.support.model_providers import GOOGLE_TOKEN, BedrockDoor, VertexDoor

KEY = "bedrock-api-key-that-must-not-be-seen"
MODEL = "claude-sonnet-5-5"
HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
REQUEST = ModelRequest(model=MODEL, system="You answer.", tools=(), messages=(HELLO,))


async def test_bedrock_answers_turns_and_forwarded_requests() -> None:
    door = BedrockDoor(_model(), KEY)
    async with _asking(door, **_bedrock()) as (model, upstream):
        turn = await model.turn(REQUEST)
        body = {"model": MODEL, "max_tokens": 100, "messages": [HELLO]}
        forwarded = await upstream.forward(body, "", lambda: None)
        await model.probe(MODEL)
    assert turn.content[0]["text"] == "Hi."
    assert forwarded.content[0]["text"] == "Hi."
    assert door.names == [f"anthropic.{MODEL}"] * 3


async def test_bedrock_with_a_wrong_key_names_the_setting_and_hides_the_key() -> None:
    door = BedrockDoor(_model(), "another")
    async with _asking(door, **_bedrock()) as (model, _):
        with pytest.raises(UserError) as refused:
            await model.turn(REQUEST)
    assert "AWS_BEARER_TOKEN_BEDROCK" in refused.value.next_step
    assert KEY not in str(refused.value)
    assert KEY in Settings(_env_file=None, **_bedrock()).secrets()


async def test_vertex_answers_with_a_service_accounts_key_file(tmp_path: Path) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    door = VertexDoor(_model(), public.decode(), "our-project", "europe-west1")
    async with serving(door) as url:
        given = {**_vertex(), "google_application_credentials": _key_file(tmp_path, private, url)}
        async with _models(url, **given) as (model, upstream):
            turn = await model.turn(REQUEST)
            body = {"model": MODEL, "max_tokens": 100, "messages": [HELLO]}
            forwarded = await upstream.forward(body, "", lambda: None)
    assert turn.content[0]["text"] == "Hi."
    assert forwarded.content[0]["text"] == "Hi."
    assert door.names == [MODEL] * 2
    assert door.tokens_given == 2
    assert GOOGLE_TOKEN not in repr(turn)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"model_provider": "bedrock"}, "AWS_REGION"),
        ({"model_provider": "bedrock", "aws_region": "eu-west-1"}, "AWS_BEARER_TOKEN_BEDROCK"),
        ({"model_provider": "vertex"}, "CLOUD_ML_REGION"),
        ({"model_provider": "vertex", "cloud_ml_region": "eu"}, "ANTHROPIC_VERTEX_PROJECT_ID"),
    ],
)
def test_a_missing_setting_is_named(given: dict[str, Any], missing: str) -> None:
    settings = Settings(_env_file=None, **_aliased(given))
    ((_, read),) = model_needs(settings).items()
    with pytest.raises(MissingSettingError, match=missing):
        read(settings)
    assert url_of(settings).startswith("https://")


@pytest.mark.parametrize("content", [None, "no JSON", "{}"])
async def test_an_unusable_key_file_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    settings = Settings(_env_file=None, google_application_credentials=file, **_aliased(_vertex()))
    with pytest.raises(UserError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        provider_of(settings)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("global", "https://aiplatform.googleapis.com/v1"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
        ("europe-west1", "https://europe-west1-aiplatform.googleapis.com/v1"),
    ],
)
def test_vertex_has_an_address_in_each_region(region: str, url: str) -> None:
    given = {**_vertex(), "cloud_ml_region": region}
    assert provider_of(Settings(_env_file=None, **_aliased(given))).url == url


@pytest.mark.parametrize("name", [f"anthropic.{MODEL}", f"{MODEL}@20260901", f"{MODEL}-20260901"])
def test_a_providers_name_of_a_model_has_the_models_price(name: str) -> None:
    usage = {"input_tokens": 1_000_000}
    assert pricing.cost(name, usage) == pricing.cost(MODEL, usage)


def _model() -> ScriptedModel:
    return ScriptedModel(default=ModelScript.parse("turns: [{say: 'Hi.'}, {say: 'Hi.'}]"))


def _bedrock() -> dict[str, Any]:
    return {
        "HONK_MODEL_PROVIDER": "bedrock",
        "aws_region": "eu-west-1",
        "aws_bearer_token_bedrock": KEY,
    }


def _vertex() -> dict[str, Any]:
    return {
        "model_provider": "vertex",
        "cloud_ml_region": "europe-west1",
        "anthropic_vertex_project_id": "our-project",
    }


def _aliased(given: dict[str, Any]) -> dict[str, Any]:
    renamed = {"model_provider": "HONK_MODEL_PROVIDER"}
    return {renamed.get(name, name): value for name, value in given.items()}


def _key_file(folder: Path, private: rsa.RSAPrivateKey, url: str) -> Path:
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    content = {
        "type": "service_account",
        "client_email": "honk@our-project.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": f"{url}/token",
    }
    file = folder / "key.json"
    file.write_text(json.dumps(content))
    return file


@asynccontextmanager
async def _asking(door: Any, **given: Any) -> AsyncIterator[tuple[AnthropicModel, Upstream]]:
    async with serving(door) as url, _models(url, **given) as both:
        yield both


@asynccontextmanager
async def _models(url: str, **given: Any) -> AsyncIterator[tuple[AnthropicModel, Upstream]]:
    settings = Settings(_env_file=None, anthropic_base_url=url, **_aliased(given))
    model = AnthropicModel(provider_of(settings), rule=QUICK, read_timeout=5.0)
    upstream = Upstream(provider_of(settings), rule=QUICK, read_timeout=5.0)
    try:
        yield model, upstream
    finally:
        await model.aclose()
        await upstream.aclose()
