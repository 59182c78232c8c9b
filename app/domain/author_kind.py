"""Who wrote something: a person, Honk, or another agent. Pure."""

from __future__ import annotations

from enum import StrEnum

_BOT_SUFFIX = "[bot]"
"""GitHub reserves it for Apps: no person's login contains brackets."""

KNOWN_AGENTS = frozenset(
    {
        "copilot",
        "copilot-swe-agent",
        "devin-ai-integration",
        "claude",
        "cursor",
        "google-labs-jules",
        "chatgpt-codex-connector",
        "openhands-agent",
        "sweep-ai",
        "dependabot",
        "dependabot-preview",
        "renovate",
        "renovate-bot",
        "snyk-bot",
        "github-actions",
        "pre-commit-ci",
    }
)
"""Logins of agents, without `[bot]`, that GitHub does not always show as an App's account: Copilot
has no suffix, some run as an ordinary account, and commits only name their author. Every account
of an App is an agent, whether or not it is listed."""


class AuthorKind(StrEnum):
    """Who wrote a pull request or a commit."""

    PERSON = "person"
    HONK = "honk"  # this App
    OTHER_AGENT = "other agent"  # another App, or one of KNOWN_AGENTS


def author_kind(login: str, account_type: str, honk_login: str) -> AuthorKind:
    """The kind of an account. `account_type` is GitHub's `User`, `Bot`, ..., or empty if unknown;
    `honk_login` ends in `[bot]`."""
    name = login.lower()
    if name == honk_login.lower():
        return AuthorKind.HONK
    is_app = account_type == "Bot" or name.endswith(_BOT_SUFFIX)
    if is_app or name.removesuffix(_BOT_SUFFIX) in KNOWN_AGENTS:
        return AuthorKind.OTHER_AGENT
    return AuthorKind.PERSON
