"""Reads a repository's own automation as data about its setup. Pure.

Nothing that is read here runs as it is: names are checked and recorded, and builds are rebuilt in
known forms. Steps that were not understood are listed in `Declared.unread`.
"""

from __future__ import annotations

from app.domain.file_tree import FileTree
from app.recipes.declared import documents, gitlab, others, workflows
from app.recipes.declared.findings import Findings
from app.recipes.recipe import Declared, Machine

__all__ = ["read"]


def read(tree: FileTree, machine: Machine = Machine()) -> Declared:  # noqa: B008 - frozen
    """The repository's declarations, from the most trusted place first. Never raises for their
    content.

    Of a matrix, the row closest to what the machine has is read.
    """
    found = Findings()
    found.add(workflows.copilot(tree, machine.versions))
    found.add(others.prepared(tree))
    found.add(workflows.ci(tree, machine.versions))
    if not found.has_tests:
        found.add(gitlab.ci(tree))
    if not found.has_tests:
        found.add(others.tests(tree))
    found.add(documents.read(tree))
    return found.declared()
