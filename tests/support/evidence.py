"""Evidence of a fix with a test that fails without it, for tests of code that uses evidence."""

from __future__ import annotations

from typing import Any

from app.domain import attestation
from app.domain.attestation import (
    Attestation,
    HowToRun,
    Surroundings,
    ToolchainVersion,
    VerifiedCommit,
)
from app.domain.evidence import CellRun, Evidence, Rules
from app.domain.policy import NetworkPolicy, Policy
from app.domain.values import CommitSha, RunId, TreeSha
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

BASE, HEAD = CommitSha("a" * 40), CommitSha("b" * 40)
P, F, E = TestOutcome.PASSED, TestOutcome.FAILED, TestOutcome.ERROR


def cell(commit: str, tests: dict[str, TestOutcome], **more: Any) -> CellRun:
    """A cell with these test results."""
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


def attested(found: Evidence | None = None, judged: Verdict | None = None) -> Attestation:
    """The record of this evidence."""
    policy = Policy(setup=("pip install -r r.txt",), network=NetworkPolicy(allow=("python",)))
    return attestation.attestation(
        found or evidence(),
        judged or verdict(),
        Rules(accepted_by="olivia"),
        commit=VerifiedCommit(
            server="https://github.com",
            repository="o/r",
            repository_id=7,
            base=BASE,
            base_tree=TreeSha("1" * 40),
            head=HEAD,
            head_tree=TreeSha("2" * 40),
        ),
        run=RunId("abcdefghij"),
        url="https://honk.example/runs/abcdefghij",
        how_to_run=HowToRun.of(policy, "registry.example/image@sha256:" + "e" * 64),
        surroundings=Surroundings(
            honk="0.1.0",
            sandbox="bubblewrap",
            environment="f" * 16,
            toolchains=(ToolchainVersion(name="python", version="Python 3.11.2"),),
        ),
        finished=0.0,
    )
