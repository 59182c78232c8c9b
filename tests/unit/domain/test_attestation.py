"""The statement of a verdict's evidence, and how odd evidence is handled."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import attestation
from app.domain.attestation import (
    MAX_TESTS,
    PAYLOAD_TYPE,
    Attestation,
    AttestationError,
    HowToRun,
)
from app.domain.dsse import Envelope
from app.domain.evidence import Cell, CellRun, ChangedSides
from app.domain.policy import Policy
from app.domain.setup_outcome import CommandRun
from app.domain.values import RunId
from tests.support.evidence import BASE, HEAD, F, P, attested, cell, evidence, verdict


def statement(given: Attestation) -> dict[str, Any]:
    value = json.loads(attestation.payload(given))
    assert isinstance(value, dict)
    return value


def enveloped(value: object) -> Envelope:
    return Envelope(PAYLOAD_TYPE, json.dumps(value).encode(), ())


def test_the_statement_has_what_in_toto_asks_for() -> None:
    found = statement(attested())
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    commit, tree = found["subject"]
    assert commit == {
        "name": f"git+https://github.com/o/r@{HEAD}",
        "digest": {"gitCommit": HEAD},
    }
    assert tree["digest"] == {"gitTree": "2" * 40}
    predicate = found["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == [
        "pytest: t.py::broken",
        "pytest: t.py::new",
        "pytest: t.py::old",
    ]
    assert predicate["failedTests"] == predicate["warnedTests"] == []
    for descriptor in predicate["configuration"]:
        assert {"uri", "digest", "content"} & set(descriptor)
    assert predicate["configuration"][2]["digest"] == {"sha256": "e" * 64}


@pytest.mark.parametrize(
    ("conclusion", "result"),
    [
        ("success", "PASSED"),
        ("failure", "FAILED"),
        ("action_required", "WARNED"),
        ("neutral", "WARNED"),
    ],
)
def test_the_result_is_in_in_totos_words(conclusion: str, result: str) -> None:
    found = statement(attested(judged=verdict(conclusion=conclusion)))
    assert found["predicate"]["result"] == result


def test_every_test_has_a_letter_for_each_cell() -> None:
    (found,) = attested().tests
    assert dict(found.tests) == {
        "t.py::broken": "FFPP",
        "t.py::new": ".F?P",
        "t.py::old": "PPPP",
    }


def test_a_cell_that_was_not_run_says_why_and_has_no_digest() -> None:
    found = attested(evidence(guard=CellRun(why_not="Time ran out.")))
    guard = found.cell(Cell.GUARD)
    assert (guard.why_not, guard.digest, guard.tree) == ("Time ran out.", "", None)
    assert dict(found.tests[0].tests)["t.py::old"] == "PP?P"


def test_a_cell_that_cannot_differ_has_the_other_ones_results() -> None:
    found = attested(evidence(guard=CellRun(same_as=Cell.HEAD)))
    assert found.cell(Cell.GUARD).digest == found.cell(Cell.HEAD).digest
    assert found.cell(Cell.GUARD).tree is None
    assert dict(found.tests[0].tests)["t.py::new"] == ".FPP"


def test_what_is_written_is_read_again_the_same() -> None:
    given = attested()
    assert attestation.read(enveloped(statement(given))) == given


def test_an_attestation_made_before_setup_commands_were_listed_is_read() -> None:
    value = statement(attested())
    del value["predicate"]["honkEvidence"]["how_to_run"]["ran"]
    assert attestation.read(enveloped(value)).how_to_run.ran == ()


def test_commands_of_a_setup_are_bounded() -> None:
    ran = [CommandRun(line="x" * 9_000, source="y" * 9_000, output="secret")] * 1_000
    how = HowToRun.of(Policy(), None, ran)
    assert 0 < len(how.ran) < 1_000
    assert all(len(each.line) + len(each.source) < 5_000 for each in how.ran)
    assert "secret" not in how.model_dump_json()


def test_a_later_field_is_ignored() -> None:
    value = statement(attested())
    value["predicate"]["honkEvidence"]["later"] = 1
    value["predicate"]["honkEvidence"]["commit"]["later"] = 1
    assert attestation.read(enveloped(value)) == attested()


def test_names_are_printable_bounded_and_still_different() -> None:
    names = ["a\x1b[31m", "a[31m", "x" * 5_000, "x" * 5_001, "b\udcff", "two\nlines", "two lines"]
    found = attested(evidence(head=cell("b", dict.fromkeys(names, P))))
    tests = [name for name, _ in found.tests[0].tests]
    assert len(tests) == len(set(tests)) == len(names) + 3
    assert all(name.isprintable() and len(name) < 500 for name in tests)
    assert "two lines" in tests
    attestation.payload(found).decode("utf-8")


def test_paths_of_sides_are_bounded() -> None:
    sides = ChangedSides(source=tuple(f"{n}.py" for n in range(9_000)), tests=("a\u202e.py",))
    found = attested(evidence(sides=sides)).evidence_with({}).sides
    assert len(found.source) == 2_000
    assert "\u202e" not in found.tests[0]


@pytest.mark.slow
def test_fifty_thousand_tests_fit_and_more_are_counted_failures_first() -> None:
    many = {f"tests/test_some_module_{n // 100}.py::test_number_{n}": P for n in range(60_000)}
    many["tests/zzz.py::fails"] = F
    run = cell("b", many)
    found = attested(evidence(base=run, proof=run, guard=run, head=run))
    assert found.omitted == 60_001 - MAX_TESTS
    listed = dict(found.tests[0].tests)
    assert listed["tests/zzz.py::fails"] == "FFFF"
    text = attestation.payload(found)
    assert len(text) < attestation.MAX_PAYLOAD_BYTES
    # A shortened list would claim something, so there is none.
    assert "passedTests" not in json.loads(text)["predicate"]
    assert attestation.read(Envelope(PAYLOAD_TYPE, text, ())) == found


def test_the_digest_covers_tests_that_are_not_listed() -> None:
    many = {f"test_{n}": P for n in range(MAX_TESTS + 5)}
    one = attested(evidence(head=cell("b", many)))
    other = attested(evidence(head=cell("b", {**many, f"test_{MAX_TESTS + 4}": F})))
    assert one.cell(Cell.HEAD).digest != other.cell(Cell.HEAD).digest


def test_long_names_of_many_tests_are_left_out_until_it_fits() -> None:
    many = {f"{n}" + "x" * 300: P for n in range(1_000)}
    text = attestation.payload(attested(evidence(head=cell("b", many))), max_bytes=40_000)
    assert len(text) <= 40_000
    assert json.loads(text)["predicate"]["honkEvidence"]["omitted"] > 0


def _letters_of_tests(statement: Any, letters: str) -> None:
    for each in statement["predicate"]["honkEvidence"]["tests"][0]["tests"]:
        each[1] = letters


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda v: v.update(_type="https://in-toto.io/Statement/v2"), "not an in-toto statement"),
        (lambda v: v.update(predicateType="https://x/y"), "not an in-toto statement"),
        (lambda v: v["predicate"].pop("honkEvidence"), "Honk did not create it"),
        (lambda v: v["predicate"]["honkEvidence"].update(version=2), "version 2"),
        (lambda v: v["predicate"]["honkEvidence"].pop("commit"), "honkEvidence.commit"),
        (lambda v: v["subject"][0]["digest"].update(gitCommit="c" * 40), "different commits"),
        (
            lambda v: v["predicate"]["honkEvidence"]["evidence"].update(sides=1),
            "evidence.sides",
        ),
        (lambda v: v.update(predicate=[]), "Honk did not create it"),
        (
            lambda v: v["predicate"]["honkEvidence"]["commit"].update(repository="../.."),
            "cannot exist",
        ),
        (
            lambda v: v["predicate"]["honkEvidence"]["commit"].update(base="--upload-pack=x"),
            "cannot exist",
        ),
        (lambda v: _letters_of_tests(v, ""), "tests.0.tests.0.1"),
        (lambda v: _letters_of_tests(v, "PPPX"), "tests.0.tests.0.1"),
    ],
)
def test_a_statement_that_is_not_ours_is_refused(change: Any, problem: str) -> None:
    value = statement(attested())
    change(value)
    with pytest.raises(AttestationError, match=problem):
        attestation.read(enveloped(value))


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'"x"', b"{" * 5_000])
def test_a_payload_that_is_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(AttestationError):
        attestation.read(Envelope(PAYLOAD_TYPE, payload, ()))


def test_another_payload_type_is_refused() -> None:
    text = attestation.payload(attested())
    with pytest.raises(AttestationError, match="not an in-toto statement"):
        attestation.read(Envelope("application/json", text, ()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from([*Attestation.model_fields]), JSON)
def test_whatever_a_field_holds_it_is_read_or_refused(field: str, value: object) -> None:
    whole = statement(attested())
    whole["predicate"]["honkEvidence"][field] = value
    with contextlib.suppress(AttestationError):
        attestation.read(enveloped(whole))


def test_the_id_follows_from_run_and_commits_alone() -> None:
    one = attestation.attestation_id(7, RunId("r"), BASE, HEAD)
    assert one == attestation.attestation_id(7, RunId("r"), BASE, HEAD)
    others = {
        attestation.attestation_id(8, RunId("r"), BASE, HEAD),
        attestation.attestation_id(7, RunId("s"), BASE, HEAD),
        attestation.attestation_id(7, RunId("r"), HEAD, BASE),
    }
    assert len({one, *others}) == 4
