"""Reads a test runner's output in the Test Anything Protocol: https://testanything.org.

The text is untrusted: anything that does not follow the protocol is skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.domain.sanitize import fit
from app.domain.verdict import TestOutcome, TestResult
from app.verify.junit import MAX_DETAILS, MAX_MESSAGE, MAX_REPORT_BYTES, MAX_TESTS, stable_id
from app.verify.results import plain

MAX_LINES = 2_000_000

_POINT = re.compile(
    r"(?P<indent> *)(?P<not>not )?ok\b(?: +\d{1,9})?(?: +- +| +)?(?P<name>[^\n]{0,2000}?)"
    r"(?: +# *(?P<directive>(?i:skip|todo))\b.*| +# time=\S+(?P<opens> \{)?| \{)?$"
)
_SECTION = re.compile(r"# (?!Subtest: )(\S.{0,2000})$")
_PLAN = re.compile(r"1\.\.(\d{1,7})")
_DETAIL = re.compile(r" *(---|\.\.\.)$")
_MESSAGE = re.compile(r" *message: (?!\|-?$|>-?$)(.+)")


@dataclass
class Point:
    """One `ok` or `not ok`. `depth` 0 is the outermost. `inner`: the points right below it.

    `section`: the comment above it, and its number, as tape names its tests.
    """

    name: str
    outcome: TestOutcome
    depth: int
    details: list[str] = field(default_factory=list)
    inner: list[Point] = field(default_factory=list)
    section: tuple[int, str] = (0, "")

    @property
    def message(self) -> str:
        """The message in its details, or their first line."""
        found = next((each[1] for line in self.details if (each := _MESSAGE.match(line))), "")
        return fit(found or next((line.strip() for line in self.details), ""), MAX_MESSAGE)


@dataclass(frozen=True)
class TapDocument:
    """The last document of a text. `complete`: everything that its plan announced is present."""

    points: tuple[Point, ...] = ()
    complete: bool = False
    count: int = 0


def read_tap(report: bytes) -> TapDocument:
    """The points of the last document in a text, with those one level below them."""
    text = plain(report[:MAX_REPORT_BYTES].decode("utf-8", errors="replace"))
    parts = re.split(r"(?m)^TAP version 1[34]$", text)
    if len(parts) == 1:
        return TapDocument()
    points, planned, bailed = _points(parts[-1])
    complete = not bailed and planned == len(points)
    return TapDocument(tuple(points), complete, len(parts) - 1)


def _points(text: str) -> tuple[list[Point], int | None, bool]:
    outer: list[Point] = []
    waiting: list[Point] = []  # the content of the next point
    last: Point | None = None
    opened: Point | None = None
    planned, details, section = None, False, (0, "")
    for line in text.split("\n")[:MAX_LINES]:
        marker = _DETAIL.match(line)
        if details or (marker and marker[1] == "---" and last is not None):
            details = marker is None or marker[1] == "---"
            if last is not None and marker is None and len(last.details) < 200:
                last.details.append(line)
            continue
        if line == "}" and opened is not None:
            opened.inner, opened, waiting = waiting, None, []
        plan = _PLAN.match(line)
        planned = int(plan[1]) if plan else planned
        if line.startswith("Bail out!"):
            return outer, planned, True
        if named_section := _SECTION.match(line):
            section = (section[0] + 1, named_section[1].strip())
        found = _POINT.match(line)
        if found is None or len(outer) + len(waiting) >= MAX_TESTS:
            continue
        depth = len(found["indent"]) // 4
        if depth > 1:
            continue
        last = Point(found["name"].strip(), _outcome(found), depth, section=section)
        if depth == 1:
            waiting.append(last)
            continue
        outer.append(last)
        if line.endswith("{"):
            opened, waiting = last, []
        else:
            last.inner, waiting = waiting, []
    return outer, planned, False


def _outcome(found: re.Match[str]) -> TestOutcome:
    if found["directive"]:
        return TestOutcome.SKIPPED  # also a failing `todo`, which is expected
    return TestOutcome.FAILED if found["not"] else TestOutcome.PASSED


def named(points: Iterator[tuple[str, Point, str | None, bool]]) -> tuple[TestResult, ...]:
    """Results of points, each with its id, its file, and whether it represents a file whose tests
    could not run. Ids that occur twice are numbered.
    """
    seen: Counter[str] = Counter()
    found = []
    for test_id, point, file, could_not_run in points:
        seen[test_id] += 1
        unique = test_id if seen[test_id] == 1 else f"{test_id} #{seen[test_id]}"
        bad = point.outcome.bad
        found.append(
            TestResult(
                id=stable_id(unique),
                outcome=TestOutcome.ERROR if bad and could_not_run else point.outcome,
                message=point.message if bad else "",
                details="\n".join(point.details)[:MAX_DETAILS] if bad else "",
                file=file,
                could_not_run=bad and could_not_run,
            )
        )
    return tuple(found)
