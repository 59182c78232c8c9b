"""The verifiers, and which of them a repository gets. The ecosystems name their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from app.domain.file_tree import FileTree
from app.ecosystems import ECOSYSTEMS, Ecosystem
from app.verify.verifier import Detected, ReadsLines, Verifier, label
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.make import Make


def _load(names: Iterable[str]) -> tuple[Detected, ...]:
    """The classes that ecosystems name as `module:Class`."""
    pairs = (name.partition(":") for name in names)
    return tuple(
        cast("Detected", getattr(import_module(f"{__name__}.{module}"), of))
        for module, _, of in pairs
    )


def of_ecosystem(ecosystem: Ecosystem) -> tuple[Detected, ...]:
    """Its test runners that detect themselves."""
    return _load(ecosystem.verifiers)


CHECKS = _load(name for each in ECOSYSTEMS for name in each.checks)
ALL = (*(kind for each in ECOSYSTEMS for kind in of_ecosystem(each)), *CHECKS)
"""The detected verifiers, in the order in which they run: tests before checks."""

INSTEAD: tuple[Detected, ...] = (
    *_load(name for each in ECOSYSTEMS for name in each.fallback_verifiers),
    Make,
)
"""Fallbacks: the first one present runs if no other verifier runs tests."""

NAMED = _load(name for each in ECOSYSTEMS for name in each.named_verifiers)
"""Verifiers that run only if the policy names them."""

BY_NAME = {kind.name: kind for kind in (*ALL, *INSTEAD, *NAMED)}
"""All verifiers, by the name that a policy uses."""

MAX_VERIFIERS = 40


@dataclass(frozen=True)
class Choice:
    """The verifiers for a commit, and the labels of those left out: above the limit, or not
    affected by the change.
    """

    verifiers: tuple[Verifier, ...]
    beyond: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def choose(
    policy_verify: Sequence[str] | None,
    tree: FileTree,
    *,
    before: Collection[tuple[str, str]] = (),
) -> Choice:
    """Choose the verifiers for a commit from the policy, or else from the repository's files.

    A line of the policy is a verifier's name, optionally with `:` and a folder; a call of
    pytest, go test or cargo test, whose tests can be counted; the exact command of another
    verifier; or any command, judged by its exit code. The result may be empty: nothing to run.

    `before`: the base's verifiers, by label and command. A fallback that ran on the base keeps
    running when a change adds the first tests.
    """
    if policy_verify:
        lines = dict.fromkeys(line.strip() for line in policy_verify)
        return _bounded(verifier for line in lines for verifier in _of_line(line, tree))
    found = [verifier for kind in ALL for verifier in kind.detect(tree)]
    if not any(verifier.kind == "tests" for verifier in found):
        instead = (verifiers for kind in INSTEAD if (verifiers := [*kind.detect(tree)]))
        found = [*next(instead, []), *found]
    served = (verifier for kind in INSTEAD for verifier in kind.detect(tree))
    return _bounded([*found, *(each for each in served if (label(each), each.line) in before)])


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
        read = (kind.of_line(line) for kind in ALL if isinstance(kind, ReadsLines))
        same = (each for each in _by_their_lines(tree) if each.line == line)
        yield next(filter(None, read), None) or next(same, None) or AnyCommand(line)


def _by_their_lines(tree: FileTree) -> Iterator[Verifier]:
    """Verifiers with a fixed command, or one from the repository's package.json."""
    kinds = [kind for kind in ALL if not isinstance(kind, ReadsLines)]
    for kind in kinds:
        yield from (each for each in kind.detect(tree) if not each.folder)
    yield from (kind() for kind in kinds)
