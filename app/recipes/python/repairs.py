"""The rules that look at the error of a Python setup. Pure; the output is untrusted text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes.python.import_names import DISTRIBUTIONS, FIXTURES, PYTEST_OPTIONS
from app.recipes.python.manifests import PythonProject
from app.recipes.recipe import Failure, RecipeContext

_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]{1,100})'")
_OPTION = re.compile(r"unrecognized arguments?: ([^\n]{1,300})")
_FIXTURE = re.compile(r"fixture '(\w{1,60})' not found")
_PLUGIN = re.compile(r"Error importing plugin \"([\w.]{1,80})\"")
_PROGRAMS = {
    r"(?:pg_config|libpq-fe\.h)": ("libpq", "libpq-dev"),
    r"(?:command '?(?:x86_64-linux-gnu-)?(?:gcc|cc|g\+\+)'? failed: No such file"
    r"|error: command '(?:gcc|cc|g\+\+)' failed|unable to execute '(?:gcc|cc)')": (
        "a C compiler",
        "gcc libc6-dev",
    ),
    r"Python\.h: No such file": ("the headers of Python", "python3-dev"),
    r"(?:libxml/xmlversion\.h|xml2-config|xslt-config)": ("libxml2", "libxml2-dev libxslt1-dev"),
    r"(?:ffi\.h: No such file)": ("libffi", "libffi-dev"),
    r"(?:mysql_config|mysqlclient)": ("the MySQL client library", "default-libmysqlclient-dev"),
    r"(?:can't find Rust compiler|cargo: not found|Rust not found)": ("Rust", "rustc cargo"),
    r"(?:openssl/\w+\.h)": ("OpenSSL's headers", "libssl-dev"),
}
_WORKER = (
    "Install it on the worker ({}), or use a container image that has it: `image:` in "
    "`.github/honk.yml`."
)


def repair(
    context: RecipeContext, project: PythonProject, recipe: Recipe, failure: Failure
) -> Choices | Missing:
    """Other choices to try, or what is missing."""
    chosen = context.chosen("python", project.folder)
    output = failure.output[-64_000:]
    wanted = [name for name in _packages(project, output) if name not in chosen.packages]
    if wanted:
        packages = tuple(dict.fromkeys([*chosen.packages, *wanted]))
        return chosen.model_copy(update={"packages": packages})
    for found in _missing(project, output):
        return found
    if not failure.collecting and not chosen.loose and recipe.name != "pip":
        return chosen.model_copy(update={"loose": True})
    return _unknown(failure)


def _packages(project: PythonProject, output: str) -> Iterator[str]:
    """Packages that the output speaks of, if a manifest or a shipped map names them."""
    for module in dict.fromkeys([*_MODULE.findall(output), *_PLUGIN.findall(output)]):
        name = distribution(project, module)
        if name:
            yield name
    for options in _OPTION.findall(output):
        for option in options.split():
            plain = option.partition("=")[0]
            known = next(
                (PYTEST_OPTIONS[each] for each in PYTEST_OPTIONS if _is_option(plain, each)), ""
            )
            if known:
                yield known
    for fixture in dict.fromkeys(_FIXTURE.findall(output)):
        if fixture in FIXTURES:
            yield FIXTURES[fixture]


def _is_option(option: str, known: str) -> bool:
    return option == known or (known.startswith("--") and option.startswith(f"{known}-"))


def distribution(project: PythonProject, module: str) -> str:
    """The distribution that an imported module comes from; "" if nothing trusted names one."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in DISTRIBUTIONS:
            return DISTRIBUTIONS[name]
    same = canonicalize_name(parts[0])
    return parts[0] if same in project.declared_names else ""


def _missing(project: PythonProject, output: str) -> Iterator[Missing]:
    for pattern, (what, packages) in _PROGRAMS.items():
        if re.search(pattern, output):
            yield Missing(
                what=what,
                why=f"A package is built from source, and that needs {what}.",
                next_step=_WORKER.format(f"Debian: `{packages}`"),
            )
    for module in _MODULE.findall(output):
        if any(name.startswith((f"{module}/", f"src/{module}/")) for name in project.files):
            continue
        yield Missing(
            what=f"the Python module `{module}`",
            why=f"The tests import `{module}`, and no manifest of the repository names a package "
            "that has it.",
            next_step="Add the package to the project's test dependencies, or install it in "
            "`.github/honk.yml`.",
            lines=(
                'setup: ["python3 -m venv .venv", ".venv/bin/pip install -e . PACKAGE"]',
                "network: {allow: [python]}",
            ),
        )
    if re.search(r"(?i)git\+https?://|Git operation failed|git clone", output):
        yield Missing(
            what="a dependency from a Git repository",
            why="A dependency is fetched with Git, and setup only reaches package registries.",
            next_step="Allow its host in `.github/honk.yml`.",
            lines=("network: {allow: [python, GIT-HOST]}",),
        )
    if re.search(r"(?i)requires-python|Requires-Python|requires a different Python", output):
        yield Missing(
            what="another version of Python",
            why="A package does not support the Python on this worker.",
            next_step="Install another version on the worker, or use a container image: "
            "`image:` in `.github/honk.yml`.",
        )


def _unknown(failure: Failure) -> Missing:
    what = "The tests could not be collected" if failure.collecting else "A setup command failed"
    return Missing(
        what="a working setup",
        why=f"{what}: `{failure.line[:200]}` exited with {failure.exit_code}.",
        next_step="Name the commands that work in `.github/honk.yml`.",
        lines=(
            'setup: ["python3 -m venv .venv", ".venv/bin/pip install -e .[test]"]',
            "network: {allow: [python]}",
            'verify: ["pytest -q"]',
        ),
    )
