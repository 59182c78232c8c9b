"""A policy file that Honk writes, read back with the policy parser."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.policy import parse, services_of
from app.domain.setup_plan import Missing, Recipe, Service, SetupCommand, SetupPlan, SetupStep
from app.errors import UserError
from app.recipes.policy_file import policy_text, setup_lines

_UV = SetupCommand(line="uv sync --frozen --all-extras", source="uv.lock")
_LOOSE = SetupCommand(line="uv sync --all-extras", source="pyproject.toml")
_NPM = SetupCommand(line="npm ci --no-audit --no-fund", source="web/package-lock.json")


def _plan(*steps: SetupStep, allow: tuple[str, ...] = ()) -> SetupPlan:
    recipe = Recipe(ecosystem="python", name="uv", source="uv.lock", steps=steps)
    return SetupPlan(recipes=(recipe,), allow=allow)


_TWO = _plan(
    SetupStep(commands=(_UV, _LOOSE)),
    SetupStep(commands=(_NPM,), folder="web", environment={"HUSKY": "0"}),
    allow=("python", "node"),
)


def test_the_file_of_two_ecosystems() -> None:
    assert policy_text(_TWO).splitlines()[2:] == [
        "setup:",
        "  # from uv.lock",
        '  - "uv sync --frozen --all-extras"',
        "  # from web/package-lock.json",
        '  - "export HUSKY=0 && cd web && (npm ci --no-audit --no-fund)"',
        "# Only for setup, and only to read: what these languages' clients download from.",
        'network: {allow: ["python", "node"]}',
        '# Test commands are detected. To name your own: verify: ["make check"]',
    ]


def test_the_alternative_that_worked_is_written() -> None:
    assert parse(policy_text(_TWO, [_LOOSE, None])).setup == ("uv sync --all-extras",)


def test_a_repository_without_setup_gets_a_file_without_keys() -> None:
    assert parse(policy_text(SetupPlan())) == parse("")


def test_what_is_missing_is_a_comment() -> None:
    missing = Missing(what="pnpm 9", why="", next_step="Install it\non the worker.")
    text = policy_text(SetupPlan(missing=(missing,)))
    assert "# Missing: pnpm 9. Install it on the worker." in text.splitlines()


def test_test_commands_can_be_named() -> None:
    assert parse(policy_text(_TWO, verify=["pytest:api", "make 'a b'"])).verify == (
        "pytest:api",
        "make 'a b'",
    )


def test_a_command_that_is_too_long_is_refused() -> None:
    step = SetupStep(commands=(SetupCommand(line="x" * 2001, source=""),))
    with pytest.raises(UserError, match="at most 2000 characters"):
        policy_text(_plan(step))


def test_services_and_variables_are_written_as_they_are_read() -> None:
    services = (
        Service(
            kind="postgres",
            names=("db", "postgres"),
            port=5433,
            environment={"POSTGRES_USER": "app", "POSTGRES_PASSWORD": 'a"b'},
            source="ci.yml",
        ),
        Service(kind="redis", names=("redis",), port=6379, source="ci.yml"),
    )
    plan = SetupPlan(services=services, environment={"MODE": "a: b"})
    policy = parse(policy_text(plan))
    assert services_of(policy, "ci.yml") == services
    assert policy.environment == {"MODE": "a: b"}


_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=60)
_STEPS = st.builds(
    SetupStep,
    commands=st.tuples(st.builds(SetupCommand, line=_TEXT, source=_TEXT)),
    folder=st.one_of(st.just(""), _TEXT),
    environment=st.dictionaries(st.sampled_from(["HUSKY", "CI"]), _TEXT, max_size=2),
    optional=st.booleans(),
)


@given(st.lists(_STEPS, max_size=4), st.lists(_TEXT, max_size=2))
def test_what_is_written_is_what_is_read(steps: list[SetupStep], verify: list[str]) -> None:
    plan = _plan(*steps, allow=("python",))
    policy = parse(policy_text(plan, verify=verify))
    assert (policy.setup or ()) == setup_lines(plan)
    assert policy.network.allow == ("python",)
    assert policy.verify == tuple(verify)


def test_a_line_runs_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    hostile = "it's $(touch pwned) `x`"
    (tmp_path / hostile).mkdir()
    step = SetupStep(
        commands=(SetupCommand(line='printf "%s|%s" "$PWD" "$CACHE"; false', source=""),),
        folder=hostile,
        environment={"CACHE": "@/tools $(touch pwned):a@b"},
        optional=True,
    )
    (line,) = setup_lines(_plan(step))
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == (f"{tmp_path}/{hostile}|{tmp_path}/.git/honk/tools $(touch pwned):a@b")
    assert not list(tmp_path.rglob("pwned"))
