"""Where the model runs, and with which credentials: Anthropic's API, Amazon Bedrock or Vertex AI.

All three support the Messages API, so only the SDK's client differs: its URL, its credentials and
its names of models. Outside contracts:
https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock and
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import httpx2

from app.errors import UserError
from app.settings import Settings

if TYPE_CHECKING:
    # Importing this takes half of the worker's start time, so `AnthropicModel.warm` does it.
    import anthropic
    from google.auth.credentials import Credentials

    Client: TypeAlias = (
        anthropic.AsyncAnthropic
        | anthropic.AsyncAnthropicBedrockMantle
        | anthropic.AsyncAnthropicVertex
    )

DEFAULT_BASE_URL = "https://api.anthropic.com"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class Provider:
    """A place where Claude runs.

    `url` is the address of its API. `connect` makes the SDK's client over an HTTP client.
    `credentials` says which settings to check when the API rejects them, `secrets` are removed from
    the API's messages, and `wire_name` is the API's name for a model.
    """

    url: str
    connect: Callable[[httpx2.AsyncClient], Client]
    credentials: str
    secrets: tuple[str, ...] = ()
    wire_name: Callable[[str], str] = str


def provider_of(settings: Settings) -> Provider:
    """The provider that HONK_MODEL_PROVIDER names.

    Raises UserError when a setting or a package that it needs is missing.
    """
    return _PROVIDERS[settings.model_provider](settings)


def model_needs(settings: Settings) -> dict[str, Callable[[Settings], object]]:
    """The required settings of an engine that uses the model; see `EngineSpec.needs`."""
    names = {
        "anthropic": "ANTHROPIC_API_KEY",
        "bedrock": "HONK_MODEL_PROVIDER=bedrock",
        "vertex": "HONK_MODEL_PROVIDER=vertex",
    }
    return {names[settings.model_provider]: provider_of}


def url_of(settings: Settings) -> str:
    """The URL of the model's API, even if a setting is missing."""
    try:
        return provider_of(settings).url
    except UserError:
        return settings.anthropic_base_url or DEFAULT_BASE_URL


def anthropic_api(api_key: str, base_url: str | None = None) -> Provider:
    """Anthropic's own API, or another server with the same API. Raises UserError without a key."""
    if not api_key:
        raise UserError(
            "No model configured.", next_step="Honk's operator must set ANTHROPIC_API_KEY."
        )
    url = base_url or DEFAULT_BASE_URL

    def connect(http_client: httpx2.AsyncClient) -> Client:
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=api_key, base_url=url, max_retries=0, http_client=http_client
        )

    return Provider(url, connect, "ANTHROPIC_API_KEY to a valid key", (api_key,))


def _anthropic(settings: Settings) -> Provider:
    return anthropic_api(settings.model_key().get_secret_value(), settings.anthropic_base_url)


def _bedrock(settings: Settings) -> Provider:
    """Amazon's endpoint for the Messages API, with an API key of Bedrock."""
    region, secret = settings.bedrock()
    key = secret.get_secret_value()
    url = settings.anthropic_base_url or f"https://bedrock-mantle.{region}.api.aws/anthropic"

    def connect(http_client: httpx2.AsyncClient) -> Client:
        import anthropic

        return anthropic.AsyncAnthropicBedrockMantle(
            api_key=key, aws_region=region, base_url=url, max_retries=0, http_client=http_client
        )

    credentials = "AWS_BEARER_TOKEN_BEDROCK to a valid API key of Amazon Bedrock"
    return Provider(url, connect, credentials, (key,), _bedrock_name)


def _vertex(settings: Settings) -> Provider:
    """Google's application default credentials: a key file's path, or the machine's account."""
    region, project = settings.vertex()
    _needs_google_auth()
    credentials = _google_credentials(settings.google_application_credentials)
    url = settings.anthropic_base_url or _vertex_url(region)

    def connect(http_client: httpx2.AsyncClient) -> Client:
        import anthropic

        return anthropic.AsyncAnthropicVertex(
            region=region,
            project_id=project,
            credentials=credentials,
            base_url=url,
            max_retries=0,
            http_client=http_client,
        )

    return Provider(url, connect, "GOOGLE_APPLICATION_CREDENTIALS to valid credentials")


def _needs_google_auth() -> None:
    try:
        found = find_spec("google.auth") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise UserError(
            "HONK_MODEL_PROVIDER=vertex needs a package that is not installed.",
            next_step="Install Honk with the extra `vertex`.",
        )


def _google_credentials(key_file: Path | None) -> Credentials | None:
    """Those of a service account's key file; None leaves it to the SDK to find the machine's.

    Raises UserError when the file cannot be used.
    """
    if key_file is None:
        return None
    from google.oauth2 import service_account

    try:
        kind = json.loads(key_file.read_bytes())["type"]
        if kind != "service_account":
            return None
        load: Callable[..., Credentials] = service_account.Credentials.from_service_account_file
        return load(str(key_file), scopes=[_GOOGLE_SCOPE])
    except (OSError, ValueError, LookupError, TypeError) as problem:
        raise UserError(
            f"GOOGLE_APPLICATION_CREDENTIALS cannot be used: {key_file} is not readable or not a "
            "file of credentials.",
            next_step="Set it to the path of a service account's key file.",
        ) from problem


_PROVIDERS = {"anthropic": _anthropic, "bedrock": _bedrock, "vertex": _vertex}


def _vertex_url(region: str) -> str:
    if region == "global":
        return "https://aiplatform.googleapis.com/v1"
    if region in ("us", "eu"):
        return f"https://aiplatform.{region}.rep.googleapis.com/v1"
    return f"https://{region}-aiplatform.googleapis.com/v1"


def _bedrock_name(model: str) -> str:
    return model if "." in model else f"anthropic.{model}"
