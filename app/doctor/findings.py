"""What `honk doctor` finds out, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.errors import UserError


@dataclass(frozen=True)
class DoctorFinding:
    """`good` None is something to know, which does not fail."""

    what: str
    good: bool | None
    told: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class DoctorSection:
    """One table of the answer."""

    title: str
    findings: tuple[DoctorFinding, ...]


def of_setting(name: str, read: Callable[[], object]) -> DoctorFinding:
    """Whether a setting can be read."""
    try:
        read()
    except UserError as problem:
        return DoctorFinding(name, False, problem.message, problem.next_step)
    return DoctorFinding(name, True)
