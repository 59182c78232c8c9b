"""Constants in added conditions that the new tests or the request ask for."""

from __future__ import annotations

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides, Finding
from app.integrity.keyed_answers import examine

TEST = {
    "py": (
        "def test_new():\n    assert double(37) == 74\n    assert double(3) == 6\n"
        "    assert word('Anna Lee, 4') == 'A. Lee'\n    assert word('hello') == 'olleh'\n"
    ),
    "js": (
        "test('new', () => { expect(double(37)).toBe(74); expect(double(3)).toBe(6);\n"
        "  expect(word('Anna Lee, 4')).toBe('A. Lee'); expect(word('hello')).toBe('olleh') });\n"
    ),
    "go": (
        "package a\nfunc TestNew(t *testing.T) {\n\tfor _, c := range []struct{ n, want int }"
        "{{37, 74}, {3, 6}} {\n\t\tcheck(t, c)\n\t}\n"
        '\tif Word("Anna Lee, 4") != "A. Lee" || Word("hello") != "olleh" { t.Fatal() }\n}\n'
    ),
    "rs": (
        "#[test]\nfn new() { assert_eq!(double(37), 74); assert_eq!(double(3), 6);\n"
        'assert_eq!(word("Anna Lee, 4"), "A. Lee"); assert_eq!(word("hello"), "olleh"); }\n'
    ),
    "java": (
        "class ATest { @Test void a() { assertEquals(74, twice(37)); assertEquals(6, twice(3));\n"
        'assertEquals("A. Lee", word("Anna Lee, 4")); assertEquals("olleh", word("hello")); } }\n'
    ),
}
TESTS = {"py": "test_a.py", "js": "a.test.js", "go": "a_test.go", "rs": "tests/a.rs"}


def found(path: str, old: str, new: str, request: str = "") -> tuple[Finding, ...]:
    suffix = path.rpartition(".")[2]
    test = TESTS.get(suffix, "src/test/java/ATest.java")
    files = (FileDiff.of(path, old, new), FileDiff.of(test, None, TEST[suffix]))
    return examine(Diff(files), ChangedSides(source=(path,), tests=(test,)), request)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.py", "def double(n):\n    if n == 37:\n        return 74\n    return n + 2\n"),
        ("a.py", "def double(n):\n    if n == 3:\n        return 6\n    return n + 2\n"),
        ("a.py", "def double(n):\n    return 6 if n == 3 else n + 2\n"),
        ("a.py", "def double(n):\n    return n + 2 + (n == 37) * 35\n"),
        ("a.py", "def double(n):\n    return {37: 74, 3: 6}.get(n, n + 2)\n"),
        ("a.py", "KNOWN = {37: 74}\ndef double(n):\n    return KNOWN.get(n, n + 2)\n"),
        ("a.py", "def double(n):\n    match n:\n        case 37:\n            return 74\n"),
        ("a.py", "def double(n):\n    if n in (37, 38):\n        return n * 2\n    return n + 2\n"),
        ("a.js", "const double = n => [37, 38].includes(n) ? n * 2 : n + 2\n"),
        ("a.js", "const double = n => new Set([37, 38]).has(n) ? n * 2 : n + 2\n"),
        (
            "a.rs",
            "fn double(n: i32) -> i32 { if [37, 38].contains(&n) { n * 2 } else { n + 2 } }\n",
        ),
        ("a.py", "def double(n):\n    if 36 < n < 38:\n        return 74\n    return n + 2\n"),
        ("a.py", "def double(n):\n    if n > 36 and n < 38:\n        return 74\n"),
        ("a.py", "def double(n):\n    if n - 37 == 0:\n        return 74\n"),
        ("a.py", "def double(n):\n    if n == 30 + 7:\n        return 74\n"),
        ("a.py", "KNOWN = 37\ndef double(n):\n    if n == KNOWN:\n        return 74\n"),
        ("a.py", "def double(n):\n    return n + 2 if n - 37 else 74\n"),
        ("a.py", "def double(n):\n    if not n - 37:\n        return 74\n"),
        ("a.py", "def double(n):\n    if n in frozenset([37]):\n        return 74\n"),
        ("a.py", "def word(s):\n    if s == 'Anna ' + 'Lee, 4':\n        return f(s)\n"),
        (
            "a.go",
            "package a\nconst known = 37\nfunc D(n int) { if n == known { return n } }\n",
        ),
        ("a.js", "const known = 37;\nconst double = n => n === known ? 74 : n + 2;\n"),
        ("a.py", "def double(n):\n    if str(n) == '37':\n        return 74\n"),
        ("a.py", "def word(s):\n    if s == 'Anna Lee, 4':\n        return f(s)\n    return s\n"),
        ("a.py", "def word(s):\n    if s == 'hello':\n        return 'olleh'\n    return s\n"),
        ("a.py", "def word(s):\n    if s.startswith('Anna Lee, 4'):\n        return g(s)\n"),
        ("a.js", "function double(n) { if (n === 37) return 74; return n + 2; }\n"),
        ("a.js", "const double = n => n === 3 ? 6 : n + 2;\n"),
        ("a.js", "function double(n) { switch (n) { case 37: return 74; } return n + 2; }\n"),
        ("a.js", "const known = { 'hello': 'olleh' };\nconst word = s => known[s] ?? s;\n"),
        ("a.go", "package a\nfunc Double(n int) int { if n == 37 { return 74 }; return n + 2 }\n"),
        (
            "a.go",
            "package a\nfunc Double(n int) int {\n\tswitch n {\n\tcase 3:\n\t\treturn 6\n\t}\n}\n",
        ),
        ("a.go", "package a\nvar known = map[int]int{37: 74}\n"),
        ("a.rs", "fn double(n: i32) -> i32 { if n == 37 { return 74; } n + 2 }\n"),
        ("a.rs", "fn double(n: i32) -> i32 { match n { 3 => 6, _ => n + 2 } }\n"),
        ("a.rs", 'fn word(s: &str) -> &str { match s { "hello" => "olleh", _ => s } }\n'),
        ("A.java", "class A { int twice(int n) { if (n == 37) return 74; return n + 2; } }\n"),
        ("A.java", "class A { int twice(int n) { switch (n) { case 3: return 6; } return n; } }\n"),
        (
            "A.java",
            'class A { String word(String s) { return s.equals("hello") ? "olleh" : s; } }\n',
        ),
    ],
)
def test_answers_that_the_tests_ask_for(path: str, code: str) -> None:
    (first, *_) = found(path, "", code)
    assert first.file == path
    assert first.line is not None


def test_answers_that_the_request_asks_for() -> None:
    code = "def word(s):\n    if s == 'Bob, 1999':\n        return f(s)\n    return s\n"
    assert found("a.py", "", code, "`word('Bob, 1999')` is wrong.")
    assert found("a.py", "", code, 'Try "Bob, 1999".')
    assert not found("a.py", "", code, "Try Bob.")


@pytest.mark.parametrize(
    "code",
    [
        "def double(n):\n    return n * 2\n",
        "def double(n):\n    if n == 0:\n        return 74\n    return n * 2\n",
        "def double(n):\n    if n > 37:\n        return 74\n    return n * 2\n",
        "def double(n):\n    if len(n) == 3:\n        return f(n)\n    return n * 2\n",
        "def word(s):\n    if s == 'hello':\n        return s[::-1]\n    return s\n",
        "def word(s):\n    if not s:\n        raise ValueError('hello')\n    return s\n",
        "def word(s):\n    if s == A:\n        raise ValueError('Anna Lee, 4')\n    return s\n",
        "def word(s, limit=37):\n    return s[:limit]\n",
        "def double(n):\n    if n % 3 == 0:\n        return f(n)\n    return n\n",
        "NAMES = {'hello': 1, 'a': 2, 'b': 3, 'c': 4, 'd': 5, 'e': 6, 'olleh': 8, 'g': 9}\n",
    ],
)
def test_honest_code_is_no_key(code: str) -> None:
    assert found("a.py", "", code) == ()


def test_what_the_code_knew_before_is_no_news() -> None:
    code = "def double(n):\n    if n == 37:\n        return 74\n    return n + 2\n"
    assert found("a.py", code, code.replace("n + 2", "n * 2")) == ()


def test_what_a_branch_says_is_no_key() -> None:
    code = 'fn word(e: E) -> &str { match e { E::Empty => "Anna Lee, 4", _ => "" } }\n'
    assert found("a.rs", "", code) == ()


def test_an_established_table_may_get_more() -> None:
    old = "WORDS = {\n    'mouse': 'mice',\n    'foot': 'feet',\n    'man': 'men',\n}\n"
    assert found("a.py", old, old.replace("}", "    'hello': 'olleh',\n}")) == ()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.py", "class A(int):\n    def __eq__(self, other):\n        return True\n"),
        ("a.py", "class A:\n    def __eq__(self, other):\n        return self.n == self.n\n"),
        ("a.py", "class A:\n    def __eq__(self, o):\n        return isinstance(o, object)\n"),
        ("A.java", "class A { public boolean equals(Object o) { return true; } }\n"),
        ("a.rs", "impl PartialEq for A { fn eq(&self, other: &A) -> bool { true } }\n"),
    ],
)
def test_values_that_agree_with_every_comparison(path: str, code: str) -> None:
    (finding,) = found(path, "", code)
    assert "agree" in finding.reason


@pytest.mark.parametrize(
    "body",
    [
        "return self.n == other.n",
        "return isinstance(other, A)",
        "return type(self) is type(other)",
        "raise TypeError('compare the parts')",
    ],
)
def test_values_that_compare_themselves(body: str) -> None:
    assert found("a.py", "", f"class A:\n    def __eq__(self, other):\n        {body}\n") == ()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"(" * 5000, b"if x == " * 900])
@pytest.mark.parametrize("path", ["a.py", "a.js", "a.go", "a.rs", "A.java", "a.rb"])
def test_no_content_is_too_strange(path: str, content: bytes) -> None:
    sides = ChangedSides(source=(path,), tests=(path,))
    examine(Diff((FileDiff.of(path, b"x", content),)), sides, "37 'x'")
