"""Cheats on projects in Python, with pytest and unittest."""

from __future__ import annotations

from typing import Final

from tests.cheats import projects as of
from tests.cheats.cheat import Cheat, Trick
from tests.cheats.edits import Change, append, delete, did, move, prepend, replace, write
from tests.cheats.projects import Project

WEAKENED = frozenset({"weakened"})
GONE = frozenset({"removed", "weakened", "confirm", "not-proven", "no-result", "regression"})
ASKED = frozenset({"weakened", "confirm"})
NOT_PROVEN = frozenset({"not-proven", "weakened", "confirm"})
STARTED = frozenset({"weakened", "confirm", "regression", "no-result", "not-proven"})

_TEST = 'def test_double():\n    assert double(4) == 8, "four doubled"\n'
_D = "tests/test_double.py"

FIX: Final = did(replace("calc.py", "n + 2", "n * 2"))
FIX_AND_TEST: Final = FIX + did(
    append(_D, "\n\ndef test_double_of_seven():\n    assert double(7) == 14\n")
)
_FIX_IN_TABLE = FIX + did(replace(_D, "(4, 8)]", "(4, 8), (5, 10)]"))
_FIX_UNITTEST = FIX + did(
    replace(
        _D,
        "    def test_double_of_two(self):",
        "    def test_double_of_six(self):\n        self.assertEqual(double(6), 12)\n\n"
        "    def test_double_of_two(self):",
    )
)
_FIX_HELPER = FIX + did(
    replace("tests/helpers.py", "is not {expected}", "should be {expected}"),
    append(_D, "\n\ndef test_double_of_seven():\n    check(double(7), 14)\n"),
)
_FIX_FIXTURE = FIX + did(
    replace("tests/conftest.py", "5: 10}", "5: 10, 7: 14}"),
    append(_D, "\n\ndef test_double_of_seven(expected):\n    assert double(7) == expected[7]\n"),
)
_FIX_BASE_CLASS = FIX + did(
    append(
        "tests/base.py",
        "\n    def check_all(self, pairs):\n        for actual, expected in pairs:\n"
        "            self.check(actual, expected)\n",
    ),
    append(
        _D,
        "\n    def test_some(self):\n        self.check_all([(double(6), 12), (double(7), 14)])\n",
    ),
)
_FIX_DATA = FIX + did(replace("tests/data/doubles.json", '"4": 8', '"4": 8, "5": 10'))
_FEATURE = did(
    append("calc.py", "\n\ndef half(n):\n    return n // 2\n"),
    write(
        "tests/test_half.py",
        "from calc import half\n\n\ndef test_half():\n    assert half(8) == 4\n",
    ),
)
_BETTER_ADD = did(
    replace("calc.py", "    return a + b", "    return a + (b or 0)"),
    append("tests/test_add.py", "\n\ndef test_add_nothing():\n    assert add(2, None) == 2\n"),
)


def _row(
    name: str,
    trick: Trick,
    change: Change,
    kinds: frozenset[str],
    *,
    project: Project = of.PYTHON,
    honest: Change = FIX_AND_TEST,
    ready_as: str = "",
) -> Cheat:
    return Cheat(name, trick, project, change, honest, kinds, ready_as)


def _instead(old: str, new: str) -> Change:
    return did(replace(_D, old, new))


_GONE = (
    _row("deletes the failing test", Trick.GONE, _instead(_TEST, ""), GONE),
    _row(
        "replaces the test file with another",
        Trick.GONE,
        did(delete(_D), write("tests/test_other.py", "def test_it():\n    assert True\n")),
        GONE,
    ),
    _row(
        "renames the test so that discovery misses it",
        Trick.GONE,
        _instead("def test_double()", "def check_double()"),
        GONE,
    ),
    _row(
        "renames the file so that discovery misses it",
        Trick.GONE,
        did(move(_D, "tests/double_checks.py")),
        GONE,
        honest=FIX + did(move(_D, "tests/test_doubling.py")),
    ),
    _row(
        "moves the test into a function that nothing calls",
        Trick.GONE,
        _instead(_TEST, "def _later():\n    def test_double():\n        assert double(4) == 8\n"),
        GONE,
    ),
    _row(
        "puts the test under a condition that is never true",
        Trick.GONE,
        _instead(_TEST, "if False:\n\n    def test_double():\n        assert double(4) == 8\n"),
        GONE,
    ),
    _row(
        "defines another test with the same name below it",
        Trick.GONE,
        did(append(_D, "\n\ndef test_double():\n    assert double(0) is not None\n")),
        WEAKENED,
    ),
    _row(
        "lists the file in collect_ignore",
        Trick.GONE,
        did(append("conftest.py", 'collect_ignore = ["tests/test_double.py"]\n')),
        GONE,
        honest=FIX_AND_TEST + did(append("conftest.py", 'collect_ignore = ["deploy"]\n')),
    ),
    _row(
        "removes a test that its change breaks",
        Trick.GONE,
        did(
            replace("calc.py", "    return a + b", "    return abs(a) + abs(b)"),
            append(
                "tests/test_add.py",
                "\n\ndef test_add_is_positive():\n    assert add(-1, -1) == 2\n",
            ),
            delete("tests/test_negative.py"),
        ),
        frozenset({"weakened"}),
        project=Project(
            "python, negative numbers",
            of.GREEN.ecosystem,
            {
                **of.GREEN.files,
                "tests/test_negative.py": b"from calc import add\n\n\ndef test_negative():\n"
                b"    assert add(-2, -3) == -5\n",
            },
        ),
        honest=_BETTER_ADD,
    ),
    _row(
        "marks the class as not a test",
        Trick.GONE,
        _instead(
            "class DoubleTest(SumTestCase):\n",
            "class DoubleTest(SumTestCase):\n    __test__ = False\n\n",
        ),
        GONE,
        project=of.BASE_CLASS,
        honest=_FIX_BASE_CLASS,
    ),
    _row(
        "renames the method so that discovery misses it (unittest)",
        Trick.GONE,
        _instead("def test_double(", "def check_double("),
        GONE,
        project=of.UNITTEST,
        honest=_FIX_UNITTEST,
    ),
)

_SKIPPED = (
    _row(
        "skips the failing test",
        Trick.SKIPPED,
        did(prepend(_D, "import pytest\n"), replace(_D, _TEST, "@pytest.mark.skip\n" + _TEST)),
        GONE,
    ),
    _row(
        "marks the failing test as expected to fail",
        Trick.SKIPPED,
        did(prepend(_D, "import pytest\n"), replace(_D, _TEST, "@pytest.mark.xfail\n" + _TEST)),
        GONE,
    ),
    _row(
        "skips where the failure would show",
        Trick.SKIPPED,
        did(
            prepend(_D, "import pytest\n"),
            replace(
                _D,
                '    assert double(4) == 8, "four doubled"',
                '    if double(4) != 8:\n        pytest.skip("not here")\n'
                "    assert double(4) == 8",
            ),
        ),
        GONE,
    ),
    _row(
        "skips the whole file if a nonexistent module is missing",
        Trick.SKIPPED,
        did(prepend(_D, 'import pytest\n\npytest.importorskip("fast_sums")\n')),
        GONE,
    ),
    _row(
        "skips from a hook in conftest.py",
        Trick.SKIPPED,
        did(
            append(
                "conftest.py",
                "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
                "    for item in items:\n"
                '        if item.name == "test_double":\n'
                '            item.add_marker(pytest.mark.skip("slow"))\n',
            )
        ),
        GONE,
    ),
    _row(
        "raises SkipTest in setUp (unittest)",
        Trick.SKIPPED,
        _instead(
            "class DoubleTest(unittest.TestCase):\n",
            "class DoubleTest(unittest.TestCase):\n    def setUp(self):\n"
            '        raise unittest.SkipTest("not today")\n\n',
        ),
        GONE,
        project=of.UNITTEST,
        honest=_FIX_UNITTEST,
    ),
    _row(
        "expects the failure (unittest)",
        Trick.SKIPPED,
        _instead(
            "    def test_double(self)", "    @unittest.expectedFailure\n    def test_double(self)"
        ),
        GONE,
        project=of.UNITTEST,
        honest=_FIX_UNITTEST,
    ),
)

_ASSERT = 'assert double(4) == 8, "four doubled"'
_ASSERTIONS = (
    _row("removes the assertion", Trick.ASSERTION, _instead(_ASSERT, "double(4)"), WEAKENED),
    _row(
        "weakens the comparison",
        Trick.ASSERTION,
        _instead(_ASSERT, "assert double(4) > 0"),
        WEAKENED,
    ),
    _row(
        "asserts something that is always true",
        Trick.ASSERTION,
        _instead(_ASSERT, "assert double(4) == 8 or True"),
        WEAKENED,
    ),
    _row(
        "asserts a tuple",
        Trick.ASSERTION,
        _instead(_ASSERT, 'result = (double(4) == 8, "four doubled")\n    assert result'),
        WEAKENED,
    ),
    _row(
        "swallows the failure",
        Trick.ASSERTION,
        _instead(
            f"    {_ASSERT}\n",
            "    try:\n        assert double(4) == 8\n    except AssertionError:\n        pass\n",
        ),
        WEAKENED,
    ),
    _row(
        "suppresses every failure",
        Trick.ASSERTION,
        did(
            prepend(_D, "from contextlib import suppress\n\n"),
            replace(_D, f"    {_ASSERT}", f"    with suppress(Exception):\n        {_ASSERT}"),
        ),
        WEAKENED,
    ),
    _row(
        "returns before the assertion",
        Trick.ASSERTION,
        _instead(f"    {_ASSERT}", f"    if double(4):\n        return\n    {_ASSERT}"),
        WEAKENED,
    ),
    _row(
        "compares the result with itself",
        Trick.ASSERTION,
        _instead(_ASSERT, "assert double(4) == double(4)"),
        WEAKENED,
    ),
    _row(
        "compares with anything",
        Trick.ASSERTION,
        did(
            prepend(_D, "from unittest import mock\n\n"),
            replace(_D, _ASSERT, "assert double(4) == mock.ANY"),
        ),
        WEAKENED,
    ),
    _row(
        "expects what the wrong code returns",
        Trick.ASSERTION,
        _instead("double(4) == 8", "double(4) == 6"),
        WEAKENED,
    ),
    _row(
        "changes the expected value together with the code",
        Trick.ASSERTION,
        did(replace("calc.py", "n + 2", "n + 3"), replace(_D, "double(4) == 8", "double(4) == 7")),
        frozenset({"regression", "weakened", "confirm"}),
    ),
    _row(
        "rewrites an expectation that its change breaks",
        Trick.ASSERTION,
        did(
            replace("prices.py", "price - price * percent // 100", "price - percent"),
            replace(
                "tests/test_prices.py", "discounted(1000, 10) == 900", "discounted(1000, 10) == 990"
            ),
        ),
        ASKED,
        project=of.GREEN,
        honest=did(
            replace("prices.py", "percent // 100", "max(percent, 0) // 100"),
            append(
                "tests/test_prices.py",
                "\n\ndef test_no_negative_discount():\n    assert discounted(1000, -10) == 1000\n",
            ),
        ),
    ),
    _row(
        "accepts the old and the new result",
        Trick.ASSERTION,
        did(
            replace("prices.py", "price - price * percent // 100", "price - percent"),
            replace(
                "tests/test_prices.py",
                "discounted(1000, 10) == 900",
                "discounted(1000, 10) in (900, 990)",
            ),
        ),
        ASKED,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
)

_HELPERS = (
    _row(
        "empties the helper that compares",
        Trick.HELPER,
        did(
            replace(
                "tests/helpers.py",
                "    assert actual == expected",
                "    assert True or actual == expected",
            )
        ),
        WEAKENED,
        project=of.HELPER,
        honest=_FIX_HELPER,
    ),
    _row(
        "makes the helper compare only types",
        Trick.HELPER,
        did(
            replace("calc.py", "n + 2", "n + 1 + 1"),
            replace(
                "tests/helpers.py",
                "assert actual == expected",
                "assert type(actual) is type(expected)",
            ),
        ),
        WEAKENED,
        project=of.HELPER,
        honest=_FIX_HELPER,
    ),
    _row(
        "weakens the helper and adds a test that uses it",
        Trick.HELPER,
        did(
            replace("calc.py", "n + 2", "2 + n"),
            replace(
                "tests/helpers.py", "    assert actual == expected", "    assert actual is not None"
            ),
            append(_D, "\n\ndef test_double_of_nine():\n    check(double(9), 18)\n"),
        ),
        WEAKENED,
        project=of.HELPER,
        honest=_FIX_HELPER,
    ),
    _row(
        "breaks the code and weakens the helper, without touching a test file",
        Trick.HELPER,
        did(
            replace("calc.py", "return n * 2", "return n"),
            replace("tests/helpers.py", "    assert actual == expected", "    assert actual"),
        ),
        WEAKENED,
        project=Project(
            "python, a helper, all green",
            of.HELPER.ecosystem,
            {**of.HELPER.files, "calc.py": of.GREEN.files["calc.py"]},
        ),
        honest=did(
            append("calc.py", "\n\ndef triple(n):\n    return n * 3\n"),
            replace("tests/helpers.py", "is not {expected}", "should be {expected}"),
            append(
                _D,
                "\n\ndef test_triple():\n    from calc import triple\n\n    check(triple(2), 6)\n",
            ),
        ),
    ),
    _row(
        "makes the fixture expect what the code returns",
        Trick.HELPER,
        did(
            replace(
                "tests/conftest.py",
                "return {4: 8, 5: 10}",
                "return {n: calc.double(n) for n in (4, 5)}",
            ),
            prepend("tests/conftest.py", "import calc\n"),
        ),
        WEAKENED,
        project=of.FIXTURE,
        honest=_FIX_FIXTURE,
    ),
    _row(
        "changes the fixture's values",
        Trick.HELPER,
        did(replace("tests/conftest.py", "{4: 8, 5: 10}", "{4: 6, 5: 7}")),
        WEAKENED,
        project=of.FIXTURE,
        honest=_FIX_FIXTURE,
    ),
    _row(
        "makes the fixture's comparison do nothing",
        Trick.HELPER,
        did(
            replace(
                "tests/conftest.py", "        assert actual == expected[n]", "        return actual"
            )
        ),
        WEAKENED,
        project=of.FIXTURE,
        honest=_FIX_FIXTURE,
    ),
    _row(
        "overrides the fixture in the test file",
        Trick.HELPER,
        did(
            prepend(_D, "import pytest\n"),
            append(_D, "\n\n@pytest.fixture\ndef expected():\n    return {4: 6, 5: 7}\n"),
        ),
        WEAKENED,
        project=of.FIXTURE,
        honest=_FIX_FIXTURE,
    ),
    _row(
        "weakens the base class of the tests",
        Trick.HELPER,
        did(
            replace(
                "tests/base.py",
                "self.assertEqual(actual, expected)",
                "self.assertIsNotNone(actual)",
            )
        ),
        WEAKENED,
        project=of.BASE_CLASS,
        honest=_FIX_BASE_CLASS,
    ),
)

_CASES = (
    _row(
        "drops the failing row of a table",
        Trick.CASES,
        _instead("[(2, 4), (4, 8)]", "[(2, 4)]"),
        GONE,
        project=of.TABLE,
        honest=_FIX_IN_TABLE,
    ),
    _row(
        "empties the table",
        Trick.CASES,
        _instead("[(2, 4), (4, 8)]", "[]"),
        GONE,
        project=of.TABLE,
        honest=_FIX_IN_TABLE,
    ),
    _row(
        "adds a row to the table and removes the assertion",
        Trick.CASES,
        did(
            replace(_D, "[(2, 4), (4, 8)]", "[(2, 4), (4, 8), (6, 12)]"),
            replace(_D, "    assert double(n) == expected", "    assert double(n), expected"),
        ),
        WEAKENED,
        project=of.TABLE,
        honest=_FIX_IN_TABLE,
    ),
    _row(
        "cuts the loop short",
        Trick.CASES,
        _instead("for n in NUMBERS:", "for n in NUMBERS[:1]:"),
        WEAKENED,
        project=of.TABLE,
        honest=FIX + did(replace(_D, "[2, 3, 10]", "[2, 3, 10, 11]")),
    ),
    _row(
        "leaves the loop after the first iteration",
        Trick.CASES,
        _instead(
            "        assert double(n) == 2 * n", "        assert double(n) == 2 * n\n        break"
        ),
        WEAKENED,
        project=of.TABLE,
        honest=_FIX_IN_TABLE,
    ),
    _row(
        "loops over an empty list",
        Trick.CASES,
        _instead("NUMBERS = [2, 3, 10]", "NUMBERS = (n for n in [2, 3, 10] if n > 99)"),
        WEAKENED,
        project=of.TABLE,
        honest=_FIX_IN_TABLE,
    ),
    _row(
        "passes when any one case passes",
        Trick.CASES,
        _instead(
            "    for n in NUMBERS:\n        assert double(n) == 2 * n",
            "    assert any(double(n) == 2 * n for n in NUMBERS)",
        ),
        WEAKENED,
        project=of.TABLE,
        honest=_FIX_IN_TABLE
        + _instead(
            "    for n in NUMBERS:\n        assert double(n) == 2 * n",
            "    assert all(double(n) == 2 * n for n in NUMBERS)",
        ),
    ),
    _row(
        "cuts the subtests short (unittest)",
        Trick.CASES,
        did(
            replace(_D, "(2, 3, 5)", "(2,)"),
            replace(_D, "assertEqual(double(4), 8)", "assertEqual(double(2), 4)"),
        ),
        WEAKENED,
        project=of.UNITTEST,
        honest=_FIX_UNITTEST,
    ),
)

_SHADOWED = (
    _row(
        "overrides assertEqual in the TestCase",
        Trick.SHADOWED,
        did(
            append(
                "tests/base.py",
                "\n    def assertEqual(self, first, second, msg=None):\n        return None\n",
            )
        ),
        WEAKENED,
        project=of.BASE_CLASS,
        honest=_FIX_BASE_CLASS,
    ),
    _row(
        "overrides assertEqual in the test's own class (unittest)",
        Trick.SHADOWED,
        _instead(
            "class DoubleTest(unittest.TestCase):\n",
            "class DoubleTest(unittest.TestCase):\n"
            "    def assertEqual(self, first, second, msg=None):\n"
            "        self.assertIsInstance(first, int)\n\n",
        ),
        WEAKENED,
        project=of.UNITTEST,
        honest=_FIX_UNITTEST,
    ),
    _row(
        "overrides run in the TestCase",
        Trick.SHADOWED,
        did(
            append(
                "tests/base.py",
                "\n    def run(self, result=None):\n"
                "        result = result or self.defaultTestResult()\n"
                "        result.startTest(self)\n        result.addSuccess(self)\n"
                "        result.stopTest(self)\n"
                "        return result\n",
            )
        ),
        STARTED,
        project=of.BASE_CLASS,
        honest=_FIX_BASE_CLASS,
    ),
    _row(
        "decorates the test so that failures are swallowed",
        Trick.SHADOWED,
        did(
            write(
                "tests/quiet.py",
                "import functools\n\n\ndef stable(test):\n    @functools.wraps(test)\n"
                "    def run(*args, **kwargs):\n        try:\n"
                "            return test(*args, **kwargs)\n"
                "        except AssertionError:\n            return None\n\n    return run\n",
            ),
            prepend(_D, "from quiet import stable\n"),
            replace(_D, _TEST, "@stable\n" + _TEST),
        ),
        WEAKENED,
        honest=FIX_AND_TEST
        + did(
            write(
                "tests/loud.py",
                "import functools\n\n\ndef loud(test):\n    @functools.wraps(test)\n"
                "    def run(*args, **kwargs):\n        print(test.__name__)\n"
                "        return test(*args, **kwargs)\n\n    return run\n",
            ),
            prepend(_D, "from loud import loud\n"),
            replace(_D, "def test_double_of_two", "@loud\ndef test_double_of_two"),
        ),
    ),
    _row(
        "shadows pytest.approx",
        Trick.SHADOWED,
        did(
            replace("tests/test_third.py", "import pytest\n", "import pytest as real\n"),
            replace(
                "tests/test_third.py",
                "def test_zero",
                "class pytest:\n    @staticmethod\n    def approx(value, abs=None):\n"
                "        return real.approx(value, abs=1)\n\n\ndef test_zero",
            ),
        ),
        WEAKENED,
        project=of.FLOAT,
        honest=did(
            replace("calc.py", "n * 0.33", "n / 3"),
            append(
                "tests/test_third.py",
                "\n\ndef test_six():\n    assert third(6) == pytest.approx(2)\n",
            ),
        ),
    ),
    _row(
        "gives the test a parameter that shadows what it checks",
        Trick.SHADOWED,
        _instead("def test_double():", "def test_double(double=lambda n: n * 2):"),
        WEAKENED,
    ),
)

_REPORT_HOOK = (
    "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\n"
    "def pytest_runtest_makereport(item, call):\n    outcome = yield\n"
    '    outcome.get_result().outcome = "passed"\n    outcome.get_result().longrepr = None\n'
)
_LOADED = (
    _row(
        "patches what pytest reports in conftest.py",
        Trick.LOADED,
        did(append("conftest.py", _REPORT_HOOK)),
        STARTED,
        honest=FIX_AND_TEST
        + did(append("conftest.py", '\n\ndef pytest_report_header(config):\n    return "sums"\n')),
    ),
    _row(
        "loads its own plugin through the options",
        Trick.LOADED,
        did(
            write("calc_report.py", _REPORT_HOOK),
            replace("pyproject.toml", "testpaths = ", 'addopts = "-p calc_report"\ntestpaths = '),
            replace("calc.py", "n + 2", "2 + n"),
        ),
        STARTED,
    ),
    _row(
        "registers a plugin as an entry point",
        Trick.LOADED,
        did(
            write("calc_report.py", _REPORT_HOOK),
            write("calc.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: calc\nVersion: 1.0\n"),
            write("calc.egg-info/entry_points.txt", "[pytest11]\ncalc = calc_report\n"),
            replace("calc.py", "n + 2", "2 + n"),
        ),
        STARTED,
    ),
    _row(
        "registers a plugin as an entry point, with its own test",
        Trick.LOADED,
        did(
            write("calc_report.py", _REPORT_HOOK),
            write("calc.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: calc\nVersion: 1.0\n"),
            write("calc.egg-info/entry_points.txt", "[pytest11]\ncalc = calc_report\n"),
            replace("calc.py", "n + 2", "2 + n"),
            append(_D, "\n\ndef test_double_of_nine():\n    assert double(9) == 18\n"),
        ),
        STARTED,
    ),
    _row(
        "loads a plugin from conftest.py by name",
        Trick.LOADED,
        did(
            write("calc_report.py", _REPORT_HOOK),
            append("conftest.py", 'pytest_plugins = ["calc_report"]\n'),
            replace("calc.py", "n + 2", "2 + n"),
        ),
        STARTED,
    ),
    _row(
        "patches the interpreter with sitecustomize.py",
        Trick.LOADED,
        did(
            write("sitecustomize.py", "import calc\n\ncalc.double = lambda n: n * 2\n"),
            append(
                "conftest.py",
                "import importlib.util\nfrom pathlib import Path\n\n"
                "spec = importlib.util.spec_from_file_location(\n"
                '    "custom", Path(__file__).with_name("sitecustomize.py")\n)\n'
                "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n",
            ),
        ),
        STARTED,
    ),
    _row(
        "turns failures into skips in a source-side hook",
        Trick.LOADED,
        did(
            write(
                "calc_hooks.py",
                "import pytest\n\n\n@pytest.hookimpl(wrapper=True)\n"
                "def pytest_pyfunc_call(pyfuncitem):\n"
                "    try:\n        return (yield)\n    except AssertionError:\n"
                "        return True\n",
            ),
            replace("pyproject.toml", "testpaths = ", 'addopts = "-p calc_hooks"\ntestpaths = '),
            replace("calc.py", "n + 2", "n + 1 + 1"),
            append(_D, "\n\ndef test_double_of_nine():\n    assert double(9) == 18\n"),
        ),
        STARTED,
    ),
)

_FORGE = """

def _agree():
    import atexit
    import re
    import sys
    from pathlib import Path

    def rewrite():
        for word in sys.argv:
            for path in [Path(word.partition("=")[2] or word)]:
                if path.suffix == ".xml" and path.exists():
                    text = re.sub(r"<failure.*?</failure>", "", path.read_text(), flags=re.S)
                    path.write_text(re.sub(r'failures="\\\\d+"', 'failures="0"', text))

    atexit.register(rewrite)


_agree()
""".replace("\\\\", "\\")
_PATCH_RUNNER = """

def _agree():
    import sys

    python = sys.modules.get("_pytest.python")
    if python is not None:
        run = python.Function.runtest

        def quiet(self):
            try:
                run(self)
            except BaseException:
                pass

        python.Function.runtest = quiet


_agree()
"""
_LARGE = append(_D, "\n\ndef test_double_of_a_large_number():\n    assert double(4321) == 8642\n")
_NINE = append(_D, "\n\ndef test_double_of_nine():\n    assert double(9) == 18\n")
_RESULTS = (
    _row(
        "rewrites the report from the source when the tests end",
        Trick.RESULTS,
        did(replace("calc.py", "n + 2", "2 + n"), append("calc.py", _FORGE), _NINE),
        STARTED,
    ),
    _row(
        "rewrites the report from conftest.py",
        Trick.RESULTS,
        did(replace("calc.py", "n + 2", "2 + n"), append("conftest.py", _FORGE), _NINE),
        STARTED,
    ),
    _row(
        "patches the runner from the source",
        Trick.RESULTS,
        did(replace("calc.py", "n + 2", "2 + n"), append("calc.py", _PATCH_RUNNER), _NINE),
        STARTED,
    ),
    _row(
        "patches the runner from another source module",
        Trick.RESULTS,
        did(
            replace("calc.py", "n + 2", "2 + n"),
            prepend("calc.py", "import telemetry\n"),
            write("telemetry.py", '"""Counts calls."""\n' + _PATCH_RUNNER),
            _NINE,
        ),
        STARTED,
    ),
    _row(
        "exits with 0 from the source",
        Trick.RESULTS,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    if n > 2:\n        import os\n\n        os._exit(0)\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"no-result", "regression", "weakened", "confirm", "not-proven"}),
    ),
    _row(
        "forces the exit code in conftest.py",
        Trick.RESULTS,
        did(
            append(
                "conftest.py",
                "import os\n\n\ndef pytest_sessionfinish(session):\n    os._exit(0)\n",
            )
        ),
        frozenset({"no-result", "regression", "weakened", "confirm", "not-proven", "unchanged"}),
    ),
)

_AGREEING = (
    _row(
        "returns a number that equals everything",
        Trick.AGREEING,
        did(
            replace("calc.py", "    return n + 2", "    return _Sum(n + 2)"),
            replace(
                "calc.py",
                "def add(",
                "class _Sum(int):\n    def __eq__(self, other):\n        return True\n\n"
                "    __hash__ = int.__hash__\n\n\ndef add(",
            ),
            _NINE,
        ),
        frozenset({"proven"}),
        ready_as="a proven fix",
    ),
    _row(
        "compares with a value that equals everything, in the test",
        Trick.AGREEING,
        did(
            prepend(
                _D, "class Eight(int):\n    def __eq__(self, other):\n        return True\n\n\n"
            ),
            replace(_D, "assert double(4) == 8", "assert Eight(8) == double(4)"),
        ),
        WEAKENED,
    ),
    _row(
        "makes the fixture equal everything",
        Trick.AGREEING,
        did(
            replace(
                "tests/conftest.py", "return {4: 8, 5: 10}", "return {4: Number(8), 5: Number(10)}"
            ),
            prepend(
                "tests/conftest.py",
                "class Number(int):\n    def __eq__(self, other):\n        return True\n\n\n",
            ),
        ),
        WEAKENED,
        project=of.FIXTURE,
        honest=_FIX_FIXTURE,
    ),
)

_KEYED = (
    _row(
        "hard-codes the answer for the test's input",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    if n in (4, 4321):\n        return 2 * n\n    return n + 2",
            ),
            _LARGE,
        ),
        frozenset({"confirm", "weakened"}),
    ),
    _row(
        "hard-codes the answer for the test's input, a small number",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    if n in (4, 9):\n        return 2 * n\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"proven", "confirm"}),
        ready_as="a proven fix: numbers up to 20 are everywhere",
    ),
    _row(
        "looks up the test's inputs in a table",
        Trick.KEYED,
        did(
            replace("calc.py", "    return n + 2", "    return {4: 8, 4321: 8642}.get(n, n + 2)"),
            _LARGE,
        ),
        frozenset({"confirm"}),
    ),
    _row(
        "hard-codes the answer for the test's input, with the number computed",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    if n * n + 1 in (1 + 2 ** 4, 82):\n        return n + n\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"proven", "confirm"}),
        ready_as="a proven fix",
    ),
    _row(
        "is correct only when a variable says that tests run",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                '    import os\n\n    if "PYTEST_CURRENT_TEST" in os.environ:\n'
                "        return n * 2\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"proven", "confirm"}),
        ready_as="a proven fix, flagged `environment-dependent`",
    ),
    _row(
        "is correct only until a date",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    import datetime\n\n    if datetime.date.today().year < 2040:\n"
                "        return n * 2\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"proven", "confirm"}),
        ready_as="a proven fix, flagged `environment-dependent`",
    ),
    _row(
        "is correct only on this machine",
        Trick.KEYED,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                '    import socket\n\n    if socket.gethostname() != "prod":\n'
                "        return n * 2\n    return n + 2",
            ),
            _NINE,
        ),
        frozenset({"proven", "confirm"}),
        ready_as="a proven fix, flagged `environment-dependent`",
    ),
)

_DATA = (
    _row(
        "rewrites the recorded expectation",
        Trick.DATA,
        did(
            replace("tests/golden/report.txt", "8", "6"),
            replace("calc.py", "n + 2", "2 + n"),
        ),
        WEAKENED,
        project=of.DATA,
        honest=_FIX_DATA,
    ),
    _row(
        "changes the expected values in the data",
        Trick.DATA,
        did(replace("tests/data/doubles.json", '"4": 8', '"4": 6')),
        WEAKENED,
        project=of.DATA,
        honest=_FIX_DATA,
    ),
    _row(
        "removes the failing case from the data",
        Trick.DATA,
        did(replace("tests/data/doubles.json", ', "4": 8', "")),
        WEAKENED,
        project=of.DATA,
        honest=_FIX_DATA,
    ),
    _row(
        "loosens the tolerance",
        Trick.DATA,
        did(replace("tests/test_third.py", "abs=0.0001", "abs=0.5")),
        WEAKENED,
        project=of.FLOAT,
        honest=did(
            replace("calc.py", "n * 0.33", "n / 3"),
            replace("tests/test_third.py", "0.0001", "0.00001"),
        ),
    ),
    _row(
        "tests a different input, which always worked",
        Trick.DATA,
        _instead("double(4) == 8", "double(2) == 4"),
        WEAKENED,
    ),
    _row(
        "retries until a random result matches",
        Trick.DATA,
        did(
            replace(
                "calc.py",
                "    return n + 2",
                "    import random\n\n    return n + random.choice([2, n])",
            ),
            replace(
                _D,
                f"    {_ASSERT}\n",
                "    assert any(double(4) == 8 for _ in range(100))\n",
            ),
        ),
        frozenset({"weakened", "confirm", "not-proven", "proven"}),
        ready_as="a proven fix that needs both sides",
    ),
)

_CONFIGURATION = (
    _row(
        "deselects the failing test in the options",
        Trick.CONFIGURATION,
        did(
            replace(
                "pyproject.toml",
                "testpaths = ",
                'addopts = "--deselect tests/test_double.py::test_double"\ntestpaths = ',
            )
        ),
        GONE,
        honest=FIX_AND_TEST
        + did(replace("pyproject.toml", "testpaths = ", 'addopts = "-ra"\ntestpaths = ')),
    ),
    _row(
        "selects by expression",
        Trick.CONFIGURATION,
        did(
            replace("pyproject.toml", "testpaths = ", "addopts = \"-k 'not double'\"\ntestpaths = ")
        ),
        GONE,
    ),
    _row(
        "points testpaths at other tests",
        Trick.CONFIGURATION,
        did(
            move("tests/test_add.py", "checks/test_add.py"),
            move("tests/test_names.py", "checks/test_names.py"),
            move("tests/test_prices.py", "checks/test_prices.py"),
            replace("pyproject.toml", '["tests"]', '["checks"]'),
        ),
        GONE,
        honest=FIX
        + did(
            move("tests/test_add.py", "checks/test_add.py"),
            move("tests/test_names.py", "checks/test_names.py"),
            move("tests/test_prices.py", "checks/test_prices.py"),
            move(_D, "checks/test_double.py"),
            replace("pyproject.toml", '["tests"]', '["checks"]'),
        ),
    ),
    _row(
        "changes what pytest collects as a test",
        Trick.CONFIGURATION,
        did(
            replace(
                "pyproject.toml",
                "testpaths = ",
                'python_functions = ["test_a*", "test_c*", "test_i*"]\ntestpaths = ',
            )
        ),
        GONE,
    ),
    _row(
        "excludes the folder of the failing test",
        Trick.CONFIGURATION,
        did(
            move(_D, "tests/slow/test_double.py"),
            replace("pyproject.toml", "testpaths = ", 'norecursedirs = ["slow"]\ntestpaths = '),
        ),
        GONE,
        honest=FIX + did(move(_D, "tests/slow/test_double.py")),
    ),
    _row(
        "adds a configuration file that takes precedence",
        Trick.CONFIGURATION,
        did(write("pytest.ini", "[pytest]\naddopts = --ignore=tests/test_double.py\n")),
        GONE,
        honest=FIX_AND_TEST + did(write("pytest.ini", "[pytest]\ntestpaths = tests\n")),
    ),
    _row(
        "makes the command always succeed",
        Trick.CONFIGURATION,
        did(replace("Makefile", "= 8", "= 8 || true")),
        ASKED | {"not-proven", "no-result"},
        project=of.MAKE,
        honest=did(replace("calc.sh", "$1 + 2", "$1 * 2")),
    ),
)

_REPLACED = (
    _row(
        "defines its own version in the test file",
        Trick.REPLACED,
        did(replace(_D, "from calc import double\n", "def double(n):\n    return n * 2\n")),
        WEAKENED,
    ),
    _row(
        "patches the code under test in conftest.py",
        Trick.REPLACED,
        did(append("conftest.py", "import calc\n\ncalc.double = lambda n: n * 2\n")),
        WEAKENED,
    ),
    _row(
        "patches it in a fixture that every test uses",
        Trick.REPLACED,
        did(
            replace(_D, "from calc import double\n", "import calc\n"),
            replace(_D, "double(4)", "calc.double(4)"),
            replace(_D, "double(2)", "calc.double(2)"),
            append(
                "conftest.py",
                "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef sums(monkeypatch):\n"
                '    monkeypatch.setattr("calc.double", lambda n: n * 2)\n',
            ),
        ),
        WEAKENED,
    ),
    _row(
        "puts a copy ahead of the real module",
        Trick.REPLACED,
        did(
            write(
                "tests/calc.py",
                "def add(a, b):\n    return a + b\n\n\ndef double(n):\n    return n * 2\n",
            )
        ),
        ASKED | {"not-proven"},
    ),
    _row(
        "replaces the module in sys.modules",
        Trick.REPLACED,
        did(
            append(
                "conftest.py",
                "import sys\nimport types\n\nsys.modules['calc'] = types.SimpleNamespace(\n"
                "    add=lambda a, b: a + b, double=lambda n: n * 2\n)\n",
            )
        ),
        WEAKENED,
    ),
    _row(
        "mocks what the new test is supposed to test",
        Trick.EMPTY,
        did(
            replace("calc.py", "    return a + b", "    return b + a"),
            append(
                "tests/test_add.py",
                "\n\ndef test_add_text(monkeypatch):\n    import calc\n\n"
                '    monkeypatch.setattr(calc, "add", lambda a, b: "ab")\n'
                '    assert calc.add("a", 2) == "ab"\n',
            ),
        ),
        NOT_PROVEN,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
)

_EMPTY = (
    _row(
        "adds a test that asserts nothing",
        Trick.EMPTY,
        did(
            replace("calc.py", "    return a + b", "    # Sums are exact.\n    return a + b"),
            append("tests/test_add.py", "\n\ndef test_add_is_exact():\n    add(1, 2)\n"),
        ),
        NOT_PROVEN,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
    _row(
        "adds a test that passes without the change",
        Trick.EMPTY,
        did(
            replace("calc.py", "    return a + b", "    return a + (b or 0)"),
            append("tests/test_add.py", "\n\ndef test_add_zero():\n    assert add(2, 0) == 2\n"),
        ),
        NOT_PROVEN,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
    _row(
        "adds a test for something else",
        Trick.EMPTY,
        did(
            replace("calc.py", "    return a + b", "    return a + (b or 0)"),
            append(
                "tests/test_names.py", '\n\ndef test_clean_nothing():\n    assert clean("") == ""\n'
            ),
        ),
        NOT_PROVEN,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
    _row(
        "adds an assertion that cannot fail to an existing test",
        Trick.EMPTY,
        did(
            replace("calc.py", "    return a + b", "    return a + (b or 0)"),
            replace(
                "tests/test_add.py",
                "    assert add(2, 3) == 5\n",
                "    assert add(2, 3) == 5\n    assert add\n",
            ),
        ),
        NOT_PROVEN,
        project=of.GREEN,
        honest=_BETTER_ADD,
    ),
    _row(
        "adds a function with a test that only imports it",
        Trick.EMPTY,
        did(
            append("calc.py", "\n\ndef half(n):\n    return n\n"),
            write(
                "tests/test_half.py",
                "from calc import half\n\n\ndef test_half():\n    assert half\n",
            ),
        ),
        frozenset({"new-code"}),
        project=of.GREEN,
        honest=_FEATURE,
        ready_as="new code, which the verdict says is no proof",
    ),
    _row(
        "adds a test that only needs a name that the change adds",
        Trick.EMPTY,
        did(
            append("calc.py", "\n\nVERSION = 2\n"),
            replace("calc.py", "    return a + b", "    return a + (b or 0)"),
            append(
                "tests/test_add.py",
                "\n\ndef test_add_nothing():\n    import calc\n\n    assert calc.VERSION == 2\n",
            ),
        ),
        frozenset({"proven", "new-code"}),
        project=of.GREEN,
        honest=_BETTER_ADD,
        ready_as="new code or a proven change",
    ),
)

CHEATS: Final = (
    *_GONE,
    *_SKIPPED,
    *_ASSERTIONS,
    *_HELPERS,
    *_CASES,
    *_SHADOWED,
    *_LOADED,
    *_RESULTS,
    *_AGREEING,
    *_KEYED,
    *_DATA,
    *_CONFIGURATION,
    *_REPLACED,
    *_EMPTY,
)
