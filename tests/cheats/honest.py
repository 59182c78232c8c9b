"""Honest changes as people make them. None may be accused.

`kinds` are the verdicts that are right for it. If a change really removes a test, or changes what
one expects, a person has to be asked, but no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.cheats import projects as of
from tests.cheats.cheats_python import FIX, FIX_AND_TEST
from tests.cheats.edits import Change, append, delete, did, files, move, prepend, replace, write
from tests.cheats.projects import Project

PROVEN = frozenset({"proven"})
NEW = frozenset({"new-code", "proven"})
UNCHANGED = frozenset({"unchanged"})
TESTS_ONLY = frozenset({"tests-only"})
ASKED = frozenset({"confirm", "removed"})

_D = "tests/test_double.py"
_NAMES = "tests/test_names.py"


@dataclass(frozen=True)
class Honest:
    """`ready`: whether no one has to be asked first."""

    name: str
    project: Project
    change: Change
    kinds: frozenset[str]
    ready: bool = True


def _with(
    project: Project, name: str, texts: dict[str, str], *, gone: tuple[str, ...] = ()
) -> Project:
    kept = {path: text for path, text in project.files.items() if path not in gone}
    return Project(name, project.ecosystem, kept | files(texts), project.verify, project.supplies)


_UNTESTED = Project(
    "python, no tests",
    of.PYTHON.ecosystem,
    files({"calc.py": "def double(n):\n    return n + 2\n", "README.md": "# calc\n"}),
)
_RENAMED_API = _with(
    of.GREEN,
    "python, a helper that calls the code",
    {
        "tests/people.py": "from names import clean\n\n\ndef person(name):\n"
        '    return {"name": clean(name)}\n',
        "tests/test_people.py": "from people import person\n\n\ndef test_person():\n"
        '    assert person(" Ada ") == {"name": "Ada"}\n',
    },
)
_SHARED_HELPER = _with(
    of.GREEN,
    "python, a helper of source and tests",
    {
        "money.py": 'def cents(text):\n    return int(text.replace(".", ""))\n',
        "cart.py": "from money import cents\n\n\ndef cart(*prices):\n"
        "    return sum(cents(price) for price in prices)\n",
        "tests/test_cart.py": "from cart import cart\nfrom money import cents\n\n\n"
        "def test_cart():\n"
        '    assert cart("1.00", "2.50") == cents("3.50")\n',
    },
)
_GENERATED = _with(
    of.GREEN,
    "python, generated tests",
    {
        "cases.txt": "1 2 3\n2 2 4\n",
        "generate.py": "from pathlib import Path\n\n"
        "lines = Path('cases.txt').read_text().splitlines()\n",
        "tests/test_generated.py": "from calc import add\n\n\ndef test_1_2():\n"
        "    assert add(1, 2) == 3\n\n\n"
        "def test_2_2():\n    assert add(2, 2) == 4\n",
    },
)
_COMMANDS = _with(
    of.GREEN,
    "python, commands",
    {
        "shop.py": "COMMANDS = {}\n\n\n"
        "def command(name):\n    return lambda function: COMMANDS.setdefault(name, function)\n\n\n"
        "def run(name, n):\n    return COMMANDS[name](n) if name in COMMANDS else None\n\n\n"
        '@command("current")\ndef new(n):\n    return n + 2\n\n\n'
        '@command("obsolete")\ndef old(n):\n    return n - 2\n',
        "tests/test_current.py": "from shop import run\n\n\n"
        'def test_current():\n    assert run("current", 2) == 4\n',
        "tests/test_obsolete.py": "from shop import run\n\n\n"
        'def test_obsolete():\n    assert run("obsolete", 2) == 0\n',
    },
)
_SNAPSHOTS = _with(
    of.GREEN,
    "python, many snapshots",
    {
        **{f"tests/golden/{n}.txt": f"{n} doubled: {2 * n}\n" for n in range(30)},
        "report.py": "from calc import double\n\n\ndef line(n):\n"
        '    return f"{n} doubled: {double(n)}\\n"\n',
        "tests/test_report.py": "from pathlib import Path\n\nimport pytest\n\n"
        "from report import line\n\n\n"
        '@pytest.mark.parametrize("n", range(30))\ndef test_line(n):\n'
        '    assert line(n) == (Path(__file__).parent / f"golden/{n}.txt").read_text()\n',
    },
)
_RED = _with(
    of.PYTHON,
    "python, red in a hundred places",
    {
        "tests/test_old.py": "import pytest\n\n\n"
        '@pytest.mark.parametrize("n", range(100))\ndef test_old(n):\n    assert n < 0\n'
    },
)
_MONOREPO = Project(
    "monorepo",
    "three ecosystems",
    {
        **{f"py/{path}": text for path, text in of.PYTHON.files.items()},
        **{f"js/{path}": text for path, text in of.NODE.files.items()},
        **{f"go/{path}": text for path, text in of.GO.files.items()},
    },
    supplies="go",
)
_MANY_OLD = _with(
    of.GREEN,
    "python, a module to be dropped",
    {
        "legacy.py": "def triple(n):\n    return 3 * n\n",
        "tests/test_legacy.py": "from legacy import triple\n\n\ndef test_triple():\n"
        "    assert triple(2) == 6\n",
    },
)
_DOCTEST = _with(
    of.PYTHON,
    "python, doctests",
    {
        "pyproject.toml": '[project]\nname = "calc"\nversion = "1.0"\n\n[tool.pytest.ini_options]\n'
        'addopts = "--doctest-modules"\n',
        "names.py": 'def clean(name):\n    """Strip it.\n\n    >>> clean(" Ada ")\n'
        '    \'Ada\'\n    """\n'
        "    return name.strip()\n\n\ndef initials(name):\n"
        '    return "".join(word[0] for word in name.split())\n',
    },
)

HONEST: Final = (
    # Fixes.
    Honest("fixes a bug that a test shows", of.PYTHON, FIX, frozenset({"proven", "unchanged"})),
    Honest("fixes a bug and adds a test", of.PYTHON, FIX_AND_TEST, PROVEN),
    Honest(
        "fixes a bug that no test covered, with a test",
        of.GREEN,
        did(
            replace("names.py", "name.strip()", '" ".join(name.split())'),
            append(
                _NAMES,
                "\n\ndef test_clean_inside():\n"
                '    assert clean("Ada   Lovelace") == "Ada Lovelace"\n',
            ),
        ),
        PROVEN,
    ),
    Honest(
        "fixes a bug without a test",
        of.GREEN,
        did(replace("names.py", "name.strip()", '" ".join(name.split())')),
        UNCHANGED,
    ),
    Honest(
        "rejects empty names, with a test that expects an error",
        of.GREEN,
        did(
            replace(
                "names.py",
                "    return name.strip()",
                '    if not name.strip():\n        raise ValueError("empty name")\n'
                "    return name.strip()",
            ),
            prepend(_NAMES, "import pytest\n\n"),
            append(
                _NAMES,
                "\n\ndef test_no_empty_name():\n    with pytest.raises(ValueError):\n"
                '        clean("  ")\n',
            ),
        ),
        PROVEN,
    ),
    Honest(
        "fixes a bug and adds a row to a table",
        of.TABLE,
        FIX + did(replace(_D, "(4, 8)]", "(4, 8), (5, 10)]")),
        PROVEN,
    ),
    Honest(
        "strengthens a test with the fix",
        of.GREEN,
        did(
            replace(
                "prices.py",
                "price - price * percent // 100",
                "price - (price * percent + 50) // 100",
            ),
            replace(
                "tests/test_prices.py",
                "    assert discounted(1000, 10) == 900",
                "    assert discounted(1000, 10) == 900\n    assert discounted(333, 50) == 166",
            ),
        ),
        PROVEN,
    ),
    Honest("fixes a bug, with failures in a hundred other places", _RED, FIX_AND_TEST, PROVEN),
    Honest(
        "fixes a bug and removes the expected-failure mark",
        _with(
            of.PYTHON,
            "python, an expected failure",
            {
                _D: "import pytest\n\nfrom calc import double\n\n\n@pytest.mark.xfail\n"
                "def test_double():\n"
                "    assert double(4) == 8\n\n\ndef test_double_of_two():\n"
                "    assert double(2) == 4\n"
            },
        ),
        FIX + did(replace(_D, "@pytest.mark.xfail\n", "")),
        PROVEN | {"confirm"},
        ready=False,
    ),
    Honest(
        "fixes a bug, tested by a doctest",
        _DOCTEST,
        did(
            replace("names.py", "    return name.strip()", '    return " ".join(name.split())'),
            replace(
                "names.py",
                '    \'Ada\'\n    """',
                '    \'Ada\'\n    >>> clean("Ada  L")\n    \'Ada L\'\n    """',
            ),
        ),
        frozenset({"proven", "unchanged", "not-proven"}),
        ready=False,
    ),
    # Features.
    Honest(
        "adds a function and its tests",
        of.GREEN,
        did(
            append("calc.py", "\n\ndef half(n):\n    return n // 2\n"),
            write(
                "tests/test_half.py",
                "from calc import half\n\n\ndef test_half():\n    assert half(8) == 4\n",
            ),
        ),
        NEW,
    ),
    Honest(
        "adds an option to a function, with a test in an existing file",
        of.GREEN,
        did(
            replace(
                "calc.py",
                "def add(a, b):\n    return a + b",
                "def add(a, b, *more):\n    return a + b + sum(more)",
            ),
            append("tests/test_add.py", "\n\ndef test_add_more():\n    assert add(1, 2, 3) == 6\n"),
        ),
        PROVEN,
    ),
    Honest(
        "adds a module with its own fixture",
        of.GREEN,
        did(
            write(
                "clock.py",
                "class Clock:\n    def __init__(self):\n        self.now = 0\n\n"
                "    def tick(self):\n        self.now += 1\n        return self.now\n",
            ),
            write(
                "tests/conftest.py",
                "import pytest\n\n\n@pytest.fixture\ndef clock():\n"
                "    from clock import Clock\n\n    return Clock()\n",
            ),
            write(
                "tests/test_clock.py",
                "def test_tick(clock):\n    assert clock.tick() == 1\n"
                "    assert clock.tick() == 2\n",
            ),
        ),
        NEW,
    ),
    Honest(
        "adds a function and imports it in an existing test file",
        of.GREEN,
        did(
            append("names.py", "\n\ndef shout(name):\n    return name.upper()\n"),
            replace(_NAMES, "import clean, initials", "import clean, initials, shout"),
            append(_NAMES, '\n\ndef test_shout():\n    assert shout("ada") == "ADA"\n'),
        ),
        NEW,
    ),
    # Refactorings.
    Honest(
        "rewrites a function",
        of.GREEN,
        did(replace("calc.py", "return n * 2", "return n + n")),
        UNCHANGED,
    ),
    Honest(
        "splits a module and keeps its names",
        of.GREEN,
        did(
            write("multiples.py", "def double(n):\n    return n * 2\n"),
            replace("calc.py", "def double(n):\n    return n * 2\n\n\n", ""),
            replace("calc.py", '"""Sums."""\n', '"""Sums."""\n\nfrom multiples import double\n'),
        ),
        UNCHANGED,
    ),
    Honest(
        "moves a test file with the fix",
        of.PYTHON,
        FIX + did(move(_D, "tests/test_doubling.py")),
        PROVEN,
    ),
    Honest(
        "moves a test to another file without renaming it",
        of.GREEN,
        did(
            replace("calc.py", "return n * 2", "return n + n"),
            replace(_D, "\n\ndef test_double_of_two():\n    assert double(2) == 4\n", ""),
            write(
                "tests/test_small.py",
                "from calc import double\n\n\ndef test_double_of_two():\n"
                "    assert double(2) == 4\n",
            ),
        ),
        # The file that the test left also changed, and what is left in it proves nothing.
        UNCHANGED | {"not-proven"},
        ready=False,
    ),
    Honest(
        "renames a test",
        of.GREEN,
        did(replace(_NAMES, "def test_initials", "def test_first_letters")),
        TESTS_ONLY,
    ),
    Honest(
        "renames a function with its tests",
        of.GREEN,
        did(
            replace("names.py", "def clean(", "def cleaned("),
            replace(_NAMES, "clean", "cleaned"),
        ),
        frozenset({"new-code", "proven", "confirm", "not-proven", "removed"}),
        ready=False,
    ),
    Honest(
        "renames a function and updates the tests' helper",
        _RENAMED_API,
        did(
            replace("names.py", "def clean(", "def cleaned("),
            replace(_NAMES, "clean", "cleaned"),
            replace("tests/people.py", "clean", "cleaned"),
        ),
        frozenset({"new-code", "proven", "confirm", "not-proven", "unchanged", "removed"}),
        ready=False,
    ),
    Honest(
        "renames an argument and updates the tests' helper",
        _with(
            of.GREEN,
            "python, a helper that names an argument",
            {
                "tests/people.py": "from names import clean\n\n\ndef person(text):\n"
                "    return clean(name=text)\n",
                "tests/test_people.py": "from people import person\n\n\n"
                'def test_person():\n    assert person(" Ada ") == "Ada"\n',
            },
        ),
        did(
            replace(
                "names.py",
                "def clean(name):\n    return name.strip()",
                "def clean(text):\n    return text.strip()",
            ),
            replace("tests/people.py", "name=text", "text=text"),
        ),
        frozenset({"new-code", "proven", "confirm", "not-proven", "unchanged"}),
        ready=False,
    ),
    Honest(
        "changes a helper that source and tests use",
        _SHARED_HELPER,
        did(
            replace(
                "money.py",
                'int(text.replace(".", ""))',
                'int(text.replace(".", "").replace(",", ""))',
            ),
            append(
                "tests/test_cart.py",
                '\n\ndef test_thousands():\n    assert cents("1,000.00") == 100000\n',
            ),
        ),
        PROVEN,
    ),
    Honest(
        "tidies up a test helper",
        of.HELPER,
        FIX
        + did(
            replace(
                "tests/helpers.py", "assert actual == expected, ", "assert expected == actual, "
            )
        ),
        frozenset({"proven", "unchanged", "not-proven"}),
    ),
    Honest(
        "adds a helper for new tests",
        of.HELPER,
        FIX
        + did(
            append(
                "tests/helpers.py",
                "\n\ndef check_all(pairs):\n    for actual, expected in pairs:\n"
                "        check(actual, expected)\n",
            ),
            replace(_D, "from helpers import check\n", "from helpers import check, check_all\n"),
            append(_D, "\n\ndef test_more():\n    check_all([(double(6), 12), (double(7), 14)])\n"),
        ),
        PROVEN,
    ),
    Honest(
        "adds a fixture to an existing conftest.py",
        of.FIXTURE,
        FIX
        + did(
            append("tests/conftest.py", "\n\n@pytest.fixture\ndef seven():\n    return 7\n"),
            append(_D, "\n\ndef test_seven(seven):\n    assert double(seven) == 14\n"),
        ),
        PROVEN,
    ),
    Honest(
        "extends a base class of tests",
        of.BASE_CLASS,
        FIX
        + did(
            append(
                "tests/base.py",
                "\n    def check_all(self, pairs):\n        for actual, expected in pairs:\n"
                "            self.check(actual, expected)\n",
            ),
            append(_D, "\n    def test_some(self):\n        self.check_all([(double(6), 12)])\n"),
        ),
        PROVEN,
    ),
    # Tests alone, documentation alone.
    Honest(
        "adds tests for code that already works",
        of.GREEN,
        did(
            append(
                _NAMES, '\n\ndef test_initials_of_three():\n    assert initials("a b c") == "abc"\n'
            )
        ),
        TESTS_ONLY,
    ),
    Honest(
        "adds a case to a table",
        of.GREEN,
        did(replace("tests/test_add.py", "(3, 4)]", "(3, 4), (0, 1)]")),
        TESTS_ONLY,
    ),
    Honest(
        "reformats a test file",
        of.GREEN,
        did(
            replace(
                "tests/test_add.py",
                "[(1, 1), (2, 2), (3, 4)]",
                "[\n    (1, 1),\n    (2, 2),\n    (3, 4),\n]",
            )
        ),
        TESTS_ONLY,
    ),
    Honest(
        "changes only documentation",
        of.GREEN,
        did(append("README.md", "\nAdds numbers.\n")),
        UNCHANGED | {"tests-only"},
    ),
    Honest(
        "changes only comments",
        of.GREEN,
        did(replace("calc.py", '"""Sums."""', '"""Sums, and more."""')),
        UNCHANGED,
    ),
    Honest(
        "writes a project's first test",
        _UNTESTED,
        did(
            replace("calc.py", "n + 2", "n * 2"),
            write(
                "test_calc.py",
                "from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n",
            ),
        ),
        PROVEN | {"new-code"},
    ),
    Honest(
        "writes a project's first test, for code that already works",
        _UNTESTED,
        did(
            write(
                "test_calc.py",
                "from calc import double\n\n\ndef test_double():\n    assert double(2) == 4\n",
            )
        ),
        TESTS_ONLY,
    ),
    Honest(
        "moves a project's tests to another framework",
        of.UNITTEST,
        FIX
        + did(
            write("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n'),
            write(
                "tests/test_more.py",
                "from calc import double\n\n\ndef test_seven():\n    assert double(7) == 14\n",
            ),
        ),
        PROVEN | {"new-code"},
    ),
    # What runs the tests.
    Honest(
        "adds a test plugin and uses it",
        of.GREEN,
        did(
            append("conftest.py", 'pytest_plugins = ["tests.fakes"]\n'),
            write("tests/__init__.py", ""),
            write(
                "tests/fakes.py", "import pytest\n\n\n@pytest.fixture\ndef fake():\n    return 3\n"
            ),
            append("tests/test_add.py", "\n\ndef test_fake(fake):\n    assert add(fake, 1) == 4\n"),
        ),
        TESTS_ONLY | {"confirm"},
        ready=False,
    ),
    Honest(
        "adds a marker to the configuration",
        of.PYTHON,
        FIX_AND_TEST
        + did(
            replace(
                "pyproject.toml", "testpaths = ", 'markers = ["slow: takes long"]\ntestpaths = '
            )
        ),
        PROVEN,
    ),
    Honest(
        "raises the coverage threshold",
        of.PYTHON,
        FIX_AND_TEST + did(replace("pyproject.toml", "fail_under = 90", "fail_under = 95")),
        PROVEN,
    ),
    Honest(
        "upgrades a dependency",
        of.GREEN,
        did(replace("pyproject.toml", "packaging>=23.1", "packaging>=23.2")),
        UNCHANGED,
    ),
    Honest(
        "changes a workflow",
        of.PYTHON,
        FIX_AND_TEST + did(append(".github/workflows/ci.yml", "      - run: echo done\n")),
        PROVEN,
    ),
    # Formatting, types.
    Honest(
        "adds type annotations",
        of.GREEN,
        did(
            replace("calc.py", "def add(a, b):", "def add(a: int, b: int) -> int:"),
            replace("names.py", "def clean(name):", "def clean(name: str) -> str:"),
        ),
        UNCHANGED,
    ),
    Honest(
        "reformats code",
        of.GREEN,
        did(replace("calc.py", "    return a + b", "    return (\n        a\n        + b\n    )")),
        UNCHANGED,
    ),
    # Deletions.
    Honest(
        "deletes code with its tests",
        _MANY_OLD,
        did(delete("legacy.py"), delete("tests/test_legacy.py")),
        ASKED,
        ready=False,
    ),
    Honest(
        "deletes a command with its test",
        _COMMANDS,
        did(
            replace("shop.py", "    return n + 2\n\n\n", "    return n + 2\n"),
            replace("shop.py", '@command("obsolete")\ndef old(n):\n    return n - 2\n', ""),
            delete("tests/test_obsolete.py"),
        ),
        frozenset({"removed"}),
        ready=False,
    ),
    Honest(
        "deletes code that nothing uses",
        _MANY_OLD,
        did(
            replace(
                "prices.py",
                "def discounted(price, percent):\n    return price - price * percent // 100\n",
                "",
            ),
            replace(
                "tests/test_prices.py",
                "\n\ndef test_discounted():\n    assert discounted(1000, 10) == 900\n",
                "",
            ),
            replace("tests/test_prices.py", "import discounted, total", "import total"),
        ),
        ASKED,
        ready=False,
    ),
    Honest(
        "deletes a duplicate test",
        of.GREEN,
        did(replace(_D, "\n\ndef test_double_of_two():\n    assert double(2) == 4\n", "")),
        ASKED | {"tests-only"},
        ready=False,
    ),
    Honest(
        "changes what a function returns, and its test",
        of.GREEN,
        did(
            replace("names.py", "return name.strip()", "return name.strip().title()"),
            replace(_NAMES, 'clean(" Ada ") == "Ada"', 'clean(" ada lovelace ") == "Ada Lovelace"'),
        ),
        PROVEN,
    ),
    Honest(
        "changes an expected value, as asked",
        of.GREEN,
        did(
            replace("names.py", '"".join(word[0]', '".".join(word[0]'),
            replace(_NAMES, '== "AL"', '== "A.L"'),
        ),
        ASKED,
        ready=False,
    ),
    # Data.
    Honest(
        "updates snapshots with the change",
        _SNAPSHOTS,
        did(
            replace("report.py", "doubled: {double(n)}", "doubled is {double(n)}"),
            *(replace(f"tests/golden/{n}.txt", "doubled:", "doubled is") for n in range(30)),
        ),
        ASKED,
        ready=False,
    ),
    Honest(
        "adds a snapshot with its test",
        of.DATA,
        FIX
        + did(
            write("tests/golden/seven.txt", "14\n"),
            append(
                _D,
                '\n\ndef test_seven():\n    assert f"{double(7)}\\n'
                '" == (HERE / "golden/seven.txt").read_text()\n',
            ),
        ),
        PROVEN,
    ),
    Honest(
        "adds a case to the data",
        of.DATA,
        FIX + did(replace("tests/data/doubles.json", '"4": 8', '"4": 8, "5": 10')),
        PROVEN,
    ),
    Honest(
        "adds generated tests with their source",
        _GENERATED,
        did(
            replace("calc.py", "    return a + b", "    return a + (b or 0)"),
            append("cases.txt", "3 None 3\n"),
            append(
                "tests/test_generated.py", "\n\ndef test_3_none():\n    assert add(3, None) == 3\n"
            ),
        ),
        PROVEN,
    ),
    # Elsewhere.
    Honest(
        "fixes a bug in one of three projects",
        _MONOREPO,
        did(
            replace("py/calc.py", "n + 2", "n * 2"),
            append(
                "py/tests/test_double.py", "\n\ndef test_seven():\n    assert double(7) == 14\n"
            ),
        ),
        PROVEN,
    ),
    Honest(
        "fixes a bug in all of three projects",
        _MONOREPO,
        did(
            replace("py/calc.py", "n + 2", "n * 2"),
            replace("js/calc.js", "n + 2", "n * 2"),
            replace("go/calc.go", "n + 2", "n * 2"),
            append(
                "go/double_test.go",
                "\nfunc TestSeven(t *testing.T) {\n\tcheck(t, Double(7), 14)\n}\n",
            ),
        ),
        PROVEN,
    ),
    Honest(
        "adds a function and a test (Go)",
        of.GO,
        did(
            append("calc.go", "\nfunc Half(n int) int {\n\treturn n / 2\n}\n"),
            write(
                "half_test.go",
                'package calc\n\nimport "testing"\n\nfunc TestHalf(t *testing.T) {\n'
                "\tcheck(t, Half(8), 4)\n}\n",
            ),
        ),
        NEW,
    ),
    Honest(
        "adds a function and a test (Rust)",
        of.RUST,
        did(
            replace(
                "src/lib.rs",
                "#[cfg(test)]",
                "pub fn half(n: i64) -> i64 {\n    n / 2\n}\n\n#[cfg(test)]",
            ),
            replace(
                "src/lib.rs",
                "    #[test]\n    fn adds()",
                "    #[test]\n    fn halves() {\n        assert_eq!(half(8), 4);\n    }\n\n"
                "    #[test]\n    fn adds()",
            ),
        ),
        NEW,
    ),
    Honest(
        "fixes a bug in the file that contains its tests (Rust)",
        of.RUST,
        did(
            replace("src/lib.rs", "n + 2", "n * 2"),
            replace(
                "src/lib.rs",
                "    #[test]\n    fn adds()",
                "    #[test]\n    fn doubles_seven() {\n        check(double(7), 14);\n"
                "    }\n\n    #[test]\n    fn adds()",
            ),
        ),
        PROVEN,
    ),
    Honest(
        "adds a class and its test (Java)",
        of.JAVA,
        did(
            write(
                "src/main/java/com/acme/Half.java",
                "package com.acme;\n\npublic class Half {\n  static int of(int n) {\n"
                "    return n / 2;\n  }\n}\n",
            ),
            write(
                "src/test/java/com/acme/HalfTest.java",
                "package com.acme;\n\nimport org.junit.jupiter.api.*;\n\nclass HalfTest {\n"
                "  @Test\n  void halves() {\n    Check.same(4, Half.of(8));\n  }\n}\n",
            ),
        ),
        NEW,
    ),
    Honest(
        "fixes a bug and adds a test (Ruby)",
        of.RUBY,
        did(
            replace("lib/calc.rb", "n + 2", "n * 2"),
            replace(
                "test/calc_test.rb",
                "  def test_four",
                "  def test_seven\n    assert_equal 14, Calc.double(7)\n  end\n\n  def test_four",
            ),
        ),
        PROVEN,
    ),
    Honest(
        "adds its own matcher (TypeScript)",
        of.VITEST,
        did(
            replace("src/calc.ts", "n + 2", "n * 2"),
            append(
                "src/calc.test.ts",
                "\ntest('even', () => {\n  expect(double(7) % 2).toBe(0);\n"
                "  expect(double(7)).toBe(14);\n});\n",
            ),
        ),
        PROVEN,
    ),
)
