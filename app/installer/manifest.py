"""The manifest of the GitHub App, with an installation's own addresses filled in. Pure but for
reading `manifest.yml`.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import yaml

from app.errors import UserError

Intake = Literal["webhook", "log", "poll"]

WEBHOOK_PATH = "/webhooks/github"
CALLBACK_PATH = "/login/callback"
UNREACHABLE_HOOK = f"https://honk.invalid{WEBHOOK_PATH}"
"""The webhook URL of an App whose delivery log is read: `.invalid` leads nowhere."""

NAME_LENGTH = 34
"""The longest name of an App on GitHub."""

_PACKAGE = Path(__file__).parent
_FILE = next(
    each
    for each in (_PACKAGE / "manifest.yml", _PACKAGE.parents[1] / "manifest.yml")
    if each.is_file()
)
"""A wheel has it here, a checkout at its root."""
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9-]+")
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?")


def manifest(
    *, name: str, intake: Intake, public_url: str | None, redirect_url: str, local_url: str
) -> dict[str, Any]:
    """The manifest as GitHub takes it.

    `public_url` is where people and GitHub reach Honk, None without a public address: then people
    sign in at `local_url`. `redirect_url` is where GitHub sends the browser back to. With the
    intake "poll" the App has no webhook and no events: GitHub refuses a hook without an address,
    and most addresses that are not public.
    """
    if not 0 < len(name) <= NAME_LENGTH:
        raise UserError(f"GitHub accepts names of 1 to {NAME_LENGTH} characters.")
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text("utf-8"))
    found |= {
        "name": name,
        "redirect_url": redirect_url,
        "callback_urls": [f"{public_url or local_url}{CALLBACK_PATH}"],
    }
    if public_url is not None:
        found["url"] = public_url
    if intake == "poll":
        del found["hook_attributes"], found["default_events"]
    elif intake == "log":
        found["hook_attributes"]["url"] = UNREACHABLE_HOOK
    elif public_url is None:
        raise UserError("GitHub needs a public address to deliver to.")
    else:
        found["hook_attributes"]["url"] = f"{public_url}{WEBHOOK_PATH}"
    return found


def suggested_name(account: str) -> str:
    """A name that is likely free: names are unique across all of GitHub."""
    ending = f"-{secrets.token_hex(2)}"
    wanted = "-".join(filter(None, ("honk", _NOT_IN_NAME.sub("-", account).strip("-"))))
    return wanted[: NAME_LENGTH - len(ending)].rstrip("-") + ending


def form_url(server_url: str, organization: str, state: str) -> str:
    """Where a browser posts the manifest to. Raises UserError for an invalid organization."""
    if organization and not _LOGIN.fullmatch(organization):
        raise UserError(
            "That is not the name of an organization.",
            next_step="Enter the last part of its URL, such as octo-org.",
        )
    place = f"/organizations/{quote(organization)}" if organization else ""
    return f"{server_url}{place}/settings/apps/new?state={quote(state, safe='')}"


def public_address(given: str) -> str:
    """Scheme and host of a public address. Raises UserError."""
    text = given.strip()
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
    whole = parts.scheme in ("http", "https") and parts.hostname and port != 0 and not any(rest)
    if not whole or re.search(r"\s", text):
        raise UserError(
            "That is not an address GitHub can deliver to.",
            next_step="Enter only the scheme and host, such as https://honk.example.com.",
        )
    return f"{parts.scheme}://{parts.netloc}"
