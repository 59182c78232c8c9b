"""The verifiers, and which of them a repository gets. A new ecosystem is a file and a line here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.verify.verifier import Detected, FileTree, Verifier, label
from app.verify.verifiers.cargo import Cargo, Nextest
from app.verify.verifiers.clippy import Clippy
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.environments import Nox, Tox
from app.verify.verifiers.eslint import Eslint
from app.verify.verifiers.go import Go
from app.verify.verifiers.gofmt import Gofmt
from app.verify.verifiers.gradle import Gradle
from app.verify.verifiers.jest import Jest
from app.verify.verifiers.make import Make
from app.verify.verifiers.maven import Maven
from app.verify.verifiers.mocha import Mocha
from app.verify.verifiers.mypy import Mypy
from app.verify.verifiers.node import Node
from app.verify.verifiers.npm import Npm
from app.verify.verifiers.prettier import Prettier
from app.verify.verifiers.pytest import Pytest, is_plain
from app.verify.verifiers.ruff import Ruff, RuffFormat
from app.verify.verifiers.tsc import Tsc
from app.verify.verifiers.unittest import Unittest
from app.verify.verifiers.vitest import Vitest

JAVASCRIPT: tuple[Detected, ...] = (Node, Jest, Vitest, Mocha, Npm)
JAVA: tuple[Detected, ...] = (Maven, Gradle)
CHECKS: tuple[Detected, ...] = (Ruff, RuffFormat, Mypy, Eslint, Prettier, Tsc, Gofmt, Clippy)
ALL: tuple[Detected, ...] = (Pytest, Unittest, Go, Cargo, *JAVASCRIPT, *JAVA, *CHECKS)
"""The detected verifiers, in the order in which they run: tests before checks."""

INSTEAD: tuple[Detected, ...] = (Tox, Nox, Make)
"""Fallbacks: the first one present runs if no other verifier runs tests."""

NAMED: tuple[Detected, ...] = (Nextest,)
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
        same = (each for each in _by_their_lines(tree) if each.line == line)
        other = Pytest(line=line) if is_plain(line) else AnyCommand(line)
        yield Go.of_line(line) or Cargo.of_line(line) or next(same, other)


def _by_their_lines(tree: FileTree) -> Iterator[Verifier]:
    """Verifiers with a fixed command, or one from the repository's package.json."""
    for kind in (*JAVASCRIPT, *JAVA, *CHECKS):
        yield from (each for each in kind.detect(tree) if not each.folder)
    yield from (kind() for kind in (*JAVASCRIPT, *JAVA, *CHECKS))
