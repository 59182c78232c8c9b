"""The verdict over four cells: one test for each line of the tables, and rules for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.changed_files import ChangedFiles
from app.domain.evidence import (
    Cell,
    CellRun,
    ChangedSides,
    Evidence,
    Finding,
    Measurements,
    Move,
    Rules,
    TestName,
    judge,
)
from app.domain.values import CommitSha
from app.domain.verdict import (
    MAX_ROWS,
    Meaning,
    Results,
    TestOutcome,
    TestResult,
    Verdict,
    VerdictKind,
    VerifierResult,
)

SHA = CommitSha("a" * 40)
PASSED, FAILED, ERROR, SKIPPED = TestOutcome
OUTCOMES = {"P": PASSED, "F": FAILED, "E": ERROR, "S": SKIPPED}
FILE = "tests/test_a.py"
BOTH = ChangedSides(source=("app.py",), tests=(FILE,))
SOURCE = ChangedSides(source=("app.py",))
TESTS = ChangedSides(tests=(FILE,))
HELPERS = ChangedSides(source=("app.py",), helpers=("tests/conftest.py",))
K = VerdictKind


def entry(name: str, letter: str, **more: Any) -> TestResult:
    test_id = name if "::" in name or more else f"{FILE}::{name}"
    message = "assert 1 == 2" if letter == "F" else ""
    values = {"id": test_id, "outcome": OUTCOMES[letter], "message": message, **more}
    return TestResult(**values)


def cell(*tests: TestResult, **more: Any) -> Results:
    ran = any(test.outcome in (PASSED, FAILED) and not test.could_not_run for test in tests)
    values = {"verifier": "pytest", "command": "pytest", "ran": ran, **more}
    return Results(commit=SHA, verifiers=(VerifierResult(tests=tests, **values),))


def evidence(
    rows: Mapping[str, str],
    sides: ChangedSides = BOTH,
    *,
    others: Mapping[Cell, tuple[TestResult, ...]] | None = None,
    **more: Any,
) -> Evidence:
    """`rows`: a test's four outcomes, such as `P-F-`; another test passes in every cell."""
    rows = {"other": "PPPP", **rows}
    runs = {}
    for number, each in enumerate(Cell):
        tests = [
            entry(name, letters[number]) for name, letters in rows.items() if letters[number] != "-"
        ]
        results = cell(*tests, *((others or {}).get(each, ())))
        runs[each.value] = CellRun(results=results)
    return Evidence(**{**runs, "sides": sides, **more})


def verdict(rows: Mapping[str, str], sides: ChangedSides = BOTH, **more: Any) -> Verdict:
    return judge(evidence(rows, sides, **more), Rules())


@pytest.mark.parametrize(
    ("row", "sides", "meaning", "kind", "title"),
    [
        ("-F-P", BOTH, "proven", K.PROVEN, "Proven: 1 test fails without this change"),
        ("-E-P", BOTH, "new-code", K.NEW_CODE, "New code: 1 test cannot run without this change"),
        (
            "-P-P",
            BOTH,
            "unproven",
            K.NOT_PROVEN,
            "Not proven: the new test passes without the change too",
        ),
        ("FFPP", BOTH, "fixed", K.PROVEN, "Proven: 1 test fails without this change"),
        ("FFFP", BOTH, "weak-proof", K.PROVEN, "Proven: 1 test fails without this change"),
        (
            "FPFP",
            BOTH,
            "weakened",
            K.WEAKENED,
            "Weakened: 1 test passes only in its changed form",
        ),
        ("FPPP", BOTH, "none", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("PFPP", BOTH, "strengthened", K.PROVEN, "Proven: 1 test fails without this change"),
        (
            "PFFP",
            BOTH,
            "confirm",
            K.CONFIRM,
            "Please confirm: 1 test now expects something else",
        ),
        ("PPFP", BOTH, "loosened", K.WEAKENED, "Weakened: 1 test now accepts more than before"),
        (
            "PPEP",
            HELPERS,
            "guard-unfinished",
            K.CONFIRM,
            "Please confirm: 1 old test cannot run on new code",
        ),
        ("PPEP", BOTH, "none", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("PPPF", BOTH, "regression", K.REGRESSION, "Regression: 1 test that passed now fails"),
        ("-F-F", BOTH, "failure", K.REGRESSION, "Regression: 1 new test fails"),
        ("FFFF", SOURCE, "known-failure", K.UNCHANGED, "Unchanged: 1 test passes before and after"),
        (
            "SSSP",
            BOTH,
            "starts-now",
            K.CONFIRM,
            "Please confirm: 1 test runs now that did not before",
        ),
        (
            "P-F-",
            BOTH,
            "removed-broken",
            K.WEAKENED,
            "Weakened: 1 removed test fails on the new code",
        ),
        (
            "P-P-",
            BOTH,
            "removed",
            K.REMOVED,
            "Removed: 1 test that still passes on the new code",
        ),
        ("PPPS", BOTH, "disabled", K.REMOVED, "Removed: 1 test that ran is now skipped"),
        (
            "PPFP",
            HELPERS,
            "weakened",
            K.WEAKENED,
            "Weakened: 1 test passes only with changed helpers",
        ),
        ("PPPP", SOURCE, "none", K.UNCHANGED, "Unchanged: 2 tests pass before and after"),
        (
            "-P-P",
            TESTS,
            "unproven",
            K.TESTS_ONLY,
            "Tests only: 1 test added, it passes on today's code",
        ),
    ],
)
def test_one_row(
    row: str, sides: ChangedSides, meaning: str, kind: VerdictKind, title: str
) -> None:
    found = verdict({"it": row}, sides)
    assert [each.meaning.value for each in found.rows] == ([] if meaning == "none" else [meaning])
    assert (found.kind, found.title) == (kind, title)


CONCLUSIONS = {
    K.NO_RESULT: ("failure", False),
    K.REGRESSION: ("failure", False),
    K.WEAKENED: ("failure", False),
    K.REMOVED: ("action_required", False),
    K.CONFIRM: ("action_required", False),
    K.NOT_PROVEN: ("success", False),
    K.NEW_CODE: ("success", True),
    K.PROVEN: ("success", True),
    K.TESTS_ONLY: ("success", True),
    K.UNCHANGED: ("success", True),
}
EXAMPLES: dict[VerdictKind, Evidence] = {
    K.NO_RESULT: evidence({"other": "PPPS"}),
    K.REGRESSION: evidence({"it": "PPPF"}),
    K.WEAKENED: evidence({"it": "FPFP"}),
    K.REMOVED: evidence({"it": "P-P-"}),
    K.CONFIRM: evidence({"it": "PFFP"}),
    K.NOT_PROVEN: evidence({"it": "-P-P"}),
    K.NEW_CODE: evidence({"it": "-E-P"}),
    K.PROVEN: evidence({"it": "-F-P"}),
    K.TESTS_ONLY: evidence({"it": "-P-P"}, TESTS),
    K.UNCHANGED: evidence({}, SOURCE),
}


@pytest.mark.parametrize("kind", VerdictKind)
def test_each_verdict_has_its_conclusion(kind: VerdictKind) -> None:
    found = judge(EXAMPLES[kind], Rules())
    assert (found.kind, found.conclusion, found.ready) == (kind, *CONCLUSIONS[kind])


@pytest.mark.parametrize("kind", [K.REMOVED, K.CONFIRM])
@pytest.mark.parametrize("rules", [Rules(accepted_by="olivia"), Rules(expectations="allow")])
def test_a_person_or_the_policy_may_accept(kind: VerdictKind, rules: Rules) -> None:
    found = judge(EXAMPLES[kind], rules)
    assert (found.kind, found.conclusion, found.ready) == (kind, "success", True)
    assert found.title.startswith("Accepted: ")
    assert found.accepted_by == rules.accepted_by
    by_policy = found.reasons[0].startswith("The repository's policy accepts")
    assert by_policy is not bool(rules.accepted_by)


@pytest.mark.parametrize("kind", [K.NO_RESULT, K.REGRESSION, K.WEAKENED, K.NOT_PROVEN])
def test_other_findings_cannot_be_accepted(kind: VerdictKind) -> None:
    rules = Rules(accepted_by="olivia", expectations="allow")
    assert judge(EXAMPLES[kind], rules) == judge(EXAMPLES[kind], Rules())


def test_a_bug_may_need_a_proof() -> None:
    assert judge(EXAMPLES[K.UNCHANGED], Rules(bug=True)).ready
    assert judge(EXAMPLES[K.UNCHANGED], Rules(proof="required")).ready
    found = judge(EXAMPLES[K.UNCHANGED], Rules(bug=True, proof="required"))
    assert (found.kind, found.conclusion, found.ready) == (K.UNCHANGED, "success", False)
    assert judge(EXAMPLES[K.PROVEN], Rules(bug=True, proof="required")).ready


def test_a_proof_counts_only_if_it_fails_each_time() -> None:
    for also, kind in (
        ((FAILED, FAILED), K.PROVEN),
        ((FAILED, PASSED), K.NOT_PROVEN),
        ((FAILED,), K.NOT_PROVEN),
        ((ERROR, FAILED), K.NOT_PROVEN),
    ):
        made = evidence({"it": "-P-P"})
        proof = cell(entry("other", "P"), entry("it", "F").model_copy(update={"also": also}))
        made = made.model_copy(update={"proof": CellRun(results=proof, runs=3)})
        assert judge(made, Rules()).kind is kind, also


@pytest.mark.parametrize("letter", "SP")
def test_a_skip_in_the_proof_proves_nothing(letter: str) -> None:
    assert verdict({"it": f"-{letter}-P"}).kind is K.NOT_PROVEN


def test_evidence_of_a_proof_with_the_new_configuration_is_new_code() -> None:
    made = evidence({"it": "-F-P"})
    proof = made.proof.model_copy(update={"head_runner": True})
    found = judge(made.model_copy(update={"proof": proof}), Rules())
    assert (found.kind, found.ready) == (K.NEW_CODE, True)
    assert any("old configuration" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    "message",
    [
        "NameError: name 'old' is not defined",
        "AttributeError: module 'app' has no attribute 'old'",
        "AttributeError: 'Client' object has no attribute 'old'",
        "TypeError: run() got an unexpected keyword argument 'old'",
        "TypeError: run() takes 1 positional argument but 2 were given",
        "E   ImportError: cannot import name 'old' from 'app'",
        "ReferenceError: old is not defined",
        "TypeError: app.old is not a function",
        "java.lang.NoSuchMethodError: 'void app.App.old()'",
        "NoMethodError: undefined method 'old' for an instance of App",
    ],
)
def test_an_old_test_that_calls_removed_code_proves_nothing(message: str) -> None:
    guard = {"it": entry("it", "F").model_copy(update={"message": message})}
    made = evidence({"it": "PF-P", "new": "-F-P"})
    results = cell(entry("other", "P"), *guard.values())
    made = made.model_copy(update={"guard": CellRun(results=results)})
    assert judge(made, Rules()).kind is K.PROVEN
    removed = judge(made.model_copy(update={"head": evidence({}).head}), Rules())
    assert removed.kind is K.REMOVED


@pytest.mark.parametrize(
    "message",
    [
        "AssertionError: assert 'ImportError: no module' in 'all is well'",
        "AttributeError: 'NoneType' object has no attribute 'old'",
        "ValueError: the name is empty",
        "app_test.go:12: got NameError, want nil",
        "",
    ],
)
def test_an_old_test_that_fails_otherwise_asks_for_a_look(message: str) -> None:
    made = evidence({"it": "PF-P"})
    results = cell(entry("other", "P"), entry("it", "F").model_copy(update={"message": message}))
    made = made.model_copy(update={"guard": CellRun(results=results)})
    assert judge(made, Rules()).kind is K.CONFIRM


def test_helpers_that_turn_unchanged_tests_green_are_weakened_and_data_is_an_expectation() -> None:
    data = ChangedSides(source=("app.py",), helpers=("tests/__snapshots__/a.snap",))
    assert verdict({"it": "PFFP"}, data).kind is K.CONFIRM
    assert verdict({"it": "PPFP", "new": "-F-P"}, data).kind is K.CONFIRM
    assert verdict({"it": "PPFP", "new": "-F-P"}, HELPERS).kind is K.WEAKENED
    assert verdict({"it": "PFFP"}, HELPERS).kind is K.CONFIRM
    config = ChangedSides(source=("app.py",), runner=("pytest.ini",))
    assert verdict({"it": "PPFP", "new": "-F-P"}, config).kind is K.WEAKENED


def test_a_conftest_reaches_its_own_folder() -> None:
    elsewhere = ChangedSides(source=("app.py",), helpers=("other/conftest.py",))
    assert verdict({"it": "PPEP"}, elsewhere).kind is K.NOT_PROVEN
    assert verdict({"it": "PPEP"}, HELPERS).kind is K.CONFIRM


def test_a_cell_that_left_out_a_file_has_the_result_that_it_cannot_differ_from() -> None:
    known = "tests/test_b.py::known"
    fixed = "tests/test_b.py::fixed"
    made = evidence({"it": "-F-P", known: "FFFF", fixed: "FFPP"})
    only = (FILE,)
    proof = CellRun(results=cell(entry("it", "F")), only=only)
    guard = CellRun(results=cell(entry("other", "P")), only=only)
    found = judge(made.model_copy(update={"proof": proof, "guard": guard}), Rules())
    meanings = {row.id.rpartition("::")[2]: row.meaning for row in found.rows}
    assert meanings == {
        "it": Meaning.PROVEN,
        "fixed": Meaning.FIXED,
        "known": Meaning.KNOWN_FAILURE,
    }


def test_a_partial_cell_is_never_taken_for_a_whole_one() -> None:
    """The file changed, so a cell that left it out says nothing about it."""
    made = evidence({"it": "-F-P"})
    proof = CellRun(results=cell(entry("other", "P")), only=("tests/test_b.py",))
    assert judge(made.model_copy(update={"proof": proof}), Rules()).kind is K.NOT_PROVEN


def test_a_cell_may_have_the_results_of_another() -> None:
    made = evidence({"it": "FFPP"}, SOURCE)
    cells = {"proof": CellRun(same_as=Cell.BASE), "guard": CellRun(same_as=Cell.HEAD)}
    found = judge(made.model_copy(update=cells), Rules())
    assert found == judge(made, Rules())
    assert found.kind is K.PROVEN


def test_a_cell_that_was_not_run_proves_nothing_and_excuses_nothing() -> None:
    made = evidence({"it": "-F-P", "old": "PPPP"})
    without_proof = made.model_copy(update={"proof": CellRun(why_not="The time was up.")})
    found = judge(without_proof, Rules())
    assert (found.kind, found.ready) == (K.NOT_PROVEN, False)
    assert found.title == "Not proven: the proof was not measured"
    assert "The new tests were not run on the old code: The time was up." in found.reasons
    without_guard = made.model_copy(update={"guard": CellRun(why_not="The time was up.")})
    found = judge(without_guard, Rules())
    assert found.kind is K.CONFIRM
    assert found.title == "Please confirm: 2 old tests were not run on new code"


def test_without_a_base_every_failure_counts_and_nothing_is_proven() -> None:
    made = evidence({"it": "PPPP"}).model_copy(
        update={"base": CellRun(), "proof": CellRun(), "guard": CellRun()}
    )
    found = judge(made, Rules())
    assert (found.kind, found.ready) == (K.NOT_PROVEN, False)
    assert found.title == "Not proven: the base commit could not be verified"
    failing = made.model_copy(update={"head": evidence({"it": "PPPF"}).head})
    assert judge(failing, Rules()).title == "Regression: 1 test fails, and the base is unknown"


UNIT = {"could_not_run": True, "message": "SyntaxError: invalid syntax"}


def broken(test_id: str, **more: Any) -> TestResult:
    return entry(test_id, "E", **{**UNIT, **more})


def hidden(unit: TestResult, cells: str, sides: ChangedSides, **rows: str) -> Evidence:
    """A file that cannot be read in some cells."""
    inside = {each: (unit,) for each in Cell if each.value[0] in cells}
    return evidence(rows, sides, others=inside)


def test_a_file_that_can_no_longer_be_read_is_a_regression() -> None:
    unit = broken("tests/test_b.py")
    made = hidden(unit, "gh", SOURCE, **{"tests/test_b.py::it": "PP--"})
    found = judge(made, Rules())
    assert found.title == "Regression: 1 test that passed cannot run now"
    assert found.reasons[0] == "tests/test_b.py could not run: SyntaxError: invalid syntax."


def test_a_new_file_that_cannot_be_read_is_a_failure() -> None:
    found = judge(hidden(broken(FILE), "ph", BOTH), Rules())
    assert (found.kind, found.title) == (K.REGRESSION, "Regression: some tests cannot start")


@pytest.mark.parametrize(
    ("unit", "sides", "kind"),
    [
        ("tests/test_b.py", SOURCE, K.UNCHANGED),
        ("tests/test_app.py", SOURCE, K.NO_RESULT),  # named like the changed file
        ("tests/test_b.py", ChangedSides(source=("app.py",), tests=("tests/test_b.py",)), None),
        ("example.com/m/store", ChangedSides(source=("store/a.go",)), K.NO_RESULT),
        ("example.com/m/store", ChangedSides(source=("other/a.go",)), K.UNCHANGED),
        ("com.example.AppTest", ChangedSides(source=("src/App.java",)), K.NO_RESULT),
        ("tests/test_b.py", ChangedSides(documentation=("README.md",)), K.UNCHANGED),
    ],
)
def test_what_could_not_run_before_either_counts_if_it_is_the_changes_own(
    unit: str, sides: ChangedSides, kind: VerdictKind | None
) -> None:
    found = judge(hidden(broken(unit), "bpgh", sides), Rules())
    assert found.kind is (kind or K.NO_RESULT)
    assert any(reason.startswith(f"{unit} could not run") for reason in found.reasons)


def test_a_file_that_fails_in_a_changed_file_is_the_changes_own() -> None:
    unit = broken("tests/test_b.py", file="app.py")
    assert judge(hidden(unit, "bpgh", SOURCE), Rules()).kind is K.NO_RESULT


def test_another_error_than_before_is_new() -> None:
    made = evidence(
        {},
        SOURCE,
        others={
            Cell.BASE: (broken("tests/test_b.py"),),
            Cell.HEAD: (broken("tests/test_b.py", message="ImportError: no module app"),),
        },
    )
    assert judge(made, Rules()).kind is K.REGRESSION


def test_a_file_that_could_not_be_read_and_is_gone_was_removed() -> None:
    found = judge(hidden(broken("tests/test_b.py"), "bp", TESTS), Rules())
    assert (found.kind, found.title) == (K.REMOVED, "Removed: 1 test is gone")


def test_a_new_test_is_not_hidden_by_what_hides_the_old_ones() -> None:
    """As where neither new tests on old code nor old tests on new code compile."""
    whole = entry("cargo", "E", whole_run=True, could_not_run=True, message="it does not build")
    unbuilt = CellRun(results=cell(whole, complete=False))
    made = evidence({"it": "---P"}).model_copy(update={"proof": unbuilt, "guard": unbuilt})
    assert judge(made, Rules()).kind is K.NEW_CODE


def test_tests_that_start_now_need_a_look() -> None:
    unit = broken("tests/test_b.py")
    found = judge(hidden(unit, "b", SOURCE, **{"tests/test_b.py::it": "--PP"}), Rules())
    assert found.title == "Please confirm: 1 test runs now that did not before"


def test_nothing_executed_is_no_result() -> None:
    unit = broken(FILE)
    results = cell(unit, complete=False)
    for base in (evidence({}).base, CellRun(results=results)):
        found = judge(
            Evidence(base=base, proof=base, guard=base, head=CellRun(results=results)), Rules()
        )
        assert (found.title, found.conclusion) == (
            "No result: the tests could not start",
            "failure",
        )
    nothing = CellRun(results=Results(commit=SHA))
    found = judge(Evidence(base=nothing, proof=nothing, guard=nothing, head=nothing), Rules())
    assert (found.title, found.conclusion) == ("No result: there are no tests", "failure")
    allowed = Rules(no_tests="neutral")
    found = judge(Evidence(base=nothing, proof=nothing, guard=nothing, head=nothing), allowed)
    assert (found.conclusion, found.ready) == ("neutral", True)
    assert judge(Evidence(base=base, proof=base, guard=base, head=CellRun()), allowed).title == (
        "No result: the tests were not run"
    )


def test_known_flaky_tests_never_decide() -> None:
    known = (TestName(verifier="pytest", id=f"{FILE}::it"),)
    for row in ("PPPF", "-F-P", "PFFP", "PPFP", "FPFP"):
        found = verdict({"it": row}, known_flaky=known)
        assert [each.meaning for each in found.rows] == [Meaning.FLAKY]
        assert found.kind is K.NOT_PROVEN
    assert verdict({"it": "P-P-"}, known_flaky=known).kind is K.REMOVED


def test_flaky_at_head_is_nothing() -> None:
    made = evidence({"it": "PPPF"})
    head = cell(entry("other", "P"), entry("it", "F").model_copy(update={"also": (PASSED,)}))
    found = judge(made.model_copy(update={"head": CellRun(results=head)}), Rules())
    assert found.kind is K.NOT_PROVEN
    assert any("flaky" in reason for reason in found.reasons)


def test_tests_are_matched_when_they_move() -> None:
    """By their ids: another file, other parameters; and by what the evidence says."""
    sides = ChangedSides(source=("app.py",), tests=("tests/test_b.py", "tests/test_c.py"))
    moved = {"tests/test_b.py::it": "P-P-", "tests/test_c.py::it": "-P-P"}
    found = verdict(moved, sides)
    assert found.removed == ()
    assert found.kind is K.NOT_PROVEN
    assert verdict({"it[1-2]": "P-P-", "it[1-3]": "-P-P"}).removed == ()
    assert verdict({"it": "P-P-", "it[1]": "-P-P", "it[2]": "-P-P"}).removed == ()
    assert verdict({"it[1]": "P-P-", "it[2]": "P-P-", "it": "-P-P"}).removed == ()
    fewer = verdict({"it[1]": "P-P-", "it[2]": "P-P-", "it[3]": "-P-P"})
    assert [each.id for each in fewer.removed] == [f"{FILE}::it[2]"]
    other = {"a": "P-P-", "b": "-P-P"}
    assert verdict(other).kind is K.REMOVED
    names = {"verifier": "pytest", "old": f"{FILE}::a", "new": f"{FILE}::b"}
    assert verdict(other, moved=(Move(**names),)).kind is K.NOT_PROVEN


def test_tests_that_only_moved_are_not_changed() -> None:
    sides = ChangedSides(source=("app.py",), tests=("tests/test_b.py", "tests/test_c.py"))
    rows = {"tests/test_b.py::it": "P-P-", "tests/test_c.py::it": "-P-P"}
    move = Move(verifier="pytest", old="tests/test_b.py::it", new="tests/test_c.py::it", same=True)
    found = verdict(rows, sides, moved=(move,))
    assert (found.kind, found.title) == (K.UNCHANGED, "Unchanged: 2 tests pass before and after")
    assert verdict({**rows, "tests/test_c.py::b": "-P-P"}, sides, moved=(move,)).kind is (
        K.NOT_PROVEN
    )


def test_an_expectation_that_changes_with_the_parameters_is_one() -> None:
    assert verdict({"it[1-2]": "P-F-", "it[1-3]": "-F-P"}).kind is K.CONFIRM


def test_code_deleted_with_its_tests_is_removed() -> None:
    names = (TestName(verifier="pytest", id=f"{FILE}::it"),)
    assert verdict({"it": "P-F-"}, removed_with_code=names).kind is K.REMOVED


@pytest.mark.parametrize(
    ("measured", "title"),
    [
        (
            Measurements(canary="passed"),
            "Weakened: the tests pass with the changed code broken",
        ),
        (
            Measurements(loaded=(Finding(file="app/plugin.py", reason="A plugin."),)),
            "Weakened: 1 new file can change test results",
        ),
        (
            Measurements(keyed=(Finding(file="app.py", line=3, reason="7 is in a new test."),)),
            "Please confirm: 1 value of the code is also in a new test",
        ),
    ],
)
def test_what_four_cells_cannot_see(measured: Measurements, title: str) -> None:
    found = verdict({"it": "-F-P"}, measured=measured)
    assert (found.title, found.ready) == (title, False)


def test_what_is_only_partly_compared_never_improves_a_verdict() -> None:
    partly = ChangedSides(source=("app.py",), partly=("pyproject.toml",))
    found = verdict({}, partly)
    assert found.kind is K.NOT_PROVEN
    assert any("pyproject.toml" in reason for reason in found.reasons)
    assert verdict({"it": "-F-P"}, partly).kind is K.PROVEN


@pytest.mark.parametrize(
    "sides",
    [
        ChangedSides(),
        ChangedSides(documentation=("README.md",)),
        ChangedSides(ci=(".github/workflows/ci.yml",)),
        ChangedSides(source=("app.py",), runner=("pytest.ini",)),
    ],
)
def test_no_test_changed(sides: ChangedSides) -> None:
    found = verdict({"a": "PPPP", "b": "PPPP"}, sides)
    assert found.title == "Unchanged: all 3 tests pass before and after"
    assert "No test fails without this change." in found.reasons


def command(letter: str) -> Results:
    test = entry("make test", letter, whole_run=True, message="exit code 2" * (letter == "F"))
    more = {"verifier": "command", "command": "make test", "from_exit_code_only": True}
    return cell(test, ran=letter == "P", **more)


@pytest.mark.parametrize(
    ("row", "kind", "title"),
    [
        ("PPPF", K.REGRESSION, "Regression: the test command passed and now fails"),
        ("PFPP", K.NEW_CODE, "New code: the test command passes only with the change"),
        ("FFPP", K.NEW_CODE, "New code: the test command passes only with the change"),
        ("PPPP", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("PPFP", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("FFFF", K.NO_RESULT, "No result: the tests could not start"),
    ],
)
def test_a_command_is_known_by_its_exit_code(row: str, kind: VerdictKind, title: str) -> None:
    runs = {
        each.value: CellRun(results=command(letter)) for each, letter in zip(Cell, row, strict=True)
    }
    found = judge(Evidence(**{**runs, "sides": BOTH}), Rules())
    assert (found.kind, found.title) == (kind, title)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Makefile", K.CONFIRM),
        ("build/rules.mk", K.CONFIRM),
        ("app.py", K.NEW_CODE),
        ("docs/Makefile.txt", K.NEW_CODE),
    ],
)
def test_a_command_that_the_change_defines_is_no_evidence(path: str, kind: VerdictKind) -> None:
    runs = {
        each.value: CellRun(results=command(letter))
        for each, letter in zip(Cell, "FFPP", strict=True)
    }
    found = judge(Evidence(**{**runs, "sides": ChangedSides(source=(path,))}), Rules())
    assert found.kind is kind
    assert any(path in reason for reason in found.reasons) is (kind is K.CONFIRM)


def test_a_script_named_in_the_command_is_its_definition() -> None:
    files = ChangedFiles(source=("ci/run.sh",))
    assert files.defines("sh ./ci/run.sh --all") == "ci/run.sh"
    assert files.defines("sh test.sh") == ""


def test_new_findings_of_linters_are_a_failure() -> None:
    made = evidence({"it": "-F-P"})
    clean = entry("ruff", "P")
    dirty = [entry("ruff", "F"), entry("app.py E501", "F"), entry("app.py F401", "F")]
    more = {"verifier": "ruff", "command": "ruff check", "kind": "checks"}
    base = made.base.results.verifiers + cell(clean, **more).verifiers  # type: ignore[union-attr]
    head = made.head.results.verifiers + cell(*dirty, **more).verifiers  # type: ignore[union-attr]
    found = judge(
        made.model_copy(
            update={
                "base": CellRun(results=Results(commit=SHA, verifiers=base)),
                "head": CellRun(results=Results(commit=SHA, verifiers=head)),
            }
        ),
        Rules(),
    )
    assert (found.kind, found.title) == (K.REGRESSION, "Regression: 3 new check failures")


def test_more_tests_than_are_compared_is_no_result() -> None:
    made = evidence({"it": "-F-P"})
    head = cell(entry("other", "P"), entry("it", "P"), tests_dropped=7)
    found = judge(made.model_copy(update={"head": CellRun(results=head)}), Rules())
    assert found.title == "No result: there are too many tests to compare"


def test_what_the_change_cannot_affect_counts_nowhere() -> None:
    made = evidence({"it": "-F-P"})
    other = cell(entry("web/a.test.js > it", "P"), verifier="jest:web", command="jest")
    base = Results(commit=SHA, verifiers=made.base.results.verifiers + other.verifiers)  # type: ignore[union-attr]
    head = made.head.results.model_copy(update={"left_out": ("jest:web",)})  # type: ignore[union-attr]
    cells = {"base": CellRun(results=base), "head": CellRun(results=head)}
    found = judge(made.model_copy(update=cells), Rules())
    assert (found.kind, found.removed) == (K.PROVEN, ())


def test_rows_are_bounded_and_the_worst_come_first() -> None:
    rows = {f"t{number}": "-F-P" for number in range(MAX_ROWS + 5)} | {"worst": "PPPF"}
    found = verdict(rows)
    assert len(found.rows) == MAX_ROWS
    assert found.rows[0].meaning is Meaning.REGRESSION
    assert found.title == "Regression: 1 test that passed now fails"


ROW = st.text("-PFES", min_size=4, max_size=4)
CHANGES = st.fixed_dictionaries(
    {
        "rows": st.dictionaries(st.sampled_from("abcd"), ROW, max_size=4),
        "sides": st.sampled_from([BOTH, SOURCE, TESTS, HELPERS, ChangedSides()]),
    }
)
ORDER = ["failure", "action_required", "neutral", "success"]


def goodness(found: Verdict) -> tuple[bool, int]:
    return found.ready, ORDER.index(found.conclusion)


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.sampled_from([Rules(), Rules(accepted_by="o"), Rules(bug=True)]))
def test_every_evidence_has_a_verdict(change: dict[str, Any], rules: Rules) -> None:
    found = judge(evidence(**change), rules)
    assert len(found.title) <= 60
    assert found.title.partition(": ")[2]
    assert " 0 " not in found.title
    assert found.reasons
    assert not found.ready or found.conclusion in ("success", "neutral")
    assert Verdict.model_validate(found.model_dump(mode="json")) == found


@settings(max_examples=80, deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_the_order_of_tests_does_not_matter(change: dict[str, Any], random: Any) -> None:
    shuffled = list(change["rows"].items())
    random.shuffle(shuffled)
    one = judge(evidence(**change), Rules())
    other = judge(evidence(dict(shuffled), change["sides"]), Rules())
    for name in ("kind", "conclusion", "ready", "rows", "title", "reasons"):
        assert getattr(one, name) == getattr(other, name)


def changed(change: dict[str, Any], name: str, number: int, letter: str) -> Evidence:
    rows = dict(change["rows"])
    rows[name] = rows[name][:number] + letter + rows[name][number + 1 :]
    return evidence(rows, change["sides"])


@settings(max_examples=150, deadline=None)
@given(CHANGES, ROW, st.sampled_from(["PF", "SF", "EF"]))
def test_a_proof_that_does_not_fail_never_helps(
    change: dict[str, Any], row: str, letters: str
) -> None:
    change["rows"]["it"] = row
    worse, better = (judge(changed(change, "it", 1, each), Rules()) for each in letters)
    assert goodness(worse) <= goodness(better)


@settings(max_examples=150, deadline=None)
@given(CHANGES, ROW, st.sampled_from("FES-"))
def test_a_test_that_does_not_pass_never_makes_a_change_ready(
    change: dict[str, Any], row: str, letter: str
) -> None:
    """A test that did not run before needs a person to look when it passes: it is left out here."""
    change["rows"]["it"] = row if row[0] in "-PF" else f"P{row[1:]}"
    worse, better = (judge(changed(change, "it", 3, each), Rules()) for each in (letter, "P"))
    assert worse.ready <= better.ready or change["rows"]["it"][0] in "-F"
    if change["rows"]["it"][0] == "P":
        assert not worse.ready


@settings(max_examples=150, deadline=None)
@given(CHANGES, ROW, st.sampled_from("FE"))
def test_an_old_test_that_does_not_pass_on_the_new_code_never_helps(
    change: dict[str, Any], row: str, letter: str
) -> None:
    change["rows"]["it"] = row
    worse, better = (judge(changed(change, "it", 2, each), Rules()) for each in (letter, "P"))
    assert worse.ready <= better.ready
