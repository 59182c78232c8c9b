"""The facts read from one file: its tests, their assertions, and marks worth a reviewer's
attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.flag import Kind

TRIVIAL, LOOSE, PARTIAL, CLOSE, EXACT = range(5)
"""How much an assertion checks, from nothing through presence, a part and approximate equality
to the exact value."""

EVERYTHING = "*"
"""The owner of a mark that also affects tests in other files."""


@dataclass(frozen=True)
class Assertion:
    """One assertion. Texts are normalized token by token, so that formatting does not matter.

    `tolerance` is the allowed numeric difference; `guards` are the enclosing conditions.
    """

    line: int
    text: str
    subject: str
    expected: str
    strength: int
    message: str = ""
    tolerance: float | None = None
    guards: tuple[str, ...] = ()


@dataclass
class TestCode:
    """One test. `body` is its code, normalized token by token; `rows` are the cases of its
    table, if any."""

    __test__ = False

    name: str
    line: int
    body: str
    assertions: list[Assertion] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestMark:
    """Something that becomes a flag when it is new. `owner` is the test or class it concerns."""

    kind: Kind
    line: int
    text: str
    reason: str
    owner: str = ""


@dataclass(frozen=True)
class FileFacts:
    """All facts of a file. `helpers`: code of functions that the runner does not collect."""

    tests: Mapping[str, TestCode] = field(default_factory=dict)
    marks: tuple[TestMark, ...] = ()
    helpers: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    broken: bool = False
