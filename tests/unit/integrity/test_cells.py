"""The plan of the cells: what each consists of, what runs in it, and when it is another one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.evidence import Cell
from app.integrity.cells import CellPlan, plan
from app.integrity.composing import CommitSide, Override
from tests.unit.integrity.test_sides import (
    GO_TEST,
    JS_TEST,
    PY_TEST,
    Files,
    diff_of,
    tree_of,
)


def planned(base: Files, head: Files) -> CellPlan:
    return plan(diff_of(base, head), tree_of(base), tree_of(head))


def composed(start: Files, overrides: Mapping[str, Override], *, base: Files, head: Files) -> Files:
    """What `Mirrors.compose_tree` would make, and refuses what it refuses."""
    made = dict(start)
    for path, override in overrides.items():
        made.pop(path, None)
        if isinstance(override, CommitSide):
            made[path] = {CommitSide.BASE: base, CommitSide.HEAD: head}[override][path]
        elif override is not None:
            assert override[0] in ("100644", "100755")
            made[path] = override[1].decode()
    for path in made:
        assert not any(each.startswith(f"{path}/") for each in made), path
    return made


def cells(base: Files, head: Files) -> tuple[Files, Files]:
    """The files of proof and guard."""
    found = planned(base, head)
    known = {Cell.BASE: base, Cell.HEAD: head}
    proof = composed(base, found.proof, base=base, head=head)
    guard = composed(head, found.guard, base=base, head=head)
    if found.proof_same_as is not None:
        assert not found.proof
        assert found.proof_files == ()
        proof = known[found.proof_same_as]
    if found.guard_same_as is not None:
        assert not found.guard
        assert found.guard_files == ()
        guard = known[found.guard_same_as]
    return proof, guard


def test_a_fix_with_its_test() -> None:
    base = {"pkg/a.py": "1", "tests/test_a.py": PY_TEST, "tests/test_b.py": PY_TEST}
    head = {"pkg/a.py": "2", "tests/test_a.py": PY_TEST + "#", "tests/test_b.py": PY_TEST}
    assert cells(base, head) == ({**head, "pkg/a.py": "1"}, {**base, "pkg/a.py": "2"})
    found = planned(base, head)
    assert (found.proof_files, found.guard_files) == (("tests/test_a.py",), ("tests/test_a.py",))
    assert found.proof_head_runner == found.proof


def test_added_and_removed_tests() -> None:
    base = {"pkg/a.py": "1", "tests/test_old.py": PY_TEST}
    head = {"pkg/a.py": "2", "tests/test_new.py": PY_TEST}
    proof, guard = cells(base, head)
    assert proof == {"pkg/a.py": "1", "tests/test_new.py": PY_TEST}
    assert guard == {"pkg/a.py": "2", "tests/test_old.py": PY_TEST}
    found = planned(base, head)
    assert found.proof_files == ("tests/test_new.py",)
    assert found.guard_files == ("tests/test_old.py",)


def test_only_added_tests_leave_nothing_for_the_guard_to_run() -> None:
    base = {"pkg/a.py": "1"}
    found = planned(base, {"pkg/a.py": "2", "tests/test_new.py": PY_TEST})
    assert found.guard_files == ()
    assert found.guard == {"tests/test_new.py": None}
    assert found.guard_same_as is None


BOTH = {"a.py": "1", "tests/test_a.py": "import h\n" + PY_TEST, "tests/h.py": "1", "pytest.ini": ""}
COLLAPSES: list[tuple[str, Files, Cell | None, Cell | None]] = [
    ("nothing", {}, Cell.BASE, Cell.HEAD),
    ("source alone", {"a.py": "2"}, Cell.BASE, Cell.HEAD),
    ("tests alone", {"tests/test_a.py": PY_TEST}, Cell.HEAD, Cell.BASE),
    ("helpers alone", {"tests/h.py": "2"}, Cell.HEAD, Cell.BASE),
    ("runner alone", {"pytest.ini": "[pytest]"}, Cell.HEAD, Cell.BASE),
    ("runner and tests", {"pytest.ini": "[pytest]", "tests/h.py": "2"}, Cell.HEAD, Cell.BASE),
    ("runner and source", {"pytest.ini": "[pytest]", "a.py": "2"}, Cell.BASE, None),
    ("tests and documentation", {"tests/h.py": "2", "README.md": "2"}, Cell.HEAD, Cell.BASE),
    ("tests and CI", {"tests/h.py": "2", ".github/workflows/a.yml": "2"}, Cell.HEAD, Cell.BASE),
    ("documentation alone", {"README.md": "2"}, Cell.BASE, Cell.HEAD),
    ("source and tests", {"a.py": "2", "tests/h.py": "2"}, None, None),
    (
        "source and test dependencies",
        {"a.py": "2", "requirements-dev.txt": "x"},
        Cell.BASE,
        Cell.HEAD,
    ),
    ("test dependencies alone", {"requirements-dev.txt": "x"}, Cell.BASE, Cell.HEAD),
]


@pytest.mark.parametrize(
    ("change", "proof", "guard"), [row[1:] for row in COLLAPSES], ids=[row[0] for row in COLLAPSES]
)
def test_cells_that_cannot_differ(change: Files, proof: Cell | None, guard: Cell | None) -> None:
    found = planned(BOTH, {**BOTH, **change})
    assert (found.proof_same_as, found.guard_same_as) == (proof, guard)


def test_the_guard_has_the_bases_runner_and_the_proof_keeps_it() -> None:
    head = {**BOTH, "a.py": "2", "pytest.ini": "[pytest]", "tests/h.py": "2", "tox.ini": "new"}
    proof, guard = cells(BOTH, head)
    assert proof == {**BOTH, "tests/h.py": "2"}
    assert guard == {**BOTH, "a.py": "2"}
    found = planned(BOTH, head)
    with_runner = composed(BOTH, found.proof_head_runner, base=BOTH, head=head)
    assert with_runner == {**head, "a.py": "1"}
    assert found.guard_files is None
    assert found.proof_files == ("tests/test_a.py",)


def test_documentation_and_ci_stay_as_in_the_commit_that_a_cell_starts_from() -> None:
    base = {**BOTH, "README.md": "1", ".github/workflows/a.yml": "1"}
    head = {"a.py": "2", "tests/h.py": "2", "README.md": "2", ".github/workflows/a.yml": "2"}
    proof, guard = cells(base, {**base, **head})
    assert proof == {**base, "tests/h.py": "2"}
    assert guard == {**base, **head, "tests/h.py": "1"}


def test_manifests_and_locks_are_those_of_the_source() -> None:
    base = {**BOTH, "requirements.txt": "1", "requirements-dev.txt": "1", "uv.lock": "1"}
    change = {"a.py": "2", "tests/h.py": "2"} | dict.fromkeys(
        ("requirements.txt", "requirements-dev.txt", "uv.lock"), "2"
    )
    head = {**base, **change}
    proof, guard = cells(base, head)
    assert proof == {**base, "tests/h.py": "2"}
    assert guard == {**head, "tests/h.py": "1"}
    with_runner = composed(base, planned(base, head).proof_head_runner, base=base, head=head)
    assert with_runner == {**head, "a.py": "1"}


SELECTIONS: list[tuple[str, Files, Files, tuple[str, ...] | None, tuple[str, ...] | None]] = [
    (
        "a helper: what uses it, over others as well",
        {
            "a.py": "1",
            "tests/h.py": "1",
            "tests/i.py": "from .h import x\n",
            "tests/test_a.py": "from tests.i import x\n" + PY_TEST,
            "tests/test_b.py": PY_TEST,
        },
        {"a.py": "2", "tests/h.py": "2"},
        ("tests/test_a.py",),
        None,
    ),
    (
        "a helper that nothing is seen to use",
        {"a.py": "1", "tests/h.py": "1", "tests/test_b.py": PY_TEST},
        {"a.py": "2", "tests/h.py": "2"},
        None,
        None,
    ),
    (
        "a conftest: all below it",
        {
            "a.py": "1",
            "tests/x/conftest.py": "1",
            "tests/x/test_a.py": PY_TEST,
            "tests/x/y/test_b.py": PY_TEST,
            "tests/test_c.py": PY_TEST,
        },
        {"a.py": "2", "tests/x/conftest.py": "2"},
        ("tests/x/test_a.py", "tests/x/y/test_b.py"),
        None,
    ),
    (
        "data",
        {"a.py": "1", "tests/data.json": "1", "tests/test_b.py": PY_TEST},
        {"a.py": "2", "tests/data.json": "2"},
        None,
        None,
    ),
    (
        "a base class in a file of tests",
        {
            "a.py": "1",
            "tests/test_base.py": PY_TEST,
            "tests/test_a.py": "from .test_base import B\n" + PY_TEST,
            "tests/test_b.py": PY_TEST,
        },
        {"a.py": "2", "tests/test_base.py": PY_TEST + "#"},
        ("tests/test_a.py", "tests/test_base.py"),
        None,
    ),
    (
        "a snapshot of Jest",
        {
            "a.ts": "1",
            "a.test.ts": JS_TEST,
            "b.test.ts": JS_TEST,
            "__snapshots__/a.test.ts.snap": "1",
        },
        {"a.ts": "2", "__snapshots__/a.test.ts.snap": "2"},
        ("a.test.ts",),
        None,
    ),
    (
        "tests of Go run by package",
        {
            "go.mod": "module a\n",
            "a/a.go": "package a\n",
            "a/a_test.go": GO_TEST,
            "a/b_test.go": GO_TEST,
            "b/b_test.go": GO_TEST,
        },
        {"a/a.go": "package a // 2\n", "a/a_test.go": GO_TEST + "//"},
        ("a/a_test.go", "a/b_test.go"),
        ("a/a_test.go", "a/b_test.go"),
    ),
    (
        "data of a package of Go",
        {
            "go.mod": "module a\n",
            "a/a.go": "package a\n",
            "a/a_test.go": GO_TEST,
            "a/testdata/x": "1",
        },
        {"a/a.go": "package a // 2\n", "a/testdata/x": "2"},
        ("a/a_test.go",),
        None,
    ),
    (
        "a base class of Java",
        {
            "src/main/java/A.java": "class A {}",
            "src/test/java/Base.java": "class Base {}",
            "src/test/java/ATest.java": "class ATest extends Base {}",
            "src/test/java/BTest.java": "class BTest {}",
        },
        {"src/main/java/A.java": "class A { }", "src/test/java/Base.java": "class Base { }"},
        ("src/test/java/ATest.java",),
        None,
    ),
    (
        "support of RSpec",
        {
            "lib/a.rb": "1",
            "spec/support/x.rb": "1",
            "spec/a_spec.rb": "require 'support/x'\n",
            "spec/b_spec.rb": "",
        },
        {"lib/a.rb": "2", "spec/support/x.rb": "2"},
        ("spec/a_spec.rb",),
        None,
    ),
    (
        "common code of Rust's integration tests",
        {
            "src/lib.rs": "fn a() {}\n",
            "tests/common/mod.rs": "pub fn x() {}\n",
            "tests/a.rs": "mod common;\n#[test]\nfn a() {}\n",
            "tests/b.rs": "#[test]\nfn b() {}\n",
        },
        {"src/lib.rs": "fn b() {}\n", "tests/common/mod.rs": "pub fn y() {}\n"},
        ("tests/a.rs",),
        None,
    ),
]


@pytest.mark.parametrize(
    ("base", "change", "proof", "guard"),
    [row[1:] for row in SELECTIONS],
    ids=[row[0] for row in SELECTIONS],
)
def test_what_runs(
    base: Files,
    change: Files,
    proof: tuple[str, ...] | None,
    guard: tuple[str, ...] | None,
) -> None:
    found = planned(base, {**base, **change})
    assert (found.proof_files, found.guard_files) == (proof, guard)


def test_a_file_that_becomes_a_folder_of_tests_goes_with_the_source() -> None:
    base = {"a.py": "1", "tests": "a script"}
    head = {"a.py": "2", "tests/test_a.py": PY_TEST}
    found = planned(base, head)
    assert found.sides.partly == ("tests/test_a.py",)
    assert cells(base, head) == (base, head)
    assert cells(head, base) == (head, base)


def test_a_folder_of_tests_that_becomes_a_file_of_tests() -> None:
    base = {"a.py": "1", "tests/x.py/data": "1", "tests/test_a.py": PY_TEST}
    head = {"a.py": "2", "tests/x.py": "1", "tests/test_a.py": PY_TEST}
    assert cells(base, head) == ({**head, "a.py": "1"}, {**base, "a.py": "2"})


POOL = [
    *("pkg/a.py", "pkg/b.py", "pkg/testing.py", "README.md", "pytest.ini", "setup.py"),
    *("tests/test_a.py", "tests/test_b.py", "tests/helpers.py", "tests/conftest.py"),
    *("tests/data.json", "conftest.py", "src/x.ts", "src/x.test.ts", "test/util.ts"),
    *("a.go", "a_test.go", "testdata/a", "jest.config.js", "requirements-dev.txt", "lib", "tests"),
    *("lib/a.rb", "spec/a_spec.rb", "spec/support/a.rb", "Makefile", ".github/workflows/t.yml"),
]
TEXTS = [
    "",
    "1",
    PY_TEST,
    "import helpers\n",
    "from tests import helpers\n",
    "import '../test/util'",
]


def _consistent(files: Files) -> Files:
    return {
        path: text
        for path, text in files.items()
        if not any(each.startswith(f"{path}/") for each in files)
    }


COMMITS = st.dictionaries(st.sampled_from(POOL), st.sampled_from(TEXTS)).map(_consistent)


@settings(max_examples=300)
@given(COMMITS, COMMITS)
def test_no_cell_has_what_it_must_not_have(base: Files, head: Files) -> None:
    found = planned(base, head)
    proof, guard = cells(base, head)
    sides = found.sides
    of_tests = {*sides.tests, *sides.helpers}
    for path in sides.source:
        if found.proof_same_as is not Cell.HEAD:
            assert proof.get(path) == base.get(path)
        if found.guard_same_as is not Cell.BASE:
            assert guard.get(path) == head.get(path)
    for path in of_tests.difference(sides.source):
        assert proof.get(path) == head.get(path)
        assert guard.get(path) == base.get(path)
    if found.proof_same_as is not Cell.HEAD:
        for path in sides.runner:
            assert proof.get(path) == base.get(path)
    changed = {file.path for file in diff_of(base, head).files}
    assert changed == set().union(*sides.model_dump().values())
    for path in base.keys() & head.keys():
        if base[path] == head[path]:
            assert proof[path] == guard[path] == base[path]
    for path in found.proof_files or ():
        assert path in proof
    for path in found.guard_files or ():
        assert path in guard


@given(COMMITS, COMMITS)
def test_the_reverse_change_has_the_cells_exchanged(base: Files, head: Files) -> None:
    """But for the runner, which is the base's in both."""
    there, back = planned(base, head), planned(head, base)
    assert there.sides == back.sides
    if not there.sides.runner and not (there.sides.documentation or there.sides.ci):
        assert cells(base, head) == cells(head, base)[::-1]


@given(COMMITS)
def test_nothing_changed(files: Files) -> None:
    found = planned(files, files)
    assert (found.proof_same_as, found.guard_same_as) == (Cell.BASE, Cell.HEAD)
