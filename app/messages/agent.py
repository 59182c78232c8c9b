"""What the agent reads besides its assignment."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.flag import Flag
from app.domain.verdict import Verdict
from app.messages.formatting import (
    FLAGS_SHOWN,
    SETUP_OUTPUT,
)


def setup_succeeded(output: str) -> str:
    """What the agent is told when its set-up did."""
    return f"The set-up commands ran. The last one said:\n{output[-SETUP_OUTPUT:]}"


def no_setup() -> str:
    """What the agent is told where nothing is to be set up."""
    return "There are no set-up commands in this repository's `.github/honk.yml`."


def continue_work() -> str:
    """What the agent is told when a person lets it continue."""
    return (
        "A person asked you to go on. The work tree holds what you had done. What people wrote "
        "since then follows, if they wrote anything. End with finish again."
    )


def carry_out_plan() -> str:
    """What the agent is told when a person likes its plan."""
    return (
        "The plan was accepted: now carry it out. From here on your changes count. Call verify "
        "before finish, and let finish tell what you did."
    )


def conflicts(files: Sequence[str]) -> str:
    """What the agent is told when others changed the same lines."""
    shown = "\n".join(f"- {sanitize.visible(name)}" for name in files[:50])
    return (
        "Others have changed the branch meanwhile, and both changes meet in these files, which now "
        "hold both sides between conflict markers (<<<<<<< ======= >>>>>>>):\n"
        f"{shown}\n\nThe work tree is on top of their change. Bring both sides together so that "
        "what they meant and what was asked of you both hold, leave no marker behind, call verify, "
        "then finish again."
    )


def fix_request(names: Sequence[str]) -> str:
    """The request of a fix that comes without words."""
    shown = ", ".join(sanitize.title(name, limit=80) for name in names[:5])
    return f"Make the failing checks of this pull request pass: {shown}"


def address_review() -> str:
    """The request of a command without words in a review."""
    return "Do what the review says"


def fetched_into_checkout(what: Sequence[str]) -> str:
    """The same for the agent."""
    lines = [f"- {each}: here to be read and used." for each in what]
    rest = "What is changed in them does not become part of the work: leave them as they are."
    return "\n".join([*lines, rest])


def absent_from_checkout(told: Sequence[tuple[str, str]]) -> str:
    """The same for the agent."""
    lines = [f"- {what}: {why}." for what, why in told]
    rest = "Leave them as they are. Tests that need them fail here, before your change too."
    return "\n".join([*lines, rest])


def flags(refused: Sequence[Flag], blocking: Sequence[Flag]) -> str | None:
    """What the agent is told of flags that keep its change back."""
    parts = []
    if refused:
        shown = "\n".join(f"- {flag.file}: {flag.reason}" for flag in refused[:FLAGS_SHOWN])
        parts.append(f"The repository's policy forbids this. Put it back as it was:\n{shown}")
    if blocking:
        shown = "\n".join(
            f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in blocking[:FLAGS_SHOWN]
        )
        parts.append(
            "Your change makes the tests say less, and as it stands it is only a draft:\n"
            f"{shown}\nBring the tests back, or say in finish why they had to go."
        )
    return "\n\n".join(parts) or None


def secrets(found: Sequence[Flag]) -> str:
    """What the agent is told when its work holds a secret."""
    shown = "\n".join(f"- {flag.file}:{flag.line or ''} {flag.reason}" for flag in found[:20])
    return (
        "Your work holds what looks like a secret, and nothing of it leaves this machine until it "
        f"is gone:\n{shown}\nTake it out (read it from the environment or a setting instead), "
        "then finish again."
    )


def push_refused(paths: Sequence[str], rule: str) -> str:
    """What the agent is told when a rule of the repository forbids what it did."""
    named = "".join(f"- {sanitize.visible(path)}\n" for path in paths[:20])
    return (
        "GitHub does not take your work because of a rule of this repository. It says:\n"
        f"{sanitize.visible(rule[:2_000])}\n{named}"
        "Do what was asked without breaking that rule, then finish again. Where that is not "
        "possible, say so in not_done."
    )


def verdict_for_the_judge(verdict: Verdict) -> str:
    """What the tests say, for a model that judges the change."""
    return "\n".join([verdict.title, *verdict.reasons])


def feedback(verdict: Verdict, evidence: str) -> str:
    """What goes back to the agent when the commit's tests say no."""
    return (
        "Your change was committed and its tests were run from a clean checkout of that commit. "
        f"The verdict is: {verdict.title}.\n"
        + "\n".join(f"- {reason}" for reason in verdict.reasons)
        + f"\n\n{evidence}\n\nMend the change, or finish and say honestly what is not done."
    )
