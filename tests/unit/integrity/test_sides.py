"""Which side each file of a change is on, by the habits of six languages."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.diff import LINK, PLAIN, SUBMODULE, Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.integrity.sides import SideFinder, changed_sides
from app.integrity.trees import LoadedTree

Files = dict[str, str]
OLD, NEW = "// one\n", "// two\n"


def diff_of(base: Files, head: Files) -> Diff:
    paths = sorted(base.keys() | head.keys())
    changed = [path for path in paths if base.get(path) != head.get(path)]
    return Diff(tuple(FileDiff.of(path, base.get(path), head.get(path)) for path in changed))


def tree_of(files: Files) -> LoadedTree:
    return LoadedTree.of({path: text.encode() for path, text in files.items()})


def sides_of(base: Files, head: Files) -> ChangedSides:
    return changed_sides(SideFinder(tree_of(base), tree_of(head)).files(diff_of(base, head)))


def listed(sides: ChangedSides) -> dict[str, list[str]]:
    dumped: dict[str, Any] = sides.model_dump()
    return {side: list(found) for side, found in dumped.items() if found}


PY_TEST = "def test_it():\n    assert 1\n"
JS_TEST = "test('it', () => {})\n"
GO_TEST = "package a\n\nfunc TestIt(t *testing.T) {}\n"

BY_PATH = [
    # Python
    ("src/pkg/core.py", "source"),
    ("tests/test_core.py", "tests"),
    ("pkg/core_test.py", "tests"),
    ("app/tests.py", "tests"),
    ("shop/tests/test_cart.py", "tests"),
    ("conftest.py", "helpers"),
    ("tests/conftest.py", "helpers"),
    ("tests/__init__.py", "helpers"),
    ("tests/helpers.py", "helpers"),
    ("tests/data/answer.json", "helpers"),
    ("tests/cassettes/login.yaml", "helpers"),
    ("tests/__snapshots__/test_core.ambr", "helpers"),
    ("src/pkg/testing.py", "source"),
    ("src/pkg/testclient.py", "source"),
    ("src/pkg/latest.py", "source"),
    ("src/contest/score.py", "source"),
    ("pytest.ini", "runner"),
    ("tox.ini", "runner"),
    ("noxfile.py", "runner"),
    (".coveragerc", "runner"),
    ("requirements-dev.txt", "runner"),
    ("requirements/test.txt", "runner"),
    ("requirements.txt", "source"),
    ("poetry.lock", "source"),
    ("setup.py", "source"),
    # JavaScript and TypeScript
    ("src/cart.ts", "source"),
    ("src/cart.test.ts", "tests"),
    ("src/cart.spec.jsx", "tests"),
    ("src/__tests__/cart.js", "tests"),
    ("src/__mocks__/fs.js", "helpers"),
    ("src/__snapshots__/cart.test.ts.snap", "helpers"),
    ("test/helpers.js", "helpers"),
    ("test/fixtures/page.html", "helpers"),
    ("packages/a/test/cart.js", "helpers"),
    ("jest.config.js", "runner"),
    ("jest.setup.ts", "runner"),
    ("src/setupTests.ts", "runner"),
    ("vitest.config.ts", "runner"),
    (".mocharc.yml", "runner"),
    ("tsconfig.json", "source"),
    ("package-lock.json", "source"),
    # Go
    ("cart.go", "source"),
    ("internal/cart/cart_test.go", "tests"),
    ("internal/cart/testdata/in.golden", "helpers"),
    ("go.mod", "source"),
    ("go.sum", "source"),
    # Rust
    ("tests/cli.rs", "helpers"),
    ("tests/common/mod.rs", "helpers"),
    ("benches/speed.rs", "helpers"),
    ("tests/snapshots/cli__help.snap", "helpers"),
    ("src/snapshots/app__a.snap", "helpers"),
    (".config/nextest.toml", "runner"),
    ("Cargo.lock", "source"),
    ("build.rs", "source"),
    # Java
    ("src/main/java/a/Cart.java", "source"),
    ("src/test/java/a/CartTest.java", "tests"),
    ("src/test/java/a/Carts.java", "helpers"),
    ("src/test/resources/cart.json", "helpers"),
    ("src/testFixtures/java/a/Carts.java", "helpers"),
    ("src/integrationTest/java/a/CartIT.java", "tests"),
    ("src/main/java/a/Latest.java", "source"),
    ("src/test/resources/junit-platform.properties", "runner"),
    # Ruby
    ("lib/cart.rb", "source"),
    ("spec/cart_spec.rb", "tests"),
    ("test/cart_test.rb", "tests"),
    ("spec/spec_helper.rb", "helpers"),
    ("spec/support/carts.rb", "helpers"),
    ("test/fixtures/carts.yml", "helpers"),
    (".rspec", "runner"),
    ("Gemfile.lock", "source"),
    # And beside them
    (".github/workflows/test.yml", "ci"),
    ("README.md", "documentation"),
    ("docs/guide.rst", "documentation"),
    ("docs/conf.py", "source"),
    ("docs/requirements.txt", "source"),
    ("src/pkg/prompt.md", "source"),
    ("packages/a/README.md", "documentation"),
    ("tests/README.md", "helpers"),
    ("LICENSE", "documentation"),
    (".gitignore", "documentation"),
    ("site/content/guide.md", "documentation"),
    ("test/mocha.opts", "runner"),
    ("assets/logo.png", "source"),
    ("tests/fixtures/project/package.json", "helpers"),
    ("tests/fixtures/project/pytest.ini", "helpers"),
    ("testdata/project/go.mod", "helpers"),
]


@pytest.mark.parametrize(("path", "side"), BY_PATH, ids=[path for path, _ in BY_PATH])
def test_by_its_path(path: str, side: str) -> None:
    contents = {"_test.go": GO_TEST, "__tests__/cart.js": JS_TEST}
    extra = next((text for end, text in contents.items() if path.endswith(end)), "")
    for base, head in [({path: OLD}, {path: NEW}), ({}, {path: NEW}), ({path: OLD}, {})]:
        before = {name: text + extra for name, text in base.items()}
        after = {name: text + extra for name, text in head.items()}
        assert listed(sides_of(before, after)) == {side: [path]}


IN_DOUBT: list[tuple[str, Files, str, dict[str, list[str]]]] = [
    (
        "a helper that source imports",
        {"pkg/core.py": "from tests.helpers import x\n", "tests/helpers.py": OLD},
        "tests/helpers.py",
        {"source": ["tests/helpers.py"], "partly": ["tests/helpers.py"]},
    ),
    (
        "a helper that source imports over another one",
        {
            "pkg/core.py": "import tests.a\n",
            "tests/a.py": "from . import helpers\n",
            "tests/helpers.py": OLD,
        },
        "tests/helpers.py",
        {"source": ["tests/helpers.py"], "partly": ["tests/helpers.py"]},
    ),
    (
        "a helper that tests import",
        {"tests/test_a.py": "from helpers import x\n" + PY_TEST, "tests/helpers.py": OLD},
        "tests/helpers.py",
        {"helpers": ["tests/helpers.py"]},
    ),
    (
        "a helper that shares its name with what source imports",
        {"pkg/core.py": "import helpers\n", "helpers.py": "", "tests/helpers.py": OLD},
        "tests/helpers.py",
        {"helpers": ["tests/helpers.py"]},
    ),
    (
        "the test framework that is the product",
        {"web/__init__.py": "from web.test import client\n", "web/test/client.py": OLD},
        "web/test/client.py",
        {"source": ["web/test/client.py"], "partly": ["web/test/client.py"]},
    ),
    (
        "a module that is named in a text",
        {"web/conf.py": "RUNNER = 'web.test.runner.Runner'\n", "web/test/runner.py": OLD},
        "web/test/runner.py",
        {"source": ["web/test/runner.py"], "partly": ["web/test/runner.py"]},
    ),
    (
        "a helper beside the code, which only tests import",
        {"pkg/test_utils.py": OLD, "pkg/core_test.py": "from pkg import test_utils\n" + PY_TEST},
        "pkg/test_utils.py",
        {"helpers": ["pkg/test_utils.py"]},
    ),
    (
        "a helper beside the code, which source imports as well",
        {
            "pkg/utils_test_helpers/a.py": OLD,
            "pkg/test_helpers.py": OLD,
            "pkg/core.py": "from .test_helpers import x\n",
            "pkg/core_test.py": "from .test_helpers import x\n" + PY_TEST,
        },
        "pkg/test_helpers.py",
        {"source": ["pkg/test_helpers.py"], "partly": ["pkg/test_helpers.py"]},
    ),
    (
        "a base class among the tests",
        {"tests/test_base.py": OLD + PY_TEST, "tests/test_a.py": "from .test_base import B\n"},
        "tests/test_base.py",
        {"tests": ["tests/test_base.py"], "helpers": ["tests/test_base.py"]},
    ),
    (
        "a mock that source imports",
        {"src/api.ts": "import { x } from '../test/server'\n", "test/server.ts": OLD},
        "test/server.ts",
        {"source": ["test/server.ts"], "partly": ["test/server.ts"]},
    ),
    (
        "a folder that is named like one of tests",
        {"src/index.ts": "export * from './spec/parse.js'\n", "src/spec/parse.ts": OLD},
        "src/spec/parse.ts",
        {"source": ["src/spec/parse.ts"], "partly": ["src/spec/parse.ts"]},
    ),
    (
        "a package of the workspace for tests",
        {
            "packages/test-utils/package.json": '{"name": "@org/test-utils"}',
            "packages/test-utils/src/index.ts": OLD,
            "packages/a/src/a.test.ts": "import x from '@org/test-utils'\n" + JS_TEST,
        },
        "packages/test-utils/src/index.ts",
        {"helpers": ["packages/test-utils/src/index.ts"]},
    ),
    (
        "a package of Go for tests",
        {
            "go.mod": "module example.com/a\n",
            "internal/testutil/u.go": "package testutil\n" + OLD,
            "a_test.go": 'package a\nimport "example.com/a/internal/testutil"\n' + GO_TEST,
        },
        "internal/testutil/u.go",
        {"helpers": ["internal/testutil/u.go"]},
    ),
    (
        "the same in a program",
        {
            "go.mod": "module example.com/a\n",
            "internal/testutil/u.go": "package testutil\n" + OLD,
            "a.go": 'package a\nimport (\n\tu "example.com/a/internal/testutil"\n)\n',
            "a_test.go": 'package a\nimport "example.com/a/internal/testutil"\n' + GO_TEST,
        },
        "internal/testutil/u.go",
        {"source": ["internal/testutil/u.go"], "partly": ["internal/testutil/u.go"]},
    ),
    (
        "a folder of Go for tests",
        {
            "go.mod": "module example.com/a\n",
            "test/e2e/framework/f.go": "package framework\n" + OLD,
            "test/e2e/a_test.go": 'import "example.com/a/test/e2e/framework"\n' + GO_TEST,
        },
        "test/e2e/framework/f.go",
        {"helpers": ["test/e2e/framework/f.go"]},
    ),
    (
        "a module of Java for tests, whose users are not known",
        {"test-utils/src/main/java/a/Carts.java": OLD},
        "test-utils/src/main/java/a/Carts.java",
        {
            "source": ["test-utils/src/main/java/a/Carts.java"],
            "partly": ["test-utils/src/main/java/a/Carts.java"],
        },
    ),
    (
        "what Go exports to tests",
        {"a.go": "package a\n", "export_test.go": "package a\n" + OLD},
        "export_test.go",
        {"helpers": ["export_test.go"]},
    ),
    (
        "data of the product",
        {"shop/load.py": "open('fixtures/prices.json')\n", "fixtures/prices.json": OLD},
        "fixtures/prices.json",
        {"source": ["fixtures/prices.json"], "partly": ["fixtures/prices.json"]},
    ),
    (
        "data of the tests",
        {"shop/load.py": "open('prices.json')\n", "fixtures/carts.json": OLD},
        "fixtures/carts.json",
        {"helpers": ["fixtures/carts.json"]},
    ),
    (
        "a Rust module that is built for tests alone",
        {"src/lib.rs": "mod a;\n#[cfg(test)]\npub(crate) mod checks;\n", "src/checks.rs": OLD},
        "src/checks.rs",
        {"helpers": ["src/checks.rs"]},
    ),
    (
        "the client for tests that is the product",
        {
            "web/testclient.py": OLD + "class TestClient:\n    pass\n",
            "tests/test_a.py": "from web.testclient import TestClient\n" + PY_TEST,
        },
        "web/testclient.py",
        {"source": ["web/testclient.py"]},
    ),
    (
        "a build file where it speaks of tests",
        {"Makefile": OLD + "check:\n\tpytest -q\n"},
        "Makefile",
        {"source": ["Makefile"]},
    ),
    (
        "documentation with examples that run",
        {"pytest.ini": "[pytest]\naddopts = --doctest-glob='*.rst'\n", "docs/a.rst": OLD + ">>> 1"},
        "docs/a.rst",
        {"tests": ["docs/a.rst"]},
    ),
]


@pytest.mark.parametrize(
    ("base", "path", "found"), [row[1:] for row in IN_DOUBT], ids=[row[0] for row in IN_DOUBT]
)
def test_in_doubt(base: Files, path: str, found: dict[str, list[str]]) -> None:
    head = {**base, path: base[path].replace(OLD, NEW)}
    assert listed(sides_of(base, head)) == found
    assert listed(sides_of(head, base)) == found


def test_a_helper_that_source_begins_to_import_is_partly_compared() -> None:
    base = {"pkg/a.py": "", "tests/h.py": OLD, "tests/test_a.py": "import h\n" + PY_TEST}
    head = {**base, "pkg/a.py": "import tests.h\n", "tests/h.py": NEW}
    found = {"source": ["pkg/a.py", "tests/h.py"], "partly": ["tests/h.py"]}
    assert listed(sides_of(base, head)) == found
    assert listed(sides_of(head, base)) == found


def test_the_lines_of_a_build_file_decide() -> None:
    base = {"Makefile": "build:\n\tgo build\ntest:\n\tgo test ./...\n"}
    built = {"Makefile": base["Makefile"].replace("go build", "go build -v")}
    tested = {"Makefile": base["Makefile"].replace("go test ./...", "true # test")}
    assert listed(sides_of(base, built)) == {"source": ["Makefile"]}
    assert listed(sides_of(base, tested)) == {"source": ["Makefile"], "partly": ["Makefile"]}


@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
@pytest.mark.parametrize("old", [True, False])
def test_links_and_submodules_are_source(mode: str, *, old: bool) -> None:
    modes = (mode, PLAIN) if old else (PLAIN, mode)
    files = tuple(
        FileDiff(path, b"a", b"b", *modes) for path in ("tests/test_a.py", "src/a", "tests/x")
    )
    finder = SideFinder(tree_of({}), tree_of({}))
    assert listed(changed_sides(finder.files(Diff(files)))) == {
        "source": ["tests/test_a.py", "src/a", "tests/x"],
        "partly": ["tests/test_a.py", "tests/x"],
    }


def test_helpers_in_a_repository_that_is_too_large_go_with_the_source() -> None:
    paths = frozenset({"a.py", "tests/h.py", "tests/test_a.py", "tests/conftest.py"})
    tree = LoadedTree(paths, {}, is_complete=False)
    files = tuple(FileDiff.of(path, OLD, NEW) for path in sorted(paths))
    assert listed(changed_sides(SideFinder(tree, tree).files(Diff(files)))) == {
        "source": ["a.py", "tests/h.py"],
        "tests": ["tests/test_a.py"],
        "helpers": ["tests/conftest.py"],
        "partly": ["tests/h.py"],
    }


def test_names_are_bytes() -> None:
    odd = "tests/test_\udce9\n.py"
    assert listed(sides_of({odd: OLD}, {odd: NEW})) == {"tests": ["tests/test_\\xe9\n.py"]}
