"""Recipes for Ruby: files in, steps out, and what errors lead to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes.recipe import Declared, Machine, RecipeContext, SetupFailure
from app.recipes.ruby import READER

_RUBY = Machine(versions={"ruby": ("3.1.2",)}, programs=frozenset({"ruby", "bundle"}))
_GEMFILE = "source 'https://gems.example.com'\n\ngem 'rspec'\n"


def _context(
    files: Mapping[str, str], *choices: Choices, machine: Machine = _RUBY
) -> RecipeContext:
    return RecipeContext(LoadedFiles(files), machine, Declared(), choices)


def _read(files: Mapping[str, str], *choices: Choices, machine: Machine = _RUBY) -> list[Recipe]:
    return list(READER.read(_context(files, *choices, machine=machine)))


def _repaired(output: str) -> Choices | Missing:
    context = _context({"Gemfile": _GEMFILE, "Gemfile.lock": ""})
    (recipe,) = READER.read(context)
    return READER.repair(context, recipe, SetupFailure("bundle install", 1, output))


def _lines(recipe: Recipe) -> list[str]:
    return [command.line for step in recipe.steps for command in step.commands]


def test_a_lock_is_taken_as_it_is() -> None:
    (recipe,) = _read({"Gemfile": _GEMFILE, "Gemfile.lock": ""})
    assert _lines(recipe) == ["BUNDLE_FROZEN=true bundle install", "bundle install"]
    (recipe,) = _read({"Gemfile": _GEMFILE})
    assert _lines(recipe) == ["bundle install"]
    assert recipe.environment["BUNDLE_PATH"] == "@/bundle"


def test_nothing_to_install() -> None:
    assert _read({"Gemfile": "source 'https://gems.example.com'\n"}) == []
    assert _read({"Rakefile": ""}) == []


def test_several_gemfiles() -> None:
    assert len(_read({f"m{number}/Gemfile": _GEMFILE for number in range(60)})) == 60
    assert len(_read({"Gemfile": _GEMFILE, "a/Gemfile": _GEMFILE})) == 1


@pytest.mark.parametrize(
    ("files", "wanted", "source"),
    [
        ({".ruby-version": "ruby-3.1.2\n"}, "ruby-3.1.2", ".ruby-version"),
        ({".tool-versions": "ruby 3.3.0\n"}, "3.3.0", ".tool-versions"),
        ({"Gemfile": f'{_GEMFILE}ruby "3.2.1"\n'}, "3.2.1", "Gemfile"),
    ],
)
def test_the_version_of_ruby(files: Mapping[str, str], wanted: str, source: str) -> None:
    (recipe,) = _read({"Gemfile": _GEMFILE, **files})
    (version,) = recipe.versions
    assert (version.wanted, version.source, version.used) == (wanted, source, "3.1.2")


def test_a_hostile_version_is_not_used() -> None:
    (recipe,) = _read({"Gemfile": _GEMFILE, ".ruby-version": "3.1.2;$(touch x)\n"})
    assert recipe.versions == ()


@pytest.mark.parametrize(
    ("programs", "what"), [(frozenset[str](), "ruby"), (frozenset({"ruby"}), "bundle")]
)
def test_a_worker_without_ruby_or_bundler(programs: frozenset[str], what: str) -> None:
    (recipe,) = _read({"Gemfile": _GEMFILE}, machine=Machine(programs=programs))
    assert [each.what for each in recipe.missing] == [what] and recipe.steps == ()


def test_a_lock_out_of_step_is_resolved_again() -> None:
    choices = _repaired("The lockfile can't be updated because frozen mode is set")
    assert isinstance(choices, Choices)
    (recipe,) = _read({"Gemfile": _GEMFILE, "Gemfile.lock": ""}, choices)
    assert _lines(recipe) == ["bundle install"]


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("Your Ruby version is 3.1.2, but your Gemfile specified 3.3.0", "Ruby 3.3.0"),
        ("Could not find gem 'nogem (~> 2)' in rubygems repository", "nogem"),
        ("Could not find 'bundler' (2.5.1) required by Gemfile.lock", "bundle"),
        ("mkmf.rb can't find header files for ruby at /usr/lib/ruby/include/ruby.h", "ruby.h"),
        ("pg_config: fatal error: libpq-fe.h: No such file", "libpq-fe.h"),
        ("Retrying `git clone 'https://git.example.com/a/b.git' x` due to error",
         "https://git.example.com/a/b.git"),
        ("There was an error parsing `Gemfile`: syntax error, unexpected end", "Gemfile"),
        ("something new", "Gemfile"),
        ("", "Gemfile"),
    ],
)  # fmt: skip
def test_an_error_that_needs_a_person(output: str, what: str) -> None:
    missing = _repaired(output)
    assert isinstance(missing, Missing) and missing.what == what and missing.next_step
