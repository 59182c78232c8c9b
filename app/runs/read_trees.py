"""Caches what setup planning reads of a tree: each run plans many checkouts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeVar

from app.domain.file_tree import LoadedFiles
from app.domain.values import RepoName, TreeSha
from app.git.load_trees import load_files
from app.git.mirror import Mirrors
from app.recipes import Declared, Machine, declared
from app.recipes.interesting import is_automation, is_manifest

_MOST = 8
"""The number of cached trees; the size of each entry is bounded."""

_ANY = Machine()
K = TypeVar("K")
V = TypeVar("V")
_TreeKey = tuple[RepoName, TreeSha]
_MachineKey = tuple[tuple[str, tuple[str, ...]], ...]


class ReadTrees:
    """Keyed by repository and tree, whose content never changes. An entry of one repository is
    never used for another, even if that has the same tree.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[_TreeKey, LoadedFiles] = OrderedDict()
        self._declared: OrderedDict[tuple[_TreeKey, _MachineKey], Declared] = OrderedDict()

    async def files(self, mirrors: Mirrors, repo: RepoName, tree: TreeSha) -> LoadedFiles:
        """The manifests and the automation of a tree. Raises GitError."""
        key = (repo, tree)
        found = self._files.get(key)
        if found is None:
            found = await load_files(
                mirrors, repo, tree, lambda path: is_manifest(path) or is_automation(path)
            )
        _remember(self._files, key, found)
        return found

    async def declared(
        self, repo: RepoName, tree: TreeSha, files: LoadedFiles, machine: Machine = _ANY
    ) -> Declared:
        """The parsed automation in these `files` of the tree."""
        key = ((repo, tree), tuple(sorted(machine.versions.items())))
        found = self._declared.get(key)
        if found is None:
            found = await asyncio.to_thread(declared.read, files, machine)
        _remember(self._declared, key, found)
        return found


def _remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    """Store the value as the most recently used one."""
    known[key] = value
    known.move_to_end(key)
    while len(known) > _MOST:
        known.popitem(last=False)
