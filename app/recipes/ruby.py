"""Ruby projects with a Gemfile. Pure.

https://bundler.io/man/bundle-config.1.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.file_tree import folders_with, located, outermost
from app.domain.setup_plan import (
    Choices,
    Missing,
    Recipe,
    SetupCommand,
    SetupStep,
    VersionChoice,
)
from app.recipes.reasons import by_hand
from app.recipes.recipe import RecipeContext, RecipeReader, SetupFailure
from app.recipes.system_errors import missing_from_system
from app.recipes.versions import nearest, pinned

MAX_BYTES = 1_000_000

# In the caches of the checkout: in the work tree, gems would look like the project's own files.
_ENVIRONMENT = {"BUNDLE_PATH": "@/bundle", "BUNDLE_APP_CONFIG": "@/bundle-config"}
_GEMS = re.compile(r"^\s*(?:gem|gemspec|eval_gemfile)\b", re.MULTILINE)
_RUBY = re.compile(r"^\s*ruby\(?\s*[\"']([^\"'\n]{1,40})[\"']", re.MULTILINE)
_VERSION = re.compile(r"(?:ruby-)?(\d{1,2}(?:\.\d{1,3}){0,2})")


class RubyRecipes:
    """One recipe for each outermost Gemfile that names gems."""

    ecosystem = "ruby"

    def read(self, context: RecipeContext) -> Iterator[Recipe]:
        for folder in outermost(folders_with(context.tree, "Gemfile")):
            text = context.tree.read_text(located("Gemfile", folder), MAX_BYTES) or ""
            if _GEMS.search(text):
                yield _recipe(context, folder, text)

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        return _repair(context, recipe, failure.output)


READER: RecipeReader = RubyRecipes()


def _recipe(context: RecipeContext, folder: str, gemfile: str) -> Recipe:
    source = located("Gemfile", folder)
    version = _version(context, folder, gemfile)
    recipe = Recipe(
        ecosystem="ruby",
        name="bundler",
        folder=folder,
        source=source,
        versions=(version,) if version else (),
    )
    for program, name in (("ruby", "Ruby"), ("bundle", "Bundler")):
        if program not in context.machine.programs:
            return recipe.model_copy(update={"missing": (_not_installed(program, name),)})
    return recipe.model_copy(
        update={
            "steps": (_install(context, folder, source),),
            "environment": _ENVIRONMENT,
        }
    )


def _install(context: RecipeContext, folder: str, source: str) -> SetupStep:
    """A lock file is used as it is; if the Gemfile has changed since, it is resolved again."""
    lock = located("Gemfile.lock", folder)
    commands = [SetupCommand(line="bundle install", source=source)]
    if context.tree.exists(lock) and not context.chosen("ruby", folder).loose:
        commands.insert(0, SetupCommand(line="BUNDLE_FROZEN=true bundle install", source=lock))
    return SetupStep(commands=tuple(commands), folder=folder)


def _version(context: RecipeContext, folder: str, gemfile: str) -> VersionChoice | None:
    """Only installed versions of Ruby can be used; bundler checks the Gemfile's `ruby`."""
    wanted, source = _wanted(context, folder, gemfile)
    found = _VERSION.fullmatch(wanted)
    if found is None:
        return None
    installed = context.machine.versions.get("ruby", ())
    used = nearest(installed, found[1]) or next(iter(installed), "")
    return VersionChoice(tool="ruby", wanted=wanted, source=source, used=used)


def _wanted(context: RecipeContext, folder: str, gemfile: str) -> tuple[str, str]:
    wanted, source = pinned(context.tree, folder, (".ruby-version",), ("ruby",))
    if wanted:
        return wanted, source
    if found := _RUBY.search(gemfile):
        return found[1], located("Gemfile", folder)
    return context.declared.versions.get("ruby", ""), context.declared.source or "CI"


# --- repairs


_OTHER_RUBY = re.compile(
    r"Your Ruby version is ([\d.]{1,12})[^\n]{0,20}, but your Gemfile specified ([^\n]{1,60})"
)
_NEEDS_RUBY = re.compile(r"requires (?:R|r)uby (?:version )?([^\n.]{1,20}(?:\.\d+){0,2})")
_NO_GEM = re.compile(
    r"Could not find gem '([\w.-]{1,80})[^'\n]{0,80}'|Could not find ([\w.-]{1,80}) in "
)
_BUNDLER = re.compile(
    r"Could not find 'bundler' \(([\d.]{1,20})\)|requires bundler version (?:= )?([\d.]{1,20})"
)
_FORGE = re.compile(
    r"(?:git clone|Retrying `git|from) [^\n]{0,80}?(https?://([\w.-]{1,100})[^\s'`]{0,200}\.git)"
)
_OUT_OF_STEP = re.compile(r"frozen|deployment mode|lockfile (?:can't|cannot) be updated")
_HEADERS = re.compile(r"can't find header files for ruby")
_SYNTAX = re.compile(r"There was an error parsing `Gemfile`: ([^\n]{1,200})")


def _repair(context: RecipeContext, recipe: Recipe, output: str) -> Choices | Missing:
    choices = context.chosen("ruby", recipe.folder)
    if recipe.missing:
        return recipe.missing[0]
    if found := _SYNTAX.search(output):
        return Missing(
            what=recipe.source,
            why=f"{recipe.source} cannot be read: {found[1]}.",
            next_step=f"Correct {recipe.source}.",
        )
    if found := _OTHER_RUBY.search(output):
        return _no_ruby(found[2].rstrip("."), found[1])
    if found := _BUNDLER.search(output):
        return _not_installed("bundle", f"Bundler {found[1] or found[2]}")
    if _HEADERS.search(output):
        return Missing(
            what="ruby.h",
            why="A gem has an extension in C, and the worker lacks Ruby's header files.",
            next_step="Ask the operator to install Ruby's development files (`ruby-dev`).",
        )
    if found := _FORGE.search(output):
        return _from_a_forge(found[1], found[2])
    if _OUT_OF_STEP.search(output) and not choices.loose:
        return choices.model_copy(update={"loose": True})
    if found := _NEEDS_RUBY.search(output):
        return _no_ruby(found[1].strip(" ,"), "")
    if found := _NO_GEM.search(output):
        gem = found[1] or found[2]
        return Missing(
            what=gem,
            why=f"The registry has no version of `{gem}` that the Gemfile accepts.",
            next_step=f"Correct the version of `{gem}`, or allow the host that serves it.",
        )
    return missing_from_system(output) or _unknown(recipe, output)


def _no_ruby(wanted: str, installed: str) -> Missing:
    has = f"; this worker has {installed}" if installed else ", which this worker does not have"
    return Missing(
        what=f"Ruby {wanted}",
        why=f"The Gemfile needs Ruby {wanted}{has}.",
        next_step="Ask the operator to install it, or name an `image` that has it. No registry "
        "serves Ruby.",
    )


def _from_a_forge(url: str, host: str) -> Missing:
    return Missing(
        what=url,
        why=f"A git dependency needs {host}, which setup may not reach.",
        next_step=f"Use a released gem. A public {host} can be allowed; git needs `connect`:",
        lines=(f"network: {{allow: [ruby, {host}], mode: connect}}", 'setup: ["bundle install"]'),
    )


def _not_installed(program: str, name: str) -> Missing:
    return Missing(
        what=program,
        why=f"The repository has a Gemfile, and {name} is not installed on this worker.",
        next_step=f"Ask the operator to install it, or name an `image` that has `{program}`.",
    )


def _unknown(recipe: Recipe, output: str) -> Missing:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = lines[-1][:200] if lines else "it printed nothing"
    return by_hand(recipe, f"bundler failed: {said}", "bundle install")
