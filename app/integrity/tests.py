"""Compares the tests before and after: which were removed, and which check less."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.diff import FileDiff
from app.domain.flag import Flag, Kind, snippet
from app.integrity.facts import (
    EVERYTHING,
    LOOSE,
    TRIVIAL,
    Assertion,
    FileFacts,
    TestCode,
    TestMark,
)

_OF_A_TEST = frozenset({Kind.SKIPPED, Kind.EXPECTED_TO_FAIL, Kind.RETRY})


@dataclass(frozen=True)
class FileSide:
    """The tests of one file before and after."""

    file: FileDiff
    before: FileFacts
    after: FileFacts


@dataclass(frozen=True)
class TestPair:
    """A test that exists on both sides, perhaps with another name or in another file.

    `came_from` is the changed file that held it before, by its name at head.
    """

    came_from: str
    path: str
    before: TestCode
    after: TestCode


def compare(
    sides: Sequence[FileSide], failing_before: frozenset[str], *, code_changed: bool
) -> Iterator[Flag]:
    """Return the flags on all tests and marks of a change."""
    pairs, gone = _match(sides)
    yield from _gone(sides, gone)
    new = [test.assertions for test in _new_tests(sides, pairs)]
    new += [_less(pair.after.assertions, pair.before.assertions) for pair in pairs]
    loose = Counter(each.text for assertions in new for each in assertions)
    names = failing_names(failing_before)
    for pair in pairs:
        yield from _compare(pair, loose, names, code_changed)
    yield from _marks(sides, pairs)


def matched(sides: Sequence[FileSide]) -> list[TestPair]:
    """The tests that exist on both sides."""
    return _match(sides)[0]


def unmatched(sides: Sequence[FileSide]) -> list[tuple[FileSide, TestCode]]:
    """The tests that exist only before."""
    return _match(sides)[1]


def failing_names(ids: frozenset[str]) -> frozenset[str]:
    """The test names within verifiers' test ids."""
    names: set[str] = set()
    for each in ids:
        plain = re.sub(r"\[[^\]]*\]$", "", each)
        parts = [part.strip() for part in re.split(r"::| > |#| › |/", plain)]
        names.update((plain, parts[-1], parts[-1].rpartition(".")[2]))
    return frozenset(names)


def _match(sides: Sequence[FileSide]) -> tuple[list[TestPair], list[tuple[FileSide, TestCode]]]:
    """Pair tests by name in their file, then by name, code and assertions anywhere."""
    pairs: list[TestPair] = []
    gone: list[tuple[FileSide, TestCode]] = []
    come: dict[int, tuple[str, TestCode]] = {}
    for side in sides:
        for name, test in side.before.tests.items():
            if name in side.after.tests:
                path = side.file.path
                pairs.append(TestPair(path, path, test, side.after.tests[name]))
            else:
                gone.append((side, test))
        new = (test for name, test in side.after.tests.items() if name not in side.before.tests)
        come.update((id(test), (side.file.path, test)) for test in new)
    for key in (_by_name, _by_body, _by_assertions):
        index: dict[object, list[int]] = defaultdict(list)
        for number, (_, test) in come.items():
            index[key(test)].append(number)
        rest: list[tuple[FileSide, TestCode]] = []
        for side, test in gone:
            found = index[key(test)] if key(test) else []
            if found:
                path, after = come.pop(found.pop(0))
                pairs.append(TestPair(side.file.path, path, test, after))
            else:
                rest.append((side, test))
        gone = rest
    return pairs, gone


def _by_name(test: TestCode) -> object:
    return test.name.rpartition(".")[2]


def _by_body(test: TestCode) -> object:
    return test.body if len(test.body) > 12 else ""


def _by_assertions(test: TestCode) -> object:
    return tuple(sorted(each.text for each in test.assertions))


def _new_tests(sides: Sequence[FileSide], pairs: Sequence[TestPair]) -> list[TestCode]:
    known = {id(pair.after) for pair in pairs}
    tests = (test for side in sides for test in side.after.tests.values())
    return [test for test in tests if id(test) not in known]


def _gone(sides: Sequence[FileSide], gone: Sequence[tuple[FileSide, TestCode]]) -> Iterator[Flag]:
    """Tests without a counterpart: hidden from the runner, merged into a table, or removed."""
    helpers = {
        body: (side.file.path, name, at)
        for side in sides
        for body, (name, at) in side.after.helpers.items()
    }
    before = {body for side in sides for body in side.before.helpers}
    room = _room(sides)
    for side, test in gone:
        path = side.file.path
        hidden = helpers.get(test.body) if test.body not in before and test.assertions else None
        if hidden:
            where, name, at = hidden
            yield Flag(
                kind=Kind.RENAMED_OUT_OF_DISCOVERY,
                file=where,
                line=at,
                reason=f"The test `{test.name}` is now `{name}`, which no test runner finds.",
                before=snippet(test.name),
                after=snippet(name),
            )
        elif not _absorbed(test, room.get(path, [])):
            deleted = side.file.is_deleted
            yield Flag(
                kind=Kind.REMOVED,
                file=path,
                line=None if deleted else _near(side, test),
                reason=f"The test `{test.name}` was removed"
                + (" with its file." if deleted else "."),
                before=snippet(test.body),
            )


def _near(side: FileSide, test: TestCode) -> int | None:
    """The line in the new file of the nearest test that used to precede this one."""
    earlier = [
        side.after.tests[each.name].line
        for each in side.before.tests.values()
        if each.line < test.line and each.name in side.after.tests
    ]
    return max(earlier, default=1)


def _room(sides: Sequence[FileSide]) -> dict[str, list[list[object]]]:
    """Tables that grew, by file: the number of new cases, and their test's code."""
    room: dict[str, list[list[object]]] = defaultdict(list)
    for side in sides:
        for name, test in side.after.tests.items():
            old = side.before.tests.get(name)
            more = len(test.rows) - (len(old.rows) if old else 0)
            if more > 0:
                room[side.file.path].append([more, set(_words(test))])
    return room


def _absorbed(test: TestCode, room: list[list[object]]) -> bool:
    """Whether a table that grew calls what the test called; each new case replaces one test."""
    wanted = {word for each in test.assertions for word in _names(each.subject)}
    for place in room:
        left, words = place
        assert isinstance(left, int)
        assert isinstance(words, set)
        if left > 0 and wanted and len(wanted & words) * 2 >= len(wanted):
            place[0] = left - 1
            return True
    return False


def _words(test: TestCode) -> list[str]:
    return _names(test.body) + [word for row in test.rows for word in _names(row)]


def _names(words: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", words)


def _compare(
    pair: TestPair, elsewhere: Counter[str], failing: frozenset[str], code_changed: bool
) -> Iterator[Flag]:
    """Flags for what one test no longer checks."""
    before, after = pair.before, pair.after
    if before.body == after.body and before.rows == after.rows and before.guards == after.guards:
        return
    fixed = before.name in failing or before.name.rpartition(".")[2] in failing
    changed = _Weaker(pair, fixed, code_changed)
    if len(after.guards) > len(before.guards):
        changed.add(Kind.SKIPPED, None, None, f"now depends on {_shown(after.guards[-1])}")
    changed.rows()
    removed, added = _differing(before.assertions, after.assertions)
    changed.guards()
    for was, now in _partners(removed, added):
        if now is not None:
            changed.weaker(was, now)
        elif was.strength > TRIVIAL and elsewhere[was.text] <= 0:
            if len(after.rows) <= len(before.rows):
                changed.add(Kind.REMOVED_ASSERTION, was, None, "lost an assertion")
        else:
            elsewhere[was.text] -= 1
    if not removed and not added:
        changed.messages()
    yield from changed.flags.values()


class _Weaker:
    """Collects the flags of one test, at most one of each kind."""

    def __init__(self, pair: TestPair, fixed: bool, code_changed: bool) -> None:
        self.pair = pair
        self.fixed = fixed
        self.code_changed = code_changed
        self.flags: dict[Kind, Flag] = {}

    def add(self, kind: Kind, was: Assertion | None, now: Assertion | None, words: str) -> None:
        if kind in self.flags:
            return
        self.flags[kind] = Flag(
            kind=kind,
            file=self.pair.path,
            line=now.line if now else self.pair.after.line,
            reason=f"The test `{self.pair.after.name}` {words}.",
            before=snippet(was.text if was else ""),
            after=snippet(now.text if now else ""),
        )

    def rows(self) -> None:
        before, after = Counter(self.pair.before.rows), Counter(self.pair.after.rows)
        lost = before - after
        if not lost:
            return
        row = next(iter(lost))
        if sum(after.values()) < sum(before.values()):
            kind, words = Kind.FEWER_CASES, f"lost {sum(lost.values())} of its cases"
        else:
            kind, words = Kind.CHANGED_EXPECTATION, f"{self._failed()}has changed cases"
        self.add(kind, None, None, words)
        if kind in self.flags:
            flag = self.flags[kind].model_copy(update={"before": snippet(row)})
            self.flags[kind] = flag

    def _failed(self) -> str:
        """A failing test may have been wrong, or its expectation was changed to make it pass."""
        return "failed before and " if self.fixed else ""

    def guards(self) -> None:
        """Assertions that became conditional."""
        known = {each.text: each for each in self.pair.before.assertions}
        for now in self.pair.after.assertions:
            was = known.get(now.text)
            new = [guard for guard in now.guards if was and guard not in was.guards]
            if was and new and len(now.guards) > len(was.guards):
                words = f"makes an assertion only under {_shown(new[-1])}"
                self.add(Kind.WEAKENED_ASSERTION, was, now, words)

    def weaker(self, was: Assertion, now: Assertion) -> None:
        """Describe how an assertion checks less than the one it replaces."""
        same = bool(was.subject) and was.subject == now.subject
        if now.strength == TRIVIAL < was.strength:
            self.add(Kind.WEAKENED_ASSERTION, was, now, "asserts something that is always true")
        elif (
            now.tolerance is not None
            and now.tolerance > (was.tolerance or 0)
            and (same or was.expected == now.expected)
        ):
            self.add(Kind.TOLERANCE, was, now, "allows a larger tolerance")
        elif (now.strength < was.strength and (same or was.expected == now.expected)) or (
            now.strength <= LOOSE and was.strength > LOOSE + 1
        ):
            self.add(Kind.WEAKENED_ASSERTION, was, now, "asserts less than before")
        elif same and _other_value(was, now):
            together = ", changed together with the code" if self.code_changed else ""
            words = f"{self._failed()}expects a different value{together}"
            self.add(Kind.CHANGED_EXPECTATION, was, now, words)

    def messages(self) -> None:
        """Only a failure message changed, so no test checks more or less."""
        before = [each.message for each in self.pair.before.assertions]
        after = [each.message for each in self.pair.after.assertions]
        if before == after:
            return
        plain = [_without(self.pair.before.body, before), _without(self.pair.after.body, after)]
        if plain[0] == plain[1]:
            words = "changed only its message"
            self.add(Kind.MESSAGE_ONLY, None, self.pair.after.assertions[0], words)


def _other_value(was: Assertion, now: Assertion) -> bool:
    return was.expected != now.expected and bool(was.expected) and now.strength <= was.strength


def _without(body: str, messages: Sequence[str]) -> str:
    for each in messages:
        body = body.replace(each, "") if each else body
    return body.replace(" ", "").replace(",", "")


def _shown(guard: str) -> str:
    return guard if guard.startswith("a ") else f"`{snippet(guard)}`"


def _differing(
    before: Sequence[Assertion], after: Sequence[Assertion]
) -> tuple[list[Assertion], list[Assertion]]:
    """The assertions that only one side has."""
    return _less(before, after), _less(after, before)


def _less(one: Sequence[Assertion], other: Sequence[Assertion]) -> list[Assertion]:
    spare = Counter(each.text for each in other)
    rest: list[Assertion] = []
    for each in one:
        if spare[each.text] > 0:
            spare[each.text] -= 1
        else:
            rest.append(each)
    return rest


def _partners(
    removed: Sequence[Assertion], added: Sequence[Assertion]
) -> Iterator[tuple[Assertion, Assertion | None]]:
    """Pair each removed assertion with the added one that replaced it, nearest first."""
    left = list(removed)
    free = list(added)
    for alike in (
        lambda was, now: was.subject == now.subject and was.expected == now.expected,
        lambda was, now: was.subject == now.subject,
        lambda was, now: bool(was.expected) and was.expected == now.expected,
        lambda was, now: bool(set(_names(was.text)) & set(_names(now.text))),
        lambda was, now: True,
    ):
        rest: list[Assertion] = []
        for was in left:
            now = next((each for each in free[:200] if alike(was, each)), None)
            if now is None:
                rest.append(was)
            else:
                free = [each for each in free if each is not now]
                yield was, now
        left = rest
    for was in left:
        yield was, None


def _marks(sides: Sequence[FileSide], pairs: Sequence[TestPair]) -> Iterator[Flag]:
    """New marks, except those that only moved or belong to a new test."""
    before = Counter(_key(mark) for side in sides for mark in side.before.marks)
    existed = {pair.after.name for pair in pairs} | {pair.before.name for pair in pairs}
    for side in sides:
        for mark in side.after.marks:
            if before[_key(mark)] > 0:
                before[_key(mark)] -= 1
            elif mark.kind not in _OF_A_TEST or _concerns(mark, side, existed):
                yield Flag(
                    kind=mark.kind,
                    file=side.file.path,
                    line=mark.line,
                    reason=mark.reason,
                    after=snippet(mark.text),
                )


def _key(mark: TestMark) -> tuple[Kind, str, str]:
    return mark.kind, mark.text, mark.owner.rpartition(".")[2] if mark.kind in _OF_A_TEST else ""


def _concerns(mark: TestMark, side: FileSide, existed: set[str]) -> bool:
    """Whether the mark concerns tests that existed before."""
    if mark.owner == EVERYTHING or side.file.path.endswith("conftest.py"):
        return True
    if not mark.owner:
        return any(name in existed for name in side.after.tests) or bool(side.before.tests)
    return mark.owner in existed or any(name.startswith(f"{mark.owner}.") for name in existed)
