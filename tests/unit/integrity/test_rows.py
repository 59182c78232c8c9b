"""Small changes in each language, and the kinds of flags that each must get. Nothing else."""

from __future__ import annotations

import textwrap

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.flag import Kind
from app.integrity import examine


def flags(path: str, before: str | None, after: str | None, *more: FileDiff) -> list[Kind]:
    old = None if before is None else textwrap.dedent(before)
    new = None if after is None else textwrap.dedent(after)
    return [flag.kind for flag in examine(Diff((FileDiff.of(path, old, new), *more)))]


PYTHON = [
    # removed
    ("def test_a():\n    assert f(1) == 2\n", "", [Kind.REMOVED]),
    ("def test_a():\n    assert f(1) == 2\n", None, [Kind.REMOVED]),
    (
        "class TestX:\n    def test_a(self):\n        assert f() == 2\n",
        "class TestX:\n    pass\n",
        [Kind.REMOVED],
    ),
    # hidden from the runner
    (
        "def test_a():\n    assert f(1) == 2\n",
        "def check_a():\n    assert f(1) == 2\n",
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    (
        "class TestX:\n    def test_a(self):\n        assert f() == 2\n",
        "class XTests:\n    def test_a(self):\n        assert f() == 2\n",
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    # skipped
    (
        "def test_a():\n    assert f() == 2\n",
        "import pytest\n\n@pytest.mark.skip(reason='later')\ndef test_a():\n    assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "@pytest.mark.skipif(True, reason='x')\ndef test_a():\n    assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    pytest.skip('x')\n    assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "pytestmark = pytest.mark.skip\n\ndef test_a():\n    assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "class A(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 2)\n",
        "@unittest.skip('x')\nclass A(unittest.TestCase):\n    def test_a(self):\n"
        "        self.assertEqual(f(), 2)\n",
        [Kind.SKIPPED],
    ),
    (
        "class A(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 2)\n",
        "class A(unittest.TestCase):\n    def test_a(self):\n        self.skipTest('x')\n"
        "        self.assertEqual(f(), 2)\n",
        [Kind.SKIPPED],
    ),
    (
        "class TestA:\n    def test_a(self):\n        assert f() == 2\n",
        "class TestA:\n    __test__ = False\n    def test_a(self):\n        assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "if False:\n    def test_a():\n        assert f() == 2\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == 2\n\ndel test_a\n",
        [Kind.SKIPPED],
    ),
    (
        "class TestA:\n    def test_a(self):\n        assert f() == 2\n",
        "class TestA:\n    def test_a(self):\n        assert f() == 2\n\nTestA = None\n",
        [Kind.SKIPPED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == 2\n\ndef test_a():\n    pass\n",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    for _ in []:\n        assert f() == 2\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    while False:\n        assert f() == 2\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    # expected to fail
    (
        "def test_a():\n    assert f() == 2\n",
        "@pytest.mark.xfail\ndef test_a():\n    assert f() == 2\n",
        [Kind.EXPECTED_TO_FAIL],
    ),
    (
        "class A(TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 2)\n",
        "class A(TestCase):\n    @unittest.expectedFailure\n    def test_a(self):\n"
        "        self.assertEqual(f(), 2)\n",
        [Kind.EXPECTED_TO_FAIL],
    ),
    # assertions
    (
        "def test_a():\n    assert f() == 2\n    assert g() == 3\n",
        "def test_a():\n    assert f() == 2\n",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    return\n    assert f() == 2\n",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() is not None\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f()\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() in (1, 2)\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert True\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == f()\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == 2 or True\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    try:\n        assert f() == 2\n    except AssertionError:\n"
        "        pass\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    if ready():\n        assert f() == 2\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    if not ready():\n        return\n    assert f() == 2\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a(self):\n    with pytest.raises(ValueError, match='x'):\n        f()\n",
        "def test_a(self):\n    with pytest.raises(Exception):\n        f()\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "class A(TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 2)\n",
        "class A(TestCase):\n    def test_a(self):\n        self.assertTrue(f())\n",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == 3\n",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        "@pytest.mark.parametrize('a, b', [(1, 2), (2, 3)])\ndef test_a(a, b):\n"
        "    assert f(a) == b\n",
        "@pytest.mark.parametrize('a, b', [(1, 2), (2, 4)])\ndef test_a(a, b):\n"
        "    assert f(a) == b\n",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        "@pytest.mark.parametrize('a, b', [(1, 2), (2, 3)])\ndef test_a(a, b):\n"
        "    assert f(a) == b\n",
        "@pytest.mark.parametrize('a, b', [(1, 2)])\ndef test_a(a, b):\n    assert f(a) == b\n",
        [Kind.FEWER_CASES],
    ),
    (
        "def test_a():\n    assert f() == 2, 'two'\n",
        "def test_a():\n    assert f() == 2, 'really two'\n",
        [Kind.MESSAGE_ONLY],
    ),
    # tolerances and retries
    (
        "def test_a():\n    assert f() == pytest.approx(2, rel=1e-9)\n",
        "def test_a():\n    assert f() == pytest.approx(2, rel=0.1)\n",
        [Kind.TOLERANCE],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == pytest.approx(2)\n",
        [Kind.TOLERANCE],
    ),
    (
        "class A(TestCase):\n    def test_a(self):\n        self.assertAlmostEqual(f(), 2)\n",
        "class A(TestCase):\n    def test_a(self):\n        self.assertAlmostEqual(f(), 2, 1)\n",
        [Kind.TOLERANCE],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "@pytest.mark.flaky(reruns=3)\ndef test_a():\n    assert f() == 2\n",
        [Kind.RETRY],
    ),
    # the runner
    (
        "def test_a():\n    assert f() == 2\n",
        "import sys\ndef test_a():\n    assert f() == 2\nsys.exit(0)\n",
        [Kind.EXIT_CODE],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "import os\ndef test_a():\n    os._exit(0)\n    assert f() == 2\n",
        [Kind.EXIT_CODE],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    print('==== 12 passed in 0.1s ====')\n    assert f() == 2\n",
        [Kind.RUNNER_OUTPUT_FORGED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    open('junit.xml', 'w').write(x)\n    assert f() == 2\n",
        [Kind.RUNNER_OUTPUT_FORGED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    subprocess.Popen(['x'], start_new_session=True)\n    assert f() == 2\n",
        [Kind.BACKGROUND_PROCESS],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    unittest.TestCase.assertEqual = noop\n    assert f() == 2\n",
        [Kind.FRAMEWORK_PATCHED],
    ),
    (
        "def test_a():\n    assert f() == 2\n",
        "class Any:\n    def __eq__(self, other):\n        return True\n\n"
        "def test_a():\n    assert f() == 2\n",
        [Kind.FRAMEWORK_PATCHED],
    ),
    (
        "import calc\n\ndef test_a():\n    assert calc.f() == 2\n",
        "import calc\n\ncalc.f = lambda: 2\n\ndef test_a():\n    assert calc.f() == 2\n",
        [Kind.FRAMEWORK_PATCHED],
    ),
    (
        "def helper():\n    return 1\n\ndef test_a():\n    assert f() == 2\n",
        "def helper():\n    return 2  # noqa\n\ndef test_a():\n    assert f() == 2\n",
        [Kind.LINT_DISABLED],
    ),
    (
        "import sys\n\ndef test_a():\n    assert f() == 2\n",
        "import sys\n\nsys.path = ['src']\n\ndef test_a():\n    assert f() == 2\n",
        [],
    ),
    # no flag
    ("def test_a():\n    assert f() == 2\n", "def test_b():\n    assert f() == 2\n", []),
    (
        "def test_a():\n    assert f() == 2\n",
        "def test_a():\n    assert f() == 2\n\ndef test_b():\n    assert g() == 2\n",
        [],
    ),
    (
        "def test_a():\n    assert f( 2 ) == {'a': 1,}\n",
        'def test_a():\n    # why\n    assert f(2) == {"a": 1}\n',
        [],
    ),
    (
        "def test_a():\n    assert f(1) == 2\n\ndef test_b():\n    assert f(2) == 3\n",
        "@pytest.mark.parametrize('a, b', [(1, 2), (2, 3)])\ndef test_f(a, b):\n"
        "    assert f(a) == b\n",
        [],
    ),
    (
        "def test_a():\n    assert f(1) == 2\n    assert f(2) == 3\n",
        "def test_a():\n    assert f(1) == 2\n\ndef test_b():\n    assert f(2) == 3\n",
        [],
    ),
    (
        "def test_a():\n    assert f(1)\n",
        "def test_a():\n    assert f(1) == 2\n    assert f(2) == 3\n",
        [],
    ),
    (
        "def test_a():\n    assert old(1) == 2\n",
        "def test_a():\n    assert new(1) == 2\n",
        [],
    ),
    (
        "def test_a():\n    assert f(1) == 2\n",
        "def test_a():\n    assert f(1) == 2\n\n@pytest.mark.skip\ndef test_new():\n    ...\n",
        [],
    ),
    (
        "@pytest.mark.parametrize('a', [1])\ndef test_a(a):\n    assert f(a) == 2\n",
        "@pytest.mark.parametrize('a', [1, 2])\ndef test_a(a):\n    assert f(a) == 2\n",
        [],
    ),
    (
        "@pytest.mark.skip\ndef test_a():\n    assert f(1) == 2\n",
        "def test_a():\n    assert f(1) == 2\n",
        [],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), PYTHON)
def test_python(before: str, after: str | None, expected: list[Kind]) -> None:
    assert flags("tests/test_x.py", before, after) == expected


JAVASCRIPT = [
    ("it('a', () => { expect(f(1)).toBe(2); });", "", [Kind.REMOVED]),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it.skip('a', () => { expect(f(1)).toBe(2); });",
        [Kind.SKIPPED],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "xit('a', () => { expect(f(1)).toBe(2); });",
        [Kind.SKIPPED],
    ),
    (
        "describe('d', () => { it('a', () => { expect(f(1)).toBe(2); }); });",
        "describe.skip('d', () => { it('a', () => { expect(f(1)).toBe(2); }); });",
        [Kind.SKIPPED],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); }); it('b', () => { expect(f(2)).toBe(2); });",
        "it.only('a', () => { expect(f(1)).toBe(2); }); it('b', () => { expect(f(2)).toBe(2); });",
        [Kind.SKIPPED],
    ),
    (
        "test('a', () => { assert.equal(f(1), 2); });",
        "test('a', { skip: true }, () => { assert.equal(f(1), 2); });",
        [Kind.SKIPPED],
    ),
    (
        "test('a', () => { assert.equal(f(1), 2); });",
        "test('a', { todo: true }, () => { assert.equal(f(1), 2); });",
        [Kind.SKIPPED],
    ),
    (
        "test('a', (t) => { assert.equal(f(1), 2); });",
        "test('a', (t) => { t.skip(); assert.equal(f(1), 2); });",
        [Kind.SKIPPED],
    ),
    (
        "test('a', () => { expect(f(1)).toBe(2); });",
        "test.failing('a', () => { expect(f(1)).toBe(2); });",
        [Kind.EXPECTED_TO_FAIL],
    ),
    (
        "test('a', () => { expect(f(1)).toBe(2); });",
        "function a() { expect(f(1)).toBe(2); }",
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { expect(f(1)).toBeTruthy(); });",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { expect(true).toBe(true); });",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { try { expect(f(1)).toBe(2); } catch {} });",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "it('a', () => { assert.strictEqual(f(1), 2); });",
        "it('a', () => { assert.ok(f(1)); });",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "it('a', () => { expect(f(1)).to.equal(2); });",
        "it('a', () => { expect(f(1)).to.be.ok; });",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); expect(f(2)).toBe(3); });",
        "it('a', () => { expect(f(1)).toBe(2); });",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { expect(f(1)).toBe(3); });",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        "it('a', () => { expect(f(1)).toMatchInlineSnapshot(`2`); });",
        "it('a', () => { expect(f(1)).toMatchInlineSnapshot(`3`); });",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        "it('a', () => { expect(f(1)).toBeCloseTo(2, 5); });",
        "it('a', () => { expect(f(1)).toBeCloseTo(2, 1); });",
        [Kind.TOLERANCE],
    ),
    (
        "it('a', () => { assert.equal(f(1), 2, 'm'); });",
        "it('a', () => { assert.equal(f(1), 2, 'other'); });",
        [Kind.MESSAGE_ONLY],
    ),
    (
        "test.each([[1, 2], [2, 3]])('a %s', (a, b) => { expect(f(a)).toBe(b); });",
        "test.each([[1, 2]])('a %s', (a, b) => { expect(f(a)).toBe(b); });",
        [Kind.FEWER_CASES],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "jest.retryTimes(3);\nit('a', () => { expect(f(1)).toBe(2); });",
        [Kind.RETRY],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { expect(f(1)).toBe(2); }); process.exit(0);",
        [Kind.EXIT_CODE],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { console.log('# pass 3'); expect(f(1)).toBe(2); });",
        [Kind.RUNNER_OUTPUT_FORGED],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { if (process.env.CI) { go(); } expect(f(1)).toBe(2); });",
        [Kind.ENVIRONMENT_DEPENDENT],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', () => { expect(f(1)).toBe(2); });\nit('b', () => { expect(f(2)).toBe(2); });",
        [],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('says what', () => {\n  expect(f(1)).toBe(2)\n});",
        [],
    ),
    (
        "it('a', () => { expect(f(1)).toBe(2); });",
        "it('a', async () => { expect(await f(1)).toBe(2); });",
        [],
    ),
    (
        "it('a', () => { expect(f(1)).toBeTruthy(); });",
        "it('a', () => { expect(f(1)).toBe(2); });",
        [],
    ),
]


@pytest.mark.parametrize("path", ["src/a.test.js", "src/a.test.ts", "src/a.spec.tsx"])
@pytest.mark.parametrize(("before", "after", "expected"), JAVASCRIPT)
def test_javascript(path: str, before: str, after: str, expected: list[Kind]) -> None:
    assert flags(path, before, after) == expected


GO_TEST = "package a\nfunc TestA(t *testing.T) {\n%s\n}\n"
GO_CHECK = 'if got := f(1); got != 2 { t.Errorf("f(1) = %d", got) }'
GO = [
    (GO_TEST % GO_CHECK, "package a\n", [Kind.REMOVED]),
    (
        GO_TEST % GO_CHECK,
        (GO_TEST % GO_CHECK).replace("TestA", "testA"),
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    (GO_TEST % GO_CHECK, GO_TEST % f't.Skip("later")\n{GO_CHECK}', [Kind.SKIPPED]),
    (GO_TEST % GO_CHECK, "//go:build never\n\n" + GO_TEST % GO_CHECK, [Kind.SKIPPED]),
    (GO_TEST % GO_CHECK, GO_TEST % "f(1)", [Kind.REMOVED_ASSERTION]),
    (GO_TEST % GO_CHECK, GO_TEST % f"return\n{GO_CHECK}", [Kind.REMOVED_ASSERTION]),
    (
        GO_TEST % GO_CHECK,
        GO_TEST % GO_CHECK.replace("got != 2", "got == 0"),
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        GO_TEST % GO_CHECK,
        GO_TEST % GO_CHECK.replace("got != 2", "false && got != 2"),
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        GO_TEST % GO_CHECK,
        GO_TEST % GO_CHECK.replace("got != 2", "got != 3"),
        [Kind.CHANGED_EXPECTATION],
    ),
    (GO_TEST % GO_CHECK, GO_TEST % GO_CHECK.replace("%d", "%v"), [Kind.MESSAGE_ONLY]),
    (
        GO_TEST % "assert.Equal(t, 2, f(1))",
        GO_TEST % "assert.NotNil(t, f(1))",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        GO_TEST % "assert.InDelta(t, 2, f(1), 0.001)",
        GO_TEST % "assert.InDelta(t, 2, f(1), 0.5)",
        [Kind.TOLERANCE],
    ),
    (
        GO_TEST % "if math.Abs(f(1) - 2) > 0.001 { t.Fatal(1) }",
        GO_TEST % "if math.Abs(f(1) - 2) > 0.5 { t.Fatal(1) }",
        [Kind.TOLERANCE],
    ),
    (
        GO_TEST % "for _, c := range []struct{a, b int}{{1, 2}, {2, 3}} { check(c) }",
        GO_TEST % "for _, c := range []struct{a, b int}{{1, 2}} { check(c) }",
        [Kind.FEWER_CASES],
    ),
    (
        GO_TEST % GO_CHECK,
        GO_TEST % GO_CHECK + "func TestMain(m *testing.M) { os.Exit(0) }\n",
        [Kind.EXIT_CODE, Kind.FRAMEWORK_PATCHED],
    ),
    (GO_TEST % GO_CHECK, GO_TEST % GO_CHECK + "func TestB(t *testing.T) { g(t) }\n", []),
    (GO_TEST % GO_CHECK, (GO_TEST % GO_CHECK).replace("TestA", "TestF"), []),
    (
        GO_TEST % "for _, c := range []struct{a, b int}{{1, 2}} { check(c) }",
        GO_TEST % "for _, c := range []struct{a, b int}{{1, 2}, {2, 3}} { check(c) }",
        [],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), GO)
def test_go(before: str, after: str, expected: list[Kind]) -> None:
    assert sorted(flags("pkg/a_test.go", before, after)) == sorted(expected)


RUST_TEST = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {\n        %s\n    }\n}\n"
RUST = [
    (RUST_TEST % "assert_eq!(f(1), 2);", "", [Kind.REMOVED]),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        (RUST_TEST % "assert_eq!(f(1), 2);").replace("#[test]\n", "#[test]\n#[ignore]\n"),
        [Kind.SKIPPED],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        (RUST_TEST % "assert_eq!(f(1), 2);").replace("#[test]\n", "#[test]\n#[should_panic]\n"),
        [Kind.EXPECTED_TO_FAIL],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        (RUST_TEST % "assert_eq!(f(1), 2);").replace("#[test]\n", ""),
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        RUST_TEST % "assert!(f(1) > 0);",
        [Kind.WEAKENED_ASSERTION],
    ),
    (RUST_TEST % "assert_eq!(f(1), 2);", RUST_TEST % "assert!(true);", [Kind.WEAKENED_ASSERTION]),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        RUST_TEST % "assert_eq!(f(1), 3);",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        RUST_TEST % 'assert_eq!(f(1), 2, "two");',
        [Kind.MESSAGE_ONLY],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2); assert_eq!(f(2), 3);",
        RUST_TEST % "assert_eq!(f(1), 2);",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        RUST_TEST % "assert!((f(1) - 2.0).abs() < 0.001);",
        RUST_TEST % "assert!((f(1) - 2.0).abs() < 0.5);",
        [Kind.TOLERANCE],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        RUST_TEST % 'if std::env::var("CI").is_ok() { return; } assert_eq!(f(1), 2);',
        [Kind.ENVIRONMENT_DEPENDENT, Kind.WEAKENED_ASSERTION],
    ),
    (
        RUST_TEST % "assert_eq!(f(1), 2);",
        RUST_TEST % 'println!("test result: ok. 3 passed"); assert_eq!(f(1), 2);',
        [Kind.RUNNER_OUTPUT_FORGED],
    ),
    ("fn f() { g() }\n", "#[allow(dead_code)]\nfn f() { g() }\n", [Kind.LINT_DISABLED]),
    (
        "impl PartialEq for X { fn eq(&self, o: &X) -> bool { self.a == o.a } }\n",
        "impl PartialEq for X { fn eq(&self, o: &X) -> bool { true } }\n",
        [Kind.FRAMEWORK_PATCHED],
    ),
    (RUST_TEST % "assert_eq!(f(1), 2);", RUST_TEST % "assert_eq!(g(1), 2);", []),
    (RUST_TEST % "assert!(f(1) > 0);", RUST_TEST % "assert_eq!(f(1), 2);", []),
]


@pytest.mark.parametrize(("before", "after", "expected"), RUST)
def test_rust(before: str, after: str, expected: list[Kind]) -> None:
    assert sorted(flags("src/lib.rs", before, after)) == sorted(expected)


JAVA_TEST = "class ATest {\n    @Test\n    void a() {\n        %s\n    }\n}\n"
JAVA = [
    (JAVA_TEST % "assertEquals(2, f(1));", "class ATest {}\n", [Kind.REMOVED]),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        (JAVA_TEST % "assertEquals(2, f(1));").replace("@Test", '@Test @Disabled("x")'),
        [Kind.SKIPPED],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        "@Disabled\n" + JAVA_TEST % "assertEquals(2, f(1));",
        [Kind.SKIPPED],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "assumeTrue(false); assertEquals(2, f(1));",
        [Kind.SKIPPED],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        (JAVA_TEST % "assertEquals(2, f(1));").replace("@Test", ""),
        [Kind.RENAMED_OUT_OF_DISCOVERY],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        (JAVA_TEST % "assertEquals(2, f(1));").replace("@Test", "@Test(expected = Error.class)"),
        [Kind.EXPECTED_TO_FAIL],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "assertNotNull(f(1));",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "assertTrue(true);",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        JAVA_TEST % "assertThat(f(1)).isEqualTo(2);",
        JAVA_TEST % "assertThat(f(1)).isNotNull();",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "try { assertEquals(2, f(1)); } catch (Throwable e) { }",
        [Kind.WEAKENED_ASSERTION],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "assertEquals(3, f(1));",
        [Kind.CHANGED_EXPECTATION],
    ),
    (
        JAVA_TEST % "assertEquals(2.0, f(1), 0.001);",
        JAVA_TEST % "assertEquals(2.0, f(1), 0.5);",
        [Kind.TOLERANCE],
    ),
    (
        JAVA_TEST % 'assertEquals(2, f(1), "m");',
        JAVA_TEST % 'assertEquals(2, f(1), "n");',
        [Kind.MESSAGE_ONLY],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1)); assertEquals(3, f(2));",
        JAVA_TEST % "assertEquals(2, f(1));",
        [Kind.REMOVED_ASSERTION],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        JAVA_TEST % "System.exit(0); assertEquals(2, f(1));",
        [Kind.EXIT_CODE],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        (JAVA_TEST % "assertEquals(2, f(1));").replace("void a", "void says"),
        [],
    ),
    (
        JAVA_TEST % "assertEquals(2, f(1));",
        (JAVA_TEST % "assertEquals(2, f(1));")[:-2]
        + "    @Test void b() { assertEquals(1, g()); }\n}\n",
        [],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), JAVA)
def test_java(before: str, after: str, expected: list[Kind]) -> None:
    assert flags("src/test/java/ATest.java", before, after) == expected
