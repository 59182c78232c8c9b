"""What a file is, by its path."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from app.ecosystems import ECOSYSTEMS, either

_READERS = {
    suffix: reader for ecosystem in ECOSYSTEMS for suffix, reader in ecosystem.suffixes.items()
}
_TESTS = {
    suffix: re.compile(expression)
    for ecosystem in ECOSYSTEMS
    for suffix, expression in ecosystem.test_paths.items()
}
_HELPERS = re.compile(either(*(each.helper_paths for each in ECOSYSTEMS)))
_CODE_FOLDERS = {
    suffix: re.compile(rf"(?:^|/)(?:{each.test_folders or '(?!)'})/")
    for each in ECOSYSTEMS
    for suffix in (*each.suffixes, *each.test_paths)
}
_FOLDERS = re.compile(rf"(?:^|/)(?:{either(*(each.test_folders for each in ECOSYSTEMS))})/")
_AMBIGUOUS_FOLDER = re.compile(
    r"(?:^|/)(?:specs?|features|snapshots|fixtures|golden|expected|e2e)/"
)
_SURE_FOLDER = re.compile(
    r"(?:^|/)(?:tests?|Tests?|testdata|test[_-]data|__\w+__|cassettes|src/test\w*|spec/\w+)/"
)
_SUPPORT = re.compile(
    r"(?:^|/)_?test[-_]?(?:utils?|util(?:ities|s)|helpers?|support|kit|fixtures?|data|common|tools?)"
    r"(?:/|\.\w+$)|(?:^|/)(?:[\w-]*[-_])?(?:test[-_]?(?:utils?|helpers?)|fixtures?|mocks?|fakes?|stubs?)"
    r"(?:/|\.\w+$)"
)
_GO_TESTS = re.compile(r"(?:^|/)(?:tests?|e2e)/")
_TEST_DEPENDENCIES = re.compile(either(*(each.test_dependencies for each in ECOSYSTEMS)))
_RUNNER_FILES = re.compile(either(*(each.runner_files for each in ECOSYSTEMS)))
_MIXED = tuple(
    (re.compile(names), splitter) for each in ECOSYSTEMS for names, splitter in each.mixed.items()
)
_DEPENDENCIES = tuple(
    dict.fromkeys(
        pattern
        for each in ECOSYSTEMS
        for pattern in (*each.dependency_files, *each.manifests, *each.lock_files)
    )
)
_DOCUMENTS = re.compile(
    r"(?:^|/)(?:README|CHANGE(?:S|LOG)|HISTORY|NEWS|RELEASE[-_]?NOTES|CONTRIBUT(?:ING|ORS)|LICEN[CS]E"
    r"|COPYING|NOTICE|AUTHORS|MAINTAINERS|SECURITY|CODE_OF_CONDUCT|UPGRADING|TODO|AGENTS|CLAUDE)"
    r"(?:[-_.][\w.-]*)?$|^[^/]+\.(?:md|rst|adoc)$|^\.github/[^/]*(?:/[^/]*)?\.(?:md|txt)$"
    r"|(?:^|/)\.(?:git-?ignore|mailmap|editorconfig|git-blame-ignore-revs)$|(?:^|/)CODEOWNERS$"
    r"|^\.github/(?:dependabot|renovate|FUNDING|labeler)[^/]*$|^\.github/ISSUE_TEMPLATE/"
    r"|^(?:[^/]+/){0,2}(?:docs?|documentation|changelog(?:\.d)?|changes|newsfragments|website|site)/"
    r"(?:[^/]+/)*[^/]+\.(?:md|rst|adoc|txt|png|jpe?g|gif|svg)$",
    re.IGNORECASE,
)
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


def finds_tests(path: str) -> bool:
    """Whether a runner finds tests in the file: it is neither a helper nor source with tests in
    it.
    """
    if _suffix(path) == "rs":
        return is_in_test_folder(path)
    return is_test(path) and not _HELPERS.search(path)


def is_code(path: str) -> bool:
    """Whether the file is code in a language whose tests Honk knows."""
    return _suffix(path) in _TESTS


def is_in_test_folder(path: str) -> bool:
    """Whether the file's folder serves the tests, by the rules of its language.

    A folder of any language counts for a file that is not code. Cargo has its test folders next to
    `src/`, not in it.
    """
    if _suffix(path) == "rs":
        folder = _CODE_FOLDERS["rs"].search(path)
        return folder is not None and "src/" not in path[: folder.end()]
    return bool(_CODE_FOLDERS.get(_suffix(path), _FOLDERS).search(path))


def may_serve_the_product(path: str) -> bool:
    """Whether a file that looks like test data is where some projects store the product's data."""
    return bool(_AMBIGUOUS_FOLDER.search(path)) and not _SURE_FOLDER.search(path)


def is_test_support(path: str) -> bool:
    """Whether the name of the file, or of a folder of it, is one that test helpers often have."""
    if _suffix(path) == "go" and _GO_TESTS.search(path):
        return True
    return bool(_SUPPORT.search(path))


def is_runner_side(path: str) -> bool:
    """Whether only a test runner, its measurements or a linter reads the file."""
    return bool(_RUNNER_FILES.search(path) or is_lint_config(path) or is_runner_config(path))


def lists_test_dependencies(path: str) -> bool:
    return bool(_TEST_DEPENDENCIES.search(path))


def decides_dependencies(path: str) -> bool:
    """Whether the file is a manifest or a lock: it decides what setup installs."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in _DEPENDENCIES)


def splitter(path: str) -> str:
    """The name of the splitter for a file that belongs to more than one side, or nothing."""
    name = path.rpartition("/")[2]
    return next((of for names, of in _MIXED if names.fullmatch(name)), "")


def is_documentation(path: str) -> bool:
    """Whether people read the file and programs do not, by its name and folder."""
    return bool(_DOCUMENTS.search(path)) and not is_code(path) and not decides_dependencies(path)


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
    """A file that the interpreter or the runner would load instead of its built-in one."""
    return bool(_SHADOWS.search(path))


def is_shim(path: str) -> bool:
    """A file named like a runner, which a search path could find first."""
    return path.rpartition("/")[2] in _SHIMS


def is_wrapper(path: str) -> bool:
    return bool(_WRAPPERS.search(path))


def is_runner_config(path: str) -> bool:
    return bool(_RUNNER_CONFIG.search(path))


def is_lint_config(path: str) -> bool:
    return bool(_LINT_CONFIG.search(path))
