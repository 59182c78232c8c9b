"""Statistics about a repository's pull requests, by kind of author. Pure."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from app.domain.author_kind import AuthorKind
from app.domain.run import Phase
from app.domain.values import CommitSha, Value
from app.domain.verdict_words import ACCEPTED, NAMES

FOLLOWED_DAYS = 30
"""How many days after its merge a change is followed."""

REWORKED_SHARE = 0.2
"""A change counts as reworked when at least this share of its lines was deleted or rewritten."""

_OTHER = "Other"
_VERDICTS = (*NAMES.values(), ACCEPTED)

_REVERTS_COMMIT = re.compile(r"\bThis reverts commit ([0-9a-f]{7,64})\b", re.IGNORECASE)
_REVERTS_PULL = re.compile(
    r"^Reverts (?P<repo>[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100})?#(?P<number>[0-9]{1,10})\b",
    re.IGNORECASE | re.MULTILINE,
)


class Lines(Value):
    """Lines that a merged change added, and how many of them no longer exist some time later."""

    added: int
    gone: int


class ReportedPull(Value):
    """One pull request. `verdict` is the title of Honk's verdict on its head, empty without one.

    `reverted` and `lines` are None when the change is not merged or could not be followed.
    `review_seconds`: from when it was ready until a person's first review; None without one.
    `machine_seconds`: how long Honk worked on it. `problem`: why the verdict could not be computed.
    """

    number: int
    title: str
    author: str
    kind: AuthorKind
    state: Literal["open", "closed", "merged"]
    created_at: datetime
    merged_at: datetime | None = None
    head: CommitSha
    verdict: str = ""
    problem: str = ""
    reverted: bool | None = None
    lines: Lines | None = None
    review_seconds: float | None = None
    machine_seconds: float = 0.0

    @property
    def reworked(self) -> bool | None:
        """Whether enough of its lines are gone; None when nothing could be counted."""
        if self.lines is None or not self.lines.added:
            return None
        return self.lines.gone / self.lines.added >= REWORKED_SHARE


class KindSummary(Value):
    """The pull requests of one kind of author. `*_known`: how many the count is out of."""

    kind: AuthorKind
    opened: int
    merged: int
    verdicts: dict[str, int]
    reverted: int
    reverted_known: int
    reworked: int
    reworked_known: int
    lines_added: int
    lines_gone: int
    reviewed: int
    median_review_seconds: float | None
    machine_seconds: float


def summarize(pulls: Sequence[ReportedPull]) -> tuple[KindSummary, ...]:
    """One summary for each kind of author, including those without pull requests."""
    return tuple(
        _summary(kind, [each for each in pulls if each.kind is kind]) for kind in AuthorKind
    )


def _summary(kind: AuthorKind, pulls: Sequence[ReportedPull]) -> KindSummary:
    names = Counter(verdict_name(each.verdict) for each in pulls if each.verdict)
    reviews = [each.review_seconds for each in pulls if each.review_seconds is not None]
    lines = [each.lines for each in pulls if each.lines is not None]
    return KindSummary(
        kind=kind,
        opened=len(pulls),
        merged=sum(each.state == "merged" for each in pulls),
        verdicts={name: names[name] for name in (*_VERDICTS, _OTHER) if names[name]},
        reverted=sum(each.reverted is True for each in pulls),
        reverted_known=sum(each.reverted is not None for each in pulls),
        reworked=sum(each.reworked is True for each in pulls),
        reworked_known=sum(each.reworked is not None for each in pulls),
        lines_added=sum(each.added for each in lines),
        lines_gone=sum(each.gone for each in lines),
        reviewed=len(reviews),
        median_review_seconds=statistics.median(reviews) if reviews else None,
        machine_seconds=sum(each.machine_seconds for each in pulls),
    )


def verdict_name(title: str) -> str:
    """The verdict at the beginning of a title."""
    name = title.partition(":")[0].strip()
    return name if name in _VERDICTS else _OTHER


def reverted_commits(text: str) -> frozenset[str]:
    """The commits, possibly abbreviated, that a commit message or description says it reverts."""
    return frozenset(found.lower() for found in _REVERTS_COMMIT.findall(text))


def reverted_pulls(text: str, repository: str) -> frozenset[int]:
    """The pull requests of `repository` that a text says it reverts, as GitHub's button writes."""
    return frozenset(
        int(found["number"])
        for found in _REVERTS_PULL.finditer(text)
        if (found["repo"] or repository).lower() == repository.lower()
    )


def is_reverted(number: int, commits: Iterable[str], texts: Iterable[str], repository: str) -> bool:
    """Whether one of the later texts reverts one of the pull request's commits, or all of it."""
    landed = tuple(commits)
    for text in texts:
        if number in reverted_pulls(text, repository):
            return True
        named = reverted_commits(text)
        if any(sha.startswith(each) for each in named for sha in landed):
            return True
    return False


def seconds_until_review(
    created_at: datetime, ready_at: Sequence[datetime], reviewed_at: Sequence[datetime]
) -> float | None:
    """From when a pull request was opened, or last marked ready, until its first review.

    None without a review.
    """
    first = min(reviewed_at, default=None)
    if first is None:
        return None
    began = max([created_at, *(each for each in ready_at if each <= first)])
    return max(0.0, (first - began).total_seconds())


def worked_seconds(phases: Sequence[tuple[str, float]], finished_at: float | None) -> float:
    """How long a run worked: all phases but those in the queue and after its end."""
    if not phases:
        return 0.0
    ends = [at for _, at in phases[1:]] + [finished_at or phases[-1][1]]
    idle = (Phase.QUEUED.value, Phase.FINISHED.value)
    spans = zip(phases, ends, strict=True)
    return sum(max(0.0, end - at) for (name, at), end in spans if name not in idle)
