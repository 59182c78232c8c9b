"""What `honk verify` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.domain.attestation import LETTERS, Attestation
from app.domain.evidence import Cell
from app.domain.reproduction import CellComparison, Reproduction
from app.domain.sanitize import without_invisible
from app.domain.values import short

_TESTS_SHOWN = 20

_CELLS = {
    Cell.BASE: "base (old code, old tests)",
    Cell.PROOF: "proof (old code, new tests)",
    Cell.GUARD: "guard (new code, old tests)",
    Cell.HEAD: "head (new code, new tests)",
}

_ANSWERS = {
    "same": "The results are the same.",
    "different": "The results differ.",
    "unchecked": "Not everything could be checked.",
}


def signed(attested: Attestation, key_id: str, source: str) -> str:
    """The attestation's verdict, and its key."""
    commit, verdict = attested.commit, attested.verdict
    lines = [
        f"{commit.repository} at {short(commit.head)}, compared with {short(commit.base)}:",
        f"  {verdict.title}",
    ]
    if verdict.accepted_by:
        lines.append(f"  Accepted by {verdict.accepted_by}.")
    lines.append(
        f"Signed on {attested.finished_on[:10]} with the key {key_id}, which is in {source}."
    )
    return _lines(lines)


def compared(found: Reproduction) -> str:
    """The results of running the cells again."""
    lines = [line for each in found.cells for line in _cell(each)]
    if found.verdict_now:
        lines.append(f"Verdict here: {found.verdict_now}")
    lines += found.notes
    lines.append(_ANSWERS[found.answer])
    if found.answer == "different":
        lines.append("If these tests are flaky, run this once more.")
    return _lines(lines)


def as_json(attested: Attestation, key_id: str, found: Reproduction | None) -> dict[str, Any]:
    """The same for programs."""
    commit, verdict = attested.commit, attested.verdict
    value: dict[str, Any] = {
        "repository": commit.repository,
        "base": commit.base,
        "head": commit.head,
        "verdict": {"kind": verdict.kind.value, "title": verdict.title},
        "key": key_id,
        "finished_on": attested.finished_on,
    }
    if found is not None:
        value |= {"answer": found.answer, **found.model_dump(mode="json")}
    return value


def _cell(each: CellComparison) -> Iterator[str]:
    name = _CELLS[each.cell]
    if each.same_as is not None:
        name = f"{name}, not run separately because it cannot differ from {each.same_as}"
    tests = f"{each.compared:,} {'test' if each.compared == 1 else 'tests'}"
    if each.answer == "unchecked":
        yield f"{name}: not checked. {each.why}"
    elif each.answer == "same":
        yield f"{name}: {each.why or f'same, {tests}'}"
    else:
        yield f"{name}: different. {each.why or f'{each.total:,} of {tests} ended differently:'}"
    for difference in each.differences[:_TESTS_SHOWN]:
        then, now = LETTERS.get(difference.then, "?"), LETTERS[difference.now]
        yield f"  {difference.verifier}: {difference.id}: {then} then, {now} here"
    if each.total > _TESTS_SHOWN:
        yield f"  and {each.total - _TESTS_SHOWN:,} more (--json lists them)"
    if each.unstable:
        shown = ", ".join(each.unstable[:3])
        more = f" and {len(each.unstable) - 3:,} more" if len(each.unstable) > 3 else ""
        yield f"  passed and failed here, so not counted: {shown}{more}"


def _lines(lines: list[str]) -> str:
    # Names in a file may contain control sequences for a terminal.
    return "\n".join(without_invisible(" ".join(line.split("\n"))) for line in lines)
