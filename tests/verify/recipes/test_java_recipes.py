"""Recipes for Maven and Gradle: files in, steps out, and what errors lead to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.file_tree import LoadedFiles
from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes.java import READER
from app.recipes.recipe import Declared, Machine, RecipeContext, SetupFailure

_JAVA = Machine(versions={"java": ("17.0.15",), "maven": ("3.8.7",)})
_POM = "<project><modelVersion>4.0.0</modelVersion></project>"
_TEST = {"src/test/java/ATest.java": "class ATest {}\n"}
_WRAPPER = ".mvn/wrapper/maven-wrapper.properties"
_BILLION = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/passwd">]><project>&b;&c;</project>'
)


def _context(
    files: Mapping[str, str], *choices: Choices, machine: Machine = _JAVA
) -> RecipeContext:
    return RecipeContext(LoadedFiles(files), machine, Declared(), choices)


def _read(files: Mapping[str, str], *choices: Choices, machine: Machine = _JAVA) -> list[Recipe]:
    return list(READER.read(_context(files, *choices, machine=machine)))


def _repaired(output: str) -> Choices | Missing:
    context = _context({"pom.xml": _POM, **_TEST})
    (recipe,) = READER.read(context)
    return READER.repair(context, recipe, SetupFailure("mvn verify", 1, output))


def _lines(recipe: Recipe) -> list[list[str]]:
    return [[command.line for command in step.commands] for step in recipe.steps]


def test_maven_runs_once_with_network() -> None:
    (recipe,) = _read({"pom.xml": _POM, **_TEST, "child/pom.xml": _POM})
    (step,) = recipe.steps
    strict, loose = (command.line for command in step.commands)
    assert strict.startswith("mvn -B -ntp") and strict.endswith("failure.ignore=true verify")
    assert loose.endswith(" test")
    assert (step.purpose, step.optional, recipe.collect) == ("warm", False, None)


def test_a_project_without_tests_may_fail() -> None:
    (recipe,) = _read({"pom.xml": _POM})
    assert recipe.steps[0].optional


def test_several_projects() -> None:
    recipes = _read({f"m{number}/pom.xml": _POM for number in range(60)})
    assert len(recipes) == 60


def test_the_wrappers_maven_is_an_artifact() -> None:
    url = "https\\://host.invalid/org/apache/maven/apache-maven/{0}/apache-maven-{0}-bin.zip"
    text = f"distributionUrl={url.format('3.9.6')}\n"
    (recipe,) = _read({"pom.xml": _POM, **_TEST, _WRAPPER: text})
    ((fetch,), _) = _lines(recipe)
    assert "org.apache.maven:apache-maven:3.9.6:zip:bin" in fetch
    assert recipe.search_path == ("@/tools/maven/apache-maven-3.9.6/bin",)
    (version,) = recipe.versions
    assert (version.wanted, version.used, version.from_registry) == ("3.9.6", "3.9.6", True)
    older = text.replace("3.9.6", "3.6.3")
    (recipe,) = _read({"pom.xml": _POM, **_TEST, _WRAPPER: older})
    assert (recipe.search_path, recipe.versions[0].used) == ((), "3.8.7")
    hostile = text.replace("3.9.6", "3.9.6;id")
    (recipe,) = _read({"pom.xml": _POM, **_TEST, _WRAPPER: hostile})
    assert (recipe.search_path, recipe.versions) == ((), ())


@pytest.mark.parametrize(
    ("files", "wanted", "used"),
    [
        ({".java-version": "21\n"}, "21", ""),
        ({".java-version": "11.0.2\n"}, "11.0.2", "17.0.15"),
        ({".sdkmanrc": "# SDKs\njava=21.0.1-tem\n"}, "21.0.1-tem", ""),
        ({".tool-versions": "java temurin-17.0.9\n"}, "temurin-17.0.9", "17.0.15"),
        (
            {"pom.xml": _POM.replace("</pro", "<properties><java.version>1.8</java.version>"
             "</properties></pro")},
            "1.8",
            "17.0.15",
        ),
    ],
)  # fmt: skip
def test_the_version_of_java(files: Mapping[str, str], wanted: str, used: str) -> None:
    (recipe,) = _read({"pom.xml": _POM, **_TEST, **files})
    (version,) = recipe.versions
    assert (version.wanted, version.used) == (wanted, used)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<project>", "no element found"),
        ("<project><a></project>", "mismatched tag"),
        (_BILLION, "document type"),
        ("<a>" * 5000, "nested too deeply"),
        ("", "no element found"),
    ],
)
def test_a_pom_that_cannot_be_read(text: str, says: str) -> None:
    (recipe,) = _read({"pom.xml": text, **_TEST})
    assert recipe.steps == () and says in recipe.missing[0].why


def test_a_worker_without_java_or_maven() -> None:
    (recipe,) = _read({"pom.xml": _POM}, machine=Machine())
    assert [each.what for each in recipe.missing] == ["java"]
    (recipe,) = _read({"pom.xml": _POM}, machine=Machine(versions={"java": ("17",)}))
    assert [each.what for each in recipe.missing] == ["mvn"]


def test_gradle_where_the_worker_has_it() -> None:
    there = Machine(versions=_JAVA.versions, programs=frozenset({"gradle"}))
    (recipe,) = _read({"settings.gradle.kts": "", "app/build.gradle": ""}, machine=there)
    ((first, second),) = _lines(recipe)
    assert first.startswith("gradle --no-daemon") and first.endswith(" test")
    assert second.endswith(" testClasses")


def test_gradle_where_only_its_wrapper_is() -> None:
    properties = "distributionUrl=https\\://gradle.example.com/gradle-8.5-bin.zip\n"
    files = {"build.gradle": "", "gradle/wrapper/gradle-wrapper.properties": properties}
    (recipe,) = _read(files)
    (missing,) = recipe.missing
    assert recipe.steps == () and "gradle.example.com" in missing.why
    files["gradle/wrapper/gradle-wrapper.properties"] = "distributionUrl=https\\://[bad\n"
    (recipe,) = _read(files)
    assert recipe.missing[0].what == "gradle"


def test_maven_builds_a_folder_that_has_both() -> None:
    (recipe,) = _read({"pom.xml": _POM, "build.gradle": ""})
    assert recipe.name == "maven"


def test_a_rule_that_wants_a_newer_maven_gets_it() -> None:
    choices = _repaired(
        "[ERROR] Rule 0: RequireMavenVersion failed with message:\n"
        "Detected Maven Version: 3.8.7 is not in the allowed range [3.9.2,)."
    )
    assert isinstance(choices, Choices) and choices.manager == "3.9.2"
    (recipe,) = _read({"pom.xml": _POM, **_TEST}, choices)
    assert recipe.search_path == ("@/tools/maven/apache-maven-3.9.2/bin",)


@pytest.mark.parametrize(
    ("goal", "skipped"),
    [
        ("maven-enforcer-plugin:3.4.1:enforce", "enforcer.skip"),
        ("org.apache.rat:apache-rat-plugin:0.16.1:check (rat-check) on project a", "rat.skip"),
        ("com.mycila:license-maven-plugin:4.3:check (default) on project a", "license.skip"),
        (
            "org.apache.maven.plugins:maven-checkstyle-plugin:3.3.1:check (validate) on project a",
            "checkstyle.skip",
        ),
        (
            "com.diffplug.spotless:spotless-maven-plugin:2.43.0:check (default) on project a",
            "spotless.check.skip",
        ),
    ],
)
def test_checks_before_the_tests_are_skipped_when_one_fails(goal: str, skipped: str) -> None:
    choices = _repaired(f"[ERROR] Failed to execute goal {goal}")
    assert isinstance(choices, Choices)
    (recipe,) = _read({"pom.xml": _POM, **_TEST}, choices)
    assert recipe.environment["MAVEN_OPTS"].startswith("-Dmaven.repo.local=@/maven ")
    assert f"-D{skipped}=true" in recipe.environment["MAVEN_OPTS"].split()


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("Fatal error compiling: error: release version 21 not supported", "JDK 21"),
        ("Fatal error compiling: error: invalid target release: 25", "JDK 25"),
        ("x has been compiled by (class file version 65.0), this version", "JDK 21"),
        ("Could not find artifact a.b:c:jar:1.0 in corp (https://maven.corp.example/r)",
         "a.b:c:jar:1.0"),
        ("Failure to find a.b:c:jar:1.0 in https://maven.corp.example/r was cached",
         "a.b:c:jar:1.0"),
        ("[FATAL] Non-parseable POM /workspace/pom.xml: unexpected end", "pom.xml"),
        ("[ERROR] something new", "pom.xml"),
        ("", "pom.xml"),
    ],
)  # fmt: skip
def test_an_error_that_needs_a_person(output: str, what: str) -> None:
    missing = _repaired(output)
    assert isinstance(missing, Missing) and missing.what == what and missing.next_step
