"""What a file is, by its path."""

from __future__ import annotations

import re

from app.ecosystems import ECOSYSTEMS, either

_READERS = {
    suffix: reader for ecosystem in ECOSYSTEMS for suffix, reader in ecosystem.suffixes.items()
}
_TESTS = {
    suffix: re.compile(expression)
    for ecosystem in ECOSYSTEMS
    for suffix, expression in ecosystem.test_paths.items()
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
_SHIMS = frozenset({"make", "sh"}).union(*(each.runners for each in ECOSYSTEMS))
_SHADOWS = re.compile(either(*(each.shadows for each in ECOSYSTEMS)))
_WRAPPERS = re.compile(either(*(each.wrappers for each in ECOSYSTEMS)))
_RUNNER_CONFIG = re.compile(
    either(
        *(each.runner_config for each in ECOSYSTEMS),
        r"(?:^|/)run[-_]?tests?(?:\.\w+)?$|(?:^|/)(?:scripts?|bin)/test(?:\.\w+)?$",
    )
)
_LINT_CONFIG = re.compile(either(*(each.lint_config for each in ECOSYSTEMS)))


def syntax_reader(path: str) -> str:
    """The reader for the file's language as `module:Class`, or nothing when there is none."""
    return _READERS.get(_suffix(path), "")


def is_test(path: str) -> bool:
    """Whether a runner looks for tests in the file, by the usual rules of its language."""
    pattern = _TESTS.get(_suffix(path))
    return bool(pattern and pattern.search(path))


def _suffix(path: str) -> str:
    return path.rpartition(".")[2] if "." in path else ""


def is_snapshot(path: str) -> bool:
    """A recorded expectation that tools rewrite by themselves."""
    return bool(_SNAPSHOTS.search(path)) and not syntax_reader(path)


def is_test_data(path: str) -> bool:
    """A file among the tests, or a test itself, in a language without a syntax reader."""
    return bool(_TEST_DATA.search(path) or is_test(path)) and not syntax_reader(path)


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


def is_runner_config(path: str) -> bool:
    return bool(_RUNNER_CONFIG.search(path))


def is_lint_config(path: str) -> bool:
    return bool(_LINT_CONFIG.search(path))
