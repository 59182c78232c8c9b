"""Evidence of a fix with a test that fails without it, for tests of what is made from it."""

from __future__ import annotations

from typing import Any

from app.domain.evidence import CellRun, Evidence
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import (
    EvidenceRow,
    Meaning,
    Results,
    Seen,
    TestOutcome,
    TestResult,
    Verdict,
    VerdictKind,
    VerifierResult,
)

P, F, E = TestOutcome.PASSED, TestOutcome.FAILED, TestOutcome.ERROR


def cell(commit: str, tests: dict[str, TestOutcome], **more: Any) -> CellRun:
    """A cell in which these tests ended so."""
    results = tuple(TestResult(id=name, outcome=outcome) for name, outcome in tests.items())
    verifier = VerifierResult(
        verifier="pytest", command="python -m pytest", tests=results, exit_code=0, ran=True
    )
    return CellRun(
        results=Results(
            commit=CommitSha(commit * 40), tree=TreeSha(commit * 40), verifiers=(verifier,)
        ),
        **more,
    )


def evidence(**more: Any) -> Evidence:
    """A fix with a new test that fails without it."""
    cells = {
        "base": cell("a", {"t.py::old": P, "t.py::broken": F}),
        "proof": cell("c", {"t.py::old": P, "t.py::broken": F, "t.py::new": F}, only=("t.py",)),
        "guard": cell("d", {"t.py::old": P, "t.py::broken": P}, only=("t.py",)),
        "head": cell("b", {"t.py::old": P, "t.py::broken": P, "t.py::new": P}),
    }
    return Evidence(**{**cells, **more})


def verdict(**more: Any) -> Verdict:
    row = EvidenceRow(
        verifier="pytest",
        id="t.py::new",
        base=Seen.ABSENT,
        proof=Seen.FAIL,
        guard=Seen.ABSENT,
        head=Seen.PASS,
        meaning=Meaning.PROVEN,
    )
    given: dict[str, Any] = {
        "conclusion": "success",
        "title": "Proven: 1 test fails without this change",
        "kind": VerdictKind.PROVEN,
        "ready": True,
        "rows": (row,),
    }
    return Verdict(**{**given, **more})
