"""Commit subjects in the repository's style."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.commit_style import LIMIT, CommitStyle, learned, styled

CONVENTIONAL = [
    "fix(parser): handle empty input (#12)",
    "feat: add a second reader",
    "chore(deps): bump left-pad from 1.2.0 to 1.3.0",
    "docs: explain the reader",
    "fix: keep the order of keys",
    "refactor(core)!: drop the old names",
    "test: cover the empty file",
    "ci: run on 3.13",
    "Merge branch 'main' into next",
]
AREAS = [
    "net/http: fix a race in Transport",
    "cmd/go: report the module's name",
    "runtime: shrink the stack",
    "net/http: close idle connections",
    "runtime: count the timers",
    "doc: mention the new flag",
    "cmd/go: cache the answer",
    "net: parse zones",
]
PLAIN = [f"Improve the thing number {number}." for number in range(20)]


def _styled(subjects: list[str], title: str, **more: object) -> str:
    given = {"bug": False, "labels": (), "paths": (), **more}
    return styled(learned(subjects), title, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"bug": True}, "fix: parsing fails on an empty file"),
        ({"labels": ["type: feature"]}, "feat: parsing fails on an empty file"),
        ({"labels": ["documentation"]}, "docs: parsing fails on an empty file"),
        ({"paths": ["README.md", "docs/a.rst"]}, "docs: parsing fails on an empty file"),
        ({"paths": ["README.md", "src/a.c"]}, "chore: parsing fails on an empty file"),
        ({}, "chore: parsing fails on an empty file"),
    ],
)
def test_a_type_comes_from_people_or_from_paths_alone(
    more: dict[str, object], expected: str
) -> None:
    assert _styled(CONVENTIONAL, "Parsing fails on an empty file.", **more) == expected


def test_a_title_with_a_prefix_keeps_it() -> None:
    assert _styled(CONVENTIONAL, "perf(core): Go faster") == "perf(core): go faster"


def test_an_area_is_one_that_the_history_knows_and_the_change_touches() -> None:
    paths = ["src/net/http/transport.go", "src/net/http/transport_test.go"]
    assert _styled(AREAS, "Leak in Transport", paths=paths) == "net/http: leak in Transport"
    assert _styled(AREAS, "Leak", paths=["os/file.go"]) == "leak"


def test_plain_subjects_tell_case_and_period() -> None:
    assert _styled(PLAIN, "add() subtracts") == "add() subtracts."
    assert _styled(PLAIN, "make it faster") == "Make it faster."
    assert _styled(PLAIN, "iOS crashes!") == "iOS crashes!"


def test_names_keep_their_letters() -> None:
    lower = [f"improve the thing number {number}" for number in range(20)]
    assert _styled(lower, "README is wrong") == "README is wrong"
    assert _styled(lower, "HttpClient leaks") == "HttpClient leaks"
    assert _styled(lower, "A crash") == "a crash"


@pytest.mark.parametrize(
    ("lines", "usual"),
    [
        (["Fixes: #12"], "Fixes: "),
        (["fixes #12", "fixes #13.", "Refs #4"], "fixes "),
        (["Why it is so.\n\nCloses #7\nSigned-off-by: A <a@b.test>"], "Closes "),
        (["See the fix of #12 in the text"], ""),
        (["Change-Id: I1234", "Reviewed-by: somebody"], ""),
    ],
)
def test_the_line_that_names_an_issue_is_learned(lines: list[str], usual: str) -> None:
    messages = [f"{subject}\n\n{lines[n % len(lines)]}\n" for n, subject in enumerate(AREAS)]
    assert learned([*messages, *CONVENTIONAL]).issue == usual


def test_one_commit_that_names_an_issue_is_no_habit() -> None:
    assert learned([*PLAIN, "Fix it\n\nFixes: #12"]).issue == ""


def test_too_few_commits_show_no_style() -> None:
    assert learned(CONVENTIONAL[:5]) == CommitStyle()
    assert _styled(["Initial commit"], "Fix it.") == "Fix it"


def test_the_length_is_that_of_nine_in_ten() -> None:
    assert learned(["x" * 40] * 19 + ["x" * 200]).length == 50
    assert learned(["x" * 60] * 19 + ["x" * 200]).length == 60
    assert learned(["x" * 300] * 20).length == LIMIT


@given(st.lists(st.text(), max_size=30), st.text(), st.lists(st.text()), st.lists(st.text()))
def test_any_history_and_title_give_a_subject(
    subjects: list[str], title: str, labels: list[str], paths: list[str]
) -> None:
    style = learned(subjects)
    made = styled(style, title, bug=False, labels=labels, paths=paths)
    assert bool(made) == bool(title.strip()) or not title.strip(". ")
