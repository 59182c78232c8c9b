"""What `honk doctor` finds out, as values."""

from __future__ import annotations

from dataclasses import dataclass


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
