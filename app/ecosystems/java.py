"""Java with Maven or Gradle."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

ECOSYSTEM = Ecosystem(
    name="java",
    order=50,
    manifests=("pom.xml", "build.gradle", "build.gradle.kts"),
    declared_names=(r"<artifactId>\s*([^<\s]{2,200})\s*</artifactId>",),
    lock_files={"gradle.lockfile": ("build.gradle", "build.gradle.kts", "libs.versions.toml")},
    generated=(
        Generated(anywhere=("*.class", "hs_err_pid*"), beside=("target/",), manifests=("pom.xml",)),
        Generated(
            anywhere=(".gradle/",),
            beside=("build/",),
            manifests=(
                *("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"),
            ),
        ),
    ),
    dependency_files=(
        *("pom.xml", "mvnw", ".mvn/*", "*.gradle", "*.gradle.kts", "gradle.properties", "gradlew"),
        *("gradle.lockfile", "libs.versions.toml", "gradle-wrapper.*"),
    ),
    fetch_commands={"mvn": ("dependency:go-offline", "dependency:resolve")},
    # On Debian, `conf` in Java's and Maven's folders links to files below /etc. `management/`,
    # which is for passwords, and Maven's `settings.xml`, which may contain some, are left out.
    toolchains=(
        ToolchainSpec(
            "java",
            program="java",
            marker="lib/modules",
            parts=("bin", "conf", "include", "jmods", "legal", "lib", "release"),
            caches={"GRADLE_USER_HOME": "@/gradle"},
            configuration=("java-*/security", "java-*/*.cfg", "java-*/*.properties*"),
        ),
        ToolchainSpec(
            "maven",
            program="mvn",
            marker="boot",
            parts=("bin", "boot", "lib", "conf/logging"),
            caches={"MAVEN_OPTS": "-Dmaven.repo.local=@/maven"},
            well_known=("/opt/maven/bin",),
            configuration=("maven/m2.conf", "maven/logging"),
        ),
    ),
    registry="maven",
    suffixes={"java": "java:JavaReader"},
    test_paths={
        "java": r"(?:^|/)src/(?:test|it)\w*/.*\.java$|(?:Tests?|TestCase|IT)\.java$",
    },
    test_folders=r"src/(?:test|it|testFixtures|(?:integration|functional|android|unit)[tT]est)",
    runners=frozenset({"mvn", "java", "gradle"}),
    shadows=r"(?:^|/)\.mvn/",
    wrappers=r"(?:^|/)(?:mvnw|gradlew)(?:\.bat|\.cmd)?$|gradle-wrapper\.(?:jar|prop)",
    runner_config=r"(?:^|/)junit-platform\.properties$",
    mixed={r"pom\.xml": "pom", r"gradle\.lockfile": "gradle_lock"},
    lint_config=r"(?:^|/)checkstyle[^/]*\.xml$",
    command_files=r"(?:^|/)pom\.xml$|\.(?:gradle|gradle\.kts)$",
    config_formats={r"pom\.xml": "pom"},
    verifiers=("maven:Maven", "gradle:Gradle"),
)
