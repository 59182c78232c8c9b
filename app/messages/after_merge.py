"""The one comment after a merge: in production, failed, or not seen in time."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.domain import sanitize
from app.domain.after_merge import Fate
from app.domain.values import short
from app.messages.formatting import count, fit_comment

_LOG_CHARACTERS = 4_000


def marker(number: int, sha: str) -> str:
    """The marker of the comment about this merge."""
    return f"<!-- honk:after-merge={number}-{sha} -->"


def live(number: int, sha: str, fate: Fate) -> str:
    """The commit is in production."""
    return f"#{number} is in production ({_name(fate)}) as {short(sha)}{_at(fate.url)}."


def failed(number: int, sha: str, fate: Fate, log: str) -> str:
    """Its deployment or one of its workflows failed; `log` is the end of the failing job's log."""
    what = "Workflow" if fate.is_workflow else "The deployment to"
    text = (
        f"{what} {_name(fate)} failed after the merge of #{number} ({short(sha)}){_at(fate.url)}. "
        "To revert the merge, comment `/honk revert`. To fix it instead, open an issue and "
        "label it `honk`."
    )
    return fit_comment(f"{text}\n\n{_ending(log)}" if log.strip() else text)


def not_seen(number: int, sha: str, minutes: int, fate: Fate) -> str:
    """The time is up."""
    within = count(minutes, "minute")
    if fate.kind == "running" and not fate.is_workflow:
        return (
            f"After {within}, the deployment of #{number} ({short(sha)}) to {_name(fate)} is not "
            f"finished: GitHub says {sanitize.code(fate.state, limit=40)}. Honk follows it no "
            "longer."
        )
    return f"No deployment of #{number} ({short(sha)}) seen in {within}."


def _name(fate: Fate) -> str:
    return sanitize.code(fate.name, limit=100)


def _at(url: str) -> str:
    """The address as text, since its page is not GitHub's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ""
    return f", {sanitize.code(url, limit=300)}"


def _ending(log: str) -> str:
    return f"The end of the log:\n\n{sanitize.fence(log[-_LOG_CHARACTERS:], limit=_LOG_CHARACTERS)}"
