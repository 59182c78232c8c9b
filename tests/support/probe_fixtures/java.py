"""Maven and Gradle builds: one for each row of the table of recipes."""

from __future__ import annotations

from typing import Final

from tests.support.probe_fixtures import ProbeFixture

_JUNIT = (
    "<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId>"
    "<version>4.13.2</version><scope>test</scope></dependency></dependencies>"
)
_SOURCES = (
    "<properties><maven.compiler.source>11</maven.compiler.source>"
    "<maven.compiler.target>11</maven.compiler.target></properties>"
)
_NAMED = "<groupId>example</groupId><artifactId>halves</artifactId><version>1</version>"


def _pom(inside: str = _JUNIT, properties: str = _SOURCES) -> str:
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"{_NAMED}{properties}{inside}</project>\n"
    )


_FILES = {
    "src/main/java/Halves.java": "public class Halves {\n"
    "    static int half(int n) { return n / 2; }\n}\n",
    "src/test/java/HalvesTest.java": "import static org.junit.Assert.assertEquals;\n\n"
    "public class HalvesTest {\n"
    "    @org.junit.Test public void halves() { assertEquals(2, Halves.half(4)); }\n}\n",
    ".gitignore": "target/\n",
}
_NEWER = _SOURCES.replace(">11<", ">99<")

FIXTURES: Final = (
    ProbeFixture("maven, one module", "pom.xml", {**_FILES, "pom.xml": _pom()}, tests=1),
    ProbeFixture(
        "maven, the wrapper's version",
        "mvnw",
        {
            **_FILES,
            "pom.xml": _pom(),
            ".mvn/wrapper/maven-wrapper.properties": "distributionUrl="
            "https://repo.example.invalid/apache-maven-3.9.6-bin.zip\n",
        },
        tests=1,
    ),
    ProbeFixture(
        "maven, a newer release of Java",
        "JDK too old",
        {**_FILES, "pom.xml": _pom(properties=_NEWER)},
        missing="JDK 99",
    ),
    ProbeFixture(
        "maven, a broken pom.xml",
        "pom.xml with syntax errors",
        {**_FILES, "pom.xml": _pom().replace("</dependencies>", "")},
        missing="pom.xml",
    ),
    ProbeFixture(
        "gradle, only a wrapper",
        "Gradle",
        {
            **_FILES,
            "build.gradle": "plugins { id 'java' }\n",
            "gradle/wrapper/gradle-wrapper.properties": "distributionUrl="
            "https\\://gradle.example.invalid/gradle-8.5-bin.zip\n",
        },
        missing="gradle",
    ),
)
