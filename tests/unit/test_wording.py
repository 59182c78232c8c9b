"""Texts that people read use plain American English: a few words never appear in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_DOCUMENTS = sorted(
    [*_ROOT.glob("*.md"), *_ROOT.glob("docs/*.md"), _ROOT / "docs/honk.schema.json"]
)
_SOURCES = sorted(_ROOT.glob("app/messages/*.py"))
_TEMPLATES = sorted(
    [*_ROOT.glob("app/web/templates/*.html"), *_ROOT.glob("app/installer/templates/*.html")]
)
_BANNED = re.compile(
    r"\b(?:mend(?:s|ed|ing)?|anew|nobody|whoever|meanwhile|in words|of (?:its|their) own"
    r"|(?:is|are|was|were) told|behaviours?|colours?|defences?|licences?|labelled)\b",
    re.IGNORECASE,
)


def _shown(path: Path) -> Iterator[str]:
    """The texts of a file that people read: all of a document, the string literals of a module."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


@pytest.mark.parametrize(
    "path", [*_DOCUMENTS, *_SOURCES, *_TEMPLATES], ids=lambda path: str(path.relative_to(_ROOT))
)
def test_no_text_for_people_has_a_banned_word(path: Path) -> None:
    found = {match.group() for text in _shown(path) for match in _BANNED.finditer(text)}
    assert not found, f"say it in plain American English: {', '.join(sorted(found))}"


@pytest.mark.parametrize("word", ["Nobody", "mend", "is told", "defence"])
def test_a_banned_word_is_found(word: str) -> None:
    assert _BANNED.search(f"A text with {word} in it.")
    assert not _BANNED.search("recommend; the defense; it stands for that")
