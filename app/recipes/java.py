"""Maven and Gradle builds. Pure.

Maven resolves a test runner's dependencies only when a test runs, so its repository is filled by
running the build once with network; `dependency:go-offline` misses some.
https://maven.apache.org/wrapper/, https://docs.gradle.org/current/userguide/gradle_wrapper.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.parsers import expat

from app.domain.file_tree import FileTree, folders_with, located, outermost
from app.domain.setup_plan import (
    Choices,
    Missing,
    Recipe,
    SetupCommand,
    SetupStep,
    VersionChoice,
)
from app.recipes.reasons import by_hand, telling_line
from app.recipes.recipe import RecipeContext, RecipeReader, SetupFailure
from app.recipes.system_errors import missing_from_system
from app.recipes.versions import pinned

MAX_BYTES = 1_000_000
_MAX_DEPTH = 100

_GRADLE_FILES = ("settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts")
_MVN = "mvn -B -ntp -Dstyle.color=never"
_RELEASE = re.compile(r"(?:1\.)?(\d{1,2})(?:\.\d+)*")
_WRAPPED = re.compile(r"apache-maven-(\d{1,2}(?:\.\d{1,3}){1,2})-bin\.zip\s*$", re.MULTILINE)
_GRADLE_URL = re.compile(r"^distributionUrl\s*=\s*(\S{1,300})", re.MULTILINE)
_UNCHECKED = (
    "-Dmaven.repo.local=@/maven -Denforcer.skip=true -Drat.skip=true -Dlicense.skip=true"
    " -Dcheckstyle.skip=true -Dspotless.check.skip=true -Dfmt.skip=true"
)
"""Without the checks that plug-ins make before any test: of the machine, of license headers, of
style. MAVEN_OPTS applies to every call of Maven, including the tests'."""


class JavaRecipes:
    """One recipe for each outermost Maven project or Gradle build."""

    ecosystem = "java"

    def read(self, context: RecipeContext) -> Iterator[Recipe]:
        tree = context.tree
        for folder in outermost(folders_with(tree, "pom.xml")):
            yield _maven(context, folder)
        for folder in outermost(folders_with(tree, *_GRADLE_FILES)):
            if not tree.exists(located("pom.xml", folder)):
                yield _gradle(context, folder)

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        return _repair(context, recipe, failure.output)


READER: RecipeReader = JavaRecipes()


# --- Maven


def _maven(context: RecipeContext, folder: str) -> Recipe:
    tree, source = context.tree, located("pom.xml", folder)
    pom = _pom(tree.read_text(source, MAX_BYTES))
    java, maven = _java(context, folder, pom), _maven_version(context, folder)
    recipe = Recipe(
        ecosystem="java",
        name="maven",
        folder=folder,
        source=source,
        versions=tuple(each for each in (java, maven) if each),
    )
    missing = _without_java(context) or (_unreadable(source, pom.problem) if pom.problem else None)
    if not missing and not context.machine.versions.get("maven"):
        missing = _not_installed("mvn", "Maven")
    if missing:
        return recipe.model_copy(update={"missing": (missing,)})
    loose = context.chosen("java", folder).loose
    fetched = maven.used if maven and maven.from_registry else ""
    tools = (_fetch_maven(fetched, maven.source, folder),) if maven and fetched else ()
    return recipe.model_copy(
        update={
            "steps": (*tools, _warm(source, folder, optional=not _has_tests(tree, folder))),
            "environment": {"MAVEN_OPTS": _UNCHECKED} if loose else {},
            "search_path": (f"@/tools/maven/apache-maven-{fetched}/bin",) if fetched else (),
        }
    )


def _warm(source: str, folder: str, *, optional: bool) -> SetupStep:
    """The whole build, whose plugins the tests need; then only as far as the tests."""
    ignored = f"{_MVN} -Dmaven.test.failure.ignore=true"
    lines = (f"{ignored} verify", f"{ignored} --fail-at-end test")
    return SetupStep(
        commands=tuple(SetupCommand(line=line, source=source) for line in lines),
        purpose="warm",
        folder=folder,
        optional=optional,
    )


def _fetch_maven(version: str, source: str, folder: str) -> SetupStep:
    """Maven itself is an artifact. If it is unavailable, the installed one is used."""
    line = (
        f"{_MVN} dependency:unpack -Dartifact=org.apache.maven:apache-maven:{version}:zip:bin"
        ' -DoutputDirectory="$HONK_MAVEN"'
    )
    return SetupStep(
        commands=(SetupCommand(line=line, source=source),),
        purpose="tools",
        folder=folder,
        environment={"HONK_MAVEN": "@/tools/maven"},
        optional=True,
    )


def _maven_version(context: RecipeContext, folder: str) -> VersionChoice | None:
    """The wrapper's version, or the one that an error asked for; a newer installed one is fine."""
    source = located(".mvn/wrapper/maven-wrapper.properties", folder)
    found = _WRAPPED.search(context.tree.read_text(source, MAX_BYTES) or "")
    wanted = found[1] if found else ""
    chosen = context.chosen("java", folder)
    if chosen.manager and re.fullmatch(r"\d{1,2}(?:\.\d{1,3}){1,2}", chosen.manager):
        wanted, source = chosen.manager, "the enforcer's rule"
    if not wanted:
        return None
    installed = max(context.machine.versions.get("maven", ()), key=_parts, default="")
    fetch = bool(installed) and context.machine.network and _parts(installed) < _parts(wanted)
    used = wanted if fetch else installed
    return VersionChoice(tool="maven", wanted=wanted, source=source, used=used, from_registry=fetch)


def _has_tests(tree: FileTree, folder: str) -> bool:
    below = f"{folder}/" if folder else ""
    return any(
        path.startswith(below)
        for pattern in ("*src/test/*", "*src/it/*")
        for path in tree.names(pattern)
    )


# --- Gradle


def _gradle(context: RecipeContext, folder: str) -> Recipe:
    tree = context.tree
    source = next(
        located(name, folder) for name in _GRADLE_FILES if tree.exists(located(name, folder))
    )
    java = _java(context, folder, _MavenProject())
    recipe = Recipe(
        ecosystem="java",
        name="gradle",
        folder=folder,
        source=source,
        versions=(java,) if java else (),
    )
    missing = _without_java(context)
    if not missing and "gradle" not in context.machine.programs:
        missing = _no_gradle(tree, folder)
    if missing:
        return recipe.model_copy(update={"missing": (missing,)})
    gradle = "gradle --no-daemon --console=plain --continue"
    # The first exits with 1 when a test fails; the second then shows that all compile.
    lines = (f"{gradle} test", f"{gradle} testClasses")
    commands = tuple(SetupCommand(line=line, source=source) for line in lines)
    step = SetupStep(commands=commands, purpose="warm", folder=folder)
    return recipe.model_copy(update={"steps": (step,)})


def _no_gradle(tree: FileTree, folder: str) -> Missing:
    """A wrapper downloads Gradle from a host that is no package registry."""
    path = located("gradle/wrapper/gradle-wrapper.properties", folder)
    found = _GRADLE_URL.search(tree.read_text(path, MAX_BYTES) or "")
    host = _host(found[1].replace("\\:", ":")) if found else ""
    if not host:
        return _not_installed("gradle", "Gradle")
    return Missing(
        what="gradle",
        why=f"Gradle is not installed on this worker, and its wrapper downloads it from {host}, "
        "which is not a package registry.",
        next_step="Ask the operator to install Gradle, or name an `image` that has it.",
    )


def _host(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host if re.fullmatch(r"[a-z0-9.-]{1,100}", host) else ""


# --- the version of Java


def _java(context: RecipeContext, folder: str, pom: _MavenProject) -> VersionChoice | None:
    """A newer JDK can compile for an older release, so the newest installed one is used."""
    wanted, source = _wanted_java(context, folder, pom)
    found = _RELEASE.match(wanted.removeprefix("temurin-").removeprefix("openjdk-"))
    if found is None:
        return None
    installed = max(context.machine.versions.get("java", ()), key=_parts, default="")
    enough = bool(installed) and _major(installed) >= int(found[1])
    return VersionChoice(
        tool="java", wanted=wanted, source=source, used=installed if enough else ""
    )


def _wanted_java(context: RecipeContext, folder: str, pom: _MavenProject) -> tuple[str, str]:
    wanted, source = pinned(context.tree, folder, (".java-version",), ("java",))
    if wanted:
        return wanted, source
    path = located(".sdkmanrc", folder)
    text = context.tree.read_text(path, MAX_BYTES) or ""
    if found := re.search(r"^\s*java\s*=\s*([\w.-]{1,60})", text, re.MULTILINE):
        return found[1], path
    for name in ("maven.compiler.release", "maven.compiler.source", "java.version"):
        if _RELEASE.fullmatch(pom.properties.get(name, "")):
            return pom.properties[name], located("pom.xml", folder)
    return context.declared.versions.get("java", ""), context.declared.source or "CI"


def _major(version: str) -> int:
    found = _RELEASE.match(version)
    return int(found[1]) if found else 0


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,6}", version)[:4])


# --- pom.xml


@dataclass
class _MavenProject:
    """The properties of a pom.xml. `problem`: why it cannot be read."""

    properties: dict[str, str] = field(default_factory=dict)
    problem: str = ""


class _UnsafeXmlError(Exception):
    """The file declares entities, or is nested too deeply."""


def _pom(text: str | None) -> _MavenProject:
    """Reads no entity and no other file, whatever the text declares."""
    if text is None:
        return _MavenProject(problem="it is not a regular file")
    pom, path = _MavenProject(), list[str]()

    def start(name: str, _: object) -> None:
        path.append(name)
        if len(path) > _MAX_DEPTH:
            raise _UnsafeXmlError("it is nested too deeply")

    def end(_: str) -> None:
        path.pop()

    def data(said: str) -> None:
        if path[:-1] == ["project", "properties"]:
            pom.properties[path[-1]] = (pom.properties.get(path[-1], "") + said)[:200]

    def doctype(*_: object) -> None:
        raise _UnsafeXmlError("it has a document type, which may declare entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = data, doctype
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except (expat.ExpatError, _UnsafeXmlError) as error:
        pom.problem = str(error)
    pom.properties = {name: value.strip() for name, value in pom.properties.items()}
    return pom


# --- what is missing, and repairs


_ALLOWED = re.compile(
    r"Detected Maven Version: [\w.-]{1,20} is not in the allowed range [\[(]?(\d[\d.]{0,15})"
)
_ALLOWED_JDK = re.compile(
    r"Detected JDK (?:Version: |version )?[^\n]{0,120}is not in the allowed range ([^\s]{1,40})"
)
_NEWER_JDK = re.compile(
    r"(?:release version|invalid (?:target|source) release:?) (?:1\.)?(\d{1,2})(?: not supported)?"
    r"|class file version (\d\d)\.\d"
)
_CHECKED = re.compile(
    r"maven-enforcer-plugin|Some Enforcer rules have failed"
    r"|Failed to execute goal \S*(?:apache-rat|license-maven|checkstyle|spotless|fmt-maven)"
)
_NOT_FOUND = re.compile(
    r"(?:Could not find artifact|Failure to find|Could not transfer artifact)"
    r" ([\w.-]{1,100}:[\w.-]{1,100}(?::[\w.-]{1,60}){1,3})(?: (?:in|from/to|from) ([\w.-]{1,60})"
    r" \((https?://[^\s)]{1,200})\))?"
)
_UNPARSED = re.compile(r"Non-parseable POM [^\n]{0,300}")


def _repair(context: RecipeContext, recipe: Recipe, output: str) -> Choices | Missing:
    choices = context.chosen("java", recipe.folder)
    if recipe.missing:
        return recipe.missing[0]
    if found := _UNPARSED.search(output):
        return _unreadable(recipe.source, found[0][:200])
    if (found := _ALLOWED.search(output)) and not choices.manager:
        wanted = found[1].rstrip(".")
        full = wanted if wanted.count(".") == 2 else f"{wanted}.{'0.' * (1 - wanted.count('.'))}0"
        return choices.model_copy(update={"manager": full})
    if found := _NEWER_JDK.search(output):
        release = found[1] or str(int(found[2]) - 44)  # a class file of 61 is Java 17's
        return _no_jdk(release, recipe)
    if (found := _ALLOWED_JDK.search(output)) and choices.loose:
        return _no_jdk(found[1], recipe)
    if _CHECKED.search(output) and not choices.loose:
        return choices.model_copy(update={"loose": True})
    if found := _NOT_FOUND.search(output):
        return _not_found(found[1], found[3] or "")
    return missing_from_system(output) or _unknown(recipe, output)


def _not_found(artifact: str, repository: str) -> Missing:
    host = _host(repository)
    allow = (f"network: {{allow: [java, {host}]}}",) if host else ()
    return Missing(
        what=artifact,
        why=f"Maven could not get it from {host}." if host else "Maven could not get it.",
        next_step="Check its version. If it comes from a repository that the build names, allow "
        "the host:" if host else "Check its version, and that the build installs its own modules.",
        lines=allow,
    )  # fmt: skip


def _no_jdk(version: str, recipe: Recipe) -> Missing:
    return Missing(
        what=f"JDK {version}",
        why=f"{recipe.source} needs JDK {version}, which this worker does not have.",
        next_step="Ask the operator to install it, or name an `image` that has it. No registry "
        "serves JDKs.",
    )


def _without_java(context: RecipeContext) -> Missing | None:
    return None if context.machine.versions.get("java") else _not_installed("java", "A JDK")


def _not_installed(program: str, name: str) -> Missing:
    return Missing(
        what=program,
        why=f"{name} is not installed on this worker.",
        next_step=f"Ask the operator to install it, or name an `image` that has `{program}`.",
    )


def _unreadable(path: str, why: str) -> Missing:
    return Missing(what=path, why=f"{path} cannot be read: {why}.", next_step=f"Correct {path}.")


def _unknown(recipe: Recipe, output: str) -> Missing:
    said = telling_line(output, "[ERROR]").removeprefix("[ERROR]").strip()[:200]
    command = "mvn -B verify" if recipe.name == "maven" else "gradle --no-daemon test"
    return by_hand(recipe, f"The build failed: {said or 'it printed nothing'}", command)
