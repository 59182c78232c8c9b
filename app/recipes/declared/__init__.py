"""What a repository's own automation says about its setup, read as data. Pure.

Nothing that is read here is run as it is: names are checked and noted, and builds are rebuilt in
known forms. What was not understood is named in `Declared.unread`.
"""

from __future__ import annotations

from app.domain.file_tree import FileTree
from app.recipes.declared import documents, gitlab, others, workflows
from app.recipes.declared.findings import Findings
from app.recipes.recipe import Declared, Machine

__all__ = ["read"]


def read(tree: FileTree, machine: Machine = Machine()) -> Declared:  # noqa: B008 - frozen
    """What the repository says, the most trusted place first. Never raises for its content.

    Of a matrix, the row nearest to what the machine has is read.
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
