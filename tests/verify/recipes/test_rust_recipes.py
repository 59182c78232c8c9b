"""Recipes for Rust: files in, steps out, and what errors lead to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes.recipe import Declared, Machine, RecipeContext, SetupFailure
from app.recipes.rust import READER

_RUST = Machine(versions={"rust": ("1.95.0",)})
_CRATE = '[package]\nname = "halves"\nversion = "1.0.0"\n\n[dependencies]\nitoa = "1"\n'


def _context(
    files: Mapping[str, str], *choices: Choices, machine: Machine = _RUST
) -> RecipeContext:
    return RecipeContext(LoadedFiles(files), machine, Declared(), choices)


def _read(files: Mapping[str, str], *choices: Choices, machine: Machine = _RUST) -> list[Recipe]:
    return list(READER.read(_context(files, *choices, machine=machine)))


def _repaired(output: str, files: Mapping[str, str]) -> Choices | Missing:
    context = _context(files)
    (recipe,) = READER.read(context)
    return READER.repair(context, recipe, SetupFailure("cargo fetch", 101, output))


def _lines(recipe: Recipe) -> list[list[str]]:
    return [[command.line for command in step.commands] for step in recipe.steps]


def test_a_tracked_lock_is_taken_as_it_is() -> None:
    (recipe,) = _read({"Cargo.toml": _CRATE, "Cargo.lock": ""})
    assert _lines(recipe) == [["cargo fetch --locked", "cargo fetch"]]
    (recipe,) = _read({"Cargo.toml": _CRATE})
    assert _lines(recipe) == [["cargo fetch"]]
    assert recipe.collect is not None and recipe.collect.line.endswith("--workspace -- --list")


def test_nothing_to_fetch() -> None:
    assert _read({"Cargo.toml": '[package]\nname = "a"\n'}) == []
    assert _read({"Cargo.toml": '[package]\nname = "a"\n[dependencies]\nb = {path = "b"}\n'}) == []
    vendored = '[source.crates-io]\nreplace-with = "vendored-sources"\n'
    assert _read({"Cargo.toml": _CRATE, ".cargo/config.toml": vendored}) == []


def test_a_workspace_is_one_recipe() -> None:
    files = {
        "Cargo.toml": '[workspace]\nmembers = ["a", "b"]\n',
        "a/Cargo.toml": _CRATE,
        "b/Cargo.toml": f'{_CRATE}[[test]]\nname = "t"\nharness = false\n',
    }
    (recipe,) = _read(files)
    assert recipe.collect is not None and recipe.collect.line.endswith("--workspace --no-run")
    many = {f"m{number}/Cargo.toml": _CRATE for number in range(60)}
    assert len(_read({**many, "Cargo.toml": '[workspace]\nmembers = ["m*"]\n'})) == 1
    assert len(_read(many)) == 60


def test_all_kinds_of_dependencies_count() -> None:
    for table in (
        "dev-dependencies",
        "build-dependencies",
        "target.'cfg(unix)'.dependencies",
        "workspace.dependencies",
    ):
        assert _read({"Cargo.toml": f'[package]\nname = "a"\n[{table}]\nitoa = "1"\n'})


@pytest.mark.parametrize(
    ("channel", "override"),
    [
        ("stable", False),
        ("1.95", False),
        ("1.95.0", False),
        ("1.80.1", True),
        ("nightly", True),
        ("nightly-2025-01-01", True),
    ],
)
def test_a_channel_that_is_not_installed_is_overridden(channel: str, override: bool) -> None:
    for name, text in (
        ("rust-toolchain.toml", f'[toolchain]\ncomponents = ["a"]\nchannel = "{channel}"\n'),
        ("rust-toolchain", f"{channel}\n"),
    ):
        (recipe,) = _read({"Cargo.toml": _CRATE, name: text})
        assert recipe.environment == ({"RUSTUP_TOOLCHAIN": "1.95.0"} if override else {})
        (choice,) = recipe.versions
        assert (choice.wanted, choice.used, choice.source) == (channel, "1.95.0", name)


def test_the_oldest_version_that_a_package_names() -> None:
    package = _CRATE.replace("[dep", 'rust-version = "1.70"\n[dep')
    (recipe,) = _read({"Cargo.toml": package})
    assert recipe.versions[0].used == "1.95.0" and recipe.environment == {}
    (recipe,) = _read({"Cargo.toml": package.replace("1.70", "1.99")})
    assert recipe.versions[0].used == ""


def test_a_hostile_channel_is_not_used() -> None:
    files = {"Cargo.toml": _CRATE, "rust-toolchain": "$(touch x)\n"}
    (recipe,) = _read(files)
    assert recipe.environment == {} and recipe.versions == ()


def test_a_manifest_that_cannot_be_read() -> None:
    (recipe,) = _read({"Cargo.toml": "[package\n"})
    assert "line 1" in recipe.missing[0].why and recipe.steps == ()
    deep = "a = " + "[" * 5000
    (recipe,) = _read({"Cargo.toml": deep})
    assert recipe.missing


def test_a_worker_without_cargo() -> None:
    (recipe,) = _read({"Cargo.toml": _CRATE}, machine=Machine())
    assert [each.what for each in recipe.missing] == ["cargo"]


def test_a_lock_out_of_step_is_updated() -> None:
    files = {"Cargo.toml": _CRATE, "Cargo.lock": ""}
    choices = _repaired("error: the lock file x needs to be updated but --locked was passed", files)
    assert isinstance(choices, Choices)
    (recipe,) = _read(files, choices)
    assert _lines(recipe) == [["cargo fetch"]]


def test_without_a_lock_older_crates_may_do() -> None:
    output = "error: rustc 1.95.0 is not supported by the following package:\n" \
        "  new@1.0.0 requires rustc 1.99\n"  # fmt: skip
    choices = _repaired(output, {"Cargo.toml": _CRATE})
    assert isinstance(choices, Choices)
    (recipe,) = _read({"Cargo.toml": _CRATE}, choices)
    assert recipe.environment == {"CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS": "fallback"}
    missing = _repaired(output, {"Cargo.toml": _CRATE, "Cargo.lock": ""})
    assert isinstance(missing, Missing) and missing.what == "Rust 1.99"


def test_a_crate_for_nightly_on_a_stable_compiler() -> None:
    error = "error[E0554]: `#![feature]` may not be used on the stable release channel"
    files = {"Cargo.toml": _CRATE, "rust-toolchain": "nightly\n"}
    choices = _repaired(error, files)
    assert isinstance(choices, Choices)
    (recipe,) = _read(files, choices)
    assert recipe.environment["RUSTC_BOOTSTRAP"] == "1"
    assert isinstance(_repaired(error, {"Cargo.toml": _CRATE}), Missing)


def test_only_known_variables_are_chosen() -> None:
    asked = Choices(ecosystem="rust", environment={"RUSTC_WRAPPER": "sh", "RUSTC_BOOTSTRAP": "x"})
    (recipe,) = _read({"Cargo.toml": _CRATE}, asked)
    assert recipe.environment == {}


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("error: failed to get `x`\n  Unable to update https://git.example.com/a/x.git?branch=b#1",
         "https://git.example.com/a/x.git?branch=b#1"),
        ("error: no matching package named `nopkg` found", "nopkg"),
        ("error: toolchain '1.80.1-x86_64-unknown-linux-gnu' is not installed",
         "Rust 1.80.1-x86_64-unknown-linux-gnu"),
        ("error: linker `cc` not found", "cc"),
        ("The system library `libudev` required by crate `libudev-sys` was not found.", "libudev"),
        ("Could not find directory of OpenSSL installation", "OpenSSL"),
        ("Could not find `protoc` installation", "protoc"),
        ("is `cmake` not installed?", "cmake"),
        ("/usr/bin/ld: cannot find -lpq: No such file", "pq"),
        ("error: failed to read `/workspace/b/Cargo.toml`", "/workspace/b/Cargo.toml"),
        ("error: failed to parse manifest at `/workspace/Cargo.toml`\n\nCaused by:\n  no targets",
         "Cargo.toml"),
        ("error: something new", "Cargo.toml"),
        ("", "Cargo.toml"),
    ],
)  # fmt: skip
def test_an_error_that_needs_a_person(output: str, what: str) -> None:
    missing = _repaired(output, {"Cargo.toml": _CRATE})
    assert isinstance(missing, Missing) and missing.what == what and missing.next_step
