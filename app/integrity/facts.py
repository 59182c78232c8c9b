"""What is read of one file: its tests, what they assert, and marks that a person should know of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.flag import Kind

TRIVIAL, LOOSE, PARTIAL, CLOSE, EXACT = range(5)
"""How much an assertion says: nothing; that something is there; a part; nearly; all of it."""

EVERYTHING = "*"
"""The owner of a mark that concerns tests of other files too."""


@dataclass(frozen=True)
class Assertion:
    """One assertion. Texts are token by token, so that formatting makes no difference.

    `tolerance` is how far off a number may be; `guards` are the conditions that it stands under.
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
    """One test. `body` is its code token by token; `rows` are the cases of its table, if any."""

    __test__ = False

    name: str
    line: int
    body: str
    assertions: list[Assertion] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestMark:
    """Something that is a flag when it is new. `owner` is the test or class that it is about."""

    kind: Kind
    line: int
    text: str
    reason: str
    owner: str = ""


@dataclass(frozen=True)
class FileFacts:
    """All that is read of a file. `helpers`: code of functions that no runner finds."""

    tests: Mapping[str, TestCode] = field(default_factory=dict)
    marks: tuple[TestMark, ...] = ()
    helpers: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    broken: bool = False
