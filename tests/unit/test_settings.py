"""The environment, read once: names, defaults, files with secrets, and clear error messages."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from app import settings
from app.errors import UserError


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        *("GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "GITHUB_PRIVATE_KEY_PATH", "HONK_SANDBOX"),
        *("GITHUB_WEBHOOK_SECRET", "ANTHROPIC_API_KEY", "HONK_HOME", "DATABASE_URL", "PORT"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults() -> None:
    found = settings.load()
    assert found.github_api_url == "https://api.github.com"
    assert found.port == 8000
    assert found.database.startswith("sqlite:///")
    assert found.database.endswith("/.local/share/honk/honk.db")


def test_the_contract_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONK_MODEL", "claude-x")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("GITHUB_API_URL", "https://ghe.example/api/v3/")
    found = settings.load()
    assert (found.model, found.port, found.log_level) == ("claude-x", 9000, "debug")
    assert found.github_api_url == "https://ghe.example/api/v3"


def test_a_dotenv_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GITHUB_APP_ID=1\nPORT=7000\n")
    monkeypatch.setenv("PORT", "7001")
    found = settings.load()
    assert (found.app_id(), found.port) == ("1", 7001)


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one, two\n")
    path.chmod(0o600)
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET_FILE", str(path))
    assert settings.load().webhook_secrets() == (b"one", b"two")


def test_a_file_that_others_can_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_text("the key")
    path.chmod(0o640)
    monkeypatch.setenv("GITHUB_PRIVATE_KEY_PATH", str(path))
    with pytest.raises(UserError, match="chmod 600"):
        settings.load().private_key()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "high", "PORT"),
        ("HONK_INTAKE", "hope", "HONK_INTAKE"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
    ],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught:
        settings.load()
    assert words in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("ask", ["app_id", "private_key", "webhook_secrets", "model_key"])
def test_what_is_missing_is_named_with_what_to_do(ask: str) -> None:
    with pytest.raises(UserError, match=r"is not set.*\.env"):
        getattr(settings.load(), ask)()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-visible")
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "visible-secret")
    assert "visible" not in repr(settings.load())


LONG = "s" * 32


def test_people_can_sign_in_once_all_three_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_CLIENT_ID", "Iv1")
    monkeypatch.setenv("GITHUB_CLIENT_SECRET", "client")
    assert settings.load().sign_in() is None
    path = tmp_path / "session"
    path.write_text(LONG + "\n")
    path.chmod(0o600)
    monkeypatch.setenv("HONK_SESSION_SECRET_FILE", str(path))
    found = settings.load()
    sign_in = found.sign_in()
    assert sign_in is not None
    assert sign_in.session_secret.get_secret_value() == LONG
    assert {"client", LONG} <= found.secrets()
    assert LONG not in repr(found)


def test_a_short_session_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET", "HONK_SESSION_SECRET"):
        monkeypatch.setenv(name, "short")
    with pytest.raises(UserError, match="fewer than 32"):
        settings.load().sign_in()


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://honk.example.com/", "https://honk.example.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        *((bad, None) for bad in ("honk.example.com", "ftp://x", "https://x/y", "https://a@x")),
    ],
)
def test_the_public_address_is_an_origin(
    monkeypatch: pytest.MonkeyPatch, given: str, origin: str | None
) -> None:
    monkeypatch.setenv("HONK_PUBLIC_URL", given)
    if origin is None:
        with pytest.raises(UserError, match="PUBLIC_URL"):
            settings.load()
    else:
        assert settings.load().public_url == origin


@pytest.mark.parametrize("name", ["GITHUB_WEBHOOK_SECRET", "HONK_SESSION_SECRET"])
def test_an_env_file_with_a_secret_that_others_can_read_is_refused(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"PORT=7000\n{name}='not for others'\n")
    path.chmod(0o640)
    with pytest.raises(UserError, match=f"contains {name}.*chmod 600") as refused:
        settings.load()
    assert "not for others" not in str(refused.value)
    path.chmod(0o600)
    assert settings.load().port == 7000


@pytest.mark.parametrize("form", ["pem", "escaped", "base64"])
def test_a_key_in_each_form_is_the_same_key(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE+/==\n-----END RSA PRIVATE KEY-----"
    forms = {
        "pem": pem,
        "escaped": pem.replace("\n", "\\n"),
        "base64": base64.b64encode(pem.encode()).decode(),
    }
    monkeypatch.setenv("GITHUB_PRIVATE_KEY", forms[form])
    found = settings.load()
    assert found.private_key().get_secret_value() == pem
    assert {forms[form], pem} <= found.secrets()
    monkeypatch.setenv("GITHUB_PRIVATE_KEY", "no key")
    assert settings.load().private_key().get_secret_value() == "no key"
