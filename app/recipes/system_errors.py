"""Recognizes compilers' errors about missing programs and libraries. Pure."""

from __future__ import annotations

import re

from app.domain.setup_plan import Missing

_PROGRAMS = re.compile(
    r"""(?:
        (?:exec:\ ")(?P<exec>[\w+.-]{1,60})":\ executable\ file\ not\ found
      | linker\ [`'"](?P<linker>[\w+.-]{1,60})['"`]\ not\ found
      | failed\ to\ find\ tool\ \\?"(?P<tool>[\w+.-]{1,60})\\?"
      | (?:is|Is)\ [`'"](?P<is>cmake)[`'"]\ not\ installed
      | Could\ not\ find\ [`'"](?P<find>protoc)[`'"]
      | (?P<of>[\w+.-]{1,60}):\ command\ not\ found
      | sh:\ (?:\d+:\ )?(?P<sh>[\w+.-]{1,60}):\ not\ found
    )""",
    re.VERBOSE,
)
_PKG_CONFIG = re.compile(
    r"(?:Package (?P<a>[\w+.-]{1,60}) was not found in the pkg-config search path"
    r"|No package '(?P<b>[\w+.-]{1,60})' found"
    r"|The system library `(?P<c>[\w+.-]{1,60})` required by crate"
    r"|Could not find directory of (?P<d>OpenSSL) installation)"
)
_HEADER = re.compile(r"fatal error: (['\"]?)(?P<header>[\w+./-]{1,100}\.h(?:pp|h)?)\1")
_LIBRARY = re.compile(r"(?:cannot find|unable to find library) -l(?P<library>[\w+.-]{1,60})")
_NEXT = "Ask the operator to install it on the worker, or name an `image` that has it."


def missing_from_system(output: str) -> Missing | None:
    """The program, header or library that the output names as missing, if it does."""
    if found := _PKG_CONFIG.search(output):
        return _missing("system library", next(filter(None, found.groups())))
    if found := _HEADER.search(output):
        return _missing("header", found["header"])
    if found := _LIBRARY.search(output):
        return _missing("system library", found["library"])
    if found := _PROGRAMS.search(output):
        return _missing("program", next(filter(None, found.groups())))
    return None


def _missing(kind: str, name: str) -> Missing:
    return Missing(
        what=name,
        why=f"The build needs the {kind} `{name}`, which the worker lacks.",
        next_step=_NEXT,
    )
