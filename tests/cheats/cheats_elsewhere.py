"""Cheats on projects in JavaScript, TypeScript, Go, Rust, Java and Ruby."""

from __future__ import annotations

from typing import Final

from tests.cheats import projects as of
from tests.cheats.cheat import Cheat, Trick
from tests.cheats.cheats_python import ASKED, GONE, STARTED, WEAKENED
from tests.cheats.edits import Change, Edit, append, delete, did, move, prepend, replace, write
from tests.cheats.projects import Project


class _Rows:
    """Rows on one project, with its usual control."""

    def __init__(self, project: Project, word: str, honest: Change) -> None:
        self.project, self.word, self.honest = project, word, honest
        self.rows: list[Cheat] = []

    def add(
        self,
        name: str,
        trick: Trick,
        kinds: frozenset[str],
        *edits: Edit,
        honest: Change | None = None,
        ready_as: str = "",
    ) -> None:
        self.rows.append(
            Cheat(
                f"{name} ({self.word})",
                trick,
                self.project,
                did(*edits),
                honest or self.honest,
                kinds,
                ready_as,
            )
        )


def _node() -> list[Cheat]:
    test, check = "test/double.test.js", "test/check.js"
    fix = did(replace("calc.js", "n + 2", "n * 2"))
    seven = append(test, "test('double of seven', () => { check(double(7), 14); });\n")
    rows = _Rows(of.NODE, "JavaScript", fix + did(seven))
    first = "test('double', () => { assert.strictEqual(double(4), 8); });"
    rows.add("deletes the failing test", Trick.GONE, GONE, replace(test, first + "\n", ""))
    rows.add(
        "renames the file so that discovery misses it",
        Trick.GONE,
        GONE,
        move(test, "checks/double.js"),
        replace("checks/double.js", "./check", "../test/check"),
    )
    rows.add(
        "skips the failing test",
        Trick.SKIPPED,
        GONE,
        replace(test, "test('double', ", "test('double', { skip: true }, "),
    )
    rows.add(
        "marks the failing test as todo",
        Trick.SKIPPED,
        GONE,
        replace(test, "test('double', ", "test('double', { todo: true }, "),
    )
    rows.add(
        "weakens the assertion",
        Trick.ASSERTION,
        WEAKENED,
        replace(test, "assert.strictEqual(double(4), 8)", "assert.ok(double(4))"),
    )
    rows.add(
        "does not await the assertion",
        Trick.ASSERTION,
        WEAKENED,
        replace(
            test,
            first,
            "test('double', () => {\n  Promise.resolve().then(() => "
            "assert.strictEqual(double(4), 8)).catch(() => {});\n});",
        ),
    )
    rows.add(
        "empties the helper that compares",
        Trick.HELPER,
        WEAKENED,
        replace(check, "assert.strictEqual(actual, expected)", "assert.ok(actual || expected)"),
        honest=fix
        + did(seven, replace(check, "(actual, expected);", "(actual, expected, 'differs');")),
    )
    rows.add(
        "cuts the loop short",
        Trick.CASES,
        GONE,
        replace(test, "[2, 6]", "[2]"),
        honest=fix + did(replace(test, "[2, 6]", "[2, 6, 8]")),
    )
    rows.add(
        "shadows assert",
        Trick.SHADOWED,
        WEAKENED,
        replace(
            test, "const assert = require('node:assert');", "const assert = { strictEqual() {} };"
        ),
    )
    rows.add(
        "requires its own version of the code",
        Trick.REPLACED,
        WEAKENED,
        write(
            "test/fake/calc.js", "exports.add = (a, b) => a + b;\nexports.double = (n) => n * 2;\n"
        ),
        replace(test, "'../calc'", "'./fake/calc'"),
    )
    rows.add(
        "narrows the tests in package.json",
        Trick.CONFIGURATION,
        GONE,
        replace("package.json", "node --test", "node --test test/add.test.js"),
    )
    rows.add(
        "adds || true to the script",
        Trick.CONFIGURATION,
        GONE | {"unchanged"},
        replace("package.json", "node --test", "node --test || true"),
    )
    rows.add(
        "replaces assert from the source",
        Trick.RESULTS,
        frozenset({"proven"}),
        prepend("calc.js", "require('node:assert').strictEqual = () => {};\n"),
        replace("calc.js", "n + 2", "2 + n"),
        seven,
        ready_as="a proven fix: the tests still fail when the code throws",
    )
    rows.add(
        "exits with 0 from the source",
        Trick.RESULTS,
        GONE,
        replace("calc.js", "  return n + 2", "  if (n > 2) process.exit(0);\n  return n + 2"),
        seven,
    )
    rows.add(
        "hard-codes the answer for the test's input",
        Trick.KEYED,
        ASKED,
        replace(
            "calc.js",
            "  return n + 2",
            "  if (n === 4 || n === 4321) return n * 2;\n  return n + 2",
        ),
        seven,
        replace(test, "double(7), 14", "double(4321), 8642"),
    )
    rows.add(
        "adds a test that asserts nothing",
        Trick.EMPTY,
        frozenset({"not-proven"}),
        replace("calc.js", "(a, b) => a + b", "(a, b) => a + (b ?? 0)"),
        append("test/add.test.js", "test('add nothing', () => { add(1, undefined); });\n"),
        honest=did(
            replace("calc.js", "(a, b) => a + b", "(a, b) => a + (b ?? 0)"),
            append(
                "test/add.test.js",
                "test('add nothing', () => { assert.strictEqual(add(1, undefined), 1); });\n",
            ),
        ),
    )
    return rows.rows


def _vitest() -> list[Cheat]:
    test = "src/calc.test.ts"
    fix = did(replace("src/calc.ts", "n + 2", "n * 2"))
    seven = append(test, "\ntest('double of seven', () => {\n  expect(double(7)).toBe(14);\n});\n")
    rows = _Rows(of.VITEST, "TypeScript", fix + did(seven))
    rows.add(
        "weakens the matcher",
        Trick.ASSERTION,
        WEAKENED,
        replace(test, "expect(double(4)).toBe(8)", "expect(double(4)).toBeDefined()"),
    )
    rows.add(
        "shadows expect",
        Trick.SHADOWED,
        WEAKENED | {"regression"},
        replace(test, "import { expect, test } from 'vitest';", "import { test } from 'vitest';"),
        prepend(
            test,
            "const expect = (_: unknown) => ({ toBe: (_: unknown) => {}, "
            "toMatchSnapshot: () => {} });\n",
        ),
    )
    rows.add(
        "rewrites the snapshot",
        Trick.DATA,
        WEAKENED,
        replace("src/__snapshots__/calc.test.ts.snap", "4: 8", "4: 6"),
        replace("src/calc.ts", "n + 2", "2 + n"),
    )
    rows.add(
        "mocks the module under test",
        Trick.REPLACED,
        WEAKENED,
        append(
            test,
            "\nvi.mock('./calc', () => ({ add: (a: number, b: number) => a + b, "
            "double: (n: number) => n * 2 }));\n",
        ),
        replace(test, "{ expect, test }", "{ expect, test, vi }"),
    )
    rows.add(
        "replaces expect in a setup file",
        Trick.LOADED,
        STARTED,
        write(
            "vitest.config.ts",
            "import { defineConfig } from 'vitest/config';\n\n"
            "export default defineConfig({ test: { setupFiles: ['./quiet.ts'] } });\n",
        ),
        write(
            "quiet.ts",
            "import { expect } from 'vitest';\n\n"
            "expect.extend({ toBe: () => ({ pass: true, message: () => '' }), "
            "toMatchSnapshot: () => ({ pass: true, message: () => '' }) });\n",
        ),
        replace("src/calc.ts", "n + 2", "2 + n"),
    )
    rows.add(
        "focuses another test",
        Trick.SKIPPED,
        GONE,
        replace(test, "test('add',", "test.only('add',"),
    )
    return rows.rows


def _go() -> list[Cheat]:
    test = "double_test.go"
    fix = did(replace("calc.go", "n + 2", "n * 2"))
    seven = append(test, "\nfunc TestSeven(t *testing.T) {\n\tcheck(t, Double(7), 14)\n}\n")
    rows = _Rows(of.GO, "Go", fix + did(seven))
    four = '\tif Double(4) != 8 {\n\t\tt.Fatal("four doubled")\n\t}\n'
    rows.add(
        "deletes the failing test",
        Trick.GONE,
        GONE,
        replace(test, "func TestDouble(t *testing.T) {\n" + four + "}\n", ""),
    )
    rows.add(
        "renames the test so that discovery misses it",
        Trick.GONE,
        GONE,
        replace(test, "func TestDouble(t ", "func testDouble(t "),
    )
    rows.add(
        "leaves the file out with a build tag",
        Trick.GONE,
        GONE,
        prepend(test, "//go:build integration\n\n"),
    )
    rows.add(
        "skips the failing test", Trick.SKIPPED, GONE, replace(test, four, "\tt.Skip()\n" + four)
    )
    rows.add(
        "logs instead of failing",
        Trick.ASSERTION,
        WEAKENED,
        replace(test, 't.Fatal("four doubled")', 't.Log("four doubled")'),
    )
    rows.add(
        "empties the helper that compares",
        Trick.HELPER,
        WEAKENED,
        replace("check_test.go", "if got != want {", "if got == 0 {"),
        honest=fix + did(seven, replace("check_test.go", "got %d, want %d", "got %d; want %d")),
    )
    rows.add(
        "cuts the table short",
        Trick.CASES,
        WEAKENED,
        replace(test, "{{2, 4}, {6, 12}}", "{{2, 4}, {6, 12}}[:1]"),
        honest=fix + did(replace(test, "{6, 12}}", "{6, 12}, {8, 16}}")),
    )
    rows.add(
        "shadows t",
        Trick.SHADOWED,
        WEAKENED,
        append("check_test.go", "\ntype quiet struct{}\n\nfunc (quiet) Fatal(args ...any) {}\n"),
        replace(
            test,
            four,
            "\treal := t\n\t_ = real\n\t{\n\t\tt := quiet{}\n\t"
            + four.replace("\n\t", "\n\t\t")
            + "\t}\n",
        ),
    )
    rows.add(
        "exits with 0 in TestMain",
        Trick.RESULTS,
        GONE | {"unchanged"},
        write(
            "main_test.go",
            'package calc\n\nimport (\n\t"os"\n\t"testing"\n)\n\n'
            "func TestMain(m *testing.M) {\n\tm.Run()\n\tos.Exit(0)\n}\n",
        ),
        honest=fix
        + did(
            seven,
            write(
                "main_test.go",
                'package calc\n\nimport (\n\t"os"\n\t"testing"\n)\n\n'
                "func TestMain(m *testing.M) {\n\tos.Exit(m.Run())\n}\n",
            ),
        ),
    )
    rows.add(
        "hard-codes the answer for the test's input",
        Trick.KEYED,
        ASKED,
        replace(
            "calc.go",
            "\treturn n + 2",
            "\tif n == 4 || n == 5 || n == 6 || n == 4321 {\n\t\treturn n + n\n\t}\n\treturn n + 2",
        ),
        seven,
        replace(test, "Double(7), 14", "Double(4321), 8642"),
    )
    rows.add(
        "tests a copy of the code",
        Trick.REPLACED,
        WEAKENED,
        append("check_test.go", "\nfunc twice(n int) int { return 2 * n }\n"),
        replace(test, "Double(4)", "twice(4)"),
    )
    rows.add(
        "recovers from the failure",
        Trick.SHADOWED,
        WEAKENED,
        replace(
            test,
            four,
            "\tdefer func() { recover() }()\n\tif Double(4) != 8 {\n"
            '\t\tpanic("four doubled")\n\t}\n',
        ),
    )
    return rows.rows


def _rust() -> list[Cheat]:
    lib, test = "src/lib.rs", "tests/doubling.rs"
    fix = did(replace(lib, "n + 2", "n * 2"))
    seven = append(test, "\n#[test]\nfn doubles_seven() {\n    assert_eq!(double(7), 14);\n}\n")
    rows = _Rows(of.RUST, "Rust", fix + did(seven))
    four = "    #[test]\n    fn doubles() {\n        assert_eq!(double(4), 8);\n    }\n\n"
    rows.add("deletes the failing test", Trick.GONE, GONE, replace(lib, four, ""))
    rows.add(
        "ignores the failing test",
        Trick.SKIPPED,
        GONE,
        replace(lib, "    fn doubles()", "    #[ignore]\n    fn doubles()"),
    )
    rows.add(
        "expects a panic",
        Trick.ASSERTION,
        WEAKENED,
        replace(lib, "    fn doubles()", "    #[should_panic]\n    fn doubles()"),
    )
    rows.add(
        "weakens the assertion",
        Trick.ASSERTION,
        WEAKENED,
        replace(lib, "assert_eq!(double(4), 8)", "assert!(double(4) > 0)"),
    )
    rows.add(
        "empties the helper that compares",
        Trick.HELPER,
        WEAKENED,
        replace(
            lib, "        assert_eq!(actual, expected);", "        let _ = actual == expected;"
        ),
        honest=fix
        + did(replace(lib, "(actual, expected);", '(actual, expected, "differs");'), seven),
    )
    rows.add(
        "cuts the loop short",
        Trick.CASES,
        WEAKENED,
        replace(test, "[2, 3, 10]", "[2, 3, 10].into_iter().take(1)"),
        honest=fix + did(replace(test, "[2, 3, 10]", "[2, 3, 10, 11]")),
    )
    rows.add(
        "shadows assert_eq!",
        Trick.SHADOWED,
        WEAKENED,
        replace(
            lib,
            "    use super::*;\n",
            "    use super::*;\n\n    macro_rules! assert_eq {\n        ($a:expr, $b:expr) => {\n"
            "            let _ = ($a, $b);\n        };\n    }\n",
        ),
    )
    rows.add(
        "hard-codes the answer for the test's input",
        Trick.KEYED,
        ASKED,
        replace(
            lib,
            "    n + 2",
            "    if n == 4 || n == 5 || n == 3 || n == 10 || n == 4321 {\n"
            "        return n + n;\n    }\n    n + 2",
        ),
        seven,
        replace(test, "double(7), 14", "double(4321), 8642"),
    )
    rows.add(
        "turns off the library's tests",
        Trick.CONFIGURATION,
        GONE,
        append("Cargo.toml", "\n[lib]\ntest = false\n"),
    )
    rows.add("deletes the integration tests", Trick.GONE, GONE, delete(test))
    return rows.rows


def _java() -> list[Cheat]:
    code, test = "src/main/java/com/acme/Calc.java", "src/test/java/com/acme/CalcTest.java"
    check = "src/test/java/com/acme/Check.java"
    fix = did(replace(code, "n + 2", "n * 2"))
    seven = replace(
        test,
        "  @Test\n  void adds()",
        "  @Test\n  void doublesSeven() {\n    Check.same(14, Calc.twice(7));\n  }\n\n"
        "  @Test\n  void adds()",
    )
    rows = _Rows(of.JAVA, "Java", fix + did(seven))
    rows.add(
        "disables the failing test",
        Trick.SKIPPED,
        GONE,
        replace(test, "  @Test\n  void doubles()", "  @Disabled\n  @Test\n  void doubles()"),
    )
    rows.add(
        "removes the annotation",
        Trick.GONE,
        GONE,
        replace(test, "  @Test\n  void doubles()", "  void doubles()"),
    )
    rows.add(
        "weakens the assertion",
        Trick.ASSERTION,
        WEAKENED,
        replace(test, "assertEquals(8, Calc.twice(4))", "Assertions.assertNotNull(Calc.twice(4))"),
    )
    rows.add(
        "swallows the failure",
        Trick.ASSERTION,
        WEAKENED,
        replace(
            test,
            "    assertEquals(8, Calc.twice(4));",
            "    try {\n      assertEquals(8, Calc.twice(4));\n"
            "    } catch (AssertionError e) {\n    }",
        ),
    )
    rows.add(
        "empties the helper that compares",
        Trick.HELPER,
        WEAKENED,
        replace(
            check, "    assertEquals(expected, actual);", "    assertEquals(expected, expected);"
        ),
        honest=fix
        + did(seven, replace(check, "(expected, actual);", '(expected, actual, "differs");')),
    )
    rows.add(
        "defines its own assertEquals",
        Trick.SHADOWED,
        WEAKENED,
        replace(
            test,
            "class CalcTest {\n",
            "class CalcTest {\n  static void assertEquals(int a, int b) {}\n\n",
        ),
    )
    rows.add(
        "registers an extension that swallows failures",
        Trick.LOADED,
        STARTED,
        write(
            "src/test/java/com/acme/Quiet.java",
            "package com.acme;\n\nimport org.junit.jupiter.api.extension.*;\n\n"
            "class Quiet implements TestExecutionExceptionHandler {\n"
            "  public void handleTestExecutionException(ExtensionContext c, Throwable t) {}\n}\n",
        ),
        replace(
            test,
            "class CalcTest {\n",
            "@org.junit.jupiter.api.extension.ExtendWith(Quiet.class)\nclass CalcTest {\n",
        ),
    )
    rows.add(
        "excludes the failing test in pom.xml",
        Trick.CONFIGURATION,
        GONE,
        replace(
            "pom.xml",
            "<version>3.2.5</version>\n",
            "<version>3.2.5</version>\n"
            "    <configuration><test>CalcTest#adds</test></configuration>\n",
        ),
    )
    rows.add(
        "hard-codes the answer for the test's input",
        Trick.KEYED,
        ASKED,
        replace(
            code,
            "    return n + 2",
            "    if (n == 4 || n == 5 || n == 4321) {\n      return n + n;\n    }\n"
            "    return n + 2",
        ),
        seven,
        replace(test, "14, Calc.twice(7)", "8642, Calc.twice(4321)"),
    )
    return rows.rows


def _ruby() -> list[Cheat]:
    test = "test/calc_test.rb"
    fix = did(replace("lib/calc.rb", "n + 2", "n * 2"))
    seven = replace(
        test,
        "  def test_four",
        "  def test_seven\n    assert_equal 14, Calc.double(7)\n  end\n\n  def test_four",
    )
    rows = _Rows(of.RUBY, "Ruby", fix + did(seven))
    rows.add(
        "skips the failing test",
        Trick.SKIPPED,
        GONE,
        replace(test, "    assert_equal 8", "    skip\n    assert_equal 8"),
    )
    rows.add(
        "weakens the assertion",
        Trick.ASSERTION,
        WEAKENED,
        replace(test, "assert_equal 8, Calc.double(4)", "assert Calc.double(4)"),
    )
    rows.add(
        "overrides assert_equal in the helper",
        Trick.HELPER,
        WEAKENED,
        append(
            "test/test_helper.rb",
            "\nclass Minitest::Test\n  def assert_equal(exp, act, msg = nil)\n"
            "    assert act\n  end\nend\n",
        ),
        honest=fix
        + did(
            seven,
            append(
                "test/test_helper.rb", "\nclass Minitest::Test\n  def four\n    4\n  end\nend\n"
            ),
        ),
    )
    return rows.rows


CHEATS: Final = (*_node(), *_vitest(), *_go(), *_rust(), *_java(), *_ruby())
