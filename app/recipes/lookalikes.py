"""Package names that are almost the name of another package. Pure.

An attacker registers `reqeusts` and waits for someone, such as a model, to misspell `requests`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

from app.domain.setup_plan import Missing

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._/@-]{0,99}")


def likely_name(name: str, known: Iterable[str]) -> str:
    """The known name that is one edit away: a letter added, removed, replaced or swapped; "" if
    none.
    """
    plain = _plain(name)
    near = (each for each in sorted(known) if _is_one_edit(plain, _plain(each)))
    return next(near, "")


def refused(name: str, known: Iterable[str]) -> Missing:
    """The message about a chosen package that nothing in the repository names."""
    shown = name if _NAME.fullmatch(name) else "a package"
    likely = likely_name(name, known)
    return Missing(
        what=shown,
        why="neither a manifest of the repository nor a list of Honk's has this package"
        + (f"; its name is close to `{likely}`, which one of them has" if likely else ""),
        next_step=f"If `{likely or shown}` is needed, add it to a manifest of the repository.",
    )


def _plain(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _is_one_edit(one: str, other: str) -> bool:
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = _common(one, other)
    one, other = one[start:], other[start:]
    end = _common(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    swapped = len(one) == len(other) == 2 and one == other[::-1]
    return swapped or max(len(one), len(other)) == 1


def _common(one: str, other: str) -> int:
    """How many letters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
