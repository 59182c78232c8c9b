"""What is remembered of a tree serves the same repository and tree, and no other."""

from __future__ import annotations

from pathlib import Path

from app.domain.values import RepoName, TreeSha
from app.recipes import Machine
from app.runs.read_trees import ReadTrees
from tests.support.workspaces import REPO, World

CI = """on: pull_request
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: pip install -e .[dev]
      - run: pytest
"""


async def test_a_tree_is_read_once_for_each_repository(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    world.origin.write("pyproject.toml", "[project]\nname = 'a'\n")
    world.origin.write(".github/workflows/ci.yml", CI)
    world.origin.commit()
    commit = await world.fetched()
    tree = await world.mirrors.tree_of(REPO, commit)
    read = ReadTrees()
    files = await read.files(world.mirrors, REPO, tree)
    assert files.exists("pyproject.toml")
    assert await read.files(world.mirrors, REPO, tree) is files
    said = await read.declared(REPO, tree, files)
    assert said.extras == ("dev",)
    assert await read.declared(REPO, tree, files) is said
    # What another machine, or another repository, gets is read for it.
    newer = Machine(versions={"python": ("3.13.1",)})
    assert await read.declared(REPO, tree, files, newer) is not said
    other = RepoName(owner="octo", name="Other")
    assert await read.declared(other, tree, files) is not said


async def test_only_a_few_trees_are_remembered(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    read, trees = ReadTrees(), list[TreeSha]()
    for number in range(9):
        world.origin.write("go.mod", f"module example.com/m{number}\n")
        world.origin.commit(f"Rename {number}")
        trees.append(await world.mirrors.tree_of(REPO, await world.fetched()))
    first = await read.files(world.mirrors, REPO, trees[0])
    for tree in trees[1:]:
        await read.files(world.mirrors, REPO, tree)
    assert await read.files(world.mirrors, REPO, trees[-1]) is not first
    assert await read.files(world.mirrors, REPO, trees[0]) is not first
