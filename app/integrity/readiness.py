"""Decides whether a change is ready for review or stays a draft, and why."""

from __future__ import annotations

from collections.abc import Iterable

from app import integrity
from app.domain.flag import Flag
from app.domain.policy import Policy
from app.domain.verdict import Verdict
from app.integrity import scope


def is_ready(policy: Policy, verdict: Verdict, flags: Iterable[Flag]) -> bool:
    """Whether the tests are good and no flag is blocked by the policy."""
    good = verdict.conclusion in ("success", "neutral")
    return good and not went_away(policy, verdict) and not in_the_way(policy, flags)


def went_away(policy: Policy, verdict: Verdict) -> bool:
    """Whether tests that ran on the base are now missing or skipped and the policy blocks that.

    A rename looks the same, so this is not a failure, but a person should check it.
    """
    block = policy.integrity.block
    removed = bool(verdict.removed) and "removed" in block
    return removed or (bool(verdict.newly_skipped) and "skipped" in block)


def in_the_way(policy: Policy, flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """The flags that keep a change in draft."""
    flags = tuple(flags)
    return (*integrity.blocking(flags, policy.integrity.block), *scope.refused(flags))
