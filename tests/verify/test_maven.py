"""A small real Maven project, with JUnit from the repository that this machine uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.verify.runner import VerifySite
from tests.verify.conftest import CACHES, MakeProject, fetched, found, needs, outcomes, run

POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.acme</groupId><artifactId>halves</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency>
      <groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId>
      <version>5.10.2</version><scope>test</scope>
    </dependency>
  </dependencies>
  <build><plugins><plugin>
    <artifactId>maven-surefire-plugin</artifactId><version>3.2.5</version>
  </plugin></plugins></build>
</project>
"""
CODE = "package com.acme;\n\npublic class Halves {\n  static int half(int n) { return n / 2; }\n}\n"
TEST_FILE = "src/test/java/com/acme/HalvesTest.java"
TESTS = """package com.acme;

import static org.junit.jupiter.api.Assertions.assertEquals;
import org.junit.jupiter.api.*;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HalvesTest {
  @Test void halves() { assertEquals(2, Halves.half(4)); }

  @Test void isWrong() {
    assertEquals(2, Halves.half(3), "<b> @octocat");
  }

  @Disabled("tired") @Test void sleeps() {}

  @ParameterizedTest @ValueSource(ints = {2, 3})
  void many(int n) { assertEquals(n, Halves.half(n) * 2); }
}
"""
PROJECT = {"pom.xml": POM, "src/main/java/com/acme/Halves.java": CODE, TEST_FILE: TESTS}
OLD = '<testsuite><testcase classname="com.acme.OldTest" name="old"/></testsuite>'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What Maven fetches for the project, with it and its tests run once on this machine."""
    needs("maven")
    folder = tmp_path / "fetching"
    _write(folder, {**PROJECT, TEST_FILE: TESTS.replace("half(3)", "half(4)").replace(", 3}", "}")})
    words = ["mvn", "-q", "-B", "-f", str(folder), "-Dmaven.repo.local=@/repository", "test"]
    return fetched("maven", words) / "repository"


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def checkout(project: MakeProject, repository: Path, **changed: str) -> VerifySite:
    return project({**PROJECT, f"{CACHES}/maven": repository, **changed})


@pytest.mark.slow
async def test_reports_are_read_and_old_ones_are_not(
    project: MakeProject, repository: Path
) -> None:
    site = checkout(project, repository, **{"target/surefire-reports/TEST-Old.xml": OLD})
    result = await run(site)
    assert (result.verifier, result.command, result.problem) == ("maven", "mvn test", None)
    assert outcomes(result) == {
        "com.acme.HalvesTest.halves": "passed",
        "com.acme.HalvesTest.isWrong": "failed",
        "com.acme.HalvesTest.sleeps": "skipped",
        "com.acme.HalvesTest.many(int)[1]": "passed",
        "com.acme.HalvesTest.many(int)[2]": "failed",
    }
    wrong = next(test for test in result.tests if test.id.endswith("isWrong"))
    assert (wrong.file, wrong.line) == (TEST_FILE, 12)
    assert "<b> @octocat" in wrong.message
    (verifier,) = found(site)
    assert verifier.selects([wrong])
    assert not verifier.selects(result.tests)


async def test_what_does_not_build_names_the_line(project: MakeProject, repository: Path) -> None:
    site = checkout(project, repository, **{TEST_FILE: TESTS.replace("half(4)", "half()")})
    result = await run(site)
    (broken,) = result.tests
    assert (broken.whole_run, broken.message) == (True, "it does not build")
    assert (broken.file, broken.line) == (TEST_FILE, 9)
