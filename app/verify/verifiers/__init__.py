"""The verifiers, and which of them a repository gets. A new ecosystem is a file and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from app.verify.verifier import FileTree, Verifier
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.pytest import Pytest, is_plain

BY_NAME: dict[str, Verifier] = {"pytest": Pytest()}
"""Those that switch themselves on, by the name that a policy may call them by."""


def choose(policy_verify: Sequence[str] | None, tree: FileTree) -> tuple[Verifier, ...]:
    """What verifies a commit: what the policy says, or else what the repository contains.

    A line of the policy is the name of a verifier, or a call of pytest whose tests can be counted,
    or a command that is known by its exit code alone. The result may be empty: nothing to run.
    """
    if policy_verify:
        return tuple(_of_line(line.strip()) for line in dict.fromkeys(policy_verify))
    return tuple(verifier for verifier in BY_NAME.values() if verifier.detect(tree))


def _of_line(line: str) -> Verifier:
    if line in BY_NAME:
        return BY_NAME[line]
    return Pytest(line) if is_plain(line) else AnyCommand(line)
