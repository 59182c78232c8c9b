"""Attempts to poison automatic setup: for another repository, or through the model.

What setup may send is tried in `network.py`, and what its files leave for others in `caches.py`.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from app.domain import setup
from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices
from app.domain.values import RepoName, TreeSha
from app.git.setup_snapshots import SetupSnapshots
from app.recipes import Declared, Machine, RecipeContext, discover
from app.recipes.vocabulary import refusal
from app.runs.read_trees import ReadTrees
from tests.security.harness import Attempt, Outcome, outcome
from tests.support.workspaces import REPO, World

_FORGED = "forged-51d2"
_OTHER = RepoName(owner="octo", name="Other")
_FILES = {"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\ndependencies = ['six']\n"}
_MACHINE = Machine(versions={"python": ("3.11.2",)}, programs=frozenset({"uv"}))

Whose = Callable[..., tuple[str, ...]]


def of_any_repository(
    repo: RepoName, tree: str, *, branch: str = "", run: str = ""
) -> tuple[str, ...]:
    """No defense: a branch of the same name is the same."""
    return ("branch", branch)


async def _snapshot_of_another(whose: Whose, folder: Path) -> Outcome:
    """A repository's own branch makes a snapshot; another repository looks for its own."""
    world = World.make(folder)
    world.origin.write("README", "Read me.\n")
    main = world.origin.commit()
    await world.fetched()
    tree = await world.mirrors.tree_of(REPO, main)
    snapshots = SetupSnapshots(folder / "setups", world.workspaces)
    theirs = await world.workspaces.create(REPO, main, "theirs")
    await world.inside(theirs, f"echo {_FORGED} > conftest.py")
    assert await snapshots.keep(setup.key([whose(REPO, tree, branch="main")]), theirs) is not None
    found = snapshots.find(setup.key([whose(_OTHER, tree, branch="main")]))
    return outcome(found is not None, "the other's snapshot", "the key names the repository")


class ByTree(ReadTrees):
    """No defense: what was read of a tree is used for every repository that has it."""

    async def declared(
        self, repo: RepoName, tree: TreeSha, files: LoadedFiles, machine: Machine = _MACHINE
    ) -> Declared:
        return await super().declared(REPO, tree, files, machine)


async def _automation_of_another(made: type[ReadTrees], folder: Path) -> Outcome:
    """One repository's CI is read; then another's, which names the same tree."""
    steps = f"[{{run: 'pip install {_FORGED}'}}, {{run: pytest}}]"
    job = f"jobs: {{test: {{runs-on: ubuntu-latest, steps: {steps}}}}}\n"
    hostile = LoadedFiles({".github/workflows/ci.yml": f"on: pull_request\n{job}"})
    read, tree = made(), TreeSha("1" * 40)
    theirs = await read.declared(REPO, tree, hostile, _MACHINE)
    assert _FORGED in str(theirs.packages)
    ours = await read.declared(_OTHER, tree, LoadedFiles(_FILES), _MACHINE)
    through = _FORGED in str(ours.packages)
    return outcome(through, "a package of the other's CI", "what is read is kept by repository")


_CALL = "x; hacked"
_CHOICES = (
    Choices(ecosystem="python", packages=(_CALL, "$(hacked)")),
    Choices(ecosystem="python", groups=(_CALL,), extras=("`hacked`",)),
    Choices(ecosystem="python", version="3.11; hacked"),
    Choices(ecosystem="python", recipe=_CALL, manager="pip; hacked"),
    Choices(ecosystem="python", environment={"CI": "$(hacked)", "X; hacked": "1"}),
    Choices(ecosystem=_CALL, folder="a; hacked"),
)


def rebuilt(choice: Choices) -> Sequence[str]:
    """The lines of the plan with a choice: even one that the vocabulary would refuse."""
    plan = discover(RecipeContext(LoadedFiles(_FILES), _MACHINE))
    assert refusal(choice, plan)
    plan = discover(RecipeContext(LoadedFiles(_FILES), _MACHINE, choices=(choice,)))
    lines = [command.line for step in plan.steps for command in step.commands]
    assert lines
    return lines


def as_chosen(choice: Choices) -> Sequence[str]:
    """No defense: the model's words are put into the command."""
    return [f"uv pip install {' '.join((*choice.packages, *choice.groups))}"]


async def _chosen_by_the_model(build: Callable[[Choices], Sequence[str]], folder: Path) -> Outcome:
    """A model chooses names with shell code in them; all lines run as setup would run them."""
    mark = folder / "mark"
    known = "PATH=/nonexistent\ncommand_not_found_handle() { :; }\nhacked() { : > mark; }\n"
    for line in (line for choice in _CHOICES for line in build(choice)):
        argv = ["/bin/bash", "-c", f"{known}{line}"]
        await asyncio.to_thread(subprocess.run, argv, cwd=folder, check=False, capture_output=True)
    return outcome(mark.exists(), "the model's command ran", "commands are rebuilt from names")


ATTEMPTS = (
    Attempt(
        "a repository gets another repository's setup",
        "the key includes whose code it was",
        functools.partial(_snapshot_of_another, setup.made_by),
        functools.partial(_snapshot_of_another, of_any_repository),
    ),
    Attempt(
        "a repository's CI decides what another's setup installs",
        "parsed automation is cached by repository",
        functools.partial(_automation_of_another, ReadTrees),
        functools.partial(_automation_of_another, ByTree),
    ),
    Attempt(
        "the model chooses setup names that contain shell code",
        "commands are rebuilt from a closed vocabulary",
        functools.partial(_chosen_by_the_model, rebuilt),
        functools.partial(_chosen_by_the_model, as_chosen),
    ),
)
