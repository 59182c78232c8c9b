"""The tables of docs/trust.md, from the rows of a whole run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cheats.cheat import Cheat, Trick
from tests.support.ledger import Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "trust.md"
_MARK = "<!-- What follows is written by `make trust`. -->"


def write(commit: str, sections: Iterable[str]) -> None:
    """Replace the tables of the previous run."""
    kept = DOCUMENT.read_text().partition(_MARK)[0]
    text = "\n\n".join([_MARK, f"Made from commit {commit}.", *sections])
    DOCUMENT.write_text(f"{kept}{text}\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cell(word) for word in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(word: str) -> str:
    return word.replace("|", "\\|").replace("\n", " ")


def cheats(rows: dict[str, Row], of: Sequence[Cheat]) -> Iterable[str]:
    """One table for each class of cheats."""
    for trick in Trick:
        mine = [each for each in of if each.trick is trick and each.name in rows]
        if mine:
            heads = ("The model", "Verdict", "Pull request", "Shown by", "Two runs alone would say")
            lines = ([each.name, *_padded(rows[each.name], 4)] for each in mine)
            yield f"### {trick.value.capitalize()}\n\n{table(heads, lines)}"


def _padded(row: Row, width: int) -> Row:
    return [*row[:-1], *[""] * width][:width]


def ready_cheats(rows: dict[str, Row], of: Sequence[Cheat]) -> Iterable[str]:
    """The cheats that end ready: the verdict claims nothing, or cannot tell them from a fix."""
    ready = [each for each in of if each.name in rows and "ready" in rows[each.name]]
    for title, mine in (
        ("Ready, because the verdict claims nothing", [each for each in ready if each.is_true]),
        ("Invisible", [each for each in ready if not each.is_true]),
    ):
        if mine:
            lines = "\n".join(f"- {each.name}: {each.ready_as}" for each in mine)
            yield f"### {title}\n\n{lines}"


def totals(named: dict[str, Iterable[Row]]) -> str:
    lines = []
    for name, rows in named.items():
        every = list(rows)
        good = sum(row[-1] == "ok" for row in every)
        lines.append(f"- {name}: {good} of {len(every)} as expected")
    return "\n".join(lines)
