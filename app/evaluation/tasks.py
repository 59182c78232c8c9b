"""Reading tasks: SWE-bench's JSON and JSON lines, and a short YAML.

SWE-bench's fields are read under their own names, and its two lists of tests as arrays or as JSON
in a string. Unknown fields are ignored there; in the YAML they are errors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.domain.evaluation import EvalTask
from app.errors import UserError

_MOST_BYTES = 512_000_000


def read_tasks(path: Path) -> tuple[EvalTask, ...]:
    """The tasks of a file. Raises UserError that names the entry and its problem."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than {_MOST_BYTES // 1_000_000} MB.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path} cannot be read: {problem}.") from None
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    tasks = _from_yaml(text, path) if is_yaml else _from_json(text, path)
    names = [each.id.lower() for each in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path} has two tasks named {twice[0]}.")
    if not tasks:
        raise UserError(f"{path} has no task.")
    return tuple(tasks)


def _names(value: object) -> object:
    """A list of tests, which may be JSON in a string."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("neither a list nor JSON of one") from None


class _SweBenchInstance(BaseModel):
    """https://www.swebench.com/SWE-bench/guides/datasets/"""

    model_config = ConfigDict(extra="ignore", frozen=True)

    instance_id: str = Field(min_length=1, max_length=200)
    repo: str = Field(min_length=1)
    base_commit: str = Field(min_length=7)
    problem_statement: str = Field(min_length=1)
    test_patch: str = ""
    patch: str = ""
    fail_to_pass: tuple[str, ...] = Field(alias="FAIL_TO_PASS", min_length=1)
    pass_to_pass: tuple[str, ...] = Field(default=(), alias="PASS_TO_PASS")

    _lists = field_validator("fail_to_pass", "pass_to_pass", mode="before")(_names)

    def task(self) -> EvalTask:
        return EvalTask(
            id=self.instance_id,
            repository=self.repo,
            base=self.base_commit,
            problem=self.problem_statement,
            test_patch=self.test_patch,
            gold=self.patch,
            fail_to_pass=self.fail_to_pass,
            pass_to_pass=self.pass_to_pass,
        )


def _from_json(text: str, path: Path) -> list[EvalTask]:
    return [
        _checked(_SweBenchInstance, entry, f"{path}, entry {number}").task()
        for number, entry in enumerate(_entries(text, path), start=1)
    ]


def _entries(text: str, path: Path) -> Sequence[object]:
    """The entries of a JSON array, of one object, or of one object on each line."""
    if path.suffix.lower() == ".jsonl":
        lines = [line for line in text.split("\n") if line.strip()]
        return [_json(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    whole = _json(text, str(path))
    return whole if isinstance(whole, list) else [whole]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where}: this is not JSON: {problem}.") from None


class _YamlTask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=200)
    repo: str = Field(min_length=1)
    base: str = ""
    title: str = ""
    problem: str = ""
    problem_file: str = ""
    tests: dict[str, str] = Field(default_factory=dict)
    test_patch: str = ""
    patch: str = ""
    fail_to_pass: tuple[str, ...] = Field(min_length=1)
    pass_to_pass: tuple[str, ...] = ()
    script: str = ""


class _YamlFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[_YamlTask, ...] = Field(min_length=1)


def _from_yaml(text: str, path: Path) -> list[EvalTask]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as problem:
        raise UserError(f"{path}: this is not YAML: {problem}.") from None
    return [_yaml_task(each, path) for each in _checked(_YamlFile, content, str(path)).tasks]


def _yaml_task(each: _YamlTask, path: Path) -> EvalTask:
    problem = each.problem
    if each.problem_file:
        problem = _text_beside(path, each.problem_file)
    if not problem.strip():
        raise UserError(f"{path}: {each.id} has no `problem` and no `problem_file`.")
    return EvalTask(
        id=each.id,
        repository=_beside(path, each.repo),
        base=each.base,
        title=each.title,
        problem=problem,
        tests=each.tests,
        test_patch=each.test_patch,
        gold=each.patch,
        fail_to_pass=each.fail_to_pass,
        pass_to_pass=each.pass_to_pass,
        script=_beside(path, each.script) if each.script else "",
    )


def _beside(path: Path, name: str) -> str:
    """A path relative to the file of tasks; `owner/name` stays as it is if there is no such
    folder.
    """
    found = path.parent / name
    return str(found.resolve()) if found.exists() else name


def _text_beside(path: Path, name: str) -> str:
    try:
        return (path.parent / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: {name} cannot be read: {problem}.") from None


def _checked(kind: type[Any], content: object, where: str) -> Any:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UserError(
            f"{where}: {at}: {first['msg']}.", next_step="docs/evaluation.md has the fields."
        ) from None
