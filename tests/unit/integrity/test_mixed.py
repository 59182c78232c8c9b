"""Files that belong to more than one side are split, or are known not to be."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.safe_json import json_value
from app.ecosystems import ECOSYSTEMS
from app.integrity import paths
from app.integrity.cells import plan
from app.integrity.mixed import SPLITTERS, Parts
from tests.unit.integrity.test_cells import cells, planned
from tests.unit.integrity.test_sides import JS_TEST, diff_of, listed, tree_of

RUST = """\
//! A crate.
use std::fmt;
#[cfg(test)]
use std::fs;

/// Adds.
pub fn add(a: i32, b: i32) -> i32 {
    a + b
}

impl A {
    fn one(&self) {}

    #[cfg(test)]
    fn for_tests(&self) {}
}

impl B {}
impl B {}

mod inner {
    pub fn x() {}

    #[cfg(test)]
    mod tests {
        #[test]
        fn inner_works() {}
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn it_adds() {
        assert_eq!(add(1, 1), 2);
    }
}
"""
RUST_HEAD = (
    RUST.replace("a + b", "a + b + 0")
    .replace("assert_eq!(add(1, 1), 2);", "assert_eq!(add(2, 2), 4); // {}")
    .replace("fn inner_works() {}", "#[should_panic] fn inner_works() { x() }")
    .replace("use std::fs;", "use std::io;")
)


def test_rust_inline_tests_change_their_side() -> None:
    proof, guard = cells({"src/lib.rs": RUST}, {"src/lib.rs": RUST_HEAD})
    assert "a + b\n" in proof["src/lib.rs"]
    assert "a + b + 0" in guard["src/lib.rs"]
    for head_only in ("add(2, 2)", "should_panic", "use std::io"):
        assert head_only in proof["src/lib.rs"]
        assert head_only not in guard["src/lib.rs"]
    for base_only in ("add(1, 1)", "fn inner_works() {}", "use std::fs"):
        assert base_only not in proof["src/lib.rs"]
        assert base_only in guard["src/lib.rs"]
    for each in (proof, guard):
        assert each["src/lib.rs"].count("mod tests") == 2
        assert each["src/lib.rs"].count("fn for_tests") == 1
    found = planned({"src/lib.rs": RUST}, {"src/lib.rs": RUST_HEAD})
    assert listed(found.sides) == {"source": ["src/lib.rs"], "tests": ["src/lib.rs"]}
    assert (found.proof_files, found.guard_files) == (None, None)


def test_a_new_file_with_inline_tests_is_without_them_in_the_guard() -> None:
    proof, guard = cells({"src/lib.rs": "mod a;\n"}, {"src/lib.rs": "mod a;\n", "src/a.rs": RUST})
    assert "src/a.rs" not in proof
    assert "fn add" in guard["src/a.rs"]
    assert "it_adds" not in guard["src/a.rs"]


def test_a_change_of_inline_tests_alone_is_no_change_of_source() -> None:
    found = planned({"src/lib.rs": RUST}, {"src/lib.rs": RUST.replace("add(1, 1)", "add(1, 1 )")})
    assert listed(found.sides) == {"source": ["src/lib.rs"]}
    found = planned({"src/lib.rs": RUST}, {"src/lib.rs": RUST.replace("1, 1), 2", "1, 2), 3")})
    assert listed(found.sides) == {"tests": ["src/lib.rs"]}


def test_other_conditions_are_source() -> None:
    for condition in ("test_utils", 'feature = "test"', 'all(unix, feature = "test")', "tested"):
        old = f"#[cfg({condition})]\nfn a() {{}}\n"
        sides = planned({"src/lib.rs": old}, {"src/lib.rs": old.replace("a()", "b()")}).sides
        assert listed(sides) == {"source": ["src/lib.rs"]}, condition
    for condition in ("test", "all(test, unix)", 'all(feature = "x", test)', "all(unix, test, a)"):
        old = f"#[cfg({condition})]\nmod a {{}}\n"
        sides = planned({"src/lib.rs": old}, {"src/lib.rs": old.replace("a {", "b {")}).sides
        assert listed(sides) == {"tests": ["src/lib.rs"]}, condition


NOT_SPLIT = {
    "another version for tests": (
        "rust",
        "fn a() {}\n",
        "#[cfg(not(test))]\nfn a() { bad() }\n#[cfg(test)]\nfn a() { good() }\n",
    ),
    "the tests' own version": ("rust", "fn a() {}\n", "fn a() {}\n#[cfg(test)]\nfn a() {}\n"),
    "for tests and more": ("rust", "fn a() {}\n", '#[cfg(any(test, feature = "x"))]\nmod a {}\n'),
    "for tests, by a condition of many parts": (
        "rust",
        "fn a() {}\n",
        "#[cfg(all(any(unix, windows), test))]\nmod a {}\n",
    ),
    "in one of two": (
        "rust",
        "impl A {}\nimpl A {}\n",
        "impl A {}\nimpl A { #[cfg(test)] fn a() {} }\n",
    ),
    "in what is new": (
        "rust",
        "mod a {}\n",
        "mod a {}\nmod b { #[cfg(test)] mod tests {} fn x() {} }\n",
    ),
    "broken": ("rust", "fn a() {}\n", "fn a( {}\n#[test]\nfn b() {}\n"),
    "a file for tests": ("rust", "fn a() {}\n", "#![cfg(test)]\nfn a() {}\n"),
    "keys within a table": (
        "pyproject",
        '[tool]\nx.a = "1"\n',
        '[tool]\nx.a = "2"\npytest.ini_options.addopts = "-x"\n',
    ),
    "broken TOML": ("pyproject", "", "[project\n"),
    "broken JSON": ("package_json", "{}", '{"jest": }'),
    "a list": ("package_json", "{}", "[1]"),
    "no texts": ("setup_cfg", "", "\xff["),
    "a doctype": ("pom", "<project/>", "<!DOCTYPE a><project/>"),
    "a plugin without a place": (
        "pom",
        "<project><a>1</a></project>",
        "<project><a>2</a><build><plugins><plugin><artifactId>maven-surefire-plugin</artifactId>"
        "</plugin></plugins></build></project>",
    ),
    "an example that is new": (
        "doctests",
        "def a():\n    pass\n",
        'def a():\n    """\n    >>> a()\n    """\n    return 1\n',
    ),
    "vitest elsewhere": ("in_source_tests", "f()\n", "g(import.meta.vitest)\n"),
    "too large": ("rust", "fn a() {}", "fn test() {}" * 100_000),
}
NAMES = {
    "rust": "src/lib.rs",
    "pyproject": "pyproject.toml",
    "package_json": "package.json",
    "setup_cfg": "setup.cfg",
    "pom": "pom.xml",
    "doctests": "a.py",
    "in_source_tests": "a.ts",
    "cargo": "Cargo.toml",
}


@pytest.mark.parametrize("why", NOT_SPLIT)
def test_what_cannot_be_split_goes_with_the_source(why: str) -> None:
    name, old, new = NOT_SPLIT[why]
    path = NAMES[name]
    settings = {"pytest.ini": "[pytest]\naddopts = --doctest-modules\n"}
    base, head = {**settings, path: old}, {**settings, path: new}
    found = plan(diff_of(base, head), tree_of(base), tree_of(head))
    assert listed(found.sides) == {"source": [path], "partly": [path]}
    assert not found.proof
    assert not found.guard
    assert path in {**found.proof_head_runner, path: None}


PYPROJECT = """\
# The project.
[project]
name = "a"
version = "1"
dependencies = [
  "x",
  # [tool.pytest.ini_options]
]
description = '''
[tool.pytest.ini_options]
addopts = "no"
'''

[project.optional-dependencies]
test = ["pytest"]
fast = ["y"]

[tool.pytest.ini_options]
addopts = "-q"

[tool.other]
x = [
    ["tool.pytest"],
    ["a"]
]

[[tool.mypy.overrides]]
module = "a"
"""


def test_a_guard_has_the_bases_settings_of_pytest_in_the_heads_manifest() -> None:
    new = (
        PYPROJECT.replace('"-q"', '"-q --deselect tests/test_a.py"')
        .replace('version = "1"', 'version = "2"')
        .replace('test = ["pytest"]', 'test = ["pytest", "z"]')
    )
    base = {"pyproject.toml": PYPROJECT, "a.py": "1", "tests/test_a.py": ""}
    head = {"pyproject.toml": new, "a.py": "2", "tests/test_a.py": "#"}
    proof, guard = cells(base, head)
    assert proof["pyproject.toml"] == PYPROJECT
    wanted = tomllib.loads(new)
    wanted["tool"]["pytest"] = tomllib.loads(PYPROJECT)["tool"]["pytest"]
    assert tomllib.loads(guard["pyproject.toml"]) == wanted
    assert guard["pyproject.toml"].startswith("# The project.\n[project]\n")
    found = planned(base, head)
    assert listed(found.sides) == {
        "source": ["a.py", "pyproject.toml"],
        "tests": ["tests/test_a.py"],
        "runner": ["pyproject.toml"],
    }
    assert found.proof_head_runner["pyproject.toml"] == "head"
    assert found.guard_files is None


@pytest.mark.parametrize(
    ("old", "new", "side"),
    [
        ('version = "1"', 'version = "2"', "source"),
        ('fast = ["y"]', 'fast = ["z"]', "source"),
        ('test = ["pytest"]', 'test = ["nose"]', "runner"),
        ('addopts = "-q"', 'addopts = ""', "runner"),
        ('module = "a"', 'module = "b"', "runner"),
        ('["a"]', '["b"]', "source"),
        ("# The project.", "# A project.", "source"),
    ],
)
def test_the_keys_of_a_manifest_decide(old: str, new: str, side: str) -> None:
    base = {"pyproject.toml": PYPROJECT}
    head = {"pyproject.toml": PYPROJECT.replace(old, new)}
    assert listed(planned(base, head).sides) == {side: ["pyproject.toml"]}


def test_a_new_manifest_is_without_its_runner_in_the_guard() -> None:
    head = {"pyproject.toml": PYPROJECT, "a.py": "2"}
    _, guard = cells({"a.py": "1"}, head)
    made = tomllib.loads(guard["pyproject.toml"])
    assert made["project"]["version"] == "1"
    assert made["tool"] == {"other": {"x": [["tool.pytest"], ["a"]]}}


def test_package_json() -> None:
    old = """{
    "name": "a", "version": "1.0.0",
    "scripts": {"build": "tsc", "test": "jest", "pretest": "tsc"},
    "jest": {"testMatch": ["a"]},
    "devDependencies": {"jest": "1"}
}
"""
    new = (
        old.replace('jest"}', 'jest --x"}')
        .replace('"a"]', '"b"]')
        .replace('"test": "jest"', '"test": "true"')
    )
    new = new.replace('"tsc", "test"', '"tsc -b", "test"').replace('"jest": "1"', '"jest": "2"')
    base = {"package.json": old, "a.js": "1", "a.test.js": "test('a')"}
    head = {"package.json": new, "a.js": "2", "a.test.js": "test('a')"}
    _, guard = cells(base, head)
    made = json_value(guard["package.json"])
    assert made == {
        "name": "a",
        "version": "1.0.0",
        "scripts": {"build": "tsc -b", "test": "jest", "pretest": "tsc"},
        "jest": {"testMatch": ["a"]},
        "devDependencies": {"jest": "2"},
    }
    assert guard["package.json"].startswith('{\n    "name": "a",')
    assert listed(planned(base, head).sides) == {
        "source": ["a.js", "package.json"],
        "runner": ["package.json"],
    }
    alone = {**base, "package.json": old.replace('"jest": "1"', '"jest": "3"')}
    assert listed(planned(base, alone).sides) == {"runner": ["package.json"]}


LOCKS = {
    "pnpm-lock.yaml": """\
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      x: {specifier: ^1, version: 1.0.0(peer@2.0.0)}
    devDependencies:
      jest: {specifier: ^1, version: 1.0.0}
packages:
  x@1.0.0: {resolution: {integrity: PRODUCT}}
  y@1.0.0: {resolution: {integrity: BELOW}}
  jest@1.0.0: {resolution: {integrity: DEVELOPMENT}}
snapshots:
  x@1.0.0(peer@2.0.0):
    dependencies: {why: y@1.0.0}
  y@1.0.0: {}
  jest@1.0.0: {}
""",
    "old/pnpm-lock.yaml": """\
lockfileVersion: '6.0'
dependencies:
  x: {specifier: ^1, version: 1.0.0}
devDependencies:
  jest: {specifier: ^1, version: 1.0.0}
packages:
  /x@1.0.0: {resolution: {integrity: PRODUCT}, dev: false}
  /y@1.0.0: {resolution: {integrity: BELOW}, dev: false}
  /jest@1.0.0: {resolution: {integrity: DEVELOPMENT}, dev: true}
""",
    "poetry.lock": """\
[[package]]
name = "x"
version = "PRODUCT"
groups = ["main"]
[[package]]
name = "y"
version = "BELOW"
groups = ["main", "dev"]
[[package]]
name = "pytest"
version = "DEVELOPMENT"
groups = ["dev"]
[metadata]
content-hash = "DEVELOPMENT"
""",
    "old/poetry.lock": """\
[[package]]
name = "x"
version = "PRODUCT"
category = "main"
[[package]]
name = "pytest"
category = "dev"
[metadata]
content-hash = "DEVELOPMENT"
[metadata.files]
x = ["BELOW"]
pytest = ["DEVELOPMENT"]
""",
    "pdm.lock": """\
[metadata]
content_hash = "DEVELOPMENT"
[[package]]
name = "x"
version = "PRODUCT"
groups = ["default"]
[[package]]
name = "y"
version = "BELOW"
groups = ["s3"]
[[package]]
name = "pytest"
version = "DEVELOPMENT"
groups = ["dev", "test"]
""",
    "uv.lock": """\
version = 1
[[package]]
name = "app"
source = { editable = "." }
dependencies = [{ name = "x" }]
[package.optional-dependencies]
s3 = [{ name = "y" }]
test = [{ name = "mock" }]
[package.dev-dependencies]
dev = [{ name = "pytest", marker = "DEVELOPMENT" }]
[[package]]
name = "x"
version = "PRODUCT"
source = { registry = "r" }
[[package]]
name = "y"
version = "BELOW"
source = { registry = "r" }
[[package]]
name = "mock"
version = "1"
source = { registry = "r" }
[[package]]
name = "pytest"
version = "DEVELOPMENT"
source = { registry = "r" }
dependencies = [{ name = "mock" }]
""",
    "Pipfile.lock": """\
{"_meta": {"hash": {"sha256": "DEVELOPMENT"}, "requires": "BELOW"},
 "default": {"x": {"version": "PRODUCT"}}, "develop": {"pytest": {"version": "DEVELOPMENT"}}}
""",
    "composer.lock": """\
{"content-hash": "DEVELOPMENT", "packages": [{"name": "x", "version": "PRODUCT"}],
 "packages-dev": [{"name": "phpunit", "version": "DEVELOPMENT"}], "platform": {"php": "BELOW"}}
""",
    "gradle.lockfile": """\
# DEVELOPMENT
a:x:PRODUCT=compileClasspath,testCompileClasspath
a:y:BELOW=runtimeClasspath
org.junit:junit:DEVELOPMENT=testCompileClasspath,testRuntimeClasspath
empty=annotationProcessor
""",
}
"""Lock files whose format says what only development needs."""

NEVER_SPLIT = {"yarn.lock", "bun.lock", "go.sum", "Cargo.lock", "Gemfile.lock", "mix.lock"} | {
    "flake.lock"
}
"""Lock files that do not say it."""


@pytest.mark.parametrize("path", sorted(LOCKS))
def test_a_change_of_a_lock_is_on_the_side_that_it_serves(path: str) -> None:
    lock = LOCKS[path]
    base = {path: lock, "a.test.js": JS_TEST}
    for word, sides in (("DEVELOPMENT", "runner"), ("PRODUCT", "source"), ("BELOW", "source")):
        head = {**base, path: lock.replace(word, f"{word}2")}
        assert listed(planned(base, head).sides) == {sides: [path]}, word
    both = {path: lock.replace("DEVELOPMENT", "2").replace("PRODUCT", "2")}
    found = planned(base, {**both, "a.test.js": JS_TEST + "//"})
    assert set(listed(found.sides)) == {"source", "tests", "runner"}
    assert found.proof == {"a.test.js": "head"}
    for unreadable in ("<<<<<<< HEAD", "", "[]", "{}"):
        assert "runner" not in listed(planned(base, {**base, path: unreadable}).sides)


def test_a_package_that_the_product_begins_to_need_is_source() -> None:
    lock = LOCKS["uv.lock"]
    head = lock.replace('[{ name = "x" }]', '[{ name = "x" }, { name = "mock" }]')
    assert listed(planned({"uv.lock": lock}, {"uv.lock": head}).sides)["source"] == ["uv.lock"]
    lock = LOCKS["poetry.lock"]
    head = lock.replace('["main"]', '["dev"]')
    sides = listed(planned({"poetry.lock": lock}, {"poetry.lock": head}).sides)
    assert sides["source"] == ["poetry.lock"]


def test_every_lock_file_is_split_or_known_not_to_be() -> None:
    declared = {name for each in ECOSYSTEMS for name in each.lock_files}
    split = {name for name in declared if paths.splitter(name)}
    assert split | NEVER_SPLIT == declared
    assert not split & NEVER_SPLIT
    assert split <= {*LOCKS, "package-lock.json", "npm-shrinkwrap.json"}
    documentation = Path("docs/verification.md").read_text()
    assert all(f"`{name}`" in documentation for name in declared)
    assert all(paths.decides_dependencies(name) for name in declared)


def test_the_lock_of_a_package_that_only_development_needs() -> None:
    def lock(**versions: str) -> str:
        packages = {
            "": {
                "dependencies": {"x": "1"},
                "devDependencies": {"jest": versions.get("jest", "1")},
            },
            "node_modules/x": {"version": versions.get("x", "1")},
            "node_modules/jest": {"version": versions.get("jest", "1"), "dev": True},
        }
        return json.dumps({"lockfileVersion": 3, "packages": packages})

    base = {"package-lock.json": lock(), "a.test.js": JS_TEST}
    for head, side in [
        (lock(jest="2"), "runner"),
        (lock(x="2"), "source"),
        (lock().replace('"version": "1"}', '"version": "1", "dev": true}'), "source"),
        ("broken", "source"),
        ('{"lockfileVersion": 1, "dependencies": {}}', "source"),
    ]:
        found = planned(base, {**base, "package-lock.json": head})
        sides = listed(found.sides)
        assert next(iter(sides)) == side
        assert "partly" not in sides
    both = {"package-lock.json": lock(jest="2", x="2"), "a.test.js": JS_TEST + "//"}
    found = planned(base, both)
    assert found.proof == {"a.test.js": "head"}
    assert found.guard == {"a.test.js": "base"}
    assert found.proof_head_runner == {"a.test.js": "head", "package-lock.json": "head"}


CARGO = """\
[package]
name = "a"
version = "0.1.0"

[lib]
doctest = false

[dependencies]
x = "1"

[dev-dependencies]
y = "1"

[[test]]
name = "cli"
harness = true

[profile.test]
opt-level = 0
"""


def test_cargo() -> None:
    new = CARGO.replace("harness = true", "harness = false").replace('x = "1"', 'x = "2"')
    new = new.replace('y = "1"', 'y = "2"')
    base = {"Cargo.toml": CARGO, "src/lib.rs": "fn a() {}\n"}
    head = {"Cargo.toml": new, "src/lib.rs": "fn b() {}\n"}
    _, guard = cells(base, head)
    wanted = tomllib.loads(new)
    wanted["test"][0]["harness"] = True
    assert tomllib.loads(guard["Cargo.toml"]) == wanted


def test_setup_cfg() -> None:
    old = "[metadata]\nname = a\n\n[options.extras_require]\ntest =\n  pytest\nfast = y\n\n"
    old += "[tool:pytest]\naddopts = -q\n"
    new = old.replace("-q", "-x").replace("name = a", "name = b").replace("  pytest", "  nose")
    base, head = {"setup.cfg": old, "a.py": "1"}, {"setup.cfg": new, "a.py": "2"}
    _, guard = cells(base, head)
    assert guard["setup.cfg"] == new.replace("-x", "-q")
    alone = {**base, "setup.cfg": old.replace("  pytest", "  nose")}
    assert listed(planned(base, alone).sides) == {"runner": ["setup.cfg"]}


POM = """\
<?xml version="1.0"?>
<project>
  <version>1</version>
  <properties>
    <java.version>17</java.version>
    <skipTests>false</skipTests>
  </properties>
  <dependencies>
    <dependency><artifactId>junit</artifactId><version>5</version><scope>test</scope></dependency>
    <dependency><artifactId>x</artifactId><version>1</version></dependency>
  </dependencies>
  <build>
    <plugins>
      <plugin>
        <artifactId>maven-surefire-plugin</artifactId>
        <configuration><excludes/></configuration>
      </plugin>
      <plugin><artifactId>maven-jar-plugin</artifactId></plugin>
    </plugins>
  </build>
</project>
"""


def test_pom() -> None:
    new = POM.replace("<excludes/>", "<excludes><exclude>**/ATest</exclude></excludes>")
    new = new.replace("<skipTests>false", "<skipTests>true").replace(
        "<version>1<", "<version>2<", 2
    )
    new = new.replace("<version>5<", "<version>6<")
    base = {"pom.xml": POM, "src/main/java/A.java": "class A {}"}
    head = {"pom.xml": new, "src/main/java/A.java": "class A { }"}
    _, guard = cells(base, head)
    assert "ATest" not in guard["pom.xml"]
    assert "<skipTests>false</skipTests>" in guard["pom.xml"]
    assert "<version>6<" in guard["pom.xml"]
    assert "<version>1<" not in guard["pom.xml"]
    splitter = SPLITTERS["pom"]
    made, kept, given = (splitter.parts(each.encode()) for each in (guard["pom.xml"], new, POM))
    assert made and kept and given
    assert made == Parts(kept.source, given.rest, kept.dependencies)
    profiles = "".join(
        f"<profile><id>{name}</id><build><plugins><plugin><artifactId>maven-surefire-plugin"
        f"</artifactId><a>{name}</a></plugin></plugins></build></profile>"
        for name in ("one", "two")
    )
    both = POM.replace("</project>", f"<profiles>{profiles}</profiles></project>").encode()
    for source, rest in [
        (both.replace(b"17", b"21"), both),
        (both, both.replace(b"<a>two", b"<a>2")),
    ]:
        spliced = splitter.splice(source, rest)
        assert spliced is not None
        place = b"<id>two</id><build><plugins><plugin><artifactId>maven-surefire"
        assert place in spliced
    alone = {**base, "pom.xml": POM.replace("<version>5<", "<version>6<")}
    assert listed(planned(base, alone).sides) == {"runner": ["pom.xml"]}


DOCTEST = '''\
"""A module.

>>> add(1, 1)
2
"""


class A:
    """About A, without examples."""

    def one(self):
        r"""One.

        >>> A().one()
        1
        """
        return 1


def add(a, b):
    """Plain."""
    return a + b
'''


def test_examples_in_docstrings_where_the_project_runs_them() -> None:
    new = DOCTEST.replace("add(1, 1)\n2", "add(2, 1)\n3").replace("return 1", "return True")
    new = new.replace("A().one()\n        1", "A().one()\n        True")
    settings = {"setup.cfg": "[tool:pytest]\naddopts = --doctest-modules\n"}
    proof, guard = cells({**settings, "a.py": DOCTEST}, {**settings, "a.py": new})
    assert proof["a.py"] == new.replace("return True", "return 1")
    assert guard["a.py"] == DOCTEST.replace("return 1", "return True")
    found = planned({"a.py": DOCTEST}, {"a.py": new})
    assert listed(found.sides) == {"source": ["a.py"]}
    alone = planned(
        {**settings, "a.py": DOCTEST}, {**settings, "a.py": DOCTEST.replace("2\n", "2\n\n")}
    )
    assert listed(alone.sides) == {"tests": ["a.py"]}
    plain = planned(
        {**settings, "a.py": DOCTEST}, {**settings, "a.py": DOCTEST.replace("Plain", "P")}
    )
    assert listed(plain.sides) == {"source": ["a.py"]}


def test_tests_in_source_of_vitest() -> None:
    old = "export const a = (x: number) => x\nif (import.meta.vitest) {\n  it('a', () => a(1))\n}\n"
    new = old.replace("=> x", "=> x + 0").replace("a(1)", "a(2)")
    proof, guard = cells({"a.ts": old}, {"a.ts": new})
    assert proof["a.ts"] == old.replace("a(1)", "a(2)")
    assert guard["a.ts"] == new.replace("a(2)", "a(1)")


SAMPLES = {
    "rust": [RUST, RUST_HEAD, "fn a() {}\n", "#[cfg(test)]\nmod t {\n}\nfn b() {}"],
    "pyproject": [
        PYPROJECT,
        "[tool.pytest.ini_options]\na = 1",
        "[project]\nname='x'",
        "a = 1 # x",
    ],
    "package_lock": ["{}", '{"packages": {}}', '{"packages": {"a": {"dev": true}}}'],
    **{
        f"{path.partition('.')[0].removesuffix('-lock').lower()}_lock": [lock, lock[:-9]]
        for path, lock in LOCKS.items()
        if "/" not in path
    },
    "cargo": [CARGO, "[package]\nname = 'b'", "[[test]]\nname='a'\n[[test]]\nname='b'"],
    "pom": [POM, "<project/>", "<project><properties></properties></project>"],
    "package_json": [
        '{"a": 1}',
        '{"scripts": {"test": "x"}}',
        '{"jest": {}, "scripts": {"b": "c"}}',
    ],
    "setup_cfg": ["[a]\nb = c", "[tool:pytest]\nx = y\n[a]\nb=d\n", "[flake8]\nz=1\n"],
    "doctests": [DOCTEST, "def a(): pass\n", '""">>> 1"""\n'],
    "in_source_tests": [
        "a()\n",
        "if (import.meta.vitest) { b() }\n",
        "c()\nif (import.meta.vitest) { d() }",
    ],
}


@given(st.data(), st.sampled_from(sorted(SPLITTERS)))
def test_splicing_gives_exactly_both_parts_or_nothing(data: st.DataObject, name: str) -> None:
    splitter = SPLITTERS[name]
    noise = st.binary(max_size=40) | st.text(max_size=40).map(
        lambda text: text.encode("utf-8", "replace")
    )
    sample = st.sampled_from(SAMPLES[name]).map(str.encode)
    mutated = st.tuples(sample, noise, st.integers(0, 400)).map(
        lambda each: each[0][: each[2]] + each[1] + each[0][each[2] :]
    )
    source, rest = data.draw(sample | mutated), data.draw(sample | mutated)
    made = splitter.splice(source, rest)
    if made is None:
        return
    wanted, given_parts, found = map(splitter.parts, (source, rest, made))
    assert wanted and given_parts
    assert found == Parts(wanted.source, given_parts.rest, wanted.dependencies)


@pytest.mark.parametrize("name", sorted(SPLITTERS))
def test_a_file_spliced_with_itself_has_the_same_parts(name: str) -> None:
    for sample in SAMPLES[name]:
        splitter = SPLITTERS[name]
        made = splitter.splice(sample.encode(), sample.encode())
        assert made is not None
        assert splitter.parts(made) == splitter.parts(sample.encode())
        assert splitter.splice(made, made) is not None
