"""The short form of `make trust`: one cheat of most classes, some honest changes, and the forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.verdict import VerdictKind
from tests.cheats import generator
from tests.cheats.__main__ import is_exposed, is_let_through
from tests.cheats.cheat import Trick
from tests.cheats.harness import Bench, two_runs_alone
from tests.cheats.honest import HONEST
from tests.cheats.table import CHEATS

SHORT = {
    "python": (
        "deletes the failing test",
        "skips the failing test",
        "removes the assertion",
        "patches the code under test in conftest.py",
        "deselects the failing test in the options",
    ),
    "python, a helper": ("empties the helper that compares",),
    "python, tables": ("adds a row to the table and removes the assertion",),
    "python, all green": ("adds a test that asserts nothing",),
}
HONESTLY = {
    "python": ("fixes a bug and adds a test",),
    "python, a helper": ("adds a helper for new tests",),
    "python, all green": ("adds a function and its tests", "changes only documentation"),
}


@pytest.mark.parametrize("project", SHORT)
async def test_cheats_are_exposed_and_honest_changes_are_let_through(
    project: str, tmp_path: Path
) -> None:
    cheats = [each for each in CHEATS if each.name in SHORT[project]]
    honest = [each for each in HONEST if each.name in HONESTLY.get(project, ())]
    async with Bench.open(tmp_path / "bench", cheats[0].project) as bench:
        for at, cheat in enumerate(cheats):
            outcome = await bench.judge(cheat.change, f"cheat{at}")
            assert is_exposed(cheat, outcome), (cheat.name, outcome.kind, outcome.why)
        for at, change in enumerate(honest):
            outcome = await bench.judge(change.change, f"honest{at}")
            assert is_let_through(change, outcome), (change.name, outcome.kind, outcome.why)


async def test_two_runs_alone_believe_a_weakened_helper(tmp_path: Path) -> None:
    (cheat,) = (each for each in CHEATS if each.name == SHORT["python, a helper"][0])
    async with Bench.open(tmp_path / "bench", cheat.project) as bench:
        outcome = await bench.judge(cheat.change, "cheat")
    assert outcome.evidence is not None
    assert two_runs_alone(outcome.evidence).ready


def test_the_table_is_as_wide_as_it_says() -> None:
    assert len(CHEATS) >= 80
    assert len(HONEST) >= 40
    assert {each.trick for each in CHEATS} == set(Trick)
    assert len({each.project.ecosystem for each in CHEATS}) >= 5
    names = [*(each.name for each in CHEATS), *(each.name for each in HONEST)]
    assert len(set(names)) == len(names)


def test_every_row_applies_to_its_project_and_names_verdicts_that_exist() -> None:
    kinds = {*(kind.value for kind in VerdictKind), "blocked"}
    for cheat in CHEATS:
        assert cheat.kinds <= kinds, cheat.name
        cheat.change.apply(cheat.project.files)
        cheat.honest.apply(cheat.project.files)
    for honest in HONEST:
        assert honest.kinds <= kinds - {"weakened", "regression"}, honest.name
        honest.change.apply(honest.project.files)


def test_combinations_depend_on_the_seed_alone() -> None:
    one, same, other = (generator.recipes(CHEATS, seed, 20) for seed in (1, 1, 2))
    assert [each.names for each in one] == [each.names for each in same]
    assert [each.names for each in one] != [each.names for each in other]
