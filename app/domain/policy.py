"""`.github/honk.yml`: a repository's settings for Honk. Pure: bytes or text in, a `Policy` out.

It is read from the default branch only, so that a change cannot alter its own rules. Absent,
unreadable and invalid files differ: `Policy()`, UnreadablePolicyError, and
PolicyError, which names the line, what was expected and what was probably meant.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Literal, get_args, get_origin

import yaml
from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from app.domain.flag import Kind
from app.domain.setup_plan import Service
from app.domain.values import Value, is_branch_name
from app.errors import UserError

POLICY_PATH = ".github/honk.yml"
OTHER_POLICY_PATH = ".github/honk.yaml"
"""The alternative file name. A repository has only one of the two."""

POLICY_MAX_BYTES = 65_536

_NEXT_STEP = "Fix the file on the default branch, then ask again."
_DEEPEST = 8
_SHOWN = 60

_Line = Annotated[str, Field(min_length=1, max_length=2000)]
_Text = Annotated[str, Field(max_length=2000)]
_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
_Name = Annotated[str, Field(min_length=1, max_length=253)]
_WORKFLOW = r"^(\.github/workflows/)?[^/\x00-\x1f\x7f]+\.ya?ml$"
_FOLDER = r"^[^\x00-\x1f\x7f/][^\x00-\x1f\x7f]*$"
_SETTING = r"^[^\x00-\x1f\x7f]*$"
_Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
_Account = Annotated[int, Field(gt=0, lt=2**53)]
_Path = tuple[str, ...]


BUG_LABELS = ("bug", "type: bug", "type/bug", "kind/bug", "kind: bug", "t-bug", "c-bug")
"""Labels that mark an issue as a bug unless the policy names others."""


class _Keys(Value):
    """Keys of the file. Editors show their docstrings."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class NetworkPolicy(_Keys):
    """What setup can reach. The agent has no network."""

    allow: tuple[_Name, ...] = ()
    """Host names, or an ecosystem such as `python` for the registries its client is set up for."""
    mode: Literal["fetch-only", "connect"] = "fetch-only"
    """`fetch-only` allows only GET and HEAD requests; `connect` allows all requests."""


class PathsPolicy(_Keys):
    """Which paths a change may touch."""

    protect: tuple[_Line, ...] = ()
    """Globs of paths that no change may touch, such as `.github/workflows/**`."""
    only: tuple[_Line, ...] = ()
    """Globs of the only paths that a change may touch; empty allows all paths."""


class ScopePolicy(_Keys):
    """The allowed size of a change."""

    max_lines: int | None = Field(None, gt=0, le=1_000_000)
    """Maximum lines added plus removed; no limit if unset."""


class IntegrityPolicy(_Keys):
    """Rules for changes to tests."""

    block: tuple[Kind, ...] = ()
    """Flags that keep a pull request a draft until a person has reviewed it.

    Flags are hints for the reviewer: the test results decide. `removed` includes tests that no
    runner finds; `skipped` includes tests expected to fail.
    """


class BudgetPolicy(_Keys):
    """Spending limits for one run, and for all runs of the repository per day."""

    usd: float = Field(5.0, gt=0, le=1000)
    """Maximum cost of a run in US dollars."""
    minutes: float = Field(45.0, gt=0, le=24 * 60)
    """Maximum minutes per run."""
    turns: int = Field(200, gt=0, le=10_000)
    """Maximum model turns per run."""
    per_day_usd: float | None = Field(None, gt=0, le=100_000)
    """Maximum daily cost of all runs in the repository in US dollars; no limit if unset."""


class CheckPolicy(_Keys):
    """Which pull requests get the check `honk / tests` without being asked."""

    authors: Literal["own", "bots", "all"] | None = None
    """Whose pull requests: `own` for Honk's, `bots` for those of every App and bot, `all` for
    everyone's; the operator's HONK_CHECK if unset."""
    forks: Literal["ask", "always", "never"] = "ask"
    """Whether a pull request from a fork is verified: when someone with write access asks,
    always, or never."""
    skip: tuple[_Line, ...] = ()
    """Globs of paths. A change that touches no other path is not verified, and its check says so.
    """
    minutes_per_day: float = Field(600.0, gt=0, le=100_000)
    """Maximum minutes per day that Honk spends on pull requests without being asked; entries of a
    merge queue don't count."""


class ServicePolicy(_Keys):
    """A database that the tests expect."""

    kind: Literal["postgres", "redis"] | None = None
    """The database program; taken from the service's name if unset."""
    port: int | None = Field(None, ge=1024, le=65535)
    """The port on the loopback; 5432 or 6379 if unset."""
    user: str = Field("", pattern=_SETTING, max_length=63)
    """The user; `postgres` if unset. Redis has none."""
    password: str = Field("", pattern=_SETTING, max_length=200)
    """The password; any is accepted if unset."""
    database: str = Field("", pattern=_SETTING, max_length=63)
    """The database; named like the user if unset. Redis has none."""


WORKFLOWS = ".github/workflows/"
"""The folder that GitHub reads workflows from."""


class CiPolicy(_Keys):
    """Test results that the repository's own GitHub Actions workflow uploads as artifacts."""

    workflow: str = Field(pattern=_WORKFLOW, max_length=255)
    """The workflow's file in `.github/workflows`, such as `ci.yml`."""
    junit: tuple[_Line, ...] = Field(min_length=1, max_length=100)
    """Globs of the JUnit XML reports, as paths in the repository or in an artifact."""
    artifacts: tuple[_Line, ...] = Field((), max_length=100)
    """Globs of the names of the artifacts with reports; all artifacts of a run if empty."""

    @property
    def file(self) -> str:
        """The workflow file's name, which GitHub's API takes in place of a workflow's id."""
        return self.workflow.removeprefix(WORKFLOWS)

    @property
    def path(self) -> str:
        """The workflow file's path in the repository."""
        return WORKFLOWS + self.file


def _kind_of_verify(value: object) -> str:
    return "ci" if isinstance(value, (dict, CiPolicy)) else "commands"


_Verify = Annotated[
    Annotated[tuple[_Line, ...], Tag("commands")] | Annotated[CiPolicy, Tag("ci")],
    Discriminator(_kind_of_verify),
]


class ApprovalsPolicy(_Keys):
    """Independent approvals of pull requests by agents, shown by the check `honk / review`."""

    human: int = Field(1, ge=1, le=10)
    """How many people must approve exactly the head commit. Authors and co-authors don't count."""
    requester_counts: bool = False
    """Whether the person who asked Honk counts."""


class PreviewPolicy(_Keys):
    """What is built from a change, to try it: an artifact of the repository's workflow, or what a
    command makes."""

    artifact: _Name | None = None
    """The name of the artifact that the workflow uploads."""
    command: _Line | None = None
    """The command that builds it in the sandbox after setup, without network, in five minutes."""
    path: str | None = Field(None, pattern=_FOLDER, max_length=500)
    """The folder in which the command leaves the files."""
    keep_days: int = Field(7, gt=0, le=90)
    """Days to keep its files; they are deleted earlier when the pull request is closed."""


class Policy(_Keys):
    """The keys of `.github/honk.yml`, all optional."""

    setup: tuple[_Line, ...] | None = None
    """Commands that prepare the checkout before the agent works and before tests run.

    Without this key, Honk detects them from the repository's files; an empty list means no setup.
    """
    services: dict[_Host, ServicePolicy] = Field(default_factory=dict, max_length=8)
    """Databases to start for the tests and the agent: a list, or settings by host name."""
    environment: dict[_Variable, _Text] = Field(default_factory=dict, max_length=100)
    """Variables of setup, the agent and the tests; `@` at the start of a path stands for the
    caches of the checkout. With `setup` only."""
    search_path: tuple[_Line, ...] = ()
    """Folders that PATH begins with, for setup, the agent and the tests; `@` as above."""
    verify: _Verify = ()
    """Test commands, or verifiers by name; detected automatically if empty.

    Or where the repository's own CI uploads its results: `{workflow: ci.yml, junit: ["**/*.xml"]}`.
    """
    image: _Line | None = None
    """The image of the container sandbox, by digest."""
    network: NetworkPolicy = NetworkPolicy()
    who: Literal["write", "maintain", "admin"] = "write"
    """The minimum permission that a requester needs."""
    bots: tuple[_Account, ...] = ()
    """Numeric account ids of bots that may use Honk."""
    base: str | None = Field(None, min_length=1, max_length=244)
    """The branch to start from and to open pull requests against; the default branch if unset."""
    branch: str = Field("honk/{number}-{slug}", min_length=1, max_length=200)
    """The branch name pattern, with `{number}` and `{slug}`."""
    sign_off: bool = False
    """Whether commits carry `Signed-off-by`."""
    paths: PathsPolicy = PathsPolicy()
    scope: ScopePolicy = ScopePolicy()
    integrity: IntegrityPolicy = IntegrityPolicy()
    no_tests: Literal["failure", "neutral"] = "failure"
    """The check run's conclusion when there are no tests; `neutral` passes a required check."""
    expectations: Literal["confirm", "allow"] = "confirm"
    """Whether a person must accept removed tests and changed expectations; `allow` accepts all."""
    check: CheckPolicy = CheckPolicy()
    """Which pull requests Honk verifies without being asked: `own`, `bots` or `all`, or settings.
    """
    proof: Literal["optional", "required"] = "optional"
    """Whether a bug fix stays a draft until a test fails without it."""
    bug_labels: tuple[_Name, ...] = BUG_LABELS
    """Labels that mark an issue as a bug, in any case; GitHub's issue type `Bug` always does."""
    approvals: ApprovalsPolicy | None = None
    """Who must approve an agent's pull request; without this key, there is no such check."""
    budget: BudgetPolicy = BudgetPolicy()
    corrections: int = Field(3, ge=0, le=20)
    """How many times the agent may fix a change whose tests fail."""
    judge: bool = False
    """Whether a second model reviews each change before it is published."""
    draft: bool = False
    """Whether to open every pull request as a draft."""
    auto_fix_ci: int = Field(1, ge=0, le=10)
    """How many times Honk automatically fixes failing CI on its own pull requests."""
    preview: PreviewPolicy | None = None
    """Where to find a build of the change; without this key, only environments are shown."""
    merge: Literal["never", "on-command"] = "on-command"
    """Whether someone with write access can merge a pull request with `/honk merge`."""
    follow_merge_minutes: int = Field(30, ge=0, le=24 * 60)
    """Minutes to follow a merge that Honk was asked for, until it is in production; 0 for not."""
    control_room: bool = False
    """Whether campaigns across repositories can start here."""
    engine: _Line | None = None
    """The agent engine; the operator's HONK_ENGINE if unset."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The test commands and verifiers that the policy names."""
        return () if isinstance(self.verify, CiPolicy) else self.verify

    @property
    def ci(self) -> CiPolicy | None:
        """Where the repository's CI leaves its results, if the verdict comes from these."""
        return self.verify if isinstance(self.verify, CiPolicy) else None


NOT_BUILT_YET = ("control_room",)
"""Keys that accept only their default so far. Remove a key from here when it is implemented."""


class BadPolicyError(UserError):
    """The policy cannot be used. `asks_for_checks`: its text appears to ask for checks on pull
    requests that are not Honk's, and a required check would wait for them.
    """

    asks_for_checks = False


class UnreadablePolicyError(BadPolicyError):
    """The file exists but is too large or not UTF-8 text."""


class PolicyError(BadPolicyError):
    """The file is invalid. The message names the line and what was expected."""

    def __init__(self, line: int | None, what: str, path: str = POLICY_PATH) -> None:
        where = f"`{path}`, line {line}" if line else f"`{path}`"
        super().__init__(f"{where}: {what}.", next_step=_NEXT_STEP)
        self.line = line
        self.what = what


def choose(yml: bytes | None, yaml: bytes | None) -> tuple[bytes | None, str]:
    """Return the contents and path of the policy file that exists.

    Raises BadPolicyError when both exist, since Honk cannot guess which one is meant.
    """
    if yml is not None and yaml is not None:
        both = BadPolicyError(
            f"This repository has both `{POLICY_PATH}` and `{OTHER_POLICY_PATH}`.",
            next_step="Delete one of them on the default branch, then ask again.",
        )
        both.asks_for_checks = _asks_for_checks(yml) or _asks_for_checks(yaml)
        raise both
    return (yml, POLICY_PATH) if yaml is None else (yaml, OTHER_POLICY_PATH)


def read(
    content: bytes | None, path: str = POLICY_PATH, *, engines: Collection[str] | None = None
) -> Policy:
    """Parse the file's bytes; None (no file) gives the defaults. `engines` as in `parse`.

    Raises UnreadablePolicyError when they are too many or not UTF-8, and PolicyError as `parse`.
    """
    if content is None:
        return Policy()
    try:
        return _read(content, path, engines)
    except BadPolicyError as problem:
        problem.asks_for_checks = _asks_for_checks(content)
        raise


_CHECK = re.compile(rb"^[\"']?check[\"']?[ \t]*:(?P<value>.*)", re.MULTILINE)


def _asks_for_checks(content: bytes) -> bool:
    """Whether a file that may not even be YAML has the key `check` with another value than `own`.

    A mapping counts: its authors may be on another line, or be the operator's.
    """
    found = _CHECK.search(content[: 2 * POLICY_MAX_BYTES])
    return found is not None and found["value"].partition(b"#")[0].strip(b" \t\r\"'") != b"own"


def _read(content: bytes, path: str, engines: Collection[str] | None) -> Policy:
    if len(content) > POLICY_MAX_BYTES:
        raise UnreadablePolicyError(
            f"`{path}` has {len(content)} bytes, more than the limit of {POLICY_MAX_BYTES}.",
            next_step=_NEXT_STEP,
        )
    try:
        return parse(content.decode("utf-8"), engines=engines)
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise UnreadablePolicyError(
            f"`{path}` is not UTF-8 text: line {line} has an invalid byte.",
            next_step=_NEXT_STEP,
        ) from None
    except PolicyError as problem:
        raise PolicyError(problem.line, problem.what, path) from None


def parse(text: str | None, *, engines: Collection[str] | None = None) -> Policy:
    """Parse the file's text; None (no file) gives the defaults.

    A key without a value has its default. `engines` are the agent engines that exist; None accepts
    any name. Raises PolicyError when the text is not YAML, not a
    mapping, or holds a key or value that Honk does not know.
    """
    if text is None:
        return Policy()
    data, lines = _load(text.removeprefix("\ufeff"))
    if data is None:
        return Policy()
    if not isinstance(data, dict):
        raise PolicyError(1, "expected keys with values, such as `draft: true`")
    data = _with_check(_with_services(data))
    _refuse_unknown(data, Policy, (), lines)
    try:
        # As JSON, so that strictness takes a list for a tuple and still no `true` for a number.
        policy = Policy.model_validate_json(json.dumps(_plain(data), default=str), strict=True)
    except ValidationError as problem:
        raise _wrong_value(problem.errors(include_url=False)[0], lines) from None
    _check_branches(policy, lines)
    _check_services(policy, lines)
    _check_preview(policy, lines)
    if policy.engine is not None and engines is not None and policy.engine not in engines:
        expected, found = _one_of(engines, policy.engine), policy.engine[:_SHOWN]
        raise PolicyError(
            _line_of(("engine",), lines), f"`engine`: expected {expected}, found `{found}`"
        )
    for key in NOT_BUILT_YET:
        if getattr(policy, key) != Policy.model_fields[key].default:
            raise PolicyError(_line_of((key,), lines), f"`{key}` is not supported yet; remove it")
    return policy


def _check_preview(policy: Policy, lines: dict[_Path, int]) -> None:
    found = policy.preview
    if found is None:
        return
    what = ""
    if (found.artifact is None) == (found.command is None):
        what = "`preview`: expected either `artifact`, or `command` and `path`"
    elif (found.command is None) != (found.path is None):
        what = "`preview`: expected `path`, the folder with what `command` builds"
    elif found.path is not None and ".." in found.path.split("/"):
        what = f"`preview.path`: expected a folder of the repository, found `{found.path[:_SHOWN]}`"
    if what:
        raise PolicyError(_line_of(("preview",), lines), what)


def with_setup_of(policy: Policy, other: Policy) -> Policy:
    """The policy with the other one's setup keys."""
    names = ("setup", "environment", "search_path", "network")
    return policy.model_copy(update={name: getattr(other, name) for name in names})


def json_schema() -> str:
    """The file's JSON Schema, for editors, as text that ends in a newline."""
    schema = Policy.model_json_schema(schema_generator=_SchemaForEditors)
    keys = schema["properties"]["services"]
    kinds = get_args(Service.model_fields["kind"].annotation)
    listed = {"type": "array", "items": {"enum": list(kinds)}}
    schema["properties"]["services"] = {
        "anyOf": [listed, {name: value for name, value in keys.items() if name != "description"}],
        "description": keys["description"],
    }
    schema["properties"]["check"] = _or_word(
        schema["properties"]["check"],
        get_args(get_args(CheckPolicy.model_fields["authors"].annotation)[0]),
    )
    for key in NOT_BUILT_YET:
        default = Policy.model_fields[key].default
        schema["properties"][key] = {"const": default, "description": "Not supported yet."}
    whole = {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": POLICY_PATH}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _or_word(mapping: dict[str, object], words: Collection[str]) -> dict[str, object]:
    """The schema of a key that holds a mapping or one word."""
    settings = {name: value for name, value in mapping.items() if name != "description"}
    return {
        "anyOf": [{"enum": list(words)}, settings],
        "description": mapping["description"],
    }


class _SchemaForEditors(GenerateJsonSchema):
    """Drop the titles that only repeat their key."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A YAML loader without aliases, which can grow without bounds, and without deep nesting."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            raise PolicyError(line, "aliases (`*name`) are not supported; write the value out")
        if getattr(event, "tag", None) not in (None, "!"):
            raise PolicyError(line, "tags (`!!name`) are not supported; write only the value")
        if isinstance(event, yaml.ScalarEvent) and _HALF_A_CHARACTER.search(event.value):
            # YAML allows `"\ud800"`, which databases and APIs reject.
            raise PolicyError(line, "unpaired surrogate; write the character itself")
        if self._depth >= _DEEPEST:
            raise PolicyError(line, "this is nested too deeply")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _load(text: str) -> tuple[object, dict[_Path, int]]:
    """The data, and the line (from 1) of each key and list item."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines = dict(_lines(node, ()))
        return loader.construct_document(node), lines
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as problem:
        raise _not_yaml(problem, text) from None


def _not_yaml(problem: Exception, text: str) -> PolicyError:
    if isinstance(problem, yaml.reader.ReaderError):
        line = text.count("\n", 0, problem.position) + 1
        return PolicyError(line, "this character is not allowed in YAML")
    mark = getattr(problem, "problem_mark", None)
    if mark is None:
        return PolicyError(None, "this is not YAML")
    if re.match(r" *\t", "".join(text.split("\n")[mark.line : mark.line + 1])):
        return PolicyError(mark.line + 1, "the line starts with a tab; indent YAML with spaces")
    what = getattr(problem, "problem", None) or "it cannot be read"
    return PolicyError(mark.line + 1, f"this is not YAML ({what[:200]})")


def _lines(node: yaml.Node, path: _Path) -> Iterator[tuple[_Path, int]]:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            here = (*path, str(number))
            yield here, item.start_mark.line + 1
            yield from _lines(item, here)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            raise PolicyError(line, "merge keys (`<<`) are not supported; write the values out")
        if name in first:
            raise PolicyError(
                line, f"duplicate key {_named((*path, name))}, first on line {first[name]}"
            )
        first[name] = line
        yield (*path, name), line
        yield from _lines(value, (*path, name))


def _with_services(data: dict[object, object]) -> dict[object, object]:
    """A list of services as a mapping without settings, which a service need not have."""
    named = data.get("services")
    if isinstance(named, list) and all(isinstance(each, str) for each in named):
        return {**data, "services": {each: {} for each in named}}
    if isinstance(named, dict):
        return {**data, "services": {k: {} if v is None else v for k, v in named.items()}}
    return data


def _with_check(data: dict[object, object]) -> dict[object, object]:
    """`check: all` as a mapping."""
    named = data.get("check")
    return {**data, "check": {"authors": named}} if isinstance(named, str) else data


def _refuse_unknown(
    data: dict[object, object], model: type[Value], path: _Path, lines: dict[_Path, int]
) -> None:
    for key, value in data.items():
        here = (*path, str(key))
        if key not in model.model_fields:
            hint = _meant(str(key), model, path)
            raise PolicyError(lines.get(here), f"unknown key {_named(here)}; {hint}")
        inner = _part(model, str(key))
        if isinstance(value, dict) and inner is not None:
            _refuse_unknown(value, inner, here, lines)
        if model is Policy and key == "services" and isinstance(value, dict):
            for name, settings in value.items():
                if isinstance(settings, dict):
                    _refuse_unknown(settings, ServicePolicy, (*here, str(name)), lines)


def _part(model: type[Value], key: str) -> type[Value] | None:
    """The nested keys of a key, if any."""
    annotation = model.model_fields[key].annotation
    if get_origin(annotation) is dict:
        return None  # Its keys are names that the file chooses.
    kinds = [annotation, *map(_plain_type, get_args(annotation))]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Value)), None)


def _plain_type(kind: object) -> object:
    """The type without what `Annotated` adds to it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _meant(key: str, model: type[Value], path: _Path) -> str:
    """Suggest the key that an unknown one was probably meant to be."""
    known = [name for name in model.model_fields if name not in NOT_BUILT_YET]
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if near:
        return f"did you mean `{'.'.join((*path, near[0]))}`?"
    if path and key in Policy.model_fields:
        return f"it belongs at the top level, not under `{'.'.join(path)}`"
    for name in Policy.model_fields:
        inner = _part(Policy, name)
        if not path and inner is not None and key in inner.model_fields:
            return f"it belongs under `{name}:`"
    return f"known keys: {', '.join(known)}"


def _plain(data: object) -> object:
    """Drop keys without a value, and convert keys to strings as in JSON."""
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [_plain(item) for item in data]
    return data


def _wrong_value(problem: ErrorDetails, lines: dict[_Path, int]) -> PolicyError:
    path = tuple(str(part) for part in problem["loc"])
    if path[0] == "verify":
        path = (path[0], *path[2:])  # without the kind of value that was expected
    line = _line_of(path, lines)
    given = problem["input"]
    if problem["type"] == "missing":
        return PolicyError(line, f"{_named(path)} is missing; {_MISSING[path[-1]]}")
    if path[0] == "bots" and len(path) > 1:
        return _no_account(given, line)
    where = _named(tuple(part for part in path if not part.isdigit()))
    shown = json.dumps(given, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} …"
    return PolicyError(line, f"{where}: expected {_expected(problem)}, found `{shown}`")


def _expected(problem: ErrorDetails) -> str:
    """What a value should be, from https://docs.pydantic.dev/latest/errors/validation_errors/."""
    kind, context = problem["type"], problem.get("ctx", {})
    if problem["loc"][-1] == "workflow":
        return "the name of a file in `.github/workflows`, such as `ci.yml`"
    for number, words in _BOUNDS.items():
        if number in context:
            return f"{words} {context[number]:g}"
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", str(context["expected"]))
        return _one_of(names, problem["input"])
    if kind == "enum":
        names = re.findall(r"'([^']*)'", str(context["expected"]))
        near = difflib.get_close_matches(str(problem["input"]).lower(), names, n=1)
        meant = f" (did you mean `{near[0]}`?)" if near else ", such as `removed`"
        return f"the name of a flag{meant}"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    return next(words for start, words in _KINDS if kind.startswith(start))


_MISSING = {
    "workflow": "name the file in `.github/workflows` whose results count, such as `ci.yml`",
    "junit": 'name the reports that it uploads, such as `["reports/**/*.xml"]`',
}
_BOUNDS = {
    "gt": "a number greater than",
    "ge": "a number of at least",
    "lt": "a number less than",
    "le": "a number of at most",
}
_KINDS = (
    ("bool", "`true` or `false`"),
    ("int", "a whole number"),
    ("float", "a number"),
    ("finite", "a number"),
    ("string_pattern", "a plain name or value"),
    ("string_too_short", "text that is not empty"),
    ("string", "text (quote it if it looks like another type)"),
    ("too_short", "a list that is not empty"),
    ("too_long", "a shorter list"),
    ("tuple", "a list, such as `[one, two]` or lines starting with `- `"),
    ("dict", "names with values, one per line"),
    ("model", "indented keys, one per line"),
    ("", "a different value"),
)


def _one_of(names: Iterable[str], given: object) -> str:
    names = tuple(names)
    near = difflib.get_close_matches(str(given).lower(), names, n=1)
    listed = " or ".join(f"`{name}`" for name in names)
    return f"{listed} (did you mean `{near[0]}`?)" if near else listed


def _named(path: _Path) -> str:
    name = ".".join(path)
    return f"`{name[:_SHOWN]}`"


def _no_account(given: object, line: int | None) -> PolicyError:
    """A login can pass to another account; an id cannot."""
    return PolicyError(
        line,
        f"`bots` takes numeric account ids, and {str(given)[:100]!r} is not one; "
        "see `id` at https://api.github.com/users/NAME[bot]",
    )


def _check_branches(policy: Policy, lines: dict[_Path, int]) -> None:
    # Reject other braces: `format` could be made to build a name of gigabytes.
    example = policy.branch.replace("{number}", "1").replace("{slug}", "x")
    if "{" in example or "}" in example:
        raise PolicyError(
            lines.get(("branch",)), "`branch` may only use {number} and {slug} in braces"
        )
    for key, name in (("branch", example), ("base", policy.base)):
        if name is not None and not is_branch_name(name):
            raise PolicyError(lines.get((key,)), f"`{key}` is not a valid branch name")


def _check_services(policy: Policy, lines: dict[_Path, int]) -> None:
    for name, service in policy.services.items():
        if (service.kind or name) not in get_args(Service.model_fields["kind"].annotation):
            expected = "set `kind` to `postgres` or `redis`"
            where = _named(("services", name))
            raise PolicyError(_line_of(("services", name), lines), f"{where}: {expected}")


def services_of(policy: Policy, path: str = POLICY_PATH) -> tuple[Service, ...]:
    """The services that the policy names."""
    return tuple(_service(name, each, path) for name, each in policy.services.items())


def service_name(service: Service) -> str:
    """The host name under which a policy lists the service."""
    return service.names[0] if service.names else service.kind


def service_settings(service: Service) -> dict[str, str | int]:
    """The settings of a service as a policy holds them; the inverse of `services_of`."""
    given = service.environment
    settings: dict[str, str | int] = {"kind": service.kind, "port": service.port}
    return settings | {key: given[name] for key, name in _SETTINGS[service.kind] if name in given}


def _service(name: str, given: ServicePolicy, path: str) -> Service:
    kind: Literal["postgres", "redis"] = "redis" if (given.kind or name) == "redis" else "postgres"
    return Service(
        kind=kind,
        names=tuple(dict.fromkeys((name, kind))),
        port=given.port or _PORTS[kind],
        environment={
            variable: value for key, variable in _SETTINGS[kind] if (value := getattr(given, key))
        },
        source=path,
    )


_PORTS = {"postgres": 5432, "redis": 6379}
_SETTINGS = {
    "postgres": (
        ("user", "POSTGRES_USER"),
        ("password", "POSTGRES_PASSWORD"),
        ("database", "POSTGRES_DB"),
    ),
    "redis": (("password", "REDIS_PASSWORD"),),
}


def _line_of(path: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> int | None:
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None
