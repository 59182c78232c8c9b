"""The grammar of `/honk`. Pure: a comment's text in, a `Command` or None out.

A line addresses Honk when its first word is `/honk` or a mention of the App (`@slug`, or
`@slug[bot]`), in any case, with at most three blanks before it, and the line is the author's own
text (see `app/domain/comment_text.py`). The letters are plain ASCII: look-alikes from other
alphabets do not match. Takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from app.domain.comment_text import authored_lines
from app.domain.values import Value, is_branch_name

# Right-to-left keyboards put direction marks around typed text; phones insert non-breaking spaces,
# East Asian keyboards wide ones.
_MARKS = "\u061c\u200e\u200f\u2066-\u2069"
_BLANKS = "\u00a0\u2007\u202f\u3000"
_INVISIBLE = "\u200b\ufeff"
_WORD = re.compile(rf"[^\s{_MARKS}]+")
_STOPS = ".!?,;:…。！？"
_FILLERS = frozenset({"please", "pls", "now", "thanks", "it", "this", "that", "ahead"})
_MOST_READ = 5


# fmt: off
Name = Literal[
    "work", "plan", "ask", "fix", "test", "rebase", "setup", "go", "continue", "retry", "stop",
    "undo", "ready", "accept", "merge", "revert", "trust", "status", "doctor", "help",
]
# fmt: on


MergeMethod = Literal["merge", "squash", "rebase"]
"""How a pull request's commits get onto the base branch, as GitHub names it."""

ArgumentName = Literal["base", "model", "budget", "draft"]
_COST: tuple[ArgumentName, ...] = ("model", "budget")
_ALL: tuple[ArgumentName, ...] = ("base", *_COST, "draft")


class CommandSpec(Value):
    """One command. Without `takes_task`, only arguments may follow it on its line."""

    name: Name
    description: str
    example: str
    takes_task: bool = False
    arguments: tuple[ArgumentName, ...] = ()

    @property
    def uses_model(self) -> bool:
        """Whether it costs money, since the agent works."""
        return "budget" in self.arguments


COMMANDS: Mapping[Name, CommandSpec] = {
    spec.name: spec
    for spec in (
        CommandSpec(
            name="work",
            description="start a run, or steer the one in progress",
            example="/honk round half up, as the tests say",
            arguments=_ALL,
            takes_task=True,
        ),
        CommandSpec(
            name="plan",
            description="write a plan for review; changes nothing",
            example="/honk plan",
            arguments=_ALL,
            takes_task=True,
        ),
        CommandSpec(
            name="go",
            description="implement the plan",
            example="/honk go",
            arguments=(*_COST, "draft"),
        ),
        CommandSpec(
            name="ask",
            description="answer a question about the project; changes nothing",
            example="/honk ask where is the rounding done?",
            arguments=_COST,
            takes_task=True,
        ),
        CommandSpec(
            name="fix",
            description="fix this pull request's failing checks",
            example="/honk fix",
            arguments=_COST,
            takes_task=True,
        ),
        CommandSpec(
            name="test",
            description="run the tests on the pull request's latest commit",
            example="/honk test",
        ),
        CommandSpec(
            name="rebase",
            description="bring the branch up to date with its base",
            example="/honk rebase",
            arguments=_COST,
        ),
        CommandSpec(name="stop", description="end the run and save its work", example="/honk stop"),
        CommandSpec(
            name="continue",
            description="resume after a stop, a question, a spent budget or a failure",
            example="/honk continue budget=2",
            arguments=_COST,
        ),
        CommandSpec(
            name="retry",
            description="start over from the base branch",
            example="/honk retry",
            arguments=_ALL,
        ),
        CommandSpec(
            name="undo", description="revert what the last run committed", example="/honk undo"
        ),
        CommandSpec(
            name="ready", description="mark the draft ready for review", example="/honk ready"
        ),
        CommandSpec(
            name="accept",
            description="accept the changed or removed tests of a commit",
            example="/honk accept 1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d",
        ),
        CommandSpec(
            name="merge",
            description="merge the pull request; `squash`, `rebase` or `merge` names the method",
            example="/honk merge squash",
        ),
        CommandSpec(
            name="revert",
            description="open a pull request that reverts this merged one",
            example="/honk revert",
        ),
        CommandSpec(
            name="trust",
            description="let this repository's CI run a commit of a fork's pull request",
            example="/honk trust 1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d",
        ),
        CommandSpec(
            name="setup",
            description="open a pull request with the commands that set this repository up",
            example="/honk setup",
        ),
        CommandSpec(name="status", description="show the run's progress", example="/honk status"),
        CommandSpec(
            name="doctor",
            description="check what works in this repository",
            example="/honk doctor",
        ),
        CommandSpec(name="help", description="show this list", example="/honk help"),
    )
}

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.I)
_METHODS: Mapping[str, MergeMethod] = {"merge": "merge", "squash": "squash", "rebase": "rebase"}
_PART_OF_SHA = re.compile(r"[0-9a-f]{4,64}", re.I)
_ARGUMENT = re.compile(r"(?P<name>[a-z_]{1,30})=(?P<value>.*)", re.I | re.A | re.S)
_BUDGET = re.compile(r"\$?(\d{1,4}(?:\.\d{1,2})?)", re.A)
_MODEL = re.compile(r"[a-z0-9][a-z0-9._:/@-]{0,99}", re.I | re.A)
_MOST_USD = 1000.0
_DRAFT = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Arguments(Value):
    """A command's `name=value` arguments; None if absent.

    `base` is a branch, `model` a model's id.
    """

    base: str | None = None
    model: str | None = None
    budget_usd: float | None = None
    draft: bool | None = None


class Command(Value):
    """A person's command. `task` is the text after it, to the end of the comment.

    The other fields reject a command, so that nothing starts: `near` is the command that was
    probably meant, `problem` a sentence about invalid arguments, `several` the names of up to
    five commands if the comment holds more than one.

    `sha` is the full, lower-case SHA given to `accept`, `merge` or `trust`, or empty; `method` the
    one given to `merge`.
    """

    name: Name
    task: str
    arguments: Arguments = Arguments()
    sha: str = ""
    method: MergeMethod | None = None
    near: str = ""
    problem: str = ""
    several: tuple[str, ...] = ()


class _ArgumentError(Exception):
    """An invalid argument. The message is a whole sentence for its author."""


def parse(text: str, slug: str) -> Command | None:
    """Find the command in a comment for the App called `slug`. Never raises.

    A command's name is the first word after the address, in any case. `plan` and `ask` take the
    rest as their task. "/honk fix" is about the failing checks; in "/honk fix the rounding" the
    task is the whole sentence, which makes sense where no check fails. The others stand alone on
    their line, so that "/honk stop using floats" is work and "/honk stop" is not; what follows on
    later lines belongs to the person. Any other words are work, and the task; without words the
    issue itself is the task.

    `name=value` is an argument right behind the address or the command's name, and at the end of
    the command's line where the name is a known one. In running words it is part of the task.
    """
    address = re.compile(
        rf" {{0,3}}[{_BLANKS}{_MARKS}]{{0,8}}(?ai:/honk|@{re.escape(slug)}(?:\[bot\])?)[:,]?"
        rf"(?=[\s{_MARKS}]|$)"
    )
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not any(map(address.match, lines)):
        return None
    own = authored_lines(lines)
    found = [(n, match.end()) for n in own.lines if (match := address.match(lines[n]))]
    ends = [*(number for number, _ in found[1:]), own.end]
    commands: list[Command] = []
    for (number, behind), end in zip(found[:_MOST_READ], ends, strict=False):
        command = _read(lines[number][behind:], lines[number + 1 : end])
        if command not in commands[:1]:
            commands.append(command)
    if len(commands) < 2:
        return commands[0] if commands else None
    names = tuple(command.name for command in commands)
    return commands[0].model_copy(update={"several": names})


@dataclass(frozen=True)
class _Word:
    """A word of the command's line and its position."""

    start: int
    end: int
    text: str

    @property
    def bare(self) -> str:
        """Lower-case the word and drop trailing punctuation."""
        return self.text.strip(_INVISIBLE).rstrip(_STOPS).lower()


def _read(line: str, following: list[str]) -> Command:
    """Parse the command from the rest of the line after the address."""
    words = [_Word(found.start(), found.end(), found[0]) for found in _WORD.finditer(line)]
    spec, given, words = _taken_apart(words)
    said = line[words[0].start : words[-1].end] if words else ""
    task = "\n".join([said, *following]).strip()
    command = Command(name=spec.name, task=task if spec.takes_task else "")
    try:
        # "fix the rounding" is a task, with a task's arguments.
        takes = COMMANDS["work"] if spec.name == "fix" and words else spec
        arguments = _arguments(takes, given)
        method, words = _method(spec, words)
        sha = _commit(spec, words)
    except _ArgumentError as error:
        return command.model_copy(update={"problem": str(error)})
    near = _near(words[0].bare) if spec.name == "work" and len(words) == 1 else ""
    read = {"arguments": arguments, "sha": sha, "method": method, "near": near}
    return command.model_copy(update=read)


def _taken_apart(words: list[_Word]) -> tuple[CommandSpec, list[str], list[_Word]]:
    """Split into the command, its raw arguments and the words of its task."""
    given, words = _leading_arguments(words)
    trailing, words = _trailing_arguments(words)
    # "stop it, please" is "stop"; "fix it" is a task, as every sentence with "fix" is.
    meant = _without_fillers(words)
    if meant and meant[0].bare in COMMANDS and meant[0].bare != "fix":
        alone = not _leading_arguments(meant[1:])[1]
        words = meant if alone else words
    named = words[0].bare if words else "work"
    spec = next((each for each in COMMANDS.values() if each.name == named), COMMANDS["work"])
    if spec.name == "work":
        return spec, [*given, *trailing], [] if len(words) == 1 and named == "work" else words
    behind, rest = _leading_arguments(words[1:])
    if spec.name == "fix" and rest and not behind:
        return spec, [*given, *trailing], words
    if spec.name == "merge" and _names_merge(rest):
        return spec, [*given, *behind, *trailing], _without_fillers(rest)
    is_commit = len(rest) == 1 and (
        spec.name == "trust" or (spec.name == "accept" and _PART_OF_SHA.fullmatch(rest[0].bare))
    )
    if spec.takes_task or not rest or is_commit:
        return spec, [*given, *behind, *trailing], rest
    return COMMANDS["work"], [*given, *trailing], words


def _without_fillers(words: list[_Word]) -> list[_Word]:
    return [word for word in words if word.bare not in _FILLERS]


def _names_merge(words: list[_Word]) -> bool:
    """Whether these words name a method or a commit; "merge the two helpers" is work."""
    return all(
        word.bare in _METHODS or _PART_OF_SHA.fullmatch(word.bare)
        for word in _without_fillers(words)
    )


def _leading_arguments(words: list[_Word]) -> tuple[list[str], list[_Word]]:
    """The leading arguments; one with blanks around its `=` is read as empty."""
    given = list(takewhile(_ARGUMENT.fullmatch, (word.text for word in words)))
    rest = words[len(given) :]
    if len(rest) > 1 and rest[0].text.lower() in _READ and rest[1].text.startswith("="):
        return [*given, f"{rest[0].text}="], rest[3 if rest[1].text == "=" else 2 :]
    return given, rest


def _trailing_arguments(words: list[_Word]) -> tuple[list[str], list[_Word]]:
    rest = list(words)
    given: list[str] = []
    while rest and _is_known(rest[-1].text):
        given.append(rest.pop().text)
    return given[::-1], rest


def _is_known(word: str) -> bool:
    found = _ARGUMENT.fullmatch(word)
    return found is not None and found["name"].lower() in _READ


def _arguments(spec: CommandSpec, given: list[str]) -> Arguments:
    """Raises _ArgumentError for an argument that is unknown, invalid, duplicate, or not this
    command's."""
    values: dict[str, object] = {}
    for word in given:
        found = _ARGUMENT.fullmatch(word)
        assert found is not None
        name = found["name"].lower()
        if name not in _READ:
            raise _ArgumentError(_unknown(name))
        if name not in spec.arguments:
            takes = _listed(spec.arguments) or "no arguments"
            raise _ArgumentError(f"`/honk {spec.name}` does not take `{name}=`; it takes {takes}.")
        field = "budget_usd" if name == "budget" else name
        if field in values:
            raise _ArgumentError(f"`{name}=` is given twice.")
        values[field] = _READ[name](found["value"])
    return Arguments.model_validate(values)


def _unknown(name: str) -> str:
    near = _nearest(name, _READ)
    hint = f"did you mean `{near}=`?" if near else f"known arguments: {_listed(tuple(_READ))}."
    return f"Unknown argument `{name}=`; {hint} If it is part of your task, put a word before it."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}=`" for name in names)


def _base(value: str) -> str:
    if not is_branch_name(value):
        raise _ArgumentError("`base=` takes a branch name, such as `base=main`.")
    return value


def _model(value: str) -> str:
    if not _MODEL.fullmatch(value):
        raise _ArgumentError("`model=` takes a model id, such as `model=claude-sonnet-5-5`.")
    return value


def _budget(value: str) -> float:
    found = _BUDGET.fullmatch(value)
    if not found or not 0 < float(found[1]) <= _MOST_USD:
        raise _ArgumentError(
            f"`budget=` takes US dollars, more than 0 and up to {_MOST_USD:.0f}, such as "
            "`budget=2.50`."
        )
    return float(found[1])


def _draft(value: str) -> bool:
    if value.lower() not in _DRAFT:
        raise _ArgumentError("`draft=` takes `true` or `false`.")
    return _DRAFT[value.lower()]


_READ: Mapping[str, Callable[[str], object]] = {
    "base": _base,
    "model": _model,
    "budget": _budget,
    "draft": _draft,
}


def _method(spec: CommandSpec, words: list[_Word]) -> tuple[MergeMethod | None, list[_Word]]:
    """The method that `merge` names, and the other words. Raises _ArgumentError for several."""
    if spec.name != "merge":
        return None, words
    methods = [_METHODS[word.bare] for word in words if word.bare in _METHODS]
    others = [word for word in words if word.bare not in _METHODS]
    if len(methods) > 1 or len(others) > 1:
        raise _ArgumentError(_MERGE_TAKES)
    return (methods[0] if methods else None), others


_MERGE_TAKES = (
    "`/honk merge` takes one method (`squash`, `rebase` or `merge`) and one full SHA of a commit."
)


def _commit(spec: CommandSpec, words: Sequence[_Word]) -> str:
    """Require the full SHA: someone could craft another commit with the same prefix.

    `accept` and `merge` may stand alone: then they mean the newest verdict. `trust` may not, and
    says so itself. Raises _ArgumentError.
    """
    if spec.name not in ("accept", "merge", "trust") or not words:
        return ""
    if _SHA.fullmatch(words[0].bare):
        return words[0].bare
    if spec.name == "accept":
        raise _ArgumentError("`/honk accept` takes the full SHA of a commit, or nothing.")
    if spec.name == "merge":
        raise _ArgumentError(_MERGE_TAKES)
    return ""


def _near(word: str) -> str:
    """The command that a misspelled word was probably meant to be, if any."""
    return _nearest(word, [name for name in COMMANDS if name != "work"])


def _nearest(word: str, known: Iterable[str]) -> str:
    """The known word within one edit of this one, or two for a longer word."""
    if not 2 <= len(word) <= _LONGEST:
        return ""
    slips = {each: _slips(word, each) for each in known}
    best = min(slips, key=slips.__getitem__)
    allowed = 0 if len(best) < _SHORT else 1 if len(best) < _LONG else 2
    return best if slips[best] <= allowed else ""


_SHORT, _LONG, _LONGEST = 3, 6, 12


def _slips(one: str, other: str) -> int:
    """The number of letters to insert, delete, replace or swap to turn one word into the other.

    The optimal string alignment distance.
    """
    two_before: list[int] = []
    before = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                row[j] = min(row[j], two_before[j - 2] + 1)
        two_before, before = before, row
    return before[-1]
