"""Builds the results of a test run from its exit status and output."""

from __future__ import annotations

import re

from app.domain.verdict import VerifierResult, whole_run
from app.sandbox.spec import Completed

MAX_OUTPUT_TAIL = 16_000
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def ended_early(
    result: VerifierResult, problem: str, *, could_not_run: bool = False
) -> VerifierResult:
    """The result of a run that failed as a whole, with its own entry for the failure.

    `could_not_run`: an unknown number of tests did not run, whatever else ran.
    """
    entry = whole_run(result.command, problem, details=result.output_tail[-4_000:])
    entry = entry.model_copy(update={"could_not_run": could_not_run})
    tests = (*result.tests, entry)
    return result.model_copy(update={"tests": tests, "problem": problem, "complete": False})


def result_of(verifier: str, command: str, completed: Completed) -> VerifierResult:
    """The result of a run before its report is read."""
    return VerifierResult(
        verifier=verifier,
        command=command,
        exit_code=completed.exit_code,
        timed_out=completed.timed_out,
        killed=completed.killed,
        output_tail=output_tail(completed),
        seconds=completed.seconds,
    )


def plain(text: str) -> str:
    """Text without control sequences and control characters."""
    return _CONTROL.sub("", _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))


def output_tail(completed: Completed, printed: bytes | None = None) -> str:
    """The tail of the output without control sequences; an omission is marked.

    `printed` is the standard output if it was captured as a report.
    """
    everything = completed.output if printed is None else completed.output + printed
    output = everything[-MAX_OUTPUT_TAIL:]
    left_out = completed.dropped_bytes + len(everything) - len(output)
    text = plain(output.decode("utf-8", errors="replace"))
    return f"… {left_out:,} bytes of output left out …\n{text}" if left_out else text
