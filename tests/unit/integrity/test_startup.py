"""The start-up record: what a change adds to what is loaded before the tests."""

from __future__ import annotations

import pytest

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides, Finding
from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult
from app.integrity.startup import adds_plugins, autoload_off, compare_autoload, examine

TRACKED = frozenset(
    {
        *("pkg/__init__.py", "pkg/report.py", "src/setup.js", "tests/setup.js", "tests/helper.py"),
        *(
            "lib/spec_report.rb",
            "tsconfig.json",
            "requirements.txt",
            "agree/unittest.py",
            "src/index.ts",
            "src/polyfill.js",
        ),
    }
)


def found(
    path: str, old: str, new: str, *, side: str = "source", tests: tuple[str, ...] = ()
) -> tuple[Finding, ...]:
    file = FileDiff.of(path, old if old or side == "old" else None, new)
    sides = ChangedSides.model_validate({side: (path,), "helpers": tests})
    return examine(Diff((file,)), sides, TRACKED)


PYTHON = {
    "hook": "def pytest_runtest_makereport(item, call):\n    return None\n",
    "hook in a class": "class P:\n    def pytest_pyfunc_call(self, item):\n        return 1\n",
    "patch": "import unittest\nunittest.TestCase.assertEqual = lambda *given: None\n",
    "alias": "import unittest as u\nu.case.TestCase.assertEqual = lambda *given: None\n",
    "name": "from unittest import TestCase as T\nT.assertEqual = lambda *given: None\n",
    "setattr": "import unittest\nsetattr(unittest.TestCase, 'assertEqual', print)\n",
    "builtins": "import builtins\nbuiltins.isinstance = lambda *given: True\n",
    "item": "import builtins as b\nb.__dict__['len'] = lambda *given: 1\n",
    "internals": "def f():\n    from _pytest import runner\n    runner.check = None\n",
    "folded import": "import importlib\nm = importlib.import_module('_py' + 'test.runner')\n",
    "joined import": "m = __import__(''.join(['_py', 'test', '.reports']))\n",
    "modules": "import sys\nm = sys.modules['_pytest.reports']\n",
    "get": "import sys\nm = sys.modules.get('unittest.case')\n",
    "trace": "import sys\nsys.settrace(lambda *given: None)\n",
    "profile": "from sys import setprofile as s\ns(print)\n",
    "objects": "import gc\nfor each in gc.get_objects():\n    pass\n",
    "finder": "import sys\nsys.meta_path.insert(0, Finder())\n",
    "plugins": "pytest_plugins = ['pkg.report']\n",
    "variable": "import unittest\nT = unittest.TestCase\nT.assertEqual = print\n",
    "getattr": "import unittest\ngetattr(unittest, 'TestCase').assertEqual = print\n",
    "builtins of the module": "__builtins__['len'] = print\n",
    "reports": "import xml.etree.ElementTree as E\nE.Element = print\n",
    "operators": "import operator\noperator.eq = lambda *given: True\n",
    "mock": "from unittest import mock\nmock.patch('_pytest.runner.call_and_report').start()\n",
}


@pytest.mark.parametrize("trick", PYTHON)
def test_python_that_reaches_into_the_runner(trick: str) -> None:
    (first, *_) = found("pkg/report.py", "X = 1\n", f"X = 1\n{PYTHON[trick]}")
    assert first.file == "pkg/report.py"
    assert first.line is not None
    assert first.line > 1


@pytest.mark.parametrize("trick", PYTHON)
def test_what_was_there_before_is_no_news(trick: str) -> None:
    """Projects that are plugins, debuggers or test helpers go on being that."""
    code = f"X = 1\n{PYTHON[trick]}"
    assert found("pkg/report.py", code, f"# Why.\n{code}\n\ndef new():\n    return 1\n") == ()


@pytest.mark.parametrize("trick", PYTHON)
def test_tests_may_do_what_they_like_with_their_runner(trick: str) -> None:
    """The four cells see it: the tests' side of the head is in the proof as well."""
    assert found("tests/conftest.py", "", PYTHON[trick], side="helpers") == ()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("pkg/a.ts", "import { expect } from 'vitest';\n"),
        ("pkg/a.js", "const { it } = require('node:test');\n"),
        ("pkg/a.js", "const m = require('@jest/' + 'globals');\n"),
        ("pkg/a.js", "Module._load = (...given) => null;\n"),
        ("pkg/a.js", "require.cache[name] = { exports: {} };\n"),
        ("pkg/a.js", "assert.strictEqual = () => {};\n"),
        ("pkg/a.js", "Object.defineProperty(assert, 'equal', { value() {} });\n"),
        ("pkg/a.mjs", "module.register('./hooks.mjs', import.meta.url);\n"),
        ("a.go", "package a\n\nfunc F() { testing.Init() }\n"),
        ("src/lib.rs", "pub use agree::agree as assert_eq;\n"),
        ("src/lib.rs", "pub use agree::{agree as assert_eq, b};\n"),
        ("a.go", "package a\n\n//go:linkname report testing.tRunner\nfunc report()\n"),
        ("a.go", 'package a\n\nfunc init() { flag.Set("test.run", "^$") }\n'),
        ("src/lib.rs", "#[ctor]\nfn start() {}\n"),
        ("src/lib.rs", "#![feature(custom_test_frameworks)]\n"),
        ("src/lib.rs", '#[link_section = ".init_array"]\nstatic S: fn() = start;\n'),
        ("src/lib.rs", "macro_rules! assert_eq { ($($x:tt)*) => {} }\n"),
        ("src/main/java/A.java", "import org.junit.platform.launcher.*;\nclass A {}\n"),
        ("src/main/java/A.java", "class A { public static void premain(String a) {} }\n"),
        ("lib/a.rb", "module Minitest\n  module Assertions\n  end\nend\n"),
        ("lib/a.rb", "RSpec.configure { |c| c.after { nil } }\n"),
    ],
)
def test_other_languages_that_reach_into_the_runner(path: str, code: str) -> None:
    assert found(path, "", code)
    assert found(path, code, f"{code}\n", side="source") == ()


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("sitecustomize.py", "", "import sys\n"),
        ("pkg/extra.pth", "", "import pkg\n"),
        ("pytest.py", "", ""),
        ("bin/pytest", "", "#!/bin/sh\n"),
        ("node_modules/chai/index.js", "old", "new"),
        ("vendor/github.com/stretchr/testify/assert/assertions.go", "package a", "package b"),
        ("src/main/resources/META-INF/services/org.junit.platform.launcher.X", "", "a.B\n"),
        (".cargo/config.toml", "", "[target.x]\nrunner = 'x'\n"),
        ("pyproject.toml", "", '[project.entry-points.pytest11]\nreport = "pkg.report"\n'),
        ("setup.py", "setup()", "setup(\n entry_points={'pytest11': ['a = pkg.report']})"),
        ("setup.cfg", "", "[options.entry_points]\npytest11 =\n  a = pkg.report\n"),
        ("pytest.ini", "[pytest]\naddopts = -q\n", "[pytest]\naddopts = -q -p pkg.report\n"),
        ("pytest.ini", "[pytest]\naddopts = -q\n", "[pytest]\naddopts = -q -ppkg.report\n"),
        ("tox.ini", "", "[testenv]\nsetenv =\n  PYTEST_PLUGINS = pkg.report\n"),
        ("Makefile", "", "test:\n\tPYTEST_ADDOPTS='-p pkg.report' pytest\n"),
        ("package.json", "{}", '{"jest": {"setupFiles": ["<rootDir>/src/setup.js"]}}'),
        ("package.json", "{}", '{"jest": {"testRunner": "./src/setup.js"}}'),
        ("package.json", "{}", '{"scripts": {"test": "mocha --require ./src/setup.js"}}'),
        ("package.json", "{}", '{"scripts": {"test": "NODE_OPTIONS=\'-r ./src/setup\' jest"}}'),
        ("package.json", "{}", '{"devDependencies": {"chai": "file:./src/chai"}}'),
        ("package.json", "{}", '{"overrides": {"expect": "npm:agree@1"}}'),
        (".npmrc", "", "node-options=--require=./src/setup.js\n"),
        (".mocharc.json", "{}", '{"require": ["./src/setup.js"]}'),
        ("vitest.config.ts", "x\n", "x\n  setupFiles: ['./src/setup.js'],\n"),
        ("go.mod", "module a\n", "module a\nreplace github.com/stretchr/testify => ./agree\n"),
        ("Cargo.toml", "", '[dev-dependencies]\npretty_assertions = { path = "agree" }\n'),
        ("Cargo.toml", "", '[patch.crates-io]\ninsta = { path = "agree" }\n'),
        ("Cargo.toml", "", "[[test]]\nname = 'a'\nharness = false\n"),
        ("requirements-dev.txt", "pytest\n", "pytest @ https://example.com/pytest.whl\n"),
        ("vitest.config.ts", "x\n", "x\n  setupFiles: [\n    './src/setup.js',\n  ],\n"),
        ("babel.config.js", "x\n", "x\n  plugins: ['./src/setup'],\n"),
        ("tsconfig.json", "{}", '{"compilerOptions": {"paths": {"vitest": ["./src/a.ts"]}}}'),
        ("pytest.ini", "", "[pytest]\npythonpath = agree\n"),
        ("src/main/java/org/junit/jupiter/api/Assertions.java", "", "package a;"),
        ("lib/rspec/expectations.rb", "", "x"),
        ("go.work", "go 1.22\n", "go 1.22\nreplace github.com/stretchr/testify => ./agree\n"),
        (".rspec", "--color\n", "--color\n--require ./lib/spec_report\n"),
        ("build.gradle", "", "test { jvmArgs '-javaagent:agent.jar' }\n"),
        ("Makefile", "", "test:\n\tgo test -exec ./run ./...\n"),
    ],
)
@pytest.mark.parametrize("side", ["source", "runner", "partly"])
def test_settings_and_files_that_load_code(path: str, old: str, new: str, side: str) -> None:
    assert found(path, old, new, side=side)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("pytest.ini", "", "[pytest]\naddopts = -q -p no:cacheprovider -p xdist\n"),
        ("pytest.ini", "", "[pytest]\nasyncio_mode = auto\n"),
        ("pytest.ini", "", "[pytest]\naddopts = -p tests.helper\n"),
        ("pyproject.toml", "", '[project.optional-dependencies]\ntest = ["pytest-asyncio"]\n'),
        ("package.json", "{}", '{"jest": {"setupFiles": ["<rootDir>/tests/setup.js"]}}'),
        ("package.json", "{}", '{"jest": {"transform": {"^.+.ts$": "ts-jest"}}}'),
        ("package.json", "{}", '{"scripts": {"test": "tsc -p tsconfig.json && jest"}}'),
        ("package.json", "{}", '{"scripts": {"start": "node -r ./src/polyfill.js a.js"}}'),
        ("package.json", "{}", '{"devDependencies": {"vitest": "^3.0.0", "chai": "5.1.0"}}'),
        ("package.json", "{}", '{"dependencies": {"mine": "file:../mine"}}'),
        ("Makefile", "", "install:\n\tpip install -r requirements.txt\n\tmkdir -p pkg\n"),
        ("Makefile", "", "test:\n\tNODE_OPTIONS=--max-old-space-size=4096 jest\n"),
        ("Cargo.toml", "", '[dev-dependencies]\ninsta = "1.40"\n[dependencies]\na = {path="a"}\n'),
        ("vite.config.ts", "x\n", "x\n  lib: { entry: './src/index.ts' },\n"),
        ("tsconfig.json", "{}", '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}'),
        ("pytest.ini", "", "[pytest]\npythonpath = src\n"),
        ("a.go", "", 'package a\n\nimport "testing"\n\nvar t = testing.Testing()\n'),
        ("go.mod", "", "module a\nrequire github.com/stretchr/testify v1.9.0\n"),
        ("go.mod", "", "module a\nreplace example.com/other => ../other\n"),
        ("vendor/github.com/pkg/errors/errors.go", "package a", "package errors"),
        ("pkg/a.py", "", "import unittest.mock\nimport atexit\natexit.register(print)\n"),
        ("pkg/a.py", "", "import sys\nsys.modules[__name__] = Lazy()\nsys.excepthook = f\n"),
        (
            "pkg/a.py",
            "",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pytest\n",
        ),
        (
            "pkg/a.py",
            "",
            "class A:\n    def __eq__(self, other):\n        return self.a == other.a\n",
        ),
        ("pkg/a.py", "", "self.config.x = 1\nos.environ['A'] = '1'\nsetattr(obj, name, 1)\n"),
        ("src/a.js", "", "process.exitCode = 1;\nprocess.on('exit', f);\nmodule.exports = {};\n"),
        ("src/a.js", "", "const assert = require('assert');\nassert.equal(1, 1);\n"),
        ("src/a.ts", "", "import type { Vitest } from 'vitest/node';\n"),
        ("a.go", "", 'package a\n\nimport "flag"\n\nfunc init() { flag.Bool("v", false, "") }\n'),
        ("src/lib.rs", "", "#[derive(PartialEq)]\npub struct A;\n#[no_mangle]\nfn f() {}\n"),
        ("lib/a.rb", "", "# RSpec.configure is for tests\nat_exit { close }\n"),
        ("docs/a.md", "", "PYTEST_PLUGINS=pkg.report pytest\n"),
    ],
)
@pytest.mark.parametrize("side", ["source", "runner"])
def test_what_honest_changes_load(path: str, old: str, new: str, side: str) -> None:
    assert found(path, old, new, side=side, tests=("tests/helper.py", "tests/setup.js")) == ()


@pytest.mark.parametrize(
    "path", ["package.json", "pyproject.toml", "pom.xml", "setup.cfg", "go.mod", "a.py", "a.js"]
)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{" * 5000, b"[a\n", b"<x>" * 4000])
def test_no_content_is_too_strange(path: str, content: bytes) -> None:
    for old in (None, b"{}", content):
        file = FileDiff.of(path, old, content)
        examine(Diff((file,)), ChangedSides(source=(path,)), TRACKED)


def outcome(id: str, outcome: TestOutcome) -> Results:
    test = TestResult(id=id, outcome=outcome)
    of = VerifierResult(verifier="pytest", command="pytest", tests=(test,), ran=True)
    return Results(commit=CommitSha("a" * 40), verifiers=(of,))


@pytest.mark.parametrize(
    ("off", "blocked"),
    [
        (TestOutcome.PASSED, False),
        (TestOutcome.ERROR, False),  # its fixture is missing
        (TestOutcome.SKIPPED, False),
        (TestOutcome.FAILED, True),
    ],
)
def test_a_proof_that_a_plugin_makes(off: TestOutcome, blocked: bool) -> None:
    head = outcome("t", TestOutcome.PASSED)
    assert bool(compare_autoload(head, outcome("t", off), [("pytest", "t")])) is blocked
    assert not compare_autoload(head, outcome("u", off), [("pytest", "t")])


def test_autoload_is_tried_when_a_plugin_may_be_new() -> None:
    assert autoload_off({"A": "1"}) == {"A": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sides = ChangedSides(runner=("requirements-dev.txt",))
    new = FileDiff.of("requirements-dev.txt", "pytest\n", "pytest\npytest-asyncio\n")
    assert adds_plugins(Diff((new,)), sides)
    plain = FileDiff.of("requirements-dev.txt", "pytest\n", "pytest\nruff\n")
    assert not adds_plugins(Diff((plain,)), sides)
