"""The project's guidance for agents on the default branch, and its entries in the context list."""

from __future__ import annotations

from dataclasses import dataclass

from app.agent.prompt import Guidance
from app.domain.run import ContextItem, RunInput
from app.domain.sanitize import visible
from app.domain.values import CommitSha
from app.git.link_resolution import NotThereError, Start, start_of
from app.runs.services import Services

_NAMES = ("AGENTS.md", "CLAUDE.md")
_MAX_BYTES = 32_768
_MAX_NESTED = 20


@dataclass(frozen=True)
class GuidanceFiles:
    """The files' texts, and one context list entry per file, read or not."""

    texts: tuple[Guidance, ...]
    items: tuple[ContextItem, ...]


async def read(services: Services, run: RunInput, rules: CommitSha) -> GuidanceFiles:
    """Read the files at this commit. Symlinks inside the repository are followed, long files are
    cut."""
    mirrors, repo = services.mirrors, run.trigger.repository
    texts: list[Guidance] = []
    items: list[ContextItem] = []
    seen: dict[str, str] = {}
    for name in _NAMES:
        try:
            start = await start_of(mirrors, repo, rules, name, _MAX_BYTES)
        except NotThereError as problem:
            items.append(ContextItem(what=name, why_not=str(problem)))
            continue
        if start is None:
            continue
        if start.path in seen:
            items.append(ContextItem(what=name, note=f"the same file as {seen[start.path]}"))
            continue
        seen[start.path] = name
        text, notes = _shown(name, start)
        if text.strip():
            texts.append(Guidance(path=name, text=text))
        items.append(ContextItem(what=name, note=", ".join(notes)))
    files = await mirrors.files(repo, rules)
    nested = sorted(path for path in files if "/" in path and path.rpartition("/")[2] in _NAMES)
    others = [path for path in nested if path not in seen]
    why = "only files at the top are given; the agent can open it in the checkout"
    items += [ContextItem(what=path, why_not=why) for path in others[:_MAX_NESTED]]
    if len(others) > _MAX_NESTED:
        items.append(
            ContextItem(what=f"{len(others) - _MAX_NESTED:,} more of that name", why_not=why)
        )
    return GuidanceFiles(tuple(texts), tuple(items))


def _shown(name: str, start: Start) -> tuple[str, list[str]]:
    """The text with a marker where it was cut, and notes on the changes to it."""
    notes = [f"a link to {start.path}"] if start.path != name else []
    content = start.content
    if not start.is_whole:
        # Cut at the end of a line, unless there is only one.
        content = content[: content.rfind(b"\n") + 1] or content
        notes.append(f"cut: the first {len(content):,} of {start.size:,} bytes")
    text = content.decode("utf-8", "replace")
    if "\ufffd" in text and not start.is_whole:
        text = text.rstrip("\ufffd")
    if visible(text).strip() != text.replace("\r\n", "\n").replace("\r", "\n").strip():
        notes.append("hidden text removed")
    if not start.is_whole:
        text += (
            f"\n[The rest is left out: this was the first {len(content):,} of {start.size:,} bytes "
            f"of {start.path}. Read that file in the checkout for the rest.]\n"
        )
    return text, notes
