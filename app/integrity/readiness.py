"""Decides whether a change is ready for review or stays a draft, and why."""

from __future__ import annotations

from collections.abc import Iterable

from app import integrity
from app.domain.flag import Flag
from app.domain.policy import Policy
from app.domain.verdict import Verdict
from app.integrity import scope


def is_ready(policy: Policy, verdict: Verdict, flags: Iterable[Flag]) -> bool:
    """Whether the evidence is good enough and the policy blocks no flag of the change."""
    return verdict.ready and not in_the_way(policy, flags)


def in_the_way(policy: Policy, flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """The flags that keep a change in draft."""
    flags = tuple(flags)
    return (*integrity.blocking(flags, policy.integrity.block), *scope.refused(flags))
