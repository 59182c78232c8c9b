"""The settings; the only reader of the environment.

docs/settings.md lists names and defaults. A `.env` file in the working directory is read too, and
every secret can be given as `NAME_FILE=path` instead.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app import github_urls
from app.errors import UserError

T = TypeVar("T")

Effort = Literal["low", "medium", "high", "xhigh", "max"]
"""How much a model thinks and checks before it answers."""

_SECRETS = {
    "GITHUB_PRIVATE_KEY": "github_private_key",
    "GITHUB_WEBHOOK_SECRET": "github_webhook_secret",
    "GITHUB_CLIENT_SECRET": "github_client_secret",
    "HONK_SESSION_SECRET": "HONK_SESSION_SECRET",
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "AWS_BEARER_TOKEN_BEDROCK": "aws_bearer_token_bedrock",
    "HONK_METRICS_TOKEN": "HONK_METRICS_TOKEN",
    "HONK_ATTESTATION_KEY": "HONK_ATTESTATION_KEY",
    "SLACK_BOT_TOKEN": "slack_bot_token",
    "SLACK_APP_TOKEN": "slack_app_token",
    "SLACK_SIGNING_SECRET": "slack_signing_secret",
}
"""Environment variable to the field name or alias that `Settings` accepts."""

ENV_FILE = ".env"
"""In the working directory."""
_GROUP_OR_OTHERS = 0o077
_SESSION_SECRET_LENGTH = 32


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads `NAME_FILE=path`: the secret is that file's content without the trailing newline."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field_name in _SECRETS.items():
            path = os.environ.get(f"{name}_FILE")
            if path:
                found[field_name] = read_secret_file(Path(path), setting=f"{name}_FILE")
        return found


@dataclass(frozen=True)
class SignIn:
    """The App's OAuth credentials, and the secret that encrypts session cookies."""

    client_id: str
    client_secret: SecretStr
    session_secret: SecretStr


class Settings(BaseSettings):
    """The operator's settings. Secrets never appear in a log, a `repr` or a traceback."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    github_app_id: str | None = None
    github_app_slug: str = "honk"
    github_private_key: SecretStr | None = None
    github_private_key_path: Path | None = None
    github_webhook_secret: SecretStr | None = None
    github_client_id: str | None = None
    github_client_secret: SecretStr | None = None
    session_secret: SecretStr | None = Field(None, validation_alias="HONK_SESSION_SECRET")
    public_url: str | None = Field(None, validation_alias="HONK_PUBLIC_URL")
    github_api_url: str = github_urls.GITHUB_API
    github_server_url: str = github_urls.GITHUB_SERVER

    engine: str = Field("anthropic", validation_alias="HONK_ENGINE")
    acp_command: str | None = Field(None, validation_alias="HONK_ACP_COMMAND")
    acp_folder: Path | None = Field(None, validation_alias="HONK_ACP_FOLDER")
    claude_code_path: Path | None = Field(None, validation_alias="HONK_CLAUDE_CODE_PATH")
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    model_provider: Literal["anthropic", "bedrock", "vertex"] = Field(
        "anthropic", validation_alias="HONK_MODEL_PROVIDER"
    )
    aws_region: str | None = None
    aws_default_region: str | None = None
    aws_bearer_token_bedrock: SecretStr | None = None
    cloud_ml_region: str | None = None
    anthropic_vertex_project_id: str | None = None
    google_application_credentials: Path | None = None
    model: str = Field("claude-sonnet-5-5", validation_alias="HONK_MODEL")
    model_max: str = Field("claude-opus-5-5", validation_alias="HONK_MODEL_MAX")
    effort: Effort | None = Field(None, validation_alias="HONK_EFFORT")
    effort_max: Effort = Field("xhigh", validation_alias="HONK_EFFORT_MAX")
    thinking: Literal["adaptive", "between_tools", "disabled"] = Field(
        "adaptive", validation_alias="HONK_THINKING"
    )
    compact_at: int | None = Field(None, ge=10_000, le=900_000, validation_alias="HONK_COMPACT_AT")

    home: Path = Field(Path("~/.local/share/honk"), validation_alias="HONK_HOME")
    database_url: str | None = None
    sandbox: str = Field("bubblewrap", validation_alias="HONK_SANDBOX")
    image: str | None = Field(None, validation_alias="HONK_IMAGE")
    allow_unsandboxed: str = Field("no", validation_alias="HONK_ALLOW_UNSANDBOXED")
    networks: str = Field("", validation_alias="HONK_EGRESS_NETWORKS")
    setup_network: Literal["registries", "policy", "none"] = Field(
        "registries", validation_alias="HONK_SETUP_NETWORK"
    )
    check: Literal["own", "bots", "all"] = Field("own", validation_alias="HONK_CHECK")
    own_bundle: Path | None = Field(None, validation_alias="HONK_CA_BUNDLE")
    ssl_cert_file: Path | None = None
    https_proxy: SecretStr | None = None
    http_proxy: SecretStr | None = None
    all_proxy: SecretStr | None = None
    no_proxy: str = ""
    concurrency: int = Field(
        4 * (os.cpu_count() or 1),
        ge=1,
        le=1000,
        validation_alias="HONK_CONCURRENCY",
    )
    repository_concurrency: int | None = Field(
        None, ge=1, validation_alias="HONK_REPOSITORY_CONCURRENCY"
    )
    installation_concurrency: int | None = Field(
        None, ge=1, validation_alias="HONK_INSTALLATION_CONCURRENCY"
    )
    writes_per_minute: int = Field(60, ge=1, validation_alias="HONK_WRITES_PER_MINUTE")
    max_usd_per_day: float | None = Field(None, gt=0, validation_alias="HONK_MAX_USD_PER_DAY")
    max_usd_per_day_installation: float | None = Field(
        None, gt=0, validation_alias="HONK_MAX_USD_PER_DAY_INSTALLATION"
    )
    lease_seconds: float = Field(12.0, ge=1, le=600, validation_alias="HONK_LEASE_SECONDS")
    intake: Literal["webhook", "log", "poll"] = Field("webhook", validation_alias="HONK_INTAKE")

    slack: Literal["off", "socket", "http"] = Field("off", validation_alias="HONK_SLACK")
    slack_api_url: str = Field("https://slack.com/api/", validation_alias="HONK_SLACK_API_URL")
    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None

    host: str = Field("127.0.0.1", validation_alias="HOST")
    port: int = Field(8000, ge=0, le=65535, validation_alias="PORT")
    history_days: int = Field(90, ge=1, le=36_500, validation_alias="HONK_HISTORY_DAYS")
    attestation_days: int = Field(
        730, ge=0, le=36_500, validation_alias="HONK_KEEP_ATTESTATIONS_DAYS"
    )
    cache_days: int = Field(30, ge=1, le=36_500, validation_alias="HONK_CACHE_DAYS")
    cache_gb: float = Field(50.0, gt=0, validation_alias="HONK_CACHE_GB")
    own_attestation_key: SecretStr | None = Field(None, validation_alias="HONK_ATTESTATION_KEY")
    workspace_gb: float = Field(20.0, gt=0, validation_alias="HONK_WORKSPACE_GB")
    workspace_disk: Literal["image", "watched"] = Field(
        "image", validation_alias="HONK_WORKSPACE_DISK"
    )
    metrics_host: str = Field("127.0.0.1", validation_alias="HONK_METRICS_HOST")
    metrics_port: int | None = Field(None, ge=0, le=65535, validation_alias="HONK_METRICS_PORT")
    metrics_token: SecretStr | None = Field(None, validation_alias="HONK_METRICS_TOKEN")
    otel_endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        return (init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings)

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _one_github(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Derive one of GitHub's two URLs from the other.

        Otherwise a token for Enterprise Server could be sent to github.com because only one was
        set.
        """
        api, server = (
            str(given[name]).rstrip("/") if given.get(name) else None
            for name in ("github_api_url", "github_server_url")
        )
        if api is not None and server is None:
            server = _address("GITHUB_API_URL", github_urls.server_of, api)
        elif server is not None and api is None:
            api = _address("GITHUB_SERVER_URL", github_urls.api_of, server)
        if api is None or server is None:
            return given
        _address("GITHUB_API_URL and GITHUB_SERVER_URL", github_urls.check_pair, api, server)
        return {**given, "github_api_url": api, "github_server_url": server}

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or any(rest):
            raise ValueError("set only the scheme and host, such as https://honk.example.com")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("slack_api_url")
    @classmethod
    def _a_folder(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("set a URL such as https://slack.com/api/")
        return value.rstrip("/") + "/"

    @property
    def is_https(self) -> bool:
        """Whether the public URL is HTTPS, which a proxy in front of Honk terminates."""
        return self.public_url is not None and self.public_url.startswith("https://")

    @property
    def home_path(self) -> Path:
        """The absolute path of HONK_HOME, which holds mirrors, workspaces and caches."""
        return self.home.expanduser().absolute()

    @property
    def workspace_bytes(self) -> int:
        """How much the sandboxes of one workspace may store on the disk."""
        return int(self.workspace_gb * 2**30)

    @property
    def database(self) -> str:
        """`sqlite:///...` or `postgresql://...`; by default a SQLite file in HONK_HOME."""
        return self.database_url or f"sqlite:///{self.home_path / 'honk.db'}"

    def egress_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Private networks that setup may reach. Raises UserError."""
        parts = [part.strip() for part in self.networks.split(",") if part.strip()]
        try:
            return tuple(ip_network(part) for part in parts)
        except ValueError as problem:
            raise UserError(
                f"HONK_EGRESS_NETWORKS: {problem}.",
                next_step="Set networks separated by commas, such as 10.1.0.0/16.",
            ) from None

    def ca_bundle(self) -> tuple[str, Path | None]:
        """The CA bundle for every connection, and the setting that names it."""
        if self.own_bundle is not None:
            return "HONK_CA_BUNDLE", self.own_bundle.expanduser()
        if self.ssl_cert_file is not None:
            return "SSL_CERT_FILE", self.ssl_cert_file.expanduser()
        return "", None

    def proxies(self) -> dict[str, str]:
        """The proxies, by the scheme of the requested URL. Raises UserError."""
        return {
            scheme: _proxy(name, value.get_secret_value())
            for scheme, name, value in (
                ("https", "HTTPS_PROXY", self.https_proxy or self.all_proxy),
                ("http", "HTTP_PROXY", self.http_proxy or self.all_proxy),
            )
            if value is not None
        }

    def bypassed(self) -> tuple[str, ...]:
        """Hosts that are reached without a proxy: the entries of NO_PROXY."""
        return tuple(re.split(r"[,\s]+", self.no_proxy.strip(", \t"))) if self.no_proxy else ()

    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The webhook secret, or two during rotation. Raises UserError when there is none."""
        value = self.github_webhook_secret
        secrets = () if value is None else value.get_secret_value().split(",")
        cleaned = tuple(part.strip().encode() for part in secrets if part.strip())
        if not cleaned:
            raise _missing("GITHUB_WEBHOOK_SECRET", "web needs it to verify deliveries")
        if len(cleaned) > 2:
            raise UserError(
                "GITHUB_WEBHOOK_SECRET has more than two secrets.",
                next_step="Set one secret, or two separated by a comma during rotation.",
            )
        return cleaned

    def secrets(self) -> set[str]:
        """Every configured secret, for redaction."""
        secrets = (
            self.github_webhook_secret,
            self.github_client_secret,
            self.session_secret,
            self.anthropic_api_key,
            self.aws_bearer_token_bedrock,
            self.github_private_key,
            self.metrics_token,
            self.own_attestation_key,
            self.slack_bot_token,
            self.slack_app_token,
            self.slack_signing_secret,
        )
        given = (secret.get_secret_value() for secret in secrets if secret is not None)
        found = {part.strip() for secret in given for part in secret.split(",")}
        keys = (self.github_private_key, self.own_attestation_key)
        found |= {_pem(key).get_secret_value() for key in keys if key is not None}
        return found | self._database_passwords() | self._proxy_passwords()

    def _proxy_passwords(self) -> set[str]:
        """The proxies' passwords, both percent-encoded as in the URL and decoded."""
        given = (self.https_proxy, self.http_proxy, self.all_proxy)
        names = (urlsplit(each.get_secret_value()).netloc for each in given if each is not None)
        found = {name.rpartition("@")[0].partition(":")[2] for name in names} - {""}
        return found | {unquote(each) for each in found}

    def _database_passwords(self) -> set[str]:
        """The database password, both percent-encoded as in the URL and decoded."""
        found = re.match(r"[a-z+]+://[^:/@]*:(.+)@", self.database_url or "")
        return {found[1], unquote(found[1])} if found else set()

    def sign_in(self) -> SignIn | None:
        """What signing in needs; None when a part is missing. Raises UserError."""
        key, secret = self.session_secret, self.github_client_secret
        if not self.github_client_id or secret is None or key is None:
            return None
        if len(key.get_secret_value()) < _SESSION_SECRET_LENGTH:
            raise UserError(
                f"HONK_SESSION_SECRET has fewer than {_SESSION_SECRET_LENGTH} characters.",
                next_step="Generate one with: openssl rand -hex 32",
            )
        return SignIn(self.github_client_id, secret, key)

    def app_id(self) -> str:
        """The App's numeric id. Raises UserError when it is missing or not a number."""
        if not self.github_app_id:
            raise _missing("GITHUB_APP_ID", "needed to authenticate as the App")
        if not self.github_app_id.isdigit():
            raise UserError(
                "GITHUB_APP_ID is not a number.",
                next_step="It is shown at the top of the App's settings page on GitHub.",
            )
        return self.github_app_id

    @property
    def has_app(self) -> bool:
        """Whether the App's id and private key are given."""
        key = self.github_private_key or self.github_private_key_path
        return bool(self.github_app_id and key)

    def private_key(self) -> SecretStr:
        """The App's private key in PEM. Raises UserError when it is missing or not readable."""
        if self.github_private_key is not None:
            return _pem(self.github_private_key)
        if self.github_private_key_path is not None:
            return SecretStr(
                read_secret_file(self.github_private_key_path, setting="GITHUB_PRIVATE_KEY_PATH")
            )
        raise _missing(
            "GITHUB_PRIVATE_KEY or GITHUB_PRIVATE_KEY_PATH", "needed to authenticate as the App"
        )

    def attestation_key(self) -> SecretStr | None:
        """The private key that signs attestations, in PEM; None to use a generated one."""
        return None if self.own_attestation_key is None else _pem(self.own_attestation_key)

    def sandbox_image(self) -> str:
        """The image of the container sandbox. Raises UserError when it is missing."""
        if not self.image:
            raise _missing("HONK_IMAGE", "HONK_SANDBOX=container needs it")
        return self.image

    def acp_words(self) -> list[str]:
        """The command of the engine `acp`. Raises UserError when it is missing or no command."""
        if self.acp_command is None:
            raise _missing("HONK_ACP_COMMAND", "the engine `acp` starts its agent with it")
        try:
            words = shlex.split(self.acp_command)
        except ValueError:
            words = []
        if not words:
            raise UserError(
                "HONK_ACP_COMMAND is not a command: a quotation mark is missing.",
                next_step="Write it as in a shell: /opt/agent/bin/agent --flag 'two words'",
            )
        return words

    def model_key(self) -> SecretStr:
        """The key of the Anthropic API. Raises UserError when it is missing or of another kind."""
        if self.anthropic_api_key is None:
            raise _missing("ANTHROPIC_API_KEY", "needed to call the model")
        if self.anthropic_api_key.get_secret_value().startswith(_SUBSCRIPTION):
            raise UserError(
                "ANTHROPIC_API_KEY is a subscription token, which a service must not use.",
                next_step="Set it to an API key from the Console (`sk-ant-api...`).",
            )
        return self.anthropic_api_key

    def bedrock(self) -> tuple[str, SecretStr]:
        """The AWS region and the API key of Bedrock. Raises UserError when one is missing."""
        region, key = self.aws_region or self.aws_default_region, self.aws_bearer_token_bedrock
        if not region:
            raise _missing("AWS_REGION", "HONK_MODEL_PROVIDER=bedrock needs it")
        if key is None:
            raise _missing("AWS_BEARER_TOKEN_BEDROCK", "HONK_MODEL_PROVIDER=bedrock needs it")
        return region, key

    def vertex(self) -> tuple[str, str]:
        """Google's region and project for Vertex AI. Raises UserError when one is missing."""
        if not self.cloud_ml_region:
            raise _missing("CLOUD_ML_REGION", "HONK_MODEL_PROVIDER=vertex needs it")
        if not self.anthropic_vertex_project_id:
            raise _missing("ANTHROPIC_VERTEX_PROJECT_ID", "HONK_MODEL_PROVIDER=vertex needs it")
        return self.cloud_ml_region, self.anthropic_vertex_project_id

    def slack_token(self) -> SecretStr:
        """The bot token of the Slack app. Raises UserError when missing or of another kind."""
        return _slack("SLACK_BOT_TOKEN", self.slack_bot_token, "xoxb-", "OAuth & Permissions")

    def slack_socket_token(self) -> SecretStr:
        """The app-level token, for Socket Mode. Raises UserError as `slack_token`."""
        return _slack("SLACK_APP_TOKEN", self.slack_app_token, "xapp-", "Basic Information")

    def slack_secret(self) -> bytes:
        """The secret that Slack signs requests with. Raises UserError when it is missing."""
        if self.slack_signing_secret is None:
            raise _missing("SLACK_SIGNING_SECRET", "HONK_SLACK=http needs it to verify requests")
        return self.slack_signing_secret.get_secret_value().strip().encode()


_SUBSCRIPTION = "sk-ant-oat"
"""How the tokens begin that `claude setup-token` makes for a person's subscription."""


class MissingSettingError(UserError):
    """A setting that is needed is not set."""


def load() -> Settings:
    """Read the environment. Raises UserError naming each invalid setting, never its value."""
    _refuse_open_env_file()
    return _load(ENV_FILE)


def load_environment() -> Settings:
    """As `load`, without a `.env` file: the current folder may be anybody's repository."""
    return _load(None)


def _load(env_file: str | None) -> Settings:
    try:
        return Settings(_env_file=env_file)
    except ValidationError as problem:
        errors = problem.errors(include_input=False, include_url=False)
        lines = [_error_text(error["loc"], error["msg"]).rstrip(".") for error in errors]
        raise UserError("Invalid settings: " + "; ".join(lines) + ".") from None


def _error_text(where: tuple[int | str, ...], what: str) -> str:
    """One validation error as text. An error about several settings names them in its message."""
    name = ".".join(str(part) for part in where).upper()
    return f"{name}: {what}" if name else what.removeprefix("Value error, ")


def _address(settings: str, derive: Callable[..., T], *given: str) -> T:
    try:
        return derive(*given)
    except ValueError as problem:
        raise ValueError(f"{settings}: {problem}") from None


def _proxy(name: str, given: str) -> str:
    """The URL of an HTTP proxy; `http://` when no scheme is given. Raises UserError."""
    url = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UserError(
            f"{name} is not the URL of an HTTP proxy.",
            next_step="Use a URL such as http://proxy.example.com:3128.",
        )
    return url.rstrip("/")


def _refuse_open_env_file() -> None:
    """Raises UserError when other users can read a `.env` that holds a secret."""
    path = Path(ENV_FILE)
    if not path.is_file() or not path.stat().st_mode & _GROUP_OR_OTHERS:
        return
    given = dotenv_values(path)
    found = [name for name in _SECRETS if given.get(name)]
    if found:
        raise UserError(
            f"Other users on this machine can read {path.absolute()}, which contains {found[0]}.",
            next_step=f"Fix it with: chmod 600 {path.absolute()}",
        )


def read_secret_file(path: Path, *, setting: str) -> str:
    """Read a secret from a file. Raises UserError when it is unreadable or others can read it."""
    path = path.expanduser()
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except OSError as problem:
        raise UserError(f"{setting}: {path} cannot be read ({problem.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{setting}: {path} is not text.") from None
    if mode & _GROUP_OR_OTHERS:
        raise UserError(
            f"{setting}: other users on this machine can read {path}.",
            next_step=f"Fix it with: chmod 600 {path}",
        )
    return text.rstrip("\n")


def _pem(key: SecretStr) -> SecretStr:
    """A key from the environment: a line break may be written as `\\n`, or the whole in base64."""
    text = key.get_secret_value().strip()
    if "-----" not in text:
        with contextlib.suppress(ValueError):
            text = base64.b64decode(text, validate=True).decode()
    return SecretStr(text.replace("\\n", "\n"))


def _slack(name: str, token: SecretStr | None, prefix: str, page: str) -> SecretStr:
    if token is None:
        raise _missing(name, "HONK_SLACK needs it to speak with Slack")
    if not token.get_secret_value().startswith(prefix):
        raise UserError(
            f"{name} does not start with {prefix}.",
            next_step=f"Copy the token that the Slack app's page {page} shows.",
        )
    return token


def _missing(name: str, why: str) -> MissingSettingError:
    return MissingSettingError(
        f"{name} is not set; {why}.",
        next_step="Set it in the environment or in .env (see .env.example).",
    )
