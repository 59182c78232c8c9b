"""Repair rules for errors of a Node setup. Pure; the output is untrusted text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes import versions
from app.recipes.node.manifests import NodePackage
from app.recipes.reasons import git_dependency
from app.recipes.recipe import RecipeContext, SetupFailure

_ENGINE = re.compile(
    r"(?:\"node\" is incompatible with this module\. Expected version \""
    r"|wanted: \{\"?node\"?:\s*['\"]"
    r"|Required: \{\s*node: ['\"])\D{0,4}(\d+(?:\.\d+){0,2})"
)
_MODULE = re.compile(r"Cannot find (?:module|package) '([@\w./-]{1,120})'")
_GONE = re.compile(
    r"(?:404 Not Found|ERR_PNPM_FETCH_404|No matching version found for)[^\n]{0,200}"
)
_WORKER = (
    "Install it on the worker, or use a container image that has it: `image:` in "
    "`.github/honk.yml`."
)


def repair(
    context: RecipeContext, package: NodePackage, recipe: Recipe, failure: SetupFailure
) -> Choices | Missing:
    """Other choices to try, or what is missing."""
    chosen = context.chosen("node", package.folder)
    output = failure.output[-64_000:]
    engine = _ENGINE.search(output)
    if engine and not chosen.version and versions.plain(engine[1]):
        return chosen.model_copy(update={"version": engine[1]})
    for found in _missing(package, output):
        return found
    if not failure.collecting and not chosen.loose:
        return chosen.model_copy(update={"loose": True})
    return Missing(
        what="a working setup",
        why=f"`{failure.line[:200]}` exited with {failure.exit_code}.",
        next_step="Name the commands that work in `.github/honk.yml`.",
        lines=(f'setup: ["{recipe.name} install"]', "network: {allow: [node]}"),
    )


def _missing(package: NodePackage, output: str) -> Iterator[Missing]:
    gone = _GONE.search(output)
    if gone:
        yield Missing(
            what="a package that its registry does not have",
            why=f"The registry says: {gone[0].strip()[:200]}",
            next_step="Correct the dependency in `package.json`, or configure the registry that "
            "has it on the worker.",
        )
    if re.search(r"gyp ERR!|node-gyp", output) and re.search(
        r"not found: make|find Python|no such file.*(?:cc|g\+\+)|not found: (?:cc|g\+\+|gcc)",
        output,
    ):
        yield Missing(
            what="a C++ compiler",
            why="A dependency is built from source with node-gyp.",
            next_step=f"Debian: `build-essential python3`. {_WORKER}",
        )
    if re.search(r"ls-remote|ssh://git@|git\+https|Permission denied \(publickey\)", output):
        yield git_dependency("node", output)
    if re.search(
        r"playwright install|Executable doesn't exist at|Failed to launch the browser", output
    ):
        yield Missing(
            what="a browser",
            why="The tests start a browser, and setup does not download one.",
            next_step=_WORKER,
        )
    for name in _MODULE.findall(output):
        if name.startswith((".", "/")):
            continue
        own = "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
        if own not in package.declared_names:
            yield Missing(
                what=f"the package `{own}`",
                why=f"The code loads `{own}`, and `package.json` does not list it.",
                next_step="Add it to `devDependencies`.",
            )
