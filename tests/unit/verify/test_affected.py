"""What a change cannot affect is left out; in doubt, nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.verify.affected import affected
from app.verify.verifier import DirectoryTree, label
from app.verify.verifiers import MAX_VERIFIERS, choose

TESTS = "def test_it(): ...\n"


def project(name: str, **more: str) -> dict[str, str]:
    return {
        f"{name}/pyproject.toml": f'[project]\nname = "{name}-dist"\n[tool.pytest]\n',
        f"{name}/src/{name}_code/__init__.py": "",
        f"{name}/tests/test_{name}.py": TESTS,
        **{f"{name}/{path}": text for path, text in more.items()},
    }


def kept(root: Path, files: Mapping[str, str], *changed: str) -> set[str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    tree = DirectoryTree(root)
    choice = choose(None, tree)
    after = affected(choice, changed, tree)
    labels = {label(verifier) for verifier in after.verifiers}
    assert labels | set(after.left_out) == {label(verifier) for verifier in choice.verifiers}
    return labels


def test_another_project_is_left_out(tmp_path: Path) -> None:
    files = {**project("alpha"), **project("beta"), "README.md": ""}
    assert kept(tmp_path, files, "beta/src/beta_code/__init__.py") == {"pytest:beta"}
    assert kept(tmp_path, files, "beta/gone.py", "alpha/x") == {"pytest:alpha", "pytest:beta"}
    assert len(kept(tmp_path, files)) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"a.py": "import beta_code"},
        {"a.py": "import_module('beta-dist')"},
        {"tests/data.txt": "see ../beta"},
        {"a.py": "open(os.path.join(here, '..', name))"},
        {"a.py": "Path(__file__).parents[3]"},
        {"a.sh": "cd $(git rev-parse --show-toplevel)"},
        {"a.sh": "cd .."},
        {"a.py": "import gamma_code"},  # which mentions beta
        {"big.txt": "x" * (8 * 1024 * 1024 + 1)},
    ],
)
def test_in_doubt_it_runs(tmp_path: Path, more: dict[str, str]) -> None:
    files = {
        **project("alpha", **more),
        **project("beta"),
        **project("gamma", **{"c.py": "import beta_code"}),
    }
    assert kept(tmp_path, files, "beta/x.py") == {"pytest:alpha", "pytest:beta", "pytest:gamma"}


def test_a_link_is_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "shared").symlink_to("/nowhere")
    files = {**project("alpha"), **project("beta")}
    assert kept(tmp_path, files, "beta/x.py") == {"pytest:alpha", "pytest:beta"}


@pytest.mark.parametrize("path", ["README.md", "shared/a.py", "uv.lock"])
def test_a_change_outside_of_all_projects_affects_all(tmp_path: Path, path: str) -> None:
    files = {**project("alpha"), **project("beta")}
    assert len(kept(tmp_path, files, "beta/x.py", path)) == 2


def test_a_plugin_affects_tests_that_never_name_it(tmp_path: Path) -> None:
    beta = project("beta")
    beta["beta/pyproject.toml"] += "[project.entry-points.pytest11]\nx = 'beta_code'\n"
    assert len(kept(tmp_path, {**project("alpha"), **beta}, "beta/x.py")) == 2


def test_dots_with_another_meaning_cause_no_doubt(tmp_path: Path) -> None:
    files = {
        **project("alpha", **{"a.rs": "for i in 0..n { f(..Default::default(), &x[1..]) }"}),
        **project("beta"),
    }
    assert kept(tmp_path, files, "beta/x.py") == {"pytest:beta"}


def test_something_that_tests_is_always_left(tmp_path: Path) -> None:
    files = {**project("alpha"), "docs/package.json": '{"name": "the-docs"}'}
    assert kept(tmp_path, files, "docs/index.md") == {"pytest:alpha"}


def test_there_is_an_end_to_verifiers(tmp_path: Path) -> None:
    for number in range(MAX_VERIFIERS + 5):
        for path, text in project(f"p{number:02}").items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
    choice = choose(None, DirectoryTree(tmp_path))
    assert len(choice.verifiers) == MAX_VERIFIERS
    assert choice.beyond == tuple(f"pytest:p{number}" for number in range(40, 45))


def test_a_policy_names_a_folder(tmp_path: Path) -> None:
    for path, text in {**project("alpha"), **project("beta")}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    tree = DirectoryTree(tmp_path)
    assert [label(each) for each in choose(["pytest:beta"], tree).verifiers] == ["pytest:beta"]
    both = choose(["pytest", "pytest:beta", "pytest:else"], tree).verifiers
    assert [label(each) for each in both] == ["pytest:alpha", "pytest:beta", "pytest:else"]
