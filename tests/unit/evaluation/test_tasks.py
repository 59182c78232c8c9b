"""Files of tasks: SWE-bench's forms as they are, and the short YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import UserError
from app.evaluation.tasks import read_tasks

_INSTANCE: dict[str, Any] = {
    "repo": "psf/requests",
    "instance_id": "psf__requests-1142",
    "base_commit": "22623bd8c265b78b161542663ee980738441c307",
    "patch": "diff --git a/a b/a\n",
    "test_patch": "diff --git a/t b/t\n",
    "problem_statement": "requests.get is ALWAYS sending content length",
    "hints_text": "",
    "created_at": "2013-01-25T05:19:16Z",
    "version": "1.1",
    "FAIL_TO_PASS": '["test_requests.py::RequestsTestCase::test_no_content_length"]',
    "PASS_TO_PASS": ["test_requests.py::RequestsTestCase::test_basic_building"],
    "environment_setup_commit": "22623bd8",
}


def _write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("form", ["array", "object", "lines"])
def test_both_forms_of_lists_are_read_in_every_kind_of_file(form: str, tmp_path: Path) -> None:
    other = {**_INSTANCE, "instance_id": "other", "PASS_TO_PASS": "[]"}
    # A line separator inside of a text ends no line of the file.
    separated = {**_INSTANCE, "hints_text": "a\u2028b"}
    content = {
        "array": [_INSTANCE, other],
        "object": _INSTANCE,
        "lines": f"{json.dumps(separated, ensure_ascii=False)}\n\n{json.dumps(other)}\n",
    }[form]
    name = "tasks.jsonl" if form == "lines" else "tasks.json"
    first, *others = read_tasks(_write(tmp_path / name, content))
    assert first.fail_to_pass == ("test_requests.py::RequestsTestCase::test_no_content_length",)
    assert first.pass_to_pass == ("test_requests.py::RequestsTestCase::test_basic_building",)
    assert (first.repository, first.base) == ("psf/requests", _INSTANCE["base_commit"])
    assert [each.pass_to_pass for each in others] == ([] if form == "object" else [()])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.json", "{", "not JSON"),
        ("t.json", "[" * 100_000, "not JSON"),
        ("t.jsonl", "{}", "instance_id"),
        ("t.json", [], "has no task"),
        ("t.json", [{**_INSTANCE, "FAIL_TO_PASS": "[]"}], "FAIL_TO_PASS"),
        ("t.json", [{**_INSTANCE, "FAIL_TO_PASS": "test_a, test_b"}], "JSON of one"),
        ("t.json", [{**_INSTANCE, "FAIL_TO_PASS": {"a": 1}}], "FAIL_TO_PASS"),
        ("t.json", [_INSTANCE, _INSTANCE], "two tasks named"),
        ("t.json", [7], "entry 1"),
        ("t.yaml", "tasks: [", "not YAML"),
        ("t.yaml", "tasks: []", "tasks"),
        ("t.yaml", "tasks: [{id: a, repo: ., fail_to_pass: [t], porblem: x}]", "porblem"),
        ("t.yaml", "tasks: [{id: a, repo: ., fail_to_pass: [t]}]", "no `problem`"),
        ("t.yaml", "tasks: [{id: a, repo: ., problem_file: no.md, fail_to_pass: [t]}]", "no.md"),
    ],
)
def test_what_is_wrong_is_named(name: str, content: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        read_tasks(_write(tmp_path / name, content))
    assert said in str(refused.value)


def test_paths_in_the_yaml_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "issue.md").write_text("It breaks.")
    text = (
        "tasks: [{id: a, repo: code, problem_file: issue.md, fail_to_pass: [t], script: issue.md}]"
    )
    (task,) = read_tasks(_write(tmp_path / "t.yml", text))
    assert task.repository == str((tmp_path / "code").resolve())
    assert (task.problem, task.script) == ("It breaks.", str((tmp_path / "issue.md").resolve()))


def test_the_suites_that_come_with_honk_can_be_read() -> None:
    suites = Path(__file__).parents[3] / "benchmarks" / "evals"
    for path in suites.glob("*.yaml"):
        for task in read_tasks(path):
            assert Path(task.repository).is_dir()
            assert Path(task.script).is_file()
