"""A strict subset of shell, read into simple commands. Pure; nothing here is ever run.

Words, quotes, comments, known variables, `&&`, `||`, `;` and lines. Everything else (loops,
conditions, substitutions, pipes, redirections) becomes a command with a `problem`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

MAX_SCRIPT = 20_000
_SHOWN = 80

_SILENT = re.compile(r"[ \t]*(?:[12]?>>?[ \t]*/dev/null|&>[ \t]*/dev/null|2>&1)(?=[\s;|&)]|$)")
_TOKEN = re.compile(
    r"(?P<space>(?:[ \t\r]|\\\n)+)"
    r"|(?P<end>\n)"
    r"|(?P<operator>&&|\|\||[|;&()<>]+)"
    r"|(?P<word>(?:'[^']*'|\"(?:[^\"\\]|\\[\s\S])*\"|\\[^\n]|[^\s'\"\\|;&()<>])+)"
)
_PART = re.compile(
    r"'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\]|\\[\s\S])*)\"|\\(?P<escaped>.)|(?P<plain>[^'\"\\]+)"
)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_CONTROL = frozenset(
    {"if", "for", "while", "until", "case", "select", "function", "{", "(", "[[", "trap", "exec"}
)
_CONDITIONS = frozenset({"[", "test", "!"})
_HARMLESS = frozenset({"true", ":", "exit", "echo"})
_JOINS = ("", ";", "&&", "||")
_ENDS = {"|": "it is a pipeline", ">": "it uses a redirection", "<": "it uses a redirection"}


@dataclass(frozen=True)
class ShellCommand:
    """One simple command. `problem`: why it was not understood, as a phrase; otherwise empty.

    `is_last`: the rest of the script was not read.
    """

    words: tuple[str, ...]
    text: str
    environment: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    is_last: bool = False


def commands(script: str, known: Mapping[str, str]) -> Iterator[ShellCommand]:
    """The commands of a script, in order. `known`: variables whose value is known.

    Ends early, with a command that has a `problem`, if the rest cannot be parsed.
    """
    if len(script) > MAX_SCRIPT:
        yield ShellCommand((), script[:_SHOWN], problem="it is too long", is_last=True)
        return
    depends = False
    for raw, before, after in _simple_commands(_SILENT.sub("", script)):
        command = _command(raw, known)
        words = command.words
        if words and words[0] in _CONTROL:
            yield replace(command, problem="it contains conditions or loops", is_last=True)
            return
        if before == "?" or after.startswith("<<"):
            why = "its shell syntax is beyond what Honk reads"
            yield replace(command, problem=why, is_last=True)
            return
        if before not in _JOINS:
            continue  # The rest of a pipeline, or the file of a redirection.
        depends = before == "||" or (before == "&&" and depends)
        is_condition = bool(words) and words[0] in _CONDITIONS
        if depends and words and words[0] not in _HARMLESS:
            yield replace(command, problem="it depends on the outcome of another command")
        elif not depends and not is_condition:
            why = command.problem or _end(after)
            shown = f"{command.text} {after} ..." if _end(after) else command.text
            yield replace(command, text=shown, problem=why)
        depends = depends or is_condition


def _end(after: str) -> str:
    """Why a command that this operator follows was not understood, or ""."""
    return "" if after in _JOINS else _ENDS.get(after[0], "it runs in the background")


def _simple_commands(script: str) -> Iterator[tuple[list[str], str, str]]:
    """Raw words, the operator before them, and the one after; `?` where the syntax is unknown."""
    words: list[str] = []
    before = ""
    at = 0
    while at < len(script):
        if script[at] == "#" and (at == 0 or script[at - 1] in " \t\n;&|("):
            newline = script.find("\n", at)
            at = len(script) if newline < 0 else newline
            continue
        token = _TOKEN.match(script, at)
        if token is None:
            yield [*words, script[at : at + _SHOWN]], "?", ""
            return
        at = token.end()
        if token["word"] is not None:
            words.append(token["word"])
        elif token["operator"] is not None:
            operator = token["operator"]
            if not words and operator.startswith("("):
                operator, words = "", ["("]
            yield words, before, operator
            words, before = [], operator
        elif token["end"] is not None and (words or before not in ("&&", "||")):
            if words:
                yield words, before, ""
            words, before = [], ""
    if words:
        yield words, before, ""


def _command(raw: list[str], known: Mapping[str, str]) -> ShellCommand:
    text = " ".join(raw)[:_SHOWN]
    environment: dict[str, str] = {}
    words: list[str] = []
    problem = ""
    for each in raw:
        value, why = _value(each, known)
        assignment = _ASSIGNMENT.fullmatch(value)
        if assignment and not words:
            if not why:
                environment[assignment[1]] = assignment[2]
            continue
        words.append(value)
        problem = problem or why
    return ShellCommand(tuple(words), text, environment, problem)


def _value(word: str, known: Mapping[str, str]) -> tuple[str, str]:
    """A word without its quotes, and why it was not understood, or ""."""
    value = ""
    if "${{" in word:
        return word, "it contains an expression that Honk does not evaluate"
    for part in _PART.finditer(word):
        if part["single"] is not None:
            value += part["single"]
            continue
        if part["escaped"] is not None:
            value += part["escaped"]
            continue
        text = part["plain"] if part["plain"] is not None else part["double"]
        if part["plain"] is not None and re.search(r"[*?{}]", re.sub(r"\$\{\w+\}", "", text)):
            return word, "it uses a file name pattern"
        if part["double"] is not None:
            text = re.sub(r'\\(["\\])', r"\1", text)
        text = _VARIABLE.sub(lambda found: known.get(found[1] or found[2], found[0]), text)
        if "$" in text or "`" in text:
            return word, "it uses a variable or substitution that Honk does not evaluate"
        value += text
    return value, ""
