"""How a test failed: by an assertion, because a name or signature is gone, or otherwise. Pure.

Test runners report only text, so the kinds are declared as patterns. The text comes from the
repository: it only decides how a failure of an *old* test on the new code is interpreted.
"""

from __future__ import annotations

import re

from app.domain.rows import GuardFailure
from app.domain.verdict import TestResult

_START = r"^(?:E +)?(?:panic: |Error: |[\w.:$\\]+[.:\\$])?"
"""What may precede an error's name: pytest's mark, and its package or module."""

_MISSING = re.compile(
    f"{_START}(?:"
    + "|".join(
        (
            # Python
            r"ModuleNotFoundError\b|ImportError\b|NameError\b",
            r"AttributeError: (?:partially initialized )?(?:module|type object) .*no attribute",
            r"AttributeError: '(?!NoneType')[\w.]+' object has no attribute",
            r"TypeError: .*(?:unexpected keyword argument|takes no arguments"
            r"|takes .*positional arguments? but|missing \d+ required .*arguments?)",
            # JavaScript
            r"ReferenceError: \S+ is not defined|TypeError: .*is not a (?:function|constructor)",
            r"Cannot find (?:module|package)\b|SyntaxError: .*provide an export named",
            # Ruby, PHP, Elixir
            r"NoMethodError\b(?!.*\bnil\b)|NameError\b|ArgumentError.*wrong number of arguments",
            r"Call to undefined (?:function|method)\b|Class \"[^\"]+\" not found",
            r"UndefinedFunctionError\b",
            # Java and .NET
            r"NoSuch(?:Method|Field)(?:Error|Exception)\b|NoClassDefFoundError\b",
            r"ClassNotFoundException\b|MissingMethodException\b|TypeLoadException\b",
            # Compilers, for languages that compile each test or example by itself
            r"error\[E0(?:061|425|432|433|599)\]",
        )
    )
    + ")",
)
_ASSERTION = re.compile(
    r"^(?:E +)?assert\b|^Failed: |\bDID NOT (?:RAISE|WARN)\b"
    r"|Assertion|ComparisonFailure|ExpectationNotMet|ERR_ASSERTION|\bFailed asserting\b"
    r"|\bassertion\b|\bexpect\(|\b[Ee]xpect(?:ed|ation)\b|\bwant(?:ed)?\b|\bgot\b"
    r"|\bdid not panic\b|\bshould (?:be|equal|have|panic)\b|!=|\bnot equal\b",
    re.MULTILINE,
)


def failure_kind(test: TestResult) -> GuardFailure:
    """How a failing test failed. If in doubt, with an error, which does not count against the
    change.
    """
    text = test.message.strip() or test.details.strip()
    if _MISSING.match(text):
        return "missing"
    return "assertion" if _ASSERTION.search(text) else "error"
