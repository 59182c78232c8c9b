"""The verifiers, and which of them a repository gets. A new ecosystem is a file and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.verify.verifier import Detected, FileTree, Verifier, label
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.pytest import Pytest, is_plain

ALL: tuple[Detected, ...] = (Pytest,)
"""Those that switch themselves on, in the order in which they run: what tests best comes first."""

BY_NAME = {kind.name: kind for kind in ALL}
"""The same, by the name that a policy may call them by."""

MAX_VERIFIERS = 40


@dataclass(frozen=True)
class Choice:
    """What verifies a commit; by their labels, what would but for its being too much, and what
    need not since the change cannot affect it.
    """

    verifiers: tuple[Verifier, ...]
    beyond: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def choose(policy_verify: Sequence[str] | None, tree: FileTree) -> Choice:
    """What verifies a commit: what the policy says, or else what the repository contains.

    A line of the policy is the name of a verifier, with `:` and a folder where it should run in no
    other; or a call of pytest whose tests can be counted; or a command that is known by its exit
    code alone. The choice may be empty: nothing to run.
    """
    if policy_verify:
        lines = dict.fromkeys(line.strip() for line in policy_verify)
        return _bounded(verifier for line in lines for verifier in _of_line(line, tree))
    return _bounded(verifier for kind in ALL for verifier in kind.detect(tree))


def _bounded(found: Iterable[Verifier]) -> Choice:
    verifiers = tuple(dict.fromkeys(found))
    kept, beyond = verifiers[:MAX_VERIFIERS], verifiers[MAX_VERIFIERS:]
    return Choice(kept, tuple(label(verifier) for verifier in beyond))


def _of_line(line: str, tree: FileTree) -> Iterator[Verifier]:
    name, _, folder = line.partition(":")
    if name in BY_NAME and (folder or line == name):
        kind = BY_NAME[name]
        found = tuple(kind.detect(tree)) if not folder else ()
        yield from found or (kind(folder=folder.strip("/")),)
    else:
        yield Pytest(line=line) if is_plain(line) else AnyCommand(line)
