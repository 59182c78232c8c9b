"""What people read about a setup that Honk found out."""

from __future__ import annotations

from app.domain.setup_outcome import CommandRun, Prepared, SetupOutcome
from app.domain.setup_plan import (
    Missing,
    Recipe,
    SetupCommand,
    SetupPlan,
    SetupStep,
    Unread,
    VersionChoice,
)
from app.messages import setup

STRICT = SetupCommand(line="npm ci", source="package-lock.json")
LOOSE = SetupCommand(line="npm install", source="package.json")
PLAN = SetupPlan(
    recipes=(
        Recipe(
            ecosystem="node",
            name="npm",
            source="package-lock.json",
            steps=(SetupStep(commands=(STRICT, LOOSE)),),
            versions=(
                VersionChoice(tool="node", wanted=">=18", source="package.json", used="22.1.0"),
            ),
        ),
    ),
    unread=(Unread(what="curl | sh", source="ci.yml", why="it pipes a download into a shell"),),
)
PNPM = Missing(
    what="`pnpm`",
    why="it is not installed on this worker",
    next_step="Install it.",
    lines=("setup: [npm ci]",),
)


def test_a_setup_is_three_lines_and_a_fold() -> None:
    outcome = SetupOutcome(
        plan=PLAN,
        ran=(CommandRun(line="npm install", source="package.json", seconds=4.0),),
        collected=12,
        seconds=5,
        missing=(PNPM,),
    )
    shown = setup.section(outcome, "setup: [npm install]\n")
    lines = shown.split("\n")
    assert lines[0].startswith("**Setup:** `npm install` (`package.json`) in 5 s. 12 tests")
    assert lines[1].startswith("**Versions:** node 22.1.0 for `>=18` in `package.json`.")
    assert lines[2].startswith("**Missing:** ")
    assert "it pipes a download into a shell" in shown
    assert "```yaml\nsetup: [npm install]" in shown


def test_nothing_to_tell_is_nothing() -> None:
    assert setup.section(None) == ""
    assert setup.section(SetupOutcome()) == ""


def test_the_text_of_a_repository_cannot_mention_people_or_end_a_fold() -> None:
    hostile = "x` @olivia </details> <!-- -->\n# big"
    outcome = SetupOutcome(
        plan=PLAN,
        failed=(CommandRun(line=hostile, source=hostile, how="exited with 1", output="```\n@all"),),
        missing=(Missing(what=hostile, why=hostile, next_step=hostile),),
    )
    shown = setup.section(outcome)
    assert shown.count("</details>") == 1 or "&lt;/details" in shown
    assert "\n# big" not in shown


def test_the_alternative_that_worked_is_the_one_offered() -> None:
    outcome = SetupOutcome(plan=PLAN, ran=(CommandRun(line="npm install", source="x"),))
    assert outcome.taken == (LOOSE,)
    assert SetupOutcome(plan=PLAN).taken == (None,)


def test_reasons_name_what_is_missing_and_whether_the_base_lacks_it_too() -> None:
    failed = CommandRun(line="npm ci", source="x", how="exited with 1", output="a\nE404 gone\n")
    outcome = SetupOutcome(plan=PLAN, failed=(failed,), missing=(PNPM,))
    first, second = setup.reasons(outcome, same_before=True)
    assert first == (
        "`pnpm` is missing: it is not installed on this worker. It is the same without this change."
    )
    assert second == "Setup: `npm ci` exited with 1 (E404 gone)."
    assert setup.lines_to_add(outcome) == ("setup: [npm ci]",)


def test_an_unknown_ecosystem_is_named() -> None:
    assert "cpp (`CMakeLists.txt`)" in setup.unknown_ecosystem({"cpp": "CMakeLists.txt"})
    assert "`verify`" in setup.unknown_ecosystem({}) or "verify" in setup.unknown_ecosystem({})


def test_other_sandboxes_get_the_recipes_variables_last() -> None:
    plan = SetupPlan(
        recipes=(
            Recipe(ecosystem="a", name="a", source="1", environment={"X": "1", "Y": "1"}),
            Recipe(ecosystem="b", name="b", source="2", environment={"X": "2"}),
        ),
        environment={"X": "ci"},
    )
    prepared = Prepared.by(plan)
    assert prepared.environment == {"X": "2", "Y": "1"}
    assert prepared.fixed == {"X": "ci"}
