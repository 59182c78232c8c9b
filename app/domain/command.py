"""The grammar of `/honk`. Pure: a comment's text in, a `Command` or None out.

A line addresses Honk when its first word is `/honk` or a mention of the App (`@slug`), in any case,
with at most three blanks before it. What GitHub shows as code or as a quote, or does not show at
all, addresses nobody: fenced and indented code, inline code, `<pre>` and `<code>`, lines that start
with `>`, HTML comments. Where it is unclear how GitHub shows a line, the line is not a command.

The blocks follow https://spec.commonmark.org/0.31.2/ as far as that takes. The time is linear in
the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from app.domain.values import Value

_FENCE = re.compile(
    r"(?P<lead> *(?:(?:[-*+]|\d{1,9}[.)]) +)*)(?P<fence>`{3,}(?!.*`)|~{3,})",
)
_HIDING = re.compile(r" {0,3}<(?P<what>!--|(?:pre|script|style|textarea)(?=[ >]|$))", re.I)
_QUOTE = re.compile(r" *>")
_INDENTED = re.compile(r" {4}")
_INLINE = re.compile(
    r"\\[\\`<]|(?P<ticks>`+)|(?P<comment><!--)|(?P<code><code(?=[\s>]))", re.I | re.A
)
_TICKS = re.compile(r"`+")
_COMMENT_END = re.compile("-->")
_CODE_END = re.compile("</code>", re.I | re.A)


# fmt: off
Name = Literal[
    "work", "plan", "ask", "fix", "test", "rebase", "go", "continue", "retry", "stop", "undo",
    "ready", "trust", "status", "doctor", "help",
]
# fmt: on


class CommandSpec(Value):
    """One command. Without `takes_task` it stands alone on its line, but for its arguments."""

    name: Name
    description: str
    example: str
    takes_task: bool = False
    takes_budget: bool = False


COMMANDS: Mapping[Name, CommandSpec] = {
    spec.name: spec
    for spec in (
        CommandSpec(
            name="work",
            description="start a run; while one is at work, your words join it",
            example="/honk round half up, as the tests say",
            takes_task=True,
        ),
        CommandSpec(
            name="plan",
            description="a plan to read first; nothing is changed",
            example="/honk plan",
            takes_task=True,
        ),
        CommandSpec(name="go", description="carry out the plan", example="/honk go"),
        CommandSpec(
            name="ask",
            description="an answer about the project; nothing is changed",
            example="/honk ask where is the rounding done?",
            takes_task=True,
        ),
        CommandSpec(
            name="fix",
            description="work on the failing checks of this pull request",
            example="/honk fix",
            takes_task=True,
        ),
        CommandSpec(
            name="test",
            description="run the tests on the pull request's newest commit",
            example="/honk test",
        ),
        CommandSpec(
            name="rebase",
            description="bring the branch up to date with its base",
            example="/honk rebase",
        ),
        CommandSpec(name="stop", description="end the run, keep its work", example="/honk stop"),
        CommandSpec(
            name="continue",
            description="go on after a stop, a question, a spent budget or a failure",
            example="/honk continue budget=2",
            takes_budget=True,
        ),
        CommandSpec(
            name="retry", description="a new run from the base branch", example="/honk retry"
        ),
        CommandSpec(
            name="undo", description="take back what the last run committed", example="/honk undo"
        ),
        CommandSpec(
            name="ready", description="mark the draft ready for review", example="/honk ready"
        ),
        CommandSpec(
            name="trust",
            description="let the commit of a fork's pull request reach this repository's CI",
            example="/honk trust 1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d",
        ),
        CommandSpec(name="status", description="how the run stands", example="/honk status"),
        CommandSpec(
            name="doctor",
            description="what Honk may and can do in this repository",
            example="/honk doctor",
        ),
        CommandSpec(name="help", description="this list", example="/honk help"),
    )
}

_TRUST = re.compile(r"[0-9a-f]{7,64}", re.I)
_BUDGET = re.compile(r"budget=\$?(\d{1,6}(?:\.\d{1,2})?)", re.I | re.A)


class Arguments(Value):
    """What stands behind a command as `name=value`; None where it is not given.

    `base` is a branch, `model` a model's id.
    """

    base: str | None = None
    model: str | None = None
    budget_usd: float | None = None
    draft: bool | None = None


class Command(Value):
    """What a person asked for. `task` is what follows the command, to the end of the comment.

    `sha` is the commit that `trust` names, as it was written. `near` is the command that was
    probably meant. `several` are the names of the commands that start work, where there is more
    than one: then nothing starts.
    """

    name: Name
    task: str
    arguments: Arguments = Arguments()
    sha: str = ""
    near: str = ""
    several: tuple[str, ...] = ()


def parse(text: str, slug: str) -> Command | None:
    """Find the first line of a comment that addresses the App called `slug`, and read it.

    A command's name is the first word after the address, in any case. `plan` and `ask` take the
    rest as their task. "/honk fix" is about the failing checks; in "/honk fix the rounding" the
    task is the whole sentence, which makes sense where no check fails. The others stand alone on
    their line, so that "/honk stop using floats" is work and "/honk stop" is not; what follows on
    later lines belongs to the person. Any other words are work, and the task; without words the
    issue itself is the task. Never raises.
    """
    address = re.compile(rf" {{0,3}}(?:/honk|@{re.escape(slug)})[:,]?(?=[\s\u00a0]|$)", re.I | re.A)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not any(map(address.match, lines)):
        return None
    for paragraph in _paragraphs(lines):
        for number in paragraph.spoken_lines():
            found = address.match(lines[number])
            if found:
                return _read(lines[number][found.end() :].strip(), lines[number + 1 :])
    return None


def _read(line: str, following: list[str]) -> Command:
    """The command in what follows the address on its line."""
    word, _, rest = line.partition(" ")
    spec = next((each for each in COMMANDS.values() if each.name == word.lower()), None)
    if spec is not None and spec.name != "work":
        if spec.name == "fix" and rest.strip():
            return Command(name="fix", task="\n".join([line, *following]).strip())
        if spec.takes_task:
            return Command(name=spec.name, task="\n".join([rest, *following]).strip())
        if spec.name == "trust" and _TRUST.fullmatch(rest.strip()):
            return Command(name="trust", task="", sha=rest.strip().lower())
        budget = _BUDGET.fullmatch(rest.strip()) if spec.takes_budget else None
        if not rest.strip() or budget:
            arguments = Arguments(budget_usd=float(budget[1]) if budget else None)
            return Command(name=spec.name, task="", arguments=arguments)
    return Command(name="work", task="\n".join([line, *following]).strip())


@dataclass(frozen=True)
class _Paragraph:
    """Lines that stand together and are neither quoted nor in a block of code."""

    first: int
    lines: list[str]

    def spoken_lines(self) -> Iterator[int]:
        """The numbers of the lines whose beginning is neither inline code nor hidden."""
        spans = _hidden_spans("\n".join(self.lines))
        span = next(spans, None)
        start = 0
        for offset, line in enumerate(self.lines):
            while span is not None and span[1] <= start:
                span = next(spans, None)
            if span is None or start <= span[0]:
                yield self.first + offset
            start += len(line) + 1


def _paragraphs(lines: list[str]) -> Iterator[_Paragraph]:
    together: list[str] = []
    for number, shown in enumerate([*_shown(lines), None]):
        if shown:
            together.append(shown)
        elif together:
            yield _Paragraph(number - len(together), together)
            together = []


def _shown(lines: list[str]) -> Iterator[str]:
    """Each line as it takes part in a paragraph: empty when it is blank, quoted, code or hidden."""
    closer: re.Pattern[str] | None = None
    before = ""
    for raw in lines:
        line = raw.expandtabs(4)
        start = 0
        apart = closer is not None
        if closer is None:
            closer, start = _opened_block(line)
            apart = closer is not None or _is_apart(line, before)
        if closer is not None and closer.search(line, start):
            closer = None
        before = "" if apart or not raw.strip() else raw
        yield before


def _is_apart(line: str, before: str) -> bool:
    """Quoted, or indented code; an indented line below a paragraph still belongs to it."""
    return bool(_QUOTE.match(line) or (not before and _INDENTED.match(line)))


def _opened_block(line: str) -> tuple[re.Pattern[str] | None, int]:
    """What ends the block that this line opens, and from where on the line it may do so."""
    fence = _FENCE.match(line)
    if fence:
        deep = len(fence["lead"]) + 3
        tick, length = fence["fence"][0], len(fence["fence"])
        return re.compile(rf"^ {{0,{deep}}}{tick}{{{length},}} *$"), len(line)
    hiding = _HIDING.match(line)
    if hiding:
        what = hiding["what"]
        return _COMMENT_END if what == "!--" else re.compile(f"</{what}>", re.I), hiding.end()
    return None, 0


def _hidden_spans(text: str) -> Iterator[tuple[int, int]]:
    """From where to where a paragraph is inline code or an HTML comment, in order."""
    runs: dict[int, list[int]] = defaultdict(list)
    for run in _TICKS.finditer(text):
        runs[len(run[0])].append(run.start())
    unclosed: set[re.Pattern[str]] = set()
    at = 0
    while found := _INLINE.search(text, at):
        at = found.end()
        if found["ticks"]:
            same = runs[len(found["ticks"])]
            index = bisect_left(same, at)
            end = same[index] + len(found["ticks"]) if index < len(same) else -1
        elif found["comment"] or found["code"]:
            closer = _COMMENT_END if found["comment"] else _CODE_END
            closing = None if closer in unclosed else closer.search(text, at)
            end = closing.end() if closing else -1
            if not closing:
                unclosed.add(closer)
        else:
            continue
        if end >= 0:
            yield found.start(), end
            at = end
