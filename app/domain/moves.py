"""Matches tests of two commits by their ids alone: a renamed file, other parameters. Pure.

A wrong match hides nothing: the two tests are then compared like an edited test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

SEPARATORS = ("::", " > ")
"""The separators after the file in a test's id."""


def file_in(test_id: str) -> str | None:
    """The test file that the id names, if it names one."""
    for separator in SEPARATORS:
        file, found, _ = test_id.partition(separator)
        if found and "." in file.rpartition("/")[2]:
            return file
    return None


def moves_by_id(before: Collection[str], after: Collection[str]) -> dict[str, tuple[str, ...]]:
    """New ids for tests that only `before` has; each is the id of a test that only `after` has."""
    gone = sorted(set(before) - set(after))
    come = sorted(set(after) - set(before))
    if not gone or not come:
        return {}
    found = _with_other_parameters(gone, come)
    taken = {new for each in found.values() for new in each}
    found |= _in_renamed_files(
        [each for each in gone if each not in found],
        [each for each in come if each not in taken],
        {file_in(each) for each in before},
        {file_in(each) for each in after},
    )
    return found


def _with_other_parameters(gone: Iterable[str], come: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Match cases of one function: as many as both sides have; all if the table is new or
    removed.
    """
    new, old = _by_function(come), _by_function(gone)
    found: dict[str, tuple[str, ...]] = {}
    for function, cases in old.items():
        others = new.get(function, [])
        if cases == [function]:
            found[function] = tuple(others)
        elif others == [function]:
            found |= dict.fromkeys(cases, (function,))
        else:
            found |= {
                case: (other,)
                for case, other in zip(cases, others, strict=False)
                if function not in (case, other)
            }
    return {case: others for case, others in found.items() if others}


def _by_function(ids: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in ids:
        found[_function(each)].append(each)
    return found


def _function(test_id: str) -> str:
    """The id without the case: `test_a[1-2]` of pytest, `package TestA/case` of Go."""
    if test_id.endswith("]") and "[" in test_id:
        return test_id.partition("[")[0]
    package, space, name = test_id.partition(" ")
    if space and "::" not in test_id and " > " not in test_id and name.startswith("Test"):
        return f"{package} {name.partition('/')[0]}"
    return test_id


def _in_renamed_files(
    gone: Iterable[str],
    come: Iterable[str],
    old_files: Collection[str | None],
    new_files: Collection[str | None],
) -> dict[str, tuple[str, ...]]:
    """Match tests of deleted files with tests of the same name in new files, if only one
    matches.
    """
    of_new = list(_named(come, old_files))
    by_name = dict(of_new)
    often = Counter(name for name, _ in of_new)
    of_old = list(_named(gone, new_files))
    wanted = Counter(name for name, _ in of_old)
    return {
        test_id: (by_name[name],)
        for name, test_id in of_old
        if often[name] == 1 and wanted[name] == 1
    }


def _named(ids: Iterable[str], other_files: Collection[str | None]) -> Iterator[tuple[str, str]]:
    """Name and id of each test whose file the other commit does not have."""
    for each in ids:
        file = file_in(each)
        if file is not None and file not in other_files:
            yield each.replace(file, "", 1), each
