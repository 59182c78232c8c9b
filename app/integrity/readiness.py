"""Whether a change is ready for a person's review, or stays a draft with what stands in its way."""

from __future__ import annotations

from collections.abc import Iterable

from app import integrity
from app.domain.flag import Flag
from app.domain.policy import Policy
from app.domain.verdict import Verdict
from app.integrity import scope


def is_ready(policy: Policy, verdict: Verdict, flags: Iterable[Flag]) -> bool:
    """The tests are good, and nothing was found that the policy blocks."""
    good = verdict.conclusion in ("success", "neutral")
    return good and not went_away(policy, verdict) and not in_the_way(policy, flags)


def went_away(policy: Policy, verdict: Verdict) -> bool:
    """Whether tests that ran on the base are gone or skipped now, and the policy blocks that.

    A rename does it too, so it is no failure; a person should look.
    """
    block = policy.integrity.block
    removed = bool(verdict.removed) and "removed" in block
    return removed or (bool(verdict.newly_skipped) and "skipped" in block)


def in_the_way(policy: Policy, flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """The flags that keep a change from being ready."""
    flags = tuple(flags)
    return (*integrity.blocking(flags, policy.integrity.block), *scope.refused(flags))
