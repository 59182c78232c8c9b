"""A package whose name is almost another's is refused with the likely one."""

from __future__ import annotations

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices
from app.recipes import RecipeContext, discover
from app.recipes.lookalikes import likely_name

KNOWN = ("requests", "PyYAML", "python-dateutil")


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        *(("reqeusts", "requests"), ("request", "requests"), ("requestss", "requests")),
        *(("requezts", "requests"), ("pyyam1", "PyYAML"), ("python.dateutils", "python-dateutil")),
        *(("requests", ""), ("REQUESTS", ""), ("rekwests", ""), ("", ""), ("re-quests-x", "")),
    ],
)
def test_one_edit_away(name: str, likely: str) -> None:
    assert likely_name(name, KNOWN) == likely


def test_a_chosen_lookalike_is_refused_with_the_likely_name() -> None:
    tree = LoadedFiles(
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\ndependencies = ["requests"]\n',
            "tests/test_a.py": "",
        }
    )
    choices = (Choices(ecosystem="python", packages=("reqeusts", "$(hacked)")),)
    plan = discover(RecipeContext(tree, choices=choices))
    lines = [each.line for step in plan.steps for each in step.commands]
    assert not any("reqeusts" in line for line in lines)
    first, second = plan.missing[-2:]
    assert first.what == "reqeusts" and "close to `requests`" in first.why
    assert second.what == "a package"
