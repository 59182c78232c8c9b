"""What a setup may reach, and what a worker's sandboxes have."""

from __future__ import annotations

from app.domain.setup_plan import Recipe, SetupCommand, SetupPlan, SetupStep
from app.recipes.interesting import has_manifest, is_automation, is_manifest, untested_manifests
from app.runs.setup_plans import (
    PlannedSetup,
    digest,
    from_lines,
    parse_machine,
    within_network,
)
from app.runs.steps.run_setup import collected, in_folder
from app.sandbox.toolchains import expanded


def recipe(ecosystem: str, *, network: bool = True) -> Recipe:
    step = SetupStep(commands=(SetupCommand(line="go", source="x"),), needs_network=network)
    return Recipe(ecosystem=ecosystem, name=ecosystem, source=f"{ecosystem}.lock", steps=(step,))


PLAN = SetupPlan(recipes=(recipe("python"), recipe("node")), allow=("python", "node"))


def test_by_default_the_registries_of_the_ecosystems_are_open() -> None:
    narrowed = within_network(PlannedSetup(PLAN, ()), "registries", ["files.example"])
    assert narrowed.allow == ("python", "node", "files.example")
    assert narrowed.plan.recipes == PLAN.recipes
    assert not narrowed.plan.missing


def test_an_operator_may_leave_it_to_the_policy() -> None:
    narrowed = within_network(PlannedSetup(PLAN, ()), "policy", ["node"])
    assert narrowed.allow == ("node",)
    assert [each.ecosystem for each in narrowed.plan.recipes] == ["node"]
    [missing] = narrowed.plan.missing
    assert "python.lock" in missing.what
    assert missing.lines == ("network: {allow: [python]}",)


def test_an_operator_may_switch_it_off() -> None:
    offline = recipe("go", network=False)
    plan = PLAN.model_copy(update={"recipes": (*PLAN.recipes, offline)})
    narrowed = within_network(PlannedSetup(plan, ()), "none", ["python"])
    assert narrowed.allow == ()
    assert narrowed.plan.recipes == (offline,)
    assert "HONK_SETUP_NETWORK" in narrowed.plan.missing[0].why


def test_everything_in_a_plan_is_in_its_key() -> None:
    plans = [
        PlannedSetup(PLAN, ()),
        PlannedSetup(PLAN, ("python",)),
        PlannedSetup(PLAN.model_copy(update={"environment": {"A": "1"}}), ()),
        PlannedSetup(from_lines(["make"]), ()),
    ]
    assert len({digest(each) for each in plans}) == len(plans)


def test_a_machine_is_read_from_its_answers() -> None:
    found = parse_machine(
        "program uv\nprogram python3.9\nversion python 3.9.2 \nversion python 3.11.2\n"
        "version python 3.11.2\nversion go go version go1.22.1 linux/amd64\n"
        "version maven Apache Maven 3.8.7 \nversion node \nnonsense\n"
    )
    assert found.versions == {
        "python": ("3.11.2", "3.9.2"),
        "go": ("1.22.1",),
        "maven": ("3.8.7",),
    }
    assert found.programs == {"uv", "python3.9"}


def test_the_number_of_tests_is_read_as_runners_say_it() -> None:
    assert collected("a::b\n\n2 tests collected in 0.01s\n") == 2
    assert collected("==== 1/3 tests collected (2 deselected) in 0.1s ====") == 1
    assert collected("1 test collected in 0.00s") == 1
    assert collected("collected 7 items\n") == 7
    assert collected("12 tests passed") is None


def test_a_folder_with_odd_letters_is_one_argument() -> None:
    assert in_folder("", "make") == ["bash", "-c", "make"]
    assert in_folder("a b;$(c)", "make") == ["bash", "-c", "cd './a b;$(c)' || exit\nmake"]


def test_only_an_at_that_begins_a_path_stands_for_the_caches() -> None:
    assert expanded("@/tools/bin", "/c") == "/c/tools/bin"
    assert expanded("-Dx=@/m2 -Dy=@", "/c") == "-Dx=/c/m2 -Dy=/c"
    assert expanded("a@b.example/x", "/c") == "a@b.example/x"
    assert expanded("postgres://u:p@/db", "/c") == "postgres://u:p@/db"


def test_manifests_and_automation_are_known_by_their_names() -> None:
    for path in ("a/pyproject.toml", "uv.lock", "requirements/dev.txt", "x/.nvmrc", "go.sum"):
        assert is_manifest(path), path
    for path in (".github/workflows/ci.yml", "Makefile", "noxfile.py", ".devcontainer.json"):
        assert is_automation(path), path
    assert not is_manifest("src/app.py")
    assert not is_automation("src/app.py")


def test_languages_without_a_test_runner_are_found_by_their_manifests() -> None:
    assert untested_manifests(["a/pubspec.yaml", "pyproject.toml"]) == {"dart": "a/pubspec.yaml"}
    assert has_manifest(["pyproject.toml"])
    assert not has_manifest(["README.md"])
