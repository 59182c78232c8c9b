"""The manifest that GitHub gets."""

from __future__ import annotations

import pytest

from app.errors import UserError
from app.installer import manifest
from app.installer.manifest import Intake
from app.playground.github.manifests import problem_of

BACK = "http://127.0.0.1:4711/created"
LOCAL = "http://127.0.0.1:8000"


def made(intake: Intake, public_url: str | None = None, name: str = "honk-1") -> dict[str, object]:
    return manifest.manifest(
        name=name, intake=intake, public_url=public_url, redirect_url=BACK, local_url=LOCAL
    )


def test_an_address_is_filled_in_everywhere() -> None:
    found = made("webhook", "https://honk.example.com")
    assert found["url"] == "https://honk.example.com"
    assert found["hook_attributes"] == {
        "url": "https://honk.example.com/webhooks/github",
        "active": True,
    }
    assert found["callback_urls"] == ["https://honk.example.com/login/callback"]
    assert found["redirect_url"] == BACK
    assert found["public"] is False


def test_without_an_address_there_is_no_hook_unless_its_log_is_read() -> None:
    polled = made("poll")
    assert "hook_attributes" not in polled
    assert "default_events" not in polled
    assert polled["callback_urls"] == [f"{LOCAL}/login/callback"]
    logged = made("log")
    assert logged["hook_attributes"] == {"url": manifest.UNREACHABLE_HOOK, "active": True}
    with pytest.raises(UserError, match="public address"):
        made("webhook")


@pytest.mark.parametrize(
    ("intake", "address"), [("poll", None), ("log", None), ("webhook", "https://h.example")]
)
def test_github_takes_each_of_them(intake: Intake, address: str | None) -> None:
    assert problem_of(None, made(intake, address)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("account", ["", "octo", "x" * 60, "a.b c/ü", "-"])
def test_a_suggested_name_is_one_that_github_takes(account: str) -> None:
    names = {manifest.suggested_name(account) for _ in range(20)}
    assert len(names) > 10
    for name in names:
        assert len(name) <= manifest.NAME_LENGTH
        assert name.startswith("honk-")
        assert name.isascii()
        assert "--" not in name


def test_a_name_of_another_length_is_refused() -> None:
    for name in ("", "x" * 35):
        with pytest.raises(UserError):
            made("poll", name=name)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://honk.example.com", "https://honk.example.com"),
        (" honk.example.com/ ", "https://honk.example.com"),
        ("http://honk.example.com:8080", "http://honk.example.com:8080"),
    ],
)
def test_an_address_as_people_type_it(given: str, meant: str) -> None:
    assert manifest.public_address(given) == meant


@pytest.mark.parametrize(
    "given",
    ["", "ftp://x", "https://", "https://a/b", "https://a?b", "https://u:p@a", "a b", "a:x"],
)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(UserError):
        manifest.public_address(given)


@pytest.mark.parametrize("name", ["a/b", "a?x=", "-a", "a-", "../x", "ü", "a" * 101, "a\nb"])
def test_an_organization_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(UserError, match="not the name of an organization"):
        manifest.form_url("https://github.com", name, "s")


def test_where_the_form_goes() -> None:
    host = "https://ghe.example.com"
    assert manifest.form_url(host, "", "s&t") == f"{host}/settings/apps/new?state=s%26t"
    there = f"{host}/organizations/octo-org/settings/apps/new?state=s"
    assert manifest.form_url(host, "octo-org", "s") == there
