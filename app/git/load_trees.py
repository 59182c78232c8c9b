"""Loads the files of two commits into memory, as far as the rules about sides read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from app.domain.file_tree import LoadedFiles
from app.domain.values import RepoName
from app.git.mirror import Mirrors
from app.integrity import paths
from app.integrity.import_graph import reads
from app.integrity.sides import RUNNER_SETTINGS
from app.integrity.trees import LoadedTree

MOST_BYTES = 128_000_000
"""For both commits together; files that they share count once."""

MOST_FILE_BYTES = 1_000_000
"""A larger code file is not loaded: it is usually generated, or data."""

_AT_ONCE = 32_000_000


MOST_NAMES = 200_000
"""Paths of a tree that recipes can see."""

_MOST_MANIFESTS = 3_000
_MOST_MANIFEST_BYTES = 4_000_000
_MOST_STARTS = 20
_START_OF_FILE = 64_000


async def load_files(
    mirrors: Mirrors, repo: RepoName, tree: str, is_read: Callable[[str], bool]
) -> LoadedFiles:
    """The paths of a commit or tree, and the text of the files that `is_read` names.

    Symbolic links are left out. Of a file larger than 4 MB the start is loaded; the rest of a very
    large or odd tree is known by its paths alone. Raises GitError.
    """
    files = await mirrors.files(repo, tree)
    links = await mirrors.links(repo, tree)
    paths = [path for path in files if path not in links][:MOST_NAMES]
    wanted = sorted((path for path in paths if is_read(path)), key=lambda path: path.count("/"))
    shas = {path: files[path] for path in wanted[:_MOST_MANIFESTS]}
    sizes = await mirrors.sizes(repo, tuple(dict.fromkeys(shas.values())))
    small = {sha: size for sha, size in sizes.items() if size <= _MOST_MANIFEST_BYTES}
    contents: dict[str, bytes] = {}
    for batch in _batches(small):
        contents |= await mirrors.blobs(repo, batch)
        if sum(map(len, contents.values())) > _AT_ONCE:
            break
    for sha in [sha for sha in sizes if sha not in small][:_MOST_STARTS]:
        contents[sha] = await mirrors.blob_start(repo, sha, _START_OF_FILE)
    texts = {
        path: contents[sha].decode("utf-8", "replace")
        for path, sha in shas.items()
        if sha in contents
    }
    return LoadedFiles(texts, paths)


async def load_trees(
    mirrors: Mirrors, repo: RepoName, base: str, head: str
) -> tuple[LoadedTree, LoadedTree]:
    """The trees of two commits, with the contents of code and manifests.

    Where these are larger than `MOST_BYTES`, the trees are not complete. Raises GitError.
    """
    found = [await mirrors.files(repo, commit) for commit in (base, head)]
    submodules = [await mirrors.gitlinks(repo, commit) for commit in (base, head)]
    links = [await mirrors.links(repo, commit) for commit in (base, head)]
    wanted = [
        {path: sha for path, sha in files.items() if path not in linked and _is_read(path)}
        for files, linked in zip(found, links, strict=True)
    ]
    shas = dict.fromkeys(sha for each in wanted for sha in each.values())
    sizes = await mirrors.sizes(repo, tuple(shas))
    small = {sha: size for sha in shas if (size := sizes.get(sha)) and size <= MOST_FILE_BYTES}
    contents: dict[str, bytes] = {}
    left = MOST_BYTES
    for batch in _batches(small):
        left -= sum(small[sha] for sha in batch)
        if left < 0:
            break
        contents |= await mirrors.blobs(repo, batch)
    base_tree, head_tree = (
        LoadedTree(
            frozenset(files) | frozenset(modules),
            {path: contents[sha] for path, sha in needed.items() if sha in contents},
            is_complete=all(sha in contents for sha in needed.values() if sha in small),
        )
        for files, modules, needed in zip(found, submodules, wanted, strict=True)
    )
    return base_tree, head_tree


def _is_read(path: str) -> bool:
    name = path.rpartition("/")[2]
    return (
        paths.is_code(path)
        or reads(path)
        or name in RUNNER_SETTINGS
        or bool(paths.splitter(path))
        or paths.decides_dependencies(path)
    )


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    filled = 0
    for sha, size in sizes.items():
        if batch and filled + size > _AT_ONCE:
            yield batch
            batch, filled = [], 0
        batch.append(sha)
        filled += size
    if batch:
        yield batch
