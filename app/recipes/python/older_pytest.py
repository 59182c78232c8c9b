"""Going back to an older pytest, for tests that use what the newest one removed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from app.recipes.python.manifests import PythonProject
from app.recipes.python.names import requirement

SOURCE = "the tests, which use what a newer pytest removed"

_MAJORS = (9, 8, 7)
"""The major versions that may be too new, newest first: the one before each is tried."""

_REMOVED = re.compile(
    r"PytestRemovedIn\d+Warning"
    r"|are declared in the hookimpl but can not be found in the hookspec"
    r"|unknown hook 'pytest_(?:cmdline_preparse|warning_captured|logwarning|namespace)'"
    r"|module '_?pytest[\w.]{0,60}' has no attribute"
    r"|cannot import name '\w{1,60}' from '_?pytest[\w.]{0,60}'"
    r"|No module named '_pytest\.[\w.]{1,60}'"
)
_LOCKED = re.compile(r"""(?m)^name = "pytest"$|^\s*"pytest": \{""")


def older_pytest(project: PythonProject, lock: str, output: str, tried: Sequence[str]) -> str:
    """The requirement to try next (`pytest<9`); empty if the output does not mention a removal,
    there is none left, or the repository itself specifies the version.
    """
    if not _REMOVED.search(output) or (lock and _LOCKED.search(project.text(lock))):
        return ""
    wanted = list(_wanted(project))
    if any(one.operator not in (">", ">=", "!=") for each in wanted for one in each):
        return ""
    last = next((major for major in _MAJORS if _below(major) in tried), _MAJORS[0] + 1)
    major = last - 1
    fits = major in _MAJORS and all(each.contains(f"{major - 1}.999") for each in wanted)
    return _below(major) if fits else ""


def is_older_pytest(name: str) -> bool:
    """Whether a package is one that `older_pytest` names."""
    return name in map(_below, _MAJORS)


def _below(major: int) -> str:
    return f"pytest<{major}"


def _wanted(project: PythonProject) -> Iterator[SpecifierSet]:
    """The versions of pytest that the manifests ask for."""
    for text in project.declared_texts:
        read = requirement(text.partition(" #")[0].strip())
        if read is not None and canonicalize_name(read.name) == "pytest":
            yield read.specifier
