"""`python -m unittest`, writing a report: run by the project's own Python, 3.7 or newer.

This module imports nothing from Honk, and only tests import it: `unittest.py` passes its text to
that Python, with the file to write as its argument. Cases are named like pytest's, so a project
that switches between the two keeps the history of its tests.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
import unittest
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any

    Error = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def shown(text: object) -> str:
    """Bounded, and without what no XML may hold. Bytes that are not UTF-8 become `\\xe9`."""
    return "".join(c if _may_stand(c) else _instead(c) for c in str(text)[:20000])


def _instead(c: str) -> str:
    return f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else "\ufffd"


def _may_stand(c: str) -> bool:
    return c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff"


# unittest's entry for the tests of a class or module whose fixture fails.
_HOLDER = re.compile(r"(setUpClass|setUpModule) \((.*)\)$")


def _below(method: str, name: str) -> str:
    """The prefix of the ids of a module's or class's tests."""
    module, classes = name, ""
    while module and module not in sys.modules:
        module, _, last = module.rpartition(".")
        classes = f"::{last}{classes}"
    file = getattr(sys.modules.get(module), "__file__", None)
    if method == "setUpModule" or not file:
        classes = ""
    path = os.path.relpath(file or os.pardir)
    return name if path.startswith(os.pardir) else path.replace(os.sep, "/") + classes


class ReportCase:
    """The result of one test so far."""

    def __init__(self, test: unittest.TestCase) -> None:
        self.test = test
        self.told: list[tuple[str, str, str]] = []

    def xml(self) -> str:
        kind, method = type(self.test), getattr(self.test, "_testMethodName", "")
        held = _HOLDER.match(self.test.id()) if kind.__module__ == "unittest.suite" else None
        if kind.__module__ == "unittest.loader":
            # unittest's entry for a module that cannot be imported.
            where = _attributes([("name", method), ("file", method.replace(".", "/") + ".py")])
        elif held is not None:
            where = _attributes([("name", _below(*held.groups()))])
        else:
            where = _attributes(_place(self.test, kind, method))
        return f"<testcase {where}>{''.join(_element(*each) for each in self.told)}</testcase>"


def _place(
    test: unittest.TestCase, kind: type[unittest.TestCase], method: str
) -> list[tuple[str, str]]:
    """Name, file and line. `classname` follows the path of the file from here, as pytest has it."""
    name, file, line = test.id(), "", ""
    classname = ".".join([kind.__module__, kind.__qualname__])
    if name.startswith(classname + "."):
        name = name[len(classname) + 1 :]
    try:
        path = os.path.relpath(inspect.getsourcefile(kind) or os.pardir)
        if not path.startswith(os.pardir):
            file = path.replace(os.sep, "/")
            classname = ".".join([file[:-3].replace("/", "."), kind.__qualname__])
        line = str(inspect.unwrap(getattr(kind, method)).__code__.co_firstlineno - 1)
    except (AttributeError, OSError, TypeError, ValueError):
        pass  # a dynamically created test has a name but no location
    return [("classname", classname), ("name", name), ("file", file), ("line", line)]


def _attributes(words: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{key}={quoteattr(shown(value))}" for key, value in words if value)


def _element(tag: str, message: str, text: str) -> str:
    return f"<{tag} message={quoteattr(shown(message)[:600])}>{escape(shown(text))}</{tag}>"


def _is_from_body(test: unittest.TestCase, error: Error) -> bool:
    """Whether the test method itself raised, as opposed to its preparation or an import."""
    method = getattr(type(test), getattr(test, "_testMethodName", ""), None)
    code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
    frames = traceback.walk_tb(error[2]) if code is not None else ()
    return any(frame.f_code is code for frame, _ in frames)


class RecordingResult(unittest.TextTestResult):
    """unittest's own result, which also records every case."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.cases: dict[int, ReportCase] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's names
        super().startTest(test)
        self.of(test)

    def of(self, test: unittest.TestCase) -> ReportCase:
        return self.cases.setdefault(id(test), ReportCase(test))

    def tell(self, test: unittest.TestCase, tag: str, error: Error) -> None:
        lines = traceback.format_exception(*error)
        message = traceback.format_exception_only(*error[:2])[-1].strip()
        self.of(test).told.append((tag, message, "".join(lines)))

    def addError(self, test: unittest.TestCase, err: Error) -> None:  # noqa: N802
        super().addError(test, err)
        self.tell(test, "failure" if _is_from_body(test, err) else "error", err)

    def addFailure(self, test: unittest.TestCase, err: Error) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.tell(test, "failure", err)

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: Error | None
    ) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.tell(test, "failure", err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.of(test).told.append(("skipped", reason, ""))

    def addExpectedFailure(self, test: unittest.TestCase, err: Error) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self.of(test).told.append(("skipped", "expected failure", ""))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.of(test).told.append(("failure", "unexpected success", ""))


def discovered() -> unittest.TestSuite:
    """Find tests like `python -m unittest`; if there are none, also in folders that are not
    packages.
    """
    found = unittest.TestLoader().discover(".")
    for start in ("tests", "test"):
        if not found.countTestCases() and Path(start).is_dir():
            found = unittest.TestLoader().discover(start)
    return found


def main(report: str) -> int:
    """Run everything and write the report. Exit codes are those of `python -m unittest`."""
    suite = discovered()
    runner = unittest.TextTestRunner(resultclass=RecordingResult)
    result = runner.run(suite)
    assert isinstance(result, RecordingResult)
    cases = "".join(case.xml() for case in result.cases.values())
    with Path(report).open("w", encoding="utf-8", errors="replace") as file:
        file.write(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    if not result.testsRun and not result.skipped:
        return 5
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
