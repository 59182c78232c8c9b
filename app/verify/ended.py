"""How a command ended, in words, and the end of what it printed."""

from __future__ import annotations

import re

from app.workspace.spec import Completed

MAX_OUTPUT_TAIL = 16_000
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_KILLED = {
    "memory": "it used more memory than it may",
    "processes": "it started more processes than it may",
    "output": "it wrote more output than it may",
    "stopped": "it was stopped",
    "sandbox": "its sandbox went away",
}


def how_it_ended(completed: Completed) -> str | None:
    """In words, what ended a run that did not end by itself; None when it did."""
    if completed.timed_out:
        return "it did not end within its time limit"
    if completed.killed is not None:
        return _KILLED.get(completed.killed, f"it was ended ({completed.killed})")
    if completed.exit_code is None:
        return "it ended without an exit code"
    if completed.exit_code > 128:
        return f"it was ended by signal {completed.exit_code - 128}"
    return None


def output_tail(completed: Completed) -> str:
    """The end of what was printed, as text without control sequences; what is left out is said."""
    output = completed.output[-MAX_OUTPUT_TAIL:]
    left_out = completed.dropped_bytes + len(completed.output) - len(output)
    text = _ESCAPES.sub("", output.decode("utf-8", errors="replace"))
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return f"… {left_out:,} bytes of output left out …\n{text}" if left_out else text
