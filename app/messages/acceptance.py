"""Answers to `/honk accept`."""

from __future__ import annotations

from app.domain.values import short
from app.domain.verdict import VerdictKind
from app.messages.formatting import shown_login
from app.messages.verdict import how_to_go_on


def done(number: int, sha: str, login: str, *, ready: bool, held_by: str) -> str:
    """The verdict is accepted; `ready` is whether the pull request is ready for review now."""
    state = f"#{number} is ready for review." if ready else ""
    stays = f"#{number} stays a draft: {held_by}" if held_by else ""
    parts = [f"Accepted the tests of {short(sha)} for {shown_login(login)}.", state, stays]
    return " ".join(part for part in parts if part)


def already_accepted(number: int, sha: str, login: str) -> str:
    """The verdict was accepted before."""
    return f"{shown_login(login)} already accepted the tests of {short(sha)} on #{number}."


def only_people(number: int) -> tuple[str, str]:
    """Problem and next step when a bot asks."""
    return (
        f"Only a person can accept the tests of #{number}.",
        "Someone with write access comments `/honk accept`.",
    )


def pull_is_closed(number: int) -> tuple[str, str]:
    """Problem and next step on a closed pull request."""
    return (f"#{number} is not open.", "Reopen it, then ask again.")


def no_verdict(number: int) -> tuple[str, str]:
    """Problem and next step before Honk has tested the pull request."""
    return (f"Honk has not tested #{number} yet.", "Comment `/honk test` first.")


def head_moved(number: int, head: str, sha: str) -> tuple[str, str]:
    """Problem and next step when the verdict is about an earlier commit."""
    return (
        f"#{number} is at {short(head)} now, and Honk's verdict is about {short(sha)}.",
        f"Comment `/honk test`. If the verdict asks for it, comment `/honk accept {head}`.",
    )


def another_commit(number: int, sha: str, problem: str = "") -> tuple[str, str]:
    """Problem and next step when the request does not name the verdict's commit."""
    return (
        problem or f"The verdict on #{number} is about another commit.",
        f"Read it, then comment `/honk accept {sha}`.",
    )


def newer_verdict(number: int, sha: str) -> tuple[str, str]:
    """Problem and next step when the verdict was posted after the comment."""
    return (
        f"Honk posted a new verdict on #{number} after your comment.",
        f"Read it, then comment `/honk accept {sha}`.",
    )


def edited(number: int, sha: str) -> tuple[str, str]:
    """Problem and next step when the comment was edited or deleted since."""
    return (
        f"Your comment on #{number} was edited or deleted, so it does not count.",
        f"Comment `/honk accept {sha}`.",
    )


def unfinished(number: int, subject: int) -> tuple[str, str]:
    """Problem and next step when the run for #`subject` ended before its work was done."""
    return (
        f"The work on #{number} is not finished.",
        f"Comment `/honk continue` on #{subject}, or `/honk ready` to review it as it is.",
    )


def nothing_to_accept(number: int, kind: VerdictKind, title: str, sha: str) -> tuple[str, str]:
    """Problem and next step when the verdict is none that a person accepts."""
    return (f"{_WHAT[kind].format(number=number)} {title}.", _next(kind, sha))


_FINE = frozenset({VerdictKind.PROVEN, VerdictKind.NEW_CODE, VerdictKind.TESTS_ONLY})
_WHAT = {
    **dict.fromkeys(VerdictKind, "#{number} needs a change, not an acceptance."),
    **dict.fromkeys((*_FINE, VerdictKind.UNCHANGED), "There is nothing to accept on #{number}."),
}


def _next(kind: VerdictKind, sha: str) -> str:
    if kind in _FINE or kind is VerdictKind.UNCHANGED:
        return "If it is a draft, comment `/honk ready`."
    step = how_to_go_on(kind, sha)
    ready = "To review it as it is, comment `/honk ready`."
    return step if step.endswith("`/honk ready`.") else f"{step} {ready}"
