"""Recipes for Go: files in, steps out, and what errors lead to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes.go import READER
from app.recipes.recipe import Declared, Machine, RecipeContext, SetupFailure

_GO = Machine(versions={"go": ("1.26.8",)})
_REQUIRES = "module example.com/m\n\ngo 1.24\n\nrequire example.com/a v1.0.0\n"
_TEST = {"m_test.go": "package m\n"}


def _context(
    files: Mapping[str, str],
    *choices: Choices,
    machine: Machine = _GO,
    declared: Declared | None = None,
) -> RecipeContext:
    return RecipeContext(LoadedFiles(files), machine, declared or Declared(), choices)


def _read(files: Mapping[str, str], *choices: Choices, machine: Machine = _GO) -> list[Recipe]:
    return list(READER.read(_context(files, *choices, machine=machine)))


def _repaired(output: str, files: Mapping[str, str] | None = None) -> Choices | Missing:
    context = _context(files or {"go.mod": _REQUIRES, **_TEST})
    (recipe,) = READER.read(context)
    return READER.repair(context, recipe, SetupFailure("go mod download", 1, output))


def _lines(recipe: Recipe) -> list[list[str]]:
    return [[command.line for command in step.commands] for step in recipe.steps]


def test_a_module_downloads_what_it_requires() -> None:
    (recipe,) = _read({"go.mod": _REQUIRES, **_TEST})
    assert _lines(recipe) == [["go mod download", "go list -deps -test ./... > /dev/null"]]
    assert recipe.collect is not None and " go test -vet=off -list" in recipe.collect.line
    (choice,) = recipe.versions
    assert (choice.wanted, choice.used, choice.from_registry) == ("1.24", "1.26.8", False)


def test_nothing_to_download() -> None:
    assert _read({"go.mod": "module m\n\ngo 1.24\n", **_TEST}) == []
    assert _read({"go.mod": _REQUIRES, "vendor/modules.txt": "", **_TEST}) == []
    assert _read({"README.md": "go"}) == []


def test_each_module_has_its_own_recipe_and_those_without_tests_may_fail() -> None:
    files = {"go.mod": _REQUIRES, **_TEST, "tools/go.mod": _REQUIRES}
    root, tools = _read(files)
    assert (root.folder, root.steps[0].optional) == ("", False)
    assert (tools.folder, tools.steps[0].optional, tools.collect) == ("tools", True, None)


def test_a_workspace_is_one_recipe() -> None:
    files = {
        "go.work": "go 1.24\n\nuse (\n\t./a\n\t./b\n)\n",
        "a/go.mod": _REQUIRES,
        "a/a_test.go": "package a\n",
        "b/go.mod": "module example.com/b\n",
        "c/go.mod": _REQUIRES,
    }
    work, outside = _read(files)
    listing = "go list -deps -test ./a/... ./b/... > /dev/null"
    assert (work.name, _lines(work)) == ("workspace", [["go mod download", listing]])
    assert work.collect is not None and work.collect.line.endswith(" ./a/... ./b/...")
    assert outside.folder == "c"


@pytest.mark.parametrize(
    ("says", "fetched"),
    [
        ("go 1.27", "1.27.0"),
        ("go 1.27.2", "1.27.2"),
        ("go 1.27rc1", "1.27rc1"),
        ("go 1.24\ntoolchain go1.27.3", "1.27.3"),
        ("go 1.24\ntoolchain go1.25.1", ""),
        ("go 1.26.8", ""),
    ],
)
def test_a_newer_toolchain_comes_from_the_module_proxy(says: str, fetched: str) -> None:
    (recipe,) = _read({"go.mod": f"module m\n{says}\nrequire a.b/c v1.0.0\n", **_TEST})
    assert recipe.environment == ({"GOTOOLCHAIN": f"go{fetched}"} if fetched else {})
    assert (_lines(recipe)[0] == ["go version"]) is bool(fetched)
    assert recipe.versions[0].from_registry is bool(fetched)


def test_all_modules_use_the_newest_version_that_one_needs() -> None:
    files = {
        "go.mod": _REQUIRES,
        **_TEST,
        "new/go.mod": "module n\ngo 1.27.1\nrequire a.b/c v1.0.0\n",
    }
    root, new = _read(files)
    assert root.environment == new.environment == {"GOTOOLCHAIN": "go1.27.1"}
    assert [step.purpose for step in (*root.steps, *new.steps)] == ["tools", "install", "install"]


@pytest.mark.parametrize(
    "machine",
    [
        Machine(versions={"go": ("1.26.8",)}, network=False),
        Machine(versions={"go": ("1.19.8",)}),
    ],
)
def test_a_newer_toolchain_that_cannot_be_fetched_is_missing(machine: Machine) -> None:
    (recipe,) = _read({"go.mod": "module m\ngo 1.27.1\nrequire a.b/c v1.0.0\n"}, machine=machine)
    assert recipe.steps == () and recipe.missing[0].what == "Go 1.27.1"
    assert recipe.versions[0].used == ""


def test_a_worker_without_go() -> None:
    files = {"go.mod": _REQUIRES, **_TEST, "b/go.mod": _REQUIRES}
    (recipe,) = _read(files, machine=Machine())
    assert [each.what for each in recipe.missing] == ["go"]


def test_version_files_count_only_where_no_module_names_one() -> None:
    bare = "module m\nrequire a.b/c v1.0.0\n"
    (recipe,) = _read({"go.mod": bare, ".tool-versions": "golang 1.27.1 # newest\n"})
    assert recipe.versions[0].source == ".tool-versions"
    (recipe,) = _read({"go.mod": bare, "mise.toml": '[tools]\ngo = {version = "1.27"}\n'})
    assert recipe.environment == {"GOTOOLCHAIN": "go1.27.0"}
    (recipe,) = _read({"go.mod": _REQUIRES, ".go-version": "1.27.1\n"})
    assert recipe.environment == {}


def test_build_tags_come_only_from_ci() -> None:
    declared = Declared(environment={"GOFLAGS": "-toolexec=/bin/evil -tags=integration,e2e"})
    context = _context({"go.mod": _REQUIRES, **_TEST}, declared=declared)
    (recipe,) = READER.read(context)
    assert recipe.environment == {"GOFLAGS": "-buildvcs=false -tags=integration,e2e"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("module m\nrequire (\n\ta.b/c v1\n", "`require (` is never closed"),
        ("module m\n<<<<<<< HEAD\n", "line 2"),
        ("go 1.24\n", "no module line"),
        ("module m\nbanana v1\n", "line 2"),
    ],
)
def test_a_manifest_that_cannot_be_read(text: str, says: str) -> None:
    (recipe,) = _read({"go.mod": text, **_TEST})
    assert recipe.steps == () and says in recipe.missing[0].why


def test_names_from_the_repository_are_never_shell() -> None:
    hostile = "$(touch x);`id`'\""
    files = {
        "go.mod": f"module {hostile}\nrequire {hostile}/x v1.0.0\ntoolchain go1.27;id\n",
        "go.work": f"go 1.24\nuse ./{hostile}\nuse ../../up\nuse /etc\n",
        f"{hostile}/go.mod": _REQUIRES,
        f"{hostile}/x_test.go": "package x\n",
    }
    recipes = _read(files)
    lines = [line for recipe in recipes for step in _lines(recipe) for line in step]
    lines += [recipe.collect.line for recipe in recipes if recipe.collect]
    assert lines and not any("touch" in line or "id" in line or "etc" in line for line in lines)
    assert not any(";" in value for recipe in recipes for value in recipe.environment.values())


def test_a_repository_of_sixty_modules() -> None:
    files = {f"m{number}/go.mod": _REQUIRES for number in range(60)}
    recipes = _read(files)
    assert len(recipes) == 60


def test_a_replacement_that_the_repository_does_not_hold() -> None:
    text = f"{_REQUIRES}replace example.com/a => ../a\nreplace example.com/b v1.0.0 => ./b\n"
    files = {"go.mod": text, "b/go.mod": "module b\n", **_TEST}
    recipe = next(each for each in _read(files) if not each.folder)
    assert [each.what for each in recipe.missing] == ["../a"]
    files = {
        "m/go.mod": "module m\nreplace a.b/a => ../a\n",
        ".gitmodules": '[submodule "a"]\n\tpath = a\n',
    }
    (recipe,) = _read(files)
    assert "submodule" in recipe.missing[0].why


def test_a_lock_that_is_out_of_step_is_completed_outside_of_workspaces() -> None:
    choices = _repaired("main.go:3:8: missing go.sum entry for module providing package a.b/c\n")
    assert isinstance(choices, Choices) and choices.loose
    vendored = {"go.mod": _REQUIRES, "vendor/modules.txt": "", **_TEST}
    (recipe,) = _read(vendored, choices)
    assert recipe.environment == {"GOFLAGS": "-buildvcs=false -mod=mod"}
    assert _lines(recipe)[0][0] == "go mod download"


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (
            "go: git.corp.example/team/lib@v1.2.0: reading https://proxy/...: 404 Not Found\n",
            "git.corp.example/team/lib@v1.2.0",
        ),
        ('go: host.example/x@v1: unrecognized import path "host.example/x"', "host.example/x@v1"),
        (
            "go: git.example.invalid/team/lib@v1.0.0: reading https://proxy/x.mod: 400 Bad Request",
            "git.example.invalid/team/lib@v1.0.0",
        ),
        ("go: download go1.99.0 for linux/amd64: toolchain not available", "Go 1.99.0"),
        ('# runtime/cgo\ncgo: C compiler "gcc" not found: exec: "gcc": executable file not found in'
         " $PATH", "gcc"),
        ("db.go:9:10: fatal error: sqlite3.h: No such file or directory", "sqlite3.h"),
        ("Package libvips was not found in the pkg-config search path.", "libvips"),
        ("go: errors parsing go.mod:\ngo.mod:3: unknown directive: banana\n", "go.mod"),
        ("verifying a.b/c@v1.0.0: checksum mismatch", "a.b/c@v1.0.0"),
        ("go: something new\n", "go.mod"),
        ("", "go.mod"),
    ],
)  # fmt: skip
def test_an_error_that_needs_a_person(output: str, what: str) -> None:
    missing = _repaired(output)
    assert isinstance(missing, Missing) and missing.what == what and missing.next_step


def test_an_error_that_names_a_newer_version() -> None:
    choices = _repaired("go: a.b/c@v1.0.0 requires go >= 1.27.1 (running go 1.26.8; ...)\n")
    assert isinstance(choices, Choices) and choices.version == "1.27.1"
    (recipe,) = _read({"go.mod": _REQUIRES, **_TEST}, choices)
    assert recipe.environment == {"GOTOOLCHAIN": "go1.27.1"}
