"""One piece of work, told in the tools of several agents.

In fours: look at a file, search in it, change it, run it. The first change fixes a test; the last
turn ends the work. What is played follows from the request: how many answers it has, and which
tools it offers.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from app.playground.model import Responder, ScriptedTurn

Json = dict[str, Any]

PARTS = 10
FILES = {
    "calc.py": b"def add(a, b):\n    return a - b\n",
    "test_calc.py": b"from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n",
    ".github/honk.yml": b'verify: ["true"]\n',
    **{
        f"pkg/part_{number}.py": b"VALUE = 0\n\n\n"
        + b"".join(b"def get_%d():\n    return VALUE + %d\n\n\n" % (n, n) for n in range(20))
        for number in range(PARTS)
    },
}
"""The repository. Its test command does nothing: tests are not part of the measurement."""

SUMMARY = "add() now adds."


@dataclass(frozen=True)
class Look:
    path: str


@dataclass(frozen=True)
class Run:
    command: str


@dataclass(frozen=True)
class Edit:
    path: str
    old: str
    new: str


Step = Look | Run | Edit


def steps(turns: int) -> list[Step]:
    """The steps for this number of turns; the last only says that the work is done."""
    return [_step(number) for number in range(turns - 1)]


def _step(number: int) -> Step:
    circle = number // 4
    name = "calc" if circle == 0 else f"pkg/part_{(circle - 1) % PARTS}"
    edit = Edit("calc.py", "return a - b", "return a + b")
    if circle > 0:
        before = (circle - 1) // PARTS
        edit = Edit(f"{name}.py", f"VALUE = {before}", f"VALUE = {before + 1}")
    module = name.replace("/", ".")
    return (
        Look(f"{name}.py"),
        Run(f"grep -n return {name}.py # {number}"),
        edit,
        Run(f"python3 -c 'import {module}' # {number}"),
    )[number % 4]


def as_command(step: Step) -> str:
    """A step as a shell command, for agents without other tools."""
    match step:
        case Look():
            return f"cat {step.path}"
        case Run():
            return step.command
        case Edit():
            return f"sed -i {shlex.quote(f's/{step.old}/{step.new}/')} {step.path}"


def play(turns: int, root: str, *, slow_after: int = 10**9) -> Responder:
    """A model that does the work in the folder `root`. Turns from `slow_after` on are slow."""
    planned = steps(turns)

    def responder(request: Json) -> ScriptedTurn:
        done = sum(message["role"] == "assistant" for message in request["messages"])
        names = {str(tool["name"]).rpartition("__")[2] for tool in request.get("tools", [])}
        seconds = 600.0 if done >= slow_after else 0.0
        if done < len(planned):
            call = _call(planned[done], names, root)
            return ScriptedTurn(use=(call,), seconds=seconds)
        return _ending(names)

    return responder


def _call(step: Step, names: set[str], root: str) -> Json:
    if "str_replace_based_edit_tool" in names:
        return _honks(step, root)
    if "Read" in names:
        return _claude_codes(step, root)
    return {"bash": {"command": as_command(step)}}


def _honks(step: Step, root: str) -> Json:
    name = "str_replace_based_edit_tool"
    match step:
        case Look():
            return {name: {"command": "view", "path": f"{root}/{step.path}"}}
        case Run():
            return {"bash": {"command": step.command}}
        case Edit():
            edit = {"path": f"{root}/{step.path}", "old_str": step.old, "new_str": step.new}
            return {name: {"command": "str_replace", **edit}}


def _claude_codes(step: Step, root: str) -> Json:
    match step:
        case Look():
            return {"Read": {"file_path": f"{root}/{step.path}"}}
        case Run():
            return {"Bash": {"command": step.command}}
        case Edit():
            where = f"{root}/{step.path}"
            return {"Edit": {"file_path": where, "old_string": step.old, "new_string": step.new}}


def _ending(names: set[str]) -> ScriptedTurn:
    if "finish" in names:
        ended = {"summary": SUMMARY, "not_done": "", "how_to_check": ""}
        return ScriptedTurn(use=({"finish": ended},))
    if names == {"bash"}:
        return ScriptedTurn(use=({"bash": {"command": _SUBMIT}},))
    return ScriptedTurn(say=SUMMARY)


_SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
"""The command that ends mini-swe-agent."""


def price_units(usage: Json) -> float:
    """What an answer cost, in tokens of fresh input, as most models price them.

    https://platform.claude.com/docs/en/about-claude/pricing
    """
    return (
        float(usage["input_tokens"])
        + 1.25 * float(usage["cache_creation_input_tokens"])
        + 0.1 * float(usage["cache_read_input_tokens"])
        + 5.0 * float(usage["output_tokens"])
    )
