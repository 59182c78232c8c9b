"""`.github/honk.yml`: what a repository asks of Honk. Pure: text in, a `Policy` out.

It is read from the default branch only, so that nobody changes the rules in the change they
ask for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from app.domain.values import Value
from app.errors import UserError

POLICY_PATH = ".github/honk.yml"
POLICY_MAX_BYTES = 65_536

_Line = Annotated[str, Field(min_length=1, max_length=2000)]
_Name = Annotated[str, Field(min_length=1, max_length=253)]
_Account = Annotated[int, Field(gt=0, lt=2**53, strict=True)]


class NetworkPolicy(Value):
    """What is reachable while setting up; while the agent works, nothing is."""

    allow: tuple[_Name, ...] = ()
    mode: Literal["fetch-only", "connect"] = "fetch-only"


class PathsPolicy(Value):
    """Globs of paths: what no change may touch, and what alone it may touch."""

    protect: tuple[_Line, ...] = ()
    only: tuple[_Line, ...] = ()


class ScopePolicy(Value):
    """How large a change may be; None is no limit."""

    max_lines: int | None = Field(None, gt=0, le=1_000_000)


class IntegrityPolicy(Value):
    """Which flags on a change to the tests keep it from being ready."""

    block: tuple[_Name, ...] = ("removed", "skipped")


class BudgetPolicy(Value):
    """What one run may spend, and what all runs of the repository may spend in a day."""

    usd: float = Field(5.0, gt=0, le=1000)
    minutes: float = Field(45.0, gt=0, le=24 * 60)
    turns: int = Field(200, gt=0, le=10_000)
    per_day_usd: float | None = Field(None, gt=0, le=100_000)


class PreviewPolicy(Value):
    """What is shown of a change."""

    command: _Line | None = None
    path: _Line | None = None
    artifact: _Line | None = None
    pages: tuple[_Line, ...] = ("/",)
    keep_days: int = Field(7, gt=0, le=90)


class Policy(Value):
    """The keys of `.github/honk.yml`, all optional."""

    setup: tuple[_Line, ...] = ()
    verify: tuple[_Line, ...] = ()
    image: _Line | None = None
    network: NetworkPolicy = NetworkPolicy()
    who: Literal["write", "maintain", "admin"] = "write"
    bots: tuple[_Account, ...] = ()
    base: str | None = Field(None, min_length=1, max_length=244)
    branch: str = Field("honk/{number}-{slug}", min_length=1, max_length=200)
    sign_off: bool = False
    paths: PathsPolicy = PathsPolicy()
    scope: ScopePolicy = ScopePolicy()
    integrity: IntegrityPolicy = IntegrityPolicy()
    no_tests: Literal["failure", "neutral"] = "failure"
    budget: BudgetPolicy = BudgetPolicy()
    corrections: int = Field(3, ge=0, le=20)
    judge: bool = False
    draft: bool = False
    auto_fix_ci: int = Field(1, ge=0, le=10)
    preview: PreviewPolicy | None = None
    merge: Literal["never", "on-command"] = "never"
    control_room: bool = False
    engine: Literal["anthropic", "claude-code"] = "anthropic"


NOT_BUILT_YET = ("image", "preview", "merge", "control_room", "engine")
"""Keys that may only have their default so far. Who builds one takes its name out."""


class PolicyError(UserError):
    """The file is there and wrong: the message names the line and what was expected."""


def parse(text: str | None) -> Policy:
    """Read the file's text; None is an absent file and gives the defaults.

    Raises PolicyError when it is not YAML, not a mapping, or holds a key or value that Honk does
    not know; the message names the line, what was expected and the nearest known key.
    """
    if text is None:
        return Policy()
    data, lines = _load(text)
    if data is None:
        return Policy()
    if not isinstance(data, dict):
        raise _wrong(1, "the file should hold `key: value` lines")
    _refuse_unknown(data, Policy, (), lines)
    try:
        policy = Policy.model_validate(data)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        path = tuple(str(part) for part in first["loc"])
        if path[0] == "bots" and len(path) > 1:
            raise _no_account(first["input"], _line_of(path, lines)) from None
        raise _wrong(_line_of(path, lines), f"`{'.'.join(path)}`: {first['msg']}") from None
    _check_branch_template(policy.branch, lines)
    for key in NOT_BUILT_YET:
        if getattr(policy, key) != Policy.model_fields[key].default:
            raise _wrong(_line_of((key,), lines), f"`{key}` is not built yet; leave it out")
    return policy


def _load(text: str) -> tuple[object, dict[tuple[str, ...], int]]:
    """The data, and the line (from 1) on which each key stands."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        what = getattr(problem, "problem", None) or "it cannot be read"
        raise _wrong(mark.line + 1 if mark else None, f"this is not YAML ({what})") from None
    return data, dict(_key_lines(node, ())) if node is not None else {}


def _key_lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _key_lines(value, here)


def _refuse_unknown(
    data: dict[object, object],
    model: type[Value],
    path: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
) -> None:
    known = list(model.model_fields)
    for key, value in data.items():
        here = (*path, str(key))
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise _wrong(lines.get(here), f"`{'.'.join(here)}` is not a key Honk knows; {hint}")
        inner = model.model_fields[str(key)].annotation
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, Value):
            _refuse_unknown(value, inner, here, lines)


def _no_account(given: object, line: int | None) -> PolicyError:
    """A name can pass to another account; its number cannot."""
    return _wrong(
        line,
        f"`bots` lists accounts by their numeric id, and {str(given)[:100]!r} is none; "
        "https://api.github.com/users/NAME[bot] shows it as `id`",
    )


def _check_branch_template(template: str, lines: dict[tuple[str, ...], int]) -> None:
    try:
        template.format(number=1, slug="x")
    except (KeyError, IndexError, ValueError, AttributeError):
        raise _wrong(
            lines.get(("branch",)), "`branch` may use {number} and {slug}, and no other braces"
        ) from None


def _line_of(path: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> int | None:
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _wrong(line: int | None, what: str) -> PolicyError:
    where = f"`{POLICY_PATH}`, line {line}" if line else f"`{POLICY_PATH}`"
    return PolicyError(
        f"{where}: {what}.",
        next_step="Mend the file on the default branch, then put the label `honk` on again.",
    )
