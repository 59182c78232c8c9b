"""Shell blocks of documents about setting up the repository, for people and agents. Pure.

The least trusted place: prose also has examples. Only lines of known forms are recorded, and other
lines are not reported: most of them are not about setup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt

from app.domain.file_tree import FileTree
from app.recipes.declared import shell
from app.recipes.declared.findings import Findings
from app.recipes.declared.script import ScriptPlace, ScriptReader

_NAMES = ("AGENTS.md", "CONTRIBUTING.md", ".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md")
_MAX_BYTES = 60_000
_MOST_BLOCKS = 40
_SHELLS = frozenset(("", "sh", "bash", "shell", "console", "zsh", "shell-session"))
_PROMPT = re.compile(r"^[ \t]*[$>%][ \t]+", re.MULTILINE)
_PARSER = MarkdownIt("zero", {"maxNesting": 10}).enable(["fence", "list"])


def read(tree: FileTree) -> Findings:
    """The declarations in the shell blocks; nothing if there are none."""
    found = Findings()
    for path in _NAMES:
        for script in _blocks(tree.read_text(path, _MAX_BYTES) or ""):
            findings = Findings()
            findings.source = path
            for line in script.splitlines():
                # A line that the reader gives up on must not hide those below it.
                ScriptReader(tree, findings, {}).read(line, ScriptPlace(path))
            findings.unread.clear()
            findings.missing.clear()
            findings.environment.clear()  # examples contain placeholders for keys and URLs
            found.add(findings)
    return found


def _blocks(text: str) -> Iterator[str]:
    fences = [each for each in _PARSER.parse(text) if each.type == "fence"]
    for fence in fences[:_MOST_BLOCKS]:
        language = fence.info.partition(" ")[0].lower()
        if language in _SHELLS:
            script = fence.content
            if _PROMPT.search(script):
                # Lines between prompts are the commands' output.
                lines = [line for line in script.splitlines() if _PROMPT.match(line)]
                script = "\n".join(_PROMPT.sub("", line, count=1) for line in lines)
            yield script[: shell.MAX_SCRIPT]
