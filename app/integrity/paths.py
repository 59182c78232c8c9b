"""What a file is, by its path."""

from __future__ import annotations

import re

_TESTS = {
    "py": re.compile(r"(?:^|/)(?:test[^/]*|[^/]*_tests?|conftest)\.py$"),
    "js": re.compile(
        r"\.(?:test|spec|e2e)\.[cm]?[jt]sx?$|(?:^|/)(?:__tests__|tests?|specs?)/.*\.[cm]?[jt]sx?$"
        r"|(?:^|/)test(?:[-_.][^/]*)?\.[cm]?[jt]sx?$|[-_]test\.[cm]?[jt]sx?$"
    ),
    "go": re.compile(r"_test\.go$"),
    "rs": re.compile(r"\.rs$"),
    "java": re.compile(r"(?:^|/)src/(?:test|it)\w*/.*\.java$|(?:Tests?|TestCase|IT)\.java$"),
}
_LANGUAGES = {
    **dict.fromkeys(["py", "pyi"], "py"),
    **dict.fromkeys(["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"], "js"),
    "go": "go",
    "rs": "rs",
    "java": "java",
}
_SNAPSHOTS = re.compile(
    r"(?:^|/)__snapshots__/|(?:^|/)__image_snapshots__/|\.(?:snap|ambr|approved|golden|expected)"
    r"(?:\.\w+)?$|\.approved\.\w+$|(?:^|/)(?:golden|snapshots|expected)/"
)
_TEST_DATA = re.compile(r"(?:^|/)(?:tests?|testdata|fixtures|__fixtures__|spec|src/test)/")
_CI = re.compile(
    r"^\.github/(?:workflows|actions)/|^\.gitlab-ci\.ya?ml$|^\.gitlab/|^\.circleci/|^\.travis\.yml$"
    r"|^(?:\.ci/)?(?:Jenkinsfile|azure-pipelines[^/]*\.ya?ml|bitbucket-pipelines\.yml)"
    r"|^\.buildkite/|^appveyor\.yml$|^\.appveyor\.yml$|^\.drone\.yml$|^\.woodpecker|^\.cirrus\.yml$"
    r"|^\.github/honk\.yml$|^\.pre-commit-config\.yaml$|^\.tekton/|^cloudbuild\.ya?ml$"
)
_SHIMS = frozenset(
    {"pytest", "py.test", "python", "python3", "tox", "nox", "node", "npm", "npx", "pnpm", "yarn"}
    | {"jest", "vitest", "mocha", "go", "cargo", "rustc", "mvn", "java", "gradle", "make", "sh"}
)
_SHADOWS = re.compile(
    r"(?:^|/)(?:sitecustomize|usercustomize)\.py$|\.pth$|^(?:src/|tests?/)?"
    r"(?:pytest|_pytest|unittest|coverage|pluggy|doctest|nose|tox|xdist)(?:\.py|/__init__\.py)$"
    r"|(?:^|/)node_modules/|(?:^|/)\.cargo/config(?:\.toml)?$|(?:^|/)\.mvn/"
)
_WRAPPERS = re.compile(r"(?:^|/)(?:mvnw|gradlew)(?:\.bat|\.cmd)?$|gradle-wrapper\.(?:jar|prop)")
_RUNNER_SETUP = re.compile(
    r"(?:^|/)(?:jest|vitest|vite|karma|playwright|cypress|ava|wdio)\.(?:config|conf|setup)\b[^/]*$"
    r"|(?:^|/)\.mocharc[^/]*$|(?:^|/)noxfile\.py$|(?:^|/)(?:test[-_]?setup|setupTests)\.[jt]sx?$"
    r"|(?:^|/)run[-_]?tests?(?:\.\w+)?$|(?:^|/)(?:scripts?|bin)/test(?:\.\w+)?$"
    r"|(?:^|/)junit-platform\.properties$|(?:^|/)nextest\.toml$"
)
_LINT_SETUP = re.compile(
    r"(?:^|/)(?:\.eslintrc[^/]*|eslint\.config\.[^/]*|\.eslintignore|\.flake8|\.pylintrc|mypy\.ini"
    r"|\.?ruff\.toml|\.golangci\.ya?ml|\.?clippy\.toml|checkstyle[^/]*\.xml|biome\.jsonc?"
    r"|\.prettierignore|\.rubocop\.yml)$"
)


def language(path: str) -> str:
    """`py`, `js`, `go`, `rs`, `java`, or nothing."""
    return _LANGUAGES.get(path.rpartition(".")[2], "") if "." in path else ""


def is_test(path: str) -> bool:
    """Whether a runner looks for tests in the file, by the usual rules of its language."""
    pattern = _TESTS.get(language(path))
    return bool(pattern and pattern.search(path))


def is_snapshot(path: str) -> bool:
    """A recorded expectation that tools rewrite by themselves."""
    return bool(_SNAPSHOTS.search(path)) and language(path) == ""


def is_test_data(path: str) -> bool:
    """A file beside the tests that is no code of a language that is read."""
    return bool(_TEST_DATA.search(path)) and not language(path)


def is_ci(path: str) -> bool:
    return bool(_CI.search(path))


def is_shadow(path: str) -> bool:
    """A file that the interpreter or the runner takes in instead of its own."""
    return bool(_SHADOWS.search(path))


def is_shim(path: str) -> bool:
    """A file with the name of a runner, which a path could find first."""
    return path.rpartition("/")[2] in _SHIMS


def is_wrapper(path: str) -> bool:
    return bool(_WRAPPERS.search(path))


def is_runner_setup(path: str) -> bool:
    return bool(_RUNNER_SETUP.search(path))


def is_lint_setup(path: str) -> bool:
    return bool(_LINT_SETUP.search(path))
